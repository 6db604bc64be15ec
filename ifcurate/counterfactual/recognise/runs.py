"""Runs of capitalised words: "Dr. Mary Shelley", "Ludwig van Beethoven", "New York City"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..lexicon.wording import TITLES

_TOKEN = re.compile(r"(?<!\w)(?:(?:[A-Z]\.)+(?!\w)|[A-ZÀ-ÖØ-ÞĀ-Ž](?:[^\W_]|['’-](?=[^\W\d_]))*)")
_PARTICLES = re.compile(
    r" (?:(?:de|da|di|del|della|van|von|der|den|la|le|dos|du|bin|ibn|al|el|ter) )*\Z"
)


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive capitalised words with their places in the text."""

    words: tuple[tuple[int, int, str], ...]
    opens: bool  # it begins a sentence, a line or a field

    @property
    def start(self) -> int:
        """The start of the first word."""
        return self.words[0][0]

    @property
    def end(self) -> int:
        """The end of the last word, exclusive."""
        return self.words[-1][1]


def _tokens(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _TOKEN.finditer(text):
        start, end, word = match.start(), match.end(), match.group()
        if word[-1] == "s" and word[-2:-1] in {"'", "’"}:
            end, word = end - 2, word[:-2]
        if word[0].isupper():
            yield start, end, word


def capital_runs(text: str) -> Iterator[Run]:
    """Runs of capitalised words in order, with particles between them."""
    words: list[tuple[int, int, str]] = []
    for token in _tokens(text):
        if words and _joined(text, words[-1], token):
            words.append(token)
            continue
        if words:
            yield Run(tuple(words), _opens(text, words[0][0]))
        words = [token]
    if words:
        yield Run(tuple(words), _opens(text, words[0][0]))


def _joined(text: str, word: tuple[int, int, str], token: tuple[int, int, str]) -> bool:
    """Return whether two words belong to one run, by the text between them."""
    gap = text[word[1] : token[0]]
    if gap == " ":
        return True
    if len(gap) > 24 or not gap.startswith((" ", ". ")):
        return False
    if gap == ". ":  # "Mr. Smith": the full stop of a title
        return word[2].lower() in TITLES
    return bool(_PARTICLES.match(gap))


def _opens(text: str, start: int) -> bool:
    before = text[max(0, start - 4) : start].rstrip(" \"'“‘(*#-")
    return not before or before[-1] in ".!?:\n>|" or "\n" in text[max(0, start - 4) : start]
