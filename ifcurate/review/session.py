"""A review of one run: its rows under a moved cut, and labels set by hand."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ifcurate.data.sources import Examples
from ifcurate.errors import DataError, RunError
from ifcurate.histograms import count_bins
from ifcurate.options.split import SplitOptions
from ifcurate.reports.examples import describe_rows, read_texts
from ifcurate.reports.facts import Facts
from ifcurate.reports.tokens import TokenTexts
from ifcurate.runs.reading import run_examples
from ifcurate.runs.run import run_flag
from ifcurate.storage.by_hand import Override, read_overrides, write_overrides
from ifcurate.storage.manifest import utc_now

PAGE: Final = 50  # rows of one answer
BINS: Final = 60
MOST_CHARACTERS: Final = 400_000_000  # characters of all texts in memory
STATISTICS: Final = ("loss_without_context", "context_gain")
CRITICAL, NON_CRITICAL = "context-critical", "non-context-critical"


class Query(BaseModel):
    """The rows that are requested, and the cut."""

    model_config = ConfigDict(extra="forbid")

    statistic: Literal["loss_without_context", "context_gain"] = "loss_without_context"
    share: float = Field(default=SplitOptions().fraction, ge=0, le=1)  # of the rows, below the cut
    view: Literal["near", "kept", "dropped", "by-hand", "all"] = "near"
    words: str = Field(default="", max_length=500)
    source: str = Field(default="", max_length=5000)
    page: int = Field(default=0, ge=0, le=10_000_000)
    place: int = Field(default=0, ge=0)  # of one example


class Session:
    """One run under review. Labels are saved before a call returns."""

    def __init__(self, facts: Facts, tokenizer: TokenTexts) -> None:
        self.facts = facts
        self._run = facts.run
        self._tokens = tokenizer
        self._lock = threading.Lock()
        self._examples: Examples | None = None
        self._texts: pl.Series | None = None  # all texts by place, after the first search
        self._unsearched = ""  # why a search looks at the start of the instruction only
        self._table = facts.table.with_row_index("place")
        self._overrides = read_overrides(self._run.folder)
        self._places = self._find_places()
        self._ranks = {name: _Ranks(self._table, name) for name in STATISTICS}

    @property
    def start(self) -> Query:
        """The run's own cut if it has one, else the default share."""
        statistic = self.facts.parameters["statistic"]
        cuts = self._cuts_of(statistic)
        if statistic in self._ranks and len(cuts) == 1:
            return Query(statistic=statistic, share=self._ranks[statistic].share_at(cuts[0]))
        return Query()

    def _cuts_of(self, statistic: str | None) -> list[float]:
        return [cut for name, cut in self.facts.cuts() if name == statistic]

    @property
    def has_own_cut(self) -> bool:
        """Whether the run's split is one cut that the slider starts at."""
        names = [name for name, _ in self.facts.cuts()]
        return names == [self.facts.parameters["statistic"]] and names[0] in self._ranks

    @property
    def keeps_other_cut(self) -> bool:
        """Whether the run's rule is `both`, of which the slider moves the cut of the gain."""
        parameters = self.facts.parameters
        one = len(self._cuts_of(parameters.get("hard_statistic"))) == 1
        return one and parameters["statistic"] in self._ranks

    def histogram(self, statistic: str) -> dict[str, Any]:
        """Edges and counts of a number. The end bins include the values beyond (1% each)."""
        values = self._ranks[statistic].values
        bins = count_bins(values, n_bins=BINS)
        if bins is not None:
            return asdict(bins)
        middle = float(values[0]) if len(values) else 0.5
        return {"edges": [middle - 0.5, middle + 0.5], "counts": [len(values)]}

    def state(self, query: Query) -> dict[str, Any]:
        """Counts under this cut, and the command that applies it to the run."""
        ranks = self._ranks[query.statistic]
        labels = self._labels(query)
        tokens = self._table["n_response_tokens"].fill_null(0).to_numpy()
        kept, dropped = (labels == name for name in (CRITICAL, NON_CRITICAL))
        known = int(tokens[kept | dropped].sum())
        threshold = ranks.threshold(query.share)
        return {
            "threshold": threshold,
            "share": query.share,
            "kept": int(kept.sum()),
            "dropped": int(dropped.sum()),
            "tokens": round(100 * int(tokens[kept].sum()) / known, 1) if known else None,
            "byHand": len(self._overrides),
            "moved": int((labels != self._table["label"].to_numpy()).sum()),
            "command": self._command(query, threshold),
        }

    def rows(self, query: Query) -> dict[str, Any]:
        """Return a page of rows, and the number of all of them."""
        ranks = self._ranks[query.statistic]
        threshold = ranks.threshold(query.share)
        table = self._table.with_columns(
            pl.Series("label", self._labels(query)),
            (pl.col(query.statistic) - threshold).abs().alias("distance"),
            pl.col("place")
            .replace_strict(self._places, default=None, return_dtype=pl.String)
            .alias("by_hand"),
        )
        matching = table.filter(_wanted(query), self._search(query.words))
        if query.view == "all":
            matching = matching.sort("place")
        else:
            # The rows nearest to the cut come first, since their labels are the least certain.
            matching = matching.sort("distance", "place", nulls_last=True)
        shown = matching[query.page * PAGE : (query.page + 1) * PAGE]
        described = describe_rows(shown)
        for row, place, by_hand in zip(described, shown["place"], shown["by_hand"], strict=True):
            row |= {"place": place, "byHand": by_hand}
        note = self._unsearched if query.words else ""
        page = {"total": matching.height, "page": query.page, "size": PAGE, "note": note}
        return {"rows": described, **page}

    def _search(self, words: str) -> pl.Expr:
        """Return the rows that contain these words. The first search reads all texts."""
        if not words:
            return pl.lit(True)
        with self._lock:
            if self._texts is None:
                self._texts = self._read_texts()
        return pl.lit(self._texts.str.contains(words.lower(), literal=True))

    def _read_texts(self) -> pl.Series:
        try:
            texts = _gather_texts(self._open_examples(), self._table)
            if texts is not None:
                return texts
            self._unsearched = "the texts are too long to search in"
        except (DataError, RunError) as error:
            self._unsearched = f"the texts cannot be read: {error}"
        starts = pl.concat_str("id", pl.col("preview").fill_null(""), separator="\n")
        return self._table.select(starts.str.to_lowercase().alias("text"))["text"]

    def _open_examples(self) -> Examples:
        """Return the run's data, opened once. Hold the lock: its readers are not shared."""
        self._examples = self._examples or run_examples(self._run)
        return self._examples

    def example(self, query: Query) -> dict[str, Any] | None:
        """One row with its text; None where there is no such row."""
        place = query.place
        if not 0 <= place < self._table.height:
            return None
        labels = self._labels(query)
        (row,) = describe_rows(self._table[place].with_columns(label=pl.lit(str(labels[place]))))
        key = (str(row["source"]), int(row["row"]), int(row["turn"]))
        row |= {"place": place, "byHand": self._places.get(place)}
        try:
            with self._lock:
                texts = read_texts(
                    self._run, self._open_examples(), [row], self._tokens, characters=200_000
                )
            row["text"] = texts.get(key)
        except (DataError, RunError) as error:
            row["problem"] = str(error)
        return row

    def set_label(self, place: int, label: str | None) -> bool:
        """Save a label, or remove it with None; False where the row cannot have one."""
        if not 0 <= place < self._table.height:
            return False
        row = self._table.row(place, named=True)
        if row["label"] not in (CRITICAL, NON_CRITICAL):
            return False
        key = (str(row["source"]), int(row["row"]), int(row["turn"]))
        with self._lock:
            overrides = read_overrides(self._run.folder)  # another window may have saved some
            if label is None:
                overrides.pop(key, None)
            else:
                values = dict(zip(("source", "row", "turn"), key, strict=True))
                overrides[key] = Override.model_validate(
                    {**values, "id": row["id"], "label": label, "at": utc_now()}
                )
            write_overrides(self._run.folder, overrides)
            self._overrides = overrides
            self._places = self._find_places()
        return True

    def decisions(self, query: Query) -> dict[str, Any]:
        """Return all decisions, for a file."""
        labels = [item.model_dump() for _, item in sorted(self._overrides.items())]
        return {
            "run": self._run.folder.name,
            "scores": self._run.manifest.id,
            "cut": self.state(query),
            "statistic": query.statistic,
            "labels": labels,
        }

    def _command(self, query: Query, threshold: float) -> str:
        """Return the command that makes this cut the split under review."""
        name = f" --as {self.facts.split_name}" if self.facts.split_name else ""
        cut = f"gain --threshold {threshold!r}"
        if query.statistic == "loss_without_context":
            cut = f"paper --fraction {100 * query.share:.6g}%"
        elif self.keeps_other_cut and query.statistic == self.facts.parameters["statistic"]:
            share = 100 * self.facts.parameters["fraction"]
            cut = f"both --fraction {share:.6g}% --threshold {threshold!r}"
        return f"ifcurate split{name} --rule {cut}{run_flag(self._run)}"

    def _labels(self, query: Query) -> npt.NDArray[np.object_]:
        """Return the label of every row under this cut, with those set by hand."""
        labels = self._table["label"].to_numpy().astype(object)
        labelled = np.isin(labels, (CRITICAL, NON_CRITICAL))
        above = self._ranks[query.statistic].above(query.share)
        if query.statistic == self.facts.parameters["statistic"]:
            above = (
                above
                & self._table.select(self.facts.other_cut().alias("passed"))["passed"]
                .fill_null(False)
                .to_numpy()
            )
        labels[labelled] = np.where(above, CRITICAL, NON_CRITICAL)[labelled]
        for place, label in self._places.items():
            labels[place] = label
        return labels

    def _find_places(self) -> dict[int, str]:
        """Place in the table -> label set by hand. Labels of other rows are left out."""
        schema = {name: self._table.schema[name] for name in ("source", "row", "turn")}
        keys = pl.DataFrame(list(self._overrides), schema=schema, orient="row")
        matching = self._table.join(keys, on=list(schema), how="semi")
        rows = matching.select("place", *schema).iter_rows()
        return {
            place: self._overrides[source, row, turn].label for place, source, row, turn in rows
        }


class _Ranks:
    """The order of the rows by one number; ties are ordered by key and id, as in a split."""

    def __init__(self, table: pl.DataFrame, name: str) -> None:
        usable = table.filter(
            pl.col("label").is_in([CRITICAL, NON_CRITICAL]) & pl.col(name).is_finite()
        ).sort(name, "key", "id")
        self.values: npt.NDArray[np.float64] = usable[name].cast(pl.Float64).to_numpy()
        self._by_threshold = name == "context_gain"  # as the rules that cut it
        self._rank = np.full(table.height, -1, dtype=np.int64)
        self._rank[usable["place"].to_numpy()] = np.arange(usable.height)

    def share_at(self, cut: float) -> float:
        """Return the share of the rows at this cut or below it."""
        n = len(self.values)
        return round(int(np.searchsorted(self.values, cut, side="right")) / n, 6) if n else 0.0

    def above(self, share: float) -> npt.NDArray[np.bool_]:
        """Return the rows above the cut. A share is exact; at a threshold, ties stay together."""
        below = round(share * len(self.values))
        if self._by_threshold:
            below = int(np.searchsorted(self.values, self.threshold(share), side="right"))
        return self._rank >= below

    def threshold(self, share: float) -> float:
        """Return the number half way between the last row below the cut and the first above it."""
        n = len(self.values)
        below = round(share * n)
        if not n:
            return 0.0
        if below == 0:
            return float(np.nextafter(self.values[0], -np.inf))
        if below == n:
            return float(self.values[-1])
        return float(self.values[below - 1] + (self.values[below] - self.values[below - 1]) / 2)


def _wanted(query: Query) -> pl.Expr:
    view = {
        "near": pl.col("label").is_in([CRITICAL, NON_CRITICAL]),
        "kept": pl.col("label") == CRITICAL,
        "dropped": pl.col("label") == NON_CRITICAL,
        "by-hand": pl.col("by_hand").is_not_null(),
        "all": pl.lit(True),
    }[query.view]
    if query.source:
        view &= pl.col("source") == query.source
    return view


def _gather_texts(examples: Examples, table: pl.DataFrame) -> pl.Series | None:
    """Return the id and texts of each row in lower case; None if they are too long.

    `table` has the columns id, source, row and turn. Raises `DataError` when the data cannot
    be read.
    """
    keys = table.select("source", "row", "turn").iter_rows()
    places = {(str(source), int(row), int(turn)): i for i, (source, row, turn) in enumerate(keys)}
    texts = [str(name).lower() for name in table["id"]]
    left = MOST_CHARACTERS
    for example in examples:
        place = places.get((example.source, example.row_number, example.turn))
        if place is None:
            continue
        parts = (*(example.part(name) for name, _ in example.parts), example.response)
        text = "\n".join(parts).lower()
        left -= len(text)
        if left < 0:
            return None
        texts[place] += f"\n{text}"
    return pl.Series(texts, dtype=pl.String)
