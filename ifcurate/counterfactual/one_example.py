"""One example and its counterfactual: recognise, choose, edit, verify.

The recogniser proposes entities, `edit` chooses substitutes and finds every mention, `verify`
accepts the result or refuses it. No state is kept between examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from .checks import Check, Refusal
from .edit.candidates import Entity, may_share, shared_entities
from .edit.edits import apply_edits, place_edits
from .edit.forms import find_changes, name_forms
from .edit.substitutes import Pools, Wanted, propose
from .edit.views import View
from .lexicon.tables import ARTICLE_COUNTRIES
from .lexicon.wording import fold
from .recognise.spans import VALUES, Planner, Recogniser, Span, Substitution
from .settings import AugmentSettings
from .verify.cases import Case
from .verify.gates import check_answered, check_closed_world, check_size, check_task, settle_gender
from .verify.geography import settle_group
from .verify.verifier import verify

#: Checks that fail for every substitute once they fail for one.
_FINAL = {Check.RESIDUE, Check.SPANS, Check.SUPPORT, Check.NESTING, Check.STRUCTURE}
_SHORT = 12  # most words of a response that is an answer
_MOST_MENTIONS = 2000  # most edits of one row


@dataclass(frozen=True)
class Engineer:
    """Makes the counterfactuals of one example at a time."""

    recogniser: Recogniser
    settings: AugmentSettings
    pools: Pools

    @cached_property
    def planner(self) -> Planner | None:
        """The recogniser if it plans whole substitutions, else None."""
        return self.recogniser if isinstance(self.recogniser, Planner) else None

    def counterfactuals(self, view: View, parent: str) -> Iterator[Case]:
        """Yield the counterfactuals of one example, each with another substitute.

        `parent` is the hash of its row, which decides the order in which substitutes are tried.
        Raises the first `Refusal` if there is none.
        """
        entities = [] if self.planner is not None else self._entities(view)
        used: set[str] = set()
        for variant in range(self.settings.variants):
            try:
                if self.planner is not None:
                    made = self._write_planned(self.planner, view, used)
                else:
                    key = f"{self.settings.seed}|{variant}|{parent}"
                    made = self._write(view, entities, key, used)
            except Refusal:
                if not used:
                    raise
                return  # there are fewer substitutes than variants
            used.add(made.plan.substitute)
            yield made

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

    def _write(self, view: View, entities: Sequence[Entity], key: str, used: Set[str]) -> Case:
        """Return the counterfactual of the first candidate that passes all checks.

        Raises the `Refusal` of the first candidate if none passes.
        """
        grounding = _pass_gates(view, _unshared(view, entities))
        refusals: list[Refusal] = []
        for entity in entities:
            try:
                return self._substitute(view, entity, key, used, grounding)
            except Refusal as error:
                refusals.append(error)
        raise refusals[0]

    def _substitute(
        self, view: View, entity: Entity, key: str, used: Set[str], grounding: float
    ) -> Case:
        """Return the first substitute that passes all checks.

        Raises the first `Refusal` if none does.
        """
        span, texts = entity.span, view.texts
        wanted = Wanted(self.settings.policy, f"{key}|{span.type}|{span.text}")
        if span.type == "PERSON":
            _check_titles(span, texts)
            kept = _kept_family(entity)
            wanted = replace(wanted, kept=kept, gender=_gender_of(view, span, entity.alone))
        elif span.type == "CITY":
            group = settle_group(span.groups, texts, span.text)
            span = replace(span, groups=(group,))
        elif span.type == "COUNTRY":
            wanted = replace(wanted, article=_has_article(span, texts))
        refusals: list[Refusal] = []
        for plan in propose(span, texts, wanted, self.pools):
            try:
                self._check_free(plan, used)
                return self._apply(view, plan, wanted.gender, grounding)
            except Refusal as error:
                refusals.append(error)
                if error.check in _FINAL:
                    raise
        none = Refusal(Check.POLICY, "there is no substitute of this type")
        raise next(iter(refusals), none)

    def _write_planned(self, planner: Planner, view: View, used: Set[str]) -> Case:
        """Return the counterfactual of a plan; after a refusal another plan is requested."""
        grounding = _pass_gates(view, view.response)
        refusals: list[Refusal] = []
        for _ in range(planner.attempts):
            try:
                plan: Substitution = planner.plan(view, refusals, sorted(used))
                self._check_free(plan, used)
                person = plan.type == "PERSON"
                gender = _gender_of(view, plan.span, alone=False) if person else ""
                return self._apply(view, plan, gender, grounding)
            except Refusal as error:
                planner.count(error)
                refusals.append(error)
        raise refusals[-1]

    def _check_free(self, plan: Substitution, used: Set[str]) -> None:
        """Raise `Refusal` for a substitute that is used already or must be avoided."""
        words = (plan.substitute, *(w for w in plan.substitute.split(" ") if len(w) > 3))
        if plan.substitute in used or any(fold(w) in self._avoided for w in words):
            raise Refusal(Check.POLICY, f"{plan.substitute!r} is used already or must be avoided")

    @cached_property
    def _avoided(self) -> frozenset[str]:
        return frozenset(map(fold, self.settings.avoid))

    def _apply(self, view: View, plan: Substitution, gender: str, grounding: float) -> Case:
        """Edit and verify one substitution; raises `Refusal` if a check fails."""
        changes = [c for c in find_changes(view, plan) if c[3] != c[4]]
        if len(changes) > _MOST_MENTIONS:
            raise Refusal(Check.SPANS, f"{len(changes)} mentions, over {_MOST_MENTIONS}")
        edits = place_edits(changes)
        after = apply_edits(view.texts, edits)
        return verify(Case(view, after, edits, plan, self.recogniser, gender, grounding))


def _pass_gates(view: View, response: str) -> float:
    """Check H15, H14, H6 and H7; returns the share of the response's words that are given."""
    check_size(view.context_text)
    check_task(view.question_text, view.response)
    if len(response.split()) <= _SHORT:
        check_answered(view.question_text, view.context_text)
    return check_closed_world(response, view.context_text + "\n" + view.question_text)


def _unshared(view: View, entities: Sequence[Entity]) -> str:
    """Return the response without the shared dates and amounts, whose notation may differ."""
    mentions = {
        (m.start, m.end)
        for e in entities
        for m in e.mentions
        if m.path == view.response_path and m.type in VALUES
    }
    text = view.response
    for start, end in sorted(mentions, reverse=True):
        text = text[:start] + text[end:]
    return text


def _gender_of(view: View, span: Span, alone: bool) -> str:
    """Return the gender that a substitute needs; "" for a family name, which has none."""
    texts = [view.context_text, view.response]
    forms = name_forms(span.text)
    if span.shape == "family" or (span.shape == "full" and "first" not in forms):
        return ""
    return settle_gender(span.gender, texts, alone=alone, forms=forms.values())


def _kept_family(entity: Entity) -> frozenset[str]:
    """Return the family name that is kept because others share it: "John Smith" and "Mary Smith".

    Raises `Refusal` (ONE_TO_ONE) if another person shares another part of the name.
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
    """Refuse a family name that also follows another title: "President Bush" and Laura Bush."""
    last = name_forms(span.text).get("last", "")
    titles = "King|Queen|Emperor|Empress|Prince|Princess|Pope"
    titles += {"f": "|President|Mr", "m": "|Mrs|Ms|Miss"}.get(span.gender, "")
    other = re.compile(rf"\b(?:{titles})\.? {re.escape(last)}\b")
    if last and any(other.search(text) for text in texts.values()):
        reason = f"{last!r} is also the name of a person with another title"
        raise Refusal(Check.ONE_TO_ONE, reason)


def _has_article(span: Span, texts: Mapping[str, str]) -> bool:
    if span.code not in ARTICLE_COUNTRIES or span.shape != "name":
        return False
    pattern = re.compile(rf"(?<!\w)the {re.escape(span.text)}(?!\w)", re.I)
    return any(pattern.search(t) for t in texts.values())
