"""Counterfactual examples from examples: the loop, its record and its funnel.

For every row: a recogniser proposes entities that context and response share,
one is substituted everywhere, and a verifier that knows nothing of the
recogniser lets the result pass or names the check that it fails. What is
written depends on the row's content, the seed and the variant alone.

Longpre et al. 2021 (arXiv 2109.05052) for the policies, Neeman et al. 2022
(DisentQA, arXiv 2211.05655) for pairs with an abstention.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from ifcurate.data.formats import row_hash
from ifcurate.errors import DataError, OptionError
from ifcurate.records import Example

from .accepted import Counterfactual
from .checks import Check, Refusal
from .edit.substitutes import POLICIES, Pools
from .edit.views import View, view_example
from .engine import Engineer
from .lexicon.tables import fold, load_lexicon
from .lexicon.wording import without_end_marks
from .recognise.names import LexiconRecogniser
from .recognise.spans import DEFAULT_TYPES, TYPES, Recogniser
from .write.outcomes import Outcome, Written
from .write.rows import (
    abstain_row,
    counterfactual_row,
    original_row,
    suite_row,
)

__all__ = [
    "EMITS",
    "AugmentSettings",
    "Augmenter",
    "freeze_pools",
    "in_order",
    "iterate_counterfactuals",
    "parse_types",
]
EMITS = ("counterfactual", "pair", "pair+abstain")
_SETS: Final = {"DEFAULT": DEFAULT_TYPES, "ALL": TYPES}
T = TypeVar("T")
Emit = Literal["counterfactual", "pair", "pair+abstain"]


@dataclass(frozen=True)
class AugmentSettings:
    """All that decides what is written, beside the rows themselves."""

    policy: str = "lexicon"  # one of POLICIES
    types: tuple[str, ...] = DEFAULT_TYPES
    seed: int = 0
    variants: int = 1  # counterfactuals of one row, each with another substitute
    emit: Emit = "counterfactual"
    avoid: frozenset[str] = frozenset()  # names never used as substitutes

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise DataError(f"policy {self.policy!r}: unknown; known are {', '.join(POLICIES)}")
        if unknown := set(self.types) - set(TYPES):
            raise DataError(
                f"types {', '.join(sorted(unknown))}: unknown; known are {', '.join(TYPES)}"
            )
        if self.emit not in EMITS:
            raise DataError(f"emit {self.emit!r}: unknown; known are {', '.join(EMITS)}")
        if self.variants < 1:
            raise DataError(f"variants {self.variants}: give 1 or more")


def parse_types(text: str) -> tuple[str, ...]:
    """Types in one fixed order; `+YEAR` adds to the default ones.

    Raises `OptionError` for a type that is unknown.
    """
    found: set[str] = set()
    for name in filter(None, map(str.strip, text.upper().split(","))):
        found.update(_SETS.get(name, (name.removeprefix("+"),)))
        found.update(DEFAULT_TYPES if name.startswith("+") else ())
    unknown = found - set(TYPES)
    if unknown or not found:
        raise OptionError(
            f"types: {', '.join(sorted(unknown)) or repr(text)}: unknown type; "
            f"known are default, all, {', '.join(TYPES)}"
        )
    return tuple(name for name in TYPES if name in found)


def iterate_counterfactuals(
    examples: Iterable[Example],
    settings: AugmentSettings,
    *,
    recogniser: Recogniser | None = None,
    pools: Pools | None = None,
) -> Iterator[Outcome]:
    """One `Outcome` per row, in order, nothing kept in memory but the pools."""
    recogniser = recogniser or LexiconRecogniser(settings.types)
    if settings.policy == "corpus" and pools is None:
        pools = freeze_pools(examples, recogniser)
    augmenter = Augmenter.create(settings, recogniser, pools)
    rows = itertools.groupby(examples, key=lambda e: (e.source, e.row_number, e.id))
    yield from in_order(augmenter.row, (list(turns) for _, turns in rows), augmenter.threads)


def in_order(work: Callable[[T], Outcome], items: Iterable[T], threads: int) -> Iterator[Outcome]:
    """The outcome of each item, in order, worked out by so many threads."""
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
    """What stays the same over a run; `row` does one row and remembers nothing."""

    engineer: Engineer
    settings: AugmentSettings
    columns: dict[str, Any]  # the run's own columns of every written row

    @classmethod
    def create(
        cls, settings: AugmentSettings, recogniser: Recogniser, pools: Pools | None = None
    ) -> Augmenter:
        """Load the lexicon and make the columns of the run."""
        lexicon = load_lexicon()
        engineer = Engineer(
            recogniser,
            lexicon,
            settings.policy,
            settings.seed,
            pools,
            frozenset(fold(name) for name in settings.avoid),
            frozenset(settings.types),
        )
        columns = {
            "ifcurate_policy": settings.policy,
            "ifcurate_recogniser": recogniser.name,
            "ifcurate_lexicon": lexicon.sha256[:16],
            "ifcurate_seed": settings.seed,
        }
        return cls(engineer, settings, columns)

    @property
    def threads(self) -> int:
        """How many rows are worked on at a time: as many as a planner may be asked for."""
        planner = self.engineer.planner
        return planner.concurrency if planner is not None else 1

    def row(self, turns: Sequence[Example]) -> Outcome:
        """The outcome of one row from its examples, one for each scored turn."""
        return _one_row(turns, self.engineer, self.settings, self.columns)


def freeze_pools(examples: Iterable[Example], recogniser: Recogniser) -> Pools:
    """The names of all contexts by type and shape, for `policy="corpus"`."""

    def spans() -> Iterator[Any]:
        for example in examples:
            try:
                view = view_example(example)
            except Refusal:
                continue
            paths = {p for p, _, _ in view.context}
            yield from recogniser.spans({p: view.texts[p] for p in sorted(paths)})

    return Pools.freeze(spans())


def _one_row(
    turns: Sequence[Example],
    engineer: Engineer,
    settings: AugmentSettings,
    columns: dict[str, Any],
) -> Outcome:
    """The first scored turn of the row that gives a counterfactual decides."""
    first = turns[0]
    refusal: Refusal | None = None
    for example in turns:
        try:
            written = _one_example(example, engineer, settings, columns)
            return Outcome(first.id, first.source, first.row_number, tuple(written))
        except Refusal as error:
            if refusal is None or _progress(error.check) > _progress(refusal.check):
                refusal = error
    assert refusal is not None
    return Outcome(
        first.id, first.source, first.row_number, check=refusal.check, reason=refusal.reason
    )


def _progress(check: Check) -> int:
    """How far an example came: without a context, without an entity, refused by a check."""
    return {Check.CONTEXT: 0, Check.ENTITY: 1}.get(check, 2)


def _one_example(
    example: Example, engineer: Engineer, settings: AugmentSettings, columns: dict[str, Any]
) -> list[Written]:
    if not example.has_context:
        raise Refusal(Check.CONTEXT, "the example has no context")
    if not without_end_marks(example.response).strip():
        raise Refusal(Check.ENTITY, "the response is empty")
    view = view_example(example)
    planner = engineer.planner
    entities = [] if planner is not None else engineer.entities(view)
    parent = row_hash(example.row)
    made: list[Counterfactual] = []
    for variant in range(settings.variants):
        used = frozenset(m.plan.substitute for m in made)
        try:
            if planner is not None:
                made.append(engineer.write_planned(planner, view, used=used))
            else:
                made.append(
                    engineer.write(view, entities, parent=parent, variant=variant, used=used)
                )
        except Refusal:
            if not made:
                raise
            break  # there are fewer substitutes than variants
    return [
        _written(example, view, one, settings, columns, parent, variant)
        for variant, one in enumerate(made)
    ]


def _written(
    example: Example,
    view: View,
    made: Counterfactual,
    settings: AugmentSettings,
    columns: dict[str, Any],
    parent: str,
    variant: int,
) -> Written:
    pair = f"{parent}-{example.turn}-{variant}"
    own = {"ifcurate_parent": parent, "ifcurate_pair": pair, **columns}
    row = counterfactual_row(example, view, made, {**own, "ifcurate_variant": variant})
    rows = [row]
    if settings.emit != "counterfactual" and variant == 0:  # once for all variants
        rows.insert(0, original_row(example, parent, pair))
        abstain = abstain_row(example, view, made, parent, pair)
        if settings.emit == "pair+abstain" and abstain is not None:
            rows.append(abstain)
    return Written(tuple(rows), suite_row(view, made, row), example, made, view)
