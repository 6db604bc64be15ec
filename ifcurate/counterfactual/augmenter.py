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
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from ifcurate.data.parse_rows import row_hash
from ifcurate.records import Example

from .checks import Check, Refusal
from .edit.candidates import Entity, may_share, shared_entities
from .edit.edits import Edit, apply_edits, place_edits
from .edit.forms import find_changes
from .edit.substitutes import Pools, Wanted, fill_pools, propose
from .edit.views import View, view_example
from .lexicon.tables import LEXICON
from .lexicon.wording import fold, without_end_marks
from .recognise.names import LexiconRecogniser
from .recognise.spans import Planner, Recogniser, Span, Substitution
from .settings import AugmentSettings
from .verify.cases import Case
from .verify.gates import check_rivals, pass_gates, wanted_gender
from .verify.geography import settle_group
from .verify.verifier import verify
from .write.outcomes import Outcome, Written
from .write.rows import abstain_row, counterfactual_row, suite_row

#: Checks that fail for every substitute once they fail for one.
_FINAL = {Check.RESIDUE, Check.SPANS, Check.SUPPORT, Check.NESTING, Check.STRUCTURE}
_MOST_MENTIONS = 2000  # most edits of one row
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
    return Augmenter(recogniser, settings, fill_pools(_spans(corpus, recogniser)))


def in_order(work: Callable[[T], Outcome], items: Iterable[T], threads: int) -> Iterator[Outcome]:
    """Yield the outcome of each item, in order, computed by `threads` threads."""
    if threads <= 1:
        yield from map(work, items)
        return
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(itertools.islice(rest, 8 * threads)):
            yield from pool.map(work, batch)


@dataclass(frozen=True)
class Augmenter:
    """Makes the outcome of one row at a time; it keeps no state between rows."""

    recogniser: Recogniser
    settings: AugmentSettings
    pools: Pools

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns that are the same in every row of a run."""
        return {
            "ifcurate_policy": self.settings.policy,
            "ifcurate_recogniser": self.recogniser.name,
            "ifcurate_lexicon": LEXICON.sha256[:16],
            "ifcurate_seed": self.settings.seed,
        }

    @property
    def threads(self) -> int:
        """How many rows are processed at a time: the planner's concurrency, else 1."""
        return self.recogniser.concurrency if isinstance(self.recogniser, Planner) else 1

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
        cases = self._cases(view_example(example), parent)
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
        emit = self.settings.emit
        if emit != "counterfactual" and variant == 0:  # once for all variants
            rows.insert(0, {**example.row, "ifcurate_role": "original", **pair})
            abstain = abstain_row(example, case)
            if emit == "pair+abstain" and abstain is not None:
                rows.append({**abstain, "ifcurate_role": "abstain", **pair})
        return Written(tuple(rows), suite_row(case, row), example, case)

    def _cases(self, view: View, parent: str) -> Iterator[Case]:
        """Yield the counterfactuals of one example, each with another substitute.

        `parent` is the hash of its row, which decides the order in which substitutes are tried.
        Raises the first `Refusal` if there is none.
        """
        planner = self.recogniser if isinstance(self.recogniser, Planner) else None
        entities = [] if planner else self._entities(view)
        grounding = pass_gates(view, entities)
        used: set[str] = set()
        for variant in range(self.settings.variants):
            refusals: list[Refusal] = []
            key = f"{self.settings.seed}|{variant}|{parent}"
            if planner:
                plans = _planned(planner, view, used, refusals)
            else:
                plans = self._plans(view, entities, key, refusals)
            for plan, gender in plans:
                try:
                    self._check_free(plan, used)
                    edits, after = _edit(view, plan)
                    case = Case(view, after, edits, plan, self.recogniser, gender, grounding)
                    case = verify(case)
                    break
                except Refusal as error:
                    refusals.append(error)
            else:
                if used:
                    return  # there are fewer substitutes than variants
                raise refusals[0] if refusals else Refusal(Check.POLICY, "there is no substitute")
            used.add(plan.substitute)
            yield case

    def _entities(self, view: View) -> list[Entity]:
        """Return the candidates of one example; raises `Refusal` if there is none."""
        types = frozenset(self.settings.kinds)
        entities: list[Entity] = []
        if may_share(view, types):
            paths = {p for p, _, _ in (*view.context, *view.question)} | {view.response_path}
            spans = self.recogniser.spans({p: t for p, t in view.texts.items() if p in paths})
            entities = shared_entities(view, [s for s in spans if s.type in types])
        if not entities:
            raise Refusal(Check.ENTITY, "no entity of these types in both context and response")
        return entities

    def _plans(
        self, view: View, entities: Iterable[Entity], key: str, refusals: list[Refusal]
    ) -> Iterator[tuple[Substitution, str]]:
        """Yield the substitutions of all candidates, each with the gender that it needs."""
        for entity in entities:
            span, texts, gender = entity.span, view.texts, ""
            try:
                if span.type == "PERSON":
                    check_rivals(entity)
                    gender = wanted_gender(view, span, entity.alone)
                elif span.type == "CITY":
                    group = settle_group(span.groups, texts, span.text)
                    span = replace(span, groups=(group,))
                key_ = f"{key}|{entity.span.type}|{entity.span.text}"
                wanted = Wanted(self.settings.policy, key_, gender)
                for plan in propose(span, texts, wanted, self.pools):
                    yield plan, gender
                    if refusals[-1].check in _FINAL:
                        break
            except Refusal as error:
                refusals.append(error)

    def _check_free(self, plan: Substitution, used: Set[str]) -> None:
        """Raise `Refusal` for a substitute that is used already or must be avoided."""
        words = (plan.substitute, *(w for w in plan.substitute.split(" ") if len(w) > 3))
        if plan.substitute in used or any(fold(w) in self._avoided for w in words):
            raise Refusal(Check.POLICY, f"{plan.substitute!r} is used already or must be avoided")

    @cached_property
    def _avoided(self) -> frozenset[str]:
        return frozenset(map(fold, self.settings.avoid))


def _edit(view: View, plan: Substitution) -> tuple[list[Edit], dict[str, str]]:
    """Return the edits of a substitution, and the texts after them."""
    changes = [c for c in find_changes(view, plan) if c[3] != c[4]]
    if len(changes) > _MOST_MENTIONS:
        raise Refusal(Check.SPANS, f"{len(changes)} mentions, over {_MOST_MENTIONS}")
    edits = place_edits(changes)
    return edits, apply_edits(view.texts, edits)


def _planned(
    planner: Planner, view: View, used: Set[str], refusals: list[Refusal]
) -> Iterator[tuple[Substitution, str]]:
    """Yield plans; after a refusal another plan is requested."""
    for _ in range(planner.attempts):
        try:
            plan: Substitution = planner.plan(view, refusals, sorted(used))
            gender = wanted_gender(view, plan.span) if plan.type == "PERSON" else ""
            yield plan, gender
        except Refusal as error:
            refusals.append(error)
        planner.count(refusals[-1])


def _spans(examples: Iterable[Example], recogniser: Recogniser) -> Iterator[Span]:
    """Yield the names of all contexts."""
    for example in examples:
        with contextlib.suppress(Refusal):
            view = view_example(example)
            paths = sorted({p for p, _, _ in view.context})
            yield from recogniser.spans({p: view.texts[p] for p in paths})
