"""`ifcurate finetune`: train a model on a mixture through TRL and PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifcurate.options.finetune import FinetuneOptions
from ifcurate.phrases import count

from . import common, printing
from .options import with_options


@with_options
def finetune_model(
    data: Annotated[
        str,
        typer.Argument(
            metavar="MIX", help="Rows to train on: a mixture, or a file as `score` reads it."
        ),
    ],
    *,
    options: FinetuneOptions,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/finetune"),
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Finetune a model on a mixture, with checkpoints for `ifcurate evaluate`.

    The trainer is TRL's SFTTrainer, and adapters are PEFT's. The loss is taken over the response
    and the token that ends it. The rows have the token ids that were scored. **--update qk**
    trains only the query and key projections, and prints their list.

    Needs the train extra.

        ifcurate finetune mixture --model smollm2-135m --evaluate-suite capitals
    """
    from ifcurate.finetuning.finetune import finetune

    result = finetune(data, out, options=options, say=printing.say)
    if json:
        printing.print_json({"folder": str(result.folder), **result.as_dict()})
    elif not quiet:
        for reason, n in result.skipped.items():
            printing.note(f"{count(n, 'row')} left out: {reason}")
        printing.out.print(f"{count(result.n_rows, 'row')}, {count(result.steps, 'step')}")
        printing.print_line(f"model {result.folder / 'final'}")
