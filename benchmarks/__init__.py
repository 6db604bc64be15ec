"""Benchmarks: each folder or module is one command, `python -m benchmarks.NAME`."""
