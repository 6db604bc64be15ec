"""What must hold of everything written, checked without the code that is checked."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from ifcurate.counterfactual.lexicon.kinds import types_by_table
from ifcurate.counterfactual.recognise.spans import Recogniser
from ifcurate.counterfactual.write.outcomes import Written


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


__all__ = ["assert_holds", "leaves"]

_ADDED = ("answer", "memory_answer")
_GENERIC = words(
    """
    the and of city saint san santa new republic united states kingdom islands island south north
    east west river rivers lake mount mountain empire ocean desert great falls rainforest museum
    art national gallery queen king empress emperor prince princess pope dr mr mrs jr sr ii iii iv
    operation war wars de da di del della van von der den la le dos du bin ibn al el ter
    """
)
_PATTERNED = {"ORG", "FAC", "EVENT", "LOC", "PRODUCT"}
_NUMBERS = {"MONEY", "YEAR", "NUMBER", "QUANTITY"}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All strings of a row with their paths, escapes in JSON read."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")


def plain(text: str) -> str:
    kept = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in kept if not unicodedata.combining(c))


def undo(row: dict[str, Any], original: dict[str, Any]) -> dict[str, str]:
    """The strings of the row with the recorded edits taken back."""
    known = {p for p, _ in leaves(original)}
    texts = {p: t for p, t in leaves(row) if p in known}
    edits = sorted(row["ifcurate_edits"], key=lambda e: (e["field"], -e["new_start"]))
    for edit in edits:
        text = texts[edit["field"]]
        assert text[edit["new_start"] : edit["new_end"]] == edit["new"]
        texts[edit["field"]] = text[: edit["new_start"]] + edit["old"] + text[edit["new_end"] :]
    return texts


def assert_holds(item: Written, recogniser: Recogniser) -> None:
    """Inversion, residue, type and structure of one counterfactual."""
    row = next(r for r in item.rows if r["ifcurate_role"] == "counterfactual")
    original = dict(item.original.row)
    before = dict(leaves(original))
    assert undo(row, original) == before
    added = [n for n in _ADDED if n not in original]
    kept = [n for n in ("memory_answer", "parametric_answer") if n in original]
    after = {
        p: t
        for p, t in leaves({k: v for k, v in row.items() if not k.startswith("ifcurate_")})
        if p not in added and p not in kept
    }
    _assert_no_residue(item, after)
    _assert_type(item, after, recogniser)
    for path, text in before.items():
        if path in after:
            _assert_structure(text, after[path])
    json.dumps(row, allow_nan=False)


def _assert_no_residue(item: Written, after: dict[str, str]) -> None:
    plan = item.made.plan
    if plan.source == "alias":
        return
    texts = list(after.values())
    for text in list(texts):
        try:
            texts += [t for _, t in leaves(json.loads(text))]
        except ValueError:
            continue
    old = {e.old for e in item.made.edits} | {plan.original}
    if plan.type in _NUMBERS:
        for form in old:
            digits = re.sub(r"[^\d.]", "", form)
            for text in texts:
                runs = [r.replace(",", "").rstrip(".") for r in re.findall(r"\d[\d,.]*", text)]
                assert digits.rstrip(".") not in runs, (plan.original, text)
        return
    asked = plain(item.made.view.question_text)
    memory = plain(str(item.original.row.get("memory_answer", "")))
    for text in map(plain, texts):
        for form in map(plain, old):
            assert not re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text), (plan.original, form)
            if plan.type == "DATE":
                continue
            for word in re.findall(r"[^\W\d_]+", form):
                if (
                    len(word) < 3
                    or word in _GENERIC
                    or (plan.type != "PERSON" and (word in asked or word in memory))
                    or (plan.type in _PATTERNED and word in plain(plan.substitute))
                    or plan.type == "WORK"
                ):
                    continue
                assert not re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", text), word
                if plan.type == "PERSON" and len(word) >= 4:
                    assert word not in text, (plan.original, word)


def _assert_type(item: Written, after: dict[str, str], recogniser: Recogniser) -> None:
    plan = item.made.plan
    wanted = plan.new_type or plan.type
    spans = [s for s in recogniser.spans(after) if s.type == wanted]
    seen = any(
        e.path == s.path and s.start <= e.new_start and e.new_end <= s.end
        for e in item.made.edits
        for s in spans
    )
    assert seen or wanted in types_by_table(plan.substitute), plan


def _assert_structure(before: str, after: str) -> None:
    try:
        old = json.loads(before)
    except ValueError:
        old = None
    if isinstance(old, dict | list):
        new = json.loads(after)
        assert [p for p, _ in leaves(old)] == [p for p, _ in leaves(new)]
    assert re.findall(r"```[\s\S]*?```", before) == re.findall(r"```[\s\S]*?```", after)
    assert before.count("\n") == after.count("\n")
