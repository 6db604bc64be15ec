"""Scores of examples: the losses with and without context, and their tables."""
