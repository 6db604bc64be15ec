"""Rows with several ranked answers, and the command that names the best one `chosen`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

#: The prompt in jq, the columns of two answers, and the condition for the first to be better.
_PAIRS: Final = (
    (".history", "human_ref_A", "human_ref_B", ".labels == 1"),
    (".context", "response1", "response2", ".overall_preference < 0"),
    (".prompt", "response_1", "response_2", ".preference_strength < 0"),
    (".prompt", "response_0", "response_1", ".better_response_id == 0"),
    (".instruction", "output_1", "output_2", ".preference == 1"),
    (".question.full_text", "answer_0", "answer_1", ".score_0 > .score_1"),
    ("", "conversation_a", "conversation_b", '.winner == "model_a"'),
)
_LISTS: Final = ("answers", "completions", "responses", "candidates", "generations", "outputs")
_TEXTS: Final = ("response", "answer", "text", "content", "output", "completion")
_RANKS: Final = ("rank", "overall_score", "score", "rating")
_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+")
_COLUMNS: Final = re.compile(r"(?<!\w)\.(\w+)")


def advise_ranked(row: Mapping[str, Any], where: str) -> str:
    """Return the advice for a row with several answers and their order; "" for another row."""
    program = _pair_program(row) or _list_program(row)
    if not program:
        return ""
    return (
        "each row has several answers and their order; name the best answer `chosen`: "
        f"{run_jq(program, where)}"
    )


def run_jq(program: str, where: str) -> str:
    """Return the command that applies a jq program to a file, a URL or a Hub dataset."""
    jq = f"jq -c {shlex.quote(program)}"
    if lines := _write_lines(where):
        return f"{lines} | {jq} > rows.jsonl"
    return f"{jq} {shlex.quote(where)} > rows.jsonl"


def _write_lines(where: str) -> str:
    """Return the command that writes rows as JSON; "" for a file that jq reads itself."""
    script = ""
    if where.endswith(".parquet"):
        script = f"import polars, sys; polars.read_parquet({where!r}).write_ndjson"
    elif _HUB_NAME.fullmatch(where) and not Path(where).exists():
        load = f"datasets.load_dataset({where!r}, split='train')"
        script = f"import datasets, sys; {load}.to_json"
    if script:
        return f"python -c {shlex.quote(f'{script}(sys.stdout.buffer)')}"
    if where.endswith(".gz"):
        return f"zcat {shlex.quote(where)}"
    return f"curl -sL {shlex.quote(where)}" if "://" in where else ""


def _pair_program(row: Mapping[str, Any]) -> str:
    for prompt, first, second, better in _PAIRS:
        if {first, second, *_COLUMNS.findall(prompt + better)} <= row.keys():
            left = ", ".join(f".{name}" for name in (first, second))
            orders = ((first, second), (second, first))
            pairs = " else ".join(f"{{chosen: .{a}, rejected: .{b}}}" for a, b in orders)
            asked = f"{{prompt: {prompt}}} + " if prompt else ""
            return f". + {asked}if {better} then {pairs} end | del({left})"
    return ""


def _list_program(row: Mapping[str, Any]) -> str:
    found = _find_list(row)
    if found is None:
        return ""
    key, text, rank = found
    order = f".{rank}" if rank == "rank" else f"-.{rank}"
    ends = f"{{chosen: $a[0].{text}, rejected: $a[-1].{text}}}"
    return f"(.{key} | sort_by({order})) as $a | . + {ends} | del(.{key})"


def first_is_best(row: Mapping[str, Any]) -> bool:
    """Return whether no answer has a better rank or score than the first."""
    found = _find_list(row)
    if found is None:
        return True
    key, _, rank = found
    ranks = [item[rank] for item in row[key] if item.get(rank) is not None]
    return not ranks or ranks[0] == (min(ranks) if rank == "rank" else max(ranks))


def _find_list(row: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return the column of a list of answers, and the keys of an answer's text and rank."""
    for key in _LISTS:
        value = row.get(key)
        if not isinstance(value, list) or len(value) < 2 or not isinstance(value[0], Mapping):
            continue
        text = next((name for name in _TEXTS if name in value[0]), "")
        rank = next((name for name in _RANKS if name in value[0]), "")
        if text and rank:
            return key, text, rank
    return None
