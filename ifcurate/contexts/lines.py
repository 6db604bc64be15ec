"""The function of a line or a sentence: it asks, instructs, refers to a text, or directs the model.

`last_request_start` and `first_request_end` locate the requests at the end and at the start
of a text. Windows are bounded, so that the time stays linear in the
length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from . import patterns
from .words import (
    BARE_LEAD,
    BASED_ON,
    MORE_VERBS,
    POINTS_BACK,
    POINTS_ON,
    QUESTION_AND_ORDER,
    TASK_START,
    asks_in,
    classify_label,
    count_words,
    is_request_label,
    mentions_question,
    reference_direction_in,
)

WINDOW = 2000  # characters at either end in which questions and instructions are sought
_LONGEST_LINE = 4000  # characters of a line in which a request is sought


_QUESTION_OPENS = re.compile(
    r"\W*(?:(?:so|and|now|then|but),? )?(?:(?:in|on|at|to|from|for|with|by|of|about|until) )?"
    r"(?:who|whose|whom|what|when|where|why|how|which|is|are|was|were|does|do|did|can|could|will|"
    r"would|should|has|have|had|may|am)\b(?: \S+){2}",
    re.I,
)
_LETTER = re.compile(r"\w")


def is_question(line: str) -> bool:
    """Return whether a line asks, and is not an utterance or an option."""
    line = line.strip()
    return (
        len(line) <= 400
        and bool(
            (line.rstrip("\"'”’»」*_)] ").endswith(("?", "？", "؟")) and _LETTER.search(line))
            or patterns.QUESTION_START.match(line)
            or QUESTION_AND_ORDER.fullmatch(line)
        )
        and not is_spoken(line)
        and not (patterns.OPTION.match(line) and line[:1] in "-*•+")
    )


def is_spoken(line: str) -> bool:
    """Return whether a line names its speaker and then has text."""
    speaker = patterns.SPEAKER.match(line)
    if speaker is None or line[0] in "'‘\"“" or not line[speaker.end() :].strip():
        return False
    # "According to the passage: when ...?" in any language
    return not (asks_in(speaker[0]) or TASK_START.match(line))


_CODE = re.compile(r"(?:CREATE|SELECT|INSERT|UPDATE|DELETE|DROP|ALTER)\s+[A-Z(*]|.*[;{}]\s*$")


def is_instruction(line: str) -> bool:
    """Return whether a line instructs, or says what to base the answer on."""
    if len(line) > 500:
        return False
    prefix = patterns.PREFIX.match(line)
    at = prefix.end() if prefix else 0
    if _CODE.match(line, at):
        return False
    if TASK_START.match(line, at) or BASED_ON.match(line, at):
        return True
    return asks_in(line) and not is_spoken(line)


def _lines_back(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield the lines from the last to the first: where each starts, and its text."""
    while end > start:
        line_start = text.rfind("\n", start, end) + 1 or start
        yield line_start, text[line_start:end] if end - line_start <= WINDOW else ""
        if line_start == start:
            return
        end = line_start - 1


def closing_request_start(text: str, start: int, end: int, *, strict: bool) -> int:
    """Return where the questions and instructions that close `start:end` begin, or `end`.

    With `strict` the question precedes the text. Only an instruction after a blank line, or one
    that refers back, then closes the text.
    """
    cut, pending, instructed, gap = end, 0, False, False
    for line_start, raw in islice(_lines_back(text, start, end), 201):
        line = raw.strip()
        if not line and _is_blank(raw, text, line_start, end):
            gap = True
            continue
        if not line or not text[max(start, line_start - 400) : line_start].strip():
            break  # too long a line to be asked, or nothing would be left in front
        blank_before = _ends_blank(text[max(0, line_start - 4) : line_start])
        kind = _closing_kind(line, raw, blank_before=blank_before, strict=strict)
        apart = kind == "question" and gap and cut < end and not pending
        separate = apart and (instructed or has_statement_first(line))
        if kind == "option" and pending < 12:
            pending += 1
        elif kind not in ("task", "ruler", "question") or separate:
            break
        else:
            cut = line_start
            instructed |= kind == "task"
        gap = False
    return cut


def _is_blank(raw: str, text: str, at: int, end: int) -> bool:
    """Return whether a line without text is blank, not too long for `_lines_back`."""
    return bool(raw) or at == end or not text[at].strip()


_ABOVE_FIRST = re.compile(r"the (?:\w+ )?above\b", re.I)


def _closing_kind(line: str, raw: str, *, blank_before: bool, strict: bool) -> str:
    """Classify a line at the end of a text: "task", "ruler", "question", "option" or ""."""
    if is_instruction(line) or (blank_before and len(line) < 250 and patterns.MANNER.match(line)):
        closes = not strict or (blank_before and patterns.ORDER.match(line))
        return "task" if closes or POINTS_BACK.search(line) else ""
    if _is_about_task(line):
        return "task"
    if patterns.RULER_LINE.match(raw):
        return "ruler"
    if is_question(line) and not strict:
        return "question"
    return "option" if len(line) <= 200 and patterns.OPTION.match(line) else ""


def _is_about_task(line: str) -> bool:
    """Return whether a line refers to the text above, or to a text and its question."""
    if _ABOVE_FIRST.match(line):
        return True
    return mentions_question(line) and reference_direction(line) in ("below", "above")


def _ends_blank(text: str) -> bool:
    return text.replace("\r", "").replace(" ", "").endswith("\n\n")


def has_statement_first(question: str) -> bool:
    """Return whether a line that ends in a question first states something, as a paragraph does."""
    return len(question) > 100 and re.search(r"[.!?] +[A-Z]", question) is not None


ENGLISH = re.compile(r"\b(?:the|and|with|what|who|how|you|this|or|it|of|to|in)\b", re.I)


def is_complete_question(sentence: str) -> bool:
    """Return whether a question begins with a question word, which "True or false?" does not.

    In other languages than English it has three words or more.
    """
    if _QUESTION_OPENS.match(sentence):
        return True
    return not ENGLISH.search(sentence) and count_words(sentence) >= 3


_SETTLED = re.compile(r"\b(?:questions?|quer(?:y|ies)|answer|respond|what|who|when|where)\b", re.I)


def is_complete_request(line: str) -> bool:
    """Return whether an instruction is complete, so that no question must follow."""
    opens = re.match(r"(?:please |first,? |now,? )*(?:read|use|consider|refer|look)\b", line, re.I)
    return is_instruction(line) and not opens and not _SETTLED.search(line)


_SENTENCE_END = re.compile(
    r"(?:[.!?…](?:[\"”’»]+(?!\s+[a-z])|[)\]]*)(?=\s)|[。！？؟।][\"”’»」』)]*)\s*"
)


_WISH = re.compile(
    r"\b(?:i(?:'d| would)? (?:want|like|need)|(?:your|the|this) (?:task|job|goal|exercise|aim) is|"
    r"you (?:must|should|have to)|help me|tell me|let me know|can you|could you|would you|"
    r"the (?:options|choices|categories) are|out of the (?:options|choices|categories))\b",
    re.I,
)


def is_request(sentence: str) -> bool:
    """Return whether a sentence asks or instructs; wider than `is_instruction`."""
    sentence = sentence.strip(" \t\"'“”«»(*_").rstrip(":： ")
    if is_question(sentence) or is_instruction(sentence):
        return True
    if any(p.search(sentence) for p in (_WISH, patterns.BLANK)) or MORE_VERBS.match(sentence):
        return True
    # "..., answer the following question", "Kindly, what is it?"
    if is_spoken(sentence):
        return False
    tail = re.search(r"(?:[,;:،：]\s+|，)(?:and |then |so )?([^,;:，]{4,300})$", sentence)
    return bool(tail and (is_instruction(tail[1]) or is_question(tail[1])))


def sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the sentences of `start:end`, one line, without the blanks after them."""
    parts: list[tuple[int, int]] = []
    at = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if match.end() > at:
            parts.append((at, at + len(text[at : match.end()].rstrip())))
        at = match.end()
    if text[at:end].strip():
        parts.append((at, at + len(text[at:end].rstrip())))
    return parts


_OPENS_QUESTION = re.compile(r"(?:who|what|why|how|which) (?!a |an )", re.I)


def is_only_asking(text: str) -> bool:
    """Return whether a short text consists of requests only, so that it is not a context."""
    if len(text) > 600:
        return False
    parts = [line[a:b] for line in text.splitlines() for a, b in sentences(line, 0, len(line))]
    if all(map(is_question, parts)):
        return True
    one = parts[0] if len(parts) == 1 else ""
    return bool(one) and (is_instruction(one) or _OPENS_QUESTION.match(one) is not None)


def first_request_end(text: str, start: int, end: int) -> int:
    """Return where the asking sentences at the start of `start:end` end, or `start`."""
    start = at = start + len(text[start:end]) - len(text[start:end].lstrip())
    while at < end:
        line_end = text.find("\n", at, min(end, at + _LONGEST_LINE))
        line_end = min(end, at + _LONGEST_LINE) if line_end < 0 else line_end
        parts = sentences(text, at, line_end)
        for sentence_start, sentence_end in parts:
            if not is_request(text[sentence_start:sentence_end]):
                return start
            start = sentence_end
        at = line_end + 1
    return start


def reference_direction(line: str) -> str:
    """Return where a request says that its text is: "below", "above", "this" (either) or ""."""
    made = patterns.TO_BE_WRITTEN.sub(" ", line)
    match = POINTS_ON.search(made) or patterns.POINTS_ON_BARE.search(made)
    if match and not patterns.ASKED_ABOUT.search(match[0]):
        explicit = patterns.EXPLICIT.search(match[0])
        return "below" if explicit else "this"
    if re.search(r"\babove\b", made, re.I) and POINTS_BACK.search(made):
        return "above"
    if POINTS_BACK.search(made):
        return "this"
    return reference_direction_in(line)


_USER = re.compile(r"^\s*(?:user|human|usuario|utilisateur|nutzer|用户|ユーザー)\s?[:：]\s*", re.I)


def line_asks(line: str) -> bool:
    """Return whether a line, its label or one of its sentences asks or instructs."""
    line = _USER.sub("", line)
    label = patterns.LABEL_LINE.match(line) or patterns.HEADING_LINE.match(line)
    if label:
        name = label["name"].strip().lower()
        kind = classify_label(name)[0]
        if is_request_label(name) or (kind == "ask" and line[label.end() :].strip(" *\"'")):
            return True
        orders = is_instruction(name) or MORE_VERBS.match(name) or name.endswith(" line")
        if orders and kind != "answer":  # "Output:" is a verb and a label
            return True
        line = line[label.end() :] if kind else line
    return any(is_request(line[a:b]) for a, b in sentences(line, 0, len(line)))


def last_request_start(text: str, start: int, end: int) -> int:
    """Return where the asking sentences at the end of `start:end` begin; `end` if there is none."""
    at = end = start + len(text[start:end].rstrip())
    while at > start:
        line_start = max(text.rfind("\n", start, at) + 1, start)
        if at - line_start > _LONGEST_LINE:
            line_start = at - _LONGEST_LINE
        parts = sentences(text, line_start, at)
        if parts and line_asks(text[line_start:at]) and is_request(text[slice(*parts[0])]):
            at = line_start if line_start == start else line_start - 1
            at = start + len(text[start:at].rstrip())
            end = line_start
            continue
        for sentence_start, sentence_end in reversed(parts):
            if not is_request(text[sentence_start:sentence_end]):
                break
            end = sentence_start
        break
    return end


def label_before(text: str, left: int, at: int) -> int | None:
    """Return where the line before `at` starts if it only announces a text; otherwise None."""
    head = text[left:at].rstrip(" \t\r\n-*•")
    line_start = left + head.rfind("\n") + 1
    line = text[line_start : left + len(head)]
    label = patterns.LABEL_LINE.fullmatch(line) or patterns.HEADING_LINE.fullmatch(line)
    if label and classify_label(label["name"].strip())[0] in ("context", "phrase"):
        return line_start
    if line and (BARE_LEAD.fullmatch(line) or classify_label(line.rstrip(":： "))[0] == "phrase"):
        return line_start
    return None


# A label after the text of a slot, on the same line. The fields of a form begin their lines.
_LABEL_IN_LINE = re.compile(r"[^\n\w]*[^\W\d_][^\n:：]{0,40}[:：]")


def belongs_to_request(part: str) -> bool:
    """Return whether a fixed part announces, refers or asks, so that it is not inside a context."""
    if "?" in part or _LABEL_IN_LINE.match(part):
        return True
    lines = [line.strip() for line in part.splitlines()]
    return any(announces(line) or says_what_follows(line) for line in lines) or any(
        is_request(line[start:end])
        for line in lines
        for start, end in sentences(line, 0, len(line))
    )


def says_what_follows(line: str) -> bool:
    """Return whether a line is more than the name of a field: "The reading on Monday was:"."""
    return line.endswith(":") and count_words(line) >= 4


def announces(line: str) -> bool:
    """Return whether a line announces a text or refers to one, and is no sentence."""
    names = line.endswith((":", "：")) or (not line.endswith(".") and count_words(line) <= 5)
    return names and bool(reference_direction(line))


def only_asks(line: str) -> bool:
    """Return whether every sentence of a line is a question or a request."""
    return all(is_request(line[a:b]) for a, b in sentences(line, 0, len(line)))


def is_statement(value: str, *, line: bool = False) -> bool:
    """Return whether a text is a statement: a sentence that neither asks nor instructs.

    With `line` the text ends its line, and a sentence then needs no mark at its end.
    """
    whole = is_ended(value) or (line and value[:1].isupper() and count_words(value) >= 5)
    return whole and count_words(value) >= 4 and not is_request(value)


def is_ended(value: str) -> bool:
    """Return whether the last sentence of a text is complete."""
    return value.rstrip("\"'”“’»」) ").endswith((".", "!", "?", "…", "。", "！", "？", "।"))
