"""Counterfactual examples from examples, row by row.

For each row, a recogniser proposes entities that occur in both context and response. One of
them is substituted everywhere. An independent verifier accepts the result or names the check
that it fails. The result depends only on the row's content, the seed and the variant.

The policies follow Longpre et al. 2021 (arXiv 2109.05052). Pairs with an abstention follow
Neeman et al. 2022 (DisentQA, arXiv 2211.05655).
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from ifcurate.data.parse_rows import row_hash
from ifcurate.records import Example

from .checks import Check, Refusal
from .edit.substitutes import fill_pools
from .edit.views import view_example
from .lexicon.tables import LEXICON
from .lexicon.wording import without_end_marks
from .one_example import Engineer
from .recognise.names import LexiconRecogniser
from .recognise.spans import Recogniser, Span
from .settings import AugmentSettings
from .verify.cases import Case
from .write.outcomes import Outcome, Written
from .write.rows import abstain_row, counterfactual_row, suite_row

T = TypeVar("T")


def iterate_counterfactuals(
    examples: Iterable[Example],
    settings: AugmentSettings,
    *,
    recogniser: Recogniser | None = None,
) -> Iterator[Outcome]:
    """One `Outcome` per row, in order. Only the names of `policy="corpus"` are kept in memory."""
    augmenter = make_augmenter(examples, settings, recogniser)
    rows = itertools.groupby(examples, key=lambda e: (e.source, e.row_number, e.id))
    yield from in_order(augmenter.row, (list(turns) for _, turns in rows), augmenter.threads)


def make_augmenter(
    examples: Iterable[Example], settings: AugmentSettings, recogniser: Recogniser | None
) -> Augmenter:
    """Return the augmenter of these settings; for `policy="corpus"`, the examples are read."""
    recogniser = recogniser or LexiconRecogniser(settings.kinds)
    corpus = examples if settings.policy == "corpus" else ()
    return Augmenter(Engineer(recogniser, settings, fill_pools(_spans(corpus, recogniser))))


def in_order(work: Callable[[T], Outcome], items: Iterable[T], threads: int) -> Iterator[Outcome]:
    """Yield the outcome of each item, in order, computed by `threads` threads."""
    if threads <= 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        waiting: deque[Future[Outcome]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Augmenter:
    """Makes the outcome of one row at a time; it keeps no state between rows."""

    engineer: Engineer

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns that are the same in every row of a run."""
        return {
            "ifcurate_policy": self.engineer.settings.policy,
            "ifcurate_recogniser": self.engineer.recogniser.name,
            "ifcurate_lexicon": LEXICON.sha256[:16],
            "ifcurate_seed": self.engineer.settings.seed,
        }

    @property
    def threads(self) -> int:
        """How many rows are processed at a time: the planner's concurrency, else 1."""
        planner = self.engineer.planner
        return planner.concurrency if planner is not None else 1

    def row(self, turns: Sequence[Example]) -> Outcome:
        """Return the counterfactuals of the first scored turn of a row that has any."""
        first = turns[0]
        refusals: list[Refusal] = []
        for example in turns:
            try:
                written = tuple(self._write(example))
                return Outcome(first.id, first.source, first.row_number, written)
            except Refusal as error:
                refusals.append(error)
        # without a context, without an entity, refused by a check
        worst = max(refusals, key=lambda r: (r.check is not Check.CONTEXT, r.check.judges))
        return Outcome(
            first.id, first.source, first.row_number, check=worst.check, reason=worst.reason
        )

    def _write(self, example: Example) -> list[Written]:
        """Return the counterfactuals of one example; raises `Refusal` if there is none."""
        if not example.has_context:
            raise Refusal(Check.CONTEXT, "the example has no context")
        if not without_end_marks(example.response).strip():
            raise Refusal(Check.ENTITY, "the response is empty")
        parent = row_hash(example.row)
        cases = self.engineer.counterfactuals(view_example(example), parent)
        return [self._written(example, case, parent, n) for n, case in enumerate(cases)]

    def _written(self, example: Example, case: Case, parent: str, variant: int) -> Written:
        pair = {
            "ifcurate_parent": parent,
            "ifcurate_pair": f"{parent}-{example.turn}-{variant}",
        }
        row = counterfactual_row(
            example, case, {**pair, **self.columns, "ifcurate_variant": variant}
        )
        rows = [row]
        emit = self.engineer.settings.emit
        if emit != "counterfactual" and variant == 0:  # once for all variants
            rows.insert(0, {**example.row, "ifcurate_role": "original", **pair})
            abstain = abstain_row(example, case)
            if emit == "pair+abstain" and abstain is not None:
                rows.append({**abstain, "ifcurate_role": "abstain", **pair})
        return Written(tuple(rows), suite_row(case, row), example, case)


def _spans(examples: Iterable[Example], recogniser: Recogniser) -> Iterator[Span]:
    """Yield the names of all contexts."""
    for example in examples:
        with contextlib.suppress(Refusal):
            view = view_example(example)
            paths = sorted({p for p, _, _ in view.context})
            yield from recogniser.spans({p: view.texts[p] for p in paths})
