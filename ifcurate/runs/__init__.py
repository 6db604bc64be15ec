"""Run folders, and what fills them: chunks, shards, clusters."""
