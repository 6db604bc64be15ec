"""Names, words and places: the tables that everything else reads."""
