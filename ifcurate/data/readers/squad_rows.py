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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from ifcurate.data.readers.files import HEAD, RawRow, Source, open_binary
from ifcurate.data.readers.window import (
    DECODER,
    Element,
    Window,
    describe_error,
    read_elements,
)

_SPACE: Final = " \t\r\n"
#: The lists inside an article, each in an item of the one before, and the name of an item.
_LISTS: Final = (("paragraphs", "paragraph"), ("qas", "question"))


def is_squad(head: str) -> bool:
    """Return whether a JSON text with this start has articles with paragraphs under `data`."""
    at = _member(head, _find_articles(head) + 1, "paragraphs")
    return head[at : at + 1] == "["


def _find_articles(head: str) -> int:
    """Return the position of the list `data`, or the end of the text."""
    at = _member(head, 0, "data")
    return at if head[at : at + 1] == "[" else len(head)


def _member(text: str, at: int, name: str) -> int:
    """Return the position of the value of member `name` in the object at `at`, or the end of the
    text.
    """
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
    window.at = _find_articles(window.text)
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
    """Yield the questions in the innermost of these nested lists, with the members
    `around` them.
    """
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
