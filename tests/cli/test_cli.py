"""The commands as a person types them: output, files, errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.conftest import ALPACA_ROWS, ANSWERED_ROWS, write_jsonl
from tests.models import make_model

(ENTRY,) = entry_points(group="console_scripts", name="ifcurate")


class Result:
    """What a command printed and returned."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Result]


@pytest.fixture
def ifcurate(folder: Path) -> Command:
    """Run a command line in the test's folder."""
    module = sys.modules.get("ifcurate.cli") or ENTRY.load().__globals__
    app = module["app"] if isinstance(module, dict) else module.app
    assert isinstance(app, typer.Typer)

    def run(line: str, *more: str) -> Result:
        result = CliRunner().invoke(app, [*line.split(), *more], prog_name="ifcurate")
        error = result.exception
        if error is not None and not isinstance(error, SystemExit):
            raise error
        return Result(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def data(folder: Path) -> Path:
    return write_jsonl(folder / "alpaca.jsonl", ANSWERED_ROWS * 10)


def test_score_then_filter(ifcurate: Command, data: Path, folder: Path) -> None:
    scored = ifcurate("score alpaca.jsonl --engine toy")
    assert scored.code == 0, scored.err
    assert "accounted for" in scored.out
    assert "largest gain" in scored.out
    assert "alpaca.jsonl: format alpaca" in scored.err
    filtered = ifcurate("filter --keep context-critical")
    assert filtered.code == 0, filtered.err
    assert "(the newest here): alpaca.jsonl, scored by toy" in filtered.err
    assert "no split yet, made the default one" in filtered.err
    assert "50 rows = 22 kept + 28 dropped" in filtered.out
    (kept,) = folder.glob("ifcurate-runs/*/filtered/*/kept/alpaca.jsonl")
    assert set(kept.read_text().splitlines()) < set(data.read_text().splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "score alpaca.jsonl --model no/model",
        "curate alpaca.jsonl --model no/model",
        "augment alpaca.jsonl --verify no/model",
        "evaluate no/model",
        "finetune alpaca.jsonl --model no/model",
        "benchmark no/model",
        "lab theory",
    ],
)
def test_an_out_that_cannot_be_written_is_refused_before_the_work(
    line: str, ifcurate: Command, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if line.startswith("benchmark"):
        pytest.importorskip("lm_eval")
    work = "ifcurate.lab.theory_report.make_report"
    monkeypatch.setattr(work, lambda: pytest.fail("the work began"))
    for out in ("alpaca.jsonl", "alpaca.jsonl/out"):
        refused = ifcurate(f"{line} --out {out}")
        assert (refused.code, "alpaca.jsonl: is a file, and a folder" in refused.err) == (1, True)
    (folder / "closed").mkdir()
    real = os.access
    monkeypatch.setattr("os.access", lambda at, mode: not mode & os.W_OK and real(at, mode))
    for out in ("closed", "closed/out"):
        refused = ifcurate(f"{line} --out {out}")
        assert (refused.code, "closed: you cannot write to this" in refused.err) == (1, True)
    assert not list((folder / "closed").iterdir())


def test_json_is_all_that_is_on_stdout(ifcurate: Command, data: Path) -> None:
    scored = ifcurate("score alpaca.jsonl --engine toy --json").json()
    assert scored["counts"]["rows"] == 50
    assert scored["statuses"]["scored"] == 30
    split = ifcurate("split --rule gain --threshold 0.2 --json").json()
    assert sum(split["counts"].values()) == 50
    filtered = ifcurate("filter --drop non-context-critical --json").json()
    assert filtered["counts"]["kept"] + filtered["counts"]["dropped"] == 50
    assert ifcurate("inspect alpaca.jsonl --json").json()["with_context"] == 30
    models = ifcurate("models --json").json()
    assert {"name": "llama-2-7b", "hub_id": "meta-llama/Llama-2-7b-hf"}.items() <= next(
        m for m in models if m["name"] == "llama-2-7b"
    ).items()


def test_quiet_says_nothing(ifcurate: Command, data: Path) -> None:
    for line in ("score alpaca.jsonl --engine toy", "split", "filter --keep context-critical"):
        result = ifcurate(line + " -q")
        assert (result.code, result.out) == (0, "")
        # Only which run is used, which nobody should have to guess.
        assert result.err == "" or result.err.startswith("run ifcurate-runs/")
        assert result.err.count("\n") <= 1


def test_split_shows_the_cut(ifcurate: Command, data: Path) -> None:
    ifcurate("score alpaca.jsonl --engine toy -q")
    shown = ifcurate("split --fraction 30%")
    assert "around the cut" in shown.out
    assert "nearest rows" in shown.out
    assert "9 at or below" in shown.out
    for rule in ("gain", "both", "auto"):
        assert ifcurate(f"split --rule {rule}").code == 0
    assert ifcurate("split --length-control --per source").code == 0
    two = ifcurate("split --length-control --length-bins 2 --fraction 50% --json").json()
    assert two["parameters"]["length_bins"] == 2


def test_later_commands_take_the_newest_run_or_the_one_that_is_named(
    ifcurate: Command, data: Path, folder: Path
) -> None:
    ifcurate("score alpaca.jsonl --engine toy -q --out first")
    ifcurate("score alpaca.jsonl --engine toy --template plain -q")
    assert "template" not in ifcurate("split").err
    assert "run first:" in ifcurate("split --run first").err
    assert (folder / "first" / "split.parquet").exists()


@pytest.mark.slow
def test_tokens_ablations_templates(ifcurate: Command, data: Path, folder: Path) -> None:
    for line in ("--tokens", "--ablation shuffle", "--ablation template", "--score-eot"):
        result = ifcurate(f"score alpaca.jsonl --engine toy --template alpaca {line}")
        assert result.code == 0, result.err
    assert len(list(folder.glob("ifcurate-runs/*/tokens.parquet"))) == 1
    assert len(list(folder.glob("ifcurate-runs/*/scores.parquet"))) == 4
    (folder / "mine.jinja").write_text("{{ context }}\n{{ instruction }}\n{{ response }}")
    assert ifcurate("score alpaca.jsonl --engine toy --template mine.jinja").code == 0


@pytest.mark.parametrize(
    "columns",
    [
        ["--columns", "instruction=task", "context=doc", "response=gold"],
        ["--columns", "instruction=task", "--columns", "context=doc", "--columns", "response=gold"],
        ["--columns", "instruction=task,context=doc,response=gold"],
    ],
)
def test_columns_are_mapped(ifcurate: Command, folder: Path, columns: list[str]) -> None:
    names = {"instruction": "task", "input": "doc", "output": "gold"}
    rows = [{names[key]: value for key, value in row.items()} for row in ANSWERED_ROWS]
    write_jsonl(folder / "odd.jsonl", rows)
    refused = ifcurate("inspect odd.jsonl")
    assert refused.code == 1
    assert "found the columns doc, gold, task; map them: --columns" in refused.err
    assert ifcurate("inspect odd.jsonl --json", *columns).json()["with_context"] == 3


def test_inspect_shows_the_context(ifcurate: Command, data: Path) -> None:
    shown = ifcurate("inspect alpaca.jsonl --examples 1")
    assert "50 rows; 30 with a context (60.0%)" in shown.out
    assert "context: ⟦The clock in the hall" in shown.out
    assert "field" in shown.out


def test_empty_responses_count_as_rows_that_cannot_be_used(ifcurate: Command, folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", [ALPACA_ROWS[0], ALPACA_ROWS[4]])
    result = ifcurate("score a.jsonl --engine toy")
    assert result.code == 1
    assert "1 of 2 rows could not be used, 1 of them for an empty response" in result.err
    assert "next" not in result.out
    assert ifcurate("score a.jsonl --engine toy --fail-on-error 50%").code == 0


def test_questions_that_the_data_calls_unanswerable_are_no_faults(
    ifcurate: Command, folder: Path
) -> None:
    asked = {"question": "Who kept the light?", "context": "Ada kept the light on the rock."}
    answers = {"text": ["Ada"], "answer_start": [0]}
    none: dict[str, list[str]] = {"text": [], "answer_start": []}
    write_jsonl(folder / "a.jsonl", [{**asked, "answers": found} for found in (answers, none)])
    result = ifcurate("score a.jsonl --engine toy")
    assert result.code == 0
    assert "1 × empty_response: the row says that its question has no answer" in result.out


def test_bad_rows_are_set_aside_and_counted(ifcurate: Command, folder: Path) -> None:
    (folder / "a.jsonl").write_text(
        "\n".join([json.dumps(row) for row in ANSWERED_ROWS] + ["{broken", '{"instruction": "i"}'])
    )
    result = ifcurate("score a.jsonl --engine toy")
    assert result.code == 1
    assert "2 of 7 rows could not be used" in result.err
    assert "quarantined" in result.out
    allowed = ifcurate("score a.jsonl --engine toy --fail-on-error false")
    assert allowed.code == 0
    assert "already scored" in allowed.err
    assert ifcurate("score a.jsonl --engine toy --fail-on-error 50% -q").code == 0
    assert ifcurate("score a.jsonl --engine toy --fail-on-error 100% -q").code == 0
    assert ifcurate("score a.jsonl --engine toy --fail-on-error 2 -q").code == 0
    assert ifcurate("score a.jsonl --engine toy --fail-on-error true -q").code == 1
    asked = ifcurate("score a.jsonl --engine toy --fail-on-error 1")
    assert asked.code == 2
    shown = ifcurate("inspect a.jsonl")
    assert "2 rows cannot be used; the first:" in shown.out
    assert "a.jsonl:6: invalid JSON" in shown.out


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("score missing.jsonl --engine toy", 1, "no such file; data files there: alpaca.jsonl"),
        ("score nothing --engine toy", 1, "nothing: no such file; data files there: alpaca"),
        ("score alpaca.jsonl", 1, "no model was given; name one: --model smollm2-135m"),
        ("score alpaca.jsonl --model ./nowhere", 1, "nowhere"),
        ("score alpaca.jsonl --engine steam", 2, "steam"),
        ("score alpaca.jsonl --engine toy --template nope", 1, "template nope: neither built in"),
        ("score alpaca.jsonl --engine toy --template chat", 1, "has no chat template"),
        ("score alpaca.jsonl --engine toy --template plain --ablation template", 1, "alpaca only"),
        ("score alpaca.jsonl --engine toy --batch-size many", 2, "write auto or a number"),
        ("score alpaca.jsonl --engine toy --context cellar", 2, "cellar: unknown; known are"),
        ("score alpaca.jsonl --engine toy --columns instruction", 2, "NAME=COLUMN"),
        ("score alpaca.jsonl --engine toy --columns instruction=i", 1, "response=... is missing"),
        ("score alpaca.jsonl --engine server", 1, "--base-url http://127.0.0.1:8000/v1"),
        ("score alpaca.jsonl --engine toy --base-url http://x", 2, "for --engine server"),
        ("score alpaca.jsonl --engine toy --device cuda", 2, "for --engine hf"),
        (
            "score alpaca.jsonl --engine toy --columns instruction=instruction,response=nope",
            1,
            "the first says: no column 'nope'; found the columns instruction, input, output",
        ),
        ("score alpaca.jsonl --engine toy --format messages", 1, "none of the first 5"),
        (
            "score alpaca.jsonl --engine toy --max-length 8",
            1,
            "too_long; raise --max-length, or sh",
        ),
        ("score alpaca.jsonl --engine toy --retry-failed", 1, "there is no run whose failed rows"),
        ("filter", 2, "give either --keep"),
        ("filter --keep best", 2, "best"),
        ("filter --keep context-critical", 1, "make one first: ifcurate score DATA --model MODEL"),
        ("split --run nowhere", 1, "no manifest there"),
        ("split --fraction 3", 2, "must be less than 1"),
        ("split --length-bins 3", 2, "only for --length-control"),
        ("split --length-control --length-bins 1", 2, "--length-bins"),
        ("run nothing-like-it", 1, "unknown; known are alpaca, counterfactual"),
        ("run dmeo", 1, "did you mean demo?"),
        ("score", 2, "Missing argument"),
        ("explode", 2, "No such command"),
    ],
)
def test_mistakes_have_a_message_and_no_traceback(
    line: str, code: int, said: str, ifcurate: Command, data: Path
) -> None:
    result = ifcurate(line)
    assert result.code == code
    printed = " ".join((result.out + result.err).replace("│", " ").split())
    assert said in printed
    assert "Traceback" not in printed
    assert "Value error" not in printed  # pydantic's word


def test_a_hub_model_without_network_names_the_ways_out(ifcurate: Command, data: Path) -> None:
    result = ifcurate("score alpaca.jsonl --model llama-2-7b")
    assert result.code == 1
    for said in ("meta-llama/Llama-2-7b-hf", "folder", "pocket"):
        assert said in result.err


@pytest.fixture
def hub_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub cache as a download leaves it, with a tiny model in the place of Llama-2-7B."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = folder / "hf" / "hub" / "models--meta-llama--Llama-2-7b-hf"
    make_model("llama", repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    import huggingface_hub.constants as constants

    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hf" / "hub"))
    return repo


def script(line: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, as a shell would start it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    command = [str(Path(sys.executable).parent / "ifcurate"), *line.split()]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_the_three_lines_word_for_word(data: Path, folder: Path, hub_cache: Path) -> None:
    for line in (
        "ifcurate score alpaca.jsonl --model llama-2-7b",
        "ifcurate filter --keep context-critical",
        "ifcurate augment --entity-substitution",
    ):
        result = script(line.removeprefix("ifcurate "), folder, HF_HOME=str(folder / "hf"))
        assert result.returncode == 0, result.stderr
    (manifest,) = folder.glob("ifcurate-runs/*/manifest.json")
    engine = json.loads(manifest.read_text())["identity"]["engine"]
    assert engine["model"] == "meta-llama/Llama-2-7b-hf"
    assert engine["revision"] == "0123456789abcdef0123456789abcdef01234567"
    assert list(folder.glob("ifcurate-runs/*/filtered/*/kept/alpaca.jsonl"))
    assert list(folder.glob("ifcurate-runs/*/augmented/augment.json"))
    assert "Traceback" not in result.stderr


def test_a_full_disk_is_named_with_what_to_do(
    ifcurate: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device", "run/scores.parquet")

    monkeypatch.setattr("ifcurate.data.sources.Examples.read", full)
    result = ifcurate("inspect alpaca.jsonl")
    assert result.code == 1
    said = " ".join(result.err.split())
    assert "run/scores.parquet: cannot be written: No space left on device; make room" in said


def test_ctrl_c_saves_and_exits_130(
    ifcurate: Command, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ifcurate.engines.toy import ToyEngine

    original = ToyEngine.response_logprobs
    calls = [0]

    def interrupted(self: ToyEngine, prompts: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return original(self, prompts)

    write_jsonl(data, ANSWERED_ROWS * 60)
    monkeypatch.setattr(ToyEngine, "response_logprobs", interrupted)
    result = ifcurate("score alpaca.jsonl --engine toy")
    assert result.code == 130
    assert "run the same command to resume" in result.err
    assert len(list(folder.glob("ifcurate-runs/*/parts/*.done.json"))) == 1
    refused = ifcurate("filter --keep context-critical")
    assert refused.code == 1
    assert "not finished" in refused.err
    monkeypatch.setattr(ToyEngine, "response_logprobs", original)
    retried = ifcurate("score alpaca.jsonl --engine toy --retry-failed")
    assert retried.code == 1
    assert "the run is not finished; leave out --retry-failed to resume" in retried.err
    again = ifcurate("score alpaca.jsonl --engine toy")
    assert again.code == 0
    assert "resuming an interrupted run" in again.err


def test_markup_and_control_characters_of_data_are_printed_as_they_are(
    ifcurate: Command, folder: Path
) -> None:
    odd = "[/red] \x1b[2J\x1b]0;pwn\x07 [link=http://e.com]c[/link] :smile: \u202e"
    rows = [{**ALPACA_ROWS[0], "id": f"{odd}{i}", "instruction": odd} for i in range(6)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (folder / "a.jsonl").open("a") as stream:
        stream.write("{:100: broken\n")
    for line in (
        "inspect a.jsonl",
        "score a.jsonl --engine toy --fail-on-error false",
        "split",
        "filter --keep context-critical",
    ):
        result = ifcurate(line)
        assert result.code == 0, result.err
        assert "\x1b" not in result.out + result.err
        assert "\u202e" not in result.out + result.err
        assert "\N{SMILING FACE WITH OPEN MOUTH}" not in result.out
    assert "[/red]" in ifcurate("inspect a.jsonl").out


def test_files_of_the_user_are_never_replaced(ifcurate: Command, data: Path, folder: Path) -> None:
    mine = folder / "mine"
    (mine / "parts").mkdir(parents=True)
    for name in ("parts/book.txt", "scores.parquet", "quarantine.jsonl"):
        (mine / name).write_text("precious")
    for more in ("", " --overwrite"):
        refused = ifcurate("score alpaca.jsonl --engine toy --out mine" + more)
        assert refused.code == 1
        assert "no manifest of a run; they would be replaced" in refused.err
    (mine / "manifest.json").write_text("precious")
    refused = ifcurate("score alpaca.jsonl --engine toy --out mine --overwrite")
    assert refused.code == 1
    assert all(p.read_text() == "precious" for p in mine.rglob("*") if p.is_file())
    # A result never takes the place of what it is read from, nor of a stranger's file.
    (folder / "x.dropped.jsonl").write_bytes(data.read_bytes())
    ifcurate("score x.dropped.jsonl --engine toy -q --out run")
    (folder / "dropped").mkdir()
    (folder / "dropped" / "x.dropped.jsonl").write_text("precious")
    refused = ifcurate("filter --run run --keep context-critical --out .")
    assert refused.code == 1
    assert "was not written by `ifcurate filter`" in refused.err
    (folder / "dropped" / "x.dropped.jsonl").unlink()
    assert ifcurate("filter --run run --keep context-critical --out . -q").code == 0
    assert (folder / "x.dropped.jsonl").read_bytes() == data.read_bytes()
    (folder / "suite.jsonl").write_bytes(data.read_bytes())
    refused = ifcurate("augment suite.jsonl --entity-substitution --out .")
    assert refused.code == 1
    assert (folder / "suite.jsonl").read_bytes() == data.read_bytes()


def test_options_from_the_environment(
    ifcurate: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IFCURATE_SCORE_ENGINE", "toy")
    monkeypatch.setenv("IFCURATE_SCORE_LIMIT", "7")
    assert ifcurate("score alpaca.jsonl --json").json()["counts"]["rows"] == 7


@pytest.mark.parametrize("name", ["", "filter", "run", "models"])
def test_help_is_there(name: str, ifcurate: Command) -> None:
    result = ifcurate(f"{name} --help")
    assert result.code == 0
    assert "Usage" in result.out


def test_help_is_fast_and_loads_nothing_heavy(folder: Path) -> None:
    heavy = ("torch", "transformers", "datasets", "polars", "pyarrow", "numpy", "vllm", "ray")
    code = (
        "import sys; sys.argv = ['ifcurate', '--help']\n"
        "from importlib import import_module\n"
        "try: import_module('ifcurate.cli').main()\n"
        "except SystemExit: pass\n"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert result.stderr.strip() == "[]"
    before = os.times()
    assert script("--help", folder).returncode == 0
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    assert spent < 0.5  # seconds of CPU: the clock on the wall sees the neighbours too


def test_extreme_rows_are_shown_with_their_context_and_response(
    ifcurate: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = ifcurate("score alpaca.jsonl --engine toy")
    assert "      instruction  Summarise the note." in shown.out
    assert "          context  Ship the grey crates on Monday, the gree…" in shown.out
    assert "         response  Grey crates go on Monday and green ones …" in shown.out
    # Paths and commands stay whole, so that they can be copied.
    texts = shown.out.partition("\nscores ")[0]
    assert max(map(len, texts.splitlines())) <= 60
    found = ifcurate("score alpaca.jsonl --engine toy --json").json()
    assert "Ship the grey crates on Monday, the green ones on Friday." in {
        row["context"] for row in found["most"] + found["least"]
    }


def test_a_split_shows_its_numbers_with_the_cut_at_60_columns(
    ifcurate: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    ifcurate("score alpaca.jsonl --engine toy -q")
    shown = ifcurate("split --rule both").out
    assert len([line for line in shown.splitlines() if "◂ cut" in line]) == 2
    assert "parameter      at  critical  non-critical  change" in shown
    assert "…" not in shown.partition("nearest rows")[0]


@pytest.mark.parametrize(
    "line",
    [
        "report one --out mine.html",
        "compare one other --out mine.html",
        "evaluate pocket --suite quotes --page mine.html",
        "lab compare --page mine.html",
    ],
)
def test_a_file_of_the_user_is_refused_before_the_work(
    line: str, ifcurate: Command, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "one" in line:
        ifcurate("score alpaca.jsonl --engine toy --out one")
        ifcurate("score alpaca.jsonl --engine toy --limit 20 --out other")
    for name in (
        "ifcurate.reports.page.gather_facts",
        "ifcurate.reports.compare.compare_runs",
        "ifcurate.evaluation.trajectory.follow_checkpoints",
        "ifcurate.lab.setup.open_or_prepare",
    ):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("works before it refuses"))
    (folder / "mine.html").write_text("my own page")
    result = ifcurate(line)
    assert "mine.html: exists already and is not an earlier page" in result.err
    assert (result.code, (folder / "mine.html").read_text()) == (1, "my own page")
