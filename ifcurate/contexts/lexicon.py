"""The languages whose labels, questions and instructions are known, from data files.

Each file of `languages/` is one language: the labels of contexts, questions and answers,
the words that requests begin or end with, and the words that point to a text. A file
of the same form can be added by the user.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

__all__ = [
    "ENGLISH",
    "LANGUAGES",
    "Language",
    "asks_in",
    "count_words",
    "points_in",
    "wants_question",
]

_NOT_SPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_MARKS = " \t\"'“”«»„‘’*_#()[]¿¡。！？.!?,:;：،؟।、，；…」』「『"


@dataclass(frozen=True, slots=True)
class Language:
    """What is known of one language; everything in lower case."""

    name: str
    context: frozenset[str] = frozenset()  # labels
    ask: frozenset[str] = frozenset()
    answer: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()  # those that say by themselves what is asked for: "Title:"
    asks_first: tuple[str, ...] = ()  # a request begins with one of these
    asks_last: tuple[str, ...] = ()  # or ends with one
    common: frozenset[str] = frozenset()  # words that tell the language from others
    nouns: tuple[str, ...] = ()  # beginnings of words that name a text
    below: tuple[str, ...] = ()  # "following"
    above: tuple[str, ...] = ()
    this: tuple[str, ...] = ()
    spaces: bool = True  # between words

    def points(self, line: str) -> str:
        """How a request points to a text: "below", "above", "this" or ""."""
        line = line.lower()
        if not any(noun in line for noun in self.nouns):
            return ""
        ways = (("below", self.below), ("above", self.above), ("this", self.this))
        for way, phrases in ways:
            if any(self._stands(phrase, line) for phrase in phrases):
                return way
        return ""

    def _stands(self, phrase: str, line: str) -> bool:
        if not self.spaces:
            return phrase in line
        return re.search(rf"(?<!\w){re.escape(phrase)}", line) is not None

    def asks(self, line: str) -> bool:
        """Whether a line of this language asks for something."""
        line = line.lower().strip(_MARKS)
        if self.common and self.common.isdisjoint(re.findall(r"\w+", line)):
            return False
        if line.endswith(self.asks_last) and self.asks_last:
            return True
        if not line.startswith(self.asks_first) or not self.asks_first:
            return False
        if not self.spaces:
            return True
        return any(
            line.startswith(first) and not line[len(first) : len(first) + 1].isalnum()
            for first in self.asks_first
        )


def _read_language(text: str) -> Language:
    data: dict[str, Any] = tomllib.loads(text)
    fields: dict[str, Any] = {"name": data["name"], "spaces": data.get("spaces", True)}
    for key in ("context", "ask", "answer", "wanted", "common"):
        fields[key] = frozenset(word.lower() for word in data.get(key, ()))
    for key in ("asks_first", "asks_last", "nouns", "below", "above", "this"):
        value = data.get(key, ())
        if not isinstance(value, str):  # English names its nouns in a block of words
            fields[key] = tuple(word.lower() for word in value)
    return Language(**fields)


def _read_all() -> dict[str, str]:
    folder = files("ifcurate.contexts").joinpath("languages")
    found = (path for path in folder.iterdir() if path.name.endswith(".toml"))
    return {p.name[:-5]: p.read_text(encoding="utf-8") for p in sorted(found, key=lambda p: p.name)}


_TEXTS = _read_all()
LANGUAGES: tuple[Language, ...] = tuple(_read_language(text) for text in _TEXTS.values())
#: The English file as it stands: its vocabulary is finer than that of the others.
ENGLISH: dict[str, Any] = tomllib.loads(_TEXTS["en"])

_SCRIPTS = (
    ("Japanese", re.compile(r"[\u3040-\u30ff]")),
    ("Chinese", re.compile(r"[\u3400-\u9fff]")),
    ("Hindi", re.compile(r"[\u0900-\u0963\u0966-\u097f]")),
    ("Bengali", re.compile(r"[\u0980-\u09ff]")),
    ("Arabic", re.compile(r"[\u0600-\u06ff]")),
    ("Russian", re.compile(r"[\u0400-\u04ff]")),
)
_BY_NAME = {language.name: language for language in LANGUAGES}
_LATIN = tuple(language for language in LANGUAGES if language.common)


@lru_cache(maxsize=8192)
def _languages_of(line: str) -> tuple[Language, ...]:
    """The languages, English left out, that a line may be of."""
    if line.isascii():
        return _LATIN
    for name, script in _SCRIPTS:
        if script.search(line):
            return (_BY_NAME[name],)
    return _LATIN


@lru_cache(maxsize=8192)
def asks_in(line: str) -> bool:
    """Whether a line asks for something, in a language other than English."""
    return len(line) <= 500 and any(language.asks(line) for language in _languages_of(line))


@lru_cache(maxsize=8192)
def points_in(line: str) -> str:
    """How a line points to a text, in a language other than English; see `Language.points`."""
    if len(line) > 500:
        return ""
    ways = (
        lang.points(line)
        for lang in _languages_of(line)
        if lang.asks(line) or "?" in line or not lang.common
    )
    return next((way for way in ways if way), "")


@lru_cache(maxsize=8192)
def wants_question(line: str) -> bool:
    """Whether a line speaks of a question, so that the question itself still follows."""
    line = line.lower()
    words = set(re.findall(r"\w+", line))
    return any(
        (word in line) if not language.spaces or not word.isascii() else word in words
        for language in (*_languages_of(line), _BY_NAME["English"])
        for word in language.ask
        if len(word) > 1
    )


def count_words(text: str, enough: int = 100) -> int:
    """How many words a text has, counted no further than `enough`.

    Where a script sets no blanks two characters count as one word.
    """
    if text.isascii():
        return len(text.split(None, enough))
    unspaced = len(_NOT_SPACED.findall(text[: 2 * enough + 200]))
    return min(enough + 1, len(text.split(None, enough)) + unspaced // 2)
