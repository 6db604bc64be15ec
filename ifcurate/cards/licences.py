"""The sources of a mixture and their licences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ifcurate.data.known_sets import KnownSet, find_known_set
from ifcurate.mixing.mixture import Mixture

#: Patterns of licence names, the strictest first. This is a cautious order, not legal advice.
_STRICT: Final = (
    r"unknown|other",
    r".*-nc-nd.*",
    r".*-nc-sa.*",
    r".*-nc.*",
    r".*-nd.*",
    r"agpl.*|gpl.*|.*-sa.*|odbl.*",
    r"cc-by.*|odc-by.*",
    r"apache.*|mit|bsd.*",
    r"cc0.*|pddl|unlicense",
)


def strictest_licence(licences: Sequence[str]) -> str:
    """The strictest of the licences. An unknown licence counts as the strictest."""

    def rank(licence: str) -> tuple[int, str]:
        matches = (i for i, p in enumerate(_STRICT) if re.fullmatch(p, licence))
        return next(matches, 0), licence

    return min(licences, key=rank, default="unknown")


@dataclass(frozen=True, slots=True)
class Origin:
    """One source of a component."""

    component: str
    name: str
    licence: str
    known: KnownSet | None

    @property
    def licence_from(self) -> str:
        """The source of the statement about the licence."""
        if self.known:
            return "its card"
        return "not known" if self.licence == "unknown" else "the person who mixed"


def list_origins(mixture: Mixture, licence: str) -> Iterator[Origin]:
    """The original sources of every component, before scoring and filtering.

    `licence` is used for sources that are not a known dataset.
    """
    for component in mixture.manifest.identity["components"]:
        origin = component.get("origin", {})
        names = origin.get("sources") or [item["name"] for item in component.get("inputs", [])]
        for name in dict.fromkeys(names):
            known = find_known_set(name)
            own = known.licence if known else licence or "unknown"
            yield Origin(component["name"], name, own, known)
