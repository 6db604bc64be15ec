"""The options of `export`: the trainer, and what is trained."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from ifcurate.options.base import Options, needs, option

Trainer = Literal["trl", "axolotl", "llama-factory", "open-instruct", "messages", "alpaca"]
#: Formats of data, without a configuration.
PLAIN: Final = ("messages", "alpaca")


class ExportOptions(Options):
    """How a mixture is written for a trainer."""

    step: ClassVar[str] = "export"

    trainer: Trainer = option(
        ...,
        "The trainer whose files are written. messages and alpaca are formats that many "
        "trainers read.",
        common=True,
    )
    model: str = option(
        "",
        "The model that will be trained: a short name, a Hub id or a folder. By default the one "
        "that scored the data.",
        metavar="MODEL",
        common=True,
    )
    qk_only: bool = option(
        False,
        "Train the query and key projections only (trl, axolotl, llama-factory).",
        common=True,
    )
    objective: Literal["sft", "dpo"] = option(
        "sft",
        "sft trains on the responses. dpo trains on preferences; every row needs a rejected "
        "response (trl, llama-factory).",
    )
    max_length: int = option(
        4096,
        "Longest row in tokens. Longer rows are cut (trl, llama-factory, open-instruct) or "
        "dropped (axolotl) by the trainer. Plain formats have no limit.",
        ge=1,
    )
    indicator: str = option(
        "",
        "Put this text before the last user message of context-critical rows, for conditional "
        "finetuning: [IND].",
        metavar="TEXT",
    )

    keep_end_markers: bool = option(
        False,
        "Export end-of-text markers, such as </s>, at the end of a response. By default they are "
        "left out, as in scoring: a trainer's template adds its own.",
    )

    @property
    def is_plain(self) -> bool:
        """Whether the files are only data, without a configuration that names the model."""
        return self.trainer in PLAIN

    @property
    def folder_name(self) -> str:
        """The export's folder in the mixture's folder: exports of two objectives stay apart."""
        return self.trainer + "-dpo" * (self.objective == "dpo") + "-qk" * self.qk_only

    def _refuse(self) -> None:
        needs(self, "max_length", not self.is_plain, "trainers, not for plain formats")
        if self.qk_only and self.is_plain:
            raise ValueError(
                f"qk_only: {self.trainer} is a data format, which cannot choose the trained "
                "weights; choose trl, axolotl or llama-factory"
            )
        if self.qk_only and self.trainer == "open-instruct":
            raise ValueError(
                "qk_only: open-instruct fixes the LoRA modules in its code (all projections of "
                "attention and feed-forward) and freezes nothing by name; choose trl, axolotl or "
                "llama-factory"
            )
        if self.objective == "dpo" and self.trainer not in ("trl", "llama-factory"):
            raise ValueError(f"objective dpo is for trl and llama-factory (found {self.trainer})")
