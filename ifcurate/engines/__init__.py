"""Engines: where log-probabilities come from."""
