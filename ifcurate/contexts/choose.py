"""Choose the slots of a template that are context."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from .asking import asks, lacks_question
from .fields import merge_fields
from .forms import shared_words
from .learned_template import Asks, LearnedTemplate, are_distinct, match_template, without_request
from .lines import belongs_to_request, reference_direction
from .slots import (
    Evidence,
    Fit,
    Slot,
    are_of_a_text,
    describe_slots,
    find_offered,
    holds_templates,
    is_labelled_inside,
    label_kind,
)
from .spans import OPENING_MARKS, ContextSpan, Span, cut_out
from .votes import BY_LAYOUT, find_beside, find_covered
from .words import count_words


def choose_contexts(
    parts: tuple[str, ...],
    rows: Sequence[str],
    n_rows: int,
    evidence: Evidence,
    expected: tuple[int, ...] = (),
) -> LearnedTemplate | None:
    """Return the template with its context slots; without any when its rows have no context.

    The result is None when the slots do not decide; the rules then read each row. Slots that
    are `expected` to be context may hold the words of the parts beside them.
    """
    fit = _fit(rows, parts, evidence, expected)
    if are_of_a_text(parts) and not _is_unfinished(parts[-1].strip()):
        return None
    if len(fit.rows) < 0.9 * len(rows) or not fit.rows:
        return None
    n_before, fit = len(fit.rows), _merge_slots(fit, evidence)
    if len(fit.rows) != n_before:
        return None
    slots = describe_slots(fit)
    chosen, asked = _choose(fit, slots)
    if not chosen:
        return _without_context(fit, slots, n_rows)
    numbers = tuple(sorted(slot.number for slot in chosen))
    if len(numbers) == 1 and (wider := _widen(fit, numbers[0])) != fit.parts:
        return choose_contexts(wider, fit.rows, n_rows, evidence, numbers)
    fit = _without_requests(fit, numbers, asked)
    if any(holds_templates(fit, slots[k]) or _is_torn(fit, slots, k) for k in numbers):
        return None
    if not _still_asks(fit, slots, numbers):
        return None
    agreement = sum(slot.votes for slot in chosen) / len(chosen)
    confidence = round(0.85 + 0.09 * agreement, 3)
    return LearnedTemplate(fit.parts, numbers, n_rows, round(agreement, 3), confidence, asked)


def _merge_slots(fit: Fit, evidence: Evidence) -> Fit:
    """Return the rows that fit the parts without those inside a context or a record."""
    for merge in (_merge_covered, _merge_fields):
        merged = merge(fit)
        if merged != fit.parts:
            fit = _fit(fit.rows, merged, evidence)
    return fit


def _without_context(fit: Fit, slots: list[Slot], n_rows: int) -> LearnedTemplate | None:
    """Return the template as one without a context, unless the rules find one in some rows.

    A passage that many rows share looks like a fixed part, but the rules can find it. What they
    find among the answers to choose from is not a context.
    """
    first = next((slot.number for slot in slots if slot.is_answer), None)
    found = sum(
        any(first is None or count_words(row[f.start : spans[first][0]]) >= 5 for f in vote)
        for row, spans, vote in zip(fit.rows, fit.spans, fit.votes, strict=True)
    )
    share = found / len(fit.votes)
    template = LearnedTemplate(fit.parts, (), n_rows, round(1 - share, 3), 0.9)
    return template if share < 0.2 and are_distinct(fit.parts) else None


def _fit(
    rows: Sequence[str],
    parts: tuple[str, ...],
    evidence: Evidence,
    contexts: tuple[int, ...] = (),
) -> Fit:
    """Return the rows that fit the parts, with what is known of each."""
    blank = LearnedTemplate(parts, contexts, 0, 0.0, 0.0)
    places = {row: spans for row in rows if (spans := match_template(row, blank)) is not None}
    votes = [evidence.find(row) for row in places]
    responses = [evidence.responses.get(row, "") for row in places]
    return Fit(parts, list(places), list(places.values()), votes, responses)


def _without_requests(fit: Fit, numbers: Sequence[int], asks: Asks) -> Fit:
    """Return the same rows with the requests left out of these slots."""
    spans = [
        [without_request(row, s, asks) if k in numbers else s for k, s in enumerate(slots)]
        for row, slots in zip(fit.rows, fit.spans, strict=True)
    ]
    return replace(fit, spans=spans)


def _merge_covered(fit: Fit) -> tuple[str, ...]:
    """Return the parts without those inside a context, as texts written by a program have.

    Slots that the rules find together, in most rows in which they find one context, become
    one slot. A list of answers to choose from is no part of it.
    """
    first, last, n = find_covered(fit.spans, fit.votes)
    offered = (k for k, share in enumerate(find_offered(fit)) if k > first and share >= 0.1)
    last = min(last, next(offered, last + 1) - 1)
    inner = fit.parts[first + 1 : last + 1]
    apart = any(map(belongs_to_request, inner))
    if n < 0.5 * len(fit.rows) or apart or any(part[-1] in OPENING_MARKS for part in inner):
        return fit.parts
    return fit.parts[: first + 1] + fit.parts[last + 1 :]


def _merge_fields(fit: Fit) -> tuple[str, ...]:
    """Return the parts without those inside a record."""
    columns = [fit.values(k) for k in range(len(fit.parts) - 1)]
    return merge_fields(fit.parts, columns, fit.responses)


# The slots that are context, and the place of a request in them.
_Choice = tuple[list[Slot], Asks]


def _choose(fit: Fit, slots: list[Slot]) -> _Choice:
    """Choose the slots that are context, or the one that has the context and the request."""
    unasked = _is_without_request(slots, fit.parts)
    chosen = [] if unasked else _choose_whole(slots, fit.parts)
    choice: _Choice = (chosen, "") if chosen else _choose_with_request(slots)
    return ([], "") if any(_is_calculated(fit, slot) for slot in choice[0]) else choice


_LONGEST_PROBLEM = 80  # words
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def _is_calculated(fit: Fit, slot: Slot) -> bool:
    """Return whether a slot is a word problem: a short story from whose numbers to calculate.

    In most rows, the last number of the response is not in the story.
    """
    if slot.is_labelled or slot.pointed or slot.data >= 0.5 or slot.size > _LONGEST_PROBLEM:
        return False
    texts = zip(fit.values(slot.number), fit.responses, strict=True)
    pairs = [(_NUMBER.findall(given), _NUMBER.findall(said)) for given, said in texts]
    return sum(len(n) > 1 and not {*r[-1:]} <= {*n} for n, r in pairs) > 0.5 * len(fit.rows)


def _choose_whole(slots: list[Slot], parts: tuple[str, ...]) -> list[Slot]:
    """Choose the slots that are context by their labels, by the rules, or by their form."""
    able = _without_answers([slot for slot in slots if slot.may_be_context], slots)
    if labelled := [slot for slot in able if slot.is_labelled]:
        return labelled if all(slot.ends for slot in labelled) else []
    able = [slot for slot in able if slot.ends or _is_at_start(slot, parts)]
    return (
        _find_compared(able, parts) or _choose_by_votes(able) or _choose_by_form(able, slots, parts)
    )


def _is_at_start(slot: Slot, parts: tuple[str, ...]) -> bool:
    """Return whether a slot is a text at the start, which is no part of a request before it."""
    return slot.size >= 8 and not parts[slot.number].strip()


def _without_answers(able: list[Slot], slots: list[Slot]) -> list[Slot]:
    """Return the slots that are not answers to choose from.

    A task may leave some of its inputs as they are.
    """
    unlike = [slot for slot in able if not slot.is_answer]
    return unlike or [slot for slot in able if slot.answers < 0.5 or len(slots) == 1]


_LONG = 15  # words of a slot that is more than a part of the sentence of a request


def _choose_by_votes(able: list[Slot]) -> list[Slot]:
    """Choose the slot that the rules find most often."""
    best = max(able, key=lambda slot: (slot.votes, slot.size), default=None)
    return [best] if best is not None and best.votes >= 0.3 else []


def _choose_with_request(slots: list[Slot]) -> _Choice:
    """Choose the slot that has a text and its question, in either order."""
    longest = max(slots, key=lambda slot: slot.size)
    asked = any(slot.is_question for slot in slots if slot is not longest)
    if asked or longest.label in ("ask", "answer") or longest.size < 12:
        return [], ""
    if longest.asks_last >= 0.8:
        return [longest], "last"
    return ([longest], "first") if longest.asks_first >= 0.8 else ([], "")


def _is_without_request(slots: list[Slot], parts: tuple[str, ...]) -> bool:
    """Return whether the template has no fixed words and no slot with the question."""
    return not are_distinct(parts) and max(slot.asking for slot in slots) < 0.9


def _choose_by_form(able: list[Slot], slots: list[Slot], parts: tuple[str, ...]) -> list[Slot]:
    """Choose the slot that is data, that is longest by far, or the only one that states something.

    A slot that is empty in most rows shows that the rows are of several templates.
    """
    able = [slot for slot in able if slot.filled >= 0.5]
    if data := [slot for slot in able if slot.data >= 0.8]:
        return data[:1]
    able = [slot for slot in able if slot.apart or slot.size >= _LONG]
    stated = [slot for slot in able if slot.stating >= 0.8]
    standing_out = _choose_longest(able, slots, parts)
    if standing_out:
        return standing_out
    if len(stated) == 2 and _are_joined(stated, parts, most=0):
        return stated
    return _choose_statement(stated, slots, parts) or _choose_remaining(able, slots)


def _choose_longest(able: list[Slot], slots: list[Slot], parts: tuple[str, ...]) -> list[Slot]:
    """Choose the longest slot, if the fixed words refer to it or it is much longer."""
    longest = max(able, key=lambda slot: slot.size, default=None)
    beside = [slot for slot in slots if slot is not longest]
    return [longest] if longest is not None and _stands_out(longest, beside, parts) else []


def _choose_remaining(able: list[Slot], slots: list[Slot]) -> list[Slot]:
    """Choose the slot that remains when all others are questions or answers."""
    left = [slot for slot in slots if not (slot.is_question or slot.is_answer)]
    if len(left) != 1 or len(slots) == 1:
        return []
    return left if left[0] in able and left[0].size >= 5 else []


def _choose_statement(stated: list[Slot], slots: list[Slot], parts: tuple[str, ...]) -> list[Slot]:
    """Choose the only statement, or the only one that is not part of a request or an answer."""
    if len(stated) > 1:
        asked = _first_asked(slots, parts)
        stated = [s for s in stated if not s.inside and (asked is None or s.number < asked)]
    return stated if len(stated) == 1 else []


_NUMBERS = re.compile(r"\b(?:[A-Z]|\d|first|second|third|one|two|three)\b|[^\w\s]", re.I)
_COMPARES = re.compile(
    r"\b(?:same|paraphras\w*|equivalent|similar|compare|replace)\b|"
    r"\b(?P<weak>mean\w*|differ\w*|agree\w*|both|two|match\w*|sentences|statements)\b",
    re.I,
)


def _find_compared(able: list[Slot], parts: tuple[str, ...]) -> list[Slot]:
    """Return adjacent texts of similar length that are compared; [] if there are none.

    The request says so, or they are numbered alike or joined.
    """
    alike = [slot for slot in able if slot.apart and slot.size >= 4]
    if not _are_alike(alike):
        return []
    said = list(_COMPARES.finditer("\n".join(parts)))
    if any(not match["weak"] for match in said) and all(slot.pointed for slot in alike[1:]):
        return alike
    is_marked = re.search(r"\w", parts[alike[0].number + 1]) or said
    return alike if is_marked and _are_joined(alike, parts) else []


def _are_alike(slots: list[Slot]) -> bool:
    """Return whether slots are adjacent, at least two, and of similar length."""
    sizes = [slot.size for slot in slots]
    if len(slots) < 2 or max(sizes) >= 2 * min(sizes):
        return False
    return slots[-1].number - slots[0].number == len(slots) - 1


def _are_joined(slots: list[Slot], parts: tuple[str, ...], most: int = 1) -> bool:
    """Return whether slots have the same label with other numbers, or `most` words between them."""
    inner = parts[slots[0].number : slots[-1].number + 1]
    label, *between = (_NUMBERS.sub(" ", part).split() for part in inner)
    return all(words == label[-1:] or len(words) <= most for words in between)


def _first_asked(slots: list[Slot], parts: tuple[str, ...]) -> int | None:
    """Return the first slot that is a question or follows one.

    Statements from there on are answers, or are what the request is about.
    """
    asked = (s.number for s in slots if s.is_question or (s.number and asks(parts[s.number])))
    return next(asked, None)


def _stands_out(longest: Slot, beside: list[Slot], parts: tuple[str, ...]) -> bool:
    """Return whether the fixed words refer to the longest slot, or it is much longer than others.

    A question may be as long as its context.
    """
    others = max((slot.size for slot in beside if not slot.is_question), default=0)
    pointed = any(map(reference_direction, "\n".join(parts).splitlines()))
    if longest.size >= 4 and (longest.pointed or (pointed and longest.size >= others)):
        return True
    least = 8 if len(parts) == 2 else 12
    return longest.size >= max(least, 1.5 * others)


def _still_asks(fit: Fit, slots: list[Slot], numbers: Sequence[int]) -> bool:
    """Return whether what remains of the rows asks for something."""
    rests = [
        cut_out(row, (slots[k] for k in numbers))
        for row, slots in zip(fit.rows, fit.spans, strict=True)
    ]
    asking = sum(map(asks, rests)) >= 0.8 * len(rests)
    if not (asking or _is_unfinished(fit.parts[-1].strip()) or _is_task(fit, slots, numbers)):
        return False
    # Where most rows lack their question, the slot has it.
    return sum(map(lacks_question, rests)) <= 0.5 * len(rests)


def _widen(fit: Fit, number: int) -> tuple[str, ...]:
    """Return the parts without the words beside a slot that the rules find with it in most rows.

    All rows have them, but they are of the context: "CREATE TABLE " and ");".
    """
    before, after = fit.parts[number], fit.parts[number + 1]
    spans = (slots[number] for slots in fit.spans)
    pieces = Counter(map(find_beside, fit.rows, spans, fit.votes))
    (left, right), n = pieces.most_common(1)[0]
    if n < 0.5 * len(fit.rows) or not (before.endswith(left) and after.startswith(right)):
        return fit.parts
    parts = [*fit.parts]
    parts[number : number + 2] = before.removesuffix(left), after.removeprefix(right)
    return tuple(parts) if all(parts[1:-1]) else fit.parts


def _is_torn(fit: Fit, slots: list[Slot], number: int) -> bool:
    """Return whether the rules find another extent of the context in half of the rows.

    The slot then has a label inside, or the rows share words of their contexts by chance: fixed
    words beside the slot that neither ask nor refer.
    """
    offered = {slot.number for slot in slots if slot.is_answer}
    left, right = number - 1 not in offered, number + 1 not in offered
    rows = zip(fit.rows, fit.spans, fit.votes, strict=True)
    torn = sum(_differs(row, spans[number], vote, left, right) for row, spans, vote in rows)
    return torn >= 0.5 * len(fit.rows)


def _differs(row: str, slot: Span, vote: Sequence[ContextSpan], left: bool, right: bool) -> bool:
    """Return whether the rules find words to the `left` or the `right` of a slot, or a label."""
    start, end = slot
    inside = [found for found in vote if found.start < end and start < found.end]
    if inside and is_labelled_inside(row, slot, inside):
        return True
    named = [found for found in inside if found.rule not in BY_LAYOUT]
    pieces = [row[found.start : start] for found in named] if left else []
    pieces += [row[end : found.end] for found in named] if right else []
    return any(count_words(piece) >= 5 and not belongs_to_request(piece) for piece in pieces)


def _is_task(fit: Fit, slots: list[Slot], numbers: Sequence[int]) -> bool:
    """Return whether the fixed words are a task in unknown words, and the slots are its input.

    No input asks for anything. The responses are in other slots, are of few short kinds, or
    share their words with the inputs.
    """
    inputs = [slots[number] for number in numbers]
    if any(slot.asking + slot.asks_first + slot.asks_last > 0.2 for slot in inputs):
        return False
    if not all(fit.responses):
        return False
    if sum(slot.answers for slot in slots if slot not in inputs) >= 0.5:
        return True
    if not "".join(fit.parts).strip():
        return False
    kinds = {response.strip().lower() for response in fit.responses}
    if len(kinds) <= 0.3 * len(fit.responses) and max(map(count_words, kinds)) <= 5:
        return True
    texts = map(" ".join, zip(*map(fit.values, numbers), strict=True))
    return median(map(shared_words, texts, fit.responses)) >= 0.5


def _is_unfinished(tail: str) -> bool:
    """Return whether the end of a template is to be completed: "The sentiment is"."""
    if tail.endswith((":", "：")) and len(tail) > 1:
        return label_kind(tail, tail.rsplit("\n", 1)[-1]) != "answer"
    return count_words(tail) >= 2 and not tail.endswith((".", "!", "…", "。", "।", '"'))
