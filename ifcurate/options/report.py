"""The options of `report`: what the page shows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from ifcurate.options.base import Options, option

TOKENIZER: Final = option(
    None,
    "Folder with the tokenizer.json of the run's model, when the model is neither bundled nor in "
    "the Hub cache.",
)


class ReportOptions(Options):
    """One HTML file about a run."""

    step: ClassVar[str] = "report"

    examples: int = option(
        800,
        "Number of examples on the page. The numbers of the page count all rows.",
        ge=1,
        common=True,
    )
    split: str = option(
        "",
        "The name of the split to report, from `ifcurate split --as NAME`.",
        metavar="NAME",
    )
    compare: Path | None = option(
        None, "Another run of the same data, for a section that compares both.", metavar="RUN"
    )
    tokenizer: Path | None = TOKENIZER
