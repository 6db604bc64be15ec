"""Counts of one pass over the data, for `ifcurate inspect`."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ifcurate.errors import DataError
from ifcurate.phrases import count

if TYPE_CHECKING:
    from ifcurate.data.parse_rows import ReadRow
    from ifcurate.data.readers.files import RawRow
    from ifcurate.data.row_formats import RowLayout
    from ifcurate.records import Example

_WITHOUT = 2  # examples without a context that are shown


class Tally:
    """Counts of rows, examples, contexts and lengths; the first examples of each rule."""

    def __init__(self, most: int, layouts: Mapping[str, RowLayout]) -> None:
        self._most = most  # examples of one rule that are kept
        self._layouts = layouts  # by source
        self.rows = 0
        self.examples = 0
        self.with_context = 0
        self.usable = 0  # examples with a context and a response
        self.earlier = 0  # responses before the scored one, which could be scored too
        self.rules: Counter[str] = Counter()
        self.markers: Counter[str] = Counter()  # end-of-text markers
        self.empty = 0
        self.asking_nothing: list[str] = []  # ids; the context seems to be the request
        # Length in words (two characters of Chinese are one) -> number of texts. There are far
        # fewer lengths than rows.
        self.lengths = {name: Counter[int]() for name in ("instruction", "context", "response")}
        self.bad: list[RawRow] = []
        self.n_bad = 0
        self.without: list[Example] = []  # no context was found; those that ask the longest
        self._shown: defaultdict[str, list[Example]] = defaultdict(list)

    def add_row(self, row: ReadRow) -> None:
        """Count a row and its examples."""
        self.rows += 1
        if row.bad is not None:
            self.n_bad += 1
            if len(self.bad) < 5:
                self.bad.append(row.bad)
        for example in row.examples:
            self._add(example)
        if len(row.examples) == 1 and row.examples[0].history:
            self.earlier += self._count_earlier(row.examples[0])

    def _count_earlier(self, example: Example) -> int:
        """Return how many responses before the scored one `--turns all` would score."""
        from ifcurate.data.row_formats import read_drafts

        layout = replace(self._layouts[example.source], turns="all")
        return len(read_drafts(example.row, layout)) - 1

    def _add(self, example: Example) -> None:
        from ifcurate.contexts.words import count_words
        from ifcurate.prompts.missing_request import asks_nothing
        from ifcurate.prompts.text_flags import has_text, split_end_marker

        self.examples += 1
        self.empty += not has_text(example.response)
        if marker := split_end_marker(example.response)[1]:
            self.markers[marker] += 1
        if example.has_context:
            self.with_context += 1
            self.usable += has_text(example.response)
            rules = "+".join(dict.fromkeys(block.rule for block in example.blocks))
            self.rules[rules] += 1
            if asks_nothing(example):
                self.asking_nothing.append(example.id)
            if len(self._shown[rules]) < self._most:
                self._shown[rules].append(example)
        elif example.instruction not in {other.instruction for other in self.without}:
            longest = sorted([*self.without, example], key=lambda e: -len(e.instruction))
            self.without = longest[:_WITHOUT]
        texts = {"instruction": example.instruction, "response": example.response}
        if example.has_context:
            texts["context"] = example.context_text
        for name, text in texts.items():
            self.lengths[name][count_words(text, len(text))] += 1

    def list_examples(self) -> list[Example]:
        """Return an example of each rule, the most frequent rule first, then the next of each."""
        by_rule = [self._shown[rule] for rule, _ in self.rules.most_common()]
        turns = itertools.chain.from_iterable(itertools.zip_longest(*by_rule))
        return [example for example in turns if example is not None][: self._most]

    def refuse_unusable(self) -> None:
        """Raise `DataError` when no row can be scored."""

        if self.usable:
            return
        counts = [
            (self.n_bad, "cannot be read"),
            (self.empty, "have an empty response"),
            (self.examples - self.with_context, "have no context"),
        ]
        why = ", ".join(f"{n:,} {what}" for n, what in counts if n)
        advice = "name the columns: --columns instruction=... context=... response=..."
        if self.examples and self.empty == self.examples:
            advice = "add the responses, or name their column with --columns"
        raise DataError(
            f"no row can be scored; of {count(self.rows, 'row')} {why or 'none was found'}; "
            f"see why with --explain 0 (or another row's number or id), or {advice}"
        )


def quantiles(lengths: Counter[int]) -> dict[str, int]:
    """Smallest, median, 95% and largest of the counted lengths; empty when there are none."""
    if not lengths:
        return {}
    ordered = sorted(lengths)
    until = list(itertools.accumulate(lengths[length] for length in ordered))
    at = {"least": 0.0, "median": 0.5, "95%": 0.95, "most": 1.0}
    places = {name: round(q * (until[-1] - 1)) for name, q in at.items()}
    return {name: ordered[bisect.bisect_right(until, place)] for name, place in places.items()}
