"""Known datasets, from the cards in `data_cards/`.

A card is Markdown with YAML front matter as on the Hub. The key `ifcurate` has the options
for reading the dataset, the place where its facts were checked, and the facts that were not.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

from ifcurate.errors import DataError
from ifcurate.phrases import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSet:
    """One dataset: its place on the Hub, the options for reading it, its licence."""

    name: str  # its name on the command line
    title: str
    licence: str
    languages: tuple[str, ...]
    hub_id: str
    reading: Mapping[str, Any] = field(default_factory=dict)  # options of `read_examples`
    context: str = ""  # the place of the context, in words
    checked: Mapping[str, str] = field(default_factory=dict)  # facts -> where they were checked
    unchecked: str = ""  # facts that were not checked at the source


def read_card(name: str) -> str:
    """Return the text of a card. Raises `DataError` with the nearest name."""
    known = list_cards()
    if name not in known:
        near = did_you_mean(name, known)
        raise DataError(f"card {name!r}: unknown; known are {', '.join(known)}{near}")
    return (resources.files("ifcurate.data_cards") / f"{name}.md").read_text(encoding="utf-8")


def list_cards() -> list[str]:
    """Return the names of all cards, including those of models."""
    files = resources.files("ifcurate.data_cards").iterdir()
    return sorted(f.name.removesuffix(".md") for f in files if f.name.endswith(".md"))


@functools.cache
def list_known_sets() -> tuple[KnownSet, ...]:
    """Return all datasets that have a card, by name."""
    parsed = (_parse(name, read_card(name)) for name in list_cards())
    return tuple(known for known in parsed if known is not None)


def find_known_set(name: str) -> KnownSet | None:
    """Return the dataset with this name or Hub id; None when it has no card."""
    wanted = name.lower()
    for known in list_known_sets():
        if wanted in (known.name, known.hub_id.lower()):
            return known
    return None


def _parse(name: str, text: str) -> KnownSet | None:
    front = yaml.safe_load(text.split("---")[1])
    if "ifcurate" not in front:
        return None  # a model's card
    return KnownSet(
        name=name,
        title=front["pretty_name"],
        licence=front["license"],
        languages=tuple(front["language"]),
        **front["ifcurate"],
    )
