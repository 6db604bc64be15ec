"""Run folders: found again, resumed after any interruption, never mixed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ifcurate.data.sources import read_examples
from ifcurate.engines.base import Float32Array, Prompt
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import DataError, RunError
from ifcurate.options.score import ScoreSettings
from ifcurate.prompts.rules import rules_version
from ifcurate.runs.filling import choose_folder, run_name, score_identity, score_run
from ifcurate.runs.run import find_run
from ifcurate.scoring.scorer import Scorer
from ifcurate.steps.filtering import filter_run
from ifcurate.steps.splitting import split_run
from ifcurate.storage.files import read_table_manifest, sink_tables, writable
from tests.conftest import write_jsonl


def rows(n: int) -> list[Any]:
    made: list[Any] = [
        {
            "instruction": f"Question {i}?",
            "input": f"Note {i}: crate {i * 7} holds {i % 5} lamps." if i % 3 else "",
            "output": f"Crate {i * 7}.",
        }
        for i in range(n)
    ]
    made[n // 2] = {"instruction": "no response here"}
    return made


def scorer(engine: ToyEngine | None = None, **options: Any) -> Scorer:
    return Scorer.create(engine or ToyEngine(), ScoreSettings(chunk_rows=8, **options))


@pytest.fixture
def data(folder: Path) -> Path:
    return write_jsonl(folder / "data.jsonl", rows(50))


def test_rows_in_are_rows_accounted_for(data: Path, folder: Path) -> None:
    run = score_run(read_examples("data.jsonl"), scorer(), folder / "run", tokens=True)
    counts = run.manifest.counts
    assert counts["rows"] == 50
    assert counts["quarantined"] == 1
    assert sum(v for k, v in counts.items() if k != "rows") == 50
    scores = run.scores()
    assert scores.height == 49
    assert sorted([*scores["row"], 25]) == list(range(50))
    (bad,) = map(json.loads, (folder / "run" / "quarantine.jsonl").read_text().splitlines())
    assert bad["line"] == 26
    assert "no column 'output'" in bad["reason"]
    assert json.loads(bad["raw"]) == {"instruction": "no response here"}
    tokens = pl.read_parquet(folder / "run" / "tokens.parquet")
    assert tokens.height == scores["n_response_tokens"].sum()
    inside = read_table_manifest(run.scores_path)
    assert inside["engine"]["model"] == "toy"
    assert inside["id"] == run.manifest.id
    assert not (folder / "run" / "parts").exists()


class Dies(ToyEngine):
    """Stops in the middle of its n-th call."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().response_logprobs(prompts)


def test_columns_that_are_not_read_are_named_in_the_notes(folder: Path) -> None:
    named = [{**row, "stars": 5} if isinstance(row, dict) else row for row in rows(4)]
    write_jsonl(folder / "named.jsonl", named)
    run = score_run(read_examples("named.jsonl"), scorer(), folder / "run")
    assert "named.jsonl: columns not read: stars" in run.manifest.notes


@pytest.mark.parametrize("calls", [0, 1, 4])
def test_an_interrupted_run_resumes_and_gives_the_same_bytes(
    calls: int, data: Path, folder: Path
) -> None:
    whole = score_run(read_examples("data.jsonl"), scorer(), folder / "whole")
    with pytest.raises(KeyboardInterrupt):
        score_run(read_examples("data.jsonl"), scorer(Dies(calls)), folder / "cut")
    with pytest.raises(RunError, match="not finished"):
        find_run(folder / "cut").scores()
    seen: list[tuple[int, int]] = []
    done = score_run(
        read_examples("data.jsonl"),
        scorer(),
        folder / "cut",
        on_progress=lambda p: seen.append((p.rows, p.resumed_rows)),
    )
    assert seen[-1] == (50, 8 * calls)
    assert done.scores_path.read_bytes() == whole.scores_path.read_bytes()
    assert done.manifest.counts == whole.manifest.counts


@pytest.mark.parametrize("damage", ["torn table", "no marker", "torn marker", "no table"])
def test_a_damaged_chunk_is_scored_again(damage: str, data: Path, folder: Path) -> None:
    whole = score_run(read_examples("data.jsonl"), scorer(), folder / "whole")
    with pytest.raises(KeyboardInterrupt):
        score_run(read_examples("data.jsonl"), scorer(Dies(4)), folder / "cut", commit_seconds=0)
    part = folder / "cut" / "parts" / "000002.scores.parquet"
    marker = folder / "cut" / "parts" / "000002.done.json"
    match damage:
        case "torn table":
            part.write_bytes(part.read_bytes()[:-20])
        case "no marker":
            marker.unlink()
        case "torn marker":
            marker.write_bytes(marker.read_bytes()[:30])
        case _:
            part.unlink()
    done = score_run(read_examples("data.jsonl"), scorer(), folder / "cut")
    assert done.scores_path.read_bytes() == whole.scores_path.read_bytes()


def test_a_finished_run_is_not_scored_again(data: Path, folder: Path) -> None:
    score_run(read_examples("data.jsonl"), scorer(), folder / "run")
    again = score_run(read_examples("data.jsonl"), scorer(Dies(0)), folder / "run")
    assert again.manifest.finished
    with pytest.raises(KeyboardInterrupt):
        score_run(read_examples("data.jsonl"), scorer(Dies(0)), folder / "run", overwrite=True)


def test_a_finished_run_in_a_read_only_folder_is_read(
    data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = score_run(read_examples("data.jsonl"), scorer(), folder / "run")
    before = {path: path.read_bytes() for path in made.folder.iterdir()}

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def writing(path: Path, _: object) -> None:
        with writable(path):
            refuse()

    monkeypatch.setattr("os.access", lambda _, mode: mode == os.F_OK)
    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    monkeypatch.setattr("ifcurate.storage.manifest.write_json", writing)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    again = score_run(read_examples("data.jsonl"), scorer(Dies(0)), folder / "run")
    assert again.manifest.counts == made.manifest.counts
    with pytest.raises(DataError, match=r"run: cannot be written: .*Read-only"):
        score_run(read_examples("data.jsonl"), scorer(), folder / "run", overwrite=True)
    monkeypatch.undo()
    assert before == {path: path.read_bytes() for path in made.folder.iterdir()}


def test_a_run_whose_removal_was_killed_can_be_replaced(
    data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_run(read_examples("data.jsonl"), scorer(), folder / "run")
    engine = Dies(0)
    with monkeypatch.context() as killed:
        killed.setattr("ifcurate.runs.parts.Parts.remove", lambda _: engine.response_logprobs([]))
        with pytest.raises(KeyboardInterrupt):
            score_run(read_examples("data.jsonl"), scorer(), folder / "run", overwrite=True)
    with pytest.raises(RunError, match=r"scores.parquet is missing; give --overwrite"):
        score_run(read_examples("data.jsonl"), scorer(), folder / "run")
    score_run(read_examples("data.jsonl"), scorer(), folder / "run", overwrite=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"template": "plain"}, "template.name"), ({"score_eot": True}, "settings.score_eot")],
)
def test_scores_of_different_runs_are_never_mixed(
    options: dict[str, Any], said: str, data: Path, folder: Path
) -> None:
    score_run(read_examples("data.jsonl"), scorer(), folder / "run")
    with pytest.raises(RunError, match=said):
        score_run(read_examples("data.jsonl"), scorer(**options), folder / "run")


def test_another_dtype_or_model_is_refused(data: Path, folder: Path) -> None:
    from dataclasses import replace

    score_run(read_examples("data.jsonl"), scorer(), folder / "run")
    other = ToyEngine()
    other.identity = replace(other.identity, dtype="bfloat16", model="other")
    with pytest.raises(RunError, match=r"engine.dtype: there \"float32\", now \"bfloat16\""):
        score_run(read_examples("data.jsonl"), scorer(other), folder / "run")


def test_a_run_of_other_rules_is_not_resumed_but_read(
    data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = read_examples("data.jsonl")
    with monkeypatch.context() as older:
        older.setattr("ifcurate.scoring.scorer.rules_version", lambda: "older")
        name = run_name(score_identity(examples, scorer()))
        run = score_run(examples, scorer(), folder / "run")
    assert run_name(score_identity(examples, scorer())) == name
    with pytest.raises(RunError, match=r"run: was scored by another build of ifcurate \d"):
        score_run(examples, scorer(), folder / "run")
    del run.manifest.identity["rules"]  # older versions did not record it
    run.manifest.versions["ifcurate"] = "0.1.0"
    run.manifest.write(folder / "run" / "manifest.json")
    with pytest.raises(RunError, match=r"by ifcurate 0\.1\.0, whose rules .* use that version"):
        score_run(examples, scorer(), folder / "run")
    split_run(find_run(folder / "run"), rule="paper")
    assert filter_run(find_run(folder / "run"), keep="context-critical").manifest.finished


def test_the_version_of_the_rules_depends_on_their_code_and_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ifcurate.prompts.rules._PACKAGE", folder)
    seen = set()
    deciding = ("contexts/languages/en.toml", "contexts/weights.npz", "data/turns.py")
    for name in (*deciding, "runs/run.py", "data/x.pyc", "data/__pycache__/x.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
        seen.add(rules_version.__wrapped__())
    assert len(seen) == len(deciding)


def test_changed_data_is_another_run(data: Path, folder: Path) -> None:
    before = score_identity(read_examples("data.jsonl"), scorer())
    write_jsonl(data, rows(51))
    after = score_identity(read_examples("data.jsonl"), scorer())
    assert run_name(before) != run_name(after)
    assert choose_folder(None, after, tokens=True) != choose_folder(None, after)
    assert run_name(before).startswith("data--toy--")


def test_the_newest_run_is_found(data: Path, folder: Path) -> None:
    with pytest.raises(RunError, match="no run here"):
        find_run()
    first = score_run(read_examples("data.jsonl"), scorer(), Path("ifcurate-runs/a"))
    second = score_run(
        read_examples("data.jsonl"), scorer(template="plain"), Path("ifcurate-runs/b")
    )
    assert find_run().folder == second.folder
    score_run(read_examples("data.jsonl"), scorer(), Path("ifcurate-runs/a"))
    assert find_run().folder == first.folder  # it was asked for last
    assert find_run("ifcurate-runs/b/scores.parquet").folder == second.folder
    (folder / "ifcurate-runs" / "b" / "manifest.json").write_text("{")
    assert find_run().folder == first.folder
    with pytest.raises(RunError, match="not a manifest"):
        find_run("ifcurate-runs/b")


def test_a_run_is_found_by_its_name(data: Path, folder: Path) -> None:
    examples = read_examples("data.jsonl")
    made = score_run(examples, scorer(), Path("ifcurate-runs/mine--1a"))
    for name in ("mine", "mine--1a"):
        assert find_run(name).folder == made.folder
    score_run(examples, scorer(template="plain"), Path("ifcurate-runs/mine--2b"))
    with pytest.raises(RunError, match=r"mine: 2 runs have this name; .* give the whole name"):
        find_run("mine")


def test_a_second_process_on_the_same_run_is_refused(data: Path, folder: Path) -> None:
    (folder / "run").mkdir()
    with (folder / "run" / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process"):
            score_run(read_examples("data.jsonl"), scorer(), folder / "run")


def test_a_folder_that_cannot_be_written(data: Path, folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(DataError, match="a folder is needed there"):
        score_run(read_examples("data.jsonl"), scorer(), folder / "file" / "run")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_keeps_what_was_finished(data: Path, folder: Path) -> None:
    from ifcurate.storage.files import atomic_file

    class Full:
        """Fills the disk from its third chunk on."""

        calls = 0

    original = os.fsync
    try:

        def full(handle: Any) -> None:
            Full.calls += 1
            if Full.calls > 20:
                raise OSError(28, "No space left on device")
            original(handle)

        os.fsync = full  # type: ignore[assignment]
        with pytest.raises(DataError, match=r"No space left on device.*kept"):
            score_run(read_examples("data.jsonl"), scorer(), folder / "run", commit_seconds=0)
    finally:
        os.fsync = original
    assert not list((folder / "run").rglob("*.partial"))
    done = score_run(read_examples("data.jsonl"), scorer(), folder / "run")
    assert done.manifest.counts["rows"] == 50
    with (
        pytest.raises(DataError, match="a folder is needed there"),
        atomic_file(Path("/dev/full/x")) as stream,
    ):
        stream.write(b"x")


def test_a_table_that_is_made_from_a_damaged_one_is_no_full_disk(folder: Path) -> None:
    source = folder / "source.parquet"
    pl.DataFrame({"text": ["a text"] * 9}).write_parquet(source)
    data = bytearray(source.read_bytes())
    data[30:45] = bytes(15)
    source.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be made: .* is damaged: make that table again"):
        sink_tables({folder / "made.parquet": pl.scan_parquet(source)}, {})
    assert sorted(path.name for path in folder.iterdir()) == ["source.parquet"]


SCRIPT = """
import sys, time
from pathlib import Path
from ifcurate.engines.toy import ToyEngine
from ifcurate.runs.filling import score_run
from ifcurate.scoring.scorer import Scorer, ScoreSettings
from ifcurate.data.sources import read_examples

class Slow(ToyEngine):
    def response_logprobs(self, prompts):
        time.sleep(0.02)
        return super().response_logprobs(prompts)

scorer = Scorer.create(Slow(), ScoreSettings(chunk_rows=8))
score_run(read_examples("data.jsonl"), scorer, Path("killed"), commit_seconds=0)
"""


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost_or_doubled(data: Path, folder: Path) -> None:
    whole = score_run(read_examples("data.jsonl"), scorer(), folder / "whole")
    for attempt in range(6):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=folder)
        marks = list((folder / "killed").glob("parts/*.done.json"))
        limit = time.monotonic() + 20
        while time.monotonic() < limit and process.poll() is None:
            now = list((folder / "killed").glob("parts/*"))
            if len(now) > len(marks) * 3 + attempt:
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = score_run(read_examples("data.jsonl"), scorer(), folder / "killed")
    assert done.scores_path.read_bytes() == whole.scores_path.read_bytes()
    quarantine = "quarantine.jsonl"
    assert (folder / "killed" / quarantine).read_bytes() == (
        folder / "whole" / quarantine
    ).read_bytes()
