"""Made-up names.

A made-up name is built from syllables or from plain words, so that no model can
know it. One name in eight is *held out*, which `held_out(name)` computes from the
name. The training text never uses held-out names. The demo data and all
measurements use no other made-up names.
"""

from __future__ import annotations

import random
import tomllib
import zlib
from importlib.resources import files
from typing import Final

#: Parts of names by kind, such as "onsets", from `names.toml`.
_PARTS: Final[dict[str, list[str]]] = {
    kind: words.split()
    for kind, words in tomllib.loads((files(__package__) / "names.toml").read_text("utf-8")).items()
}


def held_out(name: str) -> bool:
    """Return whether the training text leaves out this made-up name (one in eight)."""
    return zlib.crc32(name.encode()) % 8 == 0


def _pick(rng: random.Random, kind: str) -> str:
    return rng.choice(_PARTS[kind])


def spell_name(rng: random.Random, *, unseen: bool, syllables: tuple[int, int] = (2, 3)) -> str:
    """Return a capitalised made-up word.

    From the held-out names if `unseen`, else never from them.
    """
    while True:
        word = "".join(
            _pick(rng, "onsets") + _pick(rng, "middles") for _ in range(rng.randint(*syllables))
        )
        name = (word + _pick(rng, "codas")).capitalize()
        if len(name) <= 10 and held_out(name) is unseen:
            return name


def _title(rng: random.Random, *, unseen: bool) -> str:
    name = spell_name(rng, unseen=unseen)
    pattern = rng.randrange(3)
    if pattern == 0:
        return f"The {_pick(rng, 'nouns')} of {name}"
    if pattern == 1:
        return f"The {_pick(rng, 'adjectives')} {_pick(rng, 'nouns')} of {name}"
    return f"{name} and the {_pick(rng, 'nouns')}"


def _person(rng: random.Random, *, unseen: bool) -> str:
    return f"{_pick(rng, 'first_names')} {spell_name(rng, unseen=unseen)}"


def _painting(rng: random.Random, name: str, *, unseen: bool) -> str:
    kind = rng.randrange(3)
    if kind == 0:
        return f"Portrait of {_person(rng, unseen=unseen)}"
    return f"View of {name}" if kind == 1 else f"The {_pick(rng, 'nouns')} at {name}"


def fresh_subject(rng: random.Random, relation: str, *, unseen: bool) -> str:
    """Return a made-up subject fit for one relation."""
    name = spell_name(rng, unseen=unseen)
    match relation:
        case "capital":
            return name + rng.choice(["ia", "land", "", ""])
        case "author":
            return _title(rng, unseen=unseen)
        case "landmark":
            return f"the {name} {_pick(rng, 'buildings')}"
        case "inventor":
            return f"the {name} {_pick(rng, 'devices')}"
        case "painter":
            return _painting(rng, name, unseen=unseen)
        case "headquarters":
            return f"{name} {_pick(rng, 'trades')}"
        case "birthplace":
            return _person(rng, unseen=unseen)
        case "river":
            return f"the {name}"
    raise ValueError(f"{relation}: no such relation")


def fresh_object(rng: random.Random, kind: str, *, unseen: bool) -> str:
    """Return a made-up object: kind is "city", "person" or "sea"."""
    if kind == "person":
        return _person(rng, unseen=unseen)
    name = spell_name(rng, unseen=unseen)
    if kind == "city":
        return name + rng.choice(["", "", "ton", "burg"])
    return rng.choice(["the {} Sea", "Lake {}", "the Gulf of {}"]).format(name)
