"""Finds the context inside a prompt that carries it in its own text.

Prompts mark their context in few ways: a label ("Passage:"), a heading, tags, fences,
or an instruction that points to it ("Summarise this email: ...", "According to the text
above, ..."). Some contexts have no mark: a long text beside a short question. Each way is
one rule of `rules.RULES`; the rules are tried in the order of that table. The first rule
decides whose cut leaves a prompt that still asks for something. The result is in
characters of the text, so that cutting ``text[outer_start:outer_end]`` leaves the prompt
that the writer would have sent without the context.

The time is linear in the length of the text. No text raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from .asking import (
    announces_question,
    is_only_asking,
    lacks_question,
    remains_asking,
    rest_of,
    shrink,
    shrink_to_lines,
)
from .between import find_between
from .enclosed import find_fenced, find_named_quote, find_quote
from .found import Found, Mark, is_no_context
from .lines import is_choices, is_directive
from .marks import (
    find_labelled,
    find_marks,
    find_numbered,
    find_ruled,
    find_tags,
)
from .one_line import break_lines
from .pointing import find_above, find_lead, find_long
from .rules import RULES
from .shapes import Shape, find_in_shape, match_shape
from .words import Language, add_languages
from .written import find_keys, inner_prompt

__all__ = [
    "RULES",
    "STEPS",
    "Explained",
    "Found",
    "Tried",
    "explain_context",
    "find_context",
    "find_document",
    "is_no_context",
]

_Finder = Callable[[str, list[Mark]], list[Found]]

#: What is tried, in this order: the names of the rules, and the function that looks.
STEPS: tuple[tuple[tuple[str, ...], _Finder], ...] = (
    (("tag",), lambda text, marks: find_tags(text)),
    (("ruled",), lambda text, marks: find_ruled(text)),
    (("key",), lambda text, marks: find_keys(text)),
    (("label", "heading", "phrase", "hint"), lambda text, marks: _find_named(text, marks)),
    (("numbered",), find_numbered),
    (("lead",), lambda text, marks: find_lead(text, marks) or find_named_quote(text)),
    (("fence", "code"), lambda text, marks: find_fenced(text)),
    (("above",), find_above),
    (("quote",), lambda text, marks: find_quote(text)),
    (("long-paragraph",), find_long),
    (("between",), find_between),
)


@dataclass(frozen=True, slots=True)
class Tried:
    """One step of the search: what it looked for and what came of it."""

    rules: tuple[str, ...]
    outcome: str  # "taken", "nothing", or why a find was not taken
    found: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """What was found in a text, and every step on the way."""

    found: tuple[Found, ...]
    tried: tuple[Tried, ...]

    @property
    def reason(self) -> str:
        """Why there is no context; "" when there is one."""
        if self.found:
            return ""
        refused = [tried for tried in self.tried if tried.found]
        if len(self.tried) == 1 and self.tried[0].rules == ("template",):
            return self.tried[0].outcome
        if not refused:
            return "no rule finds a context"
        return f"{', '.join(refused[0].rules)}: {refused[0].outcome}"


def find_context(
    text: str,
    *,
    min_confidence: float = 0.5,
    must_ask: bool = True,
    shapes: Sequence[Shape] = (),
    languages: Sequence[Language] = (),
) -> list[Found]:
    """Find the context in one user message or prompt.

    Returns non-overlapping stretches in their order; usually none or one, sometimes two
    (a background and a situation). Rules below `min_confidence` are left out. With
    `must_ask`, what remains after the cut asks for something; without, the request
    stands elsewhere, as in a later turn. `shapes` are the templates of the text's source
    (`learn_shapes`); a text that fits one is read by it, before any rule. `languages` are
    words of your own, beside those that are known: `read_language`, or
    `Language("mine", context=frozenset(["vignette"]))` for a label.
    """
    explained = explain_context(
        text, min_confidence=min_confidence, must_ask=must_ask, shapes=shapes, languages=languages
    )
    return list(explained.found)


def explain_context(
    text: str,
    *,
    min_confidence: float = 0.5,
    must_ask: bool = True,
    shapes: Sequence[Shape] = (),
    languages: Sequence[Language] = (),
) -> Explained:
    """The same, with each rule that was tried and why its find was not taken."""
    with add_languages(languages):
        return _explain(text, min_confidence, shapes, must_ask=must_ask)


def _explain(
    text: str, min_confidence: float, shapes: Sequence[Shape], *, must_ask: bool
) -> Explained:
    for shape in shapes:
        slots = match_shape(text, shape)
        if slots is None or shape.confidence < min_confidence:
            continue
        found = _arrange(text, find_in_shape(text, shape, slots))
        outcome = "taken" if found else f"no context: {shape.describe()}"
        return Explained(tuple(found), (Tried(("template",), outcome, tuple(found)),))
    start, end = inner_prompt(text)
    broken = break_lines(text[start:end])
    tried: list[Tried] = []
    for step in _try_rules(broken.text, min_confidence, must_ask):
        moved = replace(step, found=tuple(_move(broken.restore(f), start) for f in step.found))
        tried.append(moved)
        if step.outcome == "taken":
            return Explained(moved.found, tuple(tried))
    return Explained((), tuple(tried))


def _try_rules(text: str, min_confidence: float, must_ask: bool) -> Iterator[Tried]:
    marks = find_marks(text)
    for names, finder in STEPS:
        found = finder(text, marks)
        if not found:
            yield Tried(names, "nothing")
            continue
        yield _weigh(text, found, min_confidence, must_ask)


def _weigh(text: str, found: list[Found], min_confidence: float, must_ask: bool) -> Tried:
    """Whether a find is taken: sure enough, and without the only request."""
    names = tuple(dict.fromkeys(f.rule for f in found))
    sure = [f for f in found if f.confidence >= min_confidence]
    if not sure:
        most = max(f.confidence for f in found)
        return Tried(names, f"its confidence is {most:g}, below {min_confidence:g}", tuple(found))
    taken = _arrange(text, [f for f in sure if not _is_request(text[f.start : f.end], f.rule)])
    if not taken:
        return Tried(names, "what it finds is itself a request", tuple(found))
    left = _leave_request(text, taken) if must_ask else taken
    if not left:
        return Tried(names, "what remains would not ask for anything", tuple(taken))
    return Tried(names, "taken", tuple(left))


def _leave_request(text: str, taken: list[Found]) -> list[Found]:
    """The same stretches without a request that only they hold; [] when none would remain."""
    if remains_asking(text, taken):
        if not lacks_question(rest_of(text, taken)):
            return taken
        return _arrange(text, shrink(text, taken) or shrink_to_lines(text, taken)) or taken
    shrunk = _arrange(text, shrink(text, taken))
    return shrunk if shrunk and remains_asking(text, shrunk) else []


#: Rules whose mark says by itself that a text follows.
_NAMED = ("tag", "key", "label", "heading", "phrase")


def _is_request(body: str, rule: str) -> bool:
    """Whether what was found is a question, an instruction or the choices that belong to one."""
    if is_only_asking(body):
        return True
    return rule not in _NAMED and (is_choices(body) or announces_question(body))


def _move(found: Found, by: int) -> Found:
    return replace(
        found,
        start=found.start + by,
        end=found.end + by,
        outer_start=found.outer_start + by,
        outer_end=found.outer_end + by,
    )


def find_document(text: str) -> list[Found]:
    """Find the documents or the knowledge that a system message carries.

    Its instructions stay: a message that only says how to behave gives an empty list.
    """
    for candidates in _in_system(text):
        found = [
            f for f in candidates if f.rule != "code" and not is_directive(text[f.start : f.end])
        ]
        if found:
            return _arrange(text, found)
    return []


def _in_system(text: str) -> Iterator[list[Found]]:
    """What each rule finds in a system message, where only marks and leads count."""
    yield find_tags(text)
    yield find_ruled(text)
    marks = find_marks(text)
    yield find_labelled(text, marks)[0]
    yield find_numbered(text, marks)
    yield find_lead(text, marks)
    yield find_fenced(text)


def _find_named(text: str, marks: list[Mark]) -> list[Found]:
    """Labelled texts; a long hint counts as one beside the text that it belongs to."""
    found, hints = find_labelled(text, marks)
    if numbered := find_numbered(text, marks) if len(found) > 1 else []:
        first, last = numbered[0].outer_start, numbered[0].end
        found = [f for f in found if f.end <= first or f.start >= last] + numbered
    if hints and not found:
        found = find_lead(text, marks) or find_above(text, marks)
    return found + [h for h in hints if all(h.start >= f.end or h.end <= f.start for f in found)]


def _arrange(text: str, found: Sequence[Found]) -> list[Found]:
    """In order, without overlaps, and with the white space that would be left over.

    Of the gaps before and after a cut the wider one stays; none at the start of the text;
    at its end, what the text ended with.
    """
    runs: list[list[Found]] = []  # cuts with nothing but white space between them
    floor = 0
    for f in sorted(found, key=lambda f: (f.start, -f.end)):
        if f.start < floor:
            continue
        f = replace(f, outer_start=max(f.outer_start, floor))
        if runs and not text[floor : f.outer_start].strip():
            runs[-1][-1] = replace(runs[-1][-1], outer_end=f.outer_start)
            runs[-1].append(f)
        else:
            runs.append([f])
        floor = f.outer_end
    for run in runs:
        start, end = run[0].outer_start, run[-1].outer_end
        before = len(text[:start].rstrip())
        after = len(text) - len(text[end:].lstrip())
        if after == len(text) or (
            before > 0 and text.count("\n", before, start) < text.count("\n", end, after)
        ):
            run[0] = replace(run[0], outer_start=before)
        else:
            run[-1] = replace(run[-1], outer_end=after)
    return [f for run in runs for f in run]
