"""Build the lexicon of names."""
