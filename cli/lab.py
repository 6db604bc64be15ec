"""`ifcurate lab`: the inversion and its cure on the bundled model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ifcurate.options.base import MOST_SEED
from ifcurate.options.finetune import Update
from ifcurate.options.lab import NudgeOptions

from . import common, printing
from .options import with_options

if TYPE_CHECKING:
    from ifcurate.lab.plan import LabPlan

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Show how context reliance rises and falls in finetuning, and how curation changes it.",
)

_FOLDER = Path("lab")
_DATA: Literal["m1"] = "m1"
_SEED = 0
_THREADS = 2

Out = Annotated[Path, typer.Option(help="Folder of the laboratory.")]
Data = Annotated[Literal["m1", "m2"], typer.Option(help="Shape of the mixture.")]
Seed = Annotated[
    int,
    typer.Option(help="Seed of facts, rows, order and evaluation.", min=0, max=MOST_SEED),
]
Threads = Annotated[int, typer.Option(help="CPU threads.", min=1)]


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _parse_seeds(text: str) -> list[int]:
    seeds = [part.strip() for part in text.split(",") if part.strip()]
    if wrong := [seed for seed in seeds if not seed.isdecimal() or int(seed) > MOST_SEED]:
        raise typer.BadParameter(
            f"{wrong[0]!r}: must be a whole number from 0 to {MOST_SEED}", param_hint="--seeds"
        )
    return list(map(int, seeds))


@app.command()
@with_options
def pretrain(
    out: Out = _FOLDER,
    data: Data = _DATA,
    seed: Seed = _SEED,
    *,
    options: NudgeOptions,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Model to start from, trained like the bundled one with another seed. Default: "
            "the bundled one.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    threads: Threads = _THREADS,
) -> None:
    """Make a base: the bundled model, trained for some steps to answer from memory.

    It starts from weights that know the laboratory's facts: those of the bundled model, or of
    another model with the same facts (--model). The plan is written first.

        ifcurate lab pretrain --data m2 --steps 40
    """
    from dataclasses import replace

    from ifcurate.lab.plan import LabPlan, Nudge
    from ifcurate.lab.setup import prepare

    _set_threads(threads)
    plan = LabPlan.create(data, seed)
    nudge = Nudge.create(options)
    plan = replace(plan, nudge=nudge, model=str(model.resolve()) if model else None)
    lab = prepare(out, plan)
    start = lab.read_json(lab.folder / "start.json")
    shares = (f"{name} {start[name]:.3f}" for name in ("conflict", "recall", "reading"))
    printing.print_line(f"base {lab.base}: {', '.join(shares)}")


@app.command()
def run(
    mixture: Annotated[
        str,
        typer.Option(
            metavar="ROWS",
            help="full, random, filtered, filtered:RULE[:STATISTIC], counterfactual or augmented.",
        ),
    ] = "full",
    update: Annotated[Update, typer.Option(help="Which weights are trained.")] = "full",
    rate: Annotated[float | None, typer.Option(help="Learning rate. Default: the plan's.")] = None,
    out: Out = _FOLDER,
    data: Data = _DATA,
    seed: Seed = _SEED,
    threads: Threads = _THREADS,
    json: common.Json = False,
) -> None:
    """Run one arm: train from the base, and evaluate during training.

    Existing results are kept.

        ifcurate lab run --mixture filtered:gain
    """
    from ifcurate.lab.arms import Arm, run_arm
    from ifcurate.lab.setup import open_or_prepare

    rows = "unfiltered" if mixture == "full" else mixture
    name = rows if (update, rate) == ("full", None) else f"{rows}+{update}"
    arm = Arm.parse(name + (f"@{rate:g}" if rate else ""))
    _set_threads(threads)
    lab, plan = open_or_prepare(out, data, seed)
    result = run_arm(lab, plan, arm)
    if json:
        printing.print_json(result)
        return
    printing.out.print(f"{data}, seed {seed}, {arm.name}: {result['about'].get('rows')} rows")
    for point in result["points"]:
        printing.out.print(
            f"  step {point['step']:3}  conflict {point['conflict']:.3f}  "
            f"parametric {point['parametric']:.3f}  standard {point['standard']:.3f}"
        )


@app.command()
def compare(
    out: Out = _FOLDER,
    seeds: Annotated[
        str, typer.Option(help="Seeds to run if they are missing. An empty text runs nothing.")
    ] = "0,1,2",
    arms: Annotated[
        str, typer.Option(help="Arms to run, separated by commas.")
    ] = "unfiltered,filtered,random",
    page: Annotated[Path | None, typer.Option(help="HTML file. Default: OUT/compare.html.")] = None,
    threads: Threads = _THREADS,
    json: common.Json = False,
) -> None:
    """Run the missing arms on both mixtures, and write the comparison as a table and a page.

    Existing results are kept.

        ifcurate lab compare --seeds 0,1
    """
    from ifcurate.lab.arms import Arm, run_arm
    from ifcurate.lab.compare import SUBTITLE, TITLE, compare_arms, make_page, read_results
    from ifcurate.lab.quality import measure_laboratories
    from ifcurate.lab.setup import open_or_prepare
    from ifcurate.pages.shell import refuse_page
    from ifcurate.storage.files import write_json

    path = page or out / "compare.html"
    refuse_page(path, TITLE, SUBTITLE)
    _set_threads(threads)
    for seed in _parse_seeds(seeds):
        for data in ("m1", "m2"):
            lab, plan = open_or_prepare(out, data, seed)
            for arm in arms.split(","):
                printing.say(f"{data}, seed {seed}: {arm}")
                run_arm(lab, plan, Arm.parse(arm.strip()))
    compared = compare_arms(read_results(out, ("m1", "m2")), measure_laboratories(out))
    write_json(out / "compare.json", compared)
    make_page(compared, path)
    if json:
        printing.print_json(compared)
        return
    for name, mixture in compared["mixtures"].items():
        _print_mixture(name, mixture)
    printing.print_line(f"page {path}")


def _print_mixture(name: str, arms: dict[str, Any]) -> None:
    columns = ("arm", "seeds", "step 20", "final", "fall by seed", "standard")
    table = printing.make_table(*columns, title=f"mixture {name}")
    for arm, own in arms.items():
        early = next((p for p in own["steps"] if p["step"] == 20), own["steps"][-1])
        last = own["steps"][-1]
        falls = [f for _, f in sorted(own["fall_by_seed"].items()) if f is not None]
        table.add_row(
            arm,
            str(len(own["seeds"])),
            f"{100 * early['conflict']['mean']:.1f}",
            f"{100 * last['conflict']['mean']:.1f}",
            " ".join(f"{100 * f:.0f}" for f in falls),
            f"{100 * last['standard']['mean']:.1f}",
        )
    printing.out.print(table)


@app.command()
def knobs(
    out: Out = _FOLDER,
    seeds: Annotated[str, typer.Option(help="Seeds to run, separated by commas.")] = "0,1,2",
    threads: Threads = _THREADS,
    json: common.Json = False,
) -> None:
    """Change one setting of mixture m1 at a time, to see what drives the fall.

    This takes most of an hour. The settings are the share of off rows, unreadable wording,
    repeated known facts, novelty and the learning rate. Each is changed from two starts: **m1**,
    and **clean**, which is m1 without off rows and unreadable wording. Finished arms are kept. The
    command writes OUT/knobs.json.

        ifcurate lab knobs --seeds 0
    """
    from ifcurate.lab.arms import Arm, run_arm
    from ifcurate.lab.knobs import run_knobs
    from ifcurate.lab.setup import prepare
    from ifcurate.storage.files import write_json

    def run(plan: LabPlan, arm: str) -> dict[str, Any]:
        printing.say(f"{plan.name}, seed {plan.seed}: {arm}")
        return run_arm(prepare(out, plan), plan, Arm.parse(arm))

    _set_threads(threads)
    settings = run_knobs(_parse_seeds(seeds), run)
    write_json(out / "knobs.json", {"settings": settings})
    if json:
        printing.print_json(settings)
        return
    title = "fall from step 20 to the end, points"
    columns = ("start", "knob", "value", "by seed", "mean", "95%")
    table = printing.make_table(*columns, n_left=6, title=title)
    for row in settings:
        table.add_row(row["start"], row["knob"], row["value"], *_falls(row))
    printing.out.print(table)


def _falls(row: dict[str, Any]) -> tuple[str, str, str]:
    mean, low, high = (row["fall"][name] for name in ("mean", "low", "high"))
    by_seed = ", ".join(f"{100 * fall:.1f}" for fall in row["fall_by_seed"].values())
    interval = "-" if low is None else f"{100 * low:.1f} to {100 * high:.1f}"
    return by_seed, f"{100 * mean:.1f}", interval


@app.command()
def theory(
    out: Annotated[
        Path | None, typer.Option(help="Folder for theory.json and the phase plot.")
    ] = None,
    json: common.Json = False,
) -> None:
    """Check the one-layer model's statements over a grid of sizes.

    It takes seconds.

        ifcurate lab theory --out theory
    """
    from ifcurate.lab.theory_report import make_page, make_report
    from ifcurate.storage.files import refuse_unwritable, write_json

    if out:
        refuse_unwritable(out)
    report = make_report()
    if out:
        write_json(out / "theory.json", report)
        make_page(report, out / "theory.html")
    if json:
        printing.print_json(report)
        return
    for name, statement in report["closed_form"].items():
        if isinstance(statement, dict):
            of = f"{statement['held']:,} of {statement['tried']:,} settings"
            printing.out.print(f"{name.replace('_', ' '):32} held in {of}")
    c = report["counterexample"]
    printing.print_line(
        f"smallest counterexample to Lemma 6: K = {c['K']}, delta_C = {c['delta_C']:.4f}, "
        f"delta_M = {c['delta_M']:.4f}: m_C = {c['m_C']:.3f}, m_C+S = {c['m_C+S']:.3f}"
    )
    if out:
        printing.print_line(f"page {out / 'theory.html'}")
