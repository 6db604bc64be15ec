"""Curate instruction-tuning data by how much each response needs its context."""
