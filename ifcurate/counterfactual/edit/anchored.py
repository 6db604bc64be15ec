"""Question-context-answer rows: the answer is given, only its type has to be found.

The type comes from the shape of the answer (a date, a year, an amount), from
the tables and from the question's own words ("who", "which river", "what is
the capital"). Rows of conflict suites keep their remembered answer
(`memory_answer` or `parametric_answer`) as it is, also where the context names it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ifcurate.records import Example

from ..lexicon.fictional import fictional_names
from ..lexicon.tables import Lexicon, fold
from ..recognise.spans import Span
from ..verify.gender import settle_gender
from ..verify.geography import is_named, supports_group
from .answer_types import GENERIC, answer_head, type_of_answer
from .candidates import View
from .drawing import draw
from .edits import row_texts
from .forms import HONOURS, Refusal, Substitution
from .substitutes import propose

__all__ = [
    "Anchor",
    "anchored_plans",
    "anchored_view",
    "find_anchor",
    "is_anchored",
    "memory_answers",
]

_MEMORY = ("memory_answer", "parametric_answer")


@dataclass(frozen=True, slots=True)
class Anchor:
    """The given answer with its type; `memory` are remembered answers that stay."""

    span: Span
    memory: tuple[str, ...]
    kind: str  # the type, or the name of a closed class


def is_anchored(example: Example) -> bool:
    """Whether the row is a question with a context and a given answer."""
    row = example.row
    return (
        "question" in row
        and "context" in row
        and example.response_path.startswith("answer")
        and any(b.path == "context" for b in example.blocks)
    )


def memory_answers(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The remembered answers of a row, its lists of aliases taken apart."""
    found: list[str] = []
    for name in _MEMORY:
        value = row.get(name)
        if isinstance(value, str):
            text = re.sub(
                r"\((?:administrative|legislative|judicial|judiciary|official|de facto|"
                r"seat of government|changed [^)]*)\)",
                ";",
                value,
            )
            parts = re.split(r";|\bor\b|[()*]", text)
            found += [p.strip(" ,.*") for p in parts if len(p.strip(" ,.*")) > 1]
    return tuple(dict.fromkeys(found))


def find_anchor(view: View, row: Mapping[str, Any], lexicon: Lexicon) -> Anchor:
    """The given answer as a typed span of the context; raises `Refusal` when it has no type."""
    answer = view.texts[view.response_path].strip()
    answer = re.sub(r"\A[Tt]he (?=[A-Z])", "", answer)
    place = _locate(answer, view)
    if place is None:
        raise Refusal("H6", "the answer does not stand in the context")
    path, start, end = place
    question = view.question_text
    kind, detail = type_of_answer(answer, question, lexicon)
    span = Span(path, start, end, kind, answer, detail)
    return Anchor(span, memory_answers(row), kind)


def _locate(answer: str, view: View) -> tuple[str, int, int] | None:
    for flags in (0, re.I):
        pattern = re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)", flags)
        for path, start, end in view.context:
            match = pattern.search(view.texts[path], start, end)
            if match:
                return path, match.start(), match.end()
    return None


def anchored_plans(
    anchor: Anchor, view: View, lexicon: Lexicon, *, policy: str, key: str, pools: Any = None
) -> Iterator[tuple[Substitution, str]]:
    """Substitutions with the gender each needs, best first."""
    span = anchor.span
    if span.type == "PERSON":
        gender = settle_gender(
            span.detail.split(":")[1],
            [view.context_text],
            alone=True,
            pronouns_rule=True,
            forms=[span.text, *span.text.split(" ")],
        )
        # a title is part of the given answer and goes with it: it may contradict the pronouns
        untitled = span.text.split(" ")[0].lower() in HONOURS
        for plan in propose(
            span,
            view.texts,
            lexicon,
            policy=policy,
            key=key,
            gender=gender,
            pools=pools,
            untitled=untitled,
        ):
            yield plan, gender
        return
    if span.type == "CITY":
        yield from ((p, "") for p in _city_plans(anchor, view, lexicon, policy, key, pools))
        return
    if span.type in {"COUNTRY", "DATE", "MONEY", "YEAR", "NUMBER", "QUANTITY"}:
        article = span.type == "COUNTRY" and any(
            re.search(rf"(?<!\w)the {re.escape(span.text)}(?!\w)", t, re.I)
            for t in view.texts.values()
        )
        for plan in propose(
            span, view.texts, lexicon, policy=policy, key=key, article=article, pools=pools
        ):
            yield plan, ""
        return
    yield from ((p, "") for p in _class_plans(anchor, lexicon, key))


def _city_plans(
    anchor: Anchor, view: View, lexicon: Lexicon, policy: str, key: str, pools: Any
) -> Iterator[Substitution]:
    """Cities of the country that the question names, then made-up ones."""
    span = anchor.span
    if policy in {"type-swap", "alias"}:
        yield from propose(span, view.texts, lexicon, policy=policy, key=key)
        return
    group = _country_of(anchor, view, lexicon)
    if group and policy in {"lexicon", "corpus"}:
        real = Span(span.path, span.start, span.end, "CITY", span.text, group)
        with contextlib.suppress(Refusal):
            yield from propose(real, view.texts, lexicon, policy=policy, key=key, pools=pools)
    names = fictional_names("city")
    for count, index in enumerate(draw(key + "|city", len(names))):
        if count >= 6:
            return
        name = names[index]
        yield Substitution(
            "CITY", span.text, name, span.detail, {span.text: name}, source="fictional"
        )


def _country_of(anchor: Anchor, view: View, lexicon: Lexicon) -> str:
    asked = fold(view.question_text)
    groups = [g for g in anchor.span.detail.split("|") if g]
    own = [g for g in groups if supports_group(g, asked, lexicon)]
    if len(own) == 1:
        return own[0]
    for code, country in lexicon.countries.items():
        names = [n for n in (*country.names, country.adjective) if len(n) > 3]
        if any(is_named(n, asked) for n in names):
            if code == "US" and groups:
                return groups[0]
            return code
    return groups[0] if len(groups) == 1 else ""


def _class_plans(anchor: Anchor, lexicon: Lexicon, key: str) -> Iterator[Substitution]:
    span = anchor.span
    kind = span.type.lower()
    names = lexicon.classes[kind]
    head = answer_head(span.text)
    generic = GENERIC.get(kind, "")
    taken = {fold(answer_head(m)) for m in (*anchor.memory, span.text)}
    for index in draw(key, len(names)):
        new = names[index]
        if fold(answer_head(new)) in taken:
            continue
        forms = {span.text: new if span.text != head else answer_head(new)}
        if generic and kind not in {"lake", "mountain"}:
            forms[head] = answer_head(new)
            forms[f"{head} {generic}"] = f"{answer_head(new)} {generic}"
        if kind == "continent":
            forms[_adjective(span.text)] = _adjective(new)
        if kind in {"animal", "people"}:
            forms |= _plurals(span.text, forms[span.text])
        if span.text.islower():
            forms = {a: b.lower() for a, b in forms.items()}
        yield Substitution(span.type, span.text, forms[span.text], "", forms, source="lexicon")


def _adjective(continent: str) -> str:
    if continent == "Europe":
        return "European"
    if continent == "Antarctica":
        return "Antarctic"
    return continent + "n"


def _plurals(old: str, new: str) -> dict[str, str]:
    if old.endswith("s") and new.endswith("s"):
        return {old[:-1]: new[:-1]}
    if old.endswith("s") or new.endswith("s") or not new[-1].isalpha():
        return {}
    return {old + "s": new + "s"}


def anchored_view(example: Example, view: View) -> View:
    """The same view with the remembered answers kept out of the edits."""
    kept = {p for p in row_texts(example.row) if p.split(".")[0].split("[")[0] in _MEMORY}
    return View(view.texts, view.context, view.question, view.response_path, view.keep | kept)
