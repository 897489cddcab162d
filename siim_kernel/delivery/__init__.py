"""To Kaggle and back: manifest, rehearsal."""
