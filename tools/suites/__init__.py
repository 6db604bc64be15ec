"""Writes the built-in conflict suites."""
