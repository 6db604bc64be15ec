"""The built-in conflict suites: ``python -m tools.suites.build`` writes them from a seed.

Every text is composed of sentences written for this project and of the project's
tables (`ifcurate/pocket/world.toml`, the counterfactual lexicon). A written suite is
frozen, so that results of two versions can be compared.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ifcurate.counterfactual.lexicon.tables import ARTICLE_COUNTRIES, LEXICON, Country
from ifcurate.evaluation.answers import normalise_answer
from ifcurate.pocket.world import REAL_FACTS
from tools.suites.proverbs import END_WORDS, PROVERBS

__all__ = ["build_suites", "main"]

_PER_SUITE: Final = 240
_SHARED: Final = frozenset(("the", "of", "de", "van", "sea", "ocean", "gulf", "lake"))
_MOVES: Final = (
    "For years engineers had warned that {old} was running out of drinking water",
    "After two winters of floods in {old}, repairs had become too costly",
    "Rents in {old} had driven most civil servants out of the city",
    "An earthquake left many ministries in {old} without a safe building",
    "Voters had long complained that {old} was too far from the rest of the country",
)
_DECISIONS: Final = (
    "parliament voted to make {new} the capital of {country}",
    "the government of {country} named {new} as the new capital",
    "a referendum made {new} the capital city of {country}",
)
_CAPITAL_FILLERS: Final = (
    "Buses for the first clerks left before dawn, and most of them arrived in time for lunch.",
    "The archives followed by rail over the course of a summer.",
    "Shopkeepers along the main street had prepared for the new arrivals for months.",
    "Several embassies rented rooms above a school until their houses were ready.",
    "A park was laid out in front of the new assembly hall.",
    "Newspapers printed maps so that visitors could find the offices.",
    "The mayor promised that trams would run late on evenings when the assembly sat.",
    "Surveyors had chosen the ground a decade before.",
)
#: relation -> (statements about the object, question); the passage is a small report.
_WORLD: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "author": (
        ("Letters found in an attic show that {s} was written by {o}.",
         "Since the discovery, editions of {s} name {o} as the author."),
        "Who wrote {s}?",
    ),
    "landmark": (
        ("It took four years to move {s} to {o}, stone by stone.",
         "Today visitors who want to see {s} travel to {o}."),
        "In which city is {s}?",
    ),
    "inventor": (
        ("A notebook in a public archive proves that {s} goes back to {o}.",
         "Textbooks now credit {o} with {s}."),
        "To whom do we owe {s}?",
    ),
    "painter": (
        ("Under the frame of {s}, restorers uncovered the signature of {o}.",
         "The museum's label now says that {s} was painted by {o}."),
        "Who painted {s}?",
    ),
    "headquarters": (
        ("Shareholders agreed to move the head office of {s} to {o}.",
         "Since then {s} has been based in {o}."),
        "In which city is {s} based?",
    ),
    "river": (
        ("After a landslide, engineers led {s} through a new bed that ends in {o}.",
         "On recent maps {s} flows into {o}."),
        "Into which water does {s} flow?",
    ),
}  # fmt: skip
_WORLD_FILLERS: Final = (
    "The report fills three volumes, and the last of them has only tables.",
    "Two universities checked the findings before they were made public.",
    "The news surprised teachers, who had to change their lessons in the middle of a term.",
    "A travelling exhibition shows photographs of the work.",
    "Some guides still use the old leaflets, which are being reprinted.",
    "The costs were shared by a foundation and a group of volunteers.",
    "A documentary about it was shown on television the following spring.",
    "Questions from the public are answered by a small office on weekdays.",
    "The committee met eleven times and published its minutes.",
)
_BIOGRAPHY: Final = (
    ("{o} was the youngest of five children and learned to read at home.", 0),
    ("An aunt paid for the first lessons, and a neighbour lent the books.", 0),
    ("At twenty {o} left the country for a while and lived on translations.", 0),
    ("Letters from those years are short and mostly about the weather.", 0),
    ("Friends describe {o} as patient, fond of long walks and late breakfasts.", 0),
    ("The middle years brought a quieter house and a garden with a wall.", 0),
    ("A fire destroyed part of the papers, and little is known of that winter.", 0),
)
_DEEDS: Final = {
    "author": ("It was there that {o} wrote {s}, the work that is still read today.",
               "Who is the author of {s}?"),
    "inventor": ("It was there that {o} worked on {s}, the achievement of a lifetime.",
                 "Who is known for {s}?"),
    "painter": ("It was there that {o} painted {s}, which crowds still come to see.",
                "Who painted {s}?"),
    "birthplace": ("", ""),
}  # fmt: skip


def _words(name: str) -> list[str]:
    return name.lower().replace("-", " ").split()


def _shares_a_word(first: str, second: str) -> bool:
    return bool((set(_words(first)) & set(_words(second))) - _SHARED)


def _pick_others(rng: random.Random, pool: Sequence[str], known: str, n: int) -> list[str]:
    """Names of the pool that share no word with the known one."""
    words = set(known.lower().split()) - _SHARED
    others = [name for name in dict.fromkeys(pool) if not words & set(name.lower().split())]
    return rng.sample(others, n)


def _place(rng: random.Random, fillers: Sequence[str], lines: Sequence[str]) -> str:
    """Return the lines in their order among random fillers, at any position."""
    chosen = rng.sample(fillers, rng.randint(2, 4))
    at = rng.randint(0, len(chosen))
    return " ".join([*chosen[:at], *lines, *chosen[at:]])


def _item(
    context: str, question: str, answer: str, memory: Sequence[str], **more: Any
) -> dict[str, Any]:
    return {
        "context": context, "question": question, "answer": answer,
        "memory_answer": list(memory), **more,
    }  # fmt: skip


def _is_distinct(city: str, country: Country) -> bool:
    """Return whether a city's name shares no part and no word with the country's or the
    capital's.
    """
    name, capital = normalise_answer(city), normalise_answer(country.capital)
    shares_word = set(name.split()) & set(capital.split())
    return not shares_word and name not in country.names[0].lower() and capital not in name


def make_capitals(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield the capital moved to another city of the same country."""
    lexicon = LEXICON
    countries = [
        c for c in lexicon.countries.values()
        if c.capital and not set(_words(c.capital)) & set(_words(c.names[0]))
    ]  # fmt: skip
    countries.sort(key=lambda c: (-c.population, c.code))
    n = 0
    for form in range(4):
        for country in countries:
            cities = [c for c in lexicon.cities.get(country.code, ()) if _is_distinct(c, country)]
            if len(cities) <= form or n == _PER_SUITE:
                continue
            n += 1
            name = country.names[0]
            name = f"the {name}" if country.code in ARTICLE_COUNTRIES else name
            move = rng.choice(_MOVES).format(old=country.capital)
            decision = rng.choice(_DECISIONS).format(new=cities[form], country=name)
            year = rng.randint(2031, 2058)
            line = f"{move}. In {year} {decision}."
            question = f"What is the capital of {name}?"
            yield _item(_place(rng, _CAPITAL_FILLERS, [line]), question, cities[form],
                        [country.capital])  # fmt: skip


def make_world_facts(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield a report that changes a well-known fact; the old object is not named."""
    items = []
    for relation, (statements, question) in _WORLD.items():
        pairs = REAL_FACTS[relation]
        pool = [value for _, value in pairs]
        for subject, known in pairs:
            if _shares_a_word(subject, known):
                continue
            other = _pick_others(rng, pool, known, 1)[0]
            lines = [statement.format(s=subject, o=other) for statement in statements]
            lines = [line[0].upper() + line[1:] for line in lines]
            kept = lines if rng.random() < 0.5 else [rng.choice(lines)]
            items.append(_item(_place(rng, _WORLD_FILLERS, kept), question.format(s=subject),
                               other, [known], relation=relation))  # fmt: skip
    rng.shuffle(items)
    yield from items[:_PER_SUITE]


def make_biographies(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield a biography in which another name replaces the real one throughout."""
    items = []
    for relation in ("author", "inventor", "painter"):
        deed, question = _DEEDS[relation]
        people = [value for _, value in REAL_FACTS[relation]]
        for subject, known in REAL_FACTS[relation]:
            if _shares_a_word(subject, known):
                continue
            for other in _pick_others(rng, people, known, 2):
                lines = [line for line, _ in rng.sample(_BIOGRAPHY, rng.randint(4, 6))]
                lines.insert(rng.randint(1, len(lines)), deed)
                if not lines[0].count("{o}"):
                    lines.insert(0, "This is the life of {o}.")
                text = " ".join(line.format(s=subject, o=other) for line in lines)
                items.append(_item(text, question.format(s=subject), other, [known],
                                   relation=relation))  # fmt: skip
    rng.shuffle(items)
    yield from items[:_PER_SUITE]


def make_quotes(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield a well-known saying with an unusual last word."""
    items = []
    for proverb in PROVERBS:
        start, _, last = proverb.rpartition(" ")
        if _shares_a_word(start, last):
            continue
        words = [word for word in END_WORDS if word != last and word not in start.lower().split()]
        for word in rng.sample(words, 3):
            question = f'Write a quote that ends in the word "{word}": {start}'
            items.append(_item("", question, word, [last],
                               bare_question=f"Complete the proverb: {start}"))  # fmt: skip
    rng.shuffle(items)
    yield from items[:_PER_SUITE]


def build_suites(seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Return every suite's items, by name."""
    makers = {
        "capitals": make_capitals, "world-facts": make_world_facts,
        "biographies": make_biographies, "quotes": make_quotes,
    }  # fmt: skip
    suites = {}
    for name, make in makers.items():
        items = list(make(random.Random(f"suite {name} {seed}")))
        suites[name] = [{"id": f"{name}-{i:03}", **item} for i, item in enumerate(items)]
    return suites


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tools.suites.build", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("ifcurate/evaluation/built_in"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, items in build_suites().items():
        lines = (json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        (options.out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
