"""From one example to its counterfactual: propose, edit, verify, or say why not.

The recogniser proposes, `substitutes` chooses, `forms` finds every mention,
`edits` replaces by place, `verify` accepts or rejects. Nothing is remembered
from one example to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from .accepted import Counterfactual
from .checks import Check, Refusal
from .edit.candidates import Entity, may_share, shared_entities
from .edit.edits import apply_edits, place_edits
from .edit.forms import find_changes, name_forms
from .edit.substitutes import Pools, Wanted, propose
from .edit.substitution import Substitution
from .edit.views import View
from .lexicon.tables import ARTICLE_COUNTRIES, Lexicon, fold
from .recognise.spans import VALUES, Planner, Recogniser, Span
from .verify.cases import Case
from .verify.gates import check_answered, check_closed_world, check_size, check_task
from .verify.gender import settle_gender
from .verify.geography import settle_group
from .verify.second_pass import SecondPass
from .verify.verifier import verify

__all__ = ["Engineer"]

#: Checks that no other substitute would pass either.
_FINAL = {Check.RESIDUE, Check.SPANS, Check.SUPPORT, Check.NESTING, Check.STRUCTURE}
_NOTHING = "no entity of these types in both context and response"
_SHORT = 12  # words of a response that answers a question
_MOST_MENTIONS = 2000  # edits of one row; a row with more is refused


@dataclass(frozen=True)
class Engineer:
    """What stays the same over a run."""

    recogniser: Recogniser
    lexicon: Lexicon
    policy: str = "lexicon"
    seed: int = 0
    pools: Pools | None = None
    avoid: frozenset[str] = field(default_factory=frozenset)  # folded names never to be used
    types: frozenset[str] = frozenset()

    @cached_property
    def planner(self) -> Planner | None:
        """The recogniser, where it plans whole substitutions."""
        return self.recogniser if isinstance(self.recogniser, Planner) else None

    def entities(self, view: View) -> list[Entity]:
        """Candidates of one example; raises `Refusal` when there is none."""
        if not may_share(view, self.types):
            raise Refusal(Check.ENTITY, _NOTHING)
        paths = {p for p, _, _ in (*view.context, *view.question)} | {view.response_path}
        texts = {p: t for p, t in view.texts.items() if p in paths}
        spans = self.recogniser.spans(texts)
        entities = shared_entities(view, [s for s in spans if s.type in self.types])
        if not entities:
            raise Refusal(Check.ENTITY, _NOTHING)
        return entities

    def write(
        self,
        view: View,
        entities: Sequence[Entity],
        *,
        parent: str,
        variant: int,
        used: frozenset[str] = frozenset(),
    ) -> Counterfactual:
        """The first candidate that passes; raises the first candidate's `Refusal`."""
        share = _pass_gates(view, _unshared(view, entities))
        refusal: Refusal | None = None
        for entity in entities:
            try:
                made = self._substitute(view, entity, f"{self.seed}|{variant}|{parent}", used)
                return replace(made, grounding=share)
            except Refusal as error:
                refusal = refusal or error
        raise refusal or Refusal(Check.ENTITY, _NOTHING)

    def _substitute(
        self, view: View, entity: Entity, key: str, used: frozenset[str]
    ) -> Counterfactual:
        span, texts = entity.span, view.texts
        wanted = Wanted(self.policy, f"{key}|{span.type}|{span.text}")
        if span.type == "PERSON":
            _check_titles(span, texts)
            kept = _kept_family(entity)
            wanted = replace(wanted, kept=kept, gender=_gender_of(view, span, entity.alone))
        elif span.type == "CITY":
            group = settle_group(span.groups, texts, span.text, self.lexicon)
            span = replace(span, groups=(group,))
        elif span.type == "COUNTRY":
            _check_country_names(entity)
            wanted = replace(wanted, article=_has_article(span, texts))
        plans = propose(span, texts, self.lexicon, wanted, self.pools)
        return self.first_to_pass(view, plans, gender=wanted.gender, used=used)

    def write_planned(
        self, planner: Planner, view: View, *, used: frozenset[str]
    ) -> Counterfactual:
        """The counterfactual of a plan; a refused plan is asked for again, its check named."""
        share = _pass_gates(view, view.response)
        folded = {p: fold(t) for p, t in view.texts.items()}
        refusals: list[Refusal] = []
        for _ in range(planner.attempts):
            try:
                plan: Substitution = planner.plan(view, refusals, sorted(used))
                if plan.substitute in used or self._avoided(plan.substitute):
                    raise Refusal(Check.POLICY, f"{plan.substitute!r} is not to be used")
                person = plan.type == "PERSON"
                gender = _gender_of(view, plan.span, alone=False) if person else ""
                made = self.apply(view, plan, gender=gender, folded=folded)
                return replace(made, grounding=share)
            except Refusal as error:
                planner.count(error)
                refusals.append(error)
        raise refusals[-1]

    def first_to_pass(
        self, view: View, plans: Iterable[Substitution], *, gender: str, used: frozenset[str]
    ) -> Counterfactual:
        """The first substitution that passes every check; raises the first `Refusal`."""
        refusal: Refusal | None = None
        folded = {p: fold(t) for p, t in view.texts.items()}
        for plan in plans:
            if plan.substitute in used or self._avoided(plan.substitute):
                refusal = refusal or Refusal(Check.POLICY, "all substitutes are used or avoided")
                continue
            try:
                return self.apply(view, plan, gender=gender, folded=folded)
            except Refusal as error:
                if error.check in _FINAL:
                    raise
                refusal = refusal or error
        raise refusal or Refusal(Check.POLICY, "there is no substitute of this type")

    def _avoided(self, name: str) -> bool:
        return fold(name) in self.avoid or any(
            fold(w) in self.avoid for w in name.split(" ") if len(w) > 3
        )

    def apply(
        self, view: View, plan: Substitution, *, gender: str, folded: Mapping[str, str]
    ) -> Counterfactual:
        """Edit and verify one substitution; raises `Refusal` when a check fails."""
        texts = {p: t for p, t in view.texts.items() if p not in view.keep}
        changes = find_changes(texts, plan, self.lexicon, folded=folded)
        changes = [c for c in changes if c[3] != c[4]]
        if len(changes) > _MOST_MENTIONS:
            raise Refusal(Check.SPANS, f"{len(changes)} mentions, over {_MOST_MENTIONS}")
        try:
            edits = place_edits(changes)
        except ValueError as error:
            raise Refusal(Check.SPANS, str(error)) from None
        case = Case(
            view.texts,
            apply_edits(view.texts, edits),
            edits,
            plan,
            view.context,
            view.response_path,
            view.question,
            view.memory,
            view.keep,
            gender,
        )
        checks = verify(case, self.lexicon, SecondPass(self.recogniser, self.lexicon, plan))
        answers = [e for e in edits if e.path == view.response_path]
        longest = max(answers, key=lambda e: (len(e.old), -e.start))
        return Counterfactual(
            case.after, tuple(edits), plan, gender, longest.new, longest.old, tuple(checks)
        )


def _pass_gates(view: View, response: str) -> float:
    """H15, H14 and H7; the share of the response's words that are given."""
    check_size(view.context_text)
    check_task(view.question_text, view.response)
    if len(response.split()) <= _SHORT:
        check_answered(view.question_text, view.context_text)
    return check_closed_world(response, view.context_text + "\n" + view.question_text)


def _unshared(view: View, entities: Sequence[Entity]) -> str:
    """The response without the shared values, which may be written in another notation."""
    text = view.texts[view.response_path]
    places = {
        (m.start, m.end)
        for e in entities
        if e.span.type in VALUES
        for m in e.mentions
        if m.path == view.response_path
    }
    end = len(view.response)
    for start, stop in sorted(places, reverse=True):
        text, end = text[:start] + text[stop:], end - (stop - start)
    return text[:end]


def _gender_of(view: View, span: Span, alone: bool) -> str:
    """The gender that a substitute needs; a family name alone says nothing of it."""
    texts = [view.context_text, view.response]
    forms = name_forms(span.text)
    if span.shape == "family" or (span.shape == "full" and "first" not in forms):
        return ""
    return settle_gender(span.gender, texts, alone=alone, forms=forms.values())


def _kept_family(entity: Entity) -> frozenset[str]:
    """The family name that stays because others bear it: "John Smith" beside "Mary Smith".

    Raises `Refusal` (ONE_TO_ONE) where another person shares anything else.
    """
    forms = name_forms(entity.span.text)
    if not entity.rivals:
        return frozenset()
    own = {fold(w) for w in entity.span.text.split(" ")}
    shared = {fold(w) for rival in entity.rivals for w in rival.split(" ")} & own
    if "first" in forms and shared == {fold(forms.get("last", ""))}:
        return frozenset(shared)
    reason = f"{entity.rivals[0]!r} shares a part of {entity.span.text!r}"
    raise Refusal(Check.ONE_TO_ONE, reason)


def _check_titles(span: Span, texts: Mapping[str, str]) -> None:
    """H4: "Emperor Shao" is not Yuan Shao, "President Bush" not Laura Bush."""
    last = name_forms(span.text).get("last", "")
    titles = "King|Queen|Emperor|Empress|Prince|Princess|Pope"
    titles += {"f": "|President|Mr", "m": "|Mrs|Ms|Miss"}.get(span.gender, "")
    other = re.compile(rf"\b(?:{titles})\.? {re.escape(last)}\b")
    if last and any(other.search(text) for text in texts.values()):
        reason = f"{last!r} is also the name of somebody with another title"
        raise Refusal(Check.ONE_TO_ONE, reason)


def _has_article(span: Span, texts: Mapping[str, str]) -> bool:
    if span.code not in ARTICLE_COUNTRIES or span.shape != "name":
        return False
    pattern = re.compile(rf"(?<!\w)the {re.escape(span.text)}(?!\w)", re.I)
    return any(pattern.search(t) for t in texts.values())


def _check_country_names(entity: Entity) -> None:
    names = {m.text.lower() for m in entity.mentions if m.shape == "name"}
    if len(names) > 1:
        raise Refusal(Check.ONE_TO_ONE, f"the country has {len(names)} names in the text")
