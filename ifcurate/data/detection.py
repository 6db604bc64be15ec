"""The format of rows by their columns, and the advice when no format fits."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ifcurate.data.chats import CHATS, find_chat, is_chat
from ifcurate.data.column_texts import ANSWERS, CONTEXTS, OUTPUTS, QUESTIONS, lower_names
from ifcurate.data.readers.files import RawRow, Source
from ifcurate.data.turns import parse_list
from ifcurate.errors import DataError
from ifcurate.options.data import FORMATS

FORMAT_ROWS: Final = 100  # rows from which the format is detected
_ADVICE: Final = re.compile("; (convert|join|split|rename|remove) ")  # in the reason of a bad row


def refuse_rows(bad: Sequence[RawRow], how: str, advice: str) -> DataError:
    """Return the error for first rows of a source that all cannot be read."""
    n, first = len(bad), bad[0]
    what = f"none of the first {n} rows can" if n > 1 else "its one row cannot"
    what = "cannot" if n == 1 and first.ends else what
    more = "; the first says" * (n > 1)
    return DataError(f"{first.source}: {what} be read{how}{more}: {first.error}{advice}")


def detect_formats(
    sources: Sequence[Source], first_rows: Callable[[Source, int], list[RawRow]]
) -> list[str]:
    """Return the format of each source; the first detected one if it cannot be detected.

    `first_rows` returns the first rows of a source. For example, all rows of a file without a
    column for the response are quarantined.
    Raises `DataError` when no source's format can be detected.
    """
    names: list[str] = []
    problems: list[DataError] = []
    for source in sources:
        try:
            names.append(_detect_format(source, first_rows(source, FORMAT_ROWS)))
        except DataError as error:
            if source.format == "hub":
                raise
            names.append("")
            problems.append(error)
    detected = [name for name in names if name]
    if not detected:
        raise problems[0]
    return [name or detected[0] for name in names]


def _detect_format(source: Source, first: Sequence[RawRow]) -> str:
    if values := [raw.value for raw in first if raw.value is not None]:
        return detect_format(values, source.name)
    if not first:
        raise DataError(f"{source.name}: no row in it; nothing to read")
    advice = "" if _ADVICE.search(first[0].error) else "; check the file"
    raise refuse_rows(first, "", advice)


def detect_format(rows: Sequence[Mapping[str, Any]], where: str) -> str:
    """Return the format that most of these rows have.

    Raises `DataError` with the columns that were found when no format fits.
    """
    votes = Counter(name for row in rows if (name := _format_of(row)))
    worse = isinstance(rows[0].get("answers"), list) and not all(map(_first_is_best, rows))
    ranked = _advise_ranked(rows[0], where) if worse or not votes else ""
    if votes and not ranked:
        return max(votes, key=lambda name: (votes[name], -FORMATS.index(name)))
    keys = sorted({key for row in rows for key in row})
    raise DataError(
        f"{where}: no known format of rows; found the columns {', '.join(keys) or '(none)'}; "
        f"{ranked or _what_to_do(rows, keys, where)}"
    )


def _what_to_do(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], where: str) -> str:
    """Return the advice for rows that are not at the top of the file, or the general one."""
    if len(rows) == 1 and (advice := _unwrap(rows[0], keys, where)):
        return advice
    if nested := next((key for key in keys if _has_examples(rows[0], key)), ""):
        name = _quote(nested)
        command = run_jq(f".{name}[] + del(.{name})", where)
        return f"each row has several examples in {nested!r}; {command}"
    return _map_columns(rows, keys)


def _map_columns(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """Return the advice for rows whose columns need other names, or another file."""
    if "parent_id" in keys:
        return "each row is one message; join the messages of a conversation to a list `messages`"
    texts = [key for key in keys if isinstance(rows[0].get(key), str)]
    if written := [key for key in texts if _OBJECTS.match(rows[0][key])]:
        return (
            f"{written[0]} has Python objects that were written as text; save the data as JSON "
            "lines or Parquet, not as CSV"
        )
    guesses = " ".join(_guess_columns(keys))
    if guesses.startswith("instruction=...") and guesses.count("...") == 1:
        return (
            "none of them looks like an instruction; add a column `instruction` that says what to "
            f"do, then map them: --columns {guesses.replace('...', 'instruction')}"
        )
    return f"map them: --columns {guesses}"


def _unwrap(row: Mapping[str, Any], keys: Sequence[str], where: str) -> str:
    """Return the advice for a file that is one object around its rows; "" for another."""
    named = (key for key in keys if _REJECTED.isdisjoint(re.split(r"[^a-z]+", key.lower())))
    if inside := [key for key in named if _has_rows(row[key])]:
        names = " and ".join(map(repr, inside))
        parts = ", ".join(f".{_quote(key)}[]" for key in inside)
        return f"are the rows in {names}? {run_jq(parts, where)}"
    if keys and all(isinstance(row[key], Mapping) for key in keys):
        return f"are its values the rows? {run_jq('.[]', where)}"
    return ""


def _quote(key: str) -> str:
    """Return a key in a program of jq."""
    return key if key.isidentifier() else json.dumps(key)


def _has_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _has_examples(row: Mapping[str, Any], key: str) -> bool:
    """Return whether the first item of a column is an example with its own question."""
    value = row.get(key)
    return isinstance(value, list) and _has_rows(value) and bool(_format_of(value[0]))


def _guess_columns(keys: Sequence[str]) -> Iterator[str]:
    """Yield a mapping to these columns, by the words in their names; "..." where no column fits."""
    left = {key: re.split(r"[^a-z]+", key.lower()) for key in keys}
    for name, words in _GUESSES.items():
        fitting = (
            (key.lower() != w, words.index(w), key)
            for key, ws in left.items()
            if _REJECTED.isdisjoint(ws)
            for w in ws
            if w in words
        )
        column = min(fitting, default=(True, 0, "..."))[2]
        left.pop(column, None)
        yield shlex.quote(f"{name}={column}")


_OBJECTS: Final = re.compile(r"\[?\{'\w+': ")
_REJECTED: Final = frozenset(("rejected", "non", "incorrect", "wrong", "negative"))
#: The meaning of a column of an unknown format by the words in its name, the most likely first.
_GUESSES: Final = {
    "instruction": ("instruction", "question", "query", "prompt", "task", "request", "input"),
    "context": ("doc", "docs", "knowledge", *CONTEXTS),
    "response": (
        *("chosen", "preferred", *ANSWERS, "completions", "target", "targets", "reply", "gold"),
        *("label", "summary", "highlights"),
    ),
}


#: A row has the first format for which it has one of the first columns and one of the second.
_COLUMNS_OF: Final[tuple[tuple[str, Sequence[str], Sequence[str]], ...]] = (
    ("prompt_completion", ("prompt",), ("completion", "response", "answers")),
    ("alpaca", ("instruction",), (*OUTPUTS, "instances")),
    ("qca", QUESTIONS, ANSWERS),
    ("qca", ("questions",), ("answers", "orig_answers")),
    ("prompt_completion", ("inputs",), ("targets",)),
    ("prompt_completion", ("input_text",), ("output_text",)),
    ("prompt_completion", ("input",), ("output", "target")),
)


def _format_of(written: Mapping[str, Any]) -> str:
    row, _ = lower_names(written)
    if "chosen" in row and "rejected" in row:
        return "preference"
    for name in CHATS[:3]:
        if is_chat(row.get(name), name, sure=False):
            return _chat_format_of(row, name)
    columns = set(row)
    if not isinstance(row.get("instances"), list):
        columns.discard("instances")
    for name, asked, answers in _COLUMNS_OF:
        if not columns.isdisjoint(asked) and not columns.isdisjoint(answers):
            return name
    return _chat_format_of(row, find_chat(row))


def _chat_format_of(row: Mapping[str, Any], name: str) -> str:
    """Return the format of a row that has a chat in this column; "" without a column."""
    turns = parse_list(row.get(name))
    if isinstance(turns, list) and isinstance(turns[0], Mapping) and "from" in turns[0]:
        return "sharegpt"
    return "messages" if name else ""


# ------------------------------------------------ rows with several ranked answers
#: A column with one of two answers, such as `response1` or `output_A`.
_PAIR: Final = re.compile(
    r"((?:human_ref|conversation|response|answer|output|completion)_?)[0-2ab]", re.IGNORECASE
)
_LISTS: Final = ("answers", "completions", "responses", "candidates", "generations", "outputs")
_TEXTS: Final = ("response", "answer", "text", "content", "output", "completion")
_RANKS: Final = ("rank", "overall_score", "score", "rating")


def _advise_ranked(row: Mapping[str, Any], where: str) -> str:
    """Return the advice for a row with several answers and their order; "" for another row."""
    if program := _list_program(row):
        return (
            "each row has several answers and their order; name the best answer `chosen`: "
            f"{run_jq(program, where)}"
        )
    if len(pair := _find_pair(row)) > 1:
        return (
            f"each row has several answers, {' and '.join(pair)}; name the better one `chosen` and "
            "the other `rejected`, by the column that compares them"
        )
    return ""


def run_jq(program: str, where: str) -> str:
    """Return the command that applies a jq program to a file, or to the rows as JSON lines."""
    jq = f"jq -c {shlex.quote(program)}"
    if where.endswith(".gz"):
        return f"zcat {shlex.quote(where)} | {jq} > rows.jsonl"
    is_hub = "/" in where and not Path(where).suffix
    if is_hub or "://" in where or where.endswith((".parquet", ".arrow", ".zst")):
        return f"write them as JSON lines, and run: {jq} LINES > rows.jsonl"
    return f"{jq} {shlex.quote(where)} > rows.jsonl"


def _find_pair(row: Mapping[str, Any]) -> list[str]:
    """Return the columns that have answers to the same prompt."""
    columns = [(match[1], name) for name in row if (match := _PAIR.fullmatch(name))]
    return [name for stem, name in columns if stem == columns[0][0]]


def _list_program(row: Mapping[str, Any]) -> str:
    found = _find_list(row)
    if found is None:
        return ""
    key, text, rank = found
    order = f".{rank}" if rank == "rank" else f"-.{rank}"
    ends = f"{{chosen: $a[0].{text}, rejected: $a[-1].{text}}}"
    return f"(.{key} | sort_by({order})) as $a | . + {ends} | del(.{key})"


def _first_is_best(row: Mapping[str, Any]) -> bool:
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
