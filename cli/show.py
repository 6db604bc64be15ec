"""`ifcurate show`: one example of a run, as the model read it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from . import common
from .printing import note, out, plain, print_json

if TYPE_CHECKING:
    from ifcurate.steps.showing import ShownExample, ShownPrompt


def show(
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The example's id in the scores, or its row's number, counted from 0.",
        ),
    ],
    turn: Annotated[
        int | None, typer.Option(min=0, help="Which response of a chat, counted from 0.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="The folder of the run's model, if it has moved.")
    ] = "",
    template: Annotated[str, typer.Option(help="The run's Jinja template, if it has moved.")] = "",
    run: common.RunOption = None,
    json: common.Json = False,
) -> None:
    """Show one example as the model read it: both prompts, with the response marked.

    The response is between ⟦ and ⟧. Its tokens are below, separated by |.

        ifcurate show 8c058891306efe93
    """
    from ifcurate.steps.showing import show_example

    opened = common.open_run(run)
    shown = show_example(opened, id, turn=turn, model=model, template=template)
    if json:
        print_json(asdict(shown))
        return
    _print(shown)
    if turn is None and len(shown.turns) > 1:
        known = ", ".join(map(str, shown.turns))
        note(f"this chat has {len(shown.turns)} responses: --turn takes {known}")


def _print(shown: ShownExample) -> None:

    out.print(Text(plain(f"{shown.source} row {shown.row}, turn {shown.turn}: {shown.id}")))
    prompts = [
        (title, prompt)
        for title, prompt in (
            ("with the context", shown.with_context),
            ("without the context", shown.without_context),
            ("the one prompt", shown.prompt),
        )
        if prompt is not None
    ]
    if shown.status != "scored":
        out.print(Text(plain(f"{shown.status}: {shown.reason}")))
    for title, prompt in prompts:
        out.print()
        out.print(Text(f"{title}, {prompt.n_tokens:,} tokens", style="bold"))
        out.print(_mark(prompt), soft_wrap=True)
    if not prompts:
        return
    tokens = prompts[0][1].response_tokens
    out.print()
    out.print(Text(f"response, {len(tokens):,} tokens", style="bold"))
    out.print(Text(plain("|".join(tokens), lines=True)), soft_wrap=True)


def _mark(prompt: ShownPrompt) -> object:

    before, response = prompt.text[: prompt.response_start], prompt.text[prompt.response_start :]
    text = Text(plain(before, lines=True))
    text.append(f"⟦{plain(response, lines=True)}⟧", style="bold green")
    return text
