"""The shell of a page: sections, tables and figures in one self-contained HTML file.

Jinja escapes all text on a page, and JSON blocks write `<`, `>` and `&` as escapes, so no
text of the data can become markup. The page's content security policy allows only the
scripts of this package, by their hashes.

Apache ECharts draws the charts (`static/echarts.common.min.js`, version 6.1.0, from the
npm package `echarts`, licence Apache-2.0 in `static/LICENSE.echarts`). It was chosen over
plotly.js-basic: it has 0.7 instead of 1.2 MB, and it draws thousands of points at once
because it uses a canvas.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from ifcurate.errors import DataError
from ifcurate.storage.files import atomic_file

Cell = str | int | float | None
_FRAME = 200  # pixels around a figure in a notebook: its title, its caption


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart. `option` is for ECharts; "var(--NAME)" in it is a colour of the page.

    A notebook shows it in a frame that works offline.
    """

    kind: ClassVar[str] = "figure"
    name: str  # unique on the page
    title: str
    option: Mapping[str, Any]
    caption: str = ""
    height: int = 360  # pixels
    wide: bool = False  # takes the whole width

    def __repr__(self) -> str:
        return f"Figure({self.title}; .save('FILE.html') writes it)"

    def save(self, path: str | Path) -> Path:
        """Write the figure as a separate page: one file that works offline.

        Raises `DataError` when the name does not end in `.html`.
        """
        if Path(path).suffix.lower() not in (".html", ".htm"):
            raise DataError(
                f"{path}: a figure is saved as a page; give a name that ends in .html, and open "
                "that page in a browser for a picture"
            )
        with atomic_file(Path(path)) as stream:
            stream.write(self._render().encode("utf-8", "replace"))
        return Path(path)

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self._render())}" sandbox="allow-scripts" '
            f'style="width:100%;height:{self.height + _FRAME}px;border:0"></iframe>'
        )

    def _render(self) -> str:
        section = Section(self.name, "", (), (replace(self, wide=True),))
        return Page(self.title, [section], bare=True).render()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts and numbers. Whole numbers get separators, others three decimals."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Cards:
    """Large numbers: (label, value, note)."""

    kind: ClassVar[str] = "cards"
    items: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Command:
    """Text to copy into a terminal."""

    kind: ClassVar[str] = "command"
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """An empty element that a script of the page fills."""

    kind: ClassVar[str] = "place"
    name: str


Block = Figure | Table | Cards | Command | Place


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page with its own heading."""

    name: str  # unique on the page; its address is #name
    title: str
    text: Sequence[str] = ()  # paragraphs before the blocks
    blocks: Sequence[Block] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: one HTML file that works offline."""

    title: str  # its name and first heading
    sections: Sequence[Section]
    subtitle: str = ""  # one line under the heading
    data: Mapping[str, Any] = field(default_factory=dict)  # JSON values for its scripts
    scripts: Sequence[str] = ("charts.js",)  # files in `static/`, run after the shared ones
    source: str = ""  # what it is about, if not the subtitle
    charts: bool = False  # whether its scripts draw more charts
    connects: bool = False  # whether its scripts may send requests to the page's server
    bare: bool = False  # without header and contents, for a frame on another page

    def write(self, out: Path, *, overwrite: bool = False) -> Path:
        """Write the page to `out` atomically.

        Raises `DataError` when it cannot be written, or when `out` exists and is not an earlier
        page of the same title and source (unless `overwrite`).
        """
        refuse_page(out, self.title, self.source or self.subtitle, overwrite=overwrite)
        with atomic_file(out) as stream:
            stream.write(self.render().encode("utf-8", "replace"))
        return out

    def render(self) -> str:
        """Return the page as HTML."""
        figures = _collect_figures(self.sections)
        drawing = ["echarts.common.min.js"] if figures or self.charts else []
        sources = [read_static(name) for name in (*drawing, "page.js", *self.scripts)]
        policy = " ".join(f"'sha256-{_hash(source)}'" for source in sources)
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup

        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        environment.filters["cell"] = format_cell
        environment.tests["numeric"] = _is_numeric
        # The texts below are the package's own, or escaped by `embed_json`.
        return environment.from_string(_read("templates/page.html")).render(
            page=self,
            style=Markup(read_static("page.css")),  # noqa: S704
            policy=policy,
            connect="'self'" if self.connects else "'none'",
            data=Markup(embed_json({"figures": figures, **self.data})),  # noqa: S704
            scripts=[Markup(source) for source in sources],  # noqa: S704
        )


def refuse_page(out: Path, title: str, source: str = "", *, overwrite: bool = False) -> None:
    """Raise `DataError` where `Page.write` would not write, before the work that fills the page."""
    if out.is_dir():
        raise DataError(f"{out}: is a folder; name the file to write, such as {out / 'page.html'}")
    if overwrite or not os.path.lexists(out):
        return
    from markupsafe import escape

    mark = f'<meta name="generator" content="ifcurate: {escape(title)}: {escape(source)}">'
    with contextlib.suppress(OSError), out.open("rb") as stream:
        if mark.encode("utf-8", "replace") in stream.read(1 << 14):
            return
    raise DataError(
        f"{out}: exists already and is not an earlier page of the same name; choose another "
        "file, give --overwrite where the command has it, or move the file away"
    )


def _collect_figures(sections: Sequence[Section]) -> dict[str, Any]:
    """Name -> option and title of every figure on the page."""
    blocks = itertools.chain.from_iterable(section.blocks for section in sections)
    figures = [block for block in blocks if isinstance(block, Figure)]
    return {figure.name: {"option": figure.option, "title": figure.title} for figure in figures}


def embed_json(value: Mapping[str, Any]) -> str:
    """JSON for a script element, with `<`, `>` and `&` as escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def format_cell(value: Cell) -> str:
    """Return a table's cell as text."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value
    # Three decimals, but two significant digits for small numbers, so that they differ.
    return f"{value:.2g}" if 1e-6 < abs(value) < 0.01 else f"{value + 0.0:.3f}"


def _is_numeric(value: Cell) -> bool:
    return not isinstance(value, str) or value.endswith("%")


@cache
def read_static(name: str) -> str:
    """Return a script or style of this package."""
    return _read(f"static/{name}")


def _read(path: str) -> str:
    return (files("ifcurate.pages") / path).read_text("utf-8")


def _hash(script: str) -> str:
    assert "</script" not in script
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
