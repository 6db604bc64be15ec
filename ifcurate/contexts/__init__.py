"""Find the context inside a prompt that carries it in its own text."""
