"""Figures as ECharts options. They contain numbers and names, but no text of an example.

Colours are variables of the page ("var(--critical)"), which its scripts resolve for light
and dark. Every function returns a `Figure`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ifcurate.histograms import count_bins
from ifcurate.pages.shell import Figure

LABEL_COLOURS: Final = {
    "context-critical": "var(--critical)",
    "non-context-critical": "var(--non-critical)",
    "no-context": "var(--no-context)",
    "not-scored": "var(--not-scored)",
}

_BINS: Final = 40  # of a histogram, about

#: Positions of the lines' names. They differ so that names of crossing lines do not overlap.
_PLACES: Final = ("insideMiddleBottom", "insideEndTop", "insideStartTop")

#: An axis that ends at the data has no labels at its ends, because they are rarely round.
_ROUND_ENDS: Final = {
    "axisLabel": {"showMinLabel": False, "showMaxLabel": False},
    "splitLine": {"show": False},
}

#: A straight line across a chart: from and to in the axes' units, and its meaning.
Line = tuple[tuple[float, float], tuple[float, float], str]


def _axis(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "value", "name": name, "nameLocation": "middle", "nameGap": 28, **more}


def _y_axis(name: str, **more: Any) -> dict[str, Any]:
    return _axis(name, **{"nameGap": 46, **more})


def _mark(lines: Sequence[Line]) -> dict[str, Any]:
    data = [
        [
            {
                "coord": list(start),
                "name": name,
                "label": {"formatter": name, "position": _PLACES[number % len(_PLACES)]},
            },
            {"coord": list(end)},
        ]
        for number, (start, end, name) in enumerate(lines)
    ]
    return {
        "silent": True,
        "symbol": "none",
        "animation": False,
        "lineStyle": {"color": "var(--ink)", "type": "dashed", "width": 1.25},
        "label": {"color": "var(--ink)", "fontSize": 12},
        "data": data,
    }


def _mark_cuts(cuts: Sequence[tuple[float, str]]) -> dict[str, Any]:
    """Vertical lines of cuts: x, and its meaning."""
    data = [{"xAxis": x, "label": {"formatter": words}} for x, words in cuts]
    return {**_mark([]), "data": data, "label": {"color": "var(--ink)", "position": "end"}}


def draw_scatter(
    name: str,
    title: str,
    groups: Mapping[str, Sequence[Sequence[float]]],
    *,
    x_title: str,
    y_title: str,
    caption: str = "",
    lines: Sequence[Line] = (),
    limits: tuple[float, float, float, float] | None = None,
    wide: bool = False,
) -> Figure:
    """Points in groups; a point is (x, y) or (x, y, index of its example on the page)."""
    series: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "name": group,
            "data": [list(point) for point in points],
            "symbolSize": 5,
            "itemStyle": {"opacity": 0.55, **_colour(group)},
        }
        for group, points in groups.items()
    ]
    if series and lines:
        series[0]["markLine"] = _mark(lines)
    x_low, x_high, y_low, y_high = limits or (None, None, None, None)
    option = {
        "legend": {"top": 0, "right": 0},
        "tooltip": {"trigger": "item"},
        "xAxis": _axis(x_title, min=x_low, max=x_high),
        "yAxis": _y_axis(y_title, min=y_low, max=y_high),
        "series": series,
    }
    return Figure(name, title, option, caption, 420, wide)


def _colour(group: str) -> dict[str, str]:
    return {"color": LABEL_COLOURS[group]} if group in LABEL_COLOURS else {}


def draw_histogram(
    name: str,
    title: str,
    groups: Mapping[str, npt.NDArray[np.float64]],
    *,
    x_title: str,
    caption: str = "",
    cut: float | None = None,
    height: int = 320,
) -> Figure:
    """Return a stacked histogram of the finite values of each group; groups are not empty.

    The first and the last bar include the values beyond them (at most 1% on each side).
    """
    values = np.sort(np.concatenate([*groups.values(), np.empty(0)]))
    bins = count_bins(values, n_bins=_BINS)
    middle = float(values[0]) if len(values) else 0.0  # without bins, nearly all are equal
    edges = bins.edges if bins else [middle - 0.5, middle + 0.5]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
    counts = {
        group: np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)[0].tolist()
        for group, values in groups.items()
    }
    series: list[dict[str, Any]] = [
        {
            "type": "bar",
            "stack": "all",
            "name": group,
            "data": [[x, n] for x, n in zip(middles, counts[group], strict=True)],
            "barWidth": "92%",
            "itemStyle": _colour(group),
        }
        for group in groups
    ]
    if series and cut is not None and edges[0] <= cut <= edges[-1]:
        series[0]["markLine"] = _mark_cuts([(cut, f"cut {cut:.3g}")])
    option = {
        "legend": {"top": 0, "right": 0, "type": "scroll"},
        "tooltip": {"trigger": "axis"},
        "xAxis": {**_axis(x_title, min=edges[0], max=edges[-1]), **_ROUND_ENDS},
        "yAxis": _y_axis("examples"),
        "series": series,
    }
    return Figure(name, title, option, caption, height)


def draw_lines(
    name: str,
    title: str,
    series: Mapping[str, Sequence[Sequence[float]]],
    *,
    x_title: str,
    y_title: str,
    caption: str = "",
    bands: Mapping[str, Sequence[Sequence[float]]] | None = None,
    cuts: Sequence[tuple[float, str]] = (),
    y_limits: tuple[float | None, float | None] = (None, None),
    points: bool = False,
    height: int = 320,
    wide: bool = False,
) -> Figure:
    """Lines of (x, y) points.

    Args:
        name: unique on the page.
        title: the figure's heading.
        series: name -> points in the order of x.
        x_title: what x is, with its unit.
        y_title: what y is, with its unit.
        caption: a sentence below.
        bands: name -> (x, low, high), drawn behind the line of that name.
        cuts: (x, words) of vertical lines.
        y_limits: lowest and highest y; None lets the data decide.
        points: mark every point.
        height: in pixels.
        wide: take the whole width of the page.
    """
    drawn: list[dict[str, Any]] = []
    for number, (group, values) in enumerate(series.items()):
        colour = f"var(--series-{number % 6 + 1})"
        if bands and group in bands:
            drawn += _band(group, bands[group], colour)
        drawn.append(
            {
                "type": "line",
                "name": group,
                "data": [list(point) for point in values],
                "showSymbol": points,
                "symbolSize": 6,
                "itemStyle": {"color": colour},
                "lineStyle": {"color": colour, "width": 2},
            }
        )
    if drawn and cuts:
        drawn[-1]["markLine"] = _mark_cuts(cuts)
    low, high = y_limits
    option = {
        "legend": {"top": 0, "right": 0, "type": "scroll", "data": list(series)},
        "tooltip": {"trigger": "axis"},
        "xAxis": {**_axis(x_title, min="dataMin", max="dataMax"), **_ROUND_ENDS},
        "yAxis": _y_axis(y_title, min=low, max=high),
        "series": drawn,
    }
    return Figure(name, title, option, caption, height, wide)


def _band(group: str, values: Sequence[Sequence[float]], colour: str) -> list[dict[str, Any]]:
    """Two stacked lines without a stroke: the low edge, and the height above it, filled."""
    shared = {
        "type": "line",
        "stack": f"band of {group}",
        "showSymbol": False,
        "silent": True,
        "lineStyle": {"width": 0},
        "tooltip": {"show": False},
    }
    low = [[x, bottom] for x, bottom, _ in values]
    rise = [[x, top - bottom] for x, bottom, top in values]
    return [
        {**shared, "name": f"{group} low", "data": low},
        {
            **shared,
            "name": f"{group} high",
            "data": rise,
            "areaStyle": {"color": colour, "opacity": 0.15},
        },
    ]
