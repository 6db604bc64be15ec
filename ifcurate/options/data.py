"""The options of reading data: format, columns, context."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import AfterValidator, BeforeValidator

from ifcurate.options.base import Options, needs, option, split_items

#: Where the context is looked for, in order of trust.
CONTEXT_KINDS: Final = ("field", "tool", "system", "inline")
#: The lowest confidence of a context inside a text that is used by default.
MIN_CONFIDENCE: Final = 0.5
HUB_SPLIT: Final = "train"
Format = Literal["auto", "alpaca", "prompt_completion", "messages", "sharegpt", "preference", "qca"]
#: The formats of rows; "columns" is the format of rows that --columns maps.
FORMATS: Final = (*(name for name in get_args(Format) if name != "auto"), "columns")
COLUMNS: Final = ("instruction", "context", "response", "system")


def _parse_columns(value: Any) -> Any:
    """`{"instruction": "prompt"}`, or texts such as `"instruction=prompt,context=doc"`."""
    if value is None or isinstance(value, Mapping):
        return value
    columns = {}
    for item in (part for text in split_items(value) for part in str(text).split(",")):
        name, equals, column = item.strip().partition("=")
        if not (equals and name and column):
            raise ValueError(f"{item!r} is not NAME=COLUMN; write instruction=prompt")
        columns[name] = column
    return columns


def _check_columns(columns: dict[str, str] | None) -> dict[str, str] | None:
    for name in columns or {}:
        if name not in COLUMNS:
            raise ValueError(f"{name}=...: unknown name; known are {', '.join(COLUMNS)}")
    return columns


def _parse_words(value: Any) -> Any:
    """`"Vignette,Case"`, or a sequence of words."""
    return tuple(" ".join(str(part).split()).rstrip(":") for part in split_items(value or ()))


def _parse_paths(value: Any) -> Any:
    """One path, or a sequence of paths."""
    return (value,) if isinstance(value, str) else split_items(value or ())


def _check_pattern(pattern: str) -> str:
    if not pattern:
        return pattern
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        named = "write (?P<context>...)" if "(?<context" in pattern else "check the expression"
        raise ValueError(f"{error} (found {pattern!r}); {named}") from None
    if not any(name.startswith("context") for name in groups):
        raise ValueError(
            f"no group named context (found {pattern!r}); write (?P<context>...) around the context"
        )
    return pattern


def _parse_kinds(value: Any) -> Any:
    """`"auto"`, `"field,tool"`, or a sequence of kinds."""
    kinds = split_items(value)
    if kinds == ("auto",):
        return CONTEXT_KINDS
    if unknown := [kind for kind in kinds if kind not in CONTEXT_KINDS]:
        raise ValueError(
            f"{', '.join(map(str, unknown))}: unknown; known are {', '.join(CONTEXT_KINDS)}"
        )
    return kinds


class DataOptions(Options):
    """How rows become examples."""

    step: ClassVar[str] = "data"
    panel: ClassVar[str] = "Data"

    limit: int | None = option(None, "Read at most this many rows.", ge=1, common=True)
    format: Format = option(
        "auto",
        "Format of the rows. qca is question, context and answer, nested SQuAD files too. "
        "preference is prompt, chosen and rejected.",
        common=True,
    )
    columns: Annotated[
        dict[str, str] | None, BeforeValidator(_parse_columns), AfterValidator(_check_columns)
    ] = option(
        None,
        "Map columns: instruction=... context=... response=... (system=...). Given alone, "
        "context=... and system=... add to the detected format, chats included. A column may be a "
        "path, docs[0].text or docs[*].text; a+b joins two contexts.",
        metavar="NAME=COLUMN...",
        common=True,
    )
    turns: Literal["last", "all"] = option(
        "last", "Score the last assistant turn of a chat, or all of them."
    )
    context: Annotated[tuple[str, ...], BeforeValidator(_parse_kinds)] = option(
        CONTEXT_KINDS,
        "Where to look for the context: some of field,tool,system,inline, or auto for all.",
        metavar="KINDS",
    )
    min_confidence: float = option(
        MIN_CONFIDENCE, "Lowest confidence of a context that is found inside a text.", ge=0, le=1
    )
    context_label: Annotated[tuple[str, ...], BeforeValidator(_parse_words)] = option(
        (),
        "A custom label of contexts: --context-label Vignette reads "
        '"Vignette: ...". May be repeated.',
        metavar="WORD",
    )
    context_words: Annotated[tuple[Path, ...], BeforeValidator(_parse_paths)] = option(
        (),
        "A TOML file of words that label a context, ask, or refer to a text, for a language or a "
        "field that ifcurate does not know. May be repeated.",
        metavar="FILE",
    )
    context_regex: Annotated[str, AfterValidator(_check_pattern)] = option(
        "",
        "A regular expression that finds the context in the prompt, instead of the model. Its "
        "group (?P<context>...) is the context; (?P<cut>...) around it is the text to remove.",
        metavar="REGEX",
    )
    subset: str = option("", "Configuration of a Hub dataset.")
    split: str = option(
        HUB_SPLIT,
        "Split of a Hub dataset, or of a saved one.",
        flags=("--hub-split",),
        metavar="NAME",
    )

    def _refuse(self) -> None:
        needs(self, "context_regex", "inline" in self.context, "contexts inside a prompt (inline)")
        in_texts = bool({"inline", "system"} & set(self.context))
        for name in ("min_confidence", "context_label", "context_words"):
            needs(self, name, in_texts, "contexts inside a text (system, inline)")
