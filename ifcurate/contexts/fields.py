"""Records: slots that are the fields of one table row, such as "name[...], food[...]"."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from itertools import groupby
from statistics import median

from .forms import number_before, shared_words
from .lines import is_request
from .words import classify_label, count_words

_LONGEST = 6  # words of a field, the median
# Between two fields: marks or a line break, and mostly the name of the second field.
_BETWEEN = re.compile(
    r"[^\w?？]*[^\w\s.?？\n][^\w?？]*[\w ]{0,30}[^\w?？]*|\W*\n\W*[\w ]{1,30}[:=|][^\w?？]*"
)
# The name of the first field, at the end of the fixed part before it.
_NAME = re.compile(r"(?:(?<=\n)[^\W\d_][\w ]{0,30}|[^\W\d_][\w-]{0,20})[ \t]*[:=\[(]\s?[\"'“]?\Z")
# A further field inside a slot, and a name at its start: a record's first name is a fixed part.
_NEXT = re.compile(r"[,;|\n][ \t]*[^\W\d_][\w ]{0,30}(?::[ \t]|=|\[)")
_FIRST = re.compile(r"\s*[^\W\d_][\w ]{0,30}(?::[ \t]|=|\[)")


def merge_fields(
    parts: tuple[str, ...], columns: Sequence[Sequence[str]], responses: Sequence[str]
) -> tuple[str, ...]:
    """Return the parts without those inside a record, and without the name of its first field.

    A record has three or more short fields, and the responses repeat its words. `columns` has
    the values of each slot.
    """
    first, last = _find_record(parts, columns, responses)
    merged = [*parts[: first + 1], *parts[last + 1 :]]
    for k, values in enumerate((*columns[: first + 1], *columns[last + 1 :])):
        signs = {part.rstrip()[-1:] for part in parts[first + 1 : last + 1]}
        if k != first or first == last:
            signs = set(":=[") if _has_fields(values) else set()
        before = _without_name(merged[k], signs)
        if before != merged[k] and k == first < last:
            merged[k + 1] = merged[k + 1].lstrip("])\"'”")
        merged[k] = before
    return tuple(merged)


def _find_record(
    parts: tuple[str, ...], columns: Sequence[Sequence[str]], responses: Sequence[str]
) -> tuple[int, int]:
    """Return the first and the last slot of a record; (0, 0) if there is none."""
    joined = list(map(_joins, parts[1:-1]))
    for together, run in groupby(range(len(joined)), key=joined.__getitem__):
        inner = list(run)
        first, last = inner[0], inner[-1] + 1
        if together and len(inner) > 1 and _is_repeated(columns[first : last + 1], responses):
            return first, last
    return 0, 0


def _joins(part: str) -> bool:
    """Return whether a fixed part may be between two fields."""
    name = part.strip(" \t\n,;:|[](){}=\"'.-")
    if len(part) > 60 or number_before(part) is not None or _is_known(name):
        return False
    return _BETWEEN.fullmatch(part) is not None


def _is_repeated(columns: Sequence[Sequence[str]], responses: Sequence[str]) -> bool:
    """Return whether fields are short, and the responses repeat their words."""
    if any(median(map(count_words, values)) > _LONGEST for values in columns):
        return False
    if any(sum(map(operator.eq, values, responses)) >= 0.1 * len(values) for values in columns):
        return False  # the prompt offers it as an answer
    texts = map(" ".join, zip(*columns, strict=True))
    return median(map(shared_words, texts, responses)) >= 0.5


def _has_fields(values: Sequence[str]) -> bool:
    """Return whether most values have the name of a further field inside."""
    n = sum(bool(_NEXT.search(value) and not _FIRST.match(value)) for value in values)
    return n >= 0.8 * len(values)


def _without_name(part: str, signs: set[str]) -> str:
    """Return a fixed part without the name of a field at its end, which ends in one of `signs`."""
    match = _NAME.search(part) if part.rstrip()[-1:] in signs else None
    name = match[0].strip(" \t\n:=[(\"'“") if match else ""
    return part[: match.start()] if match and not _is_known(name) else part


def _is_known(name: str) -> bool:
    """Return whether a name is a label or a request; one word, such as "name", is not."""
    return classify_label(name)[0] != "" or (" " in name and is_request(name))
