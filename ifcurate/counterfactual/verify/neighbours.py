"""H8 and H10: what stands beside an edit, and whether the sentence still agrees with it."""

from __future__ import annotations

import re

from ..checks import Check, Refusal
from ..edit.edits import Edit
from ..edit.substitution import Substitution
from ..lexicon.name_words import NO_SURNAMES, TITLES
from ..lexicon.tables import ARTICLE_COUNTRIES, Lexicon, fold, load_lexicon
from ..lexicon.wording import (
    FUNCTION_WORDS,
    PARTICLES,
    either,
    starts_with_vowel,
    word_before,
    word_set,
)
from ..recognise.people import BEFORE_PEOPLE as _BEFORE_PEOPLE
from ..recognise.spans import PATTERNED, VALUES
from ..recognise.values import date_mentions

__all__ = ["check_agreement", "check_nesting"]

_CAPITAL = r"[A-ZÀ-ÖØ-ÞĀ-Ž]"
_BEFORE = re.compile(rf"({_CAPITAL}[\w'’.-]*)( | (?:of|de|von|the|and|&) (?:the )?)\Z")
_AFTER = re.compile(
    r"\A(?:['’]s)? (?:(?:of|de|von|the|and|&) (?:the )?)?([A-ZÀ-ÖØ-ÞĀ-Ž0-9][\w'’-]*)"
)
_PARTICLE_BEFORE = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(PARTICLES))}) \Z")
_QUOTED = re.compile(r"[\"“‘']([^\"“”‘\n]{3,90})[\"”’'](?!\w)")
_NICKNAMED = re.compile(r" [\"“'(]\w+[\"”')] [A-Z]")
_NICKNAME_BEFORE = re.compile(r"[A-Z]\w* [\"“'(]\w+[\"”')] \Z")
_NUMBERED = re.compile(r"(?:\d(?:st|nd|rd|th)?|[A-Z][\w-]* (?:and|&)) \Z")
_SHORT_FORM = re.compile(r"[.,]? ?\((?:[A-Z]+: ?)?[A-Z]{2,}[A-Z.]*\)")
#: A name that another name or a thing shares: "a Tom and Jerry cartoon", "a bright red Porsche".
_PAIR = re.compile(r"\ban? [A-Z]\w+ (?:and|&) \Z")
_ARTICLE = re.compile(r"\ban? (?:[a-z]+ ){1,2}\Z")
#: "the news agency Sana", "bands such as Pink Floyd and Oasis", "the Sana news agency".
_THING = f"(?:{either('makers')}|{either('things')})"
_THING_BEFORE = re.compile(
    rf"\b{_THING}(?: (?:called|named)|(?:e?s)?,? (?:such as|like|including)"
    r"(?: [A-Z][^.;:()\n]{0,60}(?:,|and|or))?)? \Z"
)
_THING_AFTER = re.compile(
    rf" {_THING}\b|(?:, | (?:is|was) )(?:an?|the) "
    rf"(?:(?!(?:of|in|for|at|with|from|to|who|and) )[\w-]+ ){{0,3}}?{_THING}"
    r"(?=[,.;:)]| (?:that|by)\b)"
)
#: "Movement for Justice Party", "Men's Boxing Club": words that a longer name begins with.
_HEAD = re.compile(rf"({_CAPITAL}\w*) (?:for|against|on) (?:the )?\Z")
_GROUP = re.compile(rf"\b(?:{either('groups')})['’]s? \Z", re.I)
#: Another notation of a date beside it: "(O.S. 23 November)", "(18 Brumaire)".
_CALENDAR = re.compile(rf"\b(?:{either('calendars')})", re.I)
_BRACKET_BEFORE = re.compile(r"[(\[][^()\[\]]{0,40}\Z")
_BRACKET_AFTER = re.compile(r"(?:,? ?\d{4})? ?[(\[]([^()\[\]]{0,80})")
_APART = _BEFORE_PEOPLE | FUNCTION_WORDS  # "a boy named Tim", "a fight with Tim"
_WHERE = re.compile(r"(?:https?://|www\.|@|#|\\|/)\S*\Z")
_DAYS = word_set("days")
_EPITHETS = word_set("epithets")
#: What is named after somebody, not owned: "Valentine's Day", "Levi's Stadium".
_NAMED_AFTER = NO_SURNAMES | {"day", "eve", "cross", "disease", "law", "inn", "place"}


def check_nesting(text: str, start: int, end: int, lexicon: Lexicon, plan: Substitution) -> None:
    """H8: raise `Refusal` where the span is inside a longer name, a title, a URL, a compound."""
    left, right = text[max(0, start - 60) : start], text[end : end + 60]
    _check_joined(text[start:end], left[-1:], right, plan)
    if _WHERE.search(left):
        raise Refusal(Check.NESTING, "inside an address or a path")
    if plan.type == "DATE":
        _check_calendar(text, start, end)
    if plan.type in VALUES or plan.type == "WORK":
        return
    if plan.type == "PERSON":
        _check_named_alone(text, start, end)
    elif plan.type in PATTERNED:
        _check_whole_organisation(text, start, end)
    name = text[start:end]
    beside = _Beside(lexicon, plan, name)
    if found := beside.longer_to_the_left(left):
        raise Refusal(Check.NESTING, f"{found + name!r} is a longer name")
    if found := beside.longer_to_the_right(right):
        raise Refusal(Check.NESTING, f"{name + found!r} is a longer name")
    _check_title(text, start, end)


def _check_named_alone(text: str, start: int, end: int) -> None:
    """A person's name has no "a" before it, and no quoted nickname between its parts."""
    if word_before(text, start) in {"a", "an"}:
        raise Refusal(Check.NESTING, f"'a {text[start:end]}' is no person's name")
    left = text[max(0, start - 40) : start]
    described = word_before(text, start) not in _APART and _ARTICLE.search(left)
    if shared := _PAIR.search(left) or described:
        raise Refusal(Check.NESTING, f"{shared.group() + text[start:end]!r} may be a thing")
    thing = _THING_BEFORE.search(text, max(0, start - 90), start) or _THING_AFTER.match(text, end)
    if thing:
        raise Refusal(Check.NESTING, f"{text[start:end]!r} is a thing: {thing.group().strip()!r}")
    if _NICKNAMED.match(text, end) or _NICKNAME_BEFORE.search(text, max(0, start - 30), start):
        raise Refusal(Check.NESTING, f"a nickname beside {text[start:end]!r}")


def _check_calendar(text: str, start: int, end: int) -> None:
    """No other notation of the same day stands in brackets beside a date, or around it."""
    left, after = text[max(0, start - 90) : start], _BRACKET_AFTER.match(text, end)
    inside = _BRACKET_BEFORE.search(left)
    dated = inside and any(m.end + 1 >= inside.start() for m in date_mentions(left))
    beside = _CALENDAR.search(left[-16:] + "\n" + text[end : end + 40])
    if beside or dated or (after and date_mentions(after[1])):
        raise Refusal(Check.NESTING, f"another notation beside {text[start:end]!r}")


def _check_whole_organisation(text: str, start: int, end: int) -> None:
    """A number, "and", "Movement for", "Men's" before it is part of it; letters after are short."""
    left = text[max(0, start - 40) : start]
    head = _HEAD.search(left)
    headed = head and head[1].lower() in NO_SURNAMES
    if headed or _GROUP.search(left) or _NUMBERED.search(left):
        raise Refusal(Check.NESTING, f"something longer than {text[start:end]!r}")
    if _SHORT_FORM.match(text, end):
        raise Refusal(Check.NESTING, f"a short form after {text[start:end]!r}")


def _check_joined(name: str, before: str, right: str, plan: Substitution) -> None:
    """A compound, an address, a name of a variable: a sign joins the name to a longer word."""
    if before and before in "-/\\@#_~":
        raise Refusal(Check.NESTING, f"{before + name!r} is part of a longer word")
    joined = re.match(r"[-/.][\w]", right) and plan.type != "DATE"
    if right[:1] in {"@", "_", "\\"} or joined:
        raise Refusal(Check.NESTING, f"{name + right[:2]!r} is part of a longer word")


class _Beside:
    """Whether the capitalised word beside a name makes it another, longer name."""

    def __init__(self, lexicon: Lexicon, plan: Substitution, name: str):
        self._lexicon, self._plan, self._name = lexicon, plan, name
        self._person = plan.type == "PERSON"

    def longer_to_the_left(self, left: str) -> str:
        """The words before it that belong to a longer name, "" for none."""
        if self._person and (particle := _PARTICLE_BEFORE.search(left)):
            return particle.group()
        found = _BEFORE.search(left)
        if found is None:
            return ""
        word, link = found[1], found[2].strip()
        low = word.lower().rstrip(".")
        if _stands_apart(word, low, link):
            return ""
        belongs = self._belongs(word, low, link, _opens(left[: found.start()]))
        return found.group() if belongs else ""

    def _belongs(self, word: str, low: str, link: str, opens: bool) -> bool:
        """Whether the word before, linked so, makes the name a longer one."""
        if link == "&":
            return self._plan.span.shape != "full"
        if link in {"and", "and the"}:
            return not (opens or self._name_like(word) or self._person)
        if link == "the":
            return not (opens or self._ordinary(low))
        return not (self._ordinary(low) and (opens or link != ""))

    def _ordinary(self, low: str) -> bool:
        """A word of the language, capitalised because the sentence begins: "Regarding"."""
        lexicon = self._lexicon
        return low in lexicon.common or (
            low.endswith(("ing", "ly", "ed")) and fold(low) not in lexicon.gender
        )

    def longer_to_the_right(self, right: str) -> str:
        """The words after it that belong to a longer name, "" for none."""
        found = _AFTER.search(right)
        if found is None:
            return ""
        word = found[1]
        low = word.lower()
        own = right.startswith(("'s", "’s"))
        link = right[: found.start(1)].removeprefix("'s").removeprefix("’s").strip()
        if link == "and" and low in {"me", "i", "you", "us"}:
            return found.group()  # "Mr Banks and Me" is a title
        if low in FUNCTION_WORDS | _DAYS:
            return ""
        if own:
            plain = not self._person or link != "" or low not in _NAMED_AFTER
        elif self._person:
            plain = self._plain_person(low, link, right[found.end() :])
        else:
            plain = self._plain_thing(word, link)
        return "" if plain else found.group()

    def _plain_thing(self, word: str, link: str) -> bool:
        """Whether the next capitalised word or number leaves another name as it is."""
        if word[0].isdigit():
            return True
        return link in {"and", "and the", "the"} and self._name_like(word)

    def _plain_person(self, low: str, link: str, rest: str) -> bool:
        """Whether the next capitalised word leaves a person's name as it is."""
        if link == "the":
            return low not in _EPITHETS  # "earned Bohr the Nobel Prize"
        more = re.match(rf"(?:['’]s)? (?:of )?(?:the )?({_CAPITAL}\w*)", rest)
        if link in {"and", "&"}:  # "Morgana and Milner", but not "Smith and Wesson Inc."
            ends = more is not None and more[1].lower() in NO_SURNAMES
            return (
                not ends
                and low not in NO_SURNAMES
                and (link == "and" or self._plan.span.shape == "full")
            )
        # "Lenin and the Bolsheviks", but not "and the Philosopher's Stone"
        return link == "and the" and more is None

    def _name_like(self, word: str) -> bool:
        key = fold(word)
        if self._person:
            return key in self._lexicon.gender or key in self._lexicon.surnames
        return self._lexicon.is_place(word) or self._lexicon.country(word)[0] != ""


def _stands_apart(word: str, low: str, link: str) -> bool:
    """Whether the word before a name is a title, an owner, or the end of a sentence."""
    if low in FUNCTION_WORDS | _DAYS:
        return True
    if not link and (low in TITLES or low.endswith(("'s", "’s"))):
        return True
    return word[-1] == "." and len(word) > 2 and low not in TITLES


def _opens(before: str) -> bool:
    stripped = before.rstrip(" \"'“‘(*-[{")
    return not stripped or stripped[-1] in ".!?:;\n>|," or "\n" in before[len(stripped) :]


def _check_title(text: str, start: int, end: int) -> None:
    """A quoted title around the name; the quotes of "Notch" in a name are none."""
    window = text[max(0, start - 95) : end + 95]
    offset = max(0, start - 95)
    for quoted in _QUOTED.finditer(window):
        a, b = quoted.start(1) + offset, quoted.end(1) + offset
        if a <= start and end <= b and (a, b) != (start, end):
            found = re.findall(r"[^\W\d_][\w'’-]*", quoted[1])
            capital = [w for w in found if w[0].isupper()]
            longer = len(found) > len(re.findall(r"[^\W\d_][\w'’-]*", text[start:end]))
            if longer and len(found) <= 10 and len(capital) >= 0.5 * len(found):
                raise Refusal(Check.NESTING, f"inside the title {quoted[1][:60]!r}")


def check_agreement(after: str, edit: Edit, plan: Substitution) -> None:
    """H10: raise `Refusal` where an article, a possessive or the letter case does not agree."""
    left = after[max(0, edit.new_start - 8) : edit.new_start]
    right = after[edit.new_end : edit.new_end + 3]
    article = re.search(r"(?<!\w)(an?) \Z", left, re.I)
    if article and (article[1].lower() == "an") != starts_with_vowel(edit.new):
        raise Refusal(Check.AGREEMENT, f"{article[1]} {edit.new}")
    _check_possessive(edit, right)
    if plan.type == "COUNTRY" and edit.old == plan.original and plan.span.shape == "name":
        _check_country_article(after, left, edit.new)
    particle = edit.old.split(" ")[0] in PARTICLES
    changed = edit.new[:1].isupper() != edit.old[:1].isupper() and not edit.old[:1].isdigit()
    if changed and not particle:
        reason = f"the letter case of {edit.old!r} and {edit.new!r}"
        raise Refusal(Check.AGREEMENT, reason)


def _check_country_article(after: str, left: str, name: str) -> None:
    """ "the US", but "US has withdrawn": the article is the new country's matter, everywhere."""
    the = bool(re.search(r"(?<!\w)the \Z", left, re.I))
    code = load_lexicon().country_names.get(name.lower(), "")
    alone = after.strip(" .") == name  # the answer itself: a name needs no article
    if code and not alone and the != (code in ARTICLE_COUNTRIES):
        raise Refusal(Check.AGREEMENT, f"{'the ' if the else ''}{name}")


def _check_possessive(edit: Edit, right: str) -> None:
    """ "Engels' book", "Kemp's book": a name in s stands where a name in s stood."""
    ends, ended = edit.new.endswith("s"), edit.old.endswith("s")
    bare = right[:1] in {"'", "’"} and right[1:2] not in {"s", "S"} and ended
    if (bare and not ends) or (right[:2] in {"'s", "’s"} and ends and not ended):
        raise Refusal(Check.AGREEMENT, f"{edit.new + right[:2]}: the possessive of a name in s")
