"""Ids that occur again: the names that all rows together would get, with little memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import polars as pl
from hypothesis import given, settings, strategies as st

from ifcurate.data.unique_names import UniqueNames
from ifcurate.runs.ids import UniqueIds

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
@given(
    ids=IDS,
    turns=st.lists(st.integers(1, 3), min_size=40, max_size=40),
    size=st.integers(1, 9),
)
def test_a_table_in_stretches_has_these_ids(
    ids: list[str],
    turns: list[int],
    size: int,
) -> None:
    # Frames end where rows do: their turns are never apart.
    rows = [[(name, "f", i, turn) for turn in range(turns[i])] for i, name in enumerate(ids)]
    cut = [
        list(itertools.chain.from_iterable(rows[at : at + size]))
        for at in range(0, len(rows), size)
    ]
    schema = {"id": pl.String, "source": pl.String, "row": pl.Int64, "turn": pl.Int32}
    tables = [pl.DataFrame(some, schema=schema, orient="row") for some in cut]

    def frames(columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
        for table in tables:
            yield table.select(columns or table.columns)

    unique = UniqueIds(frames)
    found = [name for frame in unique.rename(frames(None)) for name in frame["id"]]
    again = [name for frame in unique.rename(frames(("id",))) for name in frame["id"]]
    expected = [name for name, n in zip(name_all(ids), turns, strict=False) for _ in range(n)]
    assert found == again == expected
