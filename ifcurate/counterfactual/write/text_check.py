"""The rise of a model's loss per token on the rest of a context after the edits.

A substitute that does not fit makes the words around it less likely: a pronoun of the other
gender, a country after "written by". Tokens of the substituted places are left out on both
sides, because a rare name says nothing about the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ifcurate.engines.base import Engine, Float32Array, Prompt

from ..edit.views import TextRange
from .outcomes import Written
from .rows import moved_context


@dataclass(frozen=True, slots=True)
class _Text:
    """The contexts of one row as one text, and the substituted places in it."""

    text: str
    places: tuple[tuple[int, int], ...]


def text_rises(items: Sequence[Written], engine: Engine) -> list[float | None]:
    """The rise of the loss per token outside the substituted places, in nats.

    None for a text that the engine cannot score or that has no other token. Texts are cut to the
    engine's length.
    """
    texts = [text for item in items for text in (_before(item), _after(item))]
    tokenizer = engine.tokenizer
    start = tokenizer.fallback_start_id if tokenizer.bos_id is None else tokenizer.bos_id
    encodings = tokenizer.encode_batch([t.text for t in texts])
    prompts = [Prompt([start, *e.ids][: engine.max_length], 1) for e in encodings]
    answers = engine.submit(prompts).result()
    losses: list[Float32Array | None] = []
    for text, encoding, answer in zip(texts, encodings, answers, strict=True):
        if not isinstance(answer, np.ndarray):
            losses.append(None)
            continue
        offsets = encoding.offsets[: len(answer)]
        outside = [not _touches(place, text.places) for place in offsets]
        losses.append(-answer[np.array(outside, dtype=bool)])
    return [_rise(*pair) for pair in zip(losses[0::2], losses[1::2], strict=True)]


def _before(item: Written) -> _Text:
    places = [(e.path, e.start, e.end) for e in item.made.edits]
    return _join(item.view.texts, item.view.context, places)


def _after(item: Written) -> _Text:
    places = [(e.path, e.new_start, e.new_end) for e in item.made.edits]
    return _join(item.made.texts, moved_context(item.view, item.made), places)


def _join(
    texts: Mapping[str, str], context: Iterable[TextRange], edited: Sequence[TextRange]
) -> _Text:
    """The ranges of a context as one text with line breaks between, and the edits in it."""
    text, places = "", []
    for path, start, end in context:
        text += "\n" if text else ""
        shift = len(text) - start
        places += [(a + shift, b + shift) for p, a, b in edited
                   if p == path and start <= a and b <= end]  # fmt: skip
        text += texts[path][start:end]
    return _Text(text, tuple(places))


def _touches(token: tuple[int, int], places: Iterable[tuple[int, int]]) -> bool:
    return any(token[0] < end and start < token[1] for start, end in places)


def _rise(before: Float32Array | None, after: Float32Array | None) -> float | None:
    """The rise of the mean over the tokens that both texts have: one may be cut earlier."""
    if before is None or after is None:
        return None
    shared = min(len(before), len(after))
    return float(np.mean(after[:shared]) - np.mean(before[:shared])) if shared else None
