"""The steps on a run folder: split, filter, score again, and show."""
