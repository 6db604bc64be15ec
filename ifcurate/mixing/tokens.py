"""Count the tokens of texts with the tokenizer of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifcurate.errors import ModelError
from ifcurate.models import local_model, nearest_model, resolve_model
from ifcurate.network import offline_without_network
from ifcurate.phrases import first_line


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """A tokenizer that counts tokens."""

    name: str
    fingerprint: str  # fingerprint of its file
    tokenizer: Any

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, without special tokens."""
        encoded = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encoded]


def load_counter(name: str) -> TokenCounter:
    """Return the tokenizer of a model: `pocket`, a short name, a Hub id, a folder or a file.

    Raises `ModelError` when it cannot be loaded.
    """
    from tokenizers import Tokenizer

    path = local_model(name)
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        if not path.is_file():
            from huggingface_hub import hf_hub_download

            with offline_without_network():
                path = Path(hf_hub_download(resolve_model(name), "tokenizer.json"))
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise ModelError(
            f"tokenizer {name!r}: cannot be loaded: {first_line(error)}"
            f"{nearest_model(name)}; name a model, or a folder that holds a tokenizer.json"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    digest = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    return TokenCounter(name, digest, tokenizer)
