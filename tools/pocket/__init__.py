"""Build the bundled model and the demo data."""
