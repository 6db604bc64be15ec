"""Which entities of an example could be substituted: shared by context and response.

Mentions of one entity are brought together ("Mary Shelley" and "Shelley",
"Peru" and "Peruvian", two notations of a day); an entity that the question
names, or whose name another person shares, is no candidate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ifcurate.records import Example

from ..recognise.spans import TYPES, Span
from .edits import row_texts
from .forms import Refusal, name_forms

__all__ = ["Entity", "View", "shared_entities", "view_example"]

_KEPT_NAMES = frozenset({"from", "role", "id", "uid", "uuid", "prompt_id", "tools", "type"})
_ORDER = {t: i for i, t in enumerate(("PERSON", "DATE", "MONEY", "CITY", "COUNTRY"))}
Stretch = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class View:
    """An example as the engine sees it: all strings of its row, and what each is."""

    texts: Mapping[str, str]
    context: tuple[Stretch, ...]
    question: tuple[Stretch, ...]
    response_path: str
    keep: frozenset[str]

    @property
    def context_text(self) -> str:
        """All context, in order."""
        return "\n".join(self.texts[p][a:b] for p, a, b in self.context)

    @property
    def question_text(self) -> str:
        """All that asks."""
        return "\n".join(self.texts[p][a:b] for p, a, b in self.question)


def view_example(example: Example) -> View:
    """The strings of the example's row, with the stretches that are context and question.

    Raises `Refusal` when the response or a context cannot be found in the row.
    """
    texts = row_texts(example.row)
    context = tuple((b.path, b.start, b.end) for b in example.blocks if b.path in texts)
    if len(context) != len(example.blocks) or example.response_path not in texts:
        raise Refusal("row", "a text of the example is not a string of its row")
    if texts[example.response_path] != example.response:
        raise Refusal("row", "the response is not a string of its row")
    outer: dict[str, list[tuple[int, int]]] = {}
    for block in example.blocks:
        outer.setdefault(block.path, []).append((block.outer_start, block.outer_end))
    asked = {example.instruction, example.system} - {""}
    asked |= {t.content for t in example.history if t.role == "user"}
    asked |= {t.content for t in getattr(example, "trailing", ()) if t.role == "user"}
    own = {b.path for b in example.blocks if b.part == "context"}
    question: list[Stretch] = []
    for path, text in texts.items():
        if path == example.response_path or path in own or text not in asked:
            continue
        last = 0
        for start, end in sorted(outer.get(path, ())):
            question.append((path, last, start))
            last = end
        question.append((path, last, len(text)))
    keep = frozenset(
        p
        for p in texts
        if p.rsplit(".", 1)[-1].split("[")[0] in _KEPT_NAMES
        or p.split(".")[0].split("[")[0] == "tools"
    )
    return View(
        texts, context, tuple(s for s in question if s[1] < s[2]), example.response_path, keep
    )


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: the span that stands for it, and all its mentions."""

    span: Span
    mentions: tuple[Span, ...]
    rivals: tuple[str, ...] = ()  # names of other people that share a part of this one
    alone: bool = False  # no other person was found


def _within(span: Span, stretches: Sequence[Stretch]) -> bool:
    return any(p == span.path and a <= span.start and span.end <= b for p, a, b in stretches)


def _touches(span: Span, stretches: Sequence[Stretch]) -> bool:
    return any(p == span.path and a < span.end and span.start < b for p, a, b in stretches)


def shared_entities(view: View, spans: Sequence[Span]) -> list[Entity]:
    """Entities with a mention in the context and one in the response, none in the question.

    The order depends on the example alone: whole responses first, then by type,
    then by place in the response.
    """
    response = view.texts[view.response_path].strip().rstrip(".").lower()
    spans = [*spans, *_parts_in_response(view, spans), *_whole_response(view, spans)]
    found: list[tuple[tuple[int, int, int], Entity]] = []
    for entity in _group(spans):
        answers = [m for m in entity.mentions if m.path == view.response_path]
        if not answers or not any(_within(m, view.context) for m in entity.mentions):
            continue
        if any(_touches(m, view.question) for m in entity.mentions):
            continue
        whole = min(int(m.text.lower() != response) for m in answers)
        rank = (whole, _ORDER.get(entity.span.type, 9), min(m.start for m in answers))
        found.append((rank, entity))
    return [entity for _, entity in sorted(found, key=lambda f: f[0])][:6]


def _parts_in_response(view: View, spans: Sequence[Span]) -> list[Span]:
    """Parts of full names in the response ("Clinton") that nothing else says are people."""
    text = view.texts[view.response_path]
    taken = [(s.start, s.end) for s in spans if s.path == view.response_path]
    found = []
    for span in spans:
        if span.type != "PERSON" or not span.detail.startswith("full"):
            continue
        for form in name_forms(span.text).values():
            if form not in text:
                continue
            for match in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text):
                place = match.span()
                if not any(a < place[1] and place[0] < b for a, b in taken):
                    taken.append(place)
                    gender = span.detail.split(":")[1]
                    found.append(Span(view.response_path, *place, "PERSON", form, f"part:{gender}"))
    return found


def _whole_response(view: View, spans: Sequence[Span]) -> list[Span]:
    """The response when it is a name of the context in small letters ("los angeles")."""
    text = view.texts[view.response_path]
    answer = text.strip().rstrip(".")
    if not answer.islower() or len(answer) > 60:
        return []
    start = text.index(answer)
    for span in spans:
        if span.type in {"PERSON", "CITY", "COUNTRY"} and span.text.lower() == answer:
            end = start + len(answer)
            return [replace(span, path=view.response_path, start=start, end=end)]
    return []


def _group(spans: Sequence[Span]) -> list[Entity]:
    people = [s for s in spans if s.type == "PERSON"]
    groups: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        if span.type == "COUNTRY":
            key = span.detail.split(":")[-1]
        elif span.type in TYPES and span.type not in {"PERSON", "CITY"}:
            key = span.detail
        elif span.type != "PERSON":
            key = span.text.lower()
        else:
            continue
        groups.setdefault((span.type, key), []).append(span)
    entities = []
    for (kind, _), members in groups.items():
        chosen = members[0]
        if kind == "COUNTRY":
            chosen = min(members, key=lambda s: (not s.detail.startswith("name:"), s.start))
        entities.append(Entity(chosen, tuple(members)))
    return entities + _people(people)


def _people(spans: Sequence[Span]) -> list[Entity]:
    """People by their longest name; a part goes to the one person who has it."""
    members: dict[str, list[Span]] = {}  # by the name in small letters
    for span in spans:
        members.setdefault(span.text.lower(), []).append(span)
    ordered = sorted(members, key=lambda n: (-len(n.split(" ")), -len(n), n))
    by_form: dict[str, list[str]] = {}  # a form -> the longest names that have it
    by_word: dict[str, list[str]] = {}  # a word -> all names that have it
    owned: dict[str, list[str]] = {}  # a longest name -> all names of that person
    for name in ordered:
        for word in set(name.split(" ")):
            by_word.setdefault(word, []).append(name)
        fits = by_form.get(name, [])
        if len(fits) == 1:
            owned[fits[0]].append(name)
        elif not fits:
            owned[name] = [name]
            for form in set(name_forms(_as_written(members[name])).values()):
                by_form.setdefault(form.lower(), []).append(name)
    return [
        _person(head, names, members, by_word, alone=len(members) == len(names))
        for head, names in owned.items()
    ]


def _as_written(spans: Sequence[Span]) -> str:
    """The name in its usual letters: not in capitals only, where it is also written otherwise."""
    return min((s.text for s in spans), key=lambda t: (t.isupper(), t.islower(), t))


def _person(
    head: str,
    names: Sequence[str],
    members: Mapping[str, Sequence[Span]],
    by_word: Mapping[str, Sequence[str]],
    *,
    alone: bool,
) -> Entity:
    mentions = tuple(s for name in names for s in members[name])
    usual = _as_written(members[head])
    span = next(s for s in members[head] if s.text == usual)
    shape, gender = span.detail.split(":")
    said = {m.detail.split(":")[1] for m in mentions} & {"m", "f"}
    if len(said) == 1 and gender not in {"m", "f"}:
        span = replace(span, detail=f"{shape}:{said.pop()}")
    words = {w.lower() for w in name_forms(usual).values() if " " not in w}
    rivals = {n for w in words for n in by_word.get(w, ()) if n not in names}
    return Entity(span, mentions, tuple(sorted(rivals)), alone)
