"""The options of `augment`: what is substituted, by what, and what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator

from ifcurate.options.base import Options, Seed, needs, option, split_items

OUT_PANEL: Final = "Output"
MODEL_PANEL: Final = "Model check"
#: The types that are substituted by default; `docs/counterfactual.md` has their breakage on
#: unseen data.
DEFAULT_TYPES: Final = ("PERSON", "DATE", "YEAR", "ORG", "WORK", "FAC", "EVENT")
TYPES: Final = (
    *DEFAULT_TYPES,
    *("CITY", "COUNTRY", "LOC", "PRODUCT", "MONEY", "QUANTITY", "NUMBER"),
)
_SETS: Final = {"DEFAULT": DEFAULT_TYPES, "ALL": TYPES}


def parse_types(text: str) -> tuple[str, ...]:
    """Return the types of a comma-separated list; `+YEAR` adds to the default types.

    Raises `ValueError` for an unknown type.
    """
    types: set[str] = set()
    for name in filter(None, map(str.strip, text.upper().split(","))):
        types.update(_SETS.get(name, (name.removeprefix("+"),)))
        types.update(DEFAULT_TYPES if name.startswith("+") else ())
    unknown = types - set(TYPES)
    if unknown or not types:
        raise ValueError(
            f"{', '.join(sorted(unknown)) or repr(text)}: unknown type; "
            f"known are default, all, {', '.join(TYPES)}"
        )
    return tuple(name for name in TYPES if name in types)


def _join_types(value: Any) -> Any:
    """`"PERSON,DATE"`, or a sequence of types."""
    return ",".join(map(str, split_items(value)))


def _check_types(text: str) -> str:
    parse_types(text)
    return text


def _check_recogniser(name: str) -> str:
    kind, _, rest = name.partition(":")
    if name != "lexicon" and (kind not in ("spacy", "gliner", "openai") or not rest):
        raise ValueError(
            f"{name!r}: unknown; known are lexicon, spacy:NAME, gliner:NAME, openai:URL"
        )
    return name


class SubstitutionOptions(Options):
    """What is substituted, and which rows are written: the options that need no other file."""

    step: ClassVar[str] = "augment"
    panel: ClassVar[str] = "Substitution"

    policy: Literal["lexicon", "corpus", "fictional", "type-swap", "alias"] = option(
        "lexicon",
        "Where substitutes come from: lexicon (real names), corpus (names of this data), "
        "fictional (made-up names), type-swap (another type), alias (the same entity under "
        "another name, as a control).",
        common=True,
    )
    types: Annotated[str, BeforeValidator(_join_types), AfterValidator(_check_types)] = option(
        "default",
        f"Types of entities that are substituted: default ({','.join(DEFAULT_TYPES)}), "
        "all, or a list of types. +CITY adds a type to the default ones.",
        metavar="TYPES",
        common=True,
    )
    variants: int = option(1, "Counterfactuals for each row.", ge=1)
    seed: Seed = option(0, "Seed of the choice of substitutes.", common=True)
    emit: Literal["counterfactual", "pair", "pair+abstain"] = option(
        "counterfactual",
        "pair also writes the original. pair+abstain also writes the question without its "
        "context, with an answer that abstains.",
        panel=OUT_PANEL,
        common=True,
    )


class AugmentOptions(SubstitutionOptions):
    """How counterfactual examples are made."""

    avoid: list[Path] | None = option(
        None,
        "Names that are never substitutes: a text file with one name per line, or the answers of "
        "an evaluation suite (json, jsonl).",
        metavar="FILE",
    )
    recogniser: Annotated[str, AfterValidator(_check_recogniser)] = option(
        "lexicon",
        "lexicon (no download), spacy:NAME, gliner:NAME, or openai:URL for a chat server that "
        "plans the edits (its key: IFCURATE_API_KEY).",
        common=True,
    )
    recogniser_model: str = option("", "Name of the model at openai:URL.")
    sample: int = option(
        0,
        "Write a review sheet (HTML) with this many examples.",
        panel=OUT_PANEL,
        ge=0,
        common=True,
    )
    verify: str = option(
        "",
        "Keep only rows that this model confirms. It must prefer the new answer with the new "
        "context and the original answer without it, and find the rest of the context as likely as "
        "before. A tiny model such as pocket proves little. toy has no model, for dry runs.",
        panel=MODEL_PANEL,
        metavar="MODEL",
    )
    threshold: float = option(
        0.5,
        "Nats by which the new context must help the new answer.",
        panel=MODEL_PANEL,
        metavar="NATS",
        allow_inf_nan=False,
    )
    text_threshold: float = option(
        0.25,
        "Nats by which the loss per token of the context may rise outside the substituted places.",
        panel=MODEL_PANEL,
        metavar="NATS",
        allow_inf_nan=False,
    )

    def _refuse(self) -> None:
        for name in ("threshold", "text_threshold"):
            needs(self, name, bool(self.verify), "--verify MODEL")
        served = self.recogniser.startswith("openai:")
        needs(self, "recogniser_model", served, "--recogniser openai:URL")
