"""H11: the gender that a substitute must have, by a gender field, the name and the pronouns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..checks import Check, Refusal
from ..recognise.pronouns import count_pronouns, follow_pronouns, subject_votes

_FIELD = re.compile(
    r"\b(?:gender|sex)\b[\"']?\s*[:=]\s*[\"']?\s*(male|female|man|woman|m|f)\b", re.I
)
_CLEAR = 3  # votes of one gender per vote of the other that decide


def settle_gender(
    listed: str, texts: Sequence[str], *, forms: Iterable[str] = (), alone: bool
) -> str:
    """ "m", "f", "b" (a name of both genders), or "" if any name fits.

    `listed` is the gender in the name list: "m", "f", "b" (both) or "" (not listed). It has
    precedence over the pronouns of the text. `alone` means that no other person is named. Raises
    `Refusal` if the evidence is contradictory.
    """
    field = _field(texts)
    if field:
        if listed in {"m", "f"} and listed != field:
            raise Refusal(Check.GENDER, "the name and the gender field disagree")
        return field
    known = list(forms)
    near, page = follow_pronouns(texts, known), count_pronouns(texts)
    if listed in {"m", "f"}:
        votes = [near, page, _bare_votes(texts, known), subject_votes(texts, known)]
        if _contradict(votes if listed == "m" else [v[::-1] for v in votes], alone):
            raise Refusal(Check.GENDER, "the name and the pronouns after it disagree")
        return listed
    return _by_pronouns(texts, near, page, alone)


def _contradict(votes: Sequence[tuple[int, int]], alone: bool) -> bool:
    """Whether the votes are for the other gender, which is second in each pair."""
    own, whole, bare, subject = votes
    only_other = alone and whole[1] > 0 and not whole[0]
    return 2 * own[1] > own[0] or bare[1] > 1 or subject[1] > subject[0] or only_other


def _by_pronouns(
    texts: Sequence[str], near: tuple[int, int], page: tuple[int, int], alone: bool
) -> str:
    """The gender of an unlisted name, by the pronouns near it or in the whole text."""
    he, she = page
    if max(near) >= _CLEAR * min(near) and max(near):
        return "m" if near[0] > near[1] else "f"
    if alone and (he > 0) != (she > 0):
        return "m" if he else "f"
    return "b" if he or she else ""


def _field(texts: Sequence[str]) -> str:
    """The value of a "gender" field, "" if there is none or the values differ."""
    fields = {f[0].lower() for t in texts for f in _FIELD.findall(t)}
    said = {"m" if f == "m" else "f" for f in fields if f in "mfw"}
    return said.pop() if len(said) == 1 else ""


def _bare_votes(texts: Sequence[str], forms: Sequence[str]) -> tuple[int, int]:
    """Pronouns after the family name alone: "Bush ... he" beside "Laura Bush"."""
    bare = [f for f in forms if " " not in f][-1:]
    return follow_pronouns(texts, bare) if len(forms) > 1 else (0, 0)
