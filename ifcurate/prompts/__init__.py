"""The two prompts of an example: with its context and without it."""
