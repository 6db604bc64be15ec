"""Rows from nested question answering files: articles with paragraphs with questions.

::

    {"version": "2.0", "data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [
        {"id": ..., "question": ..., "answers": [{"text": ..., "answer_start": ...}]}]}]}]}

Each question is a row. It has the members of its article and its paragraph, except the
lists, and its own, so that it can be written as a line of JSON. One article at a time is in
memory. Rajpurkar et al. 2016 (SQuAD, arXiv 1606.05250), 2018 (SQuAD 2.0, arXiv 1806.03822).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ifcurate.data.readers.files import HEAD, RawRow, Source, open_binary
from ifcurate.data.readers.window import DECODER, Window, describe_error, read_elements

_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class _Question:
    """A question as a row, or the reason why it is not a row.

    With `ends`, the rows after it are lost.
    """

    value: dict[str, Any] | None = None
    reason: str = ""
    head: bytes = b""
    ends: bool = False


def is_squad(head: str) -> bool:
    """Whether a JSON text with this start has articles with paragraphs under `data`."""
    at = _member(head, 0, "data")
    if head[at : at + 1] != "[":
        return False
    at = _member(head, _skip(head, at + 1), "paragraphs")
    return head[at : at + 1] == "["


def _member(text: str, at: int, name: str) -> int:
    """The position of the value of member `name` in the object at `at`, or the end of the text."""
    at = _skip(text, at)
    if text[at : at + 1] != "{":
        return len(text)
    try:
        while True:
            key, at = DECODER.raw_decode(text, _skip(text, at + 1))
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                return len(text)
            at = _skip(text, at + 1)
            if key == name:
                return at
            at = _skip(text, DECODER.raw_decode(text, at)[1])
            if text[at : at + 1] != ",":
                return len(text)
    except (ValueError, RecursionError):
        return len(text)


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def read_squad(source: Source, *, parse: bool = True) -> Iterator[RawRow]:
    """A row for each question. With `parse` off, a row has only its bytes."""
    with open_binary(source) as stream:
        for number, question in enumerate(_questions(Window(stream))):
            if question.value is not None:
                yield _row(source, number, question.value, parse=parse)
            else:
                yield RawRow(
                    source.name, number, None, question.head, None, question.reason,
                    ends=question.ends,
                )  # fmt: skip


def _row(source: Source, number: int, value: dict[str, Any], *, parse: bool) -> RawRow:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError) as error:
        reason = f"cannot be written as a row: {describe_error(error)}"
        return RawRow(source.name, number, None, _show(value), None, reason)
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        reason = f"half a surrogate pair (\\u{half:04x}), which is not a character"
        if 0xDC80 <= half <= 0xDCFF:  # the window's form of such bytes
            reason = "not UTF-8; convert the file to UTF-8"
        raw = text.encode("utf-8", "backslashreplace")
        return RawRow(source.name, number, None, raw, None, f"{reason}: repair or drop the row")
    return RawRow(source.name, number, None, raw, value if parse else None)


def _questions(window: Window) -> Iterator[_Question]:
    """The questions of all articles, then a problem of the text around them, if any."""
    window.skip_space()
    window.at += 1  # after the opening brace
    done = False
    sign = window.skip_space()
    while sign == '"':
        name, window.at, _ = window.element()
        if not _step_over(window, ":"):
            break
        if name == "data" and not done and window.skip_space() == "[":
            done = True
            stopped = yield from _articles(window)
            if stopped:
                return
        elif not _skip_value(window) or name == "data":
            break
        sign = window.skip_space()
        if not _step_over(window, ","):
            break
        sign = window.skip_space()
    yield from _check_end(window, sign)


def _step_over(window: Window, sign: str) -> bool:
    """Whether the next character is this one; if so, move past it."""
    if window.skip_space() != sign:
        return False
    window.at += 1
    return True


def _skip_value(window: Window) -> bool:
    """Step over the value that begins here; False for one that cannot be read."""
    window.skip_space()
    _, window.at, error = window.element()
    return error is None


def _check_end(window: Window, sign: str) -> Iterator[_Question]:
    reason = _wrong_end(window, sign)
    if reason:
        yield _Question(reason=reason, head=window.head(), ends=True)


def _wrong_end(window: Window, sign: str) -> str:
    if window.broken:
        return f"the file breaks off here ({window.broken}); what follows is not read"
    if sign != "}":
        return "the object around the articles is malformed here; what follows is not read"
    window.at += 1
    return "text after the end of the object, which is not read" if window.skip_space() else ""


def _articles(window: Window) -> Generator[_Question, None, bool]:
    """The questions of the list that begins here. Returns True when reading cannot resume."""
    for number, element in enumerate(read_elements(window), 1):
        if element.reason:
            lost = "" if element.ends else "; its questions are not read"
            reason = f"article {number}: {element.reason}{lost}"
            yield _Question(reason=reason, head=element.raw[:HEAD], ends=True)
        else:
            yield from _article(element.value, f"article {number}")
        if element.ends:
            return True
    return False


def _article(article: Any, place: str) -> Iterator[_Question]:
    paragraphs, problem = _list_in(article, "paragraphs", place)
    if problem is not None:
        yield problem
    for p, paragraph in enumerate(paragraphs, 1):
        here = f"{place}, paragraph {p}"
        questions, problem = _list_in(paragraph, "qas", here)
        if problem is not None:
            yield problem
        for q, question in enumerate(questions, 1):
            if isinstance(question, dict):
                levels = [(article, "paragraphs"), (paragraph, "qas")]
                around = {k: v for whole, inner in levels for k, v in whole.items() if k != inner}
                yield _Question({**around, **question})
            else:
                yield _bad(question, f"{here}, question {q}: expected an object")


def _list_in(whole: Any, name: str, place: str) -> tuple[list[Any], _Question | None]:
    """The list of this name in an object, with a question that has the problem, if any."""
    if not isinstance(whole, dict):
        return [], _bad(whole, f"{place}: expected an object with {name!r}")
    if not isinstance(whole.get(name), list):
        keys = ", ".join(whole) or "(none)"
        reason = f"{place}: no list {name!r}; found the keys {keys}"
        return [], _Question(reason=reason, head=_show(whole))
    return whole[name], None


def _bad(value: Any, reason: str) -> _Question:
    return _Question(reason=f"{reason}; found {type(value).__name__}", head=_show(value))


def _show(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        text = repr(type(value))
    return text.encode("utf-8", "backslashreplace")[:HEAD]
