"""Prepare what all arms of a seed share: the nudged base, mixture, evaluation and scores."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ifcurate.lab.examiner import Examiner, load_base, train
from ifcurate.lab.mixtures import LabRow, make_exam, make_mixture, split_facts
from ifcurate.lab.plan import TEMPLATE, Laboratory, LabPlan, Nudge
from ifcurate.storage.files import write_json, write_json_lines, write_table


def prepare(root: Path, plan: LabPlan) -> Laboratory:
    """Write plan, evaluation, mixture and nudged base, in this order. Existing files are kept."""
    lab = Laboratory.open(root, plan)
    facts = split_facts(plan.seed)
    if not lab.exam.exists():
        exam = make_exam(facts, seed=plan.seed)
        write_json(lab.exam, {name: [asdict(q) for q in own] for name, own in exam.items()})
    if not lab.mixture.exists():
        rows = make_mixture(plan.shape, facts, seed=plan.seed)
        write_json_lines(lab.mixture, [row.row for row in rows])
        write_json(
            lab.truth, {"kinds": [r.kind for r in rows], "readable": [r.readable for r in rows]}
        )
    if not (lab.base / "config.json").exists() and not _copy_base(root, lab, plan):
        rows = make_mixture(
            plan.nudge.shape(plan.training.batch_size), facts, seed=plan.seed + 1000
        )
        _nudge(lab, plan, rows)
    return lab


def open_or_prepare(root: Path, mixture: str, seed: int) -> tuple[Laboratory, LabPlan]:
    """Return the laboratory of a mixture and seed.

    It is prepared and scored now if it is not yet.
    """
    plan = LabPlan.create(mixture, seed)
    lab = Laboratory(root / f"{plan.name}-seed{seed}")
    if (lab.folder / "plan.json").exists():
        saved = lab.read_json(lab.folder / "plan.json")
        plan = replace(plan, nudge=Nudge(**saved["nudge"]), model=saved.get("model"))
    lab = prepare(root, plan)
    score_mixture(lab)
    return lab, plan


def _copy_base(root: Path, lab: Laboratory, plan: LabPlan) -> bool:
    """Copy the base of another mixture with the same seed, start and nudge, which is equal."""
    for other in sorted(root.glob(f"*-seed{plan.seed}")):
        source = Laboratory(other)
        if other == lab.folder or not (source.base / "config.json").exists():
            continue
        saved = source.read_json(other / "plan.json")
        if (saved["nudge"], saved.get("model")) == (asdict(plan.nudge), plan.model):
            shutil.copytree(source.base, lab.base)
            shutil.copy(other / "start.json", lab.folder / "start.json")
            return True
    return False


def _nudge(lab: Laboratory, plan: LabPlan, rows: Sequence[LabRow]) -> None:
    from ifcurate.data.sources import read_examples
    from ifcurate.engines.hf.quiet import quiet

    write_json_lines(lab.folder / "nudge.jsonl", [row.row for row in rows])
    loaded = load_base(plan.model or "pocket")
    examples = list(read_examples(str(lab.folder / "nudge.jsonl")))
    train(loaded, examples, plan.nudge.settings(plan.seed), lab.folder)
    examiner = Examiner(loaded, lab.read_exam())
    write_json(lab.folder / "start.json", examiner.ask(loaded.model))
    with quiet():
        loaded.hf_tokenizer.save_pretrained(lab.base)
        loaded.model.save_pretrained(lab.base)


def score_mixture(lab: Laboratory) -> None:
    """Score the mixture with the nudged base, unless it is already scored."""
    if lab.scores.exists():
        return
    import torch

    from ifcurate.engines.load import load_engine
    from ifcurate.options.score import ScoreSettings
    from ifcurate.scoring.in_memory import score_examples

    digest = hashlib.sha256(lab.mixture.read_bytes()).hexdigest()[:16]
    with load_engine("hf", model=str(lab.base), threads=torch.get_num_threads()) as engine:
        scores = score_examples(lab.read_mixture(), engine, ScoreSettings(template=TEMPLATE))
    write_table(scores, lab.scores, {"mixture": digest})
