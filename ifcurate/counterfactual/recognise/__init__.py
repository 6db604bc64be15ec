"""What could be substituted: typed spans over the texts of a row."""
