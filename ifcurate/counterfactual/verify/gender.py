"""H11: the gender that a substitute must have, from the name, a gender field, the pronouns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..edit.forms import Refusal

__all__ = ["count_pronouns", "follow_pronouns", "settle_gender"]

_HE = re.compile(r"\b(?:he|him|his|himself|he's|he'd|he'll)\b", re.I)
_SHE = re.compile(r"\b(?:she|her|hers|herself|she's|she'd|she'll)\b", re.I)
_FIELD = re.compile(
    r"\b(?:gender|sex)\b[\"']?\s*[:=]\s*[\"']?\s*(male|female|man|woman|m|f)\b", re.I
)
#: What may stand between a name and the pronoun that takes it up.
_FOLLOWS = re.compile(
    r"(?:['’]s)?(?:[^.!?\n:;\"“”A-Z]|[A-Z][a-z]+day\b|[A-Z][a-z]+ber\b){0,80}?"
    r"\b(he|him|his|himself|she|her|hers|herself)\b"
)
_WORDS = re.compile(
    r"\b(?:mr|mrs|ms|miss|man|woman|men|women|boy|girl|boys|girls|father|mother|son|daughter|"
    r"brother|sister|husband|wife|uncle|aunt|king|queen|prince|princess|actor|actress|"
    r"boyfriend|girlfriend|male|female|lady|gentleman|dad|mom|mum|guy|sir|madam|widow|widower|"
    r"bride|groom|waitress|waiter)\b",
    re.I,
)


def count_pronouns(texts: Iterable[str]) -> tuple[int, int]:
    """How many masculine and how many feminine pronouns the texts have."""
    he = she = 0
    for text in texts:
        he += len(_HE.findall(text))
        she += len(_SHE.findall(text))
    return he, she


def follow_pronouns(texts: Iterable[str], forms: Iterable[str]) -> tuple[int, int]:
    """Votes of the first pronoun after each mention, within its clause and before another name."""
    he = she = 0
    known = [f for f in forms if f]
    for text in texts:
        ends = {end for form in known for end in _ends(text, form)}
        for end in ends:
            match = _FOLLOWS.match(text, end)
            if match is None:
                continue
            if match[1] in {"he", "him", "his", "himself"}:
                he += 1
            else:
                she += 1
    return he, she


def _ends(text: str, form: str) -> Iterator[int]:
    """Where the form ends, each time it stands as whole words."""
    at = text.find(form)
    while at >= 0:
        end = at + len(form)
        if not (at and text[at - 1].isalnum()) and not text[end : end + 1].isalnum():
            yield end
        at = text.find(form, at + 1)


def settle_gender(
    listed: str,
    texts: list[str],
    *,
    forms: Iterable[str] = (),
    alone: bool,
    pronouns_rule: bool = False,
) -> str:
    """ "m", "f", or "" where either will do.

    `listed` is the name list's word: "m", "f", "b" (both) or "" (not listed);
    `alone` says that no other person is named; with `pronouns_rule` (the answer
    is given) a clear majority of pronouns goes before the list. Raises
    `Refusal` where the signs contradict each other or are missing.
    """
    fields = {f[0].lower() for t in texts for f in _FIELD.findall(t)}
    said = {"m" if f == "m" else "f" for f in fields if f in "mfw"} if fields else set()
    he, she = count_pronouns(texts)
    majority = "m" if he > 2 * she else "f" if she > 2 * he else ""
    if pronouns_rule and majority and not said:
        return majority
    if len(said) == 1:
        field = said.pop()
        if listed in {"m", "f"} and listed != field:
            raise Refusal("H11", "the name and the gender field disagree")
        return field
    near = follow_pronouns(texts, forms) if forms else (0, 0)
    if listed in {"m", "f"}:
        own, other = near if listed == "m" else near[::-1]
        if other > own:
            raise Refusal("H11", "the name and the pronouns after it disagree")
        if alone and majority and majority != listed and (he == 0 or she == 0):
            raise Refusal("H11", "the name and all pronouns disagree")
        return listed
    if near[0] != near[1] and not (near[0] and near[1]):
        return "m" if near[0] else "f"
    if he and not she:
        return "m"
    if she and not he:
        return "f"
    if he or she or any(_WORDS.search(t) for t in texts):
        raise Refusal("H11", "the name's gender is not known, and the text speaks of both")
    return ""
