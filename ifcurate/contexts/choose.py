"""Which slots of a template are context."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from . import patterns
from .asking import asks, lacks_question, last_request_start
from .found import Found
from .lines import (
    first_request_end,
    is_choices,
    is_instruction,
    is_question,
    is_request,
    points,
)
from .shapes import Shape, label_before, match_shape
from .words import NOT_ASKED, POINTS_BACK, POINTS_ON, WEAK_NOUN, classify_label, count_words

__all__ = ["Finder", "choose_contexts", "shared_start"]


@dataclass(frozen=True, slots=True)
class _Slot:
    """What is known of one slot from the rows."""

    number: int
    size: float  # words, the median
    asking: float  # share of its values that are questions or requests
    asks_first: float  # share that begins with a request and goes on
    asks_last: float  # share that ends in a request after other sentences
    choices: float  # share that is a list of options
    stating: float  # share that is one statement or more
    votes: float  # share of rows in which the rules find it
    label: str  # kind of the label before it
    pointed: bool  # the fixed words before it name a text
    apart: bool  # it does not continue the sentence of the fixed words before it
    ends: bool  # the fixed words after it do not continue its sentence

    @property
    def may_be(self) -> bool:
        """Whether it can be context at all."""
        if self.label in ("ask", "answer"):
            return False
        return max(self.asking, self.choices, self.asks_last, self.asks_first) < 0.5


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
    slots = [_describe(k, parts, fitting, votes) for k in range(len(parts) - 1)]
    chosen = _choose(slots, parts)
    if chosen:
        values = [[row[slice(*spans[s.number])] for row, spans in fitting] for s in chosen]
        if any(map(_holds_template, values)):
            return None
        return _checked(parts, chosen, slots, fitting, n_rows)
    found = sum(bool(v) for v in votes) / len(votes)
    # A passage that many rows share looks like a fixed part; the rules find it all the same.
    if found < 0.2:
        return Shape(parts, (), n_rows, round(1 - found, 3), 0.9)
    return None


_Fitting = Sequence[tuple[str, list[tuple[int, int]]]]


def _fit(rows: Sequence[str], parts: tuple[str, ...]) -> list[tuple[str, list[tuple[int, int]]]]:
    """The rows that fit the parts, with their slots."""
    blank = Shape(parts, (), 0, 0.0, 0.0)
    spans = [match_shape(row, blank) for row in rows]
    return [(row, found) for row, found in zip(rows, spans, strict=True) if found is not None]


def _merge_covered(
    parts: tuple[str, ...], fitting: _Fitting, votes: Sequence[Sequence[Found]]
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


def _describe(
    k: int,
    parts: tuple[str, ...],
    fitting: Sequence[tuple[str, list[tuple[int, int]]]],
    votes: Sequence[Sequence[Found]],
) -> _Slot:
    values = [row[slice(*spans[k])].strip() + _end_mark(parts[k + 1]) for row, spans in fitting]
    filled = [value for value in values if value] or [""]
    n = len(filled)
    voted = sum(
        _overlap(found, spans[k]) >= 0.5 for (_, spans), found in zip(fitting, votes, strict=True)
    )
    before = parts[k].rstrip(" \t\n\"“«„'‘`「『-*•")
    line = before.rsplit("\n", 1)[-1]
    return _Slot(
        k,
        median(count_words(value) for value in filled),
        sum(map(_is_asked, filled)) / n,
        sum(0 < first_request_end(v, 0, len(v)) < len(v) for v in filled) / n,
        sum(_asks_last(v) for v in filled) / n,
        sum(is_choices(v) or is_choices("- " + v) for v in filled) / n,
        sum(_states(v, line=parts[k + 1].startswith("\n")) for v in filled) / n,
        voted / len(fitting),
        _label_kind(parts[k], line),
        any(p.search(line[-200:]) for p in (POINTS_ON, POINTS_BACK, WEAK_NOUN)),
        not parts[k].strip()
        or parts[k].endswith("\n")
        or not parts[k].rstrip()[-1].isalnum()
        or sum(v[:1].isupper() and _states(v) for v in filled) >= 0.8 * n,
        not parts[k + 1].lstrip(" ")[:1].islower() or 2 * sum(map(_is_ended, filled)) >= n,
    )


_END_MARK = re.compile(r"[ \t]?[?？؟.!。！।]")


def _end_mark(part: str) -> str:
    """The mark with which a fixed part ends the sentence of the slot before it."""
    match = _END_MARK.match(part)
    return match[0].strip() if match else ""


def _is_asked(value: str) -> bool:
    """Whether a text is a question, or stands under the label of one."""
    if is_question(value) or (len(value) < 400 and value.endswith("?")):
        return True
    label = patterns.LABEL_LINE.match(value)
    kind, noun = classify_label(label["name"].strip()) if label else ("", "")
    return kind == "ask" and noun not in NOT_ASKED


def _states(value: str, *, line: bool = False) -> bool:
    """Whether a text is a statement: a sentence that neither asks nor instructs.

    With `line` the text ends its line, so that a sentence needs no mark at its end.
    """
    whole = _is_ended(value) or (line and value[:1].isupper() and count_words(value) >= 5)
    return whole and count_words(value) >= 4 and not is_request(value)


def _is_ended(value: str) -> bool:
    """Whether the last sentence of a text is complete."""
    return value.rstrip("\"'”’»」) ").endswith((".", "!", "?", "…", "。", "！", "？", "।"))


def _label_kind(part: str, line: str) -> str:
    """The kind of the label at the end of a fixed part, whose last line is `line`."""
    if label_before(part, 0, len(part)) is not None:
        return "context"
    if is_instruction(line.rstrip(":： ")):
        return ""  # "Answer the question given this paragraph:"
    label = patterns.LABEL_LINE.fullmatch(line) or patterns.HEADING_LINE.fullmatch(line)
    name = label["name"].strip() if label else line.strip("*# ")
    kind, noun = classify_label(name)
    return "" if noun in NOT_ASKED else kind


def _asks_last(value: str) -> bool:
    start = last_request_start(value, 0, len(value))
    return 0 < start < len(value) and value[start:].rstrip().endswith(("?", "？", "؟"))


def _overlap(found: Sequence[Found], span: tuple[int, int]) -> float:
    """Shared characters by all characters of either."""
    start, end = span
    shared = sum(max(0, min(f.end, end) - max(f.start, start)) for f in found)
    either = sum(f.end - f.start for f in found) + (end - start) - shared
    return shared / either if either else 0.0


def _choose(slots: list[_Slot], parts: tuple[str, ...]) -> list[_Slot]:
    """The slots that are context, by their labels, the rules, or their length."""
    able = [slot for slot in slots if slot.may_be]
    if not any(part.strip() for part in parts) and max(slot.asking for slot in slots) < 0.9:
        return []  # nothing but slots, and none of them is the question
    labelled = [slot for slot in able if slot.label in ("context", "phrase") and slot.size >= 2]
    if labelled:
        return labelled if all(slot.ends for slot in labelled) else []
    able = [slot for slot in able if slot.ends]
    voted = [slot for slot in able if slot.votes >= 0.3]
    if voted:
        return [max(voted, key=lambda slot: (slot.votes, slot.size))]
    able = [slot for slot in able if slot.apart]
    longest = max(able, key=lambda slot: slot.size, default=None)
    if longest is None:
        return []
    others = max((slot.size for slot in slots if slot is not longest), default=0)
    if _stands_out(longest, others, parts):
        return [longest]
    stated = [slot for slot in able if slot.stating >= 0.8]
    asked = next((slot.number for slot in slots if slot.asking >= 0.8), 0)
    if len(stated) > 1:  # statements behind the question are answers
        stated = [slot for slot in stated if slot.number < asked]
    return stated if len(stated) == 1 else []


def _stands_out(longest: _Slot, others: float, parts: tuple[str, ...]) -> bool:
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
    return bool(head) and (is_request(head) or bool(points(head)) or bool(_label_kind(head, head)))


def shared_start(texts: Sequence[str]) -> str:
    """The characters with which all texts begin."""
    low, high = min(texts), max(texts)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:n]


def _checked(
    parts: tuple[str, ...],
    chosen: list[_Slot],
    slots: list[_Slot],
    fitting: Sequence[tuple[str, list[tuple[int, int]]]],
    n_rows: int,
) -> Shape | None:
    """The template, if what remains of its rows asks for something."""
    numbers = {slot.number for slot in chosen}
    asking = lacking = 0
    for row, spans in fitting:
        kept, at = [], 0
        for k, (start, end) in enumerate(spans):
            if k in numbers:
                kept.append(row[at:start])
                at = end
        rest = "".join([*kept, row[at:]])
        asking += asks(rest)
        lacking += lacks_question(rest)
    # An unfinished sentence at the end asks to be finished: "The sentiment is".
    tail = parts[-1].strip()
    to_finish = count_words(tail) >= 2 and not tail.endswith((".", "!", "…", "。", "।", '"'))
    if asking < 0.8 * len(fitting) and not to_finish:
        return None
    if lacking > 0.5 * len(fitting):
        return None  # the question is in the slot
    agreement = sum(slot.votes for slot in chosen) / len(chosen)
    confidence = 0.85 + 0.12 * agreement
    return Shape(parts, tuple(sorted(numbers)), n_rows, round(agreement, 3), round(confidence, 3))
