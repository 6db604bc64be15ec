"""The options of `score`: the engine, the prompts, the run and the cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator

from ifcurate.options.base import BatchSize, Options, needs, option, same_as

SERVER_PANEL: Final = "Server and vLLM"
MODEL: Final = "Short name (see `ifcurate models`), Hub id, or local folder."
ENGINES: Final = (
    "hf is transformers in this process. vllm needs the vllm extra. server is a completions "
    "endpoint that is already running."
)
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
_LEAST_MEMORY: Final = 10**8  # bytes
_MOST_MEMORY: Final = 10**15
_LOCAL: Final = ("revision", "dtype", "batch_size", "max_length", "threads")
_LOADING: Final = ("trust_remote_code", "allow_pickle")
#: The options of each engine, except its model; see the `load_*_engine` functions.
ENGINE_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "hf": (*_LOCAL, "device", "memory", "row_timeout", "no_kernels", *_LOADING),
    "vllm": (*_LOCAL, *_LOADING),
    "server": (
        "base_url",
        "tokenizer",
        "revision",
        "dtype",
        "max_length",
        "concurrency",
        "row_timeout",
        "trust_remote_code",
    ),
    "toy": (),
}
#: Options of the comparison with hf, which server does not take itself.
_COMPARISON: Final = ("batch_size", "threads", "allow_pickle")


def _parse_memory(value: Any) -> Any:
    """Bytes from `4GB`, `500MB`, `2GiB` or a number."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMGT]?)(I?)B?", str(value).strip().upper())
    if match is None:
        raise ValueError(f"{value!r}: write a size such as 4GB or 500MB")
    base = 1024 if match[3] else 1000
    size = float(match[1]) * base ** " KMGT".index(match[2] or " ")
    if not _LEAST_MEMORY <= size <= _MOST_MEMORY:
        raise ValueError(f"{str(value)[:40]!r}: must be from 100MB to 1000TB")
    return int(size)


class EngineOptions(Options):
    """The engine and its model."""

    step: ClassVar[str] = "score"
    panel: ClassVar[str] = "Model"

    model: str = option("", f"{MODEL} Required for hf and vllm.", metavar="NAME", common=True)
    engine: Literal["hf", "vllm", "server", "toy"] = option(
        "hf", f"{ENGINES} toy has no model, for dry runs.", common=True
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N.", common=True)
    dtype: Dtype = option("auto", "Number format that the model computes in.", common=True)
    batch_size: BatchSize = option("auto", "Sequences scored together: auto, or a number.")
    revision: str | None = option(None, "Branch, tag or commit on the Hub.")
    threads: int | None = option(None, "CPU threads of the model.", ge=1)
    memory: Annotated[int, BeforeValidator(_parse_memory)] | None = option(
        None,
        "Memory besides the loaded model, such as 4GB: one half for the rows that are read and "
        "tokenised together, the other for the packs that a CPU computes. A row that needs more "
        "than its half is out_of_memory. By default half of the free memory, at least 1 GiB.",
        metavar="SIZE",
    )
    row_timeout: float | None = option(
        None,
        "For hf on a CPU and for server: seconds that one prompt may take. A row that takes more "
        "is timed_out, and the run continues.",
        metavar="SECONDS",
        gt=0,
    )
    no_kernels: bool = option(
        False,
        "For hf on a CPU: use only PyTorch's arithmetic, without the compiled kernels. A run "
        "resumes only with the same setting.",
    )
    trust_remote_code: bool = option(False, "Run Python code that comes with the model.")
    allow_pickle: bool = option(False, "Load weights that are not safetensors.")
    base_url: str = option(
        "",
        "For server: http://host:8000/v1. The key is read from IFCURATE_API_KEY or "
        "OPENAI_API_KEY only.",
        panel=SERVER_PANEL,
        metavar="URL",
    )
    tokenizer: str = option(
        "",
        "For server: the tokenizer, if the model's name on the server is not a tokenizer's name.",
        panel=SERVER_PANEL,
        metavar="NAME",
    )
    concurrency: int = option(
        16, "For server: requests at the same time.", panel=SERVER_PANEL, ge=1
    )
    parity: int = option(
        8,
        "For vllm and server: rows on which the engine is compared with hf on the same model "
        "before the run. 0 skips the comparison.",
        panel=SERVER_PANEL,
        ge=0,
    )
    parity_tolerance: float | None = option(
        None,
        "For vllm and server: nats by which one token may differ. The default depends on the "
        "dtype.",
        panel=SERVER_PANEL,
        gt=0,
    )

    def _refuse(self) -> None:
        taken = {*ENGINE_OPTIONS[self.engine], "memory"}
        compared = self.engine in ("vllm", "server")
        if compared:
            taken |= {"parity", "parity_tolerance", *_COMPARISON}
        for name in set(EngineOptions.model_fields) - {"engine", "model"} - taken:
            owners = [e for e, names in ENGINE_OPTIONS.items() if name in names]
            needs(self, name, False, f"--engine {' and '.join(owners or ['vllm', 'server'])}")

    @property
    def missing(self) -> str:
        """What the engine needs and the options do not name, as a message; "" for nothing."""
        if self.engine in ("hf", "vllm") and not self.model:
            return (
                "no model was given; name one: --model smollm2-135m (see `ifcurate models`), "
                "a Hub id, a folder, or --model pocket to try it out"
            )
        if self.engine == "server" and not self.base_url:
            return (
                "the engine server needs the address of a running server: "
                "--base-url http://127.0.0.1:8000/v1"
            )
        return ""

    @property
    def on_gpu(self) -> bool:
        """Whether an engine with these options uses a GPU."""
        return self.engine == "vllm" or self.device.startswith("cuda")

    def for_engine(self, **more: Any) -> dict[str, Any]:
        """Return the values that `load_engine` takes for this engine, by name."""
        values = {**self.model_dump(), **more}
        names = ENGINE_OPTIONS[self.engine]
        return {n: values[n] for n in (("model", *names) if names else ()) if n in values}


class ScoreSettings(Options):
    """How prompts are made, and which tokens the loss covers."""

    step: ClassVar[str] = "score"
    panel: ClassVar[str] = "Prompt"

    template: str = option(
        "auto",
        "auto (the tokenizer's chat template, else alpaca), alpaca, plain, tulu, chat, or a "
        "Jinja file.",
        common=True,
    )
    method: Literal["loss", "attention"] = option(
        "loss",
        "loss is the loss with and without the context. attention adds context_attention, the "
        "share of attention that falls on the context (hf only, a slow third pass).",
        common=True,
    )
    attention_layer: int | None = option(
        None,
        "For --method attention: the layer, counted from 0. The default is the middle one.",
        ge=0,
    )
    ablation: Literal["drop", "template", "shuffle"] = option(
        "drop",
        "What replaces the context: drop (nothing), template (Alpaca's two official templates) "
        "or shuffle (the context of another row, to see whether any text helps).",
    )
    score_eot: bool = option(False, "Include the token that ends the response in the loss.")
    keep_end_markers: bool = option(
        False,
        "Score end-of-text markers, such as </s>, at the end of a response. By "
        "default they are not scored.",
    )
    too_long: Literal["skip", "shorten"] = option(
        "skip",
        "What to do with a row that is too long for the model: skip it, or shorten its context "
        "in the middle. The response is never cut.",
    )
    max_length: int | None = option(None, "Limit in tokens, below the limit of the model.", ge=8)
    token_gain: float = option(
        0.5,
        "Threshold in nats: tokens with a larger gain count in gain_token_fraction.",
        metavar="NATS",
        allow_inf_nan=False,
    )
    chunk_rows: int = option(256, "Rows that are scored and written together.", command=False, ge=1)

    def _refuse(self) -> None:
        needs(self, "attention_layer", self.method == "attention", "--method attention")


class LoadOptions(EngineOptions):
    """The options that the functions of `ifcurate.engines` take that load an engine."""

    step: ClassVar[str] = "load_engine"

    max_length: int | None = same_as(ScoreSettings, "max_length")


def _check_name(value: Any) -> Any:
    if not re.fullmatch(r"(\w[\w.-]*)?", str(value)):
        raise ValueError(
            f"{value!r}: not a valid name; use letters, digits, dots, hyphens and underscores"
        )
    return value


class RunOptions(Options):
    """Where a run is written, and what it keeps."""

    step: ClassVar[str] = "score"
    panel: ClassVar[str] = "Run"

    out: Path | None = option(
        None, "Run folder. By default a new folder in ifcurate-runs/.", common=True
    )
    name: Annotated[str, BeforeValidator(_check_name)] = option(
        "",
        "Start of the run folder's name in ifcurate-runs/, instead of the names of data and model. "
        "Give the same name to resume.",
        metavar="NAME",
    )
    overwrite: bool = option(False, "Score all rows again, including those already scored.")
    retry_failed: bool = option(
        False,
        "Score again only those rows of a finished run that are out_of_memory, timed_out or "
        "error. The other rows stay.",
    )
    tokens: bool = option(False, "Also write the losses of every token.")
    shard: str | None = option(
        None,
        "Score the I-th of N equal parts of the rows, for a job array. `ifcurate merge` joins "
        "them.",
        metavar="I/N",
    )
    cache: bool = option(
        True,
        "Use the scores of rows that an earlier run scored with the same model, template and "
        "options, and store new ones.",
    )
    cache_dir: Path | None = option(None, "Folder of the cache. The default is ifcurate-runs/.")

    def _refuse(self) -> None:
        needs(self, "retry_failed", not (self.overwrite or self.shard), "whole runs that stay")
        needs(self, "name", self.out is None, "runs without --out")
        needs(self, "cache_dir", self.cache, "runs with a cache")


def _parse_engines(value: Any) -> Any:
    low, _, high = str(value).partition("-")
    if not (low.isdigit() and (high or low).isdigit() and 1 <= int(low) <= int(high or low)):
        raise ValueError(f"{value!r}: write a number, or MIN-MAX")
    return str(value)


class ClusterOptions(Options):
    """Where engines run, and how many."""

    step: ClassVar[str] = "score"
    panel: ClassVar[str] = "Cluster"

    executor: Literal["local", "ray"] = option(
        "local", "local is this process. ray is a Ray cluster with one engine in each worker."
    )
    address: str | None = option(
        None,
        "Address of the Ray cluster: auto, or HOST:PORT. The default is RAY_ADDRESS, else a "
        "cluster on this machine.",
    )
    num_engines: Annotated[str, BeforeValidator(_parse_engines)] = option(
        "1",
        "Engines on the cluster: a number, or a range, of which as many as fit and are needed.",
        metavar="N|MIN-MAX",
    )
    gpus_per_engine: float | None = option(
        None,
        "GPUs of each engine; 0.5 lets two engines share one. The default is 1 for --device cuda "
        "and vllm, else 0.",
        ge=0,
    )
    cpus_per_engine: float = option(1.0, "CPUs of each engine.", ge=0)

    @property
    def engine_range(self) -> tuple[int, int]:
        """The fewest and the most engines."""
        low, _, high = self.num_engines.partition("-")
        return int(low), int(high or low)

    def _refuse(self) -> None:
        for name in ClusterOptions.model_fields:
            if name != "executor":
                needs(self, name, self.executor == "ray", "--executor ray")
