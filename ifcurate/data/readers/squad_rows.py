"""Rows from nested question answering files: articles with paragraphs with questions.

::

    {"version": "2.0", "data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [
        {"id": ..., "question": ..., "answers": [{"text": ..., "answer_start": ...}]}]}]}]}

Each question is a row. It has the members of its article and its paragraph, except the
lists, and its own, so that it can be written as a line of JSON. One article at a time is in
memory. Rajpurkar et al. 2016 (SQuAD, arXiv 1606.05250), 2018 (SQuAD 2.0, arXiv 1806.03822).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from ifcurate.data.readers.files import HEAD, RawRow, Source, not_utf8, open_binary
from ifcurate.data.readers.json_rows import Element, Window, describe_error, read_elements

#: The lists inside an article, each in an item of the one before, and the name of an item.
_LISTS: Final = (("paragraphs", "paragraph"), ("qas", "question"))


def is_squad(head: bytes) -> bool:
    """Return whether a file with this start has articles with paragraphs under `data`."""
    window = Window(io.BytesIO(head))
    if _find_member(window, "data") != "[":
        return False
    window.at += 1
    return _find_member(window, "paragraphs") == "["


def _find_member(window: Window, name: str) -> str:
    """Move to the value of a member of the object here. Returns its first character, or ""."""
    sign = "," if window.skip_space() == "{" else ""
    while sign == ",":
        window.at += 1
        window.skip_space()
        key, window.at, _ = window.element()
        if window.skip_space() != ":":
            return ""
        window.at += 1
        sign = window.skip_space()
        if key == name:
            return sign
        _, window.at, _ = window.element()
        sign = window.skip_space()
    return ""


def read_squad(source: Source, *, parse: bool = True) -> Iterator[RawRow]:
    """Yield a row for each question. With `parse` off, a row has only its bytes."""
    with open_binary(source) as stream:
        for number, question in enumerate(_questions(Window(stream))):
            raw, value, reason = question.raw[:HEAD], None, question.reason
            if not reason:
                raw, reason = _write(question.value)
                value = question.value if parse and not reason else None
            yield RawRow(source.name, number, None, raw, value, reason, ends=question.ends)


def _write(value: Any) -> tuple[bytes, str]:
    """Return a value as a line of JSON, and why it cannot be a row; "" if it can."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        return b"", f"cannot be written as a row: {describe_error(error)}"
    try:
        raw = text.encode("utf-8", "surrogateescape")  # bytes that are not UTF-8 as in the file
    except UnicodeEncodeError as error:
        half = f"half a surrogate pair (\\u{ord(text[error.start]):04x})"
        reason = f"{half}, which is not a character: repair or drop the row"
        return text.encode("utf-8", "backslashreplace"), reason
    return raw, not_utf8(raw)


def _questions(window: Window) -> Iterator[Element]:
    """Yield the questions of all articles, then a problem of the text around them, if any."""
    _find_member(window, "data")
    for number, element in enumerate(read_elements(window), 1):
        place = f"article {number}"
        if not element.reason:
            yield from _walk(element.value, _LISTS, {}, place)
        else:
            lost = "" if element.ends else "; its questions are not read"
            yield replace(element, reason=f"{place}: {element.reason}{lost}", ends=True)
        if element.ends:
            return
    # The articles are already read, so a number replaces them.
    window.text = '{"data": 0' + window.text[window.at :]
    window.at = 0
    _, window.at, error = window.element()
    reason = "text after the end of the object"
    if window.broken or error is not None:
        reason = window.why_stopped("the object around the articles is malformed here")
    elif not window.skip_space():
        return
    reason += "; what follows is not read"
    yield Element(window.line, window.head(), reason=reason, ends=True)


def _walk(
    whole: Any, lists: Sequence[tuple[str, str]], around: dict[str, Any], place: str
) -> Iterator[Element]:
    """Yield the questions in the innermost list, with the members `around` them."""
    expected = f" with {lists[0][0]!r}" if lists else ""
    if not isinstance(whole, dict):
        found = type(whole).__name__
        yield _bad(whole, f"{place}: expected an object{expected}; found {found}")
    elif not lists:
        yield Element(0, b"", {**around, **whole})
    elif not isinstance(whole.get(lists[0][0]), list):
        keys = ", ".join(whole) or "(none)"
        yield _bad(whole, f"{place}: no list {lists[0][0]!r}; found the keys {keys}")
    else:
        (name, label), *inner = lists
        around = {**around, **{k: v for k, v in whole.items() if k != name}}
        for n, item in enumerate(whole[name], 1):
            yield from _walk(item, inner, around, f"{place}, {label} {n}")


def _bad(value: Any, reason: str) -> Element:
    return Element(0, _write(value)[0], reason=reason)
