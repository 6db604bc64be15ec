"""With what is scored, and how prompts are made: the options of `score`'s engine and prompt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .engines import read_batch_size

if TYPE_CHECKING:
    from ifcurate.scoring.scorer import ScoreSettings

__all__ = ["ModelOptions", "PromptOptions"]

MODEL_PANEL = "Model"
PROMPT_PANEL = "Prompt"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The engine and its model."""

    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Short name (see `ifcurate models`), Hub id, or local folder.",
            rich_help_panel=MODEL_PANEL,
            show_default=False,
        ),
    ] = ""
    engine: Annotated[
        Literal["hf", "vllm", "server", "toy"],
        typer.Option(
            help="hf is transformers, in-process; vllm needs ifcurate\\[vllm] (on one CPU core, "
            "with models of 15M and 135M, hf was 2.4 to 4.6 times as fast; no GPU was measured); "
            "server is a "
            "completions endpoint that runs already; toy has no model, for dry runs.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = "hf"
    revision: Annotated[
        str | None,
        typer.Option(help="Branch, tag or commit of the Hub.", rich_help_panel=MODEL_PANEL),
    ] = None
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(
            help="What the model computes in.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = "auto"
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:N.", rich_help_panel=MODEL_PANEL)
    ] = "auto"
    batch_size: Annotated[
        str,
        typer.Option(help="auto, or a number.", rich_help_panel=MODEL_PANEL),
    ] = "auto"
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of the model.", rich_help_panel=MODEL_PANEL),
    ] = None
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            help="Run Python code that the model's folder brings.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = False
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Load weights that are not safetensors.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = False
    base_url: Annotated[
        str,
        typer.Option(
            help="For server: http://host:8000/v1. A key is read from IFCURATE_API_KEY or "
            "OPENAI_API_KEY only.",
            rich_help_panel=MODEL_PANEL,
            show_default=False,
        ),
    ] = ""
    tokenizer: Annotated[
        str,
        typer.Option(
            help="For server: the tokenizer, when the model's name there is none.",
            rich_help_panel=MODEL_PANEL,
            show_default=False,
        ),
    ] = ""
    concurrency: Annotated[
        int,
        typer.Option(min=1, help="For server: requests at a time.", rich_help_panel=MODEL_PANEL),
    ] = 16
    parity: Annotated[
        int,
        typer.Option(
            min=0,
            help="For vllm and server: rows on which the engine is first compared with hf on "
            "the same model; 0 leaves it out.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = 8
    parity_tolerance: Annotated[
        float | None,
        typer.Option(
            help="Nats at one token that may differ; by the dtype when not given.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None

    @property
    def on_gpu(self) -> bool:
        """Whether an engine of these options takes a GPU."""
        return self.engine == "vllm" or self.device.startswith("cuda")

    def given(self) -> dict[str, Any]:
        """What engines may take, by name."""
        apart = ("engine", "parity", "parity_tolerance")
        values = {name: value for name, value in asdict(self).items() if name not in apart}
        return {**values, "batch_size": read_batch_size(self.batch_size)}


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """How prompts are made, and what is done with long ones."""

    template: Annotated[
        str,
        typer.Option(
            help="auto (the tokenizer's chat template, else alpaca), alpaca, plain, tulu, chat, "
            "or a Jinja file.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = "auto"
    ablation: Annotated[
        Literal["drop", "template", "shuffle"],
        typer.Option(
            help="What stands where the context was: drop (nothing), template (Alpaca's two "
            "official templates), shuffle (another row's context: does any text help?).",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = "drop"
    score_eot: Annotated[
        bool,
        typer.Option(
            "--score-eot/--no-score-eot",
            help="Take the token that ends the response into the loss.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = False
    too_long: Annotated[
        Literal["skip", "shorten"],
        typer.Option(
            help="A row too long for the model: skip it, or shorten its context in the middle. "
            "The response is never cut.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = "skip"
    max_length: Annotated[
        int | None,
        typer.Option(
            min=8, help="Fewer tokens than the model takes.", rich_help_panel=PROMPT_PANEL
        ),
    ] = None
    token_gain: Annotated[
        float,
        typer.Option(
            help="Nats: tokens with a larger gain count in gain_token_fraction.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = 0.5

    def settings(self) -> ScoreSettings:
        """As the library takes them."""
        from ifcurate.scoring.scorer import ScoreSettings

        return ScoreSettings(**asdict(self))
