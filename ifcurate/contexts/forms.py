"""The form of a text regardless of its content: titles, options, numbers; and shared words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import patterns
from .words import NOT_SPACED, count_words


def is_directive(body: str, limit: float = 0.6) -> bool:
    """Return whether a text directs the model's behaviour instead of stating facts.

    `limit` is how many directing words per sentence a source of facts may have.
    """
    head = body[:1500]
    if patterns.PERSONA.match(head.lstrip(" -*#\n")):
        return True
    n_sentences = max(1, len(re.findall(r"[.!?\n](?=\s|$)", head)))
    return len(patterns.DIRECTIVE.findall(head)) / n_sentences > limit


def is_choices(text: str) -> bool:
    """Return whether a text is a list of short options to choose from."""
    lines = [line for line in text[:3000].splitlines() if line.strip()]
    lengths = sorted(count_words(line) for line in lines if patterns.OPTION.match(line.strip()))
    return (
        len(lengths) >= 2 and len(lengths) >= 0.7 * len(lines) and lengths[len(lengths) // 2] <= 5
    )


def is_title(line: str) -> bool:
    """Return whether a line is a few capitalised words: the name of a text, not the text."""
    if len(line) > 160 or "\n" in line:
        return False
    words = [w for w in re.findall(r"[\w'’]+", line) if len(w) > 3]
    capitals = sum(w[0].isupper() for w in words)
    return len(words) < 14 and capitals >= 0.7 * len(words)


_NUMBER = re.compile(r"(?:^|[\n(]|[.?!:,;]\s)\s*(?:[-*•]|\(?([A-Za-z]|\d{1,2})[.):])\s*[\"'“]?$")


def number_before(part: str) -> str | None:
    """Return the number at the end of a fixed part: "b" of "(B) "; "" for a bullet."""
    match = _NUMBER.search(part)
    return (match[1] or "").lower() if match else None


_SHORT_NUMBER = re.compile(r"(?<!\w)\d{1,3}(?!\w)")


def is_sum(text: str) -> bool:
    """Return whether a short text has several numbers, like a calculation."""
    return len(text) < 200 and len(_SHORT_NUMBER.findall(text)) > 1


def shared_words(text: str, other: str) -> float:
    """Return the share of the words of the text with fewer words that the other text has too.

    Words of four letters and more count, by their first five. In a script without blanks, pairs of
    characters are words.
    """
    both = [_content_words(part[:4000].lower()) for part in (text, other)]
    least = min(map(len, both))
    return len(both[0] & both[1]) / least if least else 0.0


def _content_words(text: str) -> set[str]:
    if NOT_SPACED.search(text):
        return set(re.findall(rf"(?=({NOT_SPACED.pattern}{{2}}))", text))
    return {word[:5] for word in re.findall(r"\w{4,}", text)}


def shared_start(texts: Sequence[str]) -> str:
    """Return the characters with which all texts begin."""
    low, high = min(texts), max(texts)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:n]
