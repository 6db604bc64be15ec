"""The options of `evaluate`: suites, model and what is measured."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from ifcurate.options.base import Options, Seed, needs, option, same_as
from ifcurate.options.score import ENGINES, Dtype, EngineOptions

#: The suites that come with ifcurate.
SUITES: Final = ("capitals", "world-facts", "biographies", "quotes")


class EvaluateOptions(Options):
    """The questions for a model, and how it answers them."""

    step: ClassVar[str] = "evaluate"

    suite: tuple[str, ...] = option(
        SUITES,
        f"Built-in suite ({', '.join(SUITES)}) or file of conflicts. May be repeated.",
        flags=("--suite", "-s"),
        metavar="NAME|FILE",
        common=True,
    )
    template: str = option(
        "auto",
        "Template of the prompt, as in finetuning: auto, alpaca, tulu, plain, chat or a Jinja "
        "file.",
        metavar="NAME|FILE",
        common=True,
    )
    limit: int | None = option(None, "Ask only the first N questions of a suite.", ge=1)
    max_new_tokens: int = option(40, "Longest generated answer, in tokens.", ge=1)
    batch_size: int = option(64, "Questions answered together.", ge=1)
    knowledge: bool = option(True, "Also ask without the context, and report what the model knows.")
    logprobs: bool = option(True, "Also compare the log-probabilities of the two answers.")
    attention: bool = option(
        False,
        "Also measure, by layer, the share of attention that falls on the context (hf only).",
        flags=("--attention/--no-attention",),
    )
    benchmark: tuple[str, ...] = option(
        (),
        "Standard benchmark to run on each model: a task of lm-evaluation-harness or a YAML file "
        "(eval extra, hf only). May be repeated.",
        flags=("--benchmark", "-b"),
        metavar="TASK|FILE",
    )
    benchmark_limit: int | None = option(None, "Only the first N rows of a benchmark.", ge=1)
    engine: Literal["hf", "vllm", "server"] = option("hf", ENGINES, common=True)
    base_url: str = same_as(EngineOptions, "base_url")
    tokenizer: str = same_as(EngineOptions, "tokenizer")
    device: str = same_as(EngineOptions, "device")
    dtype: Dtype = same_as(EngineOptions, "dtype")
    seed: Seed = option(0, "Seed of the bootstrap intervals.")

    def _refuse(self) -> None:
        for name in ("base_url", "tokenizer"):
            needs(self, name, self.engine == "server", "--engine server")
        for name in ("attention", "benchmark", "device"):
            needs(self, name, self.engine == "hf" or not getattr(self, name), "--engine hf")
        needs(self, "benchmark_limit", bool(self.benchmark), "--benchmark")
        if self.engine == "server" and not self.base_url:
            raise ValueError("engine server needs base_url, such as http://127.0.0.1:8000/v1")
