"""The answers that a generated text names: containment of whole words after SQuAD normalisation.

Normalisation is SQuAD's (lower case, no punctuation, no articles, single
spaces), after folding accents and dropping a possessive "'s": "Paris's" names
Paris and "Sao Paulo" names São Paulo. Whole words are compared: "Nigeria" does
not name Niger. In a script without blanks between words, such as Chinese or Thai, the characters
are compared. Containment, as in Goyal et al. (ICLR 2025), ignores negation: "not
Paris but Lyon" names both.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["context", "memory", "both", "neither"]
_ARTICLES: Final = frozenset(("a", "an", "the"))
_POSSESSIVE: Final = re.compile(r"(?<=\w)['’]s\b")
_DASHES: Final = re.compile(r"[\u2010-\u2015/]")
_SYMBOLS: Final = frozenset(string.punctuation)
# Thai to Lao, Burmese, Khmer, kana, Han: scripts without blanks between words.
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_BETWEEN_ALIASES: Final = re.compile(r"\s*(?:;|\s/\s|\|)\s*|,?\s+or\s+")
_IN_BRACKETS: Final = re.compile(r"^(.*?)\s*\(([^()]+)\)\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Named:
    """Which of the two answers a text names."""

    context: bool
    memory: bool

    @property
    def outcome(self) -> Outcome:
        """The outcome as one word."""
        if self.context:
            return "both" if self.memory else "context"
        return "memory" if self.memory else "neither"


def normalise_answer(text: str) -> str:
    """SQuAD's normalisation, with accents folded and possessives dropped."""
    text = _POSSESSIVE.sub("", _DASHES.sub(" ", text.replace("-", " ")))
    folded = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(c for c in folded if not unicodedata.combining(c) and not _is_sign(c))
    return " ".join(word for word in kept.split() if word not in _ARTICLES)


def _is_sign(character: str) -> bool:
    return character in _SYMBOLS or unicodedata.category(character).startswith("P")


def names(text: str, answers: Sequence[str]) -> bool:
    """Return whether the text names one of the answers, as whole words where words have blanks."""
    found = normalise_answer(text)
    return any(_has(found, answer) for answer in map(normalise_answer, answers) if answer)


def _has(text: str, answer: str) -> bool:
    if _UNSPACED.search(answer):
        return answer.replace(" ", "") in text.replace(" ", "")
    return f" {answer} " in f" {text} "


def name_answers(text: str, context_answers: Sequence[str], memory_answers: Sequence[str]) -> Named:
    """Which of the two answers the text names."""
    return Named(names(text, context_answers), names(text, memory_answers))


def split_aliases(text: str) -> tuple[str, ...]:
    """Return the aliases in one string: "Rangoon (Yangon); Naypyidaw or Nay Pyi Taw" has four.

    Semicolons, bars, a slash between spaces, the word "or" and brackets separate aliases.
    A bracket that opens in lower case is a remark, as in "Sucre (judicial)".
    """
    aliases: list[str] = []
    for piece in _BETWEEN_ALIASES.split(text):
        bracketed = _IN_BRACKETS.match(piece)
        if bracketed:
            before, inside, after = bracketed.groups()
            aliases.append(f"{before} {after}".strip())
            if not inside[:1].islower():
                aliases.append(inside.strip())
        else:
            aliases.append(piece.strip())
    return tuple(dict.fromkeys(name for name in aliases if name)) or (text.strip(),)
