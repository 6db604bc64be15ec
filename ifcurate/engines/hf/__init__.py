"""The `hf` engine: any causal language model of transformers."""
