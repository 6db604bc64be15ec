"""Counterfactual examples: an answer's entity replaced everywhere by another of its kind."""
