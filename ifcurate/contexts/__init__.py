"""Find the context inside a prompt whose text contains it."""
