"""Compiled kernels that make scoring on a CPU faster."""
