"""Time and memory of mixing: `python -m benchmarks.mix_speed [ROWS]`.

Rows are synthetic, with Alpaca's columns, about 850 bytes and different texts. One
component with all rows is mixed in a separate process.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = (
    *("stone", "river", "lamp", "garden", "winter"),
    *("paper", "signal", "copper", "letter", "harbour"),
)


def write_rows(path: Path, n_rows: int) -> None:
    """Rows with an input in a third of them."""
    draw = random.Random(0)
    with path.open("w") as stream:
        for i in range(n_rows):
            text = " ".join(draw.choices(WORDS, k=100))
            passage = text[:300] if i % 3 == 0 else ""
            row = {"instruction": f"{text[:60]} {i}", "input": passage, "output": text}
            stream.write(json.dumps(row) + "\n")


def mix(folder: Path) -> None:
    """Mix the rows of a folder and print seconds and memory as JSON."""
    from ifcurate.mixing.components import parse_components
    from ifcurate.mixing.mix import mix_components
    from ifcurate.options.mix import MixOptions

    started, used = time.monotonic(), time.process_time()
    made = mix_components(
        parse_components([f"a={folder / 'a.jsonl'}"]), folder / "out", MixOptions()
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "rows": made.n_rows,
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "peak_mib": round(peak),
    }
    print(json.dumps(figures))


def main() -> None:
    """Make the rows, and mix them in a separate process."""
    if sys.argv[1:2] == ["--mix"]:
        mix(Path(sys.argv[2]))
        return
    n_rows = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "a.jsonl", n_rows)
        command = [sys.executable, "-m", "benchmarks.mix_speed", "--mix", folder]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
