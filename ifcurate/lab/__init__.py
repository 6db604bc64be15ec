"""A laboratory on the bundled model: the inversion, its causes, and the effect of curation."""
