"""The check that a cut leaves a request in the prompt, and the repair of a cut that does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .found import Found
from .lines import asks, first_request_end, has_question, last_request_start
from .words import n_words, wants_question

__all__ = ["lacks_question", "remains_asking", "rest_of", "shrink"]


def remains_asking(text: str, found: Sequence[Found]) -> bool:
    """Whether the text without these stretches still asks for something."""
    return asks(rest_of(text, found))


def lacks_question(rest: str) -> bool:
    """Whether a text speaks of a question that is not in it.

    "Answer the question below" asks for something, but the cut removed its question.
    """
    spoken = [line for line in rest[-4000:].splitlines() if wants_question(line)]
    return bool(spoken) and not any(map(has_question, rest[-4000:].splitlines()))


def rest_of(text: str, found: Sequence[Found]) -> str:
    """The text without these stretches."""
    kept, at = [], 0
    for f in found:
        kept.append(text[at : f.outer_start])
        at = f.outer_end
    return "".join([*kept, text[at:]])


def shrink(text: str, found: Sequence[Found]) -> list[Found]:
    """The same stretches without the requests at their edges; [] when nothing is left.

    The last request of the last stretch goes back to the prompt, or else the first of
    the first one.
    """
    if not found:
        return []
    last = found[-1]
    cut = last_request_start(text, last.start, last.end)
    if last.start < cut < last.end and n_words(text, last.start, cut) >= 3:
        end = last.start + len(text[last.start : cut].rstrip())
        return [*found[:-1], replace(last, end=end, outer_end=end)]
    first = found[0]
    cut = first_request_end(text, first.start, first.end)
    if first.start < cut < first.end and n_words(text, cut, first.end) >= 3:
        start = cut + len(text[cut : first.end]) - len(text[cut : first.end].lstrip())
        return [replace(first, start=start, outer_start=start), *found[1:]]
    return []
