"""Rows of every layout become the same kind of example."""

from __future__ import annotations

from typing import Any

import pytest

from ifcurate.data.detection import detect_format
from ifcurate.data.parse_rows import parse_row, row_hash
from ifcurate.data.row_formats import RowLayout
from ifcurate.errors import DataError, RowError
from ifcurate.records import Example

PASSAGE = (
    "The lighthouse on Gull Rock was built in 1911 by the harbour board. Its first keeper was "
    "Tomas Arlen, who stayed for thirty years and kept bees behind the store house."
)
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}


def one(row: dict[str, Any], format: str, **options: Any) -> Example:
    (example,) = parse_row(row, RowLayout(format, **options))
    return example


@pytest.mark.parametrize(
    ("row", "format"),
    [
        ({"instruction": "i", "input": "c", "output": "o"}, "alpaca"),
        ({"instruction": "i", "context": "c", "response": "o", "category": "x"}, "alpaca"),
        ({"prompt": "p", "completion": "c"}, "prompt_completion"),
        ({"messages": [{"role": "user", "content": "u"}]}, "messages"),
        ({"conversations": [{"from": "human", "value": "u"}]}, "sharegpt"),
        ({"conversations": [{"role": "user", "content": "u"}]}, "messages"),
        ({"question": "q", "context": "c", "answers": {"text": ["a"]}}, "qca"),
    ],
)
def test_detected(row: dict[str, Any], format: str) -> None:
    assert detect_format([row], "here") == format


def test_unknown_layout_names_the_columns() -> None:
    with pytest.raises(DataError, match="found the columns body, title; map them"):
        detect_format([{"title": "t", "body": "b"}], "here")


def test_rows_inside_an_object_are_named() -> None:
    with pytest.raises(DataError, match="the rows seem to be in 'rows'; write each"):
        detect_format([{"rows": [{"instruction": "i", "output": "o"}]}], "here")


def test_alpaca_and_its_empty_inputs() -> None:
    example = one({"instruction": "i", "input": PASSAGE, "output": "o"}, "alpaca")
    assert (example.instruction, example.context, example.response) == ("i", PASSAGE, "o")
    assert example.context_text == PASSAGE
    (block,) = example.blocks
    assert (block.part, block.path, block.rule, block.confidence) == (
        "context",
        "input",
        "field",
        1,
    )
    assert example.without_context().context == ""
    for nothing in ("", " ", "No input", "N/A", "<noinput>", "none"):
        row = {"instruction": "Say it.", "input": nothing, "output": "o"}
        assert not one(row, "alpaca").has_context


def test_an_input_without_an_instruction_is_the_prompt() -> None:
    row = {"instruction": "", "input": "Where does the mill stand?", "output": "In Holt."}
    (example,) = parse_row(row, RowLayout("alpaca"))
    assert (example.instruction, example.has_context) == (row["input"], False)
    (example,) = parse_row({**row, "system": "Translate the text."}, RowLayout("alpaca"))
    assert example.context_text == row["input"]


@pytest.mark.parametrize(
    ("value", "read"), [(5, "5"), (True, "true"), (["a", "b"], "a\n\nb"), ([], ""), ({}, "")]
)
def test_an_input_that_is_no_text_is_read(value: Any, read: str) -> None:
    row = {"instruction": "Double it.", "input": value, "output": "10", "document": 17}
    assert one(row, "alpaca").context_text == read


def test_a_context_column_is_used_at_any_place() -> None:
    row = {"prompt": "Who?", "context": PASSAGE, "completion": "Tomas"}
    assert one(row, "prompt_completion").context_text == PASSAGE
    row = {"instruction": "Who?", "input": "", "context": PASSAGE, "output": "Tomas"}
    example = one(row, "alpaca")
    assert example.context_text == PASSAGE
    assert example.blocks[0].path == "context"


def test_inline_context_is_cut_with_its_label() -> None:
    prompt = f"Passage: {PASSAGE}\n\nQuestion: Who was the first keeper?"
    example = one({"prompt": prompt, "completion": "Tomas Arlen"}, "prompt_completion")
    assert example.context_text == PASSAGE
    assert example.instruction == prompt
    (block,) = example.blocks
    assert prompt[block.start : block.end] == PASSAGE
    assert block.path == "prompt"
    rest = example.without_context().instruction
    assert "Passage" not in rest
    assert "Who was the first keeper?" in rest


def test_kinds_of_context_can_be_left_out() -> None:
    prompt = f"Passage: {PASSAGE}\n\nQuestion: Who?"
    row = {"prompt": prompt, "completion": "Tomas"}
    assert not one(row, "prompt_completion", context=("field", "tool")).has_context
    alpaca = {"instruction": "i", "input": PASSAGE, "output": "o"}
    assert not one(alpaca, "alpaca", context=("inline",)).has_context


def test_messages_with_system_and_tools() -> None:
    row = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Look it up."},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": PASSAGE, "name": "find"},
            {"role": "assistant", "content": "Built in 1911."},
        ],
        "tools": [{"type": "function", "function": {"name": "find"}}],
    }
    example = one(row, "messages")
    assert example.system == "Be brief."
    assert example.instruction == "Look it up."
    assert [turn.role for turn in example.trailing] == ["assistant", "tool"]
    assert example.response == "Built in 1911."
    assert example.response_path == "messages[4].content"
    (block,) = example.blocks
    assert (block.part, block.path, block.rule) == (
        "trailing[1]",
        "messages[3].content",
        "tool-result",
    )
    assert example.without_context().trailing[1].content == ""
    assert '"find"' in example.tools


def test_every_turn_can_be_scored() -> None:
    turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    row = {"messages": [{"role": r, "content": c} for r, c in turns]}
    first, second = parse_row(row, RowLayout("messages", turns="all"))
    assert (first.response, second.response) == ("b", "d")
    assert (first.turn, second.turn) == (0, 1)
    assert [turn.content for turn in second.history] == ["a", "b"]
    assert first.id == second.id


def test_a_turn_that_only_calls_a_tool_answers_with_the_call() -> None:
    row = {
        "messages": [
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
        ]
    }
    example = one(row, "messages")
    assert '"name": "find"' in example.response
    assert example.response_path == "messages[1].tool_calls"


def test_sharegpt_names_and_system_column() -> None:
    row = {
        "system": "Be kind.",
        "conversations": [
            {"from": "human", "value": "u"},
            {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
            {"from": "observation", "value": PASSAGE},
            {"from": "gpt", "value": "r"},
        ],
    }
    example = one(row, "sharegpt")
    assert example.system == "Be kind."
    assert example.trailing[0].tool_calls[0]["function"]["name"] == "f"
    assert example.context_text == PASSAGE


@pytest.mark.parametrize(
    ("answers", "text", "path"),
    [
        ("a", "a", "answers"),
        (["a", "b"], "a", "answers[0]"),
        ({"text": ["a"], "answer_start": [3]}, "a", "answers.text[0]"),
        ([{"text": "a"}], "a", "answers[0].text"),
        ([], "", "answers"),
    ],
)
def test_question_context_answer(answers: Any, text: str, path: str) -> None:
    example = one({"question": "q", "context": PASSAGE, "answers": answers}, "qca")
    assert (example.response, example.response_path) == (text, path)


def test_mapped_columns() -> None:
    columns = {"instruction": "task", "context": "doc", "response": "gold"}
    row = {"task": "t", "doc": PASSAGE, "gold": "g", "other": 1}
    example = one(row, "columns", columns=columns)
    assert (example.instruction, example.context, example.response) == ("t", PASSAGE, "g")


@pytest.mark.parametrize(
    ("row", "format", "said"),
    [
        ({"instruction": "i"}, "alpaca", "no column 'output'"),
        ({"instruction": ["i"], "output": "o"}, "alpaca", "expected text, found list"),
        ({"instruction": "i", "input": [3, 1], "output": "o"}, "alpaca", "text, found list; write"),
        ({"instruction": "i", "input": {"a": 1}, "output": "o"}, "alpaca", "columns context=input"),
        ({"messages": "m"}, "messages", "expected a list of turns, found str"),
        ({"messages": ["m"]}, "messages", "expected a turn, found str"),
        ({"messages": [{"role": "bird", "content": "c"}]}, "messages", "unknown role 'bird'"),
        ({"messages": [{"role": "user", "content": "c"}]}, "messages", "no assistant turn"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "messages",
            "only text can be scored",
        ),
        (
            {"messages": [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]},
            "messages",
            "a list of 2 parts .*; only text can be scored: join texts into one",
        ),
        ({"instruction": "i", "output": "\ud800"}, "alpaca", "half a surrogate pair"),
    ],
)
def test_rows_that_do_not_fit_say_why(row: dict[str, Any], format: str, said: str) -> None:
    with pytest.raises(RowError, match=said):
        parse_row(row, RowLayout(format))


def test_ids_come_from_the_row_or_its_content() -> None:
    row = {"instruction": "i", "output": "o"}
    assert one(row, "alpaca").id == row_hash(row)
    assert row_hash({"a": 1, "b": 2}) == row_hash({"b": 2, "a": 1})
    assert one({**row, "id": 7}, "alpaca").id == "7"


def test_blocks_are_replaced_and_cut_by_characters() -> None:
    prompt = f"Passage: {PASSAGE}\n\nQuestion: Who?"
    example = one({"prompt": prompt, "completion": "r"}, "prompt_completion")
    other = example.with_contexts(["Other."])
    assert other.instruction == prompt.replace(PASSAGE, "Other.")
    with pytest.raises(ValueError, match="found 2 texts for 1 blocks"):
        example.with_contexts(["a", "b"])
