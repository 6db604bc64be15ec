"""Measure context reliance: suites of knowledge conflicts, measures, trajectories, attention."""
