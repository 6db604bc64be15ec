"""Speed of counterfactual generation: examples per second, growth with length, start-up.

Run ``python benchmarks/augment_speed.py [--json FILE]``. Texts are synthetic, with names,
places, dates and amounts as dense as in news. Times are CPU seconds of one process,
the median of the repetitions.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ifcurate.counterfactual.augment import iterate_counterfactuals
from ifcurate.counterfactual.lexicon.tables import LEXICON
from ifcurate.data.parse_rows import parse_row
from ifcurate.data.row_formats import RowLayout
from ifcurate.options.augment import AugmentOptions
from ifcurate.records import Example

SENTENCES = (
    "{a} told the council that the bridge would be closed for most of the year.",
    "The old mill was sold to {b}, who wants to open a small museum in it.",
    "Nobody in the room had expected such a long report on the state of the roads.",
    "On 5 May 1950 the first trains arrived, and the town changed more than it knew.",
    "It cost $1,250 in all, less than the neighbours had paid for a wooden shed.",
    "People from Norway and Peru have worked here, and some of them have stayed.",
    "Later {a} wrote that the rain had been worse than the flood of 1987.",
    "The letters were found in a box under the stairs, together with two maps.",
    "In Lyon the shops were closed, so we walked along the canal until dark.",
)


def make_text(size: int, chance: random.Random) -> tuple[str, str]:
    """About `size` characters, and the name of a person in them."""
    lexicon = LEXICON
    firsts, lasts = lexicon.first_pool["f"], lexicon.last_pool
    people = [f"{chance.choice(firsts)} {chance.choice(lasts)}" for _ in range(8)]
    parts: list[str] = []
    length = 0
    while length < size:
        sentence = chance.choice(SENTENCES).format(a=people[0], b=chance.choice(people[1:]))
        parts.append(sentence)
        length += len(sentence) + 1
    return " ".join(parts), people[0]


def make_examples(count: int, size: int, answered: float) -> list[Example]:
    """Rows of `size` characters; the given share has a response that can be substituted."""
    chance = random.Random(0)
    examples = []
    for number in range(count):
        text, name = make_text(size, chance)
        response = name if chance.random() < answered else "The roads are in a bad state."
        row = {"instruction": "Answer from the text.", "input": text, "output": response}
        examples += parse_row(row, RowLayout("alpaca"), source="made", row_number=number)
    return examples


def cpu_seconds(examples: list[Example], settings: AugmentOptions, repeat: int) -> float:
    """Return the median CPU time of some runs over the examples."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        for _outcome in iterate_counterfactuals(examples, settings):
            pass
        times.append(time.process_time() - start)
    return statistics.median(times)


def start_up(repeat: int) -> tuple[float, float]:
    """Wall and CPU seconds of a new process that imports, reads the lexicon, augments one row.

    The start-up time of Python itself is subtracted.
    """
    code = (
        "from ifcurate.counterfactual.augment import augment_counterfactual as a\n"
        "from ifcurate.data.parse_rows import RowLayout, parse_row\n"
        "r = {'instruction': 'Who?', 'input': 'Martha came. ' * 12, 'output': 'Martha'}\n"
        "assert a(parse_row(r, RowLayout('alpaca'))).rows\n"
    )
    bare, whole = _process("pass", repeat), _process(code, repeat)
    return whole[0] - bare[0], whole[1] - bare[1]


def _process(code: str, repeat: int) -> tuple[float, float]:
    wall, cpu = [], []
    for _ in range(repeat):
        before, start = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        after = os.times()
        wall.append(time.perf_counter() - start)
        used = after.children_user - before.children_user
        cpu.append(used + after.children_system - before.children_system)
    return statistics.median(wall), statistics.median(cpu)


def measure(repeat: int) -> dict[str, Any]:
    """Return all figures."""
    settings = AugmentOptions()
    wall, cpu = start_up(repeat)
    result: dict[str, Any] = {
        "cores_used": 1, "start_up_wall_s": round(wall, 3), "start_up_cpu_s": round(cpu, 3),
    }  # fmt: skip
    for name, size, answered in (
        ("news_900", 900, 0.15), ("news_900_all", 900, 1.0), ("chats_2500", 2500, 0.15),
    ):  # fmt: skip
        examples = make_examples(600, size, answered)
        seconds = cpu_seconds(examples, settings, repeat)
        result[name] = {"examples_per_s": round(len(examples) / seconds)}
    sizes = {}
    for kilobytes in (16, 32, 64, 128, 256):
        examples = make_examples(2, kilobytes * 1024, 1.0)
        seconds = cpu_seconds(examples, settings, repeat)
        sizes[kilobytes] = round(seconds / len(examples) / kilobytes * 1e3, 3)
    result["ms_per_kB_by_size_kB"] = sizes
    return result


def main() -> None:
    """Print the figures, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    result = measure(options.repeat)
    result["load_average"] = os.getloadavg()[0]
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
