"""The default recogniser: a lexicon, the shape of names, and their neighbours.

It reads capitalised runs ("Dr. Mary Shelley", "New York City") and asks of each
as a whole whether it is a person, a country, its adjective, or a city; a name
inside a longer run is never proposed. Dates and money are found by `values`.
Precision is preferred throughout: an example that is not proposed costs one
row, an example that is wrongly proposed may cost the data set its trust.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..lexicon.name_words import NO_SURNAMES, RATHER_NAMES, SHORT_NAMES, TITLES
from ..lexicon.tables import Lexicon, load_lexicon
from ..verify.gender import follow_pronouns
from .spans import DEFAULT_TYPES, Span
from .values import value_spans

__all__ = ["LexiconRecogniser", "Run", "capital_runs", "person_detail"]

_INITIALS = re.compile(r"(?:[A-Z]\.)+\Z|[A-Z]\Z")
_TOKEN = re.compile(r"(?<!\w)(?:(?:[A-Z]\.)+(?!\w)|[A-ZÀ-ÖØ-ÞĀ-Ž](?:[^\W_]|['’-](?=[^\W\d_]))*)")
_GAP = re.compile(
    r"\A (?:(?:de|da|di|del|della|van|von|der|den|la|le|dos|du|bin|ibn|al|el|ter) )*\Z"
)
_PREPOSITION = re.compile(
    r"(?:\b(?:in|from|to|at|near|outside|around|towards?|via|into|visit(?:ed|ing|s)?|left|leaving|"
    r"reached|of|for|between|across|throughout|inside|within)|[:\"“(|>-]|^) ?\Z",
    re.I,
)
_LABEL = re.compile(r":(?=[ \n])")
_INSIDE = re.compile(r"\b(?:in|near|outside|around) \Z", re.I)
_NOT_COUNTRIES = frozenset(
    {"jordan", "chad", "georgia", "guinea", "congo", "turkey", "america", "korea", "states"}
)


@dataclass(frozen=True, slots=True)
class Run:
    """Capitalised words that stand together: `words` with their places in the text."""

    words: tuple[tuple[int, int, str], ...]
    opens: bool  # it begins a sentence, a line or a field

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.words[0][0]

    @property
    def end(self) -> int:
        """Where it ends, exclusive."""
        return self.words[-1][1]


def _tokens(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _TOKEN.finditer(text):
        start, end, word = match.start(), match.end(), match.group()
        if word[-1] == "s" and word[-2:-1] in {"'", "’"}:
            end, word = end - 2, word[:-2]
        if word[0].isupper():
            yield start, end, word


def capital_runs(text: str) -> Iterator[Run]:
    """Runs of capitalised words, particles between them included, in their order."""
    words: list[tuple[int, int, str]] = []
    for token in _tokens(text):
        if words:
            gap = text[words[-1][1] : token[0]]
            # "Mr. Smith", "Dr. Who": the full stop of a title does not end the run
            title = gap == ". " and words[-1][2].lower() in TITLES
            if gap == " " or title or (len(gap) < 20 and gap != " " and _GAP.match(gap)):
                words.append(token)
                continue
            yield Run(tuple(words), _opens(text, words[0][0]))
        words = [token]
    if words:
        yield Run(tuple(words), _opens(text, words[0][0]))


def _opens(text: str, start: int) -> bool:
    before = text[max(0, start - 4) : start].rstrip(" \"'“‘(*#-")
    return not before or before[-1] in ".!?:\n>|" or "\n" in text[max(0, start - 4) : start]


def person_detail(words: Sequence[str], lexicon: Lexicon, title: str = "") -> str | None:
    """Shape and gender of a name such as "full:f", None when it is not a person's."""
    said = TITLES.get(title, "") if title else ""
    if len(words) == 1:
        key = words[0].lower()
        if title:
            if key in lexicon.gender and title in {"uncle", "aunt", "sister", "brother", "father"}:
                return f"given:{said or lexicon.gender[key]}"
            named = lexicon.is_place(key) or key in _NOT_COUNTRIES or key in lexicon.common
            return None if named or len(key) < 3 else f"family:{said}"
        if key in SHORT_NAMES:
            return f"given:{SHORT_NAMES[key]}" if SHORT_NAMES[key] else None
        gender = lexicon.gender.get(key, "")
        return f"given:{gender}" if gender and key in lexicon.english_names else None
    if not 2 <= len(words) <= 4 or any(w.isupper() and len(w) > 3 and "." not in w for w in words):
        return None
    first, *middle, last = (w.lower() for w in words)
    if last in NO_SURNAMES or last in lexicon.common or len(last) < 3 or last == "i":
        return None
    if last in lexicon.country_names or last in lexicon.adjectives or last in lexicon.state_names:
        return None
    if re.fullmatch(r"[IVX]+|Jr|Sr", words[-1]) or not words[-1][0].isupper():
        return None
    if any(m in NO_SURNAMES or m in lexicon.common for m in middle):
        return None
    if first in lexicon.gender or first in SHORT_NAMES:
        gender = said or lexicon.gender.get(first) or SHORT_NAMES[first]
        wordy = first in lexicon.wordy or lexicon.is_place(first)
        known = first in SHORT_NAMES or first in RATHER_NAMES
        if wordy and not known and last not in lexicon.surnames:
            return None
        return f"full:{gender}"
    if _INITIALS.match(words[0]) and last in lexicon.surnames:
        return f"full:{said}"
    return None


class LexiconRecogniser:
    """Proposes people, places, dates and money; needs no download and no weights."""

    def __init__(self, types: Sequence[str] = DEFAULT_TYPES, lexicon: Lexicon | None = None):
        self._types = frozenset(types)
        self._lexicon = lexicon or load_lexicon()

    @property
    def name(self) -> str:
        """Always "lexicon"; the lexicon's own hash is recorded beside it."""
        return "lexicon"

    def spans(self, texts: Mapping[str, str]) -> list[Span]:
        """Typed spans of all texts, in the order of the texts and of their places."""
        found: list[Span] = []
        names = bool(self._types & {"PERSON", "CITY", "COUNTRY"})
        for path, text in texts.items():
            if names:
                found.extend(s for s in self._names(path, text) if s.type in self._types)
            found.extend(s for s in value_spans(path, text) if s.type in self._types)
        return found

    def _names(self, path: str, text: str) -> Iterator[Span]:
        lexicon = self._lexicon
        taken = -1
        for run in capital_runs(text):
            if run.start < taken:
                continue
            phrase = self._phrase(text, run)
            if phrase is not None:
                start, end, key = phrase
                taken = end
                if start == run.start and end >= run.end:
                    span = self._place(path, text, start, end, key)
                    if span is not None:
                        yield span
                continue
            words = list(run.words)
            while (
                run.opens
                and len(words) > 1
                and words[0][2].lower() in lexicon.openers
                and (words[0][2].lower() not in TITLES)
            ):
                words.pop(0)
            title = ""
            while len(words) > 1 and words[0][2].lower().rstrip(".") in TITLES:
                title = words.pop(0)[2].lower()
            start, end = words[0][0], words[-1][1]
            key = text[start:end].lower()
            if (
                not title
                and len(words) == 1
                and (
                    key in lexicon.country_names
                    or key in lexicon.adjectives
                    or key in lexicon.plurals
                    or (lexicon.is_city(key) and not self._rather_person(key, text))
                )
            ):
                span = self._place(path, text, start, end, key)
                if span is not None:
                    yield span
                continue
            detail = person_detail([w[2] for w in words], lexicon, title)
            if detail and not title and len(words) > 1 and not self._sure(words, text):
                detail = None
            if (
                detail is None
                and len(words) == 1
                and _LABEL.match(text, end)
                and (text[:start].endswith("\n") or not text[:start])
            ):
                # "Makoto: my dress!": a speaker, whose name may be rare
                known = lexicon.gender.get(key, "")
                detail = f"given:{known}" if known and key not in lexicon.wordy else None
            if detail:
                if len(words) == 1 and not title and (key in lexicon.wordy and run.opens):
                    continue
                yield Span(path, start, end, "PERSON", text[start:end], detail)

    def _sure(self, words: Sequence[tuple[int, int, str]], text: str) -> bool:
        """A usual first or family name; "Sina Weibo" needs a pronoun that follows it."""
        lexicon = self._lexicon
        first, last = words[0][2].lower(), words[-1][2].lower()
        if first in lexicon.english_names or first in SHORT_NAMES or last in lexicon.surnames:
            return True
        return any(follow_pronouns([text], [text[words[0][0] : words[-1][1]], words[-1][2]]))

    def _rather_person(self, key: str, text: str) -> bool:
        """A small town's name that is a first name too, and never follows "in" or "near"."""
        lexicon = self._lexicon
        if key not in lexicon.english_names and key not in SHORT_NAMES:
            return False
        if any(key in (n.lower() for n in lexicon.cities[g][:3]) for g in lexicon.groups(key)) and (
            key not in SHORT_NAMES
        ):
            return False
        return not re.search(rf"\b(?:in|near|at|outside) {key}\b|\b{key}, [A-Z]", text, re.I)

    def _phrase(self, text: str, run: Run) -> tuple[int, int, str] | None:
        for start, _, word in run.words:
            for name in self._lexicon.place_phrases.get(word.lower(), ()):
                end = start + len(name)
                if text[start:end].lower() == name and not text[end : end + 1].isalnum():
                    return start, end, name
        return None

    def _place(self, path: str, text: str, start: int, end: int, key: str) -> Span | None:
        lexicon = self._lexicon
        written = text[start:end]
        if key in lexicon.country_names and (written[0].isupper()):
            if key in {"us", "uk", "uae"} and not written.isupper():
                return None
            if key in _NOT_COUNTRIES:
                return None  # Jordan the person, Turkey the bird, Georgia the state
            return Span(path, start, end, "COUNTRY", written, f"name:{lexicon.country_names[key]}")
        if key in lexicon.adjectives:
            return Span(
                path, start, end, "COUNTRY", written, f"adjective:{lexicon.adjectives[key]}"
            )
        if key in lexicon.plurals:
            return Span(path, start, end, "COUNTRY", written, f"plural:{lexicon.plurals[key]}")
        groups = lexicon.groups(key)
        if not groups:
            return None
        region = re.match(r",? ([A-Z]\w+(?: [A-Z]\w+)?)", text[end : end + 40])
        qualified = region is not None and (
            lexicon.is_place(region[1]) or region[1] in lexicon.states
        )
        before = text[max(0, start - 14) : start]
        if not qualified:
            if key in lexicon.gender or key in lexicon.wordy or not _PREPOSITION.search(before):
                return None
            if key in lexicon.surnames and not _INSIDE.search(before):
                return None
            big = any(key in (n.lower() for n in lexicon.cities[g][:12]) for g in groups)
            if not big and " " not in key:
                return None
        return Span(path, start, end, "CITY", written, "|".join(groups))
