"""Find the context inside a prompt whose text contains it.

A prompt is divided into units, such as labels and sentences. A model gives the probability of
every run of units to be the context, and of no context. The most probable run is used if the
prompt without it still asks for something. Positions count characters of the text. Cutting
``text[outer_start:outer_end]`` leaves the prompt without its context.

The time is linear in the length of the text. No text raises an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ifcurate.options.data import MIN_CONFIDENCE

from . import patterns
from .asking import asks
from .learned_template import LearnedTemplate, find_in_template, match_template
from .lines import ASKING, NUMBER, is_directive, read_signs
from .model import Candidates, Ranking, divide_slot, rank
from .spans import ContextSpan, make_spans
from .units import divide
from .words import Language, add_languages, is_added_label, n_words

#: The kinds that no mark shows. In a message whose request is elsewhere, they need more words.
_UNMARKED = ("paragraph", "sentence")
_LEAST_WORDS = 40
_LABEL_WORDS = 2  # a longer label of an unknown kind may be a sentence: "Two people talk:"
_TRIED = 6  # runs that are tried before there is no context
# Added to a text whose request is elsewhere, so that it is read as a prompt.
_REQUEST = "\n\nAnswer the question. What is it?"


@dataclass(frozen=True, slots=True)
class Tried:
    """One step of the search: what was tried, and the outcome."""

    rules: tuple[str, ...]  # names of `KINDS`, or ("none",)
    outcome: str  # "taken", or why the spans were not taken
    spans: tuple[ContextSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """The contexts of a text, and every step of the search."""

    spans: tuple[ContextSpan, ...]
    tried: tuple[Tried, ...]

    @property
    def reason(self) -> str:
        """The reason why there is no context; "" when there is one."""
        if self.spans:
            return ""
        first = self.tried[0]
        return f"{first.rules[0]}: {first.outcome}" if first.spans else first.outcome


def find_context(
    text: str,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    must_ask: bool = True,
    templates: Sequence[LearnedTemplate] = (),
    languages: Sequence[Language] = (),
) -> list[ContextSpan]:
    """Find the context in one user message or prompt.

    Returns spans in order, without overlaps: usually none or one. A context below
    `min_confidence` is not used. With `must_ask`, what remains after the cut must ask for
    something; without it, the request may be elsewhere, as in a later turn, unless the text asks
    itself. `templates` are the templates of the text's source (`learn_templates`). A text that
    fits a template is read by it. `languages` are additional words: use `read_language`, or
    `Language(name="mine", context=frozenset(["vignette"]))` for a label.
    """
    explained = explain_context(
        text,
        min_confidence=min_confidence,
        must_ask=must_ask,
        templates=templates,
        languages=languages,
    )
    return list(explained.spans)


def explain_context(
    text: str,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    must_ask: bool = True,
    templates: Sequence[LearnedTemplate] = (),
    languages: Sequence[Language] = (),
) -> Explained:
    """Find the context, with each run that was tried and why it was not used."""
    with add_languages(languages):
        return _explain(text, min_confidence, templates, must_ask=must_ask)


def _explain(
    text: str, min_confidence: float, templates: Sequence[LearnedTemplate], *, must_ask: bool
) -> Explained:
    for template in templates:
        slots = match_template(text, template)
        if slots is None or template.confidence < min_confidence:
            continue
        for number in template.contexts:
            slots[number] = divide_slot(text, slots[number], template.asks)
        spans = _arrange(text, find_in_template(text, template, slots))
        outcome = "taken" if spans else f"no context: {template.describe()}"
        return Explained(tuple(spans), (Tried(("template",), outcome, tuple(spans)),))
    tried: list[Tried] = []
    for step in _try_runs(text, min_confidence, must_ask=must_ask):
        tried.append(step)
        if step.outcome == "taken":
            return Explained(step.spans, tuple(tried))
    return Explained((), tuple(tried))


def _try_runs(text: str, min_confidence: float, *, must_ask: bool) -> list[Tried]:
    """Try the runs of units, the most probable first, until one is taken."""
    must_ask = must_ask or _asks_at_end(text)
    ranking = _rank(text, must_ask=must_ask)
    if ranking is None:
        return [Tried(("none",), "the text is empty")]
    tried: list[Tried] = []
    asks_outside = ranking.candidates.asks_outside()
    for number in ranking.probabilities.argsort()[::-1][:_TRIED]:
        probability = float(ranking.probabilities[number])
        if ranking.none > probability:
            break
        spans = _span(text, ranking, int(number))
        if not spans or spans[0].end > len(text):
            continue
        rules = (spans[0].rule,)
        if not asks_outside[number]:
            outcome = "what remains would not ask for anything"
        elif not must_ask and rules[0] in _UNMARKED and not _is_long_text(text):
            outcome = "a message is a context by itself only if it is long and asks for nothing"
        elif spans[0].confidence < min_confidence:
            outcome = f"its confidence is {spans[0].confidence:.2f}, below {min_confidence:g}"
        else:
            return [*tried, Tried(rules, "taken", tuple(_arrange(text, spans)))]
        tried.append(Tried(rules, outcome, tuple(spans)))
    none = f"no context is found; the probability that there is none is {ranking.none:.2f}"
    return [*tried, Tried(("none",), none)]


def _is_long_text(text: str) -> bool:
    """Return whether a message is more than a reply such as "Thank you!", and asks for nothing.

    One long sentence may be an order in unknown words.
    """
    is_long = n_words(text, 0, len(text)) >= _LEAST_WORDS and len(divide(text)) >= 3
    return is_long and not asks(text)


def _asks_at_end(text: str) -> bool:
    """Return whether a text asks in its first or last two units: it is a prompt by itself."""
    units = divide(text)
    asking = read_signs(text, [*units[:2], *units[2:][-2:]])[0][:, list(ASKING)]
    return bool(asking.any())


def _rank(text: str, *, must_ask: bool) -> Ranking | None:
    """Rank the runs of a text; after a label of the user, only what begins there counts."""
    if not text.strip():
        return None
    ranking = rank(text if must_ask else text + _REQUEST)
    if ranking is None:
        return None
    c = ranking.candidates
    labels = [
        k + 1
        for k, unit in enumerate(c.units)
        if (match := patterns.LABEL_LINE.match(text[unit.start : unit.end]))
        and is_added_label(match["name"])
    ]
    if labels and (mask := np.isin(c.first, labels)).any():
        shares = np.where(mask & c.asks_outside(), ranking.probabilities + 1e-9, 0)
        if total := float(shares.sum()):
            return Ranking(c, 0.0, (shares / total).astype(np.float32))
    return ranking


def find_document(text: str) -> list[ContextSpan]:
    """Find the documents or the knowledge that a system message carries.

    Its instructions are not context: the list is empty for a message that only instructs.
    """
    ranking = _rank(text, must_ask=False)
    if ranking is None or ranking.none > ranking.probabilities.max():
        return []
    spans = _span(text, ranking, int(ranking.probabilities.argmax()))
    facts = [
        span
        for span in spans
        if span.rule in _MARKED and not is_directive(text[span.start : span.end])
    ]
    return _arrange(text, facts)


#: The kinds of context that a system message may have.
_MARKED = ("tag", "fence", "label", "numbered", "lead")


def _span(text: str, ranking: Ranking, number: int) -> list[ContextSpan]:
    """Return the span of a run, with the labels, tags and fences around it; [] if it is none."""
    c = ranking.candidates
    first, stop = int(c.first[number]), int(c.stop[number])
    left, right = first, stop
    while first < stop - 1 and _opens(c, first, stop):
        first += 1
    while left > 0 and first - left < 2 and _is_mark(c, left - 1):
        left -= 1
    while first < stop - 1 and left < first and _has(c, stop - 1, _CLOSING):
        stop -= 1
    if left < first and right < len(c.units) and _has(c, right, _CLOSING):
        right += 1
    return make_spans(
        text,
        c.units[first].start,
        min(c.units[stop - 1].end, len(text)),
        _kind(c, first, stop),
        round(ranking.confidence(number), 3),
        cut_start=c.units[left].start,
        cut_end=min(c.units[right - 1].end, len(text)),
    )


_OPENING = ("opening tag", "fence", "ruler")
_CLOSING = ("closing tag", "fence", "ruler")
_TEXT_LABELS = ("context label", "announcing label", "hint label")


def _has(c: Candidates, unit: int, signs: Sequence[str]) -> bool:
    return any(c.signs[unit, NUMBER[sign]] for sign in signs)


def _opens(c: Candidates, first: int, stop: int) -> bool:
    """Return whether the first unit of a run is a label, a fence or a tag around the rest."""
    if _has(c, first, ("opening tag",)):  # in HTML, tags are part of the text
        inner = c.signs[first + 1 : stop - 1, NUMBER["opening tag"]]
        return not inner.any()
    return _has(c, first, (*_TEXT_LABELS, *_OPENING))


def _is_mark(c: Candidates, unit: int) -> bool:
    """Return whether a unit is a label, an opening tag or a fence that is cut with its text."""
    if _has(c, unit, ("chat marker",)):
        return False
    if _has(c, unit, (*_TEXT_LABELS, *_OPENING)):
        return True
    is_label = _has(c, unit, ("other label", "answer label")) and c.words[unit] <= _LABEL_WORDS
    return bool(is_label and not c.asking[unit])


def _kind(c: Candidates, first: int, stop: int) -> str:
    """Return how a run is marked: a name of `KINDS`."""
    before = c.signs[first - 1] if first else np.zeros_like(c.signs[0])
    ahead, behind = c.signs[:first].max(0, initial=0), c.signs[stop:].max(0, initial=0)
    gap_after = c.units[stop].gap if stop < len(c.units) else 2
    tests = (
        ("tag", before[NUMBER["opening tag"]]),
        ("fence", before[NUMBER["fence"]] or c.signs[first, NUMBER["fence"]]),
        ("label", first > 0 and _is_mark(c, first - 1)),
        ("numbered", c.signs[first, NUMBER["numbered"]]),
        ("quotation", c.signs[first, NUMBER["quoted"]] and stop == first + 1),
        ("lead", ahead[NUMBER["below"]] or ahead[NUMBER["this"]] or before[NUMBER["colon"]]),
        ("above", behind[NUMBER["above"]] or behind[NUMBER["this"]]),
        ("paragraph", c.units[first].gap and gap_after),
    )
    return next((name for name, holds in tests if holds), "sentence")


def _arrange(text: str, spans: Sequence[ContextSpan]) -> list[ContextSpan]:
    """Return the spans in order, without overlaps, with the white space that a cut would leave.

    The wider one of the gaps before and after a cut remains. No gap remains at the start of
    the text. At its end the text keeps its own ending.
    """
    runs: list[list[ContextSpan]] = []  # cuts with nothing but white space between them
    floor = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start < floor:
            continue
        span = replace(span, outer_start=max(span.outer_start, floor))
        if runs and not text[floor : span.outer_start].strip():
            runs[-1][-1] = replace(runs[-1][-1], outer_end=span.outer_start)
            runs[-1].append(span)
        else:
            runs.append([span])
        floor = span.outer_end
    return [span for run in runs for span in _with_gap(text, run)]


def _with_gap(text: str, run: list[ContextSpan]) -> list[ContextSpan]:
    """Return the same spans with the narrower gap beside them."""
    start, end = run[0].outer_start, run[-1].outer_end
    before = len(text[:start].rstrip())
    after = len(text) - len(text[end:].lstrip())
    is_wider_behind = text.count("\n", before, start) < text.count("\n", end, after)
    if after == len(text) or (before > 0 and is_wider_behind):
        return [replace(run[0], outer_start=before), *run[1:]]
    return [*run[:-1], replace(run[-1], outer_end=after)]
