"""Mix components: read every row once, choose rows in a table of numbers, write them.

Reading gives each row a hash of its texts. These hashes and the seed decide duplicates,
amounts and the order (`ifcurate.mixing.choosing`). The chosen rows are then written in
their new order (`ifcurate.mixing.store`).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.data.taking import take_examples
from ifcurate.errors import DataError
from ifcurate.mixing.amounts import Amount, parse_amount, resolve_amounts
from ifcurate.mixing.choosing import (
    INDEX,
    choose_rows,
    count_lost,
    mark_duplicates,
    mark_not_chosen,
    order_rows,
)
from ifcurate.mixing.components import Component
from ifcurate.mixing.mixture import DROPPED, MANIFEST, Mixture, refuse_foreign, save_mixture
from ifcurate.mixing.near import mark_near_duplicates
from ifcurate.mixing.overlap import find_names, read_names
from ifcurate.mixing.rows import Batch, Refusal, name_stratum, refuse_row
from ifcurate.mixing.schema import MIXTURE, TEXT
from ifcurate.mixing.store import RowStore
from ifcurate.mixing.texts import example_record, example_text
from ifcurate.mixing.tokens import TokenCounter, load_counter
from ifcurate.options.base import takes_options
from ifcurate.options.mix import MixOptions
from ifcurate.phrases import check_type, count
from ifcurate.records import Example
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
        _Part(
            name, amount_of[name], _example_batches(name, take_examples(examples), options.stratify)
        )
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
    """The amount of every component; all of its rows where none is given."""
    given = {name: parse_amount(text) for name, text in amounts.items()}
    given |= {name: Amount("weight", value) for name, value in weights.items()}
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
    parts = [_Part(c.name, c.amount, c.batches(BATCH_ROWS, options.stratify)) for c in components]
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
    batches: Iterator[Batch]


def _example_batches(name: str, examples: Iterable[Example], stratify: str) -> Iterator[Batch]:
    batch = Batch(name)
    seen: tuple[str, int] | None = None
    for example in examples:
        if seen == (example.source, example.row_number) and example.turn:
            batch.pop()  # an earlier turn of the same row; the last turn includes it
        seen = (example.source, example.row_number)
        batch.add(
            example.source,
            example.row_number,
            example_record(example),
            example_text(example),
            format="example",
            stratum=name_stratum(example.source, example.row, stratify),
            label=None if example.has_context else "no-context",
        )
    yield batch


class _Maker:
    """Makes one mixture. The constructor chooses the rows, and `frames` returns them."""

    def __init__(
        self,
        parts: Sequence[_Part],
        options: MixOptions,
        store: RowStore,
        encoder: Any,
    ) -> None:
        self._started = time.monotonic()
        self._options = options
        self._store = store
        self._names = [part.name for part in parts]
        self._counter = load_counter(options.tokenizer) if options.tokenizer else None
        self._avoided = read_names(options.avoid_overlap)
        _refuse_tokens(parts, self._counter)
        index = pl.concat([INDEX.to_frame(), *self._read(parts)])
        _refuse_strata(index, options.stratify)
        if options.duplicates == "drop":
            index = mark_duplicates(index)
        if options.near_duplicates is not None:
            index = self._mark_near(index, encoder or options.near_model)
        amounts = self._amounts(parts, index)
        numbers = dict(enumerate(self._names))
        chosen = choose_rows(
            index, amounts, numbers, seed=options.seed, upsample=self._upsamples(parts)
        )
        self._index = mark_not_chosen(index, chosen)
        self._chosen = order_rows(chosen, index, seed=options.seed)
        self._amounts_taken = amounts

    def _upsamples(self, parts: Sequence[_Part]) -> bool:
        # A fraction above 1 needs no --upsample.
        return self._options.upsample or any(
            part.amount.kind == "fraction" and part.amount.value > 1 for part in parts
        )

    def _read(self, parts: Sequence[_Part]) -> Iterator[pl.DataFrame]:
        n_read = 0
        for number, part in enumerate(parts):
            for batch in part.batches:
                if not len(batch):
                    continue
                table = batch.table()
                table = table.with_columns(
                    self._count_tokens(batch, table).alias("ifcurate_tokens")
                )
                index = self._index_batch(batch, table, number, n_read)
                self._store.add(table)
                n_read += len(batch)
                yield index

    def _count_tokens(self, batch: Batch, table: pl.DataFrame) -> pl.Series:
        if self._counter is None:
            return pl.Series([None] * len(batch), dtype=pl.Int32)
        if self._options.count == "whole":
            texts = table.select(TEXT.fill_null(""))[:, 0].to_list()
        else:
            texts = [text.response if text else "" for text in batch.texts]
        return pl.Series(self._counter.count(texts), dtype=pl.Int32)

    def _index_batch(
        self, batch: Batch, table: pl.DataFrame, component: int, first: int
    ) -> pl.DataFrame:
        halves = np.frombuffer(b"".join(batch.digests), dtype=">u8").reshape(-1, 2)
        reasons, details = zip(*self._refuse(batch, table), strict=True)
        columns = {
            "place": np.arange(first, first + len(batch), dtype=np.uint32),
            "component": np.full(len(batch), component, dtype=np.uint16),
            "source": batch.sources,
            "row": batch.numbers,
            "label": batch.labels,
            "stratum": batch.strata,
            "high": halves[:, 0].astype(np.uint64),
            "low": halves[:, 1].astype(np.uint64),
            "record": [zlib.crc32(r.encode("utf-8", "replace")) for r in batch.records],
            "tokens": table["ifcurate_tokens"],
            "reason": reasons,
            "detail": details,
        }
        return pl.DataFrame(columns, schema=INDEX)

    def _refuse(self, batch: Batch, table: pl.DataFrame) -> list[Refusal]:
        """Why each row cannot be taken, regardless of the other rows; (None, None) if it can."""
        refusals = [
            refuse_row(reason, label, self._options.only)
            for reason, label in zip(batch.reasons, batch.labels, strict=True)
        ]
        if not self._avoided:
            return refusals
        entities = find_names(table.select(TEXT.fill_null(""))[:, 0], self._avoided)
        return [
            ("overlap", f"names {entity}") if entity is not None and refusal[0] is None else refusal
            for refusal, entity in zip(refusals, entities, strict=True)
        ]

    def _mark_near(self, index: pl.DataFrame, encoder: Any) -> pl.DataFrame:
        texts = pl.concat([f.select(TEXT.fill_null("")) for f in self._store.frames()])[:, 0]
        threshold = self._options.near_duplicates
        assert threshold is not None
        return mark_near_duplicates(index, texts, threshold, encoder)

    def _amounts(self, parts: Sequence[_Part], index: pl.DataFrame) -> dict[int, Amount]:
        """The number of rows or tokens of each component, by its number."""
        usable = index.filter(pl.col("reason").is_null())
        sums = usable.group_by("component").agg(pl.len(), pl.col("tokens").sum())
        sizes = dict.fromkeys(range(len(parts)), (0, 0))
        sizes |= {number: (n, tokens) for number, n, tokens in sums.iter_rows()}
        if self._options.only == "context-critical" and not usable.height and index.height:
            raise DataError(
                "mix: no row is labelled context-critical; mix the folder of a run that was "
                "split, or the folder that `ifcurate filter` wrote"
            )
        resolved = resolve_amounts(
            {part.name: part.amount for part in parts},
            {part.name: n_rows for part, (n_rows, _) in zip(parts, sizes.values(), strict=True)},
            {part.name: tokens for part, (_, tokens) in zip(parts, sizes.values(), strict=True)},
            total_rows=self._options.rows,
            total_tokens=self._options.tokens,
        )
        self._short: list[str] = []  # notes on shares that are larger than their component
        for number, part in enumerate(parts):
            self._cap_share(part, sizes[number][0], resolved)
        return {number: resolved[part.name] for number, part in enumerate(parts)}

    def _cap_share(self, part: _Part, n_rows: int, resolved: dict[str, Amount]) -> None:
        """Lower a share to the rows that the component has, with a note."""
        wanted = int(resolved[part.name].value)
        if part.amount.kind != "share" or wanted <= n_rows or self._options.upsample:
            return
        self._short.append(
            f"{part.name}: its amount is {wanted:,} rows, and it has {n_rows:,}; all are taken"
        )
        resolved[part.name] = Amount("rows", n_rows)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows of the mixture in their order."""
        for frame in self._store.gather(self._chosen):
            yield frame.select(pl.col(name).cast(kind) for name, kind in MIXTURE.items())

    @property
    def dropped(self) -> pl.DataFrame:
        """Every row that is not in the mixture, with the reason."""
        left = self._index.filter(pl.col("reason").is_not_null())
        named = left.with_columns(
            pl.col("component").replace_strict(
                dict(enumerate(self._names)), return_dtype=pl.String
            ),
            pl.col("source").cast(pl.String),
        )
        return named.select(pl.col(name).cast(kind) for name, kind in DROPPED.items()).sort(
            "component", "source", "row"
        )

    def manifest(self, identity: dict[str, Any], command: str) -> Manifest:
        """What was mixed, how, and how many rows each component gave."""
        taken = self._amounts_taken.items()
        return Manifest.create(
            "mix",
            identity=identity,
            counts=self._counts(),
            notes=self._notes(),
            checks={"amounts": {self._names[i]: asdict(amount) for i, amount in taken}},
            formula="rows by hash of their texts and seed; amounts by largest remainder",
            finished=True,
            seconds=round(time.monotonic() - self._started, 3),
            command=command,
        )

    def _counts(self) -> dict[str, int]:
        sums = _count_rows(
            self._chosen.join(self._index.select("place", "component", "tokens"), on="place"),
            self._names,
            tokens=self._counter is not None,
        )
        reasons = self._index["reason"].drop_nulls().value_counts().sort("reason")
        left = {f"dropped:{reason}": n for reason, n in reasons.iter_rows()}
        return {"read": self._index.height, **sums, "dropped": sum(left.values()), **left}

    def _notes(self) -> list[str]:
        repeated = self._chosen.filter(pl.col("copy") > 0).height
        notes = [f"{repeated:,} of the rows are repetitions (up-sampling)"] if repeated else []
        lost = [
            f"{self._names[number]}: {count(n, 'row')} left out as duplicates of rows of an "
            "earlier component that were not chosen; divide the rows between the files to have them"
            for number, n in count_lost(self._index, self._chosen).items()
        ]
        return [*notes, *lost, *self._short]


def _count_rows(chosen: pl.DataFrame, names: Sequence[str], *, tokens: bool) -> dict[str, int]:
    """Rows, and tokens when they were counted, of the mixture and of each component."""
    counts = {"rows": chosen.height}
    if tokens:
        counts["tokens"] = int(chosen["tokens"].cast(pl.Int64).sum())
    for number, name in enumerate(names):
        own = chosen.filter(pl.col("component") == number)
        counts[f"rows:{name}"] = own.height
        if tokens:
            counts[f"tokens:{name}"] = int(own["tokens"].cast(pl.Int64).sum())
    return counts


def _refuse_strata(index: pl.DataFrame, column: str) -> None:
    if column and index.height and not index.select((pl.col("stratum") != "").any()).item():
        raise DataError(f"mix: stratify: no row has a column {column!r}; check its name")


def _refuse_tokens(parts: Sequence[_Part], counter: TokenCounter | None) -> None:
    names = [part.name for part in parts if part.amount.kind == "tokens"]
    if names and counter is None:
        raise DataError(
            f"component {names[0]}: its amount is in tokens, and no tokenizer is named; "
            "name the model that you will train: --tokenizer MODEL (tokenizer=...)"
        )
