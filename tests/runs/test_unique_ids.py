"""Ids that occur again: the names that all rows together would get, with little memory."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from hypothesis import given, settings, strategies as st

from ifcurate.data.unique_names import UniqueNames
from ifcurate.runs.join import rename_repeated

IDS = st.lists(
    st.sampled_from(
        ["a", "b", "", "~2", "a~2", "a~3", "a~02", "a~1", "a~2~2", "b~x", "é~²", "a~2~"]
    )
    | st.from_regex(r"[ab](~[1-4]){0,2}", fullmatch=True),
    max_size=40,
)


def name_all(ids: Sequence[str]) -> list[str]:
    """By remembering every name."""
    times: dict[str, int] = {}
    found = []
    for base in ids:
        n = times.get(base, 0) + 1
        name = base
        while n > 1 and (name := f"{base}~{n}") in times:
            n += 1
        times[base] = n
        times.setdefault(name, 1)
        found.append(name)
    return found


@given(IDS)
def test_names_are_those_of_remembering_all(ids: list[str]) -> None:
    names = UniqueNames()
    found = [names.name(base) for base in ids]
    assert found == name_all(ids)
    assert len(set(found)) == len(found)


@settings(deadline=None)
@given(ids=IDS, turns=st.lists(st.integers(1, 3), min_size=40, max_size=40))
def test_a_table_has_these_ids(ids: list[str], turns: list[int]) -> None:
    rows = [(name, i, turn) for i, name in enumerate(ids) for turn in range(turns[i])]
    schema = {"id": pl.String, "row": pl.Int64, "turn": pl.Int32}
    table = pl.LazyFrame(rows, schema=schema, orient="row")
    expected = [name for name, n in zip(name_all(ids), turns, strict=False) for _ in range(n)]
    assert rename_repeated(table).collect()["id"].to_list() == expected
