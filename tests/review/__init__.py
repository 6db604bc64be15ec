"""The review application."""
