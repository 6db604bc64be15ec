"""Where the context stands inside a prompt that carries it in its own text."""
