"""The checks that an edited example must pass."""
