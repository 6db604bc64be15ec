"""Compiled kernels for processors."""
