"""Which entity becomes which other, and every place where it stands."""
