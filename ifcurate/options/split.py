"""The options of `split`: the rule, its parameters, and which rows are scored again."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from ifcurate.options.base import BatchSize, Fraction, Options, Seed, needs, option, same_as
from ifcurate.options.score import EngineOptions

Rule = Literal["paper", "gain", "both", "auto", "attention"]
Statistic = Literal[
    "context_gain",
    "max_token_gain",
    "loss_without_context",
    "max_token_loss_without_context",
    "context_attention",
]
#: Nats per token. In a small laboratory, it had precision 0.84 and recall 0.91.
DEFAULT_GAIN: Final = 0.15
#: Share of attention above which Wang et al. (2024) call an example context-dependent.
DEFAULT_ATTENTION: Final = 0.6


class SplitOptions(Options):
    """Which rows are context-critical."""

    step: ClassVar[str] = "split"

    rule: Rule = option(
        "paper",
        "paper: all but the share with the lowest loss without the context. gain: rows whose "
        "context lowers the loss by more than a threshold. both: rows that paper and gain both "
        "select. auto: a cut between two groups of the distribution. attention: rows with more "
        "than a share of the attention on their context (scored with --method attention).",
        common=True,
    )
    fraction: Fraction = option(
        0.25,
        "For paper and both: the share of rows below the cut, as 0.25 or 25%. auto uses it if "
        "it does not find two groups and has no threshold.",
        metavar="SHARE",
        common=True,
    )
    threshold: float | None = option(
        None,
        f"For gain and both: the cut, in nats per token; {DEFAULT_GAIN} for context_gain. For "
        f"attention: a share, {DEFAULT_ATTENTION} by default. auto uses it if it does not find "
        "two groups.",
        metavar="NATS",
        common=True,
        allow_inf_nan=False,
    )
    statistic: Statistic | None = option(
        None, "The number that is cut. Each rule has its own default.", common=True
    )
    per: Literal["all", "source"] = option(
        "all", "One cut for all rows, or one for each source.", common=True
    )
    length_control: bool = option(
        False, "Put the same share below the cut at every response length."
    )
    length_bins: int = option(
        5, "For --length-control: the number of bins of response length.", ge=2
    )
    max_overlap: Fraction | None = option(
        None,
        "Leave out rows with more than this share of the context's words elsewhere in the prompt: "
        "they get the label not-scored and do not affect the cut. By default all rows stay.",
        metavar="SHARE",
    )
    n_bootstrap: int = option(
        200, "For auto: the bootstrap draws behind the interval of the cut.", command=False, ge=20
    )
    seed: Seed = option(0, "For auto: the seed of the bootstrap.")

    @property
    def cuts_attention(self) -> bool:
        """Whether the split needs scores with the share of attention on the context."""
        return self.rule == "attention" or self.statistic == "context_attention"

    def _refuse(self) -> None:
        falls_back = self.rule == "auto" and self.threshold is None
        shares = self.rule in ("paper", "both") or falls_back
        needs(self, "fraction", shares, "the rules paper, both, and auto without a threshold")
        needs(self, "threshold", self.rule != "paper", "the rules gain, both, auto and attention")
        needs(self, "statistic", self.rule != "attention", "the rules paper, gain, both and auto")
        needs(self, "length_bins", self.length_control, "--length-control")
        needs(self, "n_bootstrap", self.rule == "auto", "the rule auto")
        needs(self, "seed", self.rule == "auto", "the rule auto")
        gain = self.statistic in (None, "context_gain", "max_token_gain")
        if self.rule == "both" and not gain:
            raise ValueError(
                f"rule both cuts a gain and its loss without the context (found {self.statistic}); "
                "use context_gain or max_token_gain"
            )
        mean_gain = self.statistic in (None, "context_gain")
        if self.rule in ("gain", "both") and self.threshold is None and not mean_gain:
            raise ValueError(
                f"statistic {self.statistic} has no default cut for rule {self.rule}; "
                "give a threshold"
            )


class RescoreOptions(Options):
    """How rows near the cut of a 16-bit run are scored again in float32."""

    step: ClassVar[str] = "split"
    panel: ClassVar[str] = "Score rows near the cut again"

    rescore_band: float | None = option(
        None,
        "After a 16-bit run: score the rows within this distance of a cut again in float32, so "
        "that rounding does not decide their label. 0.05 is four times the largest error of a "
        "loss that was measured in bfloat16 (135M weights, 50 rows).",
        metavar="NATS",
        gt=0,
    )
    model: str | None = option(None, "Folder of the run's model, if the model is a local folder.")
    template: str | None = option(None, "The run's template, if it is a Jinja file.")
    device: str = same_as(EngineOptions, "device")
    batch_size: BatchSize = same_as(EngineOptions, "batch_size")
    threads: int | None = same_as(EngineOptions, "threads")
    trust_remote_code: bool = same_as(EngineOptions, "trust_remote_code")
    allow_pickle: bool = same_as(EngineOptions, "allow_pickle")

    def _refuse(self) -> None:
        for name in RescoreOptions.model_fields:
            if name != "rescore_band":
                needs(
                    self, name, self.rescore_band is not None, "scoring again with --rescore-band"
                )
