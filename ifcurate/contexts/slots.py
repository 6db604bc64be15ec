"""The properties of each slot of a template, over its rows."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from . import patterns
from .forms import is_choices, number_before, shared_start
from .lines import (
    belongs_to_request,
    first_request_end,
    is_complete_question,
    is_ended,
    is_instruction,
    is_only_asking,
    is_question,
    is_request,
    is_statement,
    label_before,
    last_request_start,
    reference_direction,
    sentences,
)
from .spans import ContextSpan, Span
from .words import NOT_ASKED, POINTS_BACK, POINTS_ON, WEAK_NOUN, classify_label, count_words

Finder = Callable[[str], Sequence[ContextSpan]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The known properties of rows besides their text."""

    find: Finder  # what the rules find in a row
    responses: Mapping[str, str]  # responses by row; may be empty


@dataclass(frozen=True, slots=True)
class Fit:
    """The rows that fit the fixed parts of a template; each list has one item per row."""

    parts: tuple[str, ...]
    rows: Sequence[str]
    spans: Sequence[Sequence[Span]]  # the places of the slots
    votes: Sequence[Sequence[ContextSpan]]  # what the rules find
    responses: Sequence[str]  # "" where it is not known

    def values(self, slot: int) -> list[str]:
        """Return the texts of one slot."""
        return [row[slice(*spans[slot])] for row, spans in zip(self.rows, self.spans, strict=True)]


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a template; shares are of its values that are not empty."""

    number: int
    size: float  # words, the median
    filled: float  # share of rows that have a value
    asking: float  # share that are questions or requests
    asks_first: float  # share that begin with a request, followed by other sentences
    asks_last: float  # share that end in a question after other sentences
    choices: float  # share that are lists of options
    stating: float  # share that are one or more statements
    data: float  # share that are fields of a record or rows of a table
    votes: float  # share of rows in which the rules find it
    answers: float  # share of rows in which it is the response
    label: str  # kind of the label before it
    pointed: bool  # the fixed words before it refer to a text
    inside: bool  # it is part of the sentence of a request
    apart: bool  # it does not continue the sentence of the fixed words before it
    ends: bool  # the fixed words after it do not continue its sentence

    @property
    def is_question(self) -> bool:
        """Whether nearly all values ask."""
        return self.asking >= 0.8

    @property
    def is_answer(self) -> bool:
        """Whether it is an answer that the prompt offers: the response of some rows."""
        return self.answers >= 0.1

    @property
    def is_labelled(self) -> bool:
        """Whether a label before it says that it is context."""
        return self.label in ("context", "phrase") and self.size >= 2

    @property
    def may_be_context(self) -> bool:
        """Whether it can be context at all."""
        if self.label in ("ask", "answer"):
            return False
        if self.pointed and self.data >= 0.8:
            return True
        # A text, such as a dialogue, may begin or end in a question.
        asks = max(self.asks_last, self.asks_first)
        return max(self.asking, self.choices) < 0.5 and asks < 0.8


def describe_slots(fit: Fit) -> list[Slot]:
    """Describe each slot of a template."""
    offered = find_offered(fit)
    return [_describe(fit, k, offered[k]) for k in range(len(fit.parts) - 1)]


def find_offered(fit: Fit) -> list[float]:
    """Return the share of rows in which each slot is an answer that the prompt offers.

    Such an answer is the response, or its number is. In a list of answers each has the share of
    all.
    """
    said = [_flatten(response) for response in fit.responses]
    shares = [_share_of_same(fit.values(k), said) for k in range(len(fit.parts) - 1)]
    numbers = [number_before(part) for part in fit.parts[:-1]]
    for series in _find_series(numbers):
        names = {numbers[k] for k in series} - {""}
        is_named = sum(response in names for response in said) >= 0.9 * len(said)
        is_rest = numbers[series[0]] in ("b", "c", "d", "2", "3", "4")  # of a list in another slot
        share = 1.0 if is_named or is_rest else min(1.0, sum(shares[k] for k in series))
        for k in series:
            shares[k] = share
    return shares


def _share_of_same(values: Sequence[str], said: Sequence[str]) -> float:
    """Return the share of values that are the response, or a list that has it."""
    pairs = list(zip(map(_flatten, values), said, strict=True))
    same = sum(value == response != "" for value, response in pairs) / len(said)
    lists = (_ITEM_END.split(value[:_LOOKED_AT]) for value, _ in pairs)
    in_lists = (r != "" and r in items for r, items in zip(said, lists, strict=True))
    listed = sum(in_lists) / len(said)
    return listed if listed >= 0.8 else same


# Between the items of a list of answers.
_ITEM_END = re.compile(r"(?:\s+[-*•]|[,;\n][ \t]*[-*•]?|\s+or\b|,\s*or\b)\s*")


def _flatten(text: str) -> str:
    return text.strip(_EDGES).lower()


def _find_series(numbers: Sequence[str | None]) -> list[list[int]]:
    """Return the runs of two and more slots that have a number or a bullet before them."""
    runs = itertools.groupby(range(len(numbers)), key=lambda k: numbers[k] is not None)
    series = [list(run) for numbered, run in runs if numbered]
    return [run for run in series if len(run) > 1]


def _describe(fit: Fit, k: int, answers: float) -> Slot:
    before, after = fit.parts[k], fit.parts[k + 1]
    values = [value.strip() + _end_mark(after) for value in fit.values(k)]
    filled = [value for value in values if value] or [""]

    def share(holds: Callable[[str], bool]) -> float:
        return sum(map(holds, filled)) / len(filled)

    line = before.rstrip(" \t\n\"“«»„'‘`「『-*•").rsplit("\n", 1)[-1]
    label = _SENTENCE_END.split(line)[-1]
    return Slot(
        number=k,
        size=median(map(count_words, filled)),
        filled=sum(map(bool, values)) / len(values),
        asking=share(_is_request_value),
        asks_first=share(_asks_first),
        asks_last=share(_asks_last),
        choices=0.0 if _are_steps(values, fit.responses) else share(_is_list),
        stating=share(lambda value: is_statement(value, line=after.startswith("\n"))),
        data=share(_is_data),
        votes=_share_of_votes(fit, k),
        answers=answers,
        label=label_kind(before, label),
        pointed=any(p.search(line[-200:]) for p in (POINTS_ON, POINTS_BACK, WEAK_NOUN)),
        inside=_ASKED.match(after) is not None,
        apart=_stands_apart(before) or share(_begins_sentence) >= 0.8,
        ends=_begins_anew(after) or share(is_ended) >= 0.5,
    )


_SENTENCE_END = re.compile(r"[.?!]\s+")
# The text after these labels may be what the request is about.
_TO_BE_JUDGED = frozenset(["sentence", "statement", "claim", "hypothesis"])
_LOOKED_AT = 600  # characters of a slot in which fields or items are sought
_EDGES = " \t\n.,;:!?\"'()"
_ASKED = re.compile(r"[\s.!\"'”’»)]*[?？؟]")
_FIELD = re.compile(r"(?:\A|[,;|\n)\]] ?)[^\W\d_][\w ]{0,30}(?::[ \t]|=|\[)| \| |;[ \t]")
_END_MARK = re.compile(r"[ \t]?[?？؟.!。！।]")


def _end_mark(part: str) -> str:
    """Return the mark with which a fixed part ends the sentence of the slot before it."""
    match = _END_MARK.match(part)
    return match[0].strip() if match else ""


def _stands_apart(part: str) -> bool:
    """Return whether a fixed part ends its line or sentence, so that the slot begins a new one."""
    return not part.strip() or part.endswith("\n") or not part.rstrip()[-1].isalnum()


def _is_data(value: str) -> bool:
    """Return whether a text has two or more fields."""
    return len(_FIELD.findall(value[:_LOOKED_AT])) >= 2


def _are_steps(values: Sequence[str], responses: Sequence[str]) -> bool:
    """Return whether texts are lists with bullets, and no response is an item of them."""
    pairs = list(zip(values, map(_flatten, responses), strict=True))
    return all("\n- " in v and r and r not in _ITEM_END.split(v.lower()) for v, r in pairs)


def _begins_anew(part: str) -> bool:
    """Return whether a fixed part does not continue the sentence of the slot before it.

    In lower-case texts, a request or a label begins a new sentence too.
    """
    text = part.lstrip(" ")
    if not text[:1].islower():
        return True
    line = text.splitlines()[0]
    first = line[slice(*sentences(line, 0, len(line))[0])]
    return (count_words(first) >= 3 and is_request(first)) or bool(patterns.LABEL_LINE.match(line))


def _begins_sentence(value: str) -> bool:
    return value[:1].isupper() and is_statement(value)


def _is_request_value(value: str) -> bool:
    """Return whether a text is a question or a request, or has the label of a question."""
    if (is_only_asking(value) and not _is_data(value)) or (len(value) < 400 and value[-1:] == "?"):
        return True
    label = patterns.LABEL_LINE.match(value)
    kind, noun = classify_label(label["name"].strip()) if label else ("", "")
    return kind == "ask" and noun not in NOT_ASKED


def _asks_first(value: str) -> bool:
    end = first_request_end(value, 0, len(value))
    return 0 < end < len(value) and not _are_items(value[end:])


def _asks_last(value: str) -> bool:
    start = last_request_start(value, 0, len(value))
    last = value[start:].rstrip()
    asked = last.endswith(("?", "？", "؟")) or patterns.BLANK.search(last) is not None
    return 0 < start < len(value) and asked and not _are_items(value[:start])


def _are_items(value: str) -> bool:
    """Return whether a text is a list of options, or at least two short items on one line."""
    items = [item for item in _ITEM_END.split(value[:_LOOKED_AT]) if item]
    return _is_list(value) or (len(items) > 1 and max(map(count_words, items)) <= 4)


def _is_list(value: str) -> bool:
    """Return whether a text is a list of options; its first number may be a fixed part."""
    return is_choices(value) or is_choices("- " + value)


def label_kind(part: str, line: str) -> str:
    """Return the kind of the label at the end of a fixed part, whose last line is `line`."""
    if label_before(part, 0, len(part)) is not None:
        return "context"
    if is_instruction(line.rstrip(":： ")):
        return ""  # "Answer the question given this paragraph:"
    label = patterns.LABEL_LINE.fullmatch(line) or patterns.HEADING_LINE.fullmatch(line)
    name = label["name"].strip() if label else line.strip("*# ")
    kind, noun = classify_label(name)
    return "" if noun in _TO_BE_JUDGED else kind


def _share_of_votes(fit: Fit, k: int) -> float:
    rows = zip(fit.rows, fit.spans, fit.votes, strict=True)
    agreeing = sum(
        _overlap(vote, spans[k]) >= 0.5 and not is_labelled_inside(row, spans[k], vote)
        for row, spans, vote in rows
    )
    return agreeing / len(fit.rows)


def is_labelled_inside(row: str, span: Span, vote: Sequence[ContextSpan]) -> bool:
    """Return whether a slot has the label of the context that the rules find in it.

    The words up to the label are then part of the request: "capital of Peru? Context: ...".
    """
    start = min(found.start for found in vote)
    return start > span[0] and label_before(row, span[0], start) is not None


def _overlap(vote: Sequence[ContextSpan], span: Span) -> float:
    """Return the shared characters by all characters of either."""
    start, end = span
    shared = sum(max(0, min(span.end, end) - max(span.start, start)) for span in vote)
    either = sum(span.end - span.start for span in vote) + (end - start) - shared
    return shared / either if either else 0.0


def are_of_a_text(parts: tuple[str, ...]) -> bool:
    """Return whether all fixed parts are statements: a text that several templates contain."""
    stated = any(is_statement(part.strip()) for part in parts)
    asked = any(belongs_to_request(part) or patterns.DIRECTIVE.search(part) for part in parts)
    return stated and not asked


def _holds_template(values: Sequence[str]) -> bool:
    """Return whether several values begin with one announcement: the rows are of two templates.

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
    return bool(head) and (
        (" " in head.rstrip(" :：") and is_request(head))
        or bool(reference_direction(head))
        or bool(label_kind(head, head))
    )


def holds_templates(fit: Fit, slot: Slot) -> bool:
    """Return whether the values of a slot hold parts of several templates.

    They begin with one announcement, or many end in a request, or within a sentence in the same
    two words.
    """
    if _holds_template(fit.values(slot.number)):
        return True
    after = fit.parts[slot.number + 1].strip()
    if slot.data >= 0.5 or after.startswith((".", "!", "?")):
        return False
    values = {*fit.values(slot.number)}
    ends = Counter(tuple(value.split()[-2:]) for value in values if not is_ended(value))
    alike = sum(n for n in ends.values() if n > 1)
    if is_question(after) and count_words(after) <= 5 and not is_complete_question(after):
        alike += sum(last_request_start(v, 0, len(v)) < len(v.rstrip()) for v in values)
    return alike >= 0.4 * len(values)
