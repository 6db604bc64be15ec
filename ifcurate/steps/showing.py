"""Show one example of a run as the model read it: both prompts, the response and its tokens."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ifcurate.engines.base import Tokenizer
from ifcurate.engines.load import load_tokenizer
from ifcurate.errors import IfcurateError, RunError, TemplateError
from ifcurate.options.score import ScoreSettings
from ifcurate.phrases import did_you_mean
from ifcurate.prompts.pairs import PromptPair, build_pairs
from ifcurate.prompts.templates import Rendered, Template, load_template
from ifcurate.records import Example
from ifcurate.runs.reading import run_examples, run_model
from ifcurate.runs.run import Run

_TEXT: Final = 300  # characters of a text in a summary


@dataclass(frozen=True, slots=True)
class ShownPrompt:
    """A rendered prompt, and where its response begins."""

    text: str
    response_start: int  # in characters of `text`
    n_tokens: int
    response_tokens: tuple[str, ...]  # the text of each response token


@dataclass(frozen=True, slots=True)
class ShownExample:
    """One example with its two prompts. Without them, `reason` says why.

    An example without a context has one prompt, `prompt`. `turns` are the scored responses
    of its chat, of which `turn` is this one.
    """

    id: str
    source: str
    row: int
    turn: int
    status: str
    reason: str
    with_context: ShownPrompt | None
    without_context: ShownPrompt | None
    prompt: ShownPrompt | None = None
    turns: tuple[int, ...] = ()


def show_example(
    run: Run, id: str, *, turn: int | None = None, model: str = "", template: str = ""
) -> ShownExample:
    """Render one example of a run again, as it was scored; by its id, or the number of its row.

    `turn` picks a response of a chat with several. Give `model`, the folder of the run's
    model, and `template`, its Jinja file, if they have moved.

    Raises `RunError` when no example has this id, when the data changed or when the model is
    missing, `TemplateError` when the template is not the one that scored or does not render.
    """
    example, turns = _find(run, id, turn)
    name, revision = run_model(run, model)
    engine = run.manifest.identity["engine"]["engine"]
    tokenizer = load_tokenizer(engine, model=name, revision=revision)
    settings = ScoreSettings(**run.manifest.identity["settings"])
    layout = _template(run, template, tokenizer)
    (pair,) = build_pairs([example], layout, tokenizer, settings)
    both = _show_pair(pair, layout, tokenizer, settings)
    only = None
    if pair.status == "no_context":
        only = _show(layout.render(pair.example), tokenizer, score_eot=settings.score_eot)
    return ShownExample(
        example.id,
        example.source,
        example.row_number,
        example.turn,
        pair.status,
        pair.reason,
        *both,
        only,
        turns,
    )


def _find(run: Run, id: str, turn: int | None) -> tuple[Example, tuple[int, ...]]:
    """Return the example, and the turns of all with this id, or else of the row of this number."""
    seen: list[str] = []
    found: dict[int, Example] = {}
    numbered: list[Example] = []
    for example in run_examples(run):
        if example.id == id:
            found.setdefault(example.turn, example)
        elif found:
            break
        elif str(example.row_number) == id:
            numbered.append(example)
        elif len(seen) < 10_000:
            seen.append(example.id)
    found = found or {e.turn: e for e in numbered if e.source == numbered[0].source}
    turns = tuple(found)
    if not found:
        raise RunError(
            f"{run.folder}: no example {id!r}{did_you_mean(id, seen)}; ids are in scores.parquet "
            "and in the tables of score and split; give one, or a row's number, counted from 0; "
            "if another run has it, name that run: --run RUN"
        )
    if turn is not None and turn not in found:
        known = ", ".join(map(str, turns))
        raise RunError(
            f"{run.folder}: example {id} has no turn {turn}; found {known}; --turn picks one"
        )
    return found[turns[0] if turn is None else turn], turns


def _template(run: Run, name: str, tokenizer: Tokenizer) -> Template:
    """Return the template that scored the run."""
    scored = run.manifest.identity
    asked = name or scored["settings"]["template"]
    advice = "give the file that the run used: --template FILE"
    try:
        template = load_template(asked, tokenizer)
    except TemplateError as error:
        if name or Path(asked).is_file():
            raise
        raise TemplateError(f"{error}; if it has moved, {advice}") from error
    if template.fingerprint != scored["template"]["fingerprint"]:
        raise TemplateError(
            f"template {asked}: differs from the one that scored {run.folder} (the text of the "
            f"template, or the model's tokenizer); {advice}"
        )
    return template


def _show_pair(
    pair: PromptPair, template: Template, tokenizer: Tokenizer, settings: ScoreSettings
) -> tuple[ShownPrompt | None, ShownPrompt | None]:
    if pair.with_context is None or pair.without_context is None:
        return None, None
    shown = []
    official = settings.ablation == "template"
    variants = (
        ("with", pair.example, pair.with_context),
        ("without", pair.example.without_context(), pair.without_context),
    )
    for variant, example, prompt in variants:
        rendered = template.render(example, variant=variant if official else "")
        n_response = len(prompt.ids) - prompt.response_start
        one = _show(rendered, tokenizer, score_eot=settings.score_eot, n_response=n_response)
        shown.append(replace(one, n_tokens=len(prompt.ids)))
    return shown[0], shown[1]


def _show(
    rendered: Rendered, tokenizer: Tokenizer, *, score_eot: bool, n_response: int | None = None
) -> ShownPrompt:
    """Return a text with the tokens of its response, by default those of its characters."""
    text = rendered.prefix + rendered.response + (rendered.suffix.rstrip() if score_eot else "")
    start = len(rendered.prefix)
    offsets = tokenizer.encode(text).offsets
    if n_response is None:
        n_response = sum(last > start for _, last in offsets)
    ends = offsets[len(offsets) - n_response :]
    tokens = tuple(text[max(first, start) : last] for first, last in ends)
    return ShownPrompt(text, start, len(offsets), tokens)


def add_texts(run: Run, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a `ScoreSummary` with the starts of their instruction, context and response.

    The data is read again. If it is missing or has changed, rows stay as they are.
    """
    examples: dict[tuple[str, int, int], Example] = {}
    with contextlib.suppress(IfcurateError):
        for read in run_examples(run).pick((row["source"], row["row"]) for row in rows):
            examples |= {(e.source, e.row_number, e.turn): e for e in read.examples}
    return [
        {**row, **_texts(examples.get((row["source"], row["row"], row["turn"])))} for row in rows
    ]


def _texts(example: Example | None) -> dict[str, str]:
    if example is None:
        return {}
    texts = {
        "instruction": example.without_context().instruction,
        "context": example.context_text,
        "response": example.response,
    }
    return {name: text[:_TEXT] for name, text in texts.items()}
