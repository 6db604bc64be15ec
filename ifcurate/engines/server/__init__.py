"""The `server` engine: an OpenAI-compatible completions endpoint."""
