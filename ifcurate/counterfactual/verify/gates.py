"""Before any edit: tasks that substitution would break, and answers from outside the context.

H14 (task), H15 (size) and H7 (closed world) look at the original example only.
A task whose result depends on the letters, the order, the size or the fame of
an entity is passed over: translate, rhyme, sort, count, compute, fact-check.
"""

from __future__ import annotations

import re

from ..edit.forms import Refusal
from ..lexicon.tables import fold
from ..lexicon.wording import words

__all__ = ["check_closed_world", "check_size", "check_task", "content_words"]

_TASK = re.compile(
    r"\b(?:translat\w*|rhym\w*|poems?|haiku|limerick|acrostic|anagram\w*|palindrome\w*|sort(?:ed|s|ing)?|"
    r"rank(?:ed|s|ing)?|order(?:ed)? (?:by|from|the)|alphabetical\w*|ascending|descending|"
    r"compar(?:e|es|ed|ing|ison)|count(?:s|ing)?|how many (?:words?|letters?|times|characters?|"
    r"vowels?|syllables?|sentences?)|number of (?:words?|letters?|times|characters?|vowels?)|"
    r"calculat\w*|comput(?:e|es|ing|ation)|sum (?:of|up the)|add (?:up|the|together)|"
    r"average|median|"
    r"percentage|equation|solve|code|program|function|regex|sql|query|html|css|python|"
    r"java(?:script)?|fact[- ]?check\w*|true or false|correct(?:ness|ly)? (?:or|is)|verify|"
    r"spell(?:ing|s|ed)?|letters?|syllables?|cipher\w*|encrypt\w*|decrypt\w*|encod\w*|decod\w*|"
    r"convert(?:s|ed|ing|sion)?|synonyms?|antonyms?|pun|jokes?|capital (?:city )?of|"
    r"population|longest|shortest|largest|smallest|oldest|youngest|tallest|highest|lowest|"
    r"odd one out|categor\w+|classif\w+|part of speech|parts of speech|noun|nouns|"
    r"(?:find|fix|correct|identify|spot) (?:the |any |all )?(?:\w+ )?(?:errors?|mistakes?|typos?)|"
    r"grammar|grammatical\w*|proofread\w*|punctuat\w*|capitali[sz]\w*|pronoun|gender|etymolog\w*|"
    r"origin of|nickname|initials?|acronyms?|abbreviat\w*|pronounc\w*|hashtags?|"
    r"url|domain|horoscope|zodiac|famous)\b",
    re.I,
)
_FEW_SHOT = re.compile(
    r"(?:\bfor example\b.{0,300}\b(?:output|answer)\s*:|"
    r"(?:^|\n)\s*(?:input|q|question|example)\s*\d*\s*:"
    r"[\s\S]{1,2000}?(?:^|\n)\s*(?:output|a|answer)\s*:[\s\S]{1,2000}?"
    r"(?:^|\n)\s*(?:input|q|question|example)\s*\d*\s*:)",
    re.I,
)
_SUM = re.compile(r"\d\s*[-+*/×÷]\s*[$€£]?\d[\d,.]*\s*=|=\s*[$€£]?\d")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LETTERS = re.compile(r"[a-z]{4,}")
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,.]*\d|(?<![\w.,])\d")
_CAPITAL = re.compile(r"(?<=[a-z,;:)] )[A-ZÀ-ÞĀ-Ž][\w'’-]*")
_MONTHLESS = frozenset(["i", "i'm", "i've", "i'd", "i'll"])
_NO_CONTEXT = re.compile(
    r"\W*(?:<?no ?(?:input|context)>?|none|n/?a|not applicable|null)\W*\Z", re.I
)
_KEYED = re.compile(r"(?:^|\n)[ \t]*[-*•]?[ \t]*[\w ]{1,30}:[ \t]*\S|\"[^\"\n]{1,40}\"\s*:")
_STOP = words(
    """
    that this with from have been were they them their there these those then than what when where
    which while will would could should about after before also into over such some more most very
    just only your yours here does doing done being because between both each other same said says
    say
    """
)


def check_task(question: str, response: str) -> None:
    """H14: raises `Refusal` for a task whose result depends on the very entity."""
    if found := _TASK.search(question):
        raise Refusal("H14", f"task: {found.group().lower()[:40]}")
    if _FEW_SHOT.search(question):
        raise Refusal("H14", "task: a worked example in the prompt")
    if _SUM.search(response):
        raise Refusal("H14", "task: a sum in the response")
    if "```" in response:
        raise Refusal("H14", "task: code in the response")


def check_size(context: str) -> None:
    """H15: raises `Refusal` for a context that is a stand-in or shorter than 20 words."""
    if _NO_CONTEXT.match(context):
        raise Refusal("H15", "the context only says that there is none")
    if len(_WORD.findall(context[:2000])) < 20 and len(_KEYED.findall(context[:2000])) < 2:
        raise Refusal("H15", "the context has fewer than 20 words")


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e")


def content_words(text: str) -> set[str]:
    """Stems of the words of four letters or more that carry content."""
    return {_stem(w) for w in _LETTERS.findall(fold(text)) if w not in _STOP}


def check_closed_world(response: str, given: str) -> float:
    """H7: raises `Refusal` where the response names what context and question do not.

    `given` is context and question together. Capitalised words inside a sentence
    and numbers must occur there; of the content words half, three quarters when
    the response has twelve words or fewer. Returns their share, 0 to 1.
    """
    have = fold(given)
    plain = have.replace(",", "")
    for number in _NUMBER.findall(response):
        if number not in given and number.replace(",", "") not in plain:
            raise Refusal("H7", f"the response has {number!r}, the context has not")
    for capital in _CAPITAL.findall(response):
        word = fold(capital).removesuffix("'s").rstrip("'")
        if word not in _MONTHLESS and word not in have:
            raise Refusal("H7", f"the response names {capital!r}, the context does not")
    wanted = content_words(response)
    if wanted:
        share = len(wanted & content_words(given)) / len(wanted)
        needed = 0.75 if len(response.split()) <= 12 else 0.5
        if share < needed:
            raise Refusal("H7", f"{share:.0%} of the response's words are in the context")
        return share
    return 1.0
