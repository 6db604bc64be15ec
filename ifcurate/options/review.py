"""The options of `review`: where the application listens and what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ifcurate.options.base import Options, option
from ifcurate.options.report import TOKENIZER


class ReviewOptions(Options):
    """The review of a run on this machine."""

    step: ClassVar[str] = "review"

    port: int = option(0, "Port on 127.0.0.1. 0 takes a free one.", ge=0, le=65535, common=True)
    split: str = option(
        "",
        "The name of the split to review, from `ifcurate split --as NAME`.",
        metavar="NAME",
    )
    augmented: Path | None = option(
        None, "Folder that `ifcurate augment` wrote. By default augmented/ in the run's folder."
    )
    tokenizer: Path | None = TOKENIZER
