"""Write the built-in conflict suites."""
