"""Prompts in which the context and the request are marked.

`prompts/*.jsonl` were written for this. A line has a `form`: the prompt with its contexts
between ⟦ and ⟧ and its requests between ‹ and ›, a `response`, and often a `template` that
several lines share. The prompts of `tests/contexts/truth` and the kept expectations of
`tests/contexts` are used too, and files of other marked prompts can be added.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contexts.truth.measuring import divide_unseen, load_collections, load_templates

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1] / "tests" / "contexts"

Span = tuple[int, int]


@dataclass(frozen=True)
class Marked:
    """One prompt and its marks; positions count characters of the text."""

    text: str
    contexts: Sequence[Span]
    request: Sequence[Span]
    response: str
    template: str
    family: str  # rows of one family are never divided between fitting and measuring
    weight: float = 1.0
    either: Sequence[Span] = field(default=())  # may be context or not

    def is_right(self, start: int, end: int) -> bool:
        """Return whether `start:end` is the context, and no character of the request."""
        if self.is_damaged(start, end):
            return False
        if not self.contexts:
            return any(a <= start and end <= b for a, b in self.either)
        whole = [(self.contexts[0][0], self.contexts[-1][1])]
        return max(_overlap(start, end, self.contexts), _overlap(start, end, whole)) >= 0.9

    def is_damaged(self, start: int, end: int) -> bool:
        """Return whether `start:end` has a part of the request."""
        return any(self.text[max(start, a) : min(end, b)].strip() for a, b in self.request)


def _overlap(start: int, end: int, spans: Sequence[Span]) -> float:
    shared = sum(max(0, min(end, b) - max(start, a)) for a, b in spans)
    return shared / (end - start + sum(b - a for a, b in spans) - shared)


def read_own() -> list[Marked]:
    """Return all marked prompts of the repository."""
    rows = [*_written(), *_collections(), *_layouts(), *_kept()]
    return _weighed(rows)


def read_marked(path: Path) -> list[Marked]:
    """Return the prompts of a file.

    A line has `prompt`, `contexts`, `request`, `response`, `template` and `family`, and perhaps
    `optional`. Positions count characters.
    """
    rows = [
        Marked(
            row["prompt"],
            row["contexts"],
            row["request"],
            row["response"],
            row["template"],
            f"{path.stem}-{row['family']}",
            either=row.get("optional", ()),
        )
        for row in _lines(path)
    ]
    return _weighed(rows)


def read_public(path: Path) -> list[Marked]:
    """Return the rows of public templates, without those of part b.

    `tests/contexts/truth/templates.jsonl` has the marks, as patterns.
    """
    truths = load_templates()
    part_of = divide_unseen({t["family"] for t in truths.values() if t["part"] != "working"})
    rows = []
    for row in _lines(path):
        truth = truths[row["source"]]
        if truth["part"] != "working" and part_of[truth["family"]] == "b":
            continue
        match = re.fullmatch(truth["pattern"], row["prompt"], re.S)
        assert match, row["source"]
        spans = {name: match.span(name) for name, text in match.groupdict().items() if text}
        kinds = {k: sorted(s for name, s in spans.items() if name[0] == k) for k in "cqo"}
        rows.append(
            Marked(
                row["prompt"],
                kinds["c"],
                kinds["q"],
                row["completion"],
                row["source"],
                "public-" + truth["family"],
                either=kinds["o"],
            )
        )
    return _weighed(rows)


def read_without(path: Path) -> list[Marked]:
    """Return prompts of which none has a context: lines with `prompt` and `completion`."""
    return [
        Marked(row["prompt"], (), (), row["completion"], path.stem, f"{path.stem}-{i}", 0.15)
        for i, row in enumerate(_lines(path))
    ]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text("utf-8").split("\n"):
        if line:
            yield json.loads(line)


def _weighed(rows: list[Marked]) -> list[Marked]:
    """Return the rows with weights: the rows of a template count as eight at most.

    Rows without a context are fewer, and count twice.
    """
    n: dict[str, int] = {}
    for row in rows:
        n[row.template] = n.get(row.template, 0) + 1
    return [
        Marked(
            **{
                **row.__dict__,
                "weight": (1 if n[row.template] == 1 else 8 / max(n[row.template], 4))
                * (1 if row.contexts or row.either else 2),
            }
        )
        for row in rows
    ]


def parse_form(form: str) -> tuple[str, list[Span], list[Span]]:
    """Return the text of a form, its contexts and its requests."""
    text, opened = "", 0
    contexts: list[Span] = []
    requests: list[Span] = []
    for ch in form:
        if ch in "⟦‹":
            opened = len(text)
        elif ch in "⟧›":
            (contexts if ch == "⟧" else requests).append((opened, len(text)))
        else:
            text += ch
    return text, contexts, requests


def _written() -> Iterator[Marked]:
    for path in sorted((HERE / "prompts").glob("*.jsonl")):
        for i, row in enumerate(_lines(path)):
            name = f"{path.stem}-{row.get('template', i)}"
            yield Marked(*parse_form(row["form"]), row["response"], name, name)


def _collections() -> Iterator[Marked]:
    halves = [f"{n} {half}" for n in ("second", "third") for half in ("working", "unseen")]
    for half in halves:
        for name, rows in load_collections(half).items():
            for row in rows:
                text, contexts, request = row["text"], row["contexts"], row["request"]
                family = "own-" + re.split(r"[-_ ]", name)[0]
                yield Marked(text, contexts, request, row["response"], name, family)


def _layouts() -> Iterator[Marked]:
    for i, row in enumerate(_lines(TESTS / "truth" / "prompts.jsonl")):
        family = f"layout-{row['layout']}"
        name = f"{family}-{i}"
        yield Marked(row["text"], row["contexts"], row["request"], "", name, family)


def _kept() -> Iterator[Marked]:
    """Yield the kept expectations: what remains is the request, labels and announcements."""
    for row in _lines(TESTS / "inline_contexts.jsonl"):
        text, at, contexts = row["text"], 0, []
        for context in row["contexts"]:
            at = text.find(context, at)
            contexts.append((at, at + len(context)))
        if row["role"] != "user" or any(start < 0 for start, _ in contexts):
            continue
        same = difflib.SequenceMatcher(None, text, row["remainder"], autojunk=False)
        remains = [(m.a, m.a + m.size) for m in same.get_matching_blocks() if m.size >= 6]
        request = [s for s in remains if not any(s[0] < b and a < s[1] for a, b in contexts)]
        yield Marked(text, contexts, request, "", f"kept-{row['name']}", f"kept-{row['name']}")
