"""The rules by which a context is found inside text, as a table.

Each rule has what it looks for, an example, and its confidence: how often it is right on
labelled rows on which it was not written, with the number of these rows. With few rows
the confidence is a judgement. The patterns are in `patterns` and `words`, the procedure
is in `find`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RULES", "Rule", "rule_confidence"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which prompts carry a context, in the order in which they are tried."""

    name: str
    matches: str
    example: str
    confidence: float  # 0..1
    n_rows: int = 0  # labelled rows behind the figure, on which the rule was not written


RULES: tuple[Rule, ...] = (
    Rule(
        "template", "a slot of a template that rows of the source share", "learned rows", 0.97, 890
    ),
    Rule("tag", "a pair of tags named after a text", "<context>Oslo is ...</context>", 0.95, 5),
    Rule(
        "ruled", "text between two ruler lines, announced before", "Context below.\n---\n...", 0.9
    ),
    Rule(
        "key", "a JSON key, or BEGIN and END words", '{"context": "...", "question": ...}', 0.9, 7
    ),
    Rule(
        "label",
        "a label before the text, at the start of a line",
        "Passage: Oslo is ...",
        0.97,
        297,
    ),
    Rule("heading", "a heading before the text", "### Context\nOslo is ...", 0.9, 5),
    Rule(
        "phrase", "words that announce the text and say nothing else", "Given the fact that:", 0.9
    ),
    Rule("hint", "a hint as long as a paragraph", "Hint: When water cools, its ...", 0.65),
    Rule("inline-label", "labels on one line", "question: Where? context: Oslo is ...", 0.85),
    Rule(
        "numbered", "passages numbered from 1, two or more", "[1] Oslo is ...\n[2] Bergen", 0.85, 5
    ),
    Rule(
        "lead",
        "an instruction that points to text after it",
        "Summarise this email: ...",
        0.85,
        301,
    ),
    Rule("sentence", "a sentence to be worked on", "Classify this sentence: I ...", 0.55),
    Rule(
        "fence",
        "text between ``` or triple quotes, with an instruction outside",
        "```...```",
        0.7,
        2,
    ),
    Rule("code", "code that the task is about, not code to be written", "Fix this: ```...```", 0.6),
    Rule("quote", "a long quotation, with an instruction outside", 'Who says "..."?', 0.7, 22),
    Rule("long-paragraph", "a long text beside a short question", "<60 words>\n\nWho?", 0.9, 27),
    Rule(
        "between", "a text between requests, in any language", "Lee el texto.\nOslo ...", 0.85, 91
    ),
)

_CONFIDENCE = {rule.name: rule.confidence for rule in RULES}


def rule_confidence(name: str) -> float:
    """The confidence of the rule of that name; `KeyError` for an unknown one."""
    return _CONFIDENCE[name]
