"""Replace the answer of each example everywhere, so that only the context has the answer."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import ifcurate

ROWS = [
    {
        "instruction": "Who repaired the clock in the hall?",
        "input": "The clock in the hall stood still for a year. Martha Jenkins repaired it in "
        "the spring, and the school paid for the new spring and the glass.",
        "output": "Martha Jenkins",
    },
]


def main() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
        result = ifcurate.augment_counterfactual(ifcurate.read_examples(path), seed=0)
    for row in result.rows:
        print(json.dumps({name: row[name] for name in ROWS[0]}, indent=2))


if __name__ == "__main__":
    main()
