"""The options of `lab pretrain`: how the base model is made to answer from memory."""

from __future__ import annotations

from typing import ClassVar

from ifcurate.options.base import Options, option


class NudgeOptions(Options):
    """The rows and the steps of the training before the laboratory's mixtures."""

    step: ClassVar[str] = "lab"

    steps: int = option(40, "Steps of the nudge.", ge=1)
    off: float = option(0.6, "Share of rows whose passage is about something else.", ge=0, le=1)
