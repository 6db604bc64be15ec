"""The default recogniser: a lexicon, the shape of names, and the words around them.

It reads runs of capitalised words ("Dr. Mary Shelley", "New York City"). Each run as a whole is
classified as a person, a country, its adjective, a city, or a name with a word that shows its type.
A name inside a longer run is not proposed. `values` recognises dates and amounts. Precision matters
more than recall: a missed entity loses a row, and a wrong one breaks a row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ifcurate.options.augment import DEFAULT_TYPES

from ..lexicon.tables import LEXICON
from ..lexicon.wording import SHORT_NAMES, TITLES, fold, word_set
from .patterns import pattern_spans
from .people import (
    PersonName,
    evidence_at,
    is_listed_pair,
    may_be_named,
    person_name,
    unlisted_name,
)
from .runs import Run, capital_runs
from .spans import NUMERIC, VALUES, Span
from .values import value_spans

_PREPOSITION = re.compile(
    r"(?:\b(?:in|from|to|at|near|outside|around|towards?|via|into|visit(?:ed|ing|s)?|left|leaving|"
    r"reached|of|for|between|across|throughout|inside|within)|[:\"“(|>-]|^) ?\Z",
    re.I,
)
_LABEL = re.compile(r":(?=[ \n])")
#: Words that may have their capital only as the first word of a sentence.
_OPENERS = LEXICON.openers - TITLES.keys()
_NOT_COUNTRIES = word_set("not_countries")  # Jordan the person, Turkey the bird, Georgia the state
_SURE, _AGAINST = 2, -2  # evidence that accepts an unlisted name, or drops a name


@dataclass(frozen=True, slots=True)
class _Mention:
    """A run that may name a person, without openers and titles."""

    path: str
    start: int
    end: int
    text: str
    parts: tuple[str, ...]
    title: str
    opens: bool
    label: bool  # a single name and a colon
    evidence: int
    folded: tuple[str, ...]  # the parts, folded

    @property
    def key(self) -> str:
        return " ".join(self.folded)


def named_words(run: Run) -> tuple[list[tuple[int, int, str]], str]:
    """Return the words of the name itself, and its title."""
    words = list(run.words)
    title = ""
    while run.opens and len(words) > 1 and fold(words[0][2]) in _OPENERS:
        if is_listed_pair([word for _, _, word in words]):
            break  # "Bill Clinton"
        words.pop(0)
    while len(words) > 1 and words[0][2].lower().rstrip(".") in TITLES:
        title = words.pop(0)[2].lower()
    return words, title


class LexiconRecogniser:
    """Proposes names, dates and amounts; needs no download."""

    name = "lexicon"  # records also have the hash of the lexicon

    def __init__(self, types: Sequence[str] = DEFAULT_TYPES):
        self._types = frozenset(types)

    def spans(self, texts: Mapping[str, str]) -> list[Span]:
        """Typed spans of all texts: names, then patterns, then values."""
        spans: list[Span] = []
        if self._types - VALUES:
            runs = {path: list(capital_runs(text)) for path, text in texts.items()}
            spans += self._named(texts, runs)
            taken = {(s.path, s.start) for s in spans}
            for path, text in texts.items():
                patterns = pattern_spans(path, text, runs[path])
                spans += [s for s in patterns if (s.path, s.start) not in taken]
        if self._types & VALUES:
            for path, text in texts.items():
                spans += value_spans(path, text, numbers=bool(self._types & NUMERIC))
        return [s for s in spans if s.type in self._types]

    def _named(self, texts: Mapping[str, str], runs: Mapping[str, Sequence[Run]]) -> list[Span]:
        spans: list[Span] = []
        mentions: list[_Mention] = []
        for path, text in texts.items():
            for run in runs[path]:
                if phrase := self._phrase(text, run):
                    spans += self._place(path, text, *phrase)
                    continue
                mention = self._mention(path, text, run)
                if self._is_place_word(mention, text):
                    spans += self._place(path, text, mention.start, mention.end)
                else:
                    mentions.append(mention)
        return spans + list(self._people(mentions))

    def _mention(self, path: str, text: str, run: Run) -> _Mention:
        words, title = named_words(run)
        start, end = words[0][0], words[-1][1]
        opens = run.opens and start == run.start
        label = len(words) == 1 and bool(_LABEL.match(text, end))
        evidence = 2 if title else evidence_at(text, start, end, opens=opens)
        parts = tuple(w[2] for w in words)
        return _Mention(
            *(path, start, end, text[start:end], parts, title, opens, label, evidence),
            folded=tuple(map(fold, parts)),
        )

    def _people(self, mentions: Sequence[_Mention]) -> Iterator[Span]:
        """Yield the mentions that name people, by the evidence of all mentions."""
        evidence: Counter[str] = Counter()
        inside: set[str] = set()  # names that occur inside a sentence
        strong: set[str] = set()  # names with a mention that is evidence enough
        for mention in mentions:
            keys = {mention.key, *mention.folded}
            for key in keys:
                evidence[key] += mention.evidence
            inside |= keys if not mention.opens else set()
            strong |= keys if mention.evidence >= _SURE else set()
        for mention in mentions:
            named = self._person(mention, evidence, inside & strong)
            if named is not None:
                place = (mention.path, mention.start, mention.end)
                yield Span(*place, "PERSON", mention.text, shape=named[0], gender=named[1])

    def _person(
        self, mention: _Mention, evidence: Mapping[str, int], shown: set[str]
    ) -> PersonName | None:
        parts, key = mention.parts, mention.key
        score = max(evidence[key], evidence[mention.folded[-1]])
        if evidence[key] <= _AGAINST:
            return None  # "in Charlie Hebdo", "the Stanley company"
        named = person_name(parts, mention.title)
        if named is not None:
            return named if self._is_sure(mention, score) else None
        if mention.label and key not in LEXICON.wordy and LEXICON.gender.get(key):
            return "given", LEXICON.gender[key]  # "Makoto: my dress!": a rare name of a speaker
        if score >= _SURE and key in shown and may_be_named(parts):
            return unlisted_name(parts)
        return None

    def _is_sure(self, mention: _Mention, score: int) -> bool:
        """Return whether a listed name is used as a name: a usual name, or one with evidence."""
        parts = mention.parts
        if len(parts) == 1:
            wordy = mention.key in LEXICON.wordy
            return not (wordy and (mention.opens or score < _SURE))
        first = fold(parts[0]).split("-")[0]
        usual = first in LEXICON.english_names or first in SHORT_NAMES
        return usual or fold(parts[-1]) in LEXICON.surnames or score >= _SURE

    def _is_place_word(self, mention: _Mention, text: str) -> bool:
        key = mention.text.lower()
        place = LEXICON.country(key)[0] or (
            LEXICON.is_city(key) and not self._rather_person(key, text)
        )
        return bool(place) and len(mention.parts) == 1

    def _rather_person(self, key: str, text: str) -> bool:
        """Return whether a small town's name is a first name here, never after "in" or "near"."""
        located = rf"\b(?:in|near|at|outside) {key}\b|\b{key}, [A-Z]"
        big = key not in SHORT_NAMES and _is_among(key, LEXICON.groups(key), 3)
        return key in LEXICON.english_names and not big and not re.search(located, text, re.I)

    def _phrase(self, text: str, run: Run) -> tuple[int, int] | None:
        """Return the place of a name of several words in the run ("New York City")."""
        for start, _, word in run.words:
            for name in LEXICON.place_phrases.get(word.lower(), ()):
                end = start + len(name)
                if text[start:end].lower() == name and not text[end : end + 1].isalnum():
                    return start, end
        return None

    def _place(self, path: str, text: str, start: int, end: int) -> Iterator[Span]:
        """Yield the country, its adjective or people, or the city with this name."""
        written = text[start:end]
        key = written.lower()
        shape, code = LEXICON.country(key)
        if shape == "name" and key in _NOT_COUNTRIES:
            return
        if shape:
            yield Span(path, start, end, "COUNTRY", written, shape=shape, code=code)
        elif (groups := LEXICON.groups(key)) and self._is_city(text, start, end, groups):
            yield Span(path, start, end, "CITY", written, groups=groups)

    def _is_city(self, text: str, start: int, end: int, groups: Sequence[str]) -> bool:
        """Return whether a region follows, or a preposition precedes the name of a big city."""
        key = text[start:end].lower()
        region = re.match(r",? ([A-Z]\w+(?: [A-Z]\w+)?)", text[end : end + 40])
        if region and LEXICON.is_region(region[1]):
            return True
        before = text[max(0, start - 14) : start]
        if key in LEXICON.gender or key in LEXICON.wordy or not _PREPOSITION.search(before):
            return False
        return " " in key or _is_among(key, groups, 12)


def _is_among(key: str, groups: Sequence[str], count: int) -> bool:
    """Return whether a city is among the `count` biggest of one of the countries or states."""
    return any(key in map(str.lower, LEXICON.cities[group][:count]) for group in groups)
