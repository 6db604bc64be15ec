"""H8 and H10: what stands beside an edit, and whether the sentence still agrees with it."""

from __future__ import annotations

import re

from ..edit.edits import Edit
from ..edit.forms import Refusal, Substitution
from ..lexicon.name_words import TITLES
from ..lexicon.tables import ARTICLE_COUNTRIES, Lexicon, load_lexicon
from ..lexicon.wording import FUNCTION_WORDS, PARTICLES, words

__all__ = ["check_agreement", "check_nesting", "starts_with_vowel"]

_BEFORE = re.compile(r"([A-ZÀ-ÖØ-Þ][\w'’.-]*)( | (?:of|de|von|the|and|&) (?:the )?)\Z")
_AFTER = re.compile(r"\A(?:['’]s)? (?:(?:of|de|von|the|and|&) (?:the )?)?([A-ZÀ-ÖØ-Þ0-9][\w'’-]*)")
_QUOTED = re.compile(r"[\"“‘']([^\"“”‘\n]{3,90})[\"”’'](?!\w)")
_WHERE = re.compile(r"(?:https?://|www\.|@|#|\\|/)\S*\Z")
_DAYS = words(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june
    july august september october november december i
    """
)


def check_nesting(
    text: str, start: int, end: int, lexicon: Lexicon, plan: Substitution, *, anchored: bool = False
) -> None:
    """H8: raise `Refusal` where the span is inside a longer name, a title, a URL, a compound."""
    left, right = text[max(0, start - 60) : start], text[end : end + 60]
    before, after = left[-1:], right[:1]
    if before in "-/\\@#_.~" and before and (before != "." or not re.search(r"\.\s*\Z", left)):
        raise Refusal("H8", f"{before + text[start:end]!r} is part of a longer word")
    if (after and after in "@_\\") or (re.match(r"[-/.][\w]", right) and plan.type != "DATE"):
        raise Refusal("H8", f"{text[start:end] + right[:2]!r} is part of a longer word")
    if _WHERE.search(left):
        raise Refusal("H8", "inside an address or a path")
    if plan.type not in {"DATE", "MONEY", "YEAR", "NUMBER", "QUANTITY"}:
        _check_run(text, start, end, left, right, lexicon, plan, anchored)
        _check_title(text, start, end)


def _check_run(
    text: str,
    start: int,
    end: int,
    left: str,
    right: str,
    lexicon: Lexicon,
    plan: Substitution,
    anchored: bool,
) -> None:
    name = text[start:end]
    if found := _BEFORE.search(left):
        _check_left(found, left, name, lexicon, plan, anchored)
    if plan.type == "PERSON" and _PARTICLE_BEFORE.search(left):
        raise Refusal("H8", f"{left[-4:] + name!r} is a longer name")
    if found := _AFTER.search(right):
        _check_right(found, right, name, lexicon, plan, anchored)


_PARTICLE_BEFORE = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(PARTICLES))}) \Z")
_DIRECTIONS = frozenset({"east", "west", "north", "south"})


def _check_left(
    found: re.Match[str],
    left: str,
    name: str,
    lexicon: Lexicon,
    plan: Substitution,
    anchored: bool,
) -> None:
    word, link = found[1], found[2].strip()
    low = word.lower().rstrip(".")
    own = low.endswith(("'s", "’s"))
    title = low in TITLES and not link
    if (own and not link) or title or low in FUNCTION_WORDS | _DAYS:
        return
    if word[-1] == "." and len(word) > 2 and low not in TITLES:
        return  # a sentence ends there
    opens = _opens(left[: found.start()])
    ordinary = low in lexicon.common
    longer = Refusal("H8", f"{word + found[2] + name!r} is a longer name")
    if not link:
        if opens and ordinary:
            return
        if anchored and (low in lexicon.adjectives and plan.type not in {"PERSON", "COUNTRY"}):
            return
        if anchored and low in _DIRECTIONS and plan.type == "CITY":
            return
        raise longer
    if link.split(" ")[0] in {"of", "de", "von"}:
        if not ordinary:
            raise longer
    elif link == "&" or (not opens and not _name_like(word, lexicon, plan) and not anchored):
        raise longer


def _check_right(
    found: re.Match[str],
    right: str,
    name: str,
    lexicon: Lexicon,
    plan: Substitution,
    anchored: bool,
) -> None:
    word = found[1]
    low = word.lower()
    own = right.startswith(("'s", "’s"))
    link = right[: found.start(1)].removeprefix("'s").removeprefix("’s").strip()
    longer = Refusal("H8", f"{name + right[: found.end()]!r} is a longer name")
    if low in FUNCTION_WORDS | _DAYS:
        return
    if own and not link:
        # "Valentine's Day", "Levi's Stadium": named after somebody, not owned
        if plan.type == "PERSON" and " " not in plan.original and not anchored:
            raise longer
        return
    if own or (word[0].isdigit() and plan.type != "PERSON"):
        return
    if plan.type == "PERSON":
        if link == "the" and low not in _EPITHETS:
            return  # "earned Bohr the Nobel Prize"
        if link == "and" and (anchored or _name_like(word, lexicon, plan)):
            return
        if link == "and the" and not re.match(
            r"(?:['’]s)? (?:of )?(?:the )?[A-ZÀ-ÖØ-Þ]", right[found.end() :]
        ):
            return  # "Lenin and the Bolsheviks", but not "and the Philosopher's Stone"
    elif link in {"and", "and the", "the"} and (
        lexicon.is_place(word) or low in lexicon.adjectives or low in lexicon.plurals or anchored
    ):
        return
    raise longer


_EPITHETS = words(
    """
    great terrible elder younger first second third conqueror fair bold good wise lionheart baptist
    apostle evangelist confessor magnificent impaler
    """
)


def _name_like(word: str, lexicon: Lexicon, plan: Substitution) -> bool:
    low = word.lower()
    if plan.type == "PERSON":
        return low in lexicon.gender or low in lexicon.surnames
    return lexicon.is_place(word) or low in lexicon.adjectives or low in lexicon.plurals


def _opens(before: str) -> bool:
    stripped = before.rstrip(" \"'“‘(*-[{")
    return not stripped or stripped[-1] in ".!?:;\n>|," or "\n" in before[len(stripped) :]


def _check_title(text: str, start: int, end: int) -> None:
    window = text[max(0, start - 95) : end + 95]
    offset = max(0, start - 95)
    for quoted in _QUOTED.finditer(window):
        a, b = quoted.start(1) + offset, quoted.end(1) + offset
        if a <= start and end <= b and (a, b) != (start, end):
            words = re.findall(r"[^\W\d_][\w'’-]*", quoted[1])
            capital = [w for w in words if w[0].isupper()]
            if (
                len(words) <= 10
                and len(capital) >= 0.5 * len(words)
                and len(words) > len(re.findall(r"[^\W\d_][\w'’-]*", text[start:end]))
            ):
                raise Refusal("H8", f"inside the title {quoted[1][:60]!r}")


def check_agreement(after: str, edit: Edit, plan: Substitution) -> None:
    """H10: raise `Refusal` where an article, a possessive or the letter case does not agree."""
    left = after[max(0, edit.new_start - 8) : edit.new_start]
    right = after[edit.new_end : edit.new_end + 3]
    article = re.search(r"(?<!\w)(an?) \Z", left, re.I)
    if article and (article[1].lower() == "an") != starts_with_vowel(edit.new):
        raise Refusal("H10", f"{article[1]} {edit.new}")
    bare = right[:1] in {"'", "’"} and right[1:2] not in {"s", "S"} and edit.old.endswith("s")
    if bare and not edit.new.endswith("s"):
        raise Refusal("H10", f"{edit.new + right[:1]}: the possessive of a name in s")
    if right[:2] in {"'s", "’s"} and edit.new.endswith("s") and not edit.old.endswith("s"):
        raise Refusal("H10", f"{edit.new + right[:2]}: the possessive of a name in s")
    if plan.type == "COUNTRY" and edit.old == plan.original and plan.detail.startswith("name:"):
        # "the US", but "US has withdrawn": the article is the new country's matter, everywhere
        the = bool(re.search(r"(?<!\w)the \Z", left, re.I))
        code = load_lexicon().country_names.get(edit.new.lower(), "")
        alone = after.strip(" .") == edit.new  # the answer itself: a name needs no article
        if code and not alone and the != (code in ARTICLE_COUNTRIES):
            raise Refusal("H10", f"{'the ' if the else ''}{edit.new}")
    if edit.new[:1].isupper() != edit.old[:1].isupper() and (
        edit.old.split(" ")[0] not in PARTICLES
    ):
        raise Refusal("H10", f"the letter case of {edit.old!r} and {edit.new!r}")


def starts_with_vowel(word: str) -> bool:
    """Whether "an" stands before it: by sound, for the names that matter."""
    low = word.lower()
    if re.match(r"u(?:n[ie]|k|s|r[aiu]|t[ai])|eu|ewe|one", low):
        return False
    return low[:1] in "aeiou" or low.startswith(("8", "11", "18", "hour", "honest"))
