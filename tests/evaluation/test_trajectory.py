"""Checkpoints are taken once, in order, as they come; the verdict follows the paired test."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from ifcurate.engines.hf.tokenizer import load_model_tokenizer
from ifcurate.evaluation import trajectory
from ifcurate.evaluation.harness import export_tasks
from ifcurate.evaluation.trajectory import follow_checkpoints, make_page, summarise
from ifcurate.options.evaluate import EvaluateOptions
from ifcurate.options.score import LoadOptions
from ifcurate.pocket import model_path


def suite_file(folder: Path, n: int) -> Path:
    path = folder / "own.jsonl"
    row = {
        "context": "It is Lyon.",
        "question": "Which?",
        "answer": "Lyon",
        "memory_answer": "Paris",
    }
    path.write_text("".join(json.dumps({**row, "id": str(i)}) + "\n" for i in range(n)))
    return path


def write_answers(folder: Path, n: int, n_context: int) -> None:
    folder.mkdir(parents=True)
    rows = [
        {"question": str(i), "text": "Lyon" if i < n_context else "Paris", "bare_text": None,
         "context_logprob": None, "memory_logprob": None}
        for i in range(n)
    ]  # fmt: skip
    (folder / "own.answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("shares", "kept"),
    [((40, 90, 50), 2), ((40, 90, 89), 3), ((40, 60, 95), 3)],
)  # fmt: skip
def test_the_peak_is_kept_only_when_the_fall_is_beyond_chance(
    shares: tuple[int, ...], kept: int, tmp_path: Path
) -> None:
    options = EvaluateOptions(suite=(str(suite_file(tmp_path, 100)),))
    results = []
    for step, n_context in enumerate(shares, start=1):
        folder = tmp_path / "answers" / f"checkpoint-{step}"
        write_answers(folder, 100, n_context)
        results.append({"model": f"runs/checkpoint-{step}", "folder": str(folder)})
    found = summarise(results, options)
    assert found is not None
    assert found.keep == f"runs/checkpoint-{kept}"
    assert [round(100 * p["counterfactual"]) for p in found.points] == list(shares)
    page = make_page(found, tmp_path / "trajectory.html").read_text()
    assert "checkpoint-3" in page
    assert "ifcurate.drawAll();" in page  # without it the figures stay empty


def test_a_run_in_progress_is_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    for step in (10, 5):
        (run / f"checkpoint-{step}").mkdir(parents=True)
    (tmp_path / "later").mkdir()
    asked: list[str] = []

    def evaluated(model: str, out: Path, **given: Any) -> dict[str, Any]:
        asked.append(Path(model).name)
        return {"model": model}

    def wait(seconds: float) -> None:
        if not (run / "checkpoint-15").exists():
            (run / "checkpoint-15").mkdir()
        else:
            (run / "finetune.json").write_text("{}")
            (tmp_path / "later" / "checkpoint-1").mkdir(exist_ok=True)
            (tmp_path / "later" / "finetune.json").write_text("{}")

    monkeypatch.setattr(trajectory, "evaluate_model", evaluated)
    given = [str(run / "checkpoint-10"), str(run / "checkpoint-5")]
    given.append(str(tmp_path / "later" / "checkpoint-*"))  # a pattern that matched nothing
    follow_checkpoints(given, tmp_path, EvaluateOptions(), watch=True, wait=wait)
    assert asked == ["checkpoint-5", "checkpoint-10", "checkpoint-15", "checkpoint-1"]


def two_checkpoints(folder: Path) -> list[str]:
    models = [folder / f"checkpoint-{step}" for step in (1, 2)]
    for model in models:
        model.symlink_to(model_path())
    return [str(model) for model in models]


@pytest.mark.slow
def test_attention_is_measured_by_layer_and_drawn(tmp_path: Path) -> None:
    suite = str(suite_file(tmp_path, 3))
    options = EvaluateOptions(suite=(suite,), template="alpaca", max_new_tokens=4, knowledge=False,
                              attention=True)  # fmt: skip
    models = two_checkpoints(tmp_path)
    results = follow_checkpoints(models, tmp_path / "out", options)
    shares = results[0]["suites"]["own"]["attention"]
    assert len(shares) == 4
    assert all(0 < share < 1 for share in shares)
    assert follow_checkpoints(models, tmp_path / "out", options) == results  # from the folder
    found = summarise(results, options)
    assert found is not None
    assert found.points[1]["attention"] == pytest.approx(shares)
    page = make_page(found, tmp_path / "page.html").read_text()
    assert "Attention on the context" in page
    assert "layer 3" in page


@pytest.mark.slow
def test_standard_benchmarks_stand_beside_the_trajectory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    tokenizer: Any = load_model_tokenizer("pocket", LoadOptions())
    tasks = export_tasks(["quotes"], tmp_path / "task", template="alpaca", tokenizer=tokenizer)
    options = EvaluateOptions(
        suite=(str(suite_file(tmp_path, 2)),), template="alpaca", max_new_tokens=4,
        benchmark=(str(tasks[0]),), benchmark_limit=2, knowledge=False, logprobs=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = follow_checkpoints(two_checkpoints(tmp_path), tmp_path / "out", options)
    found = summarise(results, options)
    assert found is not None
    values = [point["benchmarks"][str(tasks[0])] for point in found.points]
    assert all(value is not None and 0 <= value <= 1 for value in values)
    assert values[0] == values[1]  # the same model
    assert "quotes" in make_page(found, tmp_path / "page.html").read_text()
