"""The checks of the original example, before any edit: H14, H15, H6, H7 and H11.

A task is refused if its result depends on the letters, the order, the size or the fame of an
entity: translate, rhyme, sort, count, compute, fact-check. An answer is refused if it has
content from outside the context. A substitute must have the gender of the original, by a
gender field, the name and the pronouns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from ..checks import Check, Refusal
from ..edit.candidates import Entity
from ..edit.forms import name_forms
from ..edit.views import View
from ..lexicon.wording import either, fold, word_set
from ..recognise.people import count_pronouns, follow_pronouns, introduced_as
from ..recognise.spans import VALUES, Span

#: Verbs of tasks. They count only in an instruction.
_VERBS = either("task_verbs")
_ORDERED = re.compile(
    rf"(?:\A|[.!?:\n]|\b(?:please|to|and|then|you|can|must|should|could)\b)[ \"'(]*(?:{_VERBS})\b",
    re.I,
)
#: Words of tasks whose result depends on letters, order, size or form.
_TASK = re.compile(rf"\b(?:{either('task_words')})\b", re.I)
_RHYME = re.compile(r"\b(?:limericks?|rhym(?:es?|ed|ing))\b", re.I)
_SUM = re.compile(r"\d\s*[-+*/×÷]\s*[$€£]?\d[\d,.]*\s*=|=\s*[$€£]?\d")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LETTERS = re.compile(r"[a-z]{4,}")
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,.]*\d|(?<![\w.,])\d")
_CAPITAL = re.compile(r"(?<=[a-z,;:)] )[A-ZÀ-ÞĀ-Ž][\w'’-]*")
_KEYED = re.compile(r"(?:^|\n)[ \t]*[-*•]?[ \t]*[\w ]{1,30}:[ \t]*\S|\"[^\"\n]{1,40}\"\s*:")
_QUESTION = re.compile(r"[^.!?\n]*\?")
_SHORT = 12  # most words of a response that is an answer
_STOP = word_set("stop")
_ASKING = word_set("asking")


def _check_task(question: str, response: str) -> None:
    """H14: raise `Refusal` for a task whose result depends on the entity itself."""
    if task := _TASK.search(question) or _ORDERED.search(question):
        raise Refusal(Check.TASK, f"task: {task.group().strip().lower()[:40]}")
    if _SUM.search(response):
        raise Refusal(Check.TASK, "task: a sum in the response")


def _check_size(context: str) -> None:
    """H15: raise `Refusal` for a context that is a placeholder or has fewer than 20 words."""
    if _RHYME.search(context):
        raise Refusal(Check.TASK, "task: a text that rhymes")
    if len(_WORD.findall(context[:2000])) < 20 and len(_KEYED.findall(context[:2000])) < 2:
        raise Refusal(Check.SIZE, "the context has fewer than 20 words")


@lru_cache(maxsize=1 << 14)
def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e")


def content_words(text: str) -> set[str]:
    """Stems of the content words of four letters or more."""
    return {_stem(w) for w in _LETTERS.findall(fold(text)) if w not in _STOP}


def _check_closed_world(response: str, given: str) -> float:
    """H7: raise `Refusal` if the response has content that context and question do not have.

    `given` is context and question. It must have all numbers of the response, all capitalised
    words inside its sentences, and half of its content words (three quarters for a response of
    at most twelve words). Returns the share of these content words, 0 to 1.
    """
    have = fold(given)
    plain = have.replace(",", "")
    for number in _NUMBER.findall(response):
        if number not in given and number.replace(",", "") not in plain:
            raise Refusal(Check.GROUNDING, f"the response has {number!r}, the context does not")
    for capital in _CAPITAL.findall(response):
        word = fold(capital).removesuffix("'s").rstrip("'")
        if word not in have:
            reason = f"the response names {capital!r}, the context does not"
            raise Refusal(Check.GROUNDING, reason)
    wanted = content_words(response)
    share = len(wanted & content_words(given)) / len(wanted) if wanted else 1.0
    if share < (0.75 if len(response.split()) <= _SHORT else 0.5):
        reason = f"{share:.0%} of the response's words are in the context"
        raise Refusal(Check.GROUNDING, reason)
    return share


def _check_answered(question: str, context: str) -> None:
    """H6: raise `Refusal` if the context has no content word of the question."""
    wanted = content_words(" ".join(_QUESTION.findall(question))) - _ASKING
    if len(wanted) >= 3 and not wanted & content_words(context):
        raise Refusal(Check.SUPPORT, "no content word of the question is in the context")


_FIELD = re.compile(r"\b(?:gender|sex)\b[\"']?\s*[:=]\s*[\"']?([mfw])", re.I)
_CLEAR = 3  # votes of one gender per vote of the other that decide


def wanted_gender(view: View, span: Span, alone: bool = False) -> str:
    """Return the gender that a substitute needs: "m", "f", "b" (a name of both), or "" if any fits.

    The gender in the name list has precedence over the pronouns of the text. `alone` means that no
    other person is named. Raises `Refusal` if the evidence is contradictory.
    """
    texts, forms = [view.context_text, view.response], name_forms(span.text)
    if span.shape == "family" or (span.shape == "full" and "first" not in forms):
        return ""  # a family name has no gender
    listed, known = span.gender, list(forms.values())
    said = {"m" if field in "mM" else "f" for text in texts for field in _FIELD.findall(text)}
    if len(said) == 1:
        if listed in {"m", "f"} - said:
            raise Refusal(Check.GENDER, "the name and the gender field disagree")
        return said.pop()
    near, page = follow_pronouns(texts, known), count_pronouns(texts)
    if listed in {"m", "f"}:
        bare = [f for f in known if " " not in f][-1:]  # "Bush ... he" beside "Laura Bush"
        votes = [near, page, follow_pronouns(texts, bare), introduced_as(texts, known)]
        if _contradict(votes if listed == "m" else [v[::-1] for v in votes], alone):
            raise Refusal(Check.GENDER, "the name and the pronouns after it disagree")
        return listed
    he, she = page
    if max(near) >= _CLEAR * min(near) and max(near):
        return "m" if near[0] > near[1] else "f"
    if alone and (he > 0) != (she > 0):
        return "m" if he else "f"
    return "b" if he or she else ""


def _contradict(votes: Sequence[tuple[int, int]], alone: bool) -> bool:
    """Return whether the votes are for the other gender, which is second in each pair."""
    own, whole, bare, noun = votes
    only_other = alone and whole[1] > 0 and not whole[0]
    return 2 * own[1] > own[0] or bare[1] > 1 or noun[1] > noun[0] or only_other


def pass_gates(view: View, entities: Iterable[Entity]) -> float:
    """Check H15, H14, H6 and H7; returns the share of the response's words that are given."""
    response = _unshared(view, entities)
    _check_size(view.context_text)
    _check_task(view.question_text, view.response)
    if len(response.split()) <= _SHORT:
        _check_answered(view.question_text, view.context_text)
    return _check_closed_world(response, view.context_text + "\n" + view.question_text)


def _unshared(view: View, entities: Iterable[Entity]) -> str:
    """Return the response without the shared dates and amounts, whose notation may differ."""
    mentions = {
        (m.start, m.end)
        for e in entities
        for m in e.mentions
        if m.path == view.response_path and m.type in VALUES
    }
    text = view.response
    for start, end in sorted(mentions, reverse=True):
        text = text[:start] + text[end:]
    return text


def check_rivals(entity: Entity) -> None:
    """Raise `Refusal` (ONE_TO_ONE) if another person shares a part of the name."""
    if entity.rivals:
        reason = f"{entity.rivals[0]!r} shares a part of {entity.span.text!r}"
        raise Refusal(Check.ONE_TO_ONE, reason)
