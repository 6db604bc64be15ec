"""Counterfactual examples from examples: of a dataset in memory, or row by row.

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
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ifcurate.data.in_memory import take_examples
from ifcurate.data.parse_rows import row_hash
from ifcurate.data.sources import Examples
from ifcurate.options.augment import AugmentOptions, SubstitutionOptions, parse_types
from ifcurate.options.base import takes_options
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
from .verify.cases import Case
from .verify.gates import check_rivals, pass_gates, wanted_gender
from .verify.geography import settle_group
from .verify.verifier import verify
from .write.outcomes import Augmentation, Outcome, Written
from .write.rows import abstain_row, counterfactual_row, suite_row

#: Checks that fail for every substitute once they fail for one.
_FINAL = {Check.RESIDUE, Check.SPANS, Check.SUPPORT, Check.NESTING, Check.STRUCTURE}
_MOST_MENTIONS = 2000  # most edits of one row
T = TypeVar("T")


@takes_options(SubstitutionOptions)
def augment_counterfactual(
    examples: Any,
    *,
    recogniser: Recogniser | None = None,
    avoid: Iterable[str] = (),
    options: SubstitutionOptions,
) -> Augmentation:
    """Make counterfactuals of all examples that allow it, and record why the others do not.

    `examples` is what `read_examples` gives, a list of dicts, a `datasets.Dataset`, a
    polars or pandas frame, or a list of `Example`. With `policy="corpus"` they are read twice.
    `types` may also be a list, and `avoid` are names that are never substitutes.
    Results are in the order of the input. Raises `OptionError` for unknown settings.
    """
    result = Augmentation()
    taken = take_examples(examples, turns="all")
    taken = taken if isinstance(taken, Sequence | Examples) else list(taken)
    for outcome in iterate_counterfactuals(taken, options, recogniser=recogniser, avoid=avoid):
        result.funnel.add(outcome.as_record())
        result.written.extend(outcome.written)
        if not outcome.written:
            result.rejected.append(outcome)
    return result


def iterate_counterfactuals(
    examples: Iterable[Example],
    options: SubstitutionOptions,
    *,
    recogniser: Recogniser | None = None,
    avoid: Iterable[str] = (),
) -> Iterator[Outcome]:
    """One `Outcome` per row, in order. Only the names of `policy="corpus"` are kept in memory."""
    recogniser = recogniser or LexiconRecogniser(parse_types(options.types))
    augmenter = Augmenter(recogniser, options, frozenset(avoid)).prepared(examples)
    rows = itertools.groupby(examples, key=lambda e: (e.source, e.row_number, e.id))
    yield from in_order(augmenter.row, (list(turns) for _, turns in rows), augmenter.threads)


def load_recogniser(options: AugmentOptions, cache: Path) -> Recogniser:
    """Return the recogniser of the options.

    `cache` is the file of cached answers of `openai:URL`. Raises `ModelError` if a package or a
    model is missing or the server does not answer.
    """
    kind, _, rest = options.recogniser.partition(":")
    types = parse_types(options.types)
    if kind in ("spacy", "gliner"):
        from .recognise.labelled import load_gliner, load_spacy

        return (load_spacy if kind == "spacy" else load_gliner)(rest, types)
    if kind == "openai":
        from .planner import OpenAIPlanner, PlanCache

        model = options.recogniser_model
        return OpenAIPlanner(rest, model=model, types=types, cache=PlanCache(cache))
    return LexiconRecogniser(types)


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
    options: SubstitutionOptions
    avoid: frozenset[str]  # names that are never substitutes
    pools: Pools = field(default_factory=dict)

    def prepared(self, examples: Iterable[Example]) -> Augmenter:
        """Return it with the names of the examples, which are read for `policy="corpus"` only."""
        if self.options.policy != "corpus":
            return self
        return replace(self, pools=fill_pools(_spans(examples, self.recogniser)))

    def as_record(self) -> dict[str, Any]:
        """All settings that change what is written as plain values, for manifests."""
        values = self.options.part(SubstitutionOptions).model_dump()
        types = parse_types(self.options.types)
        return {**values, "types": list(types), "avoid": sorted(self.avoid)}

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns that are the same in every row of a run."""
        return {
            "ifcurate_policy": self.options.policy,
            "ifcurate_recogniser": self.recogniser.name,
            "ifcurate_lexicon": LEXICON.sha256[:16],
            "ifcurate_seed": self.options.seed,
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
        emit = self.options.emit
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
        for variant in range(self.options.variants):
            refusals: list[Refusal] = []
            key = f"{self.options.seed}|{variant}|{parent}"
            if planner:
                plans = _planned(planner, view, used, refusals)
            else:
                plans = self._plans(view, entities, key, refusals)
            for plan, gender in plans:
                try:
                    self._check_free(plan, used)
                    edits, after = _edit(view, plan)
                    case = Case(view, after, edits, plan, self.recogniser, gender, grounding)
                    verify(case)
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
        types = frozenset(parse_types(self.options.types))
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
                wanted = Wanted(self.options.policy, key_, gender)
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
        return frozenset(map(fold, self.avoid))


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
