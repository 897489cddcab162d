"""The competition's files: tables, folds, submission, metric."""
