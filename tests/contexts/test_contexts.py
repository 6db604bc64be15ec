"""Finding the context inside text: kept expectations, traps, and what holds for every string."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ifcurate.contexts.find import explain_context, find_context, find_document
from ifcurate.contexts.kinds import KINDS
from ifcurate.contexts.spans import ContextSpan, says_no_input
from ifcurate.contexts.words import classify_label
from ifcurate.records import ContextBlock, Example

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "data"
CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (HERE / "inline_contexts.jsonl").read_text(encoding="utf-8").splitlines()
]


# So many of the kept expectations are not met to the character.
MOST_WRONG = 43


def find(case: dict[str, Any]) -> list[ContextSpan]:
    if case["role"] != "user":
        return find_document(case["text"])
    return find_context(case["text"])


def cut(text: str, found: list[ContextSpan]) -> str:
    for f in reversed(found):
        text = text[: f.outer_start] + text[f.outer_end :]
    return text


def check_shape(text: str, found: list[ContextSpan]) -> None:
    floor = 0
    for f in found:
        assert floor <= f.outer_start <= f.start < f.end <= f.outer_end <= len(text)
        inner = text[f.start : f.end]
        assert inner == inner.strip()
        assert not says_no_input(inner)
        assert 0 <= f.confidence <= 1
        floor = f.outer_end


# ------------------------------------------------------------------- kept expectations
def test_finds_what_a_reader_would_mark_and_the_rest_still_asks() -> None:
    """The weights were fitted on these prompts too: a change for the worse is seen here."""
    wrong = []
    for case in CASES:
        found = find(case)
        check_shape(case["text"], found)
        contexts = [case["text"][f.start : f.end] for f in found]
        if contexts != case["contexts"] or cut(case["text"], found) != case["remainder"]:
            wrong.append(case["name"])
    assert len(wrong) <= MOST_WRONG, wrong


def test_expectations_are_many_and_distinct() -> None:
    assert len({c["name"] for c in CASES}) == len(CASES) >= 200
    traps = [c for c in CASES if not c["contexts"]]
    assert len(traps) >= 60
    assert all(c["remainder"] == c["text"] for c in traps)


def test_every_kind_has_an_expectation() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
    used = Counter(f.rule for case in CASES for f in find(case))
    assert set(used) == set(names) - {"template"}  # learned from rows


def test_a_passage_alone_is_no_context_and_the_reason_is_given() -> None:
    explained = explain_context("Passage: The mill has two wheels.")
    assert explained.spans == ()
    assert "what remains would not ask" in explained.reason or "no context" in explained.reason
    elsewhere = find_context("Passage: The mill has two wheels.", must_ask=False)
    assert [f.rule for f in elsewhere] == ["label"]


@pytest.mark.parametrize(
    "message",
    [
        "What is the capital of France?",
        "My order has not arrived. What should I do?",
        "Give me 5 names for a cat, please.",
        "Can you help me plan a trip to Rome? I have three days.",
        "博物馆什么时候开门？",
        "Thank you for your help!",
        "Yes, it was the second one.",
    ],
)
def test_a_question_or_a_reply_is_no_context_where_the_request_is_elsewhere(message: str) -> None:
    assert find_context(message, must_ask=False) == []


def test_a_long_message_is_a_context_where_the_request_is_elsewhere() -> None:
    text = " ".join(f"The mill of village {n} has two wheels and a barn." for n in range(6))
    (found,) = find_context(text, must_ask=False)
    assert text[found.start : found.end] == text
    short = explain_context("The mill has two wheels and a barn.", must_ask=False)
    assert "only if it is long" in short.reason


def test_examples_cut_what_was_found() -> None:
    text = "Passage: The mill has two wheels.\n\nQuestion: How many wheels has the mill?"
    (f,) = find_context(text)
    block = ContextBlock(
        "instruction", "prompt", f.start, f.end, f.outer_start, f.outer_end, f.rule, f.confidence
    )
    example = Example(id="1", instruction=text, context="", response="two", blocks=(block,))
    assert example.context_text == "The mill has two wheels."
    assert example.without_context().instruction == "Question: How many wheels has the mill?"
    assert example.with_contexts(["It has nine."]).instruction == (
        "Passage: It has nine.\n\nQuestion: How many wheels has the mill?"
    )


def test_min_confidence_leaves_out_the_unsure() -> None:
    text = "<context>The tram was late and nobody minded.</context>\n\nWho minded?"
    (found,) = find_context(text)
    assert found.rule == "tag"
    assert find_context(text, min_confidence=found.confidence - 0.001) == [found]
    assert find_context(text, min_confidence=1) == []


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", " \n\n"])
def test_the_end_of_the_prompt_stays_as_it_was(ending: str) -> None:
    text = f"Summarise the article:\n\nThe pier was closed after the storm of Monday.{ending}"
    assert cut(text, find_context(text)) == f"Summarise the article:{ending}"


@pytest.mark.parametrize("label", ["Passage", "CONTEXT", "article", "Background information"])
@pytest.mark.parametrize("layout", ["{}: {}", "### {}\n{}", "**{}:** {}", "{}:\n\n{}", "[{}]\n{}"])
def test_labels_in_every_layout(label: str, layout: str) -> None:
    body = "The goats came down from the hill on Friday, all but one."
    text = layout.format(label, body) + "\n\nQuestion: When did the goats come down?"
    found = find_context(text)
    assert [text[f.start : f.end] for f in found] == [body]
    assert cut(text, found) == "Question: When did the goats come down?"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Passage", "context"),
        ("Retrieved documents", "context"),
        ("Given the fact that", "phrase"),
        ("I can use this background", "phrase"),
        ("Question", "ask"),
        ("Answer the following question", "ask"),
        ("Answer", "answer"),
        ("Hint", "hint"),
        ("Movie plot title", ""),
        ("Summarise the article", ""),
        ("Speaker", ""),
    ],
)
def test_what_a_label_announces(name: str, kind: str) -> None:
    assert classify_label(name)[0] == kind


# ------------------------------------------------------------------------- no context
@pytest.mark.parametrize(
    "text",
    [
        *("No input", "noinput", "NoInput", "No Input.", "<noinput>", "<No input>", "<no input>."),
        *("<noinput", '"<noinput>"', "\\<noinput\\>", "<noinpute>", "[no input]", "(No input)"),
        *("N/A", "n/a", "NA", "n.a.", "N / A", "None", "none.", "<none>", "null", "nil", "NaN"),
        *("No input required", "No input required.", "no input needed", "No context", "-", "--"),
        *("No additional input needed", "No context provided.", "not applicable", "...", ""),
        *("There is no input.", "Input: none", "(empty)", "<blank>", " \t\n", "​", "No text"),
    ],
)
def test_no_context(text: str) -> None:
    assert says_no_input(text)


@pytest.mark.parametrize(
    "text",
    [
        *("5", "abc", "El Niño", "A.I.", "3 + 5", "Noam Chomsky", "None of them came back."),
        *(
            "No, I haven't seen it",
            "Nothing",
            "nothing",
            "empty",
            "Input: 7",
            "no man is an island",
        ),
        *(
            "The input is missing.",
            "NATO",
            "日本",
            "🦔",
            "No input from the users was recorded in May.",
        ),
        "There is no greater power than love.",
    ],
)
def test_some_context(text: str) -> None:
    assert not says_no_input(text)


@given(st.text(max_size=300))
def test_no_context_never_raises_and_ignores_case(text: str) -> None:
    assert says_no_input(text) in (True, False)
    if text.isascii():
        assert says_no_input(text.upper()) == says_no_input(text.lower())


def test_an_input_field_that_says_no_input_is_not_found() -> None:
    for value in ("No input", "<noinput>", "N/A", "None."):
        assert find_context(f"### Instruction:\nName a tree.\n\n### Input:\n{value}\n") == []


# --------------------------------------------------------------- for every string
PIECES = st.sampled_from(
    [
        *("Context:", "Passage: ", "### Context\n", "Question:", "Answer:", "Hint: ", "Options:\n"),
        *("\n", "\n\n", "\r\n", " ", "?", ".", ":", '"', "```", '"""', "---\n", "===\n", "[1] "),
        *(
            "<context>",
            "</context>",
            "<document id='1'>",
            "</document>",
            "[CONTEXT]",
            "| a | b |\n",
        ),
        *("|--|--|\n", "Summarize this dialogue: ", "Given the following passage", "Q: ", "A: "),
        *("According to the above context, ", "Document [2]", "Here is the article:", "- x\n"),
        *("The boat left at noon and came back at dusk.", "Who was on it?", "You are a pilot."),
        *("Example:\n", "**Text:**", "def f(x):\n", "TL;DR:", "\x00", "\u2028", "é", "\ud800"),
    ]
)
TEXTS = st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=25).map("".join))


@pytest.mark.slow
@given(TEXTS)
@settings(max_examples=120, deadline=None)
def test_any_string_gives_stretches_in_order(text: str) -> None:
    for found in (find_context(text), find_document(text), find_context(text, min_confidence=0)):
        check_shape(text, found)


@given(st.lists(st.sampled_from(CASES), min_size=2, max_size=4))
@settings(max_examples=50, deadline=None)
def test_prompts_glued_together_keep_the_invariants(cases: list[dict[str, Any]]) -> None:
    text = "\n\n".join(case["text"] for case in cases)
    check_shape(text, find_context(text))
    check_shape(text, find_document(text))


@given(st.sampled_from([c for c in CASES if c["contexts"] and c["role"] == "user"]))
@settings(max_examples=40, deadline=None)
def test_trailing_white_space_changes_nothing(case: dict[str, Any]) -> None:
    text = case["text"].rstrip()
    spans = [[(f.start, f.end) for f in find_context(text + end)] for end in ("", "\n  \n")]
    assert spans[0] == spans[1]


# ------------------------------------------------------------------------------ time
SHAPES = {
    "one-word": "a",
    "blank-lines": "\n",
    "spaces": " ",
    "short-lines": "a\n",
    "labels": "a:\n",
    "context-labels": "Context: x\n",
    "empty-labels": "Context:\n",
    "headings": "# x\n",
    "questions": "What?\n",
    "questions-apart": "What?\n\n",
    "pointers": "the following ",
    "quotes": '"a',
    "opening-quotes": "“aaaa bbb ",
    "opening-tags": "<context>",
    "tag-pairs": "<context></context>",
    "unclosed-tags": "<doc ",
    "fences": "```\n",
    "rulers": "---\n",
    "ruler": "-",
    "table": "|a|b|\n",
    "table-rules": "|--|--|\n",
    "numbers": "[1] abc\n[2] def\n",
    "braces": "{",
    "sentences": "Is it so? It is. ",
    "questions-and-answers": "Q: a\nA: b\n",
    "examples": "Example: x\nContext: y\n",
    "given": "Given the following ",
    "based": "based on the ",
    "apostrophes": "a'",
    "stars": "**",
}


def seconds(text: str) -> float:
    start = time.process_time()
    find_context(text)
    find_document(text)
    says_no_input(text)
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("unit", SHAPES.values(), ids=SHAPES.keys())
def test_long_texts_take_no_worse_than_linear_time(unit: str) -> None:
    assert seconds(unit * (300_000 // len(unit))) < 0.9  # a square would take a minute


def test_a_long_prompt_is_found_whole() -> None:
    body = " ".join(f"Mile {i} of the road was paved in a year of rain." for i in range(20_000))
    text = f"Context: {body}\n\nQuestion: Which mile came last?"
    start = time.process_time()
    (f,) = find_context(text)
    assert time.process_time() - start < 1
    assert text[f.start : f.end] == body


# ------------------------------------------------------------------ real rows, when there
WITHOUT = ("cosmos_qa_only", "commonsense_qa")


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_real_inline_prompts() -> None:
    """The weights were not fitted on these rows; each is read alone."""
    path = SHARED / "p3_inline_context.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = []
    for i, row in enumerate(rows):
        found = find_context(row["prompt"])
        check_shape(row["prompt"], found)
        if bool(found) == row["source"].startswith(WITHOUT):
            wrong.append(i)
    assert len(wrong) <= 0.04 * len(rows), wrong


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_real_inputs_that_say_no_input() -> None:
    rows = json.loads((SHARED / "alpaca_5pct.json").read_text(encoding="utf-8"))
    inputs = [row["input"] for row in rows if row["input"].strip()]
    none = [text for text in inputs if says_no_input(text)]
    said = [text for text in inputs if "noinput" in text.lower().replace(" ", "")]
    assert len(said) >= 59
    assert set(said) <= set(none)
    assert {text.strip("<>.").lower() for text in none if text not in said} == {"n/a", "none"}
