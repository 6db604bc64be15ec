"""Rows from JSON lines and from JSON arrays, as streams: no file is held in memory.

A bad row has a reason. Reading resumes after it: at the next line, or in an array at the
next element whose start can be found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ifcurate.data.readers.files import (
    BROKEN,
    RawRow,
    Source,
    broken_source,
    not_utf8,
    open_binary,
    read_lines,
)
from ifcurate.data.readers.window import (
    DECODER,
    Window,
    describe_error,
    is_cut_off,
    read_elements,
)

_NOT_ONE_LINE: Final = "; each row must be one line; join lines with: jq -c . FILE > NEW"


def read_json_lines(source: Source, *, parse: bool = True) -> Iterator[RawRow]:
    """Yield a row for each line. With `parse` off, a row has neither value nor error.

    An incomplete last line is always an error, because the rest of it is unknown.
    """
    number = 0
    line = 0
    with open_binary(source) as stream:
        try:
            for line, (whole, too_long) in enumerate(read_lines(stream), 1):
                raw = whole.rstrip(b"\r\n")
                if not raw.strip():
                    continue  # an empty line is not a row
                value, reason = None, too_long and f"{too_long}; split the row"
                if not whole.endswith(b"\n") and not too_long and (cut_off := _broken_off(raw)):
                    yield broken_source(source, number, line, cut_off, raw)
                    return
                if parse and not too_long:
                    value, reason = parse_line(raw)
                yield RawRow(source.name, number, line, raw, value, reason)
                number += 1
        except BROKEN as error:
            reason = f"the file breaks off here ({error}); what follows is not read"
            yield broken_source(source, number, line + 1, reason, b"")


def _broken_off(raw: bytes) -> str:
    """Return why a last line without a line end looks like an incomplete row; "" if it does not."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        if text.startswith("{") and is_cut_off(error, text):
            return f"invalid JSON: {describe_error(error)}; the file may be cut off here"
    return ""


def parse_line(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    """Return the row of a line, or the reason why there is none."""
    try:
        value = DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return None, f"not UTF-8 (byte {error.start}); convert the file to UTF-8"
    except (ValueError, RecursionError) as error:
        column = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        more = _NOT_ONE_LINE if raw.strip().endswith((b"{", b"[", b",")) else ""
        return None, f"invalid JSON{column}: {describe_error(error)}{more}"
    reason = _no_row(value)
    return (None, reason) if reason else (value, "")


def _no_row(value: Any) -> str:
    kind = type(value).__name__
    return "" if kind == "dict" else f"a row must be a JSON object; found {kind}"


def read_json_array(source: Source) -> Iterator[RawRow]:
    """Yield a row for each element of a JSON array."""
    number = 0
    with open_binary(source) as stream:
        window = Window(stream)
        window.skip_space()
        for element in read_elements(window):
            raw, value, reason = element.raw, element.value, element.reason
            reason = reason or _no_row(value) or not_utf8(raw)
            value = None if reason else value
            yield RawRow(source.name, number, element.line, raw, value, reason, ends=element.ends)
            if element.ends:
                return
            number += 1
        if window.skip_space():
            reason = "text after the end of the array, which is not read"
            line = window.mark_line()
            yield broken_source(source, number, line, reason, window.head())
