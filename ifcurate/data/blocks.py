"""Where the context of a row stands: in a field, a system message, tool results or the text."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

from ifcurate.contexts.find import (
    Explained,
    Found,
    Tried,
    explain_context,
    find_document,
    is_no_context,
)
from ifcurate.contexts.lines import asks
from ifcurate.data.row_formats import Draft, Layout, Text
from ifcurate.records import ContextBlock, Role, Turn

__all__ = ["explain_text", "find_blocks", "user_texts"]


def find_blocks(draft: Draft, layout: Layout) -> Iterator[ContextBlock]:
    """The context of a draft; see `contexts.find.RULES` for the rules in a text.

    What stands in earlier turns counts only when the last user message asks for
    something: "Thanks!" after a tool result has no use for it.
    """
    kinds = layout.context
    field = draft.context
    if "field" in kinds and field.text and not is_no_context(field.text):
        yield _whole("context", field, "field", 1.0)
        return
    if "system" in kinds and draft.system.text:
        for found in find_document(draft.system.text):
            if found.confidence >= layout.min_confidence:
                yield _block("system", draft.system.path, found)
    in_use = not draft.history or not draft.instruction.text or asks(draft.instruction.text)
    for part, text, role in _texts(draft):
        if part.startswith("history") and not in_use:
            continue
        if role == "tool" and "tool" in kinds and not is_no_context(text.text):
            yield _whole(part, text, "tool-result", 1.0)
        elif role == "user" and "inline" in kinds and text.text:
            for found in explain_text(draft, part, text.text, layout).found:
                yield _block(part, text.path, found)


def _texts(draft: Draft) -> Iterator[tuple[str, Text, Role]]:
    """The turns before the response in their order, with the name of each part."""
    yield from _group("history", draft.history)
    yield "instruction", draft.instruction, "user"
    yield from _group("trailing", draft.trailing)


def _group(name: str, turns: Iterable[Turn]) -> Iterator[tuple[str, Text, Role]]:
    for i, turn in enumerate(turns):
        yield f"{name}[{i}]", Text(turn.content, turn.path), turn.role


def user_texts(draft: Draft) -> list[tuple[str, Text]]:
    """The user messages of a draft that are searched, with the name of each part."""
    return [(part, text) for part, text, role in _texts(draft) if role == "user" and text.text]


def explain_text(draft: Draft, part: str, text: str, layout: Layout) -> Explained:
    """What is found in one text of a draft, and every rule that was tried."""
    if layout.pattern:
        return _by_pattern(text, layout.pattern)
    elsewhere = part != "instruction" or (bool(draft.system.text) and asks(draft.system.text))
    return explain_context(
        text,
        min_confidence=layout.min_confidence,
        must_ask=not elsewhere,
        shapes=layout.shapes if part == "instruction" and not draft.history else (),
        labels=layout.labels,
    )


@functools.lru_cache(maxsize=16)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _by_pattern(text: str, pattern: str) -> Explained:
    """What the user's own pattern finds: its groups `context`, `context2`, ...; `cut` around."""
    match = _compiled(pattern).search(text)
    if match is None:
        return Explained((), (Tried(("regex",), "the pattern does not match"),))
    names = [name for name in match.re.groupindex if name.startswith("context") and match[name]]
    cut = match.span("cut") if "cut" in match.re.groupindex and match["cut"] else None
    found = []
    for name in names:
        start, end = match.span(name)
        outer = cut if cut and len(names) == 1 else (start, end)
        if text[start:end].strip():
            found.append(Found(start, end, *outer, "regex", 1.0))
    found.sort(key=lambda f: f.start)
    outcome = "taken" if found else "its groups are empty"
    return Explained(tuple(found), (Tried(("regex",), outcome, tuple(found)),))


def _whole(part: str, text: Text, rule: str, confidence: float) -> ContextBlock:
    end = len(text.text)
    return ContextBlock(part, text.path, 0, end, 0, end, rule, confidence)


def _block(part: str, path: str, found: Found) -> ContextBlock:
    return ContextBlock(
        part,
        path,
        found.start,
        found.end,
        found.outer_start,
        found.outer_end,
        found.rule,
        found.confidence,
    )
