"""The tokenizer of a model folder: ids with the characters that they come from.

Only "fast" tokenizers (in Rust) give the characters of a token. Without them, the tokens of
the response are unknown. So a tokenizer without offsets, or with wrong ones, is refused
when it is loaded.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ifcurate.engines.base import Encoding
from ifcurate.engines.hf.quiet import quiet
from ifcurate.engines.hf.source import TOKENIZER_FILES, fetch_files
from ifcurate.errors import ModelError
from ifcurate.models import local_model
from ifcurate.options.score import LoadOptions
from ifcurate.phrases import count, first_line

_PROBES: Final = (
    "A plain line of text, with 12 numbers (and more).",
    "### Input:\nTwo lines.\n\n\n  Indented: a_b = 'c';\t# end\n",
    "Zürich, Kraków, naïve — “quoted”; 東京 and нет, 🙂 done.",
)
_START_NAMES: Final = ("bos_token", "eos_token", "pad_token", "cls_token", "sep_token", "unk_token")


class HFTokenizer:
    """A fast tokenizer of transformers behind the `Tokenizer` protocol.

    Text that spells a special token (`<|im_end|>`) becomes that token, which is the
    tokenizer's own default. No other special token is added. Raises `ModelError` when the
    tokenizer has no offsets or wrong ones.
    """

    def __init__(self, tokenizer: Any, *, where: str = "") -> None:
        self._where = where or str(getattr(tokenizer, "name_or_path", "")) or "tokenizer"
        backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        if not getattr(tokenizer, "is_fast", False) or not hasattr(backend, "encode_batch"):
            raise ModelError(
                f"{self._where}: the tokenizer does not give the characters of a token; "
                f"found {type(tokenizer).__name__}, which has no fast (Rust) version; "
                "use a model with a tokenizer.json, or make one with transformers' conversion"
            )
        self._tokenizer = tokenizer
        self._backend = backend
        self._backend.no_truncation()
        self._backend.no_padding()
        self._check_offsets()
        #: Hash of everything that ids depend on: vocabulary, merges, normaliser, added tokens.
        self.fingerprint = _fingerprint(self._backend)
        self.bos_id = self._find_bos_id()
        #: An id to condition on when a prompt is empty: BOS, EOS, padding, ... or id 0.
        self.fallback_start_id = self._find_fallback_start_id()
        self.eos_text = str(getattr(tokenizer, "eos_token", None) or "")

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the chat template (the one named "default" where several are)."""
        template = getattr(self._tokenizer, "chat_template", None)
        if isinstance(template, Mapping):
            template = template.get("default")
        return None if template is None else str(template)

    @property
    def vocab_size(self) -> int:
        """The number of ids, added tokens included."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def added_tokens(self) -> Mapping[str, bool]:
        """The tokens that were added to the vocabulary: text -> whether it is special."""
        return {t.content: t.special for t in self._backend.get_added_tokens_decoder().values()}

    @functools.cached_property
    def longest_token(self) -> int:
        """The number of characters of the longest token. One byte of a character counts as one."""
        return max(map(len, self._backend.get_vocab(with_added_tokens=True)), default=1)

    def encode(self, text: str) -> Encoding:
        """Encode without adding any special token."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode many texts in one call to the Rust side, each as `encode` does."""
        encoded = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [Encoding(ids=list(e.ids), offsets=list(e.offsets)) for e in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens spelled out."""
        return str(self._backend.decode(list(ids), skip_special_tokens=False))

    def special_tokens(self) -> Mapping[str, str]:
        """`bos_token`, `eos_token`, ... as chat templates name them."""
        tokens = getattr(self._tokenizer, "special_tokens_map", {})
        return {str(k): str(v) for k, v in tokens.items() if not isinstance(v, list | tuple)}

    def _find_bos_id(self) -> int | None:
        # Found by an example, because the Rust side does not always follow `add_bos_token`
        # and similar settings of a config.
        bare = self._backend.encode("a", add_special_tokens=False).ids
        full = list(self._tokenizer("a", add_special_tokens=True)["input_ids"])
        for start in range(len(full) - len(bare) + 1):
            if full[start : start + len(bare)] == bare:
                return int(full[0]) if start > 0 else None
        return None

    def _find_fallback_start_id(self) -> int:
        if self.bos_id is not None:
            return self.bos_id
        for name in _START_NAMES:
            text = getattr(self._tokenizer, name, None)
            token_id = None if text is None else self._backend.token_to_id(str(text))
            if token_id is not None:
                return int(token_id)
        return 0

    def _check_offsets(self) -> None:
        for text, encoding in zip(_PROBES, self.encode_batch(_PROBES), strict=True):
            problem = _offset_problem(text, encoding)
            if problem:
                raise ModelError(
                    f"{self._where}: the tokenizer's character offsets are wrong, so the "
                    f"response's tokens cannot be found; found {problem} in {text[:24]!r}...; "
                    "upgrade the package tokenizers (>= 0.20.1), or convert the tokenizer again"
                )


def _offset_problem(text: str, encoding: Encoding) -> str:
    # Offsets may overlap where one character is several tokens (bytes of an emoji).
    covered = set[int]()
    last = 0
    for start, end in encoding.offsets:
        if not 0 <= start <= end <= len(text):
            return f"offset ({start}, {end}) outside 0..{len(text)}"
        if start < last:
            return f"offset ({start}, {end}) before its left neighbour's start {last}"
        last = start
        covered.update(range(start, end))
    left = [c for i, c in enumerate(text) if i not in covered]
    # Only ASCII must be covered: some vocabularies drop characters that they do not know.
    if missing := [c for c in left if c.isascii() and not c.isspace()]:
        return f"{count(len(missing), 'character')} of no token ({''.join(missing[:8])!r})"
    return ""


def _fingerprint(backend: Any) -> str:
    content = json.loads(backend.to_str())
    for name in ("truncation", "padding"):  # a caller's settings, not the tokenizer's
        content.pop(name, None)
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def load_tokenizer(folder: Path, *, trust_remote_code: bool) -> Any:
    """Return the folder's own tokenizer, as transformers builds it."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            return AutoTokenizer.from_pretrained(
                folder,
                use_fast=True,
                trust_remote_code=trust_remote_code,
                local_files_only=not trust_remote_code,
            )
    except Exception as error:
        needs_code = "trust_remote_code" in str(error)
        remedy = (
            "read its code and pass trust_remote_code (--trust-remote-code) if you trust it"
            if needs_code
            else "copy the model's own tokenizer.json and tokenizer_config.json into the folder"
        )
        raise ModelError(
            f"{folder}: the tokenizer does not load; found {type(error).__name__}: "
            f"{first_line(error)}; {remedy}"
        ) from error


def load_model_tokenizer(model: str, options: LoadOptions) -> HFTokenizer:
    """Return the tokenizer of a folder or a Hub id; no weights are read or downloaded.

    Raises `ModelError`.
    """
    trusted = options.trust_remote_code
    folder = local_model(model)
    if not folder.is_dir():
        try:
            patterns = [*TOKENIZER_FILES, *(["*.py"] if trusted else [])]
            folder = fetch_files(model, options.revision, patterns)
        except ModelError as error:
            raise ModelError(
                f"{model}: no tokenizer of that name; found ({error}); give its Hub id or its "
                "folder; for a server, those of the model that it runs (--tokenizer)"
            ) from error
    return HFTokenizer(load_tokenizer(folder, trust_remote_code=trusted), where=model)
