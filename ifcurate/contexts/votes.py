"""What the rules find in single rows, beside the slots of a template that the rows share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from .lines import belongs_to_request
from .spans import ContextSpan, Span
from .words import count_words

# Rules that locate the start of a context less exactly than the fixed parts do.
BY_LAYOUT = frozenset(["above", "long-paragraph", "between"])


def find_covered(
    spans: Sequence[Sequence[Span]], votes: Sequence[Sequence[ContextSpan]]
) -> tuple[int, int, int]:
    """Return the first and last slot that the rules most often find as one, and how often."""
    ranges: Counter[tuple[int, int]] = Counter({(0, 0): 0})
    for slots, vote in zip(spans, votes, strict=True):
        found = vote[0] if len(vote) == 1 else None
        inside = [
            k for k, (a, b) in enumerate(slots) if found and found.start < b and a < found.end
        ]
        if inside:
            ranges[inside[0], inside[-1]] += 1
    (first, last), n = max(ranges.items(), key=lambda item: (item[1], item[0]))
    return first, last, n


# Where a list, a sentence or a line ends, and other words follow.
_OTHER_WORDS = re.compile(r"[.,;:!?/|]\s|\n\s*\w|\n\Z")


def find_beside(row: str, slot: Span, vote: Sequence[ContextSpan]) -> tuple[str, str]:
    """Return the few words that the rules find to the left and right of a slot, or none.

    An announcement may end in a list of answers to choose from, which is not of the context.
    """
    start, end = slot
    found = vote[0] if len(vote) == 1 and vote[0].rule not in BY_LAYOUT else None
    if found is None or not found.start <= start <= end <= found.end:
        return "", ""
    pieces = row[found.start : start], row[end : found.end]
    if found.rule == "lead" and any(map(_OTHER_WORDS.search, pieces)):
        return "", ""
    asks_more = any(count_words(piece) >= 5 or belongs_to_request(piece) for piece in pieces)
    return ("", "") if asks_more else pieces
