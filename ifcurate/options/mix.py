"""The options of `mix`: totals, strata, duplicates and overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator

from ifcurate.options.base import Fraction, Options, Seed, needs, option, parse_tokens

CLEAN_PANEL: Final = "Rows that are left out"


class MixOptions(Options):
    """How components become one mixture."""

    step: ClassVar[str] = "mix"
    panel: ClassVar[str] = "Size"

    seed: Seed = option(
        0, "Seed of the choice and the order of the rows.", panel="Options", common=True
    )
    rows: int | None = option(
        None,
        "Rows of the whole mixture. Components without an amount share the rows that the others "
        "leave.",
        metavar="COUNT",
        ge=1,
        common=True,
    )
    tokens: Annotated[int | None, BeforeValidator(parse_tokens)] = option(
        None,
        "Tokens of the whole mixture, such as 20k or 2M, instead of rows. Needs --tokenizer.",
        metavar="COUNT",
        ge=1,
        common=True,
    )
    tokenizer: str = option(
        "",
        "Count tokens with this tokenizer: pocket, a short name, a Hub id, a folder or a "
        "tokenizer.json.",
        metavar="MODEL",
        common=True,
    )
    count: Literal["response", "whole"] = option(
        "response",
        "Which tokens are counted: those of the response, or of all messages. The tokens that a "
        "chat template adds are not counted.",
    )
    upsample: bool = option(False, "Repeat rows of a component that has fewer than its amount.")
    stratify: str = option(
        "",
        "Take the same share of each value of this column. With file, take it of each file.",
        metavar="COLUMN",
    )
    only: Literal["all", "context", "context-critical"] = option(
        "all",
        "context: only rows with a context. context-critical: only rows with this label, for "
        "components with labels from a split.",
        panel=CLEAN_PANEL,
        common=True,
    )
    duplicates: Literal["drop", "keep"] = option(
        "drop",
        "What to do with rows that have the same texts, in one component or in several. The "
        "row with more answers to train on stays, otherwise that of the component named first.",
        panel=CLEAN_PANEL,
    )
    near_duplicates: Fraction | None = option(
        None,
        "Also drop rows whose texts are at least this similar to an earlier row's (cosine "
        "similarity of embeddings). Needs ifcurate[near-duplicates].",
        panel=CLEAN_PANEL,
        metavar="SIMILARITY",
    )
    near_model: str = option(
        "minishlab/potion-base-8M",
        "For --near-duplicates: the model2vec encoder, a Hub id or a folder.",
        panel=CLEAN_PANEL,
        metavar="MODEL",
    )
    avoid_overlap: list[Path] = option(
        [],
        "Drop rows that name an entity of this evaluation file: an answer, a remembered answer, "
        "or a name in a question.",
        panel=CLEAN_PANEL,
        metavar="FILE",
        common=True,
    )

    def _refuse(self) -> None:
        if self.rows is not None and self.tokens is not None:
            raise ValueError("give a total of rows or of tokens, not both")
        if self.tokens is not None and not self.tokenizer:
            raise ValueError("tokens needs tokenizer: name the model that will be trained")
        needs(self, "count", bool(self.tokenizer), "--tokenizer")
        needs(self, "near_model", self.near_duplicates is not None, "--near-duplicates")
