"""From curated rows to one mixture: amounts, choice, duplicates, overlap, and the folder."""
