"""Rows of megabytes: memory is bounded, and each row is accounted for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ifcurate.storage.files import read_table
from ifcurate.storage.tables import SCORES

_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], check=False).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
raise SystemExit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "characters"), [(20, 5_000_000), (256, 400_000)])
def test_long_rows_are_too_long_within_a_gibibyte(
    tmp_path: Path, rows: int, characters: int
) -> None:
    with (tmp_path / "a.jsonl").open("w", encoding="utf-8") as stream:
        for i in range(rows + 1):
            text = f"Note {i}: the mill stands by the river. "
            context = text * (characters // len(text) if i < rows else 1)
            row = {"instruction": "Where is it?", "input": context, "output": "By the river."}
            stream.write(json.dumps(row) + "\n")
    program = str(Path(sys.executable).parent / "ifcurate")
    options = "--model pocket --max-length 2048 --out run --no-cache -q --fail-on-error false"
    line = [sys.executable, "-c", _MEASURED, program, "score", "a.jsonl", *options.split()]
    done = subprocess.run(line, cwd=tmp_path, check=True, capture_output=True, text=True)
    scores = read_table(tmp_path / "run" / "scores.parquet", SCORES)
    assert scores["status"].to_list() == ["too_long"] * rows + ["scored"]
    assert int(done.stdout.split()[-1]) < 1024, done.stdout
