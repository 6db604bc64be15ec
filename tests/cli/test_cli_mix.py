"""mix, export and verify as a person types them."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_cli import Command, ifcurate
from tests.conftest import write_jsonl

__all__ = ["ifcurate"]  # the fixture

ROWS = [{"prompt": f"Ask {i}", "chosen": f"Good {i}", "rejected": f"Bad {i}"} for i in range(3)]


def test_verify_names_each_file_with_its_folder(ifcurate: Command, folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", ROWS)
    mixed = ifcurate("mix a=a.jsonl -o mix")
    assert "3 rows read, 0 left out\n" in mixed.out
    assert ifcurate("export mix --trainer trl --model pocket").code == 0
    assert "bytes of trl/train.jsonl" in " ".join(ifcurate("verify mix").out.split())
    (folder / "mix/trl/train.jsonl").write_text("{}\n")
    result = ifcurate("verify mix")
    assert result.code == 1
    assert "mix/trl/train.jsonl: has other bytes than the manifest says; mix again" in result.err
