"""The words by which a text is called, and by which questions and answers are labelled."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from .lexicon import ENGLISH, LANGUAGES

__all__ = [
    "ANSWER_LABELS",
    "FORM_NOUNS",
    "INNER_NOUNS",
    "MAY_BE_SHORT",
    "NOT_ASKED",
    "NOUNS",
    "WEAK_NOUNS",
    "LabelKind",
    "classify_label",
    "words",
]


def words(text: str) -> frozenset[str]:
    """The words of a block of text."""
    return frozenset(text.split())


_SINGULAR = words(ENGLISH["nouns"])
NOUNS = _SINGULAR | {n + "s" for n in _SINGULAR} | {"stories", "biographies", "entries"}
WEAK_NOUNS = words(ENGLISH["weak_nouns"])
INNER_NOUNS = words(ENGLISH["inner_nouns"])
FORM_NOUNS = words(ENGLISH["form_nouns"])
MAY_BE_SHORT = words(ENGLISH["may_be_short"])
_NOT_LABELS = words(ENGLISH["not_labels"])
_QUALIFIERS = words(ENGLISH["qualifiers"])
_LABELS = frozenset[str]().union(*(language.context for language in LANGUAGES))
# Answered already: between two equal context labels this makes a worked example.
ANSWER_LABELS = frozenset[str]().union(*(language.answer for language in LANGUAGES))
_ASK_LABELS = frozenset[str]().union(*(language.ask for language in LANGUAGES))

# What these hold is no question yet.
NOT_ASKED = frozenset(
    [
        *("answer choices", "choices", "choice", "option", "options", "candidate", "ending"),
        *("endings", "claim", "sentence", "statement", "hypothesis", "constraints", "format"),
        *("guidelines", "rules", "requirements", "output format", "answer options"),
    ]
)

# Words that announce a text, and are cut together with it.
_PHRASES = re.compile(
    r"(?:now,? |so,? |also,? )?(?:"
    r"given (?:the|this|these|that)(?: following)? facts?(?: that)?|given that|given"
    r"|(?:i can use|use|consider|i have|i also have|we have|we know|here(?:'s| is| are)"
    r"|(?:this|below|following) (?:is|are)|the following (?:is|are)|consider|read|see|take|suppose)"
    r" (?:(?:the|this|these|a|an|my|some|following|new|short|above|below) ){0,3}"
    r"(?:[\w-]{1,16} ){0,2}?(?P<noun>[\w-]{3,16})(?: below| first| carefully)?"
    r"|(?:the )?(?P<noun2>[\w-]{3,16})(?: is| are)?(?: given| provided)?(?: as follows| below)"
    r"|(?:relevant |useful |some )?(?P<noun3>information|facts|background|details|knowledge)"
    r" (?:about|on|from) [\w' -]{2,40}"
    r")"
)

LabelKind = Literal["context", "phrase", "ask", "answer", "hint", ""]


@lru_cache(maxsize=4096)
def classify_label(name: str) -> tuple[LabelKind, str]:
    """What the words before a colon, or of a heading, announce; and the noun they use.

    ``("", "")`` when they announce nothing that matters here.
    """
    words = name.lower().replace("’", "'").split()
    flat = " ".join(words)
    if flat in ANSWER_LABELS:
        return "answer", flat
    if flat in _ASK_LABELS or _ASK_LINE.match(flat):
        return "ask", flat
    if flat in ("hint", "hints"):
        return "hint", flat
    if words and words[-1] in NOUNS and all(w in _QUALIFIERS for w in words[:-1]):
        noun = words[-1]
        return ("", "") if noun in _NOT_LABELS and len(words) == 1 else ("context", noun)
    if flat in _LABELS:
        return "context", words[-1]
    match = _PHRASES.fullmatch(flat)
    if match:
        noun = match["noun"] or match["noun2"] or match["noun3"] or "fact"
        if noun in NOUNS or noun in ("points", "details"):
            return "phrase", noun
    return "", ""


_ASK_LINE = re.compile(
    r"(?:now,? |then,? )?(?:please,? )?(?:answer|respond to|consider) "
    r"(?:the|this|these|my|following)"
    r"\b[\w ]{0,40}\b(?:questions?|query|queries)\b"
)
