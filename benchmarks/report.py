"""The report of 52,000 rows: time, memory, size, and the time that Chromium needs to open it.

    python -m benchmarks.report [ROWS]

It makes rows of random words, scores them with the toy engine (which is not measured), and
prints one JSON object. Each number comes from a separate process.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
MAKE = "import sys; from benchmarks.report import measure_page; measure_page(sys.argv[1])"


def make_rows(path: Path, n: int) -> None:
    """Alpaca rows of random words, six of ten with a context; some responses copy it."""
    draw = random.Random(0)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]
    with path.open("w") as stream:
        for _ in range(n):
            context = draw.choices(words, k=draw.randint(10, 120)) if draw.random() < 0.6 else []
            copied = context[: draw.randint(2, 10)] if draw.random() < 0.6 else []
            row = {
                "instruction": f"What is {' '.join(draw.choices(words, k=8))}?",
                "input": " ".join(context),
                "output": " ".join(copied or draw.choices(words, k=draw.randint(3, 80))),
            }
            stream.write(json.dumps(row) + "\n")


def measure_page(folder: str) -> None:
    """Write the report of a run, and print what it took."""
    from ifcurate.reports.page import write_report
    from ifcurate.runs.run import find_run

    started = time.monotonic()
    path = write_report(find_run(folder))
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {"seconds": round(seconds, 2), "peak_mib": round(peak), "bytes": path.stat().st_size}
    assert "The texts cannot be shown" not in path.read_text()
    print(json.dumps({**figures, "path": str(path)}))


def open_in_chromium(path: Path, times: int = 5) -> list[float]:
    """Seconds until the page has loaded and drawn, in a fresh page each time."""
    from playwright.sync_api import sync_playwright

    seconds = []
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        for _ in range(times):
            page = browser.new_page()
            page.goto(path.as_uri())
            timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
            seconds.append(round(page.evaluate(timing) / 1000, 2))
            page.close()
        browser.close()
    return seconds


def main() -> None:
    """Measure, and print one JSON object."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 52_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(folder / "rows.jsonl", n)
        score = ["score", "rows.jsonl", "--engine", "toy", "--tokens", "--out", "run", "-q"]
        for words in (score, ["split", "--rule", "both", "--run", "run", "-q"]):
            subprocess.run(["ifcurate", *words], cwd=folder, check=True)
        made = [sys.executable, "-c", MAKE, str(folder / "run")]
        # In the folder of the scoring command, because the texts are read from the data again.
        here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        result = subprocess.run(
            made, check=True, capture_output=True, text=True, cwd=folder, env=here
        )
        figures: dict[str, Any] = {"rows": n, **json.loads(result.stdout)}
        path = Path(figures.pop("path"))
        if CHROMIUM.exists():
            figures["opens_seconds"] = open_in_chromium(path)
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
