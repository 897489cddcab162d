"""To Kaggle and back: manifest, client, rehearsal."""
