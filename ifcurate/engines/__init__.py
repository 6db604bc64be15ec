"""Engines: they compute the log-probabilities of responses."""
