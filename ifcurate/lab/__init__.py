"""A laboratory on the bundled model: the inversion, what drives it and what cures it."""
