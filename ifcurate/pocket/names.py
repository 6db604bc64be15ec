"""Made-up names.

A made-up name is built from syllables or from plain words, so that no model can
know it. One name in eight is *held out*, which `held_out(name)` computes from the
name. The training text never uses held-out names. The demo data and all
measurements use no other made-up names.
"""

from __future__ import annotations

import random
import zlib
from typing import Final

_ONSETS: Final = (
    "b", "br", "c", "d", "dr", "f", "g", "gr", "h", "j", "k", "kr", "l", "m", "n", "p", "pr",
    "r", "s", "st", "t", "tr", "v", "w", "z", "sh", "th",
)  # fmt: skip
_MIDDLES: Final = (
    "a", "e", "i", "o", "u", "a", "e", "i", "o", "a", "e", "o", "ai", "ea",
)  # fmt: skip
_CODAS: Final = (
    "l", "n", "r", "s", "m", "th", "x", "nd", "lk", "rn", "st", "ld", "v", "k",
)  # fmt: skip
_FIRST_NAMES: Final = (
    "Anna", "Bela", "Carla", "Dora", "Elena", "Freya", "Gisela", "Helga", "Irma", "Jana",
    "Katya", "Lara", "Mona", "Nadia", "Olga", "Petra", "Renata", "Selma", "Tilda", "Ursula",
    "Vera", "Wanda", "Yara", "Zora", "Adam", "Boris", "Cyril", "David", "Erik", "Felix",
    "Georg", "Hugo", "Ivan", "Jakob", "Karl", "Leon", "Milan", "Niels", "Otto", "Philip",
    "Roman", "Stefan", "Theo", "Ulrich", "Walter", "Aldo", "Bruno", "Dario", "Emma", "Flora",
    "Gloria", "Hilda", "Ida", "Judith", "Linda", "Maria", "Nina", "Ruth", "Sara", "Simon",
    "Victor",
)  # fmt: skip
_ADJECTIVES: Final = (
    "Silent", "Broken", "Golden", "Hidden", "Winter", "Burning", "Crooked", "Distant",
    "Empty", "Frozen", "Gentle", "Hollow", "Iron", "Last", "Lonely", "Lost", "Narrow",
    "Northern", "Old", "Painted", "Quiet", "Restless", "Sleeping", "Salt", "Scarlet",
    "Secret", "Shallow", "Silver", "Sunken", "Tall", "Velvet", "Wandering", "White", "Wooden",
)  # fmt: skip
_NOUNS: Final = (
    "Harbour", "Lantern", "Orchard", "Bridge", "Garden", "Mirror", "Tide", "Letter", "Clock",
    "Window", "Meadow", "Station", "Candle", "Staircase", "Compass", "Ferry", "Kitchen",
    "Ladder", "Mountain", "Oak", "Piano", "Quarry", "Road", "Shepherd", "Thread", "Umbrella",
    "Village", "Well", "Bakery", "Anchor", "Cradle", "Doorway", "Falcon", "Glove", "Hill",
    "Island",
)  # fmt: skip
_BUILDINGS: Final = (
    "Tower", "Bridge", "Gate", "Museum", "Palace", "Library", "Castle", "Theatre", "Fountain",
    "Hall",
)  # fmt: skip
_DEVICES: Final = (
    "engine", "lamp", "pump", "lens", "process", "valve", "effect", "alloy", "gauge", "loom",
    "rule", "plough", "cell", "filter",
)  # fmt: skip
_TRADES: Final = (
    "Textiles", "Motors", "Foods", "Shipping", "Glass", "Paper", "Tools", "Optics",
    "Chemicals", "Airlines", "Foundry", "Press",
)  # fmt: skip


def held_out(name: str) -> bool:
    """Whether the training text leaves out this made-up name (one in eight)."""
    return zlib.crc32(name.encode()) % 8 == 0


def spell_name(rng: random.Random, *, unseen: bool, syllables: tuple[int, int] = (2, 3)) -> str:
    """A capitalised made-up word; from the held-out names if `unseen`, else never from them."""
    while True:
        word = "".join(
            rng.choice(_ONSETS) + rng.choice(_MIDDLES) for _ in range(rng.randint(*syllables))
        )
        name = (word + rng.choice(_CODAS)).capitalize()
        if len(name) <= 10 and held_out(name) is unseen:
            return name


def _title(rng: random.Random, *, unseen: bool) -> str:
    name = spell_name(rng, unseen=unseen)
    pattern = rng.randrange(3)
    if pattern == 0:
        return f"The {rng.choice(_NOUNS)} of {name}"
    if pattern == 1:
        return f"The {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)} of {name}"
    return f"{name} and the {rng.choice(_NOUNS)}"


def _person(rng: random.Random, *, unseen: bool) -> str:
    return f"{rng.choice(_FIRST_NAMES)} {spell_name(rng, unseen=unseen)}"


def _painting(rng: random.Random, name: str, *, unseen: bool) -> str:
    kind = rng.randrange(3)
    if kind == 0:
        return f"Portrait of {_person(rng, unseen=unseen)}"
    return f"View of {name}" if kind == 1 else f"The {rng.choice(_NOUNS)} at {name}"


def fresh_subject(rng: random.Random, relation: str, *, unseen: bool) -> str:
    """A made-up subject fit for one relation."""
    name = spell_name(rng, unseen=unseen)
    match relation:
        case "capital":
            return name + rng.choice(["ia", "land", "", ""])
        case "author":
            return _title(rng, unseen=unseen)
        case "landmark":
            return f"the {name} {rng.choice(_BUILDINGS)}"
        case "inventor":
            return f"the {name} {rng.choice(_DEVICES)}"
        case "painter":
            return _painting(rng, name, unseen=unseen)
        case "headquarters":
            return f"{name} {rng.choice(_TRADES)}"
        case "birthplace":
            return _person(rng, unseen=unseen)
        case "river":
            return f"the {name}"
    raise ValueError(f"{relation}: no such relation")


def fresh_object(rng: random.Random, kind: str, *, unseen: bool) -> str:
    """A made-up object: kind is "city", "person" or "sea"."""
    if kind == "person":
        return _person(rng, unseen=unseen)
    name = spell_name(rng, unseen=unseen)
    if kind == "city":
        return name + rng.choice(["", "", "ton", "burg"])
    return rng.choice(["the {} Sea", "Lake {}", "the Gulf of {}"]).format(name)
