"""Which entities of an example could be substituted: shared by context and response.

Mentions of one entity are brought together ("Mary Shelley" and "Shelley",
"Peru" and "Peruvian", two notations of a day); an entity that the question
names, or whose name another person shares, is no candidate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ifcurate.records import Example

from ..checks import Check, Refusal
from ..lexicon.wording import without_end_marks
from ..recognise.spans import TYPES, VALUES, Shape, Span
from .edits import row_texts
from .forms import name_forms

__all__ = ["Entity", "View", "memory_answers", "shared_entities", "view_example"]

_KEPT_NAMES = frozenset({"from", "role", "id", "uid", "uuid", "prompt_id", "tools", "type"})
_ORDER = {t: i for i, t in enumerate(TYPES)}
Stretch = tuple[str, int, int]
_MEMORY = ("memory_answer", "parametric_answer")
_REMARK = re.compile(
    r"\((?:administrative|legislative|judicial|judiciary|official|de facto|seat of government|"
    r"changed [^)]*)\)"
)
#: A question at the end of what was found as context.
_ASKED = re.compile(
    r"(?:(?<=\n)|\A)[ \t]*(?:(?:question|q|query)\s*:[^\n]+|[^\n]{8,300}\?)\s*"
    r"(?:answer\s*:?\s*)?\Z",
    re.I,
)


@dataclass(frozen=True, slots=True)
class View:
    """An example as the engine sees it: all strings of its row, and what each is."""

    texts: Mapping[str, str]
    context: tuple[Stretch, ...]
    question: tuple[Stretch, ...]
    response_path: str
    keep: frozenset[str]
    memory: tuple[str, ...] = ()  # remembered answers, which stay as they are

    @property
    def response(self) -> str:
        """The response without the markers that end it."""
        return without_end_marks(self.texts[self.response_path])

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

    A question that stands inside the context (its last line, or a line that is
    labelled so) counts as question. Raises `Refusal` when the response or a
    context cannot be found in the row.
    """
    texts = row_texts(example.row)
    context = tuple((b.path, b.start, b.end) for b in example.blocks if b.path in texts)
    if len(context) != len(example.blocks) or example.response_path not in texts:
        raise Refusal(Check.ROW, "a text of the example is not a string of its row")
    if texts[example.response_path] != example.response:
        raise Refusal(Check.ROW, "the response is not a string of its row")
    given, carved = _carve(texts, context)
    return View(
        texts,
        given,
        (*_questions(example, texts), *carved),
        example.response_path,
        frozenset(p for p in texts if _is_kept(p)),
        memory_answers(example.row),
    )


def _questions(example: Example, texts: Mapping[str, str]) -> Iterator[Stretch]:
    """What asks: instruction, system and the user's turns, without the contexts in them."""
    outer: dict[str, list[tuple[int, int]]] = {}
    for block in example.blocks:
        outer.setdefault(block.path, []).append((block.outer_start, block.outer_end))
    asked = {example.instruction, example.system} - {""}
    asked |= {t.content for t in (*example.history, *example.trailing) if t.role == "user"}
    own = {b.path for b in example.blocks if b.part == "context"} | {example.response_path}
    for path, text in texts.items():
        if path in own or text not in asked:
            continue
        last = 0
        for start, end in (*sorted(outer.get(path, ())), (len(text), len(text))):
            if last < start:
                yield path, last, start
            last = end


def _carve(
    texts: Mapping[str, str], context: Sequence[Stretch]
) -> tuple[tuple[Stretch, ...], tuple[Stretch, ...]]:
    """The contexts without the question that stands at their end, and that question."""
    given: list[Stretch] = []
    carved: list[Stretch] = []
    for path, start, end in context:
        if found := _ASKED.search(texts[path], start, end):
            carved.append((path, found.start(), end))
            end = found.start()
        if start < end:
            given.append((path, start, end))
    return tuple(given), tuple(carved)


def _is_kept(path: str) -> bool:
    """Whether no edit may fall there: ids, roles, tools, remembered answers."""
    head = path.split(".")[0].split("[")[0]
    return path.rsplit(".", 1)[-1].split("[")[0] in _KEPT_NAMES or head in {"tools", *_MEMORY}


def memory_answers(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The remembered answers of a row, its lists of aliases taken apart."""
    found: list[str] = []
    for name in _MEMORY:
        value = row.get(name)
        if isinstance(value, str):
            parts = re.split(r";|\bor\b|[()*]", _REMARK.sub(";", value))
            found += [p.strip(" ,.*") for p in parts if len(p.strip(" ,.*")) > 1]
    return tuple(dict.fromkeys(found))


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
    response = view.response.strip().rstrip(".").removeprefix("the ").lower()
    spans = [*spans, *_in_response(view, spans), *_whole_response(view, spans)]
    found: list[tuple[tuple[int, int, int], Entity]] = []
    for entity in _group(spans):
        answers = [m for m in entity.mentions if m.path == view.response_path]
        if not answers or not any(_within(m, view.context) for m in entity.mentions):
            continue
        if any(_touches(m, view.question) for m in entity.mentions):
            continue
        whole = min(int(m.text.lower() != response) for m in answers)
        rank = (whole, _ORDER.get(entity.span.type, 99), min(m.start for m in answers))
        found.append((rank, entity))
    return [entity for _, entity in sorted(found, key=lambda f: f[0])][:6]


def _in_response(view: View, spans: Sequence[Span]) -> Iterator[Span]:
    """Names of the context in the response, and parts of full names ("Clinton"), not seen there."""
    text, path = view.texts[view.response_path], view.response_path
    taken = [(s.start, s.end) for s in spans if s.path == path]
    for span in _first_of_each(s for s in spans if s.path != path):
        full = span.type == "PERSON" and span.shape == "full"
        for form in name_forms(span.text).values() if full else (span.text,):
            shape: Shape = "part" if full and form != span.text else span.shape
            for a, b in _places(form, text):
                if all(end <= a or b <= start for start, end in taken):
                    taken.append((a, b))
                    yield replace(span, path=path, start=a, end=b, text=form, shape=shape)


def _first_of_each(spans: Iterable[Span]) -> list[Span]:
    """The first span of every name; values are compared by what they are worth."""
    first: dict[str, Span] = {}
    for span in spans:
        if span.type not in VALUES:
            first.setdefault(span.text, span)
    return list(first.values())


def _places(form: str, text: str) -> list[tuple[int, int]]:
    """Where a form stands as whole words."""
    if form not in text:
        return []
    return [m.span() for m in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text)]


def _whole_response(view: View, spans: Sequence[Span]) -> Iterator[Span]:
    """The response when it is a name of the context in small letters ("los angeles")."""
    answer = view.response.strip().rstrip(".")
    if not answer.islower() or len(answer) > 60:
        return
    start = view.texts[view.response_path].index(answer)
    for span in spans:
        if span.type not in VALUES and span.text.lower() == answer:
            yield replace(span, path=view.response_path, start=start, end=start + len(answer))
            return


def _group(spans: Sequence[Span]) -> list[Entity]:
    groups: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        if span.type != "PERSON":
            key = span.code if span.type == "COUNTRY" else span.value or span.text.lower()
            groups.setdefault((span.type, key), []).append(span)
    entities = []
    for members in groups.values():
        # of a country's forms its name stands for it
        chosen = min(members, key=lambda s: (s.shape not in {"", "name"}, s.path, s.start))
        chosen = chosen if chosen.type == "COUNTRY" else members[0]
        entities.append(Entity(chosen, tuple(members)))
    return entities + _people([s for s in spans if s.type == "PERSON"])


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
    said = {m.gender for m in mentions} & {"m", "f"}
    if len(said) == 1 and span.gender not in {"m", "f"}:
        span = replace(span, gender=said.pop())
    words = {w.lower() for w in name_forms(usual).values() if " " not in w}
    rivals = {n for w in words for n in by_word.get(w, ()) if n not in names}
    return Entity(span, mentions, tuple(sorted(rivals)), alone)
