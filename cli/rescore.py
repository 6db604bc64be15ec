"""`ifcurate split --rescore-band`: rows near the cut are scored again in float32."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifcurate.phrases import count

from . import common
from .common import note, out

if TYPE_CHECKING:
    from ifcurate.steps.rescoring import Rescore

PANEL = "Scoring again (with --rescore-band)"

Band = Annotated[
    float | None,
    typer.Option(
        "--rescore-band",
        metavar="NATS",
        help="After a 16-bit run: score the rows within this distance of a cut again in float32, "
        "so that rounding does not decide their label. 0.05 is four times the largest error of a "
        "loss that was measured in bfloat16 (135M weights, 50 rows).",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Where the run's model is, when it is a local folder.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Template = Annotated[
    str,
    typer.Option(
        "--template",
        help="Where the run's template is, when it is a Jinja file.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:N.", rich_help_panel=PANEL)
]
BatchSize = Annotated[
    str, typer.Option("--batch-size", help="auto, or a number.", rich_help_panel=PANEL)
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="CPU threads of the model.", rich_help_panel=PANEL),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run Python code that the model's folder brings.",
        rich_help_panel=PANEL,
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle", help="Load weights that are not safetensors.", rich_help_panel=PANEL
    ),
]
_UNSET: dict[str, Any] = {
    **dict.fromkeys(("model", "template", "threads")),
    **dict.fromkeys(("device", "batch_size"), "auto"),
    **dict.fromkeys(("trust_remote_code", "allow_pickle"), False),
}


@contextlib.contextmanager
def asked(band: float | None, given: Mapping[str, Any], *, quiet: bool) -> Iterator[Rescore | None]:
    """The wish, with what shows its progress and stops it at Ctrl-C; None when there is none."""
    if band is None:
        for name, value in given.items():
            if value != _UNSET[name]:
                raise typer.BadParameter(
                    "is for scoring again; give --rescore-band NATS too, or leave it out",
                    param_hint=f"--{name.replace('_', '-')}",
                )
        yield None
        return
    from ifcurate.runs.stop import stop_on_signal
    from ifcurate.steps.rescoring import Rescore

    from .engines import read_batch_size

    options = {**given, "batch_size": read_batch_size(given["batch_size"])}
    said = time.monotonic() - 30

    def progress(n_done: int, n: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 30:
            said = time.monotonic()
            of = count(n, "row")
            note(f"scored {n_done:,} of {of} near the cut again in float32", quiet=quiet)

    with stop_on_signal(common.say_stopping) as stop:
        yield Rescore(band, on_progress=progress, stop=stop, **options)


def print_rescored(checks: Mapping[str, Any]) -> None:
    """What scoring again changed, in one line."""
    found = checks.get("rescored")
    if found is None:
        return
    if not found["rows"]:
        out.print(f"no row lies within {found['band']:g} of the cut: none scored again in float32")
        return
    failed = f", {found['not_scored']:,} could not be" if found["not_scored"] else ""
    rows = count(found["rows"], "row")
    out.print(
        f"{rows} within {found['band']:g} of the cut scored again in float32 "
        f"({found['scored_now']:,} now{failed}); "
        f"{count(found['labels_changed'], 'label')} changed",
        soft_wrap=True,
    )
