"""The table of rules that find a context in a text, in the order in which they are tried.

The confidence of a rule is (right + 1) / (n + 2), at most 0.97, for the n labelled rows in
which it found a context and on which no rule was written. Few rows give a cautious figure, and no
rows give 0.5. `docs/contexts.md` says which rows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which a prompt marks its context."""

    name: str
    matches: str
    confidence: float  # 0..1
    n_rows: int  # labelled rows behind the figure


RULES: tuple[Rule, ...] = (
    Rule("template", "a slot of a template that rows of the source share", 0.94, 6346),
    Rule("tag", "a pair of tags named after a text", 0.97, 32),
    Rule("key", "a JSON key, or BEGIN and END words", 0.89, 7),
    Rule("label", "a label before the text, at the start of a line or of a sentence", 0.87, 1583),
    Rule("heading", "a heading before the text", 0.63, 65),
    Rule("numbered", "passages numbered from 1, two or more", 0.86, 5),
    Rule("lead", "an instruction that points to text after it", 0.86, 1109),
    Rule("fence", "text or code in ``` or triple quotes, with an instruction outside", 0.96, 26),
    Rule("paragraph", "a text above a request that refers to it, or a long one", 0.84, 1404),
    Rule("between", "a text between requests, in any language", 0.73, 739),
)

_CONFIDENCE = {rule.name: rule.confidence for rule in RULES}


def rule_confidence(name: str) -> float:
    """Return the confidence of a rule; raises `KeyError` for an unknown name."""
    return _CONFIDENCE[name]
