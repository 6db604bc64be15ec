"""Shards, merging, the cache and clusters as a person types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import Command, ifcurate
from tests.conftest import ANSWERED_ROWS, write_jsonl
from tests.runs.killing import same_results

__all__ = ["ifcurate"]  # the fixture


@pytest.fixture
def data(folder: Path) -> Path:
    rows = [{**ANSWERED_ROWS[i % 5], "instruction": f"Question {i}?"} for i in range(700)]
    return write_jsonl(folder / "alpaca.jsonl", rows)


@pytest.mark.slow
def test_shards_are_merged(ifcurate: Command, data: Path, folder: Path) -> None:
    line = "score alpaca.jsonl --engine toy -q --no-cache"
    assert ifcurate(f"{line} --out whole").code == 0
    for i in (1, 3):
        assert ifcurate(f"{line} --shard {i}/3 --out shard-{i}").code == 0
    missing = ifcurate("merge shard-1 shard-3 --out merged")
    assert missing.code == 1
    assert "shard 2 of 3 missing" in missing.err
    early = ifcurate("filter --keep context-critical --run shard-1")
    assert early.code == 1
    assert "merge the shards first" in early.err
    assert ifcurate(f"{line} --shard 2/3 --out shard-2").code == 0
    merged = ifcurate("merge shard-1 shard-2 shard-3 --out merged")
    assert "700 rows of 3 shards" in merged.out
    assert same_results(folder / "merged", folder / "whole") == []
    again = ifcurate("merge shard-1 shard-2 shard-3 --json")
    assert again.json()["counts"]["rows"] == 700
    assert "alpaca--toy--" in again.json()["run"]
    assert ifcurate("filter --keep context-critical").code == 0


def test_a_shard_that_is_none(ifcurate: Command, data: Path) -> None:
    result = ifcurate("score alpaca.jsonl --engine toy --shard 0/3")
    assert result.code == 1
    assert "write 1/8 for the first of 8" in result.err


@pytest.mark.slow
def test_the_cache_serves_the_next_run(ifcurate: Command, data: Path, folder: Path) -> None:
    ifcurate("score alpaca.jsonl --engine toy -q")
    more = [*map(json.loads, data.read_text().splitlines()), *ANSWERED_ROWS]
    write_jsonl(data, more)
    assert list(folder.glob("ifcurate-runs/*.sqlite"))
    second = ifcurate("score alpaca.jsonl --engine toy --json").json()
    assert second["counts"]["rows"] == 705
    assert any("420 examples scored before" in note for note in second["notes"])
    third = ifcurate("score alpaca.jsonl --engine toy --json --no-cache --out third").json()
    assert not any("scored before" in note for note in third["notes"])
    fourth = ifcurate("score alpaca.jsonl --engine toy -q --cache-dir other --out fourth")
    assert fourth.code == 0
    assert list(folder.glob("other/*.sqlite"))
    assert same_results(Path(second["run"]), folder / "fourth") == []


def test_a_cache_that_cannot_be_used(ifcurate: Command, data: Path, folder: Path) -> None:
    (folder / "file").write_text("")
    asked = ifcurate("score alpaca.jsonl --engine toy -q --cache-dir file/x")
    assert asked.code == 1
    assert "the cache of scores cannot be used" in asked.err
    (folder / "ifcurate-runs").mkdir()
    (folder / "ifcurate-runs" / "scores-cache.sqlite").write_text("no database " * 500)
    by_default = ifcurate("score alpaca.jsonl --engine toy --out run")
    assert by_default.code == 0
    assert "cannot be used" in by_default.err


def test_a_cluster_without_ray(
    ifcurate: Command,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = ifcurate("score alpaca.jsonl --engine toy --executor ray")
    assert result.code == 1
    assert "[ray]'" in result.err
    wrong = ifcurate("score alpaca.jsonl --engine toy --executor ray --num-engines 3-1")
    assert wrong.code == 2


def test_a_run_has_the_name_that_it_is_given(ifcurate: Command, data: Path, folder: Path) -> None:
    line = "score alpaca.jsonl --engine toy -q --limit 3 --no-cache --name"
    assert ifcurate(f"{line} first-try").code == 0
    for name in ("first/try", "../..", "..", "-q"):
        assert ifcurate(f"{line} {name}").code == 2
    (made,) = (folder / "ifcurate-runs").glob("*--*")
    assert made.name.startswith("first-try--")
    assert "first-try--" in ifcurate("runs").out
    both = ifcurate(f"{line} third --out elsewhere")
    assert (both.code, "only for runs without --out" in both.err) == (2, True)
