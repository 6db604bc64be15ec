"""The format of rows by their columns, and the advice when no format fits."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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

    Raises `DataError` with the columns that were found when no format fits, or when the answer
    that would be read is not the best of ranked ones.
    """
    votes = Counter(name for row in rows if (name := _format_of(row)))
    if votes and all(map(_first_is_best, rows)):
        return max(votes, key=lambda name: (votes[name], -FORMATS.index(name)))
    keys = sorted({key for row in rows for key in row})
    raise DataError(
        f"{where}: no known format of rows; found the columns {', '.join(keys) or '(none)'}; "
        f"{_advise(rows, keys)}"
    )


def _advise(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """Return what to do with rows of no known format."""
    first = rows[0]
    if ranked := next((key for key in _ANSWERS if _has_ranks(first.get(key))), ""):
        return (
            f"each row has several answers with their ranks in {ranked!r}; name the best one "
            "`chosen` and the worst one `rejected`"
        )
    pair = [key for key in keys if _ONE_OF_TWO.fullmatch(key)]
    if len(pair) == 2:
        return (
            f"each row has two answers, {' and '.join(pair)}; name the better one `chosen` and the "
            "other `rejected`, by the column that compares them"
        )
    if inner := _find_inner_rows(rows):
        return f"the rows seem to be in {inner}; write each of them as one line of a file"
    if "parent_id" in keys:
        return "each row is one message; join the messages of a conversation to a list `messages`"
    texts = [key for key in keys if isinstance(first.get(key), str)]
    if written := [key for key in texts if _OBJECTS.match(first[key])]:
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


def _find_inner_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the columns whose items are rows themselves, in words; "" if there are none.

    A file that is one object may have any rows in it. In several rows, they have a known format.
    """
    first, alone = rows[0], len(rows) == 1
    if alone and first and all(isinstance(value, Mapping) for value in first.values()):
        return "its values"
    lists = [key for key, value in first.items() if _has_rows(value)]
    inner = [key for key in lists if alone or _format_of(first[key][0])]
    return " and ".join(map(repr, inner))


def _has_ranks(value: Any) -> bool:
    """Return whether a value is a list of answers that has their ranks or scores."""
    return _has_rows(value) and any(name in value[0] for name in _RANKS)


def _first_is_best(row: Mapping[str, Any]) -> bool:
    """Return whether no answer in `answers` has a better rank or score than the first one."""
    answers: Any = row.get("answers")
    if not _has_ranks(answers):
        return True
    name = next(name for name in _RANKS if name in answers[0])
    ranks = [answer.get(name) for answer in answers if isinstance(answer, Mapping)]
    known = [rank for rank in ranks if isinstance(rank, int | float)]
    return not known or known[0] == (min(known) if name == "rank" else max(known))


def _has_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


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


#: Columns with several answers; passages may have scores too.
_ANSWERS: Final = ("answers", "completions", "responses", "candidates", "generations", "outputs")
#: Keys of an answer that has a rank among others.
_RANKS: Final = ("rank", "overall_score", "score", "rating")
#: A column with one of two answers to the same prompt.
_ONE_OF_TWO: Final = re.compile(
    r"(?:human_ref|conversation|response|answer|output|completion)_?[0-2ab]", re.IGNORECASE
)
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
