"""The options of every step, each declared once: library, recipe and command line read them."""
