"""H8 and H10: the text beside an edit, and the agreement of the sentence with the new name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..edit.edits import Edit
from ..edit.views import within
from ..lexicon.tables import ARTICLE_COUNTRIES, LEXICON
from ..lexicon.wording import (
    FUNCTION_WORDS,
    PARTICLES,
    TITLES,
    either,
    starts_with_vowel,
    word_before,
    word_set,
)
from ..recognise.people import BEFORE_PEOPLE as _BEFORE_PEOPLE
from ..recognise.spans import PATTERNED, VALUES
from ..recognise.values import date_mentions
from .cases import Case

_CAPITAL = r"[A-ZÀ-ÖØ-ÞĀ-Ž]"
_BEFORE = re.compile(rf"({_CAPITAL}[\w'’.-]*)( | (?:of|de|von|the|and|&) (?:the )?)\Z")
_AFTER = re.compile(
    r"\A(?:['’]s)? (?:(?:of|de|von|the|and|&) (?:the )?)?([A-ZÀ-ÖØ-ÞĀ-Ž0-9][\w'’-]*)"
)
_PARTICLE_BEFORE = re.compile(rf"(?<!\w)(?:(?:{'|'.join(sorted(PARTICLES))}) |[dDlL]['’])\Z")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
#: Words before a noun, not before a person's name: "an Ernest", "her Dad", "his Pleyel piano".
_NOUN_BEFORE = {"a", "an", "my", "your", "his", "her", "its", "our", "their"}
_OWNER = re.compile(r"['’]s [A-Z]")  # "Martha's Vineyard"
_QUOTED = re.compile(r"[\"“‘']([^\"“”‘\n]{3,90})[\"”’'](?!\w)")
_NICKNAMED = re.compile(r" [\"“'(]\w+[\"”')] [A-Z]")
_AFTER_NICKNAME = re.compile(r"[A-Z]\w* [\"“'(]\w+[\"”')] \Z")
_NUMBERED = re.compile(r"(?:\d(?:st|nd|rd|th)?|[A-Z][\w-]* (?:and|&)) \Z")
_SHORT_FORM = re.compile(r"[.,]? ?\((?:[A-Z]+: ?)?[A-Z]{2,}[A-Z.]*\)")
#: A shared name, or a thing with a name: "a Tom and Jerry cartoon", "a bright red Porsche".
_PAIR = re.compile(r"\ban? [A-Z]\w+ (?:and|&) \Z")
_ARTICLE = re.compile(r"\ban? (?:[a-z]+ ){1,2}\Z")
#: "the news agency Sana", "bands such as Pink Floyd and Oasis", "the Sana news agency".
_THING = f"(?:{either('makers')}|{either('things')})"
_THING_BEFORE = re.compile(
    rf"\b{_THING}(?: (?:called|named)|(?:e?s)?,? (?:such as|like|including)"
    r"(?: [A-Z][^.;:()\n]{0,60}(?:,|and|or))?)? \Z"
)
_IS = r"(?:, | (?:is|was) )(?:an?|the) (?:(?!(?:of|in|for|at|with|from|to|who|and) )[\w-]+ ){0,3}?"
_THING_AFTER = re.compile(rf" {_THING}\b|{_IS}{_THING}(?=[,.;:)]| (?:that|by)\b)")
#: A place with the name: "Hale is a village in", "the village of Hale", "from Hale, Ohio".
_PLACE = f"(?:{either('places')})"
_PLACE_BEFORE = re.compile(
    rf"\b(?:{_PLACE} (?:of|called|named)|capital (?:is|was)|"
    r"(?:born|died|lives?|lived|raised|based|located) in) \Z"
)
_PLACE_AFTER = re.compile(
    rf" (?:railway )?station\b|{_IS}{_PLACE}(?=[,.;:)]| (?:in|of|on|near|with|where|that)\b)"
)
#: Answers, turns and later sentences of a passage, which may begin with a part of a name.
_NO_HEAD = re.compile(r"\A[^\[]*\Z|answer|alias|messages|conversations|\]\[[1-9]\d*\]\Z")
_HEADING = re.compile(r"(?: \(?[a-z]\w+\)?){0,2}\Z| (?:is|are|was|were) (?:an?|the) ")
_REGION_BEFORE = re.compile(r"\b(?:in|from|near) \Z")
#: Another notation of a date beside it: "(O.S. 23 November)", "(18 Brumaire)".
_CALENDAR = re.compile(rf"\b(?:{either('calendars')})", re.I)
_BRACKET_BEFORE = re.compile(r"[(\[][^()\[\]]{0,40}\Z")
_BRACKET_AFTER = re.compile(r"(?:,? ?\d{4})? ?[(\[]([^()\[\]]{0,80})")
_APART = _BEFORE_PEOPLE | FUNCTION_WORDS  # "a boy named Tim", "a fight with Tim"
_NO_PART = FUNCTION_WORDS | word_set("days")
_MORE = re.compile(rf"(?:['’]s)? (?:of )?(?:the )?{_CAPITAL}")
_EPITHETS = word_set("epithets")


def check_nesting(case: Case) -> Iterator[str]:
    """H8: no edit is part of a longer name, a title, an address or a compound."""
    plan = case.plan
    inside = [e for e in case.edits if within(e, case.view.context)]
    if plan.type == "PERSON" and all(_OWNER.match(case.before[e.path], e.end) for e in inside):
        yield f"{plan.original!r} occurs only in a longer name"
    for edit in case.edits:
        yield from _check_place(case, case.before[edit.path], edit)


def _check_place(case: Case, text: str, edit: Edit) -> Iterator[str]:
    """H8 for one edit."""
    kind, start, end = case.plan.type, edit.start, edit.end
    left, right = text[max(0, start - 60) : start], text[end : end + 60]
    yield from _check_joined(edit.old, left[-1:], right)
    if kind == "DATE":
        yield from _check_calendar(text, start, end)
    if kind != "WORK":
        yield from _check_title(text, start, end)
    if kind == "PERSON":
        yield from _check_named_alone(text, edit)
    elif kind in PATTERNED - {"WORK"}:
        yield from _check_whole_organisation(text, start, end)
    if kind not in VALUES | {"WORK"}:
        if before := _longer_to_the_left(case, left):
            yield f"{before + edit.old!r} is a longer name"
        if after := _longer_to_the_right(case, right):
            yield f"{edit.old + after!r} is a longer name"
    if kind in PATTERNED | {"PERSON"}:
        yield from _check_same(case, text, edit)


def _check_named_alone(text: str, edit: Edit) -> Iterator[str]:
    """Yield the name is not that of a thing, and no quoted nickname follows it."""
    name, start, end = edit.old, edit.start, edit.end
    before, left = word_before(text, start), text[max(0, start - 40) : start]
    if before in _NOUN_BEFORE:
        yield f"'{before} {name}' is no person's name"
    if shared := _PAIR.search(left) or (before not in _APART and _ARTICLE.search(left)):
        yield f"{shared.group() + name!r} may be a thing"
    thing = _THING_BEFORE.search(text, max(0, start - 90), start) or _THING_AFTER.match(text, end)
    if thing:
        yield f"{name!r} is a thing: {thing.group().strip()!r}"
    if _NICKNAMED.match(text, end) or _AFTER_NICKNAME.search(left):
        yield f"a nickname is beside {name!r}"


def _check_same(case: Case, text: str, edit: Edit) -> Iterator[str]:
    """Yield a part of the name is not that of a place, nor of what another passage is about."""
    alone = " " not in edit.old and not text.startswith(("'s", "’s"), edit.end)
    left = text[max(0, edit.start - 40) : edit.start]
    region = LEXICON.is_place(edit.old) or text.startswith(", ", edit.end)  # "from Hale, Ohio"
    before = _PLACE_BEFORE.search(left) or (region and _REGION_BEFORE.search(left))
    if (alone and before) or _PLACE_AFTER.match(text, edit.end):
        yield f"{edit.old!r} may be a place"
    heads = alone and edit.start == 0 and not _NO_HEAD.search(edit.path)
    if heads and " " in case.plan.original and _HEADING.match(text, edit.end):
        yield f"{edit.old!r} is what another passage is about"


def _check_calendar(text: str, start: int, end: int) -> Iterator[str]:
    """No other notation of the same day is beside the date, or in its brackets."""
    left, after = text[max(0, start - 90) : start], _BRACKET_AFTER.match(text, end)
    inside = _BRACKET_BEFORE.search(left)
    dated = inside and any(m.end + 1 >= inside.start() for m in date_mentions(left))
    beside = _CALENDAR.search(left[-16:] + "\n" + text[end : end + 40])
    if beside or dated or (after and date_mentions(after[1])):
        yield f"another notation is beside {text[start:end]!r}"


def _check_whole_organisation(text: str, start: int, end: int) -> Iterator[str]:
    """No number and no "and" precedes the name, and no short form follows."""
    if _NUMBERED.search(text, max(0, start - 40), start):
        yield f"something longer contains {text[start:end]!r}"
    if _SHORT_FORM.match(text, end):
        yield f"a short form follows {text[start:end]!r}"


def _check_joined(name: str, before: str, right: str) -> Iterator[str]:
    """No sign joins the name to a longer word: a compound, an address, a variable."""
    if before and before in "-/\\@#_~":
        yield f"{before + name!r} is part of a longer word"
    if re.match(r"[@_\\]|[-/.]\w", right):
        yield f"{name + right[:2]!r} is part of a longer word"


def _longer_to_the_left(case: Case, left: str) -> str:
    """Return the words before a name that make it a longer name; "" if there is none."""
    person = case.plan.type == "PERSON"
    if person and (particle := _PARTICLE_BEFORE.search(left)):
        return particle.group()
    match = _BEFORE.search(left)
    if match is None:
        return ""
    word, link = match[1], match[2].strip()
    low = word.lower().rstrip(".")
    if low in _NO_PART or word[-1] == ".":
        apart = True
    elif link in {"and", "and the", "&"}:
        person = person and (link != "&" or case.plan.span.shape == "full")
        apart = person or LEXICON.is_place(word)
    elif not link and (low in TITLES or low.endswith(("'s", "’s"))):
        apart = True
    else:  # "Regarding Smith" at the start of a sentence, but not "the Great Wall of China"
        inside = link in {"", "of"} and not _opens(left[: match.start()])
        apart = low in LEXICON.common and not inside
    return "" if apart else match.group()


def _longer_to_the_right(case: Case, right: str) -> str:
    """Return the words after a name that make it a longer name; "" if there is none."""
    match = _AFTER.search(right)
    if match is None:
        return ""
    word, own = match[1], right.startswith(("'s", "’s"))
    low, link = word.lower(), right[2 * own : match.start(1)].strip()
    if case.plan.type != "PERSON":
        linked = link in {"and", "and the", "the"}
        apart = own or word[0].isdigit() or (linked and LEXICON.is_place(word))
    elif own or low in _NO_PART:
        apart = True
    elif link == "the":
        apart = low not in _EPITHETS  # "earned Bohr the Nobel Prize"
    elif link in {"and", "&"}:
        apart = low not in {"me", "i", "you", "us"}  # "Mr Banks and Me" is a title
    else:  # "Lenin and the Bolsheviks", but not "and the Philosopher's Stone"
        apart = link == "and the" and not _MORE.match(right, match.end())
    return "" if apart else match.group()


def _opens(before: str) -> bool:
    return before.rstrip(" \"'“‘(*-[{")[-1:] in ".!?:;\n>|,"


def _check_title(text: str, start: int, end: int) -> Iterator[str]:
    """Yield the name is not inside a quoted title. A quoted nickname is not a title."""
    window, offset = text[max(0, start - 95) : end + 95], max(0, start - 95)
    size = len(_WORD.findall(text[start:end]))
    for quoted in _QUOTED.finditer(window):
        a, b = quoted.start(1) + offset, quoted.end(1) + offset
        words = _WORD.findall(quoted[1])
        capital = [w for w in words if w[0].isupper()]
        titled = size < len(words) <= min(10, 2 * len(capital)) and not quoted[1][0].islower()
        if a <= start and end <= b and titled:
            yield f"inside the title {quoted[1][:60]!r}"


def check_agreement(case: Case) -> Iterator[str]:
    """H10: the article and the possessive fit the new name."""
    for edit in case.edits:
        after, start, end = case.after[edit.path], edit.new_start, edit.new_end
        left = after[max(0, start - 8) : start]
        article = re.search(r"(?<!\w)(an?) \Z", left, re.I)
        if article and (article[1].lower() == "an") != starts_with_vowel(edit.new):
            yield f"{article[1]} {edit.new}"
        yield from _check_possessive(edit, after[end : end + 3])
        if LEXICON.country(edit.old)[0] == "name" and after.strip(" .") != edit.new:
            the = bool(re.search(r"(?<!\w)the \Z", left, re.I))
            if the != (LEXICON.country(edit.new)[1] in ARTICLE_COUNTRIES):
                yield f"{'the ' if the else ''}{edit.new}"


def _check_possessive(edit: Edit, right: str) -> Iterator[str]:
    """ "Engels' book", "Kemp's book": both names end in s, or neither does."""
    ends, ended = edit.new.endswith("s"), edit.old.endswith("s")
    bare = right[:1] in {"'", "’"} and right[1:2] not in {"s", "S"} and ended
    if (bare and not ends) or (right[:2] in {"'s", "’s"} and ends and not ended):
        yield f"{edit.new + right[:2]}: the possessive of a name in s"
