"""Mix components: read every row once, choose rows in a table of numbers, write them.

Reading gives each row a hash of its texts. These hashes and the seed decide duplicates,
amounts and the order (`ifcurate.mixing.choosing`). The chosen rows are then written in
their new order (`ifcurate.mixing.store`).
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.data.in_memory import take_examples
from ifcurate.errors import DataError
from ifcurate.mixing import choosing
from ifcurate.mixing.amounts import (
    Amount,
    check_amounts,
    find_total,
    parse_amount,
    resolve_amounts,
)
from ifcurate.mixing.mixture import (
    DROPPED,
    MANIFEST,
    MIXTURE,
    TEXT,
    Mixture,
    count_rows,
    refuse_foreign,
    save_mixture,
)
from ifcurate.mixing.overlap import find_names, read_names
from ifcurate.mixing.rows import Component, MixRow, Refusal, tabulate_rows, take_rows
from ifcurate.mixing.store import RowStore
from ifcurate.mixing.tokens import load_counter
from ifcurate.options.base import takes_options
from ifcurate.options.mix import MixOptions
from ifcurate.phrases import check_type, count
from ifcurate.storage.files import file_digest
from ifcurate.storage.manifest import Manifest
from ifcurate.storage.replacing import refuse_other, remove_partials

BATCH_ROWS: Final = 16_384


@takes_options(MixOptions)
def mix_examples(
    components: Mapping[str, Any],
    *,
    weights: Mapping[str, float] | None = None,
    amounts: Mapping[str, str] | None = None,
    encoder: Any = None,
    options: MixOptions,
) -> Mixture:
    """Mix named examples into one mixture, in memory.

    Args:
        components: examples by the name of their component: what `read_examples` gives, a
            list of dicts, a `datasets.Dataset`, a polars or pandas frame, or a list of `Example`.
        weights: parts of the mixture's total by component.
        amounts: how much of a component is taken, as text (`"10%"`, `"1000"`, `"2Mtok"`,
            `"10%-of-NAME"`). A component without a weight or an amount is taken whole.
        encoder: the encoder for near duplicates, instead of `near_model`.

    Raises:
        DataError: an amount is wrong, or a component has too few rows.
    """
    check_type("components", components, Mapping, 'give {"kept": filtered.kept, ...}')
    amount_of = _read_amounts(components, weights or {}, amounts or {})
    parts = [
        _Part(name, amount_of[name], [take_rows(take_examples(examples), options.stratify)])
        for name, examples in components.items()
    ]
    own = [{"name": part.name, "amount": asdict(part.amount)} for part in parts]
    identity = {"components": own, **_option_identity(options)}
    with RowStore() as store:
        maker = _Maker(parts, options, store, encoder)
        frames = list(maker.frames())
        rows = pl.concat(frames) if frames else MIXTURE.to_frame()
        return Mixture(rows.lazy(), maker.dropped, maker.manifest(identity, ""))


def _read_amounts(
    names: Iterable[str], weights: Mapping[str, float], amounts: Mapping[str, str]
) -> dict[str, Amount]:
    """Return the amount of every component; all of its rows where none is given."""
    given = {name: parse_amount(text) for name, text in amounts.items()}
    for name, weight in weights.items():
        if not 0 < weight < math.inf:
            raise DataError(f"mix: the weight of {name!r} is {weight}; give a number above 0")
        given[name] = Amount("weight", weight)
    every = dict.fromkeys(names, Amount())
    for name in given:
        if name not in every:
            raise DataError(
                f"mix: {name!r} has an amount and is no component; "
                f"components are {', '.join(every)}"
            )
    return every | given


def mix_components(
    components: Sequence[Component],
    folder: Path,
    options: MixOptions,
    *,
    encoder: Any = None,
    command: str = "",
    overwrite: bool = False,
) -> Mixture:
    """Mix components into a folder. Rows are kept on disk, not in memory.

    Memory grows by about 100 bytes for each row that is read. Raises `DataError` as
    `mix_examples` does, when a file cannot be read or written, and when the folder holds
    another mixture (unless `overwrite`).
    """
    refuse_foreign(folder)
    remove_partials(folder)
    identity = mix_identity(components, options)
    refuse_other(folder / MANIFEST, identity, overwrite=overwrite)
    parts = [_Part(c.name, c.amount, c.read(BATCH_ROWS, options.stratify)) for c in components]
    with RowStore(folder / ".mixing") as store:
        maker = _Maker(parts, options, store, encoder)
        frames = maker.frames()
        manifest = maker.manifest(identity, command)
        stale = [f"{part.name}: {part.stale}" for part in components if part.stale]
        manifest.stale = "; ".join(stale)
        manifest.notes += stale
        return save_mixture(frames, maker.dropped, manifest, folder)


def mix_identity(components: Sequence[Component], options: MixOptions) -> dict[str, Any]:
    """Everything that a mixture depends on: the components' content, the options, the tokenizer."""
    return {
        "components": [component.identity() for component in components],
        **_option_identity(options),
    }


def _option_identity(options: MixOptions) -> dict[str, Any]:
    values = options.model_dump(mode="json", include=set(MixOptions.model_fields))
    files = options.avoid_overlap
    values["avoid_overlap"] = [{"name": str(f), "blake2b": file_digest(f)} for f in files]
    if not options.tokenizer:
        return {"options": values}
    counter = load_counter(options.tokenizer)
    return {
        "options": values,
        "tokenizer": {"name": counter.name, "fingerprint": counter.fingerprint},
    }


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    amount: Amount
    rows: Iterable[list[MixRow]]


class _Maker:
    """Makes one mixture. The constructor chooses the rows, and `frames` returns them."""

    def __init__(
        self, parts: Sequence[_Part], options: MixOptions, store: RowStore, encoder: Any
    ) -> None:
        self._started = time.monotonic()
        if options.near_duplicates is not None:
            choosing.require_semhash()  # before rows are read
        self._options = options
        self._store = store
        self._names = [part.name for part in parts]
        self._counter = load_counter(options.tokenizer) if options.tokenizer else None
        self._avoided = read_names(options.avoid_overlap)
        self._short: list[str] = []  # notes on shares that are larger than their component
        check_amounts({part.name: part.amount for part in parts}, options)
        index = pl.concat([choosing.index_schema(self._names).to_frame(), *self._read(parts)])
        _refuse_strata(index, options.stratify)
        if options.duplicates == "drop":
            index = choosing.mark_duplicates(index)
        if options.near_duplicates is not None:
            texts = pl.concat([f.select(TEXT.fill_null("")) for f in store.frames()])[:, 0]
            model = encoder or options.near_model
            index = choosing.mark_near_duplicates(index, texts, options.near_duplicates, model)
        self._amounts = self._resolve(parts, index)
        # A fraction above 1 needs no --upsample.
        repeats = any(p.amount.kind == "fraction" and p.amount.value > 1 for p in parts)
        upsample = options.upsample or repeats
        chosen = choosing.choose_rows(index, self._amounts, seed=options.seed, upsample=upsample)
        self._index = choosing.mark_not_chosen(index, chosen)
        self._chosen = choosing.order_rows(chosen, index, seed=options.seed)

    def _read(self, parts: Sequence[_Part]) -> Iterator[pl.DataFrame]:
        """Store the rows of all components, and return the index by which rows are chosen."""
        n_read = 0
        for part in parts:
            for rows in filter(None, part.rows):
                yield self._store_rows(rows, part.name, n_read)
                n_read += len(rows)

    def _store_rows(self, rows: list[MixRow], component: str, first: int) -> pl.DataFrame:
        """Store rows, whose places count from `first`. Returns their part of the index."""
        table = tabulate_rows(rows, component)
        tokens = self._count_tokens(rows, table)
        self._store.add(table.with_columns(tokens.alias("ifcurate_tokens")))
        halves = np.frombuffer(b"".join(row.digest for row in rows), dtype=">u8").reshape(-1, 2)
        reasons, details = zip(*self._refuse(rows, table), strict=True)
        columns = {
            "place": np.arange(first, first + len(rows), dtype=np.uint32),
            "component": [component] * len(rows),
            "source": table["ifcurate_source"],
            "row": table["ifcurate_row"],
            "label": table["ifcurate_label"],
            "stratum": [row.stratum for row in rows],
            "high": halves[:, 0].astype(np.uint64),
            "low": halves[:, 1].astype(np.uint64),
            "n_excluded": [row.n_excluded for row in rows],
            "record": [zlib.crc32(row.record.encode("utf-8", "replace")) for row in rows],
            "tokens": tokens,
            "reason": reasons,
            "detail": details,
        }
        return pl.DataFrame(columns, schema=choosing.index_schema(self._names))

    def _count_tokens(self, rows: list[MixRow], table: pl.DataFrame) -> pl.Series:
        if self._counter is None:
            return pl.Series([None] * len(rows), dtype=pl.Int32)
        if self._options.count == "whole":
            texts = table.select(TEXT.fill_null(""))[:, 0].to_list()
        else:
            texts = [row.example.response if row.example else "" for row in rows]
        return pl.Series(self._counter.count(texts), dtype=pl.Int32)

    def _refuse(self, rows: list[MixRow], table: pl.DataFrame) -> list[Refusal]:
        """Return why each row cannot be taken, regardless of the other rows.

        (None, None) if it can.
        """
        refusals = [row.refuse(self._options.only) for row in rows]
        if not self._avoided:
            return refusals
        entities = find_names(table.select(TEXT.fill_null(""))[:, 0], self._avoided)
        return [
            ("overlap", f"names {entity}") if entity is not None and refusal[0] is None else refusal
            for refusal, entity in zip(refusals, entities, strict=True)
        ]

    def _resolve(self, parts: Sequence[_Part], index: pl.DataFrame) -> dict[str, Amount]:
        """Return the number of rows or tokens of each component."""
        options = self._options
        usable = index.filter(pl.col("reason").is_null())
        if options.only == "context-critical" and not usable.height and index.height:
            raise DataError(
                "mix: no row is labelled context-critical; mix the folder of a run that was "
                "split without --as, or the folder that `ifcurate filter` wrote"
            )
        sums = usable.group_by("component").agg(pl.len(), pl.col("tokens").cast(pl.Int64).sum())
        rows, tokens = dict.fromkeys(self._names, 0), dict.fromkeys(self._names, 0)
        for name, n_rows, n_tokens in sums.iter_rows():
            rows[name], tokens[name] = n_rows, n_tokens
        total = find_total(options.rows, options.tokens)
        amounts = {part.name: part.amount for part in parts}
        resolved = resolve_amounts(amounts, rows, tokens, total)
        for name, amount in amounts.items():
            wanted, has = int(resolved[name].value), rows[name]
            if amount.kind == "share" and wanted > has and not options.upsample:
                self._short.append(
                    f"{name}: its amount is {wanted:,} rows, and it has {has:,}; all are taken"
                )
                resolved[name] = Amount("rows", has)
        return resolved

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows of the mixture in their order."""
        for frame in self._store.gather(self._chosen):
            yield frame.select(pl.col(name).cast(kind) for name, kind in MIXTURE.items())

    @property
    def dropped(self) -> pl.DataFrame:
        """Every row that is not in the mixture, with the reason."""
        left = self._index.filter(pl.col("reason").is_not_null())
        columns = left.select(pl.col(name).cast(kind) for name, kind in DROPPED.items())
        return columns.sort("component", "source", "row")

    def manifest(self, identity: dict[str, Any], command: str) -> Manifest:
        """Return what was mixed, how, and how many rows each component gave."""
        origin = self._index.lazy().select(
            "place",
            pl.col("component").cast(pl.String).alias("ifcurate_component"),
            pl.col("tokens").alias("ifcurate_tokens"),
        )
        rows = self._chosen.lazy().join(origin, on="place")
        counted = self._counter is not None
        counts = count_rows(rows, self.dropped, self._names, tokens=counted)
        return Manifest.create(
            "mix",
            identity=identity,
            counts={"read": self._index.height, **counts},
            notes=self._notes(),
            checks={"amounts": {name: asdict(amount) for name, amount in self._amounts.items()}},
            formula="rows by hash of their texts and seed; amounts by largest remainder",
            finished=True,
            seconds=round(time.monotonic() - self._started, 3),
            command=command,
        )

    def _notes(self) -> list[str]:
        repeated = self._chosen.filter(pl.col("copy") > 0).height
        notes = [f"{repeated:,} of the rows are repetitions (up-sampling)"] if repeated else []
        lost = [
            f"{name}: {count(n, 'row')} left out as duplicates of rows of another "
            "component that were not chosen; divide the rows between the files to have them"
            for name, n in choosing.count_lost(self._index, self._chosen).items()
        ]
        return [*notes, *lost, *self._short]


def _refuse_strata(index: pl.DataFrame, column: str) -> None:
    if column and index.height and not index.select((pl.col("stratum") != "").any()).item():
        raise DataError(f"mix: stratify: no row has a column {column!r}; check its name")
