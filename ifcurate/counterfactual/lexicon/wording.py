"""Word lists from `words.toml`, and functions for words in texts."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

_MARKS = re.compile("[\u0300-\u036f]+")  # combining accents
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "’": "'"})
_NO_WORD = re.compile(r"\W")
_END_MARKS = re.compile(r"(?:\s*(?:<\|[\w-]{1,24}\|>|</s>|<eos>|<end_of_turn>|\[EOS\]))+\s*\Z")


_LISTS: Final[Mapping[str, Any]] = tomllib.loads(
    files(__package__).joinpath("words.toml").read_text("utf-8")
)


def word_list(name: str) -> tuple[str, ...]:
    """Return a list of `words.toml` in its order."""
    return tuple(_LISTS[name].split())


def word_set(name: str) -> frozenset[str]:
    """Return a list of `words.toml` as a set."""
    return frozenset(_LISTS[name].split())


def word_sets(table: str) -> dict[str, tuple[str, ...]]:
    """Return the lists of a table of `words.toml` by their keys."""
    return {key: tuple(text.split()) for key, text in _LISTS[table].items()}


def word_keys(table: str) -> dict[str, str]:
    """Return the key of each word in a table of `words.toml`; the key `unknown` becomes ""."""
    keys: dict[str, str] = {}
    for key, words in word_sets(table).items():
        for word in words:
            keys.setdefault(word, "" if key == "unknown" else key)
    return keys


def either(name: str) -> str:
    """Return a list of `words.toml` as the alternatives of a pattern."""
    return re.sub(r"\s*\|\s*|\s*\n", "|", _LISTS[name].strip())


FUNCTION_WORDS = word_set("function_words")

#: Small words inside family names.
PARTICLES = word_set("particles")


#: Titles before a name; the value is the gender they show.
TITLES = word_keys("titles")

#: Words that are always names, although short, or also words or places; the value is the gender.
SHORT_NAMES = word_keys("short_names")

#: Last words of names, with the type they give the name: "Harvard University", "Hudson River".
ENDINGS = word_keys("endings")
#: Last words of the names of organisations, places and works, which are not family names.
NO_SURNAMES = frozenset(ENDINGS) | word_set("no_surnames")
#: Words inside longer names that are not distinctive.
DESCRIBING = word_set("describing")
#: Words of names that are not distinctive.
GENERIC_WORDS = word_set("generic_words")


#: Words of names that are initials ("J.K.", "B"), or a number or a suffix at their end.
INITIALS = re.compile(r"(?:[A-Z]\.)+\Z|[A-Z]\Z")
SUFFIX = re.compile(r"(?:[IVX]+|Jr|Sr)\.?\Z")


def fold(text: str) -> str:
    """Lower case without accents, for comparisons only: offsets in it differ from the text's."""
    if text.isascii():
        return text.lower()
    return _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold())).translate(_LETTERS)


def word_places(word: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of one or more whole words in a text, in the same letter case."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
            yield start, end
        start = text.find(word, start + 1)


def has_word(word: str, text: str) -> bool:
    """Return whether a text contains one or more whole words, in the same letter case."""
    return any(word_places(word, text))


def word_before(text: str, start: int) -> str:
    """Return the word before a position, in lower case; "" unless a space is between them."""
    if start < 2 or text[start - 1] != " ":
        return ""
    token = text[text.rfind(" ", 0, start - 1) + 1 : start - 1]
    return (token if token.isalpha() else _NO_WORD.split(token)[-1]).lower()


def without_end_marks(response: str) -> str:
    """Return the response without markers that end a text, such as `<|endoftext|>`."""
    return _END_MARKS.sub("", response)


def starts_with_vowel(word: str) -> bool:
    """Return whether "an" precedes the word, by its sound."""
    low = word.lower()
    if re.match(r"u(?:n[ie]|k|s|r[aiu]|t[ai])|eu|ewe|one", low):
        return False
    return low[:1] in "aeiou" or low.startswith(("8", "11", "18", "hour", "honest"))
