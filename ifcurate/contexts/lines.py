"""The function of a line or a sentence, and the signs of a unit.

A line asks, instructs, refers to a text, or directs the model. A sign is a property of a unit
that shows whether it asks, announces a text, or is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import patterns
from .quotes import QUOTES, closing_quote
from .words import (
    BARE_LEAD,
    BASED_ON,
    MORE_VERBS,
    NAMES,
    POINTS_BACK,
    POINTS_ON,
    QUESTION_AND_ORDER,
    TASK_START,
    WORKS_ON_TEXT,
    asks_in,
    cached,
    classify_label,
    count_words,
    is_request_label,
    mentions_question,
    reference_direction_in,
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


_SENTENCE_END = re.compile(rf"{patterns.SENTENCE_END}\s*")


def is_request(sentence: str) -> bool:
    """Return whether a sentence asks or instructs; wider than `is_instruction`."""
    sentence = sentence.strip(" \t\"'“”«»(*_").rstrip(":： ")
    if is_question(sentence) or is_instruction(sentence):
        return True
    if any(p.search(sentence) for p in (patterns.WISH, patterns.BLANK)) or MORE_VERBS.match(
        sentence
    ):
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


def announces(line: str) -> bool:
    """Return whether a line announces a text or refers to one, and is no sentence."""
    names = line.endswith((":", "：")) or (not line.endswith(".") and count_words(line) <= 5)
    return names and bool(reference_direction(line))


def is_statement(value: str, *, line: bool = False) -> bool:
    """Return whether a text is a statement: a sentence that neither asks nor instructs.

    With `line` the text ends its line, and a sentence then needs no mark at its end.
    """
    whole = is_ended(value) or (line and value[:1].isupper() and count_words(value) >= 5)
    return whole and count_words(value) >= 4 and not is_request(value)


def is_ended(value: str) -> bool:
    """Return whether the last sentence of a text is complete."""
    return value.rstrip("\"'”“’»」) ").endswith((".", "!", "?", "…", "。", "！", "？", "।"))


def is_directive(body: str, limit: float = 0.6) -> bool:
    """Return whether a text directs the model's behaviour instead of stating facts.

    `limit` is how many directing words per sentence a source of facts may have.
    """
    head = body[:1500]
    if patterns.PERSONA.match(head.lstrip(" -*#\n")):
        return True
    n_sentences = max(1, len(re.findall(r"[.!?\n](?=\s|$)", head)))
    return len(patterns.DIRECTIVE.findall(head)) / n_sentences > limit


# ------------------------------------------------------------------------------- signs
HEAD = 600  # characters of a unit that are looked at
_PATTERNS = {
    "wishes": patterns.WISH,
    "option": re.compile(rf"^{patterns.OPTION.pattern}"),
    "bullet": re.compile(r"^[-*•+][ \t]"),
    "braces": re.compile(r"[{}]|\":"),
    "table": re.compile(r"\|.*\||^[^,\n]{1,40}(?:,[^,\n]{0,40}){2,}$|\t"),
    "code": patterns.CODE_LOOK,
    "comment": re.compile(r"^(?:#|//|--|/\*)"),
    "digit": re.compile(r"\d"),
    "first person": re.compile(r"\b(?:i|my|me|i'm|i've|i'd|we|our)\b", re.I),
    "second person": re.compile(r"\byou(?:r)?\b", re.I),
    "courtesy": re.compile(r"\b(?:thanks?|sorry|hello|hi|hey|please|great|awesome)\b", re.I),
    "further": re.compile(
        r"^(?:additionally|furthermore|finally|also|then|next|lastly|moreover|now)\b", re.I
    ),
    "quantity": re.compile(r"\bhow (?:many|much|far|long|fast|old)\b|\btotal\b", re.I),
    "blank": patterns.BLANK,
    "persona": patterns.PERSONA,
    "works on a text": WORKS_ON_TEXT,
    "fence": re.compile(r"^(?:`{3,}|~{3,}|\"\"\"|''')"),
    "ruler": re.compile(r"^[-=*_~#]{3,}$"),
    "chat marker": re.compile(r"^<\||^\[/?INST\]|^</?s>$|^(?:user|human|assistant):?$", re.I),
    "opening tag": re.compile(r"^<(?!s>)[A-Za-z_]|^\[(?!INST)[A-Z]{4,}\]|^BEGIN ?[A-Z]{3,12}$"),
    "closing tag": re.compile(r"^</(?!s>)|^\[/(?!INST)|^END ?[A-Z]{3,12}$"),
    "salutation": re.compile(r"^[^.?!:;]{2,40}[,，、،]$"),
    "numbered": patterns.NUMBERED_LINE,
    "no letter": re.compile(r"^[\W\d_]*$"),
    "asks somewhere": re.compile(r"[?？؟]"),
    # to be completed
    "open": re.compile(r"(?:\b(?:is|are|was|were|be|a|an|the|to|of|that|as)|[,=>→])$", re.I),
}
_LABEL_KINDS = {
    "context": "context label",
    "phrase": "announcing label",
    "ask": "question label",
    "answer": "answer label",
    "hint": "hint label",
    "": "other label",
}
SIGNS = (
    *_PATTERNS,
    *_LABEL_KINDS.values(),
    "wanted label",
    "question",
    "instruction",
    "request",
    "speaker",
    "statement",
    "complete",
    "announces",
    "mentions a question",
    "directive",
    "colon",
    "below",
    "above",
    "this",
    "quoted",
    "capital",
    "short",
    "long",
    "not ASCII",
    "noun",
)
NUMBER = {sign: i for i, sign in enumerate(SIGNS)}
#: A unit with one of these asks for something.
ASKING = tuple(
    NUMBER[sign]
    for sign in ("question", "instruction", "request", "wishes", "question label", "wanted label")
)

Array = NDArray[np.float32]


def read_signs(text: str, units: Sequence[tuple[int, int, int]]) -> tuple[Array, Array]:
    """Return the signs (units x `SIGNS`, 0 or 1) and the words (units, at most 100) of units."""
    signs = np.zeros((len(units), len(SIGNS)), np.float32)
    words = np.zeros(len(units), np.float32)
    for row, (start, end, _) in enumerate(units):
        numbers, n_words = _of_text(text[start : min(end, start + HEAD)])
        signs[row, list(numbers)] = 1
        words[row] = n_words if end - start <= HEAD else 100
    return signs, words


@cached
def _of_text(body: str, added: object) -> tuple[tuple[int, ...], int]:
    """Return the numbers of the signs of one unit, and how many words it has."""
    n_words = min(count_words(body), 100)
    quotation = _quotation(body)
    body = quotation or body
    found = {"quoted"} if quotation else set()
    found |= {sign for sign, pattern in _PATTERNS.items() if pattern.search(body)}
    tests = {
        "question": is_question,
        "instruction": is_instruction,
        "request": is_request,
        "speaker": is_spoken,
        "statement": is_statement,
        "complete": is_ended,
        "announces": announces,
        "mentions a question": mentions_question,
        "directive": is_directive,
    }
    found |= {sign for sign, test in tests.items() if test(body)}
    found |= _label_signs(body, n_words)
    if names_text(body):
        found.add("noun")
    if way := reference_direction(body):
        found.add(way)
    if body[0].isupper():
        found.add("capital")
    if not body.isascii():
        found.add("not ASCII")
    if n_words < 4 or n_words >= 15:
        found.add("short" if n_words < 4 else "long")
    return tuple(sorted(NUMBER[sign] for sign in found)), n_words


def names_text(text: str) -> bool:
    """Return whether a text has a noun such as "passage" or "e-mail"."""
    return not NAMES.isdisjoint(re.findall(r"[a-z-]+", text.lower()))


def is_open(text: str) -> bool:
    """Return whether a text ends in words that are to be completed: "The sentiment is"."""
    return _PATTERNS["open"].search(text.rstrip()) is not None


def _quotation(body: str) -> str:
    """Return what is between the quotation marks of a unit that is a quotation, or ""."""
    if body[0] not in QUOTES:
        return ""
    closing = closing_quote(body, 0, len(body))
    end = closing if closing > 0 else len(body)  # a long one is not seen to its end
    is_whole = closing < 0 or not re.search(r"\w", body[closing:])
    return body[1:end].strip() if is_whole else ""


def _label_signs(body: str, n_words: int) -> set[str]:
    """Return the kind of a label, or that a unit ends in a colon."""
    match = patterns.LABEL_LINE.match(body) or patterns.HEADING_LINE.match(body)
    ends = body.endswith((":", "：", "**", "]", "#"))
    if match and (ends or (n_words <= 5 and not body.endswith((".", "?", "!")))):
        name = match["name"].strip().lower()
        kind = _LABEL_KINDS[classify_label(name)[0]]
        return {kind, "wanted label"} if is_request_label(name) else {kind}
    return {"colon"} if body.endswith((":", "：")) else set()
