"""Find the context inside a prompt whose text contains it.

Prompts mark their context in few ways: a label ("Passage:"), a heading, tags, fences,
or an instruction that points to it ("Summarise this email: ...", "According to the text
above, ..."). Some contexts have no mark, such as a long text beside a short question. Each way is
one rule of `rules.RULES`. The rules are tried in the order of that table, and the first rule
whose cut leaves a prompt that still asks for something is used. Positions count characters
of the text. Cutting ``text[outer_start:outer_end]`` leaves the prompt without its context.

The time is linear in the length of the text. No text raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ifcurate.options.data import MIN_CONFIDENCE

from .asking import announces_question, lacks_question, remains_asking, shrink, trim_requests
from .between import find_between
from .enclosed import find_fenced, find_keys, find_named_quote, find_ruled, find_tags
from .forms import is_choices, is_directive
from .learned_template import LearnedTemplate, find_in_template, match_template
from .lines import is_only_asking
from .marks import find_labelled, find_marks, find_numbered
from .one_line import prepare
from .pointing import find_above, find_lead, find_long
from .spans import ContextSpan, Mark, rest_of
from .words import Language, add_languages

_Finder = Callable[[str, list[Mark]], list[ContextSpan]]

#: The steps of the search in their order: the names of the rules, and the function.
STEPS: tuple[tuple[tuple[str, ...], _Finder], ...] = (
    (("tag",), lambda text, marks: find_tags(text)),
    (("ruled",), lambda text, marks: find_ruled(text)),
    (("key",), lambda text, marks: find_keys(text)),
    (("label", "heading", "phrase", "hint"), lambda text, marks: _find_named(text, marks)),
    (("numbered",), find_numbered),
    (("lead",), lambda text, marks: find_named_quote(text) or find_lead(text, marks)),
    (("fence",), lambda text, marks: find_fenced(text)),
    (("above",), find_above),
    (("long-paragraph",), find_long),
    (("between",), find_between),
)


@dataclass(frozen=True, slots=True)
class Tried:
    """One step of the search: the rules that were tried, and the outcome."""

    rules: tuple[str, ...]
    outcome: str  # "taken", "nothing", or why the spans were not taken
    spans: tuple[ContextSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """The contexts of a text, and every step of the search."""

    spans: tuple[ContextSpan, ...]
    tried: tuple[Tried, ...]

    @property
    def reason(self) -> str:
        """The reason why there is no context; "" when there is one."""
        if self.spans:
            return ""
        refused = [tried for tried in self.tried if tried.spans]
        if len(self.tried) == 1 and self.tried[0].rules == ("template",):
            return self.tried[0].outcome
        if not refused:
            return "no rule finds a context"
        return f"{', '.join(refused[0].rules)}: {refused[0].outcome}"


def find_context(
    text: str,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    must_ask: bool = True,
    templates: Sequence[LearnedTemplate] = (),
    languages: Sequence[Language] = (),
) -> list[ContextSpan]:
    """Find the context in one user message or prompt.

    Returns spans in order, without overlaps: usually none or one, sometimes two (a background
    and a situation). Rules below `min_confidence` are not used. With `must_ask`, what remains
    after the cut must ask for something; without it, the request may be elsewhere, as in a
    later turn. `templates` are the templates of the text's source (`learn_templates`). A text that
    fits a template is read by it, before any rule. `languages` are additional words: use
    `read_language`, or `Language(name="mine", context=frozenset(["vignette"]))` for a label.
    """
    explained = explain_context(
        text,
        min_confidence=min_confidence,
        must_ask=must_ask,
        templates=templates,
        languages=languages,
    )
    return list(explained.spans)


def explain_context(
    text: str,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    must_ask: bool = True,
    templates: Sequence[LearnedTemplate] = (),
    languages: Sequence[Language] = (),
) -> Explained:
    """Find the context, with each rule that was tried and why its result was not used."""
    with add_languages(languages):
        return _explain(text, min_confidence, templates, must_ask=must_ask)


def _explain(
    text: str, min_confidence: float, templates: Sequence[LearnedTemplate], *, must_ask: bool
) -> Explained:
    for template in templates:
        slots = match_template(text, template)
        if slots is None or template.confidence < min_confidence:
            continue
        spans = _arrange(text, find_in_template(text, template, slots))
        if not spans and not template.contexts and _is_named(text, min_confidence, must_ask):
            continue
        outcome = "taken" if spans else f"no context: {template.describe()}"
        return Explained(tuple(spans), (Tried(("template",), outcome, tuple(spans)),))
    prompt = prepare(text)
    tried: list[Tried] = []
    for step in _try_rules(prompt.text, min_confidence, must_ask):
        if step.spans:
            step = replace(step, spans=tuple(map(prompt.restore, step.spans)))
        tried.append(step)
        if step.outcome == "taken":
            return Explained(tried[-1].spans, tuple(tried))
    return Explained((), tuple(tried))


def _is_named(text: str, min_confidence: float, must_ask: bool) -> bool:
    """Return whether a mark, such as a label, says that the text holds a context.

    A template without a context is learned from rows of which few have such a mark.
    """
    for tried in _try_rules(text, min_confidence, must_ask):
        if tried.outcome == "taken":
            return set(tried.rules) <= set(_NAMED)
    return False


def _try_rules(text: str, min_confidence: float, must_ask: bool) -> Iterator[Tried]:
    marks = find_marks(text)
    for names, finder in STEPS:
        spans = finder(text, marks)
        if not spans:
            yield Tried(names, "nothing")
            continue
        yield _judge(text, spans, min_confidence, must_ask)


def _judge(text: str, spans: list[ContextSpan], min_confidence: float, must_ask: bool) -> Tried:
    """Decide whether spans are used: their confidence suffices, and another request remains."""
    names = tuple(dict.fromkeys(span.rule for span in spans))
    sure = [span for span in spans if span.confidence >= min_confidence]
    if not sure:
        most = max(span.confidence for span in spans)
        return Tried(names, f"its confidence is {most:g}, below {min_confidence:g}", tuple(spans))
    taken = _arrange(
        text, [span for span in sure if not _is_request(text[span.start : span.end], span.rule)]
    )
    if not taken:
        return Tried(names, "what it finds is itself a request", tuple(spans))
    if names[0] in _WEAK and not (taken := _trim(text, taken)):
        return Tried(names, "what it finds holds a request", tuple(spans))
    left = _keep_request(text, taken) if must_ask else taken
    if not left:
        return Tried(names, "what remains would not ask for anything", tuple(taken))
    return Tried(names, "taken", tuple(left))


def _trim(text: str, taken: list[ContextSpan]) -> list[ContextSpan]:
    """Return the spans without requests at their edges; [] when the edges are unclear."""
    trimmed = _arrange(text, trim_requests(text, taken))
    if trimmed != taken and lacks_question(rest_of(text, taken)):
        return []  # they contain the question that the request mentions
    return trimmed


def _keep_request(text: str, taken: list[ContextSpan]) -> list[ContextSpan]:
    """Return the spans without a request that only they have; [] when no request would remain."""
    if remains_asking(text, taken):
        if not lacks_question(rest_of(text, taken)):
            return taken
        return _arrange(text, shrink(text, taken)) or taken
    shrunk = _arrange(text, shrink(text, taken))
    return shrunk if shrunk and remains_asking(text, shrunk) else []


#: Rules that find a document in a system message, where only marks and leads count.
_IN_SYSTEM = ("tag", "ruled", "label", "numbered", "lead", "fence")
#: Rules whose mark alone shows that a text follows.
_NAMED = ("tag", "key", "label", "heading", "phrase")
#: Rules that locate a text only by the requests around it.
_WEAK = ("phrase", "lead", "above", "long-paragraph", "between")


def _is_request(body: str, rule: str) -> bool:
    """Return whether a text is a question, an instruction or the choices that belong to one."""
    if is_only_asking(body):
        return True
    return rule not in _NAMED and (is_choices(body) or announces_question(body))


def find_document(text: str) -> list[ContextSpan]:
    """Find the documents or the knowledge that a system message carries.

    Its instructions are not context: the list is empty for a message that only instructs.
    """
    marks = find_marks(text)
    for names, finder in STEPS:
        found = finder(text, marks) if names[0] in _IN_SYSTEM else []
        if facts := [span for span in found if not is_directive(text[span.start : span.end])]:
            return _arrange(text, facts)
    return []


def _find_named(text: str, marks: list[Mark]) -> list[ContextSpan]:
    """Find labelled texts; a long hint counts as one beside the text that it belongs to."""
    spans, hints = find_labelled(text, marks)
    if numbered := find_numbered(text, marks) if len(spans) > 1 else []:
        first, last = numbered[0].outer_start, numbered[0].end
        spans = [span for span in spans if span.end <= first or span.start >= last] + numbered
    if hints and not spans:
        spans = find_lead(text, marks) or find_above(text, marks)
    return spans + [
        h for h in hints if all(h.start >= span.end or h.end <= span.start for span in spans)
    ]


def _arrange(text: str, spans: Sequence[ContextSpan]) -> list[ContextSpan]:
    """Return the spans in order, without overlaps, with the white space that a cut would leave.

    The wider one of the gaps before and after a cut remains. No gap remains at the start of
    the text. At its end the text keeps its own ending.
    """
    runs: list[list[ContextSpan]] = []  # cuts with nothing but white space between them
    floor = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start < floor:
            continue
        span = replace(span, outer_start=max(span.outer_start, floor))
        if runs and not text[floor : span.outer_start].strip():
            runs[-1][-1] = replace(runs[-1][-1], outer_end=span.outer_start)
            runs[-1].append(span)
        else:
            runs.append([span])
        floor = span.outer_end
    return [span for run in runs for span in _with_gap(text, run)]


def _with_gap(text: str, run: list[ContextSpan]) -> list[ContextSpan]:
    """Return the same spans with the narrower gap beside them."""
    start, end = run[0].outer_start, run[-1].outer_end
    before = len(text[:start].rstrip())
    after = len(text) - len(text[end:].lstrip())
    is_wider_behind = text.count("\n", before, start) < text.count("\n", end, after)
    if after == len(text) or (before > 0 and is_wider_behind):
        return [replace(run[0], outer_start=before), *run[1:]]
    return [*run[:-1], replace(run[-1], outer_end=after)]
