"""Cards of the data and of the bundled model."""
