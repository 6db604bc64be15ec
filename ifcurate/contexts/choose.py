"""Which slots of a template are context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from .asking import asks, lacks_question
from .found import Found
from .lines import is_request, points
from .shapes import Shape, match_shape
from .slots import Fitting, Slot, describe_slots, label_kind
from .words import count_words

__all__ = ["Finder", "choose_contexts", "shared_start"]


Finder = Callable[[str], Sequence[Found]]


def choose_contexts(
    parts: tuple[str, ...], rows: Sequence[str], n_rows: int, find: Finder
) -> Shape | None:
    """The template with its context slots; without any when its rows have no context.

    `find` returns what the rules find in one row. The result is None when the slots do
    not tell: then the rules read each row.
    """
    fitting = _fit(rows, parts)
    if len(fitting) < 0.9 * len(rows) or not fitting:
        return None
    votes = [find(row) for row, _ in fitting]
    merged = _merge_covered(parts, fitting, votes)
    if merged != parts:
        parts, fitting = merged, _fit([row for row, _ in fitting], merged)
        if len(fitting) != len(votes):
            return None
    slots = describe_slots(parts, fitting, votes)
    chosen = _choose(slots, parts)
    if not chosen:
        return _without_context(parts, votes, n_rows)
    if any(_holds_template(_values_of(slot, fitting)) for slot in chosen):
        return None
    return _checked(parts, chosen, fitting, n_rows)


def _values_of(slot: Slot, fitting: Fitting) -> list[str]:
    return [row[slice(*spans[slot.number])] for row, spans in fitting]


def _without_context(
    parts: tuple[str, ...], votes: Sequence[Sequence[Found]], n_rows: int
) -> Shape | None:
    """The template as one without a context, unless the rules find one in some rows.

    A passage that many rows share looks like a fixed part; the rules find it all the same.
    """
    found = sum(map(bool, votes)) / len(votes)
    return Shape(parts, (), n_rows, round(1 - found, 3), 0.9) if found < 0.2 else None


def _fit(rows: Sequence[str], parts: tuple[str, ...]) -> list[tuple[str, list[tuple[int, int]]]]:
    """The rows that fit the parts, with their slots."""
    blank = Shape(parts, (), 0, 0.0, 0.0)
    spans = [match_shape(row, blank) for row in rows]
    return [(row, found) for row, found in zip(rows, spans, strict=True) if found is not None]


def _merge_covered(
    parts: tuple[str, ...], fitting: Fitting, votes: Sequence[Sequence[Found]]
) -> tuple[str, ...]:
    """The parts without those inside a context: texts made by a program are templates too.

    Slots that the rules take together, in most rows in which they find one stretch, become
    one slot.
    """
    ranges: Counter[tuple[int, int]] = Counter()
    for (_, spans), found in zip(fitting, votes, strict=True):
        if len(found) == 1:
            inside = [
                k
                for k, (start, end) in enumerate(spans)
                if found[0].start < end and start < found[0].end
            ]
            if inside:
                ranges[inside[0], inside[-1]] += 1
    if not ranges:
        return parts
    (first, last), n = max(ranges.items(), key=lambda item: (item[1], item[0]))
    inner = parts[first + 1 : last + 1]
    if n < 0.5 * len(fitting) or any(map(_belongs_to_request, inner)):
        return parts
    return parts[: first + 1] + parts[last + 1 :]


def _belongs_to_request(part: str) -> bool:
    """Whether a fixed part announces, points or asks, so that it is not inside a context."""
    lines = [line.strip() for line in part.splitlines() if line.strip()]
    return any(line.endswith((":", "：")) and (points(line) or is_request(line)) for line in lines)


def _choose(slots: list[Slot], parts: tuple[str, ...]) -> list[Slot]:
    """The slots that are context, by their labels, by the rules, or by their form."""
    if _is_without_request(slots, parts):
        return []
    able = [slot for slot in slots if slot.may_be]
    if labelled := [slot for slot in able if slot.is_labelled]:
        return labelled if all(slot.ends for slot in labelled) else []
    able = [slot for slot in able if slot.ends]
    best = max(able, key=lambda slot: (slot.votes, slot.size), default=None)
    if best is not None and best.votes >= 0.3:
        return [best]
    return _choose_by_form([slot for slot in able if slot.apart], slots, parts)


def _is_without_request(slots: list[Slot], parts: tuple[str, ...]) -> bool:
    """Whether the template is nothing but slots, and none of them is the question."""
    return not any(map(str.strip, parts)) and max(slot.asking for slot in slots) < 0.9


def _choose_by_form(able: list[Slot], slots: list[Slot], parts: tuple[str, ...]) -> list[Slot]:
    """The slot that is longest by far, or the only one that states something."""
    longest = max(able, key=lambda slot: slot.size, default=None)
    if longest is None:
        return []
    others = max((slot.size for slot in slots if slot is not longest), default=0)
    if _stands_out(longest, others, parts):
        return [longest]
    stated = [slot for slot in able if slot.stating >= 0.8]
    if len(stated) > 1:  # statements behind the question are answers
        stated = [slot for slot in stated if slot.number < _first_asked(slots)]
    return stated if len(stated) == 1 else []


def _first_asked(slots: list[Slot]) -> int:
    """The number of the first slot that is the question; 0 when none is."""
    return next((slot.number for slot in slots if slot.asking >= 0.8), 0)


def _stands_out(longest: Slot, others: float, parts: tuple[str, ...]) -> bool:
    """Whether the fixed words point to the longest slot, or it is much longer than the others."""
    if longest.size >= 4 and longest.pointed:
        return True
    if longest.size >= max(4, others) and any(
        points(line) for line in "\n".join(parts).splitlines()
    ):
        return True
    least = 8 if len(parts) == 2 else 12
    return longest.size >= least and longest.size >= 1.5 * others


def _holds_template(values: Sequence[str]) -> bool:
    """Whether several values begin with the same announcement: then the rows are of two templates.

    "Write a question about the" begins both "... about the following plot: ..." and "... about
    the topic ...", and a slot after it would hold a part of the request.
    """
    starts = Counter(tuple(value.split(None, 1)[:1]) for value in values)
    start, n = max(starts.items(), key=lambda item: item[1])
    if n < max(3, 0.2 * len(values)):
        return False
    alike = [value.lstrip() for value in values if tuple(value.split(None, 1)[:1]) == start]
    shared = shared_start(alike)[:200]
    line = shared.splitlines()[0] if shared.strip() else ""
    head = line[: max(line.rfind(":"), line.rfind("：")) + 1]
    return bool(head) and (is_request(head) or bool(points(head)) or bool(label_kind(head, head)))


def shared_start(texts: Sequence[str]) -> str:
    """The characters with which all texts begin."""
    low, high = min(texts), max(texts)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:n]


def _checked(
    parts: tuple[str, ...], chosen: list[Slot], fitting: Fitting, n_rows: int
) -> Shape | None:
    """The template, if what remains of its rows asks for something."""
    numbers = tuple(sorted(slot.number for slot in chosen))
    rests = [_rest_of(row, spans, numbers) for row, spans in fitting]
    if sum(map(asks, rests)) < 0.8 * len(rests) and not _is_unfinished(parts[-1].strip()):
        return None
    if sum(map(lacks_question, rests)) > 0.5 * len(rests):
        return None  # the question is in the slot
    agreement = sum(slot.votes for slot in chosen) / len(chosen)
    confidence = 0.85 + 0.12 * agreement
    return Shape(parts, numbers, n_rows, round(agreement, 3), round(confidence, 3))


def _rest_of(row: str, spans: Sequence[tuple[int, int]], numbers: Sequence[int]) -> str:
    """A row without these slots."""
    kept, at = [], 0
    for start, end in (spans[k] for k in numbers):
        kept.append(row[at:start])
        at = end
    return "".join([*kept, row[at:]])


def _is_unfinished(tail: str) -> bool:
    """Whether the end of a template asks to be finished: "The sentiment is"."""
    return count_words(tail) >= 2 and not tail.endswith((".", "!", "…", "。", "।", '"'))
