"""Lines, quotes, questions and instructions: the small parts of finding a context.

What a stretch of text is (worth being a context, a question, an instruction, a way to
behave), and where the questions around a text begin. Windows are bounded, so that the
time stays linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from . import rules as cr
from .words import asks_in, classify_label, count_words

__all__ = [
    "WINDOW",
    "Found",
    "Mark",
    "ask_start",
    "asks_first",
    "head_lines",
    "is_choices",
    "is_directive",
    "is_instruction",
    "is_no_context",
    "is_question",
    "is_spoken",
    "is_title",
    "last_sentences",
    "make_found",
    "n_words",
    "settles",
    "skip_asks",
]

WINDOW = 2000  # characters at either end in which questions and instructions are sought


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of a prompt that is context.

    `start:end` is the context itself; `outer_start:outer_end` is what is cut with it:
    its label, its quotes, the blank lines that would be left over. All four count
    characters (Python code points) of the text as given.
    """

    start: int
    end: int
    outer_start: int
    outer_end: int
    rule: str  # a name of `RULES`
    confidence: float  # 0..1


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that announces a text, or a question, or an answer."""

    start: int  # of the line
    content: int  # behind the colon
    kind: str  # the rule for a context ("label", "heading", "phrase", "hint"), "ask" or "answer"
    noun: str
    line_end: int


def is_no_context(text: str) -> bool:
    """Whether a context field only says that there is none ("No input", "N/A", "<noinput>").

    Case, punctuation, quotes and brackets do not matter; a text without any letter or
    digit is no context either.
    """
    if len(text) > 200:
        return not text.strip()
    words = re.sub(r"[^\w/]+|_", " ", text.lower()).replace("/", " / ").split()
    flat = " ".join(words).strip("/ ")
    if not flat:
        kinds = {unicodedata.category(ch) for ch in text}
        return not any(kind[0] in "LN" or kind == "So" for kind in kinds)
    if flat in ("nothing", "empty", "blank"):
        return text.strip()[0] in "<[({"
    return cr.NO_CONTEXT.fullmatch(flat) is not None


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    """The same stretch without white space at its ends."""
    body = text[start:end]
    left = len(body) - len(body.lstrip())
    return (start + left, start + len(body.rstrip())) if left < len(body) else (start, start)


_PAIRS = (("```", "```"), ('"""', '"""'), ("'''", "'''"), ("~~~", "~~~"))
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "„": "“", "”": "”", "`": "`"}


def _peel(text: str, start: int, end: int) -> tuple[int, int, int, int]:
    """Content without its quotes or fences, and the stretch with them."""
    outer = start, end = _strip(text, start, end)
    for opening, closing in _PAIRS:
        first = text.find("\n", start, start + 40)
        fenced = text.startswith(opening, start) and text.endswith(closing, start + 6, end)
        if fenced:
            lang = first >= 0 and text[start + 3 : first].strip().isalnum()
            inner = first if lang else start + 3
            return (*_strip(text, inner, end - 3), *outer)
    tail = end
    while tail > start + 1 and text[tail - 1] in ",.;:":
        tail -= 1
    closing_quote = _QUOTES.get(text[start : start + 1], "")
    if closing_quote and tail - 1 > start and text[tail - 1] == closing_quote:
        inner_text = text[start + 1 : tail - 1]
        if inner_text.count(closing_quote) % 2 == 0 or closing_quote in "'’`":
            return (*_strip(text, start + 1, tail - 1), *outer)
    return start, end, *outer


def n_words(text: str, start: int, end: int, enough: int = 100) -> int:
    """How many words a stretch has, counted no further than `enough`."""
    return count_words(text[start : min(end, start + 12 * enough + 200)], enough)


def _worth(text: str, start: int, end: int, at_least: int) -> bool:
    """Whether a stretch can be a context at all."""
    if end <= start or n_words(text, start, end) < at_least:
        return False
    if end - start <= 200:
        body = text[start:end]
        return not (is_no_context(body) or cr.PLACEHOLDER.fullmatch(body))
    return True


def make_found(
    text: str, start: int, end: int, rule: str, *, label_start: int | None = None, at_least: int = 2
) -> list[Found]:
    """A `Found` of the content in `start:end`, or nothing when it is not worth it."""
    inner_start, inner_end, outer_start, outer_end = _peel(text, start, end)
    if not _worth(text, inner_start, inner_end, at_least):
        return []
    outer_start = outer_start if label_start is None else label_start
    return [Found(inner_start, inner_end, outer_start, outer_end, rule, cr.rule_confidence(rule))]


def is_directive(body: str, limit: float = 0.6) -> bool:
    """Whether a text tells the model how to behave, rather than what is the case.

    `limit` is the number of such words per sentence that a source of facts may have.
    """
    head = body[:1500]
    if cr.PERSONA.match(head.lstrip(" -*#\n")):
        return True
    n_sentences = max(1, len(re.findall(r"[.!?\n](?=\s|$)", head)))
    return len(cr.DIRECTIVE.findall(head)) / n_sentences > limit


def is_question(line: str) -> bool:
    """Whether a line asks, and is not an utterance or an option."""
    line = line.strip()
    ends = line.rstrip("\"'”’»」*_) ").endswith(("?", "？", "؟")) or cr.QUESTION_START.match(line)
    return (
        len(line) <= 400
        and bool(ends or cr.QUESTION_AND_ORDER.fullmatch(line))
        and not is_spoken(line)
        and not (cr.OPTION.match(line) and line[:1] in "-*•+")
    )


def is_spoken(line: str) -> bool:
    """Whether a line says who speaks, and then something."""
    speaker = cr.SPEAKER.match(line)
    if speaker is None or line[0] in "'‘\"“" or not line[speaker.end() :].strip():
        return False
    return not asks_in(speaker[0])  # "According to the passage: when ...?" in other languages


def is_choices(text: str) -> bool:
    """Whether a text is a list of short options to choose from."""
    lines = [line for line in text[:3000].splitlines() if line.strip()]
    lengths = sorted(count_words(line) for line in lines if cr.OPTION.match(line.strip()))
    return (
        len(lengths) >= 2 and len(lengths) >= 0.7 * len(lines) and lengths[len(lengths) // 2] <= 4
    )


_CODE = re.compile(r"(?:CREATE|SELECT|INSERT|UPDATE|DELETE|DROP|ALTER)\s+[A-Z(*]|.*[;{}]\s*$")


def is_instruction(line: str) -> bool:
    """Whether a line tells what to do, or on what to base the answer."""
    if len(line) > 500:
        return False
    prefix = cr.PREFIX.match(line)
    at = prefix.end() if prefix else 0
    if _CODE.match(line, at):
        return False
    if cr.TASK_START.match(line, at) or cr.BASED_ON.match(line, at):
        return True
    return asks_in(line) and not is_spoken(line)


def _lines_back(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Lines from the last to the first: where each starts, and its text."""
    while end > start:
        line_start = text.rfind("\n", start, end) + 1 or start
        yield line_start, text[line_start:end] if end - line_start <= WINDOW else ""
        if line_start == start:
            return
        end = line_start - 1


def ask_start(text: str, start: int, end: int, *, strict: bool) -> int:
    """Where the questions and instructions that close `start:end` begin; `end` if there are none.

    `strict`: the question stood before, so that only an instruction after a blank line, or
    one that points back, is taken from the end of the text.
    """
    cut, pending, instructed, gap = end, 0, False, False
    for n_lines, (line_start, raw) in enumerate(_lines_back(text, start, end)):
        line = raw.strip()
        if n_lines > 200:
            break
        if not line:
            if raw or line_start == end or not text[line_start].strip():
                gap = True
                continue
            break  # too long a line to be asked
        if not text[max(start, line_start - 400) : line_start].strip():
            break  # something must be left in front
        blank_before = _ends_blank(text[max(0, line_start - 4) : line_start])
        if is_instruction(line) or (blank_before and len(line) < 250 and cr.MANNER.match(line)):
            closes = blank_before and cr.ORDER.match(line)
            if strict and not closes and not cr.POINTS_BACK.search(line):
                break
            cut, instructed = line_start, True
        elif cr.RULER_LINE.match(raw):
            cut = line_start
        elif is_question(line) and not strict:
            if cut < end and gap and (instructed or _tells(line)):
                break
            cut = line_start
        elif cut == end and pending < 12 and len(line) <= 200 and cr.OPTION.match(line):
            pending += 1
        else:
            break
        gap = False
    return cut


def _tells(question: str) -> bool:
    """Whether a line that ends in a question first says other things, as a paragraph does."""
    return len(question) > 100 and re.search(r"[.!?] +[A-Z]", question) is not None


def _ends_blank(text: str) -> bool:
    return text.replace("\r", "").replace(" ", "").endswith("\n\n")


def last_sentences(text: str, start: int, end: int) -> int:
    """Where a closing sentence that points back begins, in a text of one line; else `end`."""
    window = max(start, end - 500)
    for match in re.finditer(r"(?<=[.!?\"”'])\s+(?=[A-Z])", text[window:end]):
        at = window + match.end()
        sentence = text[at:end]
        if not cr.POINTS_BACK.search(sentence):
            continue
        asked = is_instruction(sentence) or (
            sentence.rstrip().endswith("?") and not re.search(r"[.!?] [A-Z]", sentence)
        )
        if asked and not sentence.startswith(("In ", "With ", "Finally")):
            return at
    return end


def asks_first(text: str, start: int, end: int) -> bool:
    """Whether a stretch starts with a question or an instruction, as a request does."""
    head = re.match(r"[^.?!\n]{1,500}[.?!:]?", text[start : min(end, start + 501)])
    return bool(head and (is_instruction(head[0]) or head[0].endswith("?")))


_SETTLED = re.compile(r"\b(?:questions?|quer(?:y|ies)|answer|respond|what|who|when|where)\b", re.I)


def settles(line: str) -> bool:
    """Whether an instruction says all there is to do, so that no question need follow."""
    opens = re.match(r"(?:please |first,? |now,? )*(?:read|use|consider|refer|look)\b", line, re.I)
    return is_instruction(line) and not opens and not _SETTLED.search(line)


def head_lines(text: str) -> Iterator[tuple[int, int]]:
    """The non-blank lines at the start of a text."""
    at = 0
    for _ in range(24):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if text[at : at + 600].strip() and at < end:
            yield at, end
        at = end + 1
        if at >= len(text) or at > WINDOW:
            return


def is_title(line: str) -> bool:
    """A short run of capitalised words: the name of a text rather than the text."""
    if len(line) > 160 or "\n" in line:
        return False
    words = [w for w in re.findall(r"[\w'’]+", line) if len(w) > 3]
    capitals = sum(w[0].isupper() for w in words)
    return len(words) < 14 and capitals >= 0.7 * len(words)


def skip_asks(text: str, at: int, *, settled: bool = False) -> tuple[int, bool]:
    """Past the questions and instructions that stand between a lead and its text.

    `settled`: the lead has said it all, so that only a line right below it which says how
    to answer is passed, and what looks like an instruction later is part of the text.
    """
    asked = False
    for _ in range(8):
        start = at + len(text[at : at + 200]) - len(text[at : at + 200].lstrip())
        end = text.find("\n", start)
        if end < 0:
            return start, asked
        line = text[start:end] if end - start <= 500 else ""
        if settled and (text.count("\n", at, start) > 1 or not cr.ORDER.match(line)):
            return start, asked
        label = cr.LABEL_LINE.match(line)
        kind = classify_label(label["name"].strip())[0] if label else ""
        if kind == "ask" or (is_question(line) and not _tells(line)):
            asked = True
        elif not is_instruction(line):
            return start, asked
        at = end
    return at, asked
