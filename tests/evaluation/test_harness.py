"""Our suites as tasks of lm-evaluation-harness, offline."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from ifcurate.errors import DataError
from ifcurate.evaluation.harness import export_tasks, run_benchmarks
from ifcurate.evaluation.suites import load_suite


@pytest.mark.slow
def test_an_exported_suite_is_a_task_with_our_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval")
    from transformers import AutoTokenizer

    from ifcurate.engines.hf.tokenizer import HFTokenizer
    from ifcurate.pocket import model_path

    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    tokenizer = HFTokenizer(AutoTokenizer.from_pretrained(model_path()))
    paths = export_tasks(["quotes"], tmp_path, template="alpaca", tokenizer=tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval.tasks import TaskManager

        manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
        found = manager.load(["ifcurate_quotes"])
    task = next(iter(found["tasks"].values()))
    docs = list(task.test_docs())
    suite = load_suite("quotes")
    assert paths == [tmp_path / "quotes.yaml"]
    assert len(docs) == len(suite.questions)
    assert task.doc_to_text(docs[0]).endswith("### Response:\n")
    right = suite.questions[0].context_answers[0]
    assert task.process_results(docs[0], [f"It ends in {right}."]) == {
        "counterfactual": 1.0, "parametric": 0.0
    }  # fmt: skip


def test_a_task_file_that_is_missing_is_named(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    with pytest.raises(DataError, match=r"none.yaml: no such file"):
        run_benchmarks("pocket", [str(tmp_path / "none.yaml")], tmp_path, limit=None, device="cpu")


@pytest.mark.parametrize("missing", ["network and data", "file"])
def test_what_cannot_run_is_said_before_the_harness_lists_its_tasks(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = pytest.importorskip("lm_eval.tasks")
    monkeypatch.setattr(tasks, "TaskManager", lambda **_: pytest.fail("lists its tasks first"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    named = ["gsm8k"] if missing != "file" else ["gsm8k", "none.yaml"]
    reason = "none.yaml: no such file" if missing == "file" else "found no network, or HF_HUB_OFF"
    with pytest.raises(DataError, match=reason):
        run_benchmarks("pocket", named, tmp_path / "out", limit=1, device="cpu")
