"""How much less likely a model finds the rest of a context after the edits, per token.

A substitute that does not fit makes the words around it less likely: a pronoun of the other
gender, a country after "written by". Tokens of the substituted places are left out on both
sides, because a rare name says nothing of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ifcurate.engines.base import Engine, Float32Array, Prompt

from ..edit.edits import Edit, moved
from .outcomes import Written

__all__ = ["text_rises"]


@dataclass(frozen=True, slots=True)
class _Text:
    """The contexts of one row as one text, and the substituted places in it."""

    text: str
    places: tuple[tuple[int, int], ...]


def text_rises(items: Sequence[Written], engine: Engine) -> list[float | None]:
    """Loss per token outside the substituted places, after the edits less before, in nats.

    None for a text that the engine cannot score or that has no other token. A text over the
    engine's length is cut there.
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
    return _join(
        (item.view.texts[path][a:b], [(e.start - a, e.end - a) for e in _edits(item, path, a, b)])
        for path, a, b in item.view.context
    )


def _after(item: Written) -> _Text:
    made = item.made
    stretches = []
    for path, a, b in item.view.context:
        start, end = moved(a, path, made.edits), moved(b, path, made.edits)
        edits = _edits(item, path, a, b)
        places = [(e.new_start - start, e.new_end - start) for e in edits]
        stretches.append((made.texts[path][start:end], places))
    return _join(stretches)


def _edits(item: Written, path: str, start: int, end: int) -> list[Edit]:
    return [e for e in item.made.edits if e.path == path and start <= e.start and e.end <= end]


def _join(stretches: Iterable[tuple[str, Sequence[tuple[int, int]]]]) -> _Text:
    """Stretches as one text, with a line break between them."""
    text, places = "", []
    for stretch, own in stretches:
        text += "\n" if text else ""
        places += [(len(text) + a, len(text) + b) for a, b in own]
        text += stretch
    return _Text(text, tuple(places))


def _touches(token: tuple[int, int], places: Iterable[tuple[int, int]]) -> bool:
    return any(token[0] < end and start < token[1] for start, end in places)


def _rise(before: Float32Array | None, after: Float32Array | None) -> float | None:
    """The mean over the tokens that both have: one text may have been cut earlier."""
    if before is None or after is None:
        return None
    shared = min(len(before), len(after))
    return float(np.mean(after[:shared]) - np.mean(before[:shared])) if shared else None
