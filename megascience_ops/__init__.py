"""megascience_ops: textbooks in, science-reasoning training data out, with the receipt for every row."""

__version__ = "0.1.0"
