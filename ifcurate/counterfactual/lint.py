"""A linter for anybody's counterfactual rows: question, context, answer, remembered answer.

It reads one file and reports what a careful reader would: the remembered answer
or a part of it left in the context, pronouns or titles of the other gender,
names put where another person, place or thing was meant, articles, an answer
that is not in the context, and rows that occur twice. Nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ifcurate.records import Example

from .edit.anchored import memory_answers
from .edit.forms import GENERIC_WORDS, HONOURS
from .lexicon.name_words import TITLES
from .lexicon.tables import Lexicon, fold, load_lexicon
from .lexicon.wording import FUNCTION_WORDS, PARTICLES, words
from .verify.gender import count_pronouns, follow_pronouns

__all__ = ["CHECKS", "Finding", "check_rows"]

CHECKS = {
    "memory-in-context": "the remembered answer is named in the context",
    "partial-name": "a part of the remembered answer's name is left in the context",
    "gender": "pronouns or a title do not fit the answer's name",
    "over-replacement": "the answer's name stands where another name or word was meant",
    "article": "a or an does not fit the answer",
    "answer-not-in-context": "the answer cannot be read from the context",
    "same-answer": "answer and remembered answer are the same",
    "answer-in-question": "the question names the answer",
    "duplicate": "the same context and question occurred before",
}
_OTHER_ROLES = frozenset({"original", "abstain"})  # rows of a pair that are no counterfactuals
_PLACE_OF = re.compile(r"\b(?:town|city|village|hamlet|county|province|region|state) of \Z")
_ROMAN = re.compile(r"[IVX]+\Z")
_SENTENCE_WORDS = words(
    """
    though although despite unlike young known named born like together while during following
    throughout ultimately indeed early later inspired driven such works today tragically sadly
    through beyond without within even still soon once upon initially eventually
    """
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one row."""

    row: int  # 0-based, in its source
    source: str
    check: str  # a key of CHECKS
    detail: str
    excerpt: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return asdict(self)


def check_rows(examples: Iterable[Example]) -> Iterator[Finding]:
    """Findings of all rows in their order; rows without a context or an answer are passed over."""
    lexicon = load_lexicon()
    seen: dict[tuple[str, str], int] = {}
    for example in examples:
        context, answer = example.context_text, _answer(example)
        if not context or not answer or example.row.get("ifcurate_role") in _OTHER_ROLES:
            continue
        yield from _check(example, context, answer, lexicon)
        key = (context, example.without_context().instruction)
        if key in seen:
            yield _finding(example, "duplicate", f"first at row {seen[key]}")
        seen.setdefault(key, example.row_number)


def _answer(example: Example) -> str:
    given = example.row.get("answer")
    text = given if isinstance(given, str) and given.strip() else example.response
    return text.strip()


def _finding(example: Example, check: str, detail: str, excerpt: str = "") -> Finding:
    return Finding(example.row_number, example.source, check, detail, excerpt)


def _around(text: str, start: int, end: int) -> str:
    return " ".join(text[max(0, start - 40) : end + 40].split())


def _check(example: Example, context: str, answer: str, lexicon: Lexicon) -> Iterator[Finding]:
    memory = memory_answers(example.row)
    original = example.row.get("ifcurate_original")
    if isinstance(original, str) and example.row.get("ifcurate_policy") != "alias":
        memory = tuple(dict.fromkeys([*memory, original]))
    person = _is_person(answer, example.instruction, lexicon)
    if fold(answer) not in fold(context):
        yield _finding(example, "answer-not-in-context", answer)
    if _word(answer, example.without_context().instruction):
        yield _finding(example, "answer-in-question", answer)
    for name in memory:
        if fold(name) == fold(answer):
            yield _finding(example, "same-answer", name)
        elif found := _word(name, context):
            yield _finding(example, "memory-in-context", name, _around(context, *found))
        else:
            yield from _partial(example, context, answer, name, lexicon)
    for article in re.finditer(rf"\b(an?) {re.escape(answer)}(?!\w)", context, re.I):
        if (article[1].lower() == "an") != bool(re.match(r"[AEIOaeio]|U(?!n[ik]|[KS])", answer)):
            yield _finding(example, "article", article.group(), _around(context, *article.span()))
    if person:
        yield from _gender(example, context, answer, lexicon)
        yield from _over(example, context, answer, lexicon)


def _word(name: str, text: str) -> tuple[int, int] | None:
    match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.I)
    return match.span() if match else None


def _parts(name: str) -> list[str]:
    plain = [w for w in re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", name) if len(w) > 2]
    return [
        w for w in plain if w[0].isupper() and w.lower() not in PARTICLES | GENERIC_WORDS | HONOURS
    ]


def _is_person(answer: str, question: str, lexicon: Lexicon) -> bool:
    asked = re.search(
        r"\b(?:who|whom|whose)\b|name of the (?:\w+ )?(?:artist|author|politician|scientist|"
        r"composer|writer|person|actor|president|leader|inventor|painter|player)",
        question,
        re.I,
    )
    first = answer.split(" ")[0].lower()
    listed = first in lexicon.gender and " " in answer and not lexicon.is_place(answer)
    return answer[:1].isupper() and len(answer.split()) <= 5 and bool(asked or listed)


def _partial(
    example: Example, context: str, answer: str, name: str, lexicon: Lexicon
) -> Iterator[Finding]:
    own = {fold(p) for p in _parts(answer)}
    asked = fold(example.without_context().instruction)
    for part in _parts(name) if len(_parts(name)) > 1 else ():
        if fold(part) in own or part.lower() in lexicon.common or fold(part) in asked:
            continue
        match = re.search(rf"(?<!\w){re.escape(part)}(?!\w)", context)
        if match:
            yield _finding(example, "partial-name", part, _around(context, *match.span()))


def _gender(example: Example, context: str, answer: str, lexicon: Lexicon) -> Iterator[Finding]:
    first = answer.split(" ")[0].lower()
    listed = TITLES.get(first, "") or lexicon.gender.get(first, "")
    if listed not in {"m", "f"}:
        return
    he, she = count_pronouns([context])
    near = follow_pronouns([context], [answer, *_parts(answer)])
    own, other = (he, she) if listed == "m" else (she, he)
    near_own, near_other = near if listed == "m" else near[::-1]
    if other > max(own, 1) and (near_other > near_own or other >= 3 * own):
        said = "he" if listed == "f" else "she"
        yield _finding(
            example, "gender", f"{answer}: {said} {other} times, the other pronoun {own} times"
        )


def _over(example: Example, context: str, answer: str, lexicon: Lexicon) -> Iterator[Finding]:
    """The first place where a part of the name is in a name or a word that is not the answer's."""
    own = {p.lower() for p in re.findall(r"[^\W_]+", answer)}
    told: set[str] = set()
    titles = [w for w in answer.split(" ") if w.lower() in HONOURS]
    for part in dict.fromkeys([*_parts(answer), *titles, answer]):
        for match in re.finditer(rf"(?<!\w){re.escape(part)}([a-z]*)", context):
            why = _misplaced(context, match, part, own, lexicon)
            if why and why not in told:
                told.add(why)
                yield _finding(example, "over-replacement", why, _around(context, *match.span()))


def _misplaced(
    context: str, match: re.Match[str], part: str, own: set[str], lexicon: Lexicon
) -> str:
    start, end = match.span()
    if match[1]:
        return "" if match.group().lower() in own else match.group()
    left, right = context[max(0, start - 40) : start], context[end : end + 30]
    if _PLACE_OF.search(left):
        return left.split(" ")[-3].strip() + " of " + part if left.count(" ") > 2 else part
    after = re.match(r"[ -]([A-Z][\w’']*(?:-\w+)?)", right)
    if after and not _belongs(after[1], own):
        return f"{part} {after[1]}"
    before = re.search(r"([A-Z][\w’'.-]*) (?:(?:de|da|di|van|von) )?\Z", left)
    if before is None or _belongs(before[1], own):
        return ""
    word = before[1].lower().rstrip(".").removesuffix("'s").removesuffix("’s")
    opens = not left[: before.start()].strip() or left[: before.start()].rstrip(' "“(')[-1:] in (
        ".",
        "!",
        "?",
        ":",
        ";",
        "\n",
        "",
    )
    ordinary = word in FUNCTION_WORDS | _SENTENCE_WORDS | lexicon.common or word in TITLES
    particle = re.search(r" (?:de|da|di|van|von) \Z", left)
    if particle is None and (ordinary or (opens and word not in lexicon.gender)):
        return ""
    if before[1].endswith(".") or (particle is None and before[1].endswith(("'s", "’s"))):
        return ""
    return f"{left[before.start() :].strip()} {part}"


def _belongs(word: str, own: set[str]) -> bool:
    bare = re.sub(r"['’]s?\Z", "", word).lower()
    return (
        bare in own
        or all(p.lower() in own for p in re.findall(r"[^\W_]+", bare))
        or (bare in FUNCTION_WORDS and not _ROMAN.match(word))
    )
