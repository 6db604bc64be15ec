"""The options of `filter`: which labels are kept."""

from __future__ import annotations

from typing import ClassVar, Literal

from ifcurate.options.base import Options, option

SplitLabel = Literal["context-critical", "non-context-critical"]


class FilterOptions(Options):
    """Which rows are kept. Give either `keep` or `drop`."""

    step: ClassVar[str] = "filter"

    keep: SplitLabel | None = option(
        None, "Keep only rows with this label.", metavar="LABEL", common=True
    )
    drop: SplitLabel | None = option(
        None, "Drop only rows with this label.", metavar="LABEL", common=True
    )
    no_context: Literal["keep", "drop"] | None = option(
        None,
        "What to do with rows without a context. By default --keep drops them and --drop keeps "
        "them.",
        common=True,
    )

    def _refuse(self) -> None:
        if (self.keep is None) == (self.drop is None):
            raise ValueError(
                "give either --keep LABEL or --drop LABEL; "
                "labels are context-critical and non-context-critical"
            )
