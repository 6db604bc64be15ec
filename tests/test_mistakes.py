"""What a person does wrong: the message says where, what and what to do, and that works."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from tests.conftest import ANSWERED_ROWS, write_jsonl
from tests.engines.fake_server import FakeServer

(ENTRY,) = metadata.entry_points(group="console_scripts", name="ifcurate")
ROWS = [
    {**row, "instruction": f"{row['instruction']} {i}"} for i, row in enumerate(ANSWERED_ROWS * 2)
]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS)
SCORE = "score rows.jsonl --engine toy"
FILTER = "filter --keep context-critical"


def ifcurate(line: str) -> tuple[int, str]:
    """The exit code and all that was printed, on one line."""
    app = ENTRY.load().__globals__["app"]
    result = CliRunner().invoke(app, shlex.split(line), prog_name="ifcurate")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join((result.stdout + result.stderr).replace("│", " ").split())


def shell(line: str) -> None:
    """Run a line of the message as a person pastes it; what is not installed is left out."""
    if shutil.which(line.split()[0]) is None:
        pytest.skip(f"{line.split()[0]} is not here to try the advice")
    subprocess.run(line, shell=True, check=True)


def renamed(column: str = "", *, text: str = "") -> str:
    """The rows as `text`, or with other names for their columns."""
    names = {"instruction": "task", "input": "doc", "output": "reply"}
    rows = [{names[k]: v for k, v in row.items()} for row in ROWS]
    return text or "".join(json.dumps(row) + "\n" for row in rows)


@dataclass(frozen=True)
class Mistake:
    line: str
    said: tuple[str, str, str]  # where, what, what to do
    advice: tuple[str, ...]  # lines that then work; "$ ..." is run by a shell
    before: Callable[[], object] = lambda: None
    code: int = 1


def write(name: str, content: str | bytes) -> Callable[[], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda: Path(name).write_bytes(data)


def run(*lines: str) -> Callable[[], object]:
    return lambda: [ifcurate(line) for line in lines]


def parquet_with_another_name() -> None:
    with Path("p.jsonl").open("wb") as stream:
        pl.DataFrame(ROWS).write_parquet(stream)


def changed_after_scoring() -> None:
    ifcurate(f"{SCORE} --out run")
    write_jsonl(Path("rows.jsonl"), ROWS[:-1])


MISTAKES = {
    "a name misspelt": Mistake(
        "inspect rwos.jsonl",
        ("rwos.jsonl", "no such file", "data files there: rows.jsonl"),
        ("inspect rows.jsonl",),
    ),
    "a folder that is not there": Mistake(
        "inspect nowhere/rows.jsonl",
        ("nowhere/rows.jsonl", "the folder nowhere does not exist", "check the path"),
        ("inspect rows.jsonl",),
    ),
    "a pattern that matches nothing": Mistake(
        "inspect *.jsonlines",
        ("*.jsonlines", "no file matches", "check the path"),
        ("inspect *.jsonl",),
    ),
    "a file given twice": Mistake(
        "inspect rows.jsonl ./rows.jsonl",
        ("./rows.jsonl", "given twice (also as rows.jsonl)", "name it once"),
        ("inspect rows.jsonl",),
    ),
    "a spreadsheet": Mistake(
        "inspect rows.xlsx",
        ("rows.xlsx", "a spreadsheet, found .xlsx", "save it as CSV"),
        ("inspect saved.csv",),
        before=lambda: (
            write("rows.xlsx", b"PK\x03\x04")(),
            # As spreadsheet programs save it: a byte order mark, Windows line ends.
            write("saved.csv", "\ufeff" + pl.DataFrame(ROWS).write_csv().replace("\n", "\r\n"))(),
        ),
    ),
    "UTF-16": Mistake(
        "inspect u.jsonl",
        ("u.jsonl", "the text is UTF-16", "iconv -f UTF-16 -t UTF-8 u.jsonl > NEW"),
        ("$ iconv -f UTF-16 -t UTF-8 u.jsonl > NEW", "$ mv NEW v.jsonl", "inspect v.jsonl"),
        before=write("u.jsonl", TEXT.encode("utf-16")),
    ),
    "rows over several lines": Mistake(
        "inspect p.jsonl",
        ("p.jsonl", "each row must be one line", "jq -c . FILE > NEW"),
        ("$ jq -c . p.jsonl > NEW", "$ mv NEW q.jsonl", "inspect q.jsonl"),
        before=write("p.jsonl", "\n".join(json.dumps(row, indent=1) for row in ROWS)),
    ),
    "rows under a key": Mistake(
        "inspect n.json",
        (
            "n.json",
            "found the columns data, version",
            "the rows seem to be in 'data'; write each of them as one line of a file",
        ),
        ("$ jq -c '.data[]' n.json > rows.jsonl", "inspect rows.jsonl"),
        before=write("n.json", json.dumps({"version": 1, "data": ROWS})),
    ),
    "ranked answers": Mistake(
        "inspect r.jsonl",
        (
            "r.jsonl",
            "each row has several answers with their ranks in 'completions'",
            "name the best one `chosen` and the worst one `rejected`",
        ),
        (
            "$ jq -c '(.completions | sort_by(-.overall_score)) as $a | . + {chosen: "
            "$a[0].response, rejected: $a[-1].response} | del(.completions)' r.jsonl > rows.jsonl",
            "inspect rows.jsonl --format preference",
        ),
        before=lambda: write_jsonl(
            Path("r.jsonl"),
            [
                {"instruction": row["instruction"], "input": row["input"], "completions": answers}
                for row in ROWS
                for good in [{"response": row["output"], "overall_score": 9}]
                for answers in [[{"response": "No.", "overall_score": 1}, good]]
            ],
        ),
    ),
    "a table in another encoding": Mistake(
        "inspect s.csv",
        ("s.csv: cannot be read", "not UTF-8 (byte ", "; convert the file to UTF-8"),
        ("inspect c.csv",),
        before=lambda: [
            Path(name).write_text(
                pl.DataFrame(ROWS).with_columns(année=1955).write_csv(), encoding=encoding
            )
            for name, encoding in {"s.csv": "cp1252", "c.csv": "utf-8"}.items()
        ],
    ),
    "a column twice in a table": Mistake(
        "inspect d.csv",
        ("d.csv", "names the column 'output' twice", "rename one of them"),
        ("$ sed '1s/output$/more/' d.csv > e.csv", "inspect e.csv"),
        before=write("d.csv", "instruction,input,output,output\na,the text,b,c\n"),
    ),
    "Parquet with another name": Mistake(
        "inspect p.jsonl",
        (
            "p.jsonl",
            "found a Parquet file, not text",
            "so that it ends in .parquet",
        ),
        ("$ mv p.jsonl p.parquet", "inspect p.parquet"),
        before=parquet_with_another_name,
    ),
    "packed with another name": Mistake(
        "inspect p.jsonl",
        ("p.jsonl", "found a file packed by gzip", "ends in .gz"),
        ("$ mv p.jsonl p.jsonl.gz", "inspect p.jsonl.gz"),
        before=write("p.jsonl", gzip.compress(TEXT.encode())),
    ),
    "a type of file that is not read": Mistake(
        "inspect rows.txt",
        ("rows.txt", "unknown file type .txt; known are .jsonl", "rename or convert the file"),
        ("$ mv rows.txt other.jsonl", "inspect other.jsonl"),
        before=write("rows.txt", TEXT),
    ),
    "columns of another name": Mistake(
        "inspect c.jsonl",
        (
            "c.jsonl",
            "found the columns doc, reply, task",
            "instruction=task context=doc response=reply",
        ),
        ("inspect c.jsonl --columns instruction=task context=doc response=reply",),
        before=write("c.jsonl", renamed()),
    ),
    "a mapping to no column": Mistake(
        "inspect c.jsonl --columns instruction=task,response=answer",
        ("c.jsonl", "no column 'answer'; found the columns task, doc, reply", "--columns"),
        ("inspect c.jsonl --columns instruction=task,context=doc,response=reply",),
        before=write("c.jsonl", renamed()),
    ),
    "a mapping of an unknown name": Mistake(
        "inspect c.jsonl --columns question=task,response=reply",
        ("--columns", "question=...: unknown name", "known are instruction, context, response"),
        ("inspect c.jsonl --columns instruction=task,context=doc,response=reply",),
        before=write("c.jsonl", renamed()),
        code=2,
    ),
    "the format of other data": Mistake(
        "inspect rows.jsonl --format messages",
        ("rows.jsonl", "none of the first 10 rows can be read as messages", "check --format"),
        ("inspect rows.jsonl --format alpaca",),
    ),
    "a link with a key in it": Mistake(
        "inspect https://host/rows.jsonl?key=hunter2",
        ("https://...", "may be a secret and would be stored", "download the file and name that"),
        ("inspect rows.jsonl",),
    ),
    "a split of a file": Mistake(
        f"{SCORE} --hub-split test",
        ("data: --hub-split", "is only for datasets of the Hub and saved ones", "leave it out"),
        (SCORE,),
    ),
    "a configuration of a file": Mistake(
        f"{SCORE} --subset en",
        ("data: --subset", "is only for datasets of the Hub", "leave it out"),
        (SCORE,),
    ),
    "no count": Mistake(
        f"{SCORE} --limit 99999999999999999999",
        ("--limit", "must be at most 1000000000000000", "found '99999999999999999999'"),
        (f"{SCORE} --limit 1000000000000000",),
        code=2,
    ),
    "no model": Mistake(
        "score rows.jsonl",
        ("score", "no model was given", "--model pocket to try it out"),
        ("score rows.jsonl --model pocket --limit 2",),
    ),
    "an engine misspelt": Mistake(
        "score rows.jsonl --engine tyo",
        ("'--engine'", "'tyo' is not one of", "'toy'"),
        (SCORE,),
        code=2,
    ),
    "a template misspelt": Mistake(
        f"{SCORE} --template alpca",
        ("template alpca", "neither built in", "did you mean alpaca?"),
        (f"{SCORE} --template alpaca",),
    ),
    "a template without the response": Mistake(
        f"{SCORE} --template t.jinja",
        ("template t.jinja", "found it 0 times in the text", "check {{ response }}"),
        (f"{SCORE} --template u.jinja",),
        before=lambda: (
            write("t.jinja", "{{ instruction }}\n{{ context }}\n")(),
            write("u.jinja", "{{ instruction }}\n{{ context }}\n{{ response }}")(),
        ),
    ),
    "a server that does not run": Mistake(
        "score rows.jsonl --engine server --base-url 127.0.0.1:8000",
        ("base URL", "found '127.0.0.1:8000'", "write http://HOST:PORT/v1"),
        (),
    ),
    "a command misspelt": Mistake(
        "insepct rows.jsonl",
        ("ifcurate", "No such command", "Did you mean 'inspect'?"),
        ("inspect rows.jsonl",),
        code=2,
    ),
    "an option before its command": Mistake(
        "--model pocket score rows.jsonl",
        ("ifcurate", "No such option: --model", "write an option after its command"),
        (),
        code=2,
    ),
    "an option misspelt": Mistake(
        "score rows.jsonl --engien toy",
        ("ifcurate score", "No such option: --engien", "--engine"),
        (SCORE,),
        code=2,
    ),
    "a filter before any score": Mistake(
        FILTER,
        ("no run here", "ifcurate-runs/ is missing", "make one first: ifcurate score DATA"),
        (SCORE, FILTER),
    ),
    "a filter of nothing": Mistake(
        "filter",
        ("filter", "give either --keep LABEL or --drop LABEL", "labels are context-critical"),
        (FILTER,),
        before=run(SCORE),
        code=2,
    ),
    "a label misspelt": Mistake(
        "filter --keep context_critical",
        ("'--keep'", "'context_critical' is not one of", "'context-critical'"),
        (FILTER,),
        before=run(SCORE),
        code=2,
    ),
    "a percentage without its sign": Mistake(
        "split --fraction 25",
        ("--fraction", "must be less than 1", "found '25'"),
        ("split --fraction 25%", "split --fraction 0.25"),
        before=run(SCORE),
        code=2,
    ),
    "an option of another rule": Mistake(
        "split --rule paper --threshold 0.2",
        ("--threshold", "is only for the rules gain, both, auto and attention", "leave it out"),
        ("split --rule paper", "split --rule gain --threshold 0.2"),
        before=run(SCORE),
        code=2,
    ),
    "a run that is none": Mistake(
        f"{FILTER} --run runs",
        ("runs", "no such file or folder", "those of this folder are in ifcurate-runs/"),
        (f"{FILTER} --run ifcurate-runs/mine",),
        before=run(f"{SCORE} --out ifcurate-runs/mine"),
    ),
    "an output that is a file": Mistake(
        f"{SCORE} --out rows.jsonl",
        ("rows.jsonl", "is a file, and a folder is needed", "choose another folder with --out"),
        (f"{SCORE} --out run",),
    ),
    "data changed after scoring": Mistake(
        f"{FILTER} --run run",
        ("rows.jsonl", "has changed since it was scored", "score it again"),
        (f"{SCORE} --out new", f"{FILTER} --run new"),
        before=changed_after_scoring,
    ),
    "half of the responses are empty": Mistake(
        "score h.jsonl --engine toy",
        ("1 of 2 rows", "for an empty response", "raise --fail-on-error"),
        ("score h.jsonl --engine toy --fail-on-error 50%",),
        before=lambda: write_jsonl(Path("h.jsonl"), [ROWS[0], {**ROWS[1], "output": ""}]),
    ),
    "a count of one that may be a share": Mistake(
        f"{SCORE} --fail-on-error 1",
        (
            "--fail-on-error",
            "'1'",
            "write true, false, a share (0.01 or 1%, at most 100%) or a count",
        ),
        (f"{SCORE} --fail-on-error 1%",),
        code=2,
    ),
    "a file that was cut off": Mistake(
        "score c.jsonl.gz --engine toy",
        ("c.jsonl.gz", "the file breaks off here", "get the file again, or allow it"),
        ("score c.jsonl.gz --engine toy --fail-on-error false",),
        before=write("c.jsonl.gz", gzip.compress(TEXT.encode() * 60)[:-9]),
    ),
    "a recipe misspelt": Mistake(
        "run dmeo",
        (
            "recipe 'dmeo': unknown; known are",
            "did you mean demo?",
            "give the path of a YAML file",
        ),
        (),
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "no model")) for n in MISTAKES]
)
def test_the_advice_of_an_error_works(name: str, folder: Path) -> None:
    mistake = MISTAKES[name]
    write_jsonl(folder / "rows.jsonl", ROWS)
    mistake.before()
    code, said = ifcurate(mistake.line)
    assert code == mistake.code, said
    for part in mistake.said:
        assert part in said
    assert "hunter2" not in said
    for line in mistake.advice:
        if line.startswith("$ "):
            shell(line[2:])
        else:
            code, said = ifcurate(line)
            assert code == 0, said


@pytest.mark.parametrize("where", ["", " --out 'run 1'"])
def test_the_next_commands_use_the_run_that_was_made(where: str, folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", ROWS)
    ifcurate(f"{SCORE} --limit 2")
    _, said = ifcurate(f"{SCORE} --template plain{where}")
    lines = re.search(r"next ifcurate (split .*) or ifcurate (filter .*) the other", said)
    assert lines is not None, said
    for line in lines.groups():
        code, said = ifcurate(line)
        assert code == 0, said
        assert ("run run 1: " if where else "(the newest here): ") in said


def test_augment_names_the_command_that_reads_only_kept_rows(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", ROWS)
    ifcurate(SCORE)
    ifcurate(FILTER)
    _, said = ifcurate("augment")
    assert "data: all rows of the run, whatever their label" in said
    line = re.search(r"only those of keep-context-critical: ifcurate (augment \S+)", said)
    assert line is not None, said
    code, said = ifcurate(line[1])
    assert code == 0, said


@pytest.mark.slow
def test_a_server_address_as_the_message_writes_it_works(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", ROWS)
    with FakeServer(models=("pocket",), max_model_len=2048) as server:
        line = f"score rows.jsonl --engine server --base-url {server.url} --parity 0"
        code, said = ifcurate(line)
    assert code == 0, said
