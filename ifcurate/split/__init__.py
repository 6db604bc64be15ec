"""Labels from scores. No model runs here."""
