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
    Rule("template", "a slot of a template that rows of the source share", 0.94, 5682),
    Rule("tag", "a pair of tags named after a text", 0.97, 32),
    Rule("ruled", "text between two ruler lines, announced before", 0.74, 51),
    Rule("key", "a JSON key, or BEGIN and END words", 0.89, 7),
    Rule("label", "a label before the text, at the start of a line or of a sentence", 0.87, 1408),
    Rule("heading", "a heading before the text", 0.63, 65),
    Rule("phrase", "words that announce the text and say nothing else", 0.55, 101),
    Rule("hint", "a hint as long as a paragraph", 0.97, 28),
    Rule("numbered", "passages numbered from 1, two or more", 0.86, 5),
    Rule("lead", "an instruction that points to text after it", 0.86, 1082),
    Rule("fence", "text or code in ``` or triple quotes, with an instruction outside", 0.95, 18),
    Rule("above", "an instruction that points to text before it", 0.83, 843),
    Rule("long-paragraph", "a long text beside a short question", 0.83, 445),
    Rule("between", "a text between requests, in any language", 0.69, 535),
)

_CONFIDENCE = {rule.name: rule.confidence for rule in RULES}


def rule_confidence(name: str) -> float:
    """Return the confidence of a rule; raises `KeyError` for an unknown name."""
    return _CONFIDENCE[name]
