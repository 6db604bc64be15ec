"""Tables of names, words and places."""
