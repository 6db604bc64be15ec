"""From one example to its counterfactual: propose, edit, verify, or say why not.

The recogniser proposes, `substitutes` chooses, `forms` finds every mention,
`edits` replaces by place, `verify` accepts or rejects. Nothing is remembered
from one example to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ifcurate.records import Example

from .edit.anchored import anchored_plans, anchored_view, find_anchor
from .edit.candidates import Entity, View, shared_entities
from .edit.edits import Edit, apply_edits, place_edits
from .edit.forms import GENERIC_WORDS, Refusal, Substitution, find_changes, name_forms
from .edit.substitutes import Pools, propose
from .lexicon.fictional import fictional_type
from .lexicon.tables import ARTICLE_COUNTRIES, Lexicon, fold
from .recognise.names import LexiconRecogniser, capital_runs
from .recognise.spans import TYPES, Planner, Recogniser, Span
from .verify.cases import Case
from .verify.gates import check_closed_world, check_size, check_task
from .verify.gender import settle_gender
from .verify.geography import settle_group
from .verify.verifier import verify

__all__ = ["Counterfactual", "Engineer", "recognise_again"]


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """An accepted example: the strings of its row after the edits, and how it came about."""

    texts: Mapping[str, str]
    edits: tuple[Edit, ...]
    plan: Substitution
    gender: str
    answer: str  # the substitute as the response has it
    memory_answer: str  # the original as the response had it
    checks: tuple[str, ...]
    anchored: bool = False
    grounding: float = 1.0  # share of the response's content words that context or question have

    @property
    def substitute(self) -> str:
        """The whole substitute, as its full form was written; a value in its new notation."""
        if self.plan.type in {"DATE", "MONEY", "YEAR", "NUMBER", "QUANTITY"}:
            return self.edits[0].new
        return self.plan.substitute


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

    def entities(self, view: View) -> list[Entity]:
        """Candidates of one example; raises `Refusal` ("entity") when there is none."""
        paths = {p for p, _, _ in (*view.context, *view.question)} | {view.response_path}
        spans = self.recogniser.spans({p: t for p, t in view.texts.items() if p in paths})
        entities = shared_entities(view, [s for s in spans if s.type in self.types])
        if not entities:
            raise Refusal("entity", "no entity of these types in both context and response")
        return entities

    def write(
        self,
        example: Example,
        view: View,
        entities: Sequence[Entity],
        *,
        parent: str,
        variant: int,
        used: frozenset[str] = frozenset(),
    ) -> Counterfactual:
        """The first candidate that passes; raises the first candidate's `Refusal`."""
        question = view.question_text
        check_size(view.context_text)
        check_task(question, example.response)
        share = check_closed_world(_unshared(view, entities), view.context_text + "\n" + question)
        refusal: Refusal | None = None
        for entity in entities:
            try:
                made = self._substitute(view, entity, parent=parent, variant=variant, used=used)
                return replace(made, grounding=share)
            except Refusal as error:
                refusal = refusal or error
        raise refusal or Refusal("entity", "no entity of these types in both context and response")

    def _substitute(
        self, view: View, entity: Entity, *, parent: str, variant: int, used: frozenset[str]
    ) -> Counterfactual:
        span, texts = entity.span, view.texts
        gender = ""
        if span.type == "PERSON":
            _check_rivals(entity)
            gender = settle_gender(
                span.detail.split(":")[1],
                [view.context_text, texts[view.response_path]],
                alone=entity.alone,
                forms=name_forms(span.text).values(),
            )
        if span.type == "CITY":
            group = settle_group(span.detail.split("|"), texts, span.text, self.lexicon)
            span = Span(span.path, span.start, span.end, "CITY", span.text, group)
        if span.type == "COUNTRY":
            _check_country_names(entity)
        key = f"{self.seed}|{variant}|{parent}|{span.type}|{span.text}"
        plans = propose(
            span,
            texts,
            self.lexicon,
            policy=self.policy,
            key=key,
            gender=gender,
            pools=self.pools,
            article=_has_article(span, texts),
        )
        return self.first_to_pass(view, ((p, gender) for p in plans), used=used)

    def write_planned(
        self,
        planner: Planner,
        example: Example,
        view: View,
        *,
        used: frozenset[str] = frozenset(),
    ) -> Counterfactual:
        """The counterfactual of a plan; a refused plan is asked for again, its check named."""
        check_size(view.context_text)
        check_task(view.question_text, example.response)
        share = check_closed_world(example.response, view.context_text + "\n" + view.question_text)
        folded = {p: fold(t) for p, t in view.texts.items()}
        refusals: list[Refusal] = []
        for _ in range(planner.attempts):
            try:
                plan: Substitution = planner.plan(view, refusals, sorted(used))
                if plan.substitute in used or self._avoided(plan.substitute):
                    raise Refusal("policy", f"{plan.substitute!r} is not to be used")
                gender = ""
                if plan.type == "PERSON":
                    gender = settle_gender(
                        plan.detail.split(":")[1],
                        [view.context_text, view.texts[view.response_path]],
                        alone=False,
                        forms=name_forms(plan.original).values(),
                    )
                made = self.apply(view, plan, gender=gender, folded=folded)
                return replace(made, grounding=share)
            except Refusal as error:
                refusals.append(error)
        raise refusals[-1]

    def write_anchored(
        self,
        example: Example,
        view: View,
        *,
        parent: str,
        variant: int,
        used: frozenset[str] = frozenset(),
    ) -> Counterfactual:
        """The counterfactual of a row whose answer is given; raises the first `Refusal`."""
        anchor = find_anchor(view, example.row, self.lexicon)
        view = anchored_view(example, view)
        key = f"{self.seed}|{variant}|{parent}|{anchor.span.type}|{anchor.span.text}"
        plans = anchored_plans(
            anchor, view, self.lexicon, policy=self.policy, key=key, pools=self.pools
        )
        return self.first_to_pass(view, plans, used=used, memory=anchor.memory, anchored=True)

    def first_to_pass(
        self,
        view: View,
        plans: Iterable[tuple[Substitution, str]],
        *,
        used: frozenset[str],
        memory: Sequence[str] = (),
        anchored: bool = False,
    ) -> Counterfactual:
        """The first substitution that passes every check; raises the first `Refusal`."""
        refusal: Refusal | None = None
        folded = {p: fold(t) for p, t in view.texts.items()}
        for plan, gender in plans:
            if plan.substitute in used or self._avoided(plan.substitute):
                refusal = refusal or Refusal("policy", "all substitutes are used or avoided")
                continue
            try:
                return self.apply(
                    view, plan, gender=gender, folded=folded, memory=memory, anchored=anchored
                )
            except Refusal as error:
                if error.check in {"H1", "H3", "H6", "H8", "H9"}:
                    raise  # no other substitute would pass either
                refusal = refusal or error
        raise refusal or Refusal("policy", "there is no substitute of this type")

    def _avoided(self, name: str) -> bool:
        return fold(name) in self.avoid or any(
            fold(w) in self.avoid for w in name.split(" ") if len(w) > 3
        )

    def apply(
        self,
        view: View,
        plan: Substitution,
        *,
        gender: str,
        folded: Mapping[str, str],
        memory: Sequence[str] = (),
        anchored: bool = False,
    ) -> Counterfactual:
        """Edit and verify one substitution; raises `Refusal` when a check fails."""
        texts = {p: t for p, t in view.texts.items() if p not in view.keep}
        changes = find_changes(texts, plan, self.lexicon, folded=folded)
        changes = [c for c in changes if c[3] != c[4]]
        try:
            edits = place_edits(changes)
        except ValueError as error:
            raise Refusal("H3", str(error)) from None
        case = Case(
            view.texts,
            apply_edits(view.texts, edits),
            edits,
            plan,
            view.context,
            view.response_path,
            view.question,
            tuple(memory),
            view.keep,
            gender,
            anchored,
        )
        recogniser = self.recogniser
        if anchored and recogniser.name == "lexicon":
            recogniser = LexiconRecogniser(TYPES, self.lexicon)  # a given answer has any type
        checks = verify(case, self.lexicon, recognise_again(recogniser, plan, anchored))
        answers = [e for e in edits if e.path == view.response_path]
        longest = max(answers, key=lambda e: (len(e.old), -e.start))
        return Counterfactual(
            case.after,
            tuple(edits),
            plan,
            gender,
            longest.new,
            longest.old,
            tuple(checks),
            anchored,
        )


def _unshared(view: View, entities: Sequence[Entity]) -> str:
    """The response without the shared dates, which may be written in another notation."""
    text = view.texts[view.response_path]
    places = sorted(
        (
            (m.start, m.end)
            for e in entities
            if e.span.type == "DATE"
            for m in e.mentions
            if m.path == view.response_path
        ),
        reverse=True,
    )
    for start, end in places:
        text = text[:start] + text[end:]
    return text


def _has_article(span: Span, texts: Mapping[str, str]) -> bool:
    if span.type != "COUNTRY" or span.detail.split(":")[-1] not in ARTICLE_COUNTRIES:
        return False
    return any(
        re.search(rf"(?<!\w)the {re.escape(span.text)}(?!\w)", t, re.I) for t in texts.values()
    ) and span.detail.startswith("name:")


def _check_rivals(entity: Entity) -> None:
    """H4: nobody else in the text may share a part of the name."""
    if entity.rivals:
        raise Refusal("H4", f"{entity.rivals[0]!r} shares a part of {entity.span.text!r}")


def _check_country_names(entity: Entity) -> None:
    names = {m.text.lower() for m in entity.mentions if m.detail.startswith("name:")}
    if len(names) > 1:
        raise Refusal("H4", f"the country has {len(names)} names in the text")


def recognise_again(recogniser: Recogniser, plan: Substitution, anchored: bool) -> _SecondPass:
    """The second pass of H5: the recogniser, and the tables for names that it cannot know."""
    return _SecondPass(recogniser, plan, anchored)


@dataclass(frozen=True, slots=True)
class _SecondPass:
    recogniser: Recogniser
    plan: Substitution
    anchored: bool

    def __call__(self, texts: Mapping[str, str]) -> list[Span]:
        spans = list(self.recogniser.spans(texts))
        if self.plan.source == "fictional":
            spans += [
                Span(path, run.start, run.end, kind, text[run.start : run.end])
                for path, text in texts.items()
                for run in capital_runs(text)
                if (kind := fictional_type(text[run.start : run.end]))
            ]
        if (
            self.plan.new_type
            or self.anchored
            or self.plan.source in {"alias", "corpus", "plan"}
            or self.recogniser.name != "lexicon"
        ):
            spans += self._by_table(texts)
        return spans

    def _by_table(self, texts: Mapping[str, str]) -> list[Span]:
        from .lexicon.kinds import types_by_table

        plan = self.plan
        found = []
        for new in {plan.substitute, *plan.forms.values()}:
            kinds = types_by_table(new) | types_by_table(
                " ".join(w for w in new.split(" ") if w.lower() not in GENERIC_WORDS)
            )
            pattern = re.compile(rf"(?<!\w){re.escape(new)}(?!\w)", re.I)
            for path, text in texts.items():
                for match in pattern.finditer(text) if kinds else ():
                    found += [
                        Span(path, match.start(), match.end(), kind, match.group())
                        for kind in kinds
                    ]
        return found
