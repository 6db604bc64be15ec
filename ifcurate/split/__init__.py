"""Labels from scores, computed without a model."""
