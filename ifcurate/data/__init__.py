"""Read rows from sources in many formats, and write the kept ones."""
