"""The only module that prints.

File names, rows, templates and servers can contain characters that control a terminal,
reorder a line, or do not exist in its encoding. The two consoles and `print_json` show such
characters as text.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

# C0 but tab and line feed, DEL and C1; marks and overrides of direction; line separators;
# half surrogate pairs, which are bytes of a name that is not UTF-8, or broken JSON.
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: Replacements for signs that the encoding does not have.
_SIGNS: Final = str.maketrans(
    {"█": "#", "◂": "<", "▉": "#", "▊": "#", "▋": "#", "▌": "+", "▍": "+", "▎": "-", "▏": "-"}
    | {"┄": "-", "─": "-", "×": "x", "·": "-", "…": "~", "⟦": "[", "⟧": "]", "→": ">"}
)


def plain(text: str, *, lines: bool = False) -> str:
    """Text of data that is safe to print: no control characters, on one line unless `lines`.

    Every character stays one character, so that places in the text stay right.
    """
    if not lines:
        text = " ".join(text.split())
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def as_text(text: str, encoding: str) -> str:
    """Return the text without control characters and without characters that the encoding lacks."""
    text = plain(text, lines=True)
    if codecs.lookup(encoding).name == "utf-8":
        return text
    return text.translate(_SIGNS).encode(encoding, "replace").decode(encoding)


class _Console(Console):
    """A console that cleans every text that it prints."""

    silent = False  # whether progress and `say` are left out: --quiet, --json

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of a renderable, their texts cleaned."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=as_text(segment.text, self.encoding))


out = _Console(highlight=False, emoji=False)
report = _Console(stderr=True, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """Print JSON on stdout. Raises `ValueError` for a number that is not finite."""
    import json

    ascii_only = codecs.lookup(out.encoding).name != "utf-8"
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only, allow_nan=False, default=str)
    # Only strings can have these characters, and in strings the escape means the same.
    text = _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    out.file.write(text + "\n")


def print_columns(lines: Sequence[Sequence[str]]) -> None:
    """Print lines of cells in columns; the first line has their names."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        # Users copy these cells, so they are never cut to the width of the terminal.
        out.print(text.rstrip(), soft_wrap=True, style="bold" if number == 0 else None)


def make_table(*columns: str, n_left: int = 1, title: str = "") -> Table:
    """Return a table without lines. The columns after the first `n_left` are aligned right."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < n_left else "right", overflow="fold")
    return table


def print_line(text: str, *, style: str = "", end: str = "\n") -> None:
    """Print a line that users copy: markup in it is plain text, and it is not wrapped."""
    out.print(text, style=style or None, soft_wrap=True, markup=False, end=end)


def note(text: str) -> None:
    """Print a line on stderr. Markup in it is plain text."""
    report.print(plain(text), soft_wrap=True, markup=False)


def say(text: str) -> None:
    """Print a line on stderr as `note` does, but not with `--quiet` or `--json`."""
    if not report.silent:
        note(text)


def print_error(text: str) -> None:
    """Print the last line of a command that failed."""

    try:
        report.print(Text.assemble(("error: ", "bold red"), plain(text)), soft_wrap=True)
    except OSError:
        # The terminal is gone. The exit code is still set.
        sys.stderr = None
