"""The scored rows: Alpaca's with an input, P3's, or synthetic rows of the same lengths."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ifcurate.engines.base import Prompt

__all__ = ["SHARED", "Row", "documents", "encode_rows", "load_rows", "train_tokenizer"]

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"  # real rows, if they exist

_WITH = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{context}\n\n### Response:\n"
)
_WITHOUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
)


@dataclass(frozen=True, slots=True)
class Row:
    """The two prompts of one example, and its response."""

    with_context: str
    without_context: str
    response: str


def load_rows(folder: Path, seed: int = 0) -> tuple[list[Row], str]:
    """Rows in a seeded order and their description; synthetic rows where the folder has none."""
    rows: list[Row] = []
    names = []
    alpaca, p3 = folder / "alpaca_5pct.json", folder / "p3_inline_context.jsonl"
    if alpaca.is_file():
        names.append("Alpaca rows with an input")
        for raw in json.loads(alpaca.read_text(encoding="utf-8")):
            context = str(raw.get("input", "")).strip()
            if (
                context
                and context.lower() not in ("no input", "n/a", "<noinput>")
                and raw["output"]
            ):
                fields = {"instruction": raw["instruction"], "context": context}
                rows.append(Row(_WITH.format(**fields), _WITHOUT.format(**fields), raw["output"]))
    if p3.is_file():
        names.append("P3 rows")
        for line in p3.read_text(encoding="utf-8").splitlines():
            raw = json.loads(line)
            first, _, rest = str(raw["prompt"]).partition("\n")
            if rest.strip() and str(raw["completion"]).strip():
                rows.append(Row(raw["prompt"] + "\n", first + "\n", str(raw["completion"])))
    if not rows:
        names.append("made-up rows of Alpaca's lengths")
        rows = _made_up(1000)
    order = np.random.default_rng(seed).permutation(len(rows))
    return [rows[i] for i in order], " and ".join(names)


def _made_up(n: int) -> list[Row]:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlu"), rng.integers(1, 9))) for _ in range(3000)]

    def text(median: float, spread: float) -> str:
        count = max(1, int(rng.lognormal(np.log(median), spread)))
        return " ".join(words[i] for i in rng.zipf(1.3, count) % len(words))

    rows = []
    for _ in range(n):
        fields = {"instruction": text(12, 0.4), "context": text(18, 0.9)}
        rows.append(Row(_WITH.format(**fields), _WITHOUT.format(**fields), text(80, 1.0)))
    return rows


def train_tokenizer(rows: list[Row], vocab_size: int) -> Any:
    """Return a byte-level BPE tokenizer trained on the rows themselves, as transformers has it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f"{r.with_context}{r.response}" for r in rows), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )


def encode_rows(rows: list[Row], tokenizer: Any, n_rows: int, longest: int = 1024) -> list[Prompt]:
    """Two prompts per row, with and without context, with the same response ids in both.

    The first `n_rows` whose prompts leave room for a response.
    """
    prompts: list[Prompt] = []
    for row in rows:
        if len(prompts) == 2 * n_rows:
            break
        if len(tokenizer.encode(row.with_context + row.response)) > longest:
            continue
        response = tokenizer.encode(row.response, add_special_tokens=False)
        for text in (row.with_context, row.without_context):
            ids = tokenizer.encode(text, add_special_tokens=False)
            # As lm-evaluation-harness reads these rows: prompt and response encoded apart.
            prompts.append(Prompt(ids=ids + response, response_start=len(ids)))
    return prompts


def documents(
    n_documents: int, n_ids: int, *, length: int = 1500, questions: int = 10
) -> list[Prompt]:
    """Questions on long documents, the context first, with answers of 20 tokens."""
    rng = np.random.default_rng(0)
    prompts = []
    for _ in range(n_documents):
        document = rng.integers(2, n_ids, size=length).tolist()
        for _ in range(questions):
            question, answer = (rng.integers(2, n_ids, size=n).tolist() for n in (25, 20))
            prompts.append(Prompt(ids=document + question + answer, response_start=length + 25))
    return prompts
