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

from ifcurate.data.readers.files import HEAD, RawRow, Source, open_binary
from ifcurate.data.readers.window import Element, Window, describe_error, read_elements

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
            if question.reason:
                head, reason = question.raw[:HEAD], question.reason
                yield RawRow(source.name, number, None, head, None, reason, ends=question.ends)
            else:
                yield _row(source, number, question.value, parse=parse)


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
    if reason := _wrong_end(window):
        yield Element(window.line, window.head(), reason=reason, ends=True)


def _wrong_end(window: Window) -> str:
    """Return why the text after the articles is not the end of their object; "" if it is."""
    # The articles are already read, so a number replaces them.
    window.text = '{"data": 0' + window.text[window.at :]
    window.at = 0
    _, end, error = window.element()
    if window.broken:
        return f"the file breaks off here ({window.broken}); what follows is not read"
    if error is not None:
        return "the object around the articles is malformed here; what follows is not read"
    window.at = end
    return "text after the end of the object, which is not read" if window.skip_space() else ""


def _walk(
    whole: Any, lists: Sequence[tuple[str, str]], around: dict[str, Any], place: str
) -> Iterator[Element]:
    """Yield the questions in the innermost list, with the members `around` them."""
    kind = type(whole).__name__
    if not lists:
        if isinstance(whole, dict):
            yield Element(0, b"", {**around, **whole})
        else:
            yield _bad(whole, f"{place}: expected an object; found {kind}")
        return
    (name, label), *inner = lists
    if not isinstance(whole, dict):
        yield _bad(whole, f"{place}: expected an object with {name!r}; found {kind}")
    elif not isinstance(whole.get(name), list):
        keys = ", ".join(whole) or "(none)"
        yield _bad(whole, f"{place}: no list {name!r}; found the keys {keys}")
    else:
        around = {**around, **{k: v for k, v in whole.items() if k != name}}
        for n, item in enumerate(whole[name], 1):
            yield from _walk(item, inner, around, f"{place}, {label} {n}")


def _bad(value: Any, reason: str) -> Element:
    return Element(0, _show(value), reason=reason)


def _show(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        text = repr(type(value))
    return text.encode("utf-8", "backslashreplace")[:HEAD]
