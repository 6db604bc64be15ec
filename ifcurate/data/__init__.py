"""Rows in, rows out: sources, layouts of rows, and writers."""
