"""What a stretch of text does (asks, instructs, tells how to behave), and where asking begins.

No cut may remove the only request of a prompt, so `asks` also decides whether a cut is
made. Windows are bounded, so that the time stays linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from . import patterns
from .words import (
    BASED_ON,
    LANGUAGES,
    NOT_ASKED,
    POINTS_BACK,
    POINTS_ON,
    asks_in,
    classify_label,
    count_words,
    points_in,
)

__all__ = [
    "WINDOW",
    "ask_start",
    "asks",
    "asks_first",
    "first_request_end",
    "has_question",
    "head_lines",
    "is_choices",
    "is_directive",
    "is_instruction",
    "is_only_asking",
    "is_question",
    "is_request",
    "is_spoken",
    "is_title",
    "last_request_start",
    "last_sentences",
    "points",
    "sentences",
    "settles",
    "skip_asks",
]

WINDOW = 2000  # characters at either end in which questions and instructions are sought


def is_directive(body: str, limit: float = 0.6) -> bool:
    """Whether a text tells the model how to behave, rather than what is the case.

    `limit` is the number of such words per sentence that a source of facts may have.
    """
    head = body[:1500]
    if patterns.PERSONA.match(head.lstrip(" -*#\n")):
        return True
    n_sentences = max(1, len(re.findall(r"[.!?\n](?=\s|$)", head)))
    return len(patterns.DIRECTIVE.findall(head)) / n_sentences > limit


def is_question(line: str) -> bool:
    """Whether a line asks, and is not an utterance or an option."""
    line = line.strip()
    return (
        len(line) <= 400
        and bool(
            line.rstrip("\"'”’»」*_) ").endswith(("?", "？", "؟"))
            or patterns.QUESTION_START.match(line)
            or patterns.QUESTION_AND_ORDER.fullmatch(line)
        )
        and not is_spoken(line)
        and not (patterns.OPTION.match(line) and line[:1] in "-*•+")
    )


def is_spoken(line: str) -> bool:
    """Whether a line says who speaks, and then something."""
    speaker = patterns.SPEAKER.match(line)
    if speaker is None or line[0] in "'‘\"“" or not line[speaker.end() :].strip():
        return False
    return not asks_in(speaker[0])  # "According to the passage: when ...?" in other languages


def is_choices(text: str) -> bool:
    """Whether a text is a list of short options to choose from."""
    lines = [line for line in text[:3000].splitlines() if line.strip()]
    lengths = sorted(count_words(line) for line in lines if patterns.OPTION.match(line.strip()))
    return (
        len(lengths) >= 2 and len(lengths) >= 0.7 * len(lines) and lengths[len(lengths) // 2] <= 4
    )


_CODE = re.compile(r"(?:CREATE|SELECT|INSERT|UPDATE|DELETE|DROP|ALTER)\s+[A-Z(*]|.*[;{}]\s*$")


def is_instruction(line: str) -> bool:
    """Whether a line tells what to do, or on what to base the answer."""
    if len(line) > 500:
        return False
    prefix = patterns.PREFIX.match(line)
    at = prefix.end() if prefix else 0
    if _CODE.match(line, at):
        return False
    if patterns.TASK_START.match(line, at) or BASED_ON.match(line, at):
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

    With `strict` the question comes before the text, so that only an instruction after a
    blank line, or one that points back, is cut from the end of the text.
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
        separate = kind == "question" and gap and cut < end and (instructed or _tells(line))
        if kind == "option" and cut == end and pending < 12:
            pending += 1
        elif kind not in ("task", "ruler", "question") or separate:
            break
        else:
            cut = line_start
            instructed |= kind == "task"
        gap = False
    return cut


def _is_blank(raw: str, text: str, at: int, end: int) -> bool:
    """Whether a line without text is blank; one of `_lines_back` may be too long instead."""
    return bool(raw) or at == end or not text[at].strip()


def _closing_kind(line: str, raw: str, *, blank_before: bool, strict: bool) -> str:
    """What a line is at the end of a text: "task", "ruler", "question", "option" or ""."""
    if is_instruction(line) or (blank_before and len(line) < 250 and patterns.MANNER.match(line)):
        closes = not strict or (blank_before and patterns.ORDER.match(line))
        return "task" if closes or POINTS_BACK.search(line) else ""
    if patterns.RULER_LINE.match(raw):
        return "ruler"
    if is_question(line) and not strict:
        return "question"
    return "option" if len(line) <= 200 and patterns.OPTION.match(line) else ""


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
        if not POINTS_BACK.search(sentence):
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
        if settled and (text.count("\n", at, start) > 1 or not patterns.ORDER.match(line)):
            return start, asked
        label = patterns.LABEL_LINE.match(line)
        kind = classify_label(label["name"].strip())[0] if label else ""
        if kind == "ask" or (is_question(line) and not _tells(line)):
            asked = True
        elif not is_instruction(line):
            return start, asked
        at = end
    return at, asked


_WINDOW = 4000  # characters at either end of a text


_WANTED = frozenset[str]().union(*(language.wanted for language in LANGUAGES))


_SENTENCE_END = re.compile(r"(?:[.!?…][\"”’»)\]]*(?=\s)|[。！？؟।][\"”’»」』)]*)\s*")


_MARKUP = re.compile(r"\[/?INST\]|<\|[\w ]{1,20}\|>|</?[a-z_]{1,20}>")


# Verbs that begin a request, beside those that also bound a context.
_MORE_VERBS = re.compile(
    r"(?:please |kindly |now |then |just |also )*(?:continue|look|make|say|add|remove|plan|design|"
    r"construct|build|put|sum|formulate|combine|play|act|imagine|pretend|do|let|keep|transform|"
    r"change|organi[sz]e|group|split|match|fill|mark|tag|pull|condense|reduce|expand|elaborate|"
    r"tell|help|consider|decide|verify|validate|confirm|prove|derive|implement|modify|update|"
    r"format|render|print|render|record|quote|cite|report|justify|argue|defend|respond|reverse)\b",
    re.I,
)


_USER = re.compile(r"^\s*(?:user|human|usuario|utilisateur|nutzer|用户|ユーザー)\s?[:：]\s*", re.I)


_WISH = re.compile(
    r"\b(?:i(?:'d| would)? (?:want|like|need)|your (?:task|job|goal) is|"
    r"you (?:must|should|have to)|help me|tell me|let me know|can you|could you|would you)\b",
    re.I,
)


def asks(text: str) -> bool:
    """Whether some line or sentence of a text asks or instructs."""
    if len(text) > 2 * _WINDOW:
        text = text[:_WINDOW] + "\n" + text[-_WINDOW:]
    if '{"' in text:
        text = re.sub(r'[{}]|"\s*[:,]\s*"?|"', "\n", text)
    return any(_line_asks(line) for line in _MARKUP.sub("\n", text).splitlines() if line.strip())


def _line_asks(line: str) -> bool:
    line = _USER.sub("", line)
    label = patterns.LABEL_LINE.match(line) or patterns.HEADING_LINE.match(line)
    if label:
        name = label["name"].strip().lower()
        kind = classify_label(name)[0]
        if name in _WANTED or (kind == "ask" and line[label.end() :].strip(" *\"'")):
            return True
        if is_instruction(name) or _MORE_VERBS.match(name) or name.endswith(" line"):
            return True
        line = line[label.end() :] if kind else line
    return any(is_request(line[a:b]) for a, b in sentences(line, 0, len(line)))


def is_request(sentence: str) -> bool:
    """Whether a sentence asks or instructs; wider than `is_instruction`, which bounds contexts."""
    sentence = sentence.strip(" \t\"'“”«»(*_").rstrip(":： ")
    if is_question(sentence) or is_instruction(sentence):
        return True
    if _MORE_VERBS.match(sentence) or _WISH.search(sentence):
        return True
    # "..., answer the following question", "Kindly, what is it?"
    if is_spoken(sentence):
        return False
    tail = re.search(r"[,;:،：]\s+(?:and |then |so )?([^,;:]{8,300})$", sentence)
    return bool(tail and (is_instruction(tail[1]) or is_question(tail[1])))


def sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The sentences of a stretch without line breaks, blanks after them left out."""
    found: list[tuple[int, int]] = []
    at = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if match.end() > at:
            found.append((at, at + len(text[at : match.end()].rstrip())))
        at = match.end()
    if text[at:end].strip():
        found.append((at, at + len(text[at:end].rstrip())))
    return found


def last_request_start(text: str, start: int, end: int) -> int:
    """Where the sentences that ask at the end of `start:end` begin; `end` when none does."""
    at = end = start + len(text[start:end].rstrip())
    while at > start:
        line_start = max(text.rfind("\n", start, at) + 1, start)
        if at - line_start > _WINDOW:
            line_start = at - _WINDOW
        parts = sentences(text, line_start, at)
        if parts and _line_asks(text[line_start:at]) and is_request(text[slice(*parts[0])]):
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


def first_request_end(text: str, start: int, end: int) -> int:
    """Where the sentences that ask at the start of `start:end` end; `start` when none does."""
    start = at = start + len(text[start:end]) - len(text[start:end].lstrip())
    while at < end:
        line_end = text.find("\n", at, min(end, at + _WINDOW))
        line_end = min(end, at + _WINDOW) if line_end < 0 else line_end
        parts = sentences(text, at, line_end)
        for sentence_start, sentence_end in parts:
            if not is_request(text[sentence_start:sentence_end]):
                return start
            start = sentence_end
        at = line_end + 1
    return start


def has_question(line: str) -> bool:
    """Whether a line holds a question, or stands under a label of one and says something."""
    label = patterns.LABEL_LINE.match(line)
    if label and classify_label(label["name"].strip())[0] == "ask":
        name = label["name"].strip().lower()
        if name not in NOT_ASKED and not is_instruction(name):
            return bool(line[label.end() :].strip())
    if any(sign in line for sign in "?？؟"):
        return True
    return any(is_question(line[a:b]) for a, b in sentences(line, 0, len(line)))


def is_only_asking(text: str) -> bool:
    """Whether a short text is nothing but requests: then it is no context."""
    if len(text) > 600:
        return False
    parts = [line[a:b] for line in text.splitlines() for a, b in sentences(line, 0, len(line))]
    return all(map(is_question, parts)) or (len(parts) == 1 and is_instruction(parts[0]))


def points(line: str) -> str:
    """How a request points to a text beside it: "below", "above", "this" or ""."""
    made = patterns.TO_BE_WRITTEN.sub(" ", line)
    match = POINTS_ON.search(made) or patterns.POINTS_ON_BARE.search(made)
    if match and not patterns.ASKED_ABOUT.search(match[0]):
        explicit = patterns.EXPLICIT.search(match[0])
        return "below" if explicit else "this"
    if re.search(r"\babove\b", made, re.I) and POINTS_BACK.search(made):
        return "above"
    if POINTS_BACK.search(made):
        return "this"
    return points_in(line)
