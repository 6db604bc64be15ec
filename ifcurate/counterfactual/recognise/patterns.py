"""Organisations, buildings, events, places and works: names with a word that shows their type.

The evidence is in the name ("Harvard University", "Battle of Hastings"), before
it ("the newspaper Le Monde"), or around it (a title in
quotes beside "novel"). A name without such evidence is not proposed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..lexicon.tables import LEXICON
from ..lexicon.wording import DESCRIBING, ENDINGS, either, fold, word_before, word_keys, word_set
from .people import is_listed_pair
from .runs import Run
from .spans import Span

_OF = (" of ", " of the ")
_HEADS = word_keys("heads")  # "University of Leeds", "Battle of Hastings"
_LEADS = word_keys("leads")  # "Lake Superior", "Mount Hood", "Fort Worden"
_MAKER = either("makers")
_MAKER_BEFORE = re.compile(rf"\b(?:{_MAKER})(?: called| named)? \Z")
_LAST_BEFORE = {w for w in re.split(r"\W+", _MAKER) if w} | {"called", "named"}
_LAST_BEFORE |= {"startup", "organisation", "organization"}
#: A title in quotes, but not a nickname: 'James "Jimmie" Rainwood'.
_WORK = re.compile(r"[\"“]([A-ZÀ-ÖØ-Þ0-9][^\"“”\n]{1,70}?)(?:[.,!?][\"”]|[\"”](?! [A-Z]))")
_WORK_CUE = re.compile(rf"\b(?:{either('work_cues')})\b")
_WORK_AFTER = re.compile(
    rf",? (?:is |was )?(?:an?|the|his|her|their) (?:[\w'-]+ ){{0,3}}?{_WORK_CUE.pattern}"
)
_SMALL = word_set("small_words")
_GENERIC = frozenset(ENDINGS)
_WITH_ARTICLE = frozenset({"river", "desert"})


def pattern_spans(path: str, text: str, runs: Sequence[Run]) -> Iterator[Span]:
    """Typed spans of one text in the order of the runs, then works."""
    before: Run | None = None
    for run in runs:
        if before is not None and text.endswith(_OF, before.end, run.start):
            yield from _by_head(path, text, before, run)
        else:
            yield from _by_words(path, text, run)
        before = run
    for match in _WORK.finditer(text):
        left, right = text[max(0, match.start() - 40) : match.start()], text[match.end() :][:40]
        if _is_title(match[1]) and (_WORK_CUE.search(left) or _WORK_AFTER.match(right)):
            yield Span(path, *match.span(1), "WORK", match[1])


def _by_head(path: str, text: str, before: Run, run: Run) -> Iterator[Span]:
    """ "University of Leeds": the word before "of" gives the type."""
    words = before.words[1:] if before.words[0][2] == "The" else before.words
    kind = _HEADS.get(words[0][2].lower(), "") if len(words) == 1 else ""
    if kind and distinctive(text[run.start : run.end]):
        start = words[0][0]
        yield Span(path, start, run.end, kind, text[start : run.end])


def _without_openers(run: Run) -> list[tuple[int, int, str]]:
    words = list(run.words)
    while run.opens and len(words) > 1 and words[0][2].lower() in LEXICON.openers:
        words.pop(0)
    return words[1:] if words[0][2] == "The" and len(words) > 1 else words


def _by_words(path: str, text: str, run: Run) -> Iterator[Span]:
    words = _without_openers(run)
    start, end = words[0][0], words[-1][1]
    name = text[start:end]
    person = is_listed_pair([word for _, _, word in words])  # "George Hall"
    kind, code = "" if person else pattern_type(name), LEXICON.class_of.get(fold(name), "")
    if not kind and code:
        article = text[max(0, start - 4) : start].lower() == "the "
        kind = "LOC" if article or code not in _WITH_ARTICLE else ""
    elif not kind and len(words) <= 3 and _is_maker(text, start, name):
        kind = "ORG"
    if kind:
        yield Span(path, start, end, kind, name, code=code)


def _is_maker(text: str, start: int, name: str) -> bool:
    """Return whether the word before a name calls it a company, a newspaper, a band."""
    # "the singer of the band Andrés Nusser" may name the singer.
    given = " " in name and fold(name.split(" ")[0]) in LEXICON.gender
    if given or LEXICON.is_place(name) or word_before(text, start) not in _LAST_BEFORE:
        return False
    return bool(_MAKER_BEFORE.search(text, max(0, start - 40), start) and distinctive(name))


def pattern_type(name: str) -> str:
    """ORG, FAC, EVENT or LOC for a name by its own words, "" for any other."""
    words = fold(name).replace(".", "").split(" ")
    if len(words) < 2 or not distinctive(name):
        return ""
    if words[0] in _LEADS:
        return _LEADS[words[0]]
    return ENDINGS.get(words[-1], "")


def distinctive(name: str) -> str:
    """Return the part of a name that can be replaced: `Harvard` of `Harvard Medical School`.

    "" if no part is a name, or the part is the name of a country or a state.
    """
    words = name.split(" ")
    low = [fold(w).rstrip(".") for w in words]
    first, last = _leading_words(low), len(words)
    while last > first + 1 and low[last - 1] in _GENERIC:
        last -= 1
    part, low = " ".join(words[first:last]), low[first:last]
    return "" if _is_no_name(part, low) else part


def _leading_words(low: Sequence[str]) -> int:
    """Return the number of leading generic words: 2 of "University of Leeds", 1 of "Lake Como"."""
    if len(low) > 1 and low[0] in _LEADS:
        return 1
    return 2 if len(low) > 2 and low[1] == "of" and low[0] in _HEADS else 0


def _is_no_name(part: str, low: Sequence[str]) -> bool:
    """Return whether a part names a country or a state, or has ordinary words only."""
    if any(w in LEXICON.nations for w in (*low, fold(part))):
        return True
    return all(w in DESCRIBING or w in LEXICON.openers for w in low)


def _is_title(title: str) -> bool:
    large = [w for w in title.split(" ") if w.lower() not in _SMALL]
    return bool(large) and all(w[:1].isupper() or w[:1].isdigit() for w in large)
