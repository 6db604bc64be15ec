"""Whether a text asks for something, and where in a text the asking stands.

No cut may take the only request of a prompt: what remains has to ask. `shrink` gives
back to the prompt what asks at the edges of a stretch that was found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from . import rules as cr
from .lines import Found, is_instruction, is_question, is_spoken, n_words
from .words import LANGUAGES, classify_label

__all__ = [
    "asks",
    "first_request_end",
    "is_only_asking",
    "is_request",
    "last_request_start",
    "remains_asking",
    "sentences",
    "shrink",
]

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
    label = cr.LABEL_LINE.match(line) or cr.HEADING_LINE.match(line)
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


def is_only_asking(text: str) -> bool:
    """Whether a short text is nothing but requests: then it is no context."""
    if len(text) > 600:
        return False
    parts = [line[a:b] for line in text.splitlines() for a, b in sentences(line, 0, len(line))]
    return all(map(is_question, parts)) or (len(parts) == 1 and is_instruction(parts[0]))


def remains_asking(text: str, found: Sequence[Found]) -> bool:
    """Whether the text without these stretches still asks for something."""
    kept, at = [], 0
    for f in found:
        kept.append(text[at : f.outer_start])
        at = f.outer_end
    return asks("".join([*kept, text[at:]]))


def shrink(text: str, found: Sequence[Found]) -> list[Found]:
    """The same stretches without the requests at their edges; [] when nothing is left.

    The last request of the last stretch goes back to the prompt, or else the first of
    the first one.
    """
    if not found:
        return []
    last = found[-1]
    cut = last_request_start(text, last.start, last.end)
    if last.start < cut < last.end and n_words(text, last.start, cut) >= 3:
        end = last.start + len(text[last.start : cut].rstrip())
        return [*found[:-1], replace(last, end=end, outer_end=end)]
    first = found[0]
    cut = first_request_end(text, first.start, first.end)
    if first.start < cut < first.end and n_words(text, cut, first.end) >= 3:
        start = cut + len(text[cut : first.end]) - len(text[cut : first.end].lstrip())
        return [replace(first, start=start, outer_start=start), *found[1:]]
    return []
