"""The settings of a run of augment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from ifcurate.errors import DataError, OptionError

from .recognise.spans import DEFAULT_TYPES, TYPES

POLICIES: Final = ("lexicon", "corpus", "fictional", "type-swap", "alias")
_SETS: Final = {"DEFAULT": DEFAULT_TYPES, "ALL": TYPES}
Emit = Literal["counterfactual", "pair", "pair+abstain"]


@dataclass(frozen=True)
class AugmentSettings:
    """All settings that change what is written."""

    policy: str = "lexicon"  # one of POLICIES
    types: tuple[str, ...] = DEFAULT_TYPES
    seed: int = 0
    variants: int = 1  # counterfactuals per row, each with another substitute
    emit: Emit = "counterfactual"
    avoid: frozenset[str] = frozenset()  # names that are never substitutes

    def __post_init__(self) -> None:
        for name, given, known in (
            ("policy", [self.policy], POLICIES),
            ("types", self.types, TYPES),
            ("emit", [self.emit], get_args(Emit)),
        ):
            if unknown := [value for value in given if value not in known]:
                raise DataError(
                    f"{name} {', '.join(unknown)}: unknown; known are {', '.join(known)}"
                )
        if self.variants < 1:
            raise DataError(f"variants {self.variants}: give 1 or more")


def parse_types(text: str) -> tuple[str, ...]:
    """The types of a comma-separated list, in a fixed order; `+YEAR` adds to the default ones.

    Raises `OptionError` for an unknown type.
    """
    types: set[str] = set()
    for name in filter(None, map(str.strip, text.upper().split(","))):
        types.update(_SETS.get(name, (name.removeprefix("+"),)))
        types.update(DEFAULT_TYPES if name.startswith("+") else ())
    unknown = types - set(TYPES)
    if unknown or not types:
        raise OptionError(
            f"types: {', '.join(sorted(unknown)) or repr(text)}: unknown type; "
            f"known are default, all, {', '.join(TYPES)}"
        )
    return tuple(name for name in TYPES if name in types)
