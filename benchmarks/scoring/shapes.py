"""Models with random weights: about 15M, the shape of SmolLM2-135M, and 1B and 7B Llama shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ifcurate.engines.hf.quiet import quiet

__all__ = ["SHAPES", "save_model"]

SHAPES: dict[str, dict[str, Any]] = {
    "15M": {
        "vocab_size": 32000,
        "hidden_size": 384,
        "intermediate_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
        "tie_word_embeddings": True,
    },
    "135M": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    "1B": {
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    },
    "7B": {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
}


def save_model(shape: str, folder: Path, tokenizer: Any, *, dtype: str = "float32") -> Path:
    """Write a folder with random weights of a shape and the tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        max_position_embeddings=2048, bos_token_id=0, eos_token_id=0, **SHAPES[shape]
    )
    with quiet():
        LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
