"""Contexts without a mark: pointed at, fenced, quoted, tabulated, or only long."""

from __future__ import annotations

import re
from dataclasses import replace

from . import context_rules as cr
from .context_lines import (
    WINDOW,
    Found,
    ask_start,
    head_lines,
    is_directive,
    is_instruction,
    is_question,
    is_title,
    last_sentences,
    make_found,
    n_words,
    settles,
    skip_asks,
)
from .context_marks import Mark, find_marks

__all__ = ["find_above", "find_fenced", "find_lead", "find_long", "find_quote", "find_table"]


def find_lead(text: str) -> list[Found]:
    """A text on the same line as an instruction that points to it, or on the next ones."""
    marks: list[Mark] | None = None
    for start, end in head_lines(text):
        line = text[start : min(end, start + 500)]
        match = cr.POINTS_ON.search(line)
        strong = bool(match and match["strong"])
        if not match:
            match = cr.POINTS_ON_BARE.search(line)
        if not match:
            continue
        sentence_start = max(
            (line.rfind(s, 0, match.start()) for s in (". ", "! ", "? ")), default=-1
        )
        sentence = line[sentence_start + 2 if sentence_start >= 0 else 0 :].lstrip()
        bare = cr.BARE_LEAD.fullmatch(sentence) is not None
        if not (bare or is_instruction(sentence[:480]) or sentence.rstrip(": ").endswith("?")):
            continue
        marks = find_marks(text) if marks is None else marks
        found = _after_lead(text, (start, end), match.end(), sentence, bare, strong, marks)
        if found:
            return found
    return []


_TO_COLON = re.compile(r"[^.?!:\n]{0,120}:")
_TO_STOP = re.compile(r"[^.?!\n]{0,200}[.?!][\"”']?[ \t]")


def _after_lead(
    text: str,
    line: tuple[int, int],
    at: int,
    sentence: str,
    bare: bool,
    strong: bool,
    marks: list[Mark],
) -> list[Found]:
    """The text that a lead points to: on the same line, or on the lines that follow."""
    start, end = line
    rule = "lead" if strong else "sentence"
    least, asked = 6 if strong else 5, False
    if not strong and not cr.WORKS_ON_TEXT.search(sentence):
        return []
    if re.search(r"\b(?:code|program|function)\b", sentence, re.I) and not strong:
        rule = "code"
    inline = _TO_COLON.match(
        text, start + at - 1 if text[start + at - 1] == ":" else start + at, end
    )
    stop = _TO_STOP.match(text, start + at, end)
    label_start: int | None = None
    if inline and text[inline.end() : end].strip():
        content = inline.end()
        if is_title(text[content : content + 400].strip()):
            return []
    elif stop and n_words(text, stop.end(), end) >= 25:
        content = stop.end()
    elif end - start > 500:
        return []
    else:
        label_start = start if bare else None
        content, asked = skip_asks(text, end)
    limit = next(
        (m.start for m in marks if m.start > content and m.kind in ("ask", "answer", "hint")),
        len(text),
    )
    strict = asked or (not bare and settles(sentence))
    end = ask_start(text, content, limit, strict=strict)
    if end == limit and not strict:
        end = last_sentences(text, content, limit)
    if cr.PERSONA.match(text[content : content + 60].lstrip()):
        return []
    return make_found(text, content, end, rule, label_start=label_start, at_least=least)


_TO_BE_WRITTEN = re.compile(
    r"\b(?:write|create|generate|draft|compose|make|produce|prepare|start|begin|continue)"
    r"(?: me| us)? (?:the|this|that|these|my)\b[^.,?!\n]{0,40}",
    re.I,
)


def find_above(text: str) -> list[Found]:
    """A text that a closing question points back to."""
    full = len(text.rstrip())
    start, _ = skip_asks(text, 0)
    marks = [m for m in find_marks(text) if m.kind in ("ask", "answer")]
    first = next((m.start for m in marks if m.start > start), None)
    if first is not None:
        end = ask_start(text, start, first, strict=False)
        pointed, least = True, 20
        if sum(m.kind == "answer" and m.line_end - m.content > 2 for m in marks) > 1:
            return []
    else:
        end = ask_start(text, start, full, strict=False)
        if end == full:
            end = last_sentences(text, start, full)
        ask = _TO_BE_WRITTEN.sub(" ", text[end:full][:WINDOW])
        pointed, least = bool(cr.POINTS_BACK.search(ask)), 10
    if not pointed or end >= full or is_directive(text[start:end], 1.2):
        return []
    return make_found(text, start, end, "above", at_least=least)


_CODE_LOOK = re.compile(
    r"^\s*(?:def |class |import |from \w+ import|#include|function |const |let |var |public |"
    r"SELECT |for ?\(|if ?\(|return |print|console\.|<\?php|<html)|[;{}]\s*$|\w\(.*\)",
    re.M,
)
_SHAPE = re.compile(r"\b(?:format|schema|example|template|signature|structure|like this)\b", re.I)


def find_fenced(text: str) -> list[Found]:
    """Texts between fences, and code that the task is about."""
    found: list[Found] = []
    opening: re.Match[str] | None = None
    outside: list[str] = []
    floor = 0
    for match in cr.FENCE.finditer(text):
        if opening is None:
            opening = match
            outside.append(text[floor : match.start()][-WINDOW:])
            continue
        if match["fence"] != opening["fence"] or match["info"]:
            continue
        body = text[opening.end() : match.start()]
        code = bool(opening["info"]) or len(_CODE_LOOK.findall(body[:WINDOW])) >= 2
        rule = "code" if code else "fence"
        made = make_found(
            text, opening.end(), match.start(), rule, label_start=opening.start(), at_least=3
        )
        before = outside[-1].rstrip().rsplit("\n", 1)[-1]
        if not _SHAPE.search(before):
            found += [replace(f, outer_end=match.end()) for f in made]
        floor, opening = match.end(), None
        if len(found) > 4:
            return []
    around = " ".join([*outside, text[floor:][:WINDOW]])
    if len(around.split(None, 3)) < 2 or opening is not None:
        return []
    if any(f.rule == "code" for f in found) and not cr.CODE_TASK.search(around):
        return []
    return found


def find_table(text: str) -> list[Found]:
    """A Markdown table."""
    rule = cr.TABLE_RULE.search(text)
    if not rule:
        return []
    start = text.rfind("\n", 0, max(0, rule.start() - 1)) + 1
    end = rule.end()
    for match in cr.TABLE_ROW.finditer(text, rule.start()):
        if text[end : match.start()].strip() or match.start() - end > 2:
            if match.start() >= end:
                break
            continue
        end = match.end()
    around = (text[max(0, start - 500) : start] + " " + text[end : end + 500]).strip()
    line_before = text[max(0, start - 300) : start].rstrip().rsplit("\n", 1)[-1]
    if len(around.split(None, 4)) < 3 or _SHAPE.search(line_before):
        return []
    return make_found(text, start, end, "table", at_least=6)


_LONG_QUOTE = re.compile(r"[\"“](?=\w)([^\"“”]{120,20000})[\"”]")
_NOT_QUOTED = re.compile(r"\b(?:begin\w*|start\w*|end\w*|includ\w+|phrase|title\w*|line)\b", re.I)


def find_quote(text: str) -> list[Found]:
    """A long quotation."""
    if text.count('"') > 200:
        return []
    for match in _LONG_QUOTE.finditer(text):
        around = (
            text[max(0, match.start() - 300) : match.start()],
            text[match.end() : match.end() + 300],
        )
        if len(" ".join(around).split(None, 4)) < 3 or _NOT_QUOTED.search(around[0][-60:]):
            continue
        if any(is_instruction(s) or is_question(s) for a in around for s in a.splitlines()):
            return make_found(text, match.start(), match.end(), "quote", at_least=20)
    return []


def find_long(text: str) -> list[Found]:
    """A text much longer than the question beside it."""
    full = len(text.rstrip())
    start, _ = skip_asks(text, 0)
    end = ask_start(text, start, full, strict=start > 0)
    n_asked = start + full - end
    if (start == 0 and end == full) or n_asked > 1200 or is_directive(text[start:end]):
        return []
    marks = find_marks(text)
    if sum(m.kind == "answer" for m in marks) > 1:
        return []
    return make_found(text, start, end, "long-paragraph", at_least=60)
