"""Quotation marks, and where a quotation ends."""

from __future__ import annotations

import re

# Opening quotation marks and those that close them: German marks have two forms, and French ones
# have blanks inside.
QUOTES = {
    pair[0]: pair[1:]
    for pair in ('""', "“”", "„“”", "«»", "»«", "‘’", "''", "””", "``", "「」", "『』")
}
OPENING_MARKS = "\"“«„'‘`「『"


def closing_quote(text: str, start: int, end: int) -> int:
    """Return the place of the mark that closes the quotation at `start` before `end`, or -1.

    Quotations inside it are skipped: they open after a blank and close after a word.
    """
    opening = text[start]
    if opening not in QUOTES[opening]:
        places = [text.find(closing, start + 1, end) for closing in QUOTES[opening]]
        return min((at for at in places if at >= 0), default=-1)
    depth = 0
    for match in re.finditer(re.escape(opening), text[start:end]):
        at = start + match.start()
        before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
        opens = (not before or before in " \t\n([") and not (not after or after.isspace())
        depth += 1 if opens or at == start else -1
        if depth == 0:
            return at
    return -1
