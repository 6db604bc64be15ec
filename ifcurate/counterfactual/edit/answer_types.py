"""What kind of thing a given answer is: by its shape, the tables, and the question's words."""

from __future__ import annotations

import re

from ..lexicon.kinds import types_by_table
from ..lexicon.tables import Lexicon
from ..recognise.names import person_detail
from ..recognise.values import date_mentions, number_mentions
from .forms import Refusal

__all__ = ["GENERIC", "answer_head", "type_of_answer"]

_PERSON = re.compile(
    r"\b(?:who|whom|whose|(?:name of the|which|what) (?:\w+ ){0,2}(?:artist|author|composer|"
    r"politician|scientist|writer|painter|inventor|president|leader|person|actor|actress|singer|"
    r"player|explorer|philosopher|king|queen|emperor|minister|man|woman|founder|director))\b",
    re.I,
)
_CITY = re.compile(
    r"\b(?:which|what|these)(?: of these)?"
    r"(?: (?!(?:country|river|sea|ocean|state|island)\b)\w+){0,4}?"
    r" (?:capital|city|cities|town|metropolis)\b|\bwhere\b",
    re.I,
)
_NAMED = r"\bwhat (?:is|was) (?:the )?(?:name of the )?(?:\w+ ){0,3}"
_ASKED = r"\b(?:which|what)(?: (?!(?:the|of|is|was)\b)[\w.'’]+){0,4}? "
_CLASSES = {
    "river": r"rivers?",
    "ocean": r"oceans?|body of water|seas?",
    "continent": r"continents?",
    "planet": r"planets?",
    "desert": r"deserts?",
    "island": r"islands?",
    "lake": r"lakes?",
    "mountain": r"mountains?|volcano(?:es)?|peaks?",
    "animal": r"animals?|mammals?",
    "currency": r"currency|currencies",
    "empire": r"empires?|civili[sz]ations?",
    "museum": r"museums?",
    "waterfall": r"waterfalls?",
    "rainforest": r"rainforests?",
    "nation": r"country",
    "prize": r"categor(?:y|ies)",
    "people": r"civili[sz]ations?|tribes?",
    "landmark": r"landmarks?|structures?|monuments?|walls?",
    "ship": r"ships?|vessels?",
    "operation": r"code ?names?|operations?",
    "war": r"wars?|events?|conflicts?",
    "plant": r"power (?:plants?|stations?)",
    "state": r"states?",
}
#: Classes whose question word is enough, even for an answer that the table does not have.
_OPEN = frozenset({"river", "ocean", "planet", "desert", "lake", "animal", "currency", "empire"})
#: Words that belong to a class name and may or may not be written with it.
GENERIC = {
    "river": "River",
    "ocean": "Ocean",
    "desert": "Desert",
    "empire": "Empire",
    "rainforest": "Rainforest",
    "waterfall": "Falls",
    "lake": "Lake",
    "mountain": "Mount",
}


def type_of_answer(answer: str, question: str, lexicon: Lexicon) -> tuple[str, str]:
    """The type (or the closed class) of an answer, and the detail of its span.

    Raises `Refusal` when it has none that is known.
    """
    dates = date_mentions(answer)
    if dates and dates[0].text == answer:
        parts = (dates[0].year, dates[0].month, dates[0].day)
        return "DATE", "-".join("" if p is None else str(p) for p in parts)
    number = next(number_mentions(answer), None)
    if number is not None and (number.outer_start, number.outer_end) == (0, len(answer)):
        return number.kind, f"{number.value:g} {number.scale}".strip()
    if any(c.isdigit() for c in answer):
        raise Refusal("type", "the answer is partly a number")
    tables = types_by_table(answer) | types_by_table(answer_head(answer))
    if _PERSON.search(question):
        return "PERSON", _person(answer, lexicon)
    heads = [
        n
        for n, p in _CLASSES.items()
        if re.search(
            rf"{_ASKED}(?:{p})\b|{_NAMED}(?:{p})\b",
            question,
            re.I,
        )
    ]
    for name in heads:
        if name.upper() in tables:
            return name.upper(), ""
    if re.search(
        rf"{_ASKED}(?:country|nation)|\bwhat (?:is|was) the \w+ country", question, re.I
    ) and ("COUNTRY" in tables):
        return "COUNTRY", _country(answer, lexicon)
    for name in heads:
        if name in _OPEN:
            return name.upper(), ""
    where = re.search(r"\bwhere\b", question, re.I)
    if _CITY.search(question) and not (where and "CITY" not in tables):
        return "CITY", "|".join(lexicon.groups(answer))
    if "COUNTRY" in tables and "CITY" not in tables:
        return "COUNTRY", _country(answer, lexicon)
    closed = sorted(t for t in tables if t.lower() in lexicon.classes)
    if len(closed) == 1 and (
        where or re.search(rf"\b(?:{_CLASSES[closed[0].lower()]})\b", question, re.I)
    ):
        return closed[0], ""
    raise Refusal("type", f"no type is known for {answer!r}")


def _country(answer: str, lexicon: Lexicon) -> str:
    for shape, table in (
        ("name", lexicon.country_names),
        ("adjective", lexicon.adjectives),
        ("plural", lexicon.plurals),
    ):
        if answer.lower() in table:
            return f"{shape}:{table[answer.lower()]}"
    raise Refusal("type", f"{answer!r} is not one country")


def answer_head(answer: str) -> str:
    """The name without its article and the word for its class: `Nile` of `the Nile River`."""
    words = answer.split(" ")
    if words[0].lower() == "the":
        words = words[1:]
    if len(words) > 1 and words[-1] in GENERIC.values():
        words = words[:-1]
    return " ".join(words)


def _person(answer: str, lexicon: Lexicon) -> str:
    words = answer.split(" ")
    if not words[0][:1].isupper() or len(words) > 5:
        raise Refusal("type", f"{answer!r} is not the name of one person")
    detail = person_detail([w for w in words if w[0].isupper()], lexicon)
    gender = detail.split(":")[1] if detail else lexicon.gender.get(words[0].lower(), "")
    return f"{'full' if len(words) > 1 else 'given'}:{gender}"
