"""H11: the gender that a substitute must have: a gender field, the name's own, the pronouns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..checks import Check, Refusal
from ..recognise.pronouns import count_pronouns, follow_pronouns

__all__ = ["settle_gender"]

_FIELD = re.compile(
    r"\b(?:gender|sex)\b[\"']?\s*[:=]\s*[\"']?\s*(male|female|man|woman|m|f)\b", re.I
)
_WORDS = re.compile(
    r"\b(?:mr|mrs|ms|miss|man|woman|men|women|boy|girl|boys|girls|father|mother|son|daughter|"
    r"brother|sister|husband|wife|uncle|aunt|king|queen|prince|princess|actor|actress|"
    r"boyfriend|girlfriend|male|female|lady|gentleman|dad|mom|mum|guy|sir|madam|widow|widower|"
    r"bride|groom|waitress|waiter)\b",
    re.I,
)
_CLEAR = 3  # votes of one gender for each of the other


def settle_gender(
    listed: str, texts: Sequence[str], *, forms: Iterable[str] = (), alone: bool
) -> str:
    """ "m" or "f", "b" for a name of both, "" where either will do.

    `listed` is the name list's word: "m", "f", "b" (both) or "" (not listed); it
    counts for more than the pronouns of the page. `alone` says that no other
    person is named. Raises `Refusal` where the signs contradict each other.
    """
    fields = {f[0].lower() for t in texts for f in _FIELD.findall(t)}
    said = {"m" if f == "m" else "f" for f in fields if f in "mfw"}
    if len(said) == 1:
        field = said.pop()
        if listed in {"m", "f"} and listed != field:
            raise Refusal(Check.GENDER, "the name and the gender field disagree")
        return field
    known = list(forms)
    near = follow_pronouns(texts, known)
    he, she = count_pronouns(texts)
    if listed in {"m", "f"}:
        own, other = near if listed == "m" else near[::-1]
        against = she and not he if listed == "m" else he and not she
        bare = [f for f in known if " " not in f][-1:]  # "President Bush": not Laura Bush
        his, hers = follow_pronouns(texts, bare) if len(known) > 1 else (0, 0)
        other_bare = hers if listed == "m" else his
        if 2 * other > own or other_bare > 1 or (alone and against):
            raise Refusal(Check.GENDER, "the name and the pronouns after it disagree")
        return listed
    if max(near) >= _CLEAR * min(near) and max(near):
        return "m" if near[0] > near[1] else "f"
    if (he > 0) != (she > 0) and alone:
        return "m" if he else "f"
    return "b" if he or she or any(_WORDS.search(t) for t in texts) else ""
