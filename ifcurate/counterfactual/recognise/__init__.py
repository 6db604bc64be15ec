"""Recognisers: typed spans over the texts of a row."""
