"""Context reliance over the checkpoints of a run: the peak, the fall, and the checkpoint to keep.

Peak and last checkpoint are compared over the same questions, by a paired
bootstrap and McNemar's test. The peak is the best of several noisy figures, so
its height is biased upwards. The test only tells whether the fall exceeds chance at
two fixed checkpoints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ifcurate.evaluation.evaluate import Progress, evaluate_model, read_answers
from ifcurate.evaluation.measures import Answered, compare_outcomes
from ifcurate.evaluation.suites import load_suite
from ifcurate.options.evaluate import EvaluateOptions

TITLE: Final = "Trajectory"
_CHECKPOINT: Final = re.compile(r"checkpoint-(\d+)$")
_DONE: Final = "finetune.json"  # a run writes it last
#: Figures of the harness that can be drawn, the first one that a task has.
_FIGURES: Final = ("acc", "exact_match", "contains", "f1", "counterfactual")
_DRAWN_LAYERS: Final = 5  # in addition to the mean over all layers
_PAUSE: Final = 5.0  # seconds between two looks at a run in progress


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Measures by step, and the verdict with its reason."""

    #: step, model, counterfactual, parametric, knows, benchmarks by task, attention by layer
    points: tuple[dict[str, Any], ...]
    peak: dict[str, Any]
    last: dict[str, Any]
    fall: dict[str, Any]  # last minus peak, paired: difference, low, high, p, n
    keep: str  # the folder to keep
    reason: str


def step_of(model: str) -> int | None:
    """Return the step in the name of a checkpoint's folder; None for another model."""
    match = _CHECKPOINT.search(Path(model).name)
    return int(match.group(1)) if match else None


def follow_checkpoints(
    models: Sequence[str],
    out: Path,
    options: EvaluateOptions,
    *,
    watch: bool = False,
    progress: Progress | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> list[dict[str, Any]]:
    """Evaluate each checkpoint once, in the order of its step; the results by model.

    With `watch`, new checkpoints beside these are evaluated as they appear, until the
    run writes its record (`finetune.json`). `RUN/checkpoint-*` then stands for a run without a
    checkpoint.
    """
    return [
        evaluate_model(model, out, options=options, progress=progress)
        for model in _in_order(models, watch=watch, wait=wait)
    ]


def _in_order(
    models: Sequence[str], *, watch: bool, wait: Callable[[float], None]
) -> Iterator[str]:
    # A shell leaves a pattern as it is until the run has a checkpoint.
    waiting = {m for m in models if watch and Path(m).name == "checkpoint-*"}
    waiting = {m for m in waiting if Path(m).parent.is_dir()}
    named = [m for m in models if m not in waiting]
    yield from sorted(named, key=lambda m: (step_of(m) is None, step_of(m) or 0, m))
    if watch:
        runs = {Path(m).parent for m in models if m in waiting or step_of(m) is not None}
        yield from _watch(runs, set(named), wait)


def _watch(folders: Set[Path], seen: set[str], wait: Callable[[float], None]) -> Iterator[str]:
    """Yield new checkpoints in these folders until the runs finish."""
    while True:
        # Checked first: a run that is finished now writes no checkpoint after the listing.
        finished = all((folder / _DONE).exists() for folder in folders)
        paths = {str(path) for folder in folders for path in folder.glob("checkpoint-*")}
        new = sorted(filter(step_of, paths - seen), key=lambda path: step_of(path) or 0)
        yield from new
        seen.update(new)
        if new:
            continue
        if finished:
            return
        wait(_PAUSE)


def summarise(results: Sequence[dict[str, Any]], options: EvaluateOptions) -> Trajectory | None:
    """Return the trajectory over those results that are checkpoints; None for fewer than two."""
    points, answers = [], {}
    for result in results:
        step = step_of(result["model"])
        if step is None:
            continue
        answered = _read_answers(result, options)
        outcomes = {key: a.outcome for key, a in answered.items()}
        answers[step] = {key: found in ("context", "both") for key, found in outcomes.items()}
        points.append(
            {
                "step": step,
                "model": result["model"],
                "counterfactual": _mean(answers[step].values()),
                "parametric": _mean(found in ("memory", "both") for found in outcomes.values()),
                "knows": _mean(a.knows for a in answered.values() if a.knows is not None),
                "benchmarks": {
                    task: _main(own) for task, own in result.get("benchmarks", {}).items()
                },
                "attention": _attention(result),
            }
        )
    if len(points) < 2:
        return None
    points.sort(key=lambda p: p["step"])
    peak = max(points, key=lambda p: (p["counterfactual"], p["step"]))
    last = points[-1]
    fall = compare_outcomes(answers[peak["step"]], answers[last["step"]], seed=options.seed)
    keep, reason = _choose(peak, last, fall)
    return Trajectory(tuple(points), peak, last, fall, keep, reason)


def _mean(values: Iterable[bool]) -> float | None:
    values = list(values)
    return sum(values) / len(values) if values else None


def _main(figures: dict[str, float]) -> float | None:
    """Return the figure of a task that is drawn: its accuracy, or another measure without one."""
    return next((figures[name] for name in _FIGURES if name in figures), None)


def _attention(result: dict[str, Any]) -> list[float] | None:
    """Return the share of attention on the context by layer, as a mean over suites."""
    measured = [s["attention"] for s in result.get("suites", {}).values() if "attention" in s]
    return [sum(layer) / len(layer) for layer in zip(*measured, strict=True)] or None


def _choose(peak: dict[str, Any], last: dict[str, Any], fall: dict[str, Any]) -> tuple[str, str]:
    """Return the model to keep, and the reason."""
    if peak is last:
        return last["model"], "the last checkpoint is the best"
    if fall["high"] is not None and fall["high"] < 0:
        return peak["model"], "context reliance fell after its peak, beyond the 95% interval"
    return last["model"], "the fall after the peak is within the 95% interval"


def _read_answers(result: dict[str, Any], options: EvaluateOptions) -> dict[str, Answered]:
    """Return the answered questions. One that is in an earlier suite is not counted again."""
    answers = {}
    earlier: dict[tuple[str, str], str] = {}  # question -> the first suite that has it
    for name in options.suite:
        suite = load_suite(name, limit=options.limit)
        path = Path(result["folder"]) / f"{suite.name}.answers.jsonl"
        for key, answered in read_answers(path, suite).items():
            question = (answered.question.context, answered.question.question)
            if earlier.setdefault(question, suite.name) == suite.name:
                answers[f"{suite.name} {key}"] = answered
    return answers


def make_page(trajectory: Trajectory, out: Path) -> Path:
    """Return the trajectory as one HTML file."""
    from ifcurate.pages.shell import Page, Section, Table

    points = trajectory.points
    tasks = sorted({task for point in points for task in point["benchmarks"]})
    rows = [
        [p["step"], p["counterfactual"], p["parametric"], p["knows"]]
        + [p["benchmarks"].get(task) for task in tasks]
        + [p["model"]]
        for p in points
    ]
    table = Table(("step", "context", "memory", "knows", *tasks, "model"), rows)
    sections = [
        Section("trajectory", "Trajectory", (say(trajectory),), (_draw(trajectory, tasks), table))
    ]
    if any(point["attention"] for point in points):
        text = (
            "Share of the attention that falls on the context while the model reads the "
            "context's answer: mean over heads, answer tokens and questions."
        )
        sections.append(Section("attention", "Attention", (text,), (_draw_attention(points),)))
    return Page(TITLE, sections).write(out)


def _draw(trajectory: Trajectory, tasks: Sequence[str]) -> Any:
    from ifcurate.pages.figures import draw_lines

    titles = {
        "counterfactual": "answer from the context",
        "parametric": "answer from memory",
        "knows": "known without the context",
    }
    lines = {
        title: [[p["step"], p[key]] for p in trajectory.points if p[key] is not None]
        for key, title in titles.items()
    }
    for task in tasks:
        accuracies = [(p["step"], p["benchmarks"].get(task)) for p in trajectory.points]
        lines[Path(task).stem] = [[step, value] for step, value in accuracies if value is not None]
    return draw_lines(
        "reliance",
        "Context reliance over the run",
        {k: v for k, v in lines.items() if v},
        x_title="step",
        y_title="share of questions",
        y_limits=(0.0, 1.0),
        points=True,
        wide=True,
        cuts=[(float(trajectory.peak["step"]), "peak")],
    )


def _draw_attention(points: Sequence[dict[str, Any]]) -> Any:
    from ifcurate.pages.figures import draw_lines

    measured = [(p["step"], p["attention"]) for p in points if p["attention"]]
    n_layers = len(measured[0][1])
    n_drawn = min(_DRAWN_LAYERS, n_layers)
    drawn = [round(i * (n_layers - 1) / max(1, n_drawn - 1)) for i in range(n_drawn)]
    lines = {"mean of all layers": [[step, sum(own) / n_layers] for step, own in measured]}
    lines |= {f"layer {n}": [[step, own[n]] for step, own in measured] for n in drawn}
    return draw_lines(
        "attention-by-layer",
        "Attention on the context",
        lines,
        x_title="step",
        y_title="share of attention",
        points=True,
        wide=True,
    )


def say(trajectory: Trajectory) -> str:
    """Return the verdict in words."""
    peak, last, fall = trajectory.peak, trajectory.last, trajectory.fall
    text = f"Peak {100 * peak['counterfactual']:.1f}% at step {peak['step']}"
    if peak is not last:
        text += (
            f", {100 * last['counterfactual']:.1f}% at step {last['step']}: a change of "
            f"{100 * fall['difference']:.1f} points (95% {100 * fall['low']:.1f} to "
            f"{100 * fall['high']:.1f}, McNemar p = {fall['p']:.2g}, {fall['n']} questions)"
        )
    return f"{text}. Keep {trajectory.keep}: {trajectory.reason}."
