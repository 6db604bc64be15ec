"""Columns beside those of a format: contexts, system messages, capitals, numbers, dialogues."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ifcurate.data.detection import detect_format
from ifcurate.data.in_memory import take_examples
from ifcurate.data.parse_rows import parse_row
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import read_examples
from ifcurate.data.unread import Unread, describe_unread, list_unread, unread_columns
from ifcurate.errors import DataError, OptionError, RowError
from ifcurate.records import Example
from tests.conftest import write_jsonl

PASSAGE = "The mill of Holt stands on the Leda. It made paper until 1939."
LONG = "She first weighs what the miller said and then what the baker said. " * 4


def one(row: dict[str, Any], **columns: str) -> Example:
    (example,) = parse_row(row, RowLayout(detect_format([row], "x"), columns or None))
    return example


def unread(row: dict[str, Any], **columns: str) -> Unread:
    return unread_columns([row] * 3, RowLayout(detect_format([row], "x"), columns or None))


def chat(*said: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(said)]


def gpt(*said: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(said)]


@pytest.mark.parametrize("name", ["system", "system_prompt"])
def test_a_system_message_in_a_column_of_its_own(name: str) -> None:
    for row in (
        {"question": "Where?", "response": "Leda"},
        {"prompt": "Where?", "completion": "Leda"},
        {"messages": chat("Where?", "Leda")},
        {"conversations": gpt("Where?", "Leda")},
        {"question": "Where?", "chosen": "Leda", "rejected": "Nile"},
        {"prompt": chat("Where?"), "chosen": chat("", "Leda")[1:], "rejected": []},
    ):
        example = one({name: "Be brief.", **row})
        assert (example.system, example.instruction) == ("Be brief.", "Where?")
        assert name not in unread({name: "Be brief.", **row}).columns


@pytest.mark.parametrize(
    "name", ["rationale", "explanation", "cot", "gpt_reasoning", "chainOfThought", "answer_2"]
)
def test_the_way_to_an_answer_is_no_context(name: str) -> None:
    assert unread({"question": "Where?", "answer": "Leda", name: LONG}).advice == ()
    assert unread({"question": "Where?", "answer": "Leda", "wiki": LONG}).advice


@pytest.mark.parametrize(
    "turns", [{"messages": chat("Who?", "Ada")}, {"conversations": gpt("Who?", "Ada")}]
)
@pytest.mark.parametrize("name", ["context", "documents"])
def test_a_context_column_beside_a_chat_comes_with_a_line_that_works(
    turns: dict[str, Any], name: str
) -> None:
    row = {**turns, name: [PASSAGE] if name == "documents" else PASSAGE}
    assert not one(row).has_context
    (line,) = unread(row).advice
    assert line == f"{name} looks like a context; to read it: --columns context={name}"
    example = one(row, context=name)
    assert (example.context_text, example.response) == (PASSAGE, "Ada")
    assert unread(row, context=name).columns == ()


def test_a_context_alone_adds_to_the_format_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_jsonl(path, [{"messages": chat("Who?", "Ada"), "notes": PASSAGE}])
    (example,) = read_examples(path, columns={"context": "notes"})
    assert (example.context_text, example.response) == (PASSAGE, "Ada")
    with pytest.raises(DataError, match="cannot be read as messages: no column 'nobody'"):
        read_examples(path, columns={"context": "nobody"})
    with pytest.raises(OptionError, match=r"columns: response=\.\.\. is missing"):
        read_examples(path, columns={"instruction": "messages"})


def test_a_system_column_of_another_name_beside_a_chat() -> None:
    row = {"messages": chat("Who?", "Ada"), "persona": "You keep a lighthouse."}
    assert one(row, system="persona").system == "You keep a lighthouse."
    with pytest.raises(RowError, match="no column 'nobody'; found the columns messages, persona"):
        one(row, context="nobody")


@pytest.mark.parametrize(
    ("more", "likely", "option"),
    [
        ({"passage": LONG}, "passage", "context=context+passage"),
        ({"meta": {"docs": [{"body": PASSAGE}]}}, "meta.docs[*].body", ""),
        ({"knowledge": PASSAGE}, "knowledge", "context=context+knowledge"),
        ({"my_context": PASSAGE}, "my_context", "context=context+my_context"),
    ],
)
def test_a_second_context_comes_with_the_line_that_reads_both(
    more: dict[str, Any], likely: str, option: str
) -> None:
    row = {"question": "Where?", "context": "Holt is old.", "answer": "Leda", **more}
    found = unread(row)
    assert found.advice[0].startswith(likely)
    option = option or f"'context=context+{likely}'"
    line = f"{likely} looks like a second context; to read both: --columns {option}"
    assert found.advice == (line,)
    both = one(row, context=f"context+{likely}")
    assert both.context_text.startswith("Holt is old.\n\n")
    assert unread(row, context=f"context+{likely}").advice == ()


def test_contexts_by_short_names_and_inside_other_columns() -> None:
    asked = {"prompt": "Where?", "completion": "Leda"}
    assert one({**asked, "ctx": PASSAGE}).context_text == PASSAGE
    nested = {**asked, "meta": {"docs": [{"body": PASSAGE, "title": "Mill"}, {"body": "So."}]}}
    assert unread(nested).advice[0].startswith("meta.docs[*].body looks")
    assert one(nested, context="meta.docs[*].body").context_text == f"{PASSAGE}\n\nSo."
    for row in (
        {**asked, "context_id": "a b c d e f"},
        {**asked, "reference": "Leda"},
        {"prompt": f"{PASSAGE} Where does it stand?", "completion": "Leda", "passage_2": PASSAGE},
        {**asked, "log": chat(LONG, LONG)},
    ):
        assert unread(row).advice == ()


def test_columns_in_capitals_are_read_like_small_ones() -> None:
    row = {"Question": "Where?", "Context": PASSAGE, "Answer": "Leda", "ID": 7, "id": "x"}
    example = one(row)
    assert (example.instruction, example.context_text, example.response) == (
        "Where?",
        PASSAGE,
        "Leda",
    )
    assert (example.blocks[0].path, example.response_path) == ("Context", "Answer")
    assert unread(row).columns == ("ID",)
    assert one({"Messages": chat("Who?", "Ada")}).response_path == "Messages[1].content"


@pytest.mark.parametrize(
    ("value", "text"), [(42, "42"), (2.5, "2.5"), (True, "true"), (False, "false"), ([7], "7")]
)
def test_numbers_and_booleans_are_answers_in_all_formats(value: Any, text: str) -> None:
    rows: list[dict[str, Any]] = [{"question": "Is it?", "passage": PASSAGE, "answer": value}]
    if not isinstance(value, list):
        rows += [
            {"instruction": "Is it?", "input": PASSAGE, "output": value},
            {"prompt": "Is it?", "context": PASSAGE, "completion": value},
            {"prompt": "Is it?", "context": PASSAGE, "chosen": value, "rejected": "x"},
        ]
    for row in rows:
        example = one(row)
        assert (example.response, example.context_text) == (text, PASSAGE)
        said = [line for line in list_unread(unread(row)) if "boolean" in line]
        name = example.response_path
        expected = f"{name} is a boolean; the responses are the texts true and false"
        assert said == [expected] * isinstance(value, bool)
    row = {"a": "Is it?", "b": value}
    assert one_mapped(row).response == text


def one_mapped(row: dict[str, Any]) -> Example:
    (example,) = parse_row(row, RowLayout("columns", {"instruction": "a", "response": "b"}))
    return example


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"conversations": gpt("Who?", "You."), "chosen": "You."}, "conversations"),
        ({"conversations": gpt("Who?", "He."), "chosen": gpt("", "You.")[1]}, "conversations"),
        ({"prompt": chat("Who?", "You."), "chosen": chat("", "You.")[1:]}, "prompt"),
        ({"prompt": "\n\nHuman: Who?\n\nAssistant: You.", "chosen": " You."}, "prompt"),
    ],
)
def test_an_answer_before_the_chosen_one_is_no_part_of_the_prompt(
    row: dict[str, Any], column: str
) -> None:
    row = {**row, "rejected": "Nobody."}
    example = one(row)
    assert (example.instruction, example.response.strip()) == ("Who?", "You.")
    assert (example.history, example.trailing) == ((), ())
    note = f"{column} ends in an answer, which is not read; chosen is the response"
    assert note in list_unread(unread(row))


def test_a_conversation_beside_whole_chosen_ones_is_not_put_in_front() -> None:
    whole = chat("Hi.", "Hello.", "Who?", "You.")
    row = {"messages": [*whole[:3], {"role": "assistant", "content": "He."}], "chosen": whole}
    example = one({**row, "rejected": whole})
    assert [turn.content for turn in example.history] == ["Hi.", "Hello."]
    assert (example.instruction, example.response) == ("Who?", "You.")
    last = one({"messages": whole[:2], "chosen": whole[2:], "rejected": whole[2:]})
    assert [turn.content for turn in last.history] == ["Hi.", "Hello."]


SAID = "\n\nHuman: Who?\n\nAssistant: You.\n\nHuman: Why?\n\nAssistant:"


@pytest.mark.parametrize("prompt", ["", "Why?", SAID])
def test_whole_dialogues_as_texts_are_read_into_turns(prompt: str) -> None:
    row = {"chosen": f"{SAID} Because.", "rejected": f"{SAID} No."}
    if prompt:
        row["prompt"] = prompt
    example = one(row)
    assert (example.instruction, example.response) == ("Why?", "Because.")
    assert [turn.content for turn in example.history] == ["Who?", "You."]
    shown = describe_unread({"a": unread(row)})
    assert "chosen" not in json.dumps(shown)


def test_a_dialogue_as_the_prompt_of_a_completion_is_read_into_turns() -> None:
    example = one({"prompt": SAID, "completion": " Because."})
    assert (example.instruction, example.response) == ("Why?", " Because.")
    assert [turn.content for turn in example.history] == ["Who?", "You."]


def test_an_answer_that_quotes_a_dialogue_stays_one() -> None:
    play = "Human: Hello?\n\nAssistant: Here."
    example = one({"prompt": "Write a play.", "chosen": play, "rejected": "No."})
    assert (example.instruction, example.response) == ("Write a play.", play)


def test_an_unknown_format_comes_with_the_columns_that_were_found() -> None:
    row = {"task_text": "Where?", "doc": PASSAGE, "chosen_response": "Leda", "stars": 3}
    said = "found the columns chosen_response, doc, stars, task_text; map them: "
    option = "--columns instruction=task_text context=doc response=chosen_response"
    with pytest.raises(DataError, match=f"{said}{option}$"):
        detect_format([row], "a.jsonl")
    with pytest.raises(DataError, match=r"instruction=\.\.\. context=\.\.\. response=summary$"):
        detect_format([{"summary": "x", "stars": 3}], "a.jsonl")
    nested = {"train": [{"a": 1}], "test": [{"a": 1}]}
    with pytest.raises(DataError, match="the rows seem to be in 'train' and 'test'; write each"):
        detect_format([nested], "a")


def test_subfolders_are_named_with_the_pattern_that_reads_them(tmp_path: Path) -> None:
    row = {"question": "Where?", "context": PASSAGE, "answer": "Leda"}
    (tmp_path / "d" / "more" / "deep").mkdir(parents=True)
    (tmp_path / "d" / ".hidden").mkdir()
    for name in ("more/b", "more/deep/c", ".hidden/e"):
        write_jsonl(tmp_path / "d" / f"{name}.jsonl", [row])
    folder, pattern = str(tmp_path / "d"), f"{tmp_path}/d/more/**/*.jsonl"
    said = f"2 data files in subfolders are not read; to read them, name '{pattern}'"
    with pytest.raises(DataError, match="no data file in it; 2 data files in subfolders"):
        read_examples(folder)
    write_jsonl(tmp_path / "d" / "a.jsonl", [row])
    examples = read_examples(folder)
    assert len(list(examples)) == 1
    assert describe_unread(examples.unread()) == [f"{folder}: {said}"]
    everything = read_examples([folder, pattern])
    assert len(list(everything)) == 3
    assert everything.not_read == {}


#: What differs from the usual chat, and the roles before the answer "Leda".
CHATS = [
    ({"conversations": ["Where?", "Leda"]}, ["user"]),
    ({"data": ["Hi", "Yes?", "Where?", "Leda"], "id": 1}, ["user", "assistant", "user"]),
    (
        {"thread": [{"role": "prompter", "text": "Where?"}, {"role": "assistant", "text": "Leda"}]},
        ["user"],
    ),
    ({"conversation": [{"input": "Where?", "output": "Leda"}]}, ["user"]),
    ({"conversation": [{"human": "Where?", "assistant": "Leda"}]}, ["user"]),
    ({"messages": json.dumps(chat("Where?", "Leda"))}, ["user"]),
    ({"text": "### Human: Where?### Assistant: Leda"}, ["user"]),
    ({"text": "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nWhere? [/INST] Leda </s>"}, ["system", "user"]),
    (
        {"text": "<|system|>\nS</s>\n<|user|>\nWhere?</s>\n<|assistant|>\nLeda</s>"},
        ["system", "user"],
    ),
    (
        {"text": "<bos><start_of_turn>user\nWhere?<end_of_turn>\n<start_of_turn>model\nLeda"},
        ["user"],
    ),
    (
        {
            "text": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhere?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nLeda<|eot_id|>"
        },
        ["user"],
    ),
    (
        {"prompt": "Where?", "completion": "Leda", "history": chat("Hi", "Yes?")},
        ["user", "assistant", "user"],
    ),
    (
        {
            "prompt": {
                "text": "Where?",
                "role": "prompter",
                "replies": [
                    {"text": "Nile", "role": "assistant", "rank": 1, "replies": []},
                    {"text": "Leda", "role": "assistant", "rank": 0, "replies": []},
                ],
            }
        },
        ["user"],
    ),
    ({"chat": "USER: Where?\n\n\nASSISTANT: Leda <|endoftext|>\n\n\n"}, ["user"]),
    (
        {
            "text": "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n"
            "<|im_start|>assistant\nLeda<|im_end|>\n"
        },
        ["system", "user"],
    ),
    (
        {
            "systemInstruction": {"parts": [{"text": "S"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Where?"}]},
                {"role": "model", "parts": [{"text": "Leda"}]},
            ],
        },
        ["system", "user"],
    ),
    (
        {"instruction": "Where?", "output": "Leda", "history": [["Hi", "Yes?"]]},
        ["user", "assistant", "user"],
    ),
    (
        {
            "story": PASSAGE,
            "questions": ["Hi?", "Where?"],
            "answers": {"input_text": ["Yes", "Leda"]},
        },
        ["user", "assistant", "user"],
    ),
]


@pytest.mark.parametrize(("row", "roles"), CHATS)
def test_chats_in_the_shapes_of_public_data(row: dict[str, Any], roles: list[str]) -> None:
    example = one(row)
    found = ["system"] * bool(example.system) + [t.role for t in example.history] + ["user"]
    assert (example.instruction, example.response, found) == ("Where?", "Leda", roles)


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Where?", "answer": {"aliases": ["LEDA"], "value": "Leda"}},
        {"question": {"text": "Where?", "tokens": []}, "answers": [{"text": "Leda", "tokens": []}]},
        {"question": "Where?", "answers_spans": {"spans": ["Leda"], "types": ["span"]}},
        {
            "inputs": [1],
            "targets": [2],
            "inputs_pretokenized": "Where?",
            "targets_pretokenized": "Leda",
        },
        {"problem": "Where?", "solution": "Leda"},
        {"input_text": "Where?", "output_text": "Leda"},
        {"user_input": "Where?", "response": "Leda"},
        {"prompt": "Where?", "answers": [{"answer": "Leda", "rank": 1}, {"answer": "Nile"}]},
        {"prompt": "Where?", "chosen_response": "Leda", "rejected_response": "Nile"},
        {
            "input": {"messages": chat("Where?")},
            "preferred_output": [{"role": "assistant", "content": "Leda"}],
            "non_preferred_output": [{"role": "assistant", "content": "Nile"}],
        },
    ],
)
def test_questions_and_answers_in_the_shapes_of_public_data(row: dict[str, Any]) -> None:
    example = one(row)
    assert (example.instruction, example.response) == ("Where?", "Leda")


@pytest.mark.parametrize(
    "context",
    [
        {"paragraphs": [{"title": "t", "paragraph_text": PASSAGE}]},
        {"documents": [{"id": "1", "content": PASSAGE}]},
        {"context": {"contexts": [PASSAGE], "labels": ["x"]}},
    ],
)
def test_contexts_in_the_shapes_of_public_data(context: dict[str, Any]) -> None:
    assert one({"question": "Where?", "answer": "Leda", **context}).context == PASSAGE


def test_an_older_function_call_is_a_tool_call_and_tools_are_read_in_every_format() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    result = {"role": "function", "name": "f", "content": PASSAGE}
    turns = [*chat("Where?"), call, result, {"role": "assistant", "content": "Leda"}]
    example = one({"messages": turns, "functions": [{"name": "f"}]})
    assert (example.trailing[0].tool_calls[0]["function"]["name"], bool(example.tools)) == (
        "f",
        True,
    )
    assert one({"query": "Where?", "answers": "[]", "tools": '[{"name": "f"}]'}).tools


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Where?", "choices": ["Nile", "Leda"], "answer": 1}, "numbers or letters"),
        (
            {"question": "Where?", "answers": [{"text": "Nile"}, {"text": "Leda"}]},
            "several answers",
        ),
        ({"prompt": "Where?", "completion": "Nile", "label": False}, "label false are scored"),
        ({"prompt": "\n\nHuman: Where?", "chosen": "Leda", "rejected": "Nile"}, "Human:"),
        (
            {
                "messages": [
                    *chat("Where?"),
                    {"role": "assistant", "content": "Leda", "thinking": LONG},
                ]
            },
            "thinking",
        ),
    ],
)
def test_a_note_names_what_is_read_as_something_else(row: dict[str, Any], said: str) -> None:
    assert any(said in note for note in unread(row).notes)


@pytest.mark.parametrize(
    ("value", "place"), [([{"t": PASSAGE}], "c[*].t"), ({"t": PASSAGE}, "c.t")]
)
def test_a_context_of_objects_with_an_unknown_key_is_answered(value: Any, place: str) -> None:
    columns = {"instruction": "q", "response": "a"}
    row = {"q": "Where?", "a": "Leda", "c": value}
    with pytest.raises(RowError, match=rf"found t; name it: --columns context={re.escape(place)}"):
        parse_row(row, RowLayout("columns", {**columns, "context": "c"}))
    with pytest.raises(RowError, match=r"no column 'n\.texts'; n has text; did you mean text"):
        parse_row(
            {**row, "n": {"text": "x"}}, RowLayout("columns", {**columns, "response": "n.texts"})
        )
    (example,) = parse_row(row, RowLayout("columns", {**columns, "context": place}))
    assert example.context_text == PASSAGE


def test_a_weight_of_zero_on_a_question_is_no_news() -> None:
    turns = [{"from": "human", "value": "Where?", "weight": 0}]
    row = {"conversations": [*turns, {"from": "gpt", "value": "Leda", "weight": 1}]}
    assert unread(row).notes == ()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"a": {"x": 1}, "b": {"x": 2}}, "the rows seem to be in its values"),
        ({"My Rows": [{"a": 1}], "n": 1}, "the rows seem to be in 'My Rows'"),
        ({"document": PASSAGE, "summary": "A mill."}, "add a column `instruction`"),
        ({"text": "Where?", "role": "user", "parent_id": None}, "each row is one message"),
        (
            {"instruction": "", "passage": PASSAGE, "qas": [{"question": "q", "answer": "a"}]},
            "the rows seem to be in 'qas'",
        ),
        ({"messages": "[{'role': 'user', 'content': 'Where?'}]"}, "Python objects"),
        (
            {
                "prompt": "Where?",
                "completions": [{"answer": "No", "rank": 2}, {"answer": "Yes", "rank": 1}],
            },
            "answers with their ranks in 'completions'; name the best one `chosen`",
        ),
        (
            {
                "prompt": "Where?",
                "answers": [{"answer": "No", "rank": 2}, {"answer": "Yes", "rank": 1}],
            },
            "answers with their ranks in 'answers'; name the best one `chosen`",
        ),
        (
            {"ask": "Where?", "hits": [{"body": PASSAGE, "score": 0.9}], "reply": "Leda"},
            "the rows seem to be in 'hits'",
        ),
        (
            {"history": "Where?", "human_ref_A": "Here.", "human_ref_B": "No.", "labels": 1},
            "human_ref_A and human_ref_B; name the better one `chosen`",
        ),
        (
            {"instruction": "i", "completions": [{}], "models": [1], "correct_answers": ["None"]},
            "response=completions",
        ),
        (
            {"task": "t", "incorrect_response": "b", "right_response": "a"},
            "response=right_response",
        ),
    ],
)
def test_advice_on_an_unknown_format(row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        detect_format([row] * (1 + ("instruction" in row)), "x")


def test_a_list_of_paragraphs_and_a_rendered_text_are_no_chats() -> None:
    with pytest.raises(DataError):
        detect_format([{"title": "t", "text": ["One.", "Two."]}], "x")
    rendered = "### Human: Where?### Assistant: Leda"
    row = {"instruction": "Where?", "output": "Leda", "text": rendered}
    assert detect_format([row], "x") == "alpaca"


def test_an_object_written_as_text_is_no_answer() -> None:
    row = {"question": "Where?", "answers": "{'text': array(['Leda'], dtype=object), 'x': 1}"}
    with pytest.raises(RowError, match="save the data as JSON lines or Parquet"):
        one(row)


@pytest.mark.parametrize("form", ["alpaca", "preference"])
def test_a_response_may_be_json(tmp_path: Path, form: str) -> None:
    said = '{"value": "Ada"}'
    rows: dict[str, dict[str, str]] = {
        "alpaca": {"instruction": "The name as JSON?", "input": "I am Ada.", "output": said},
        "preference": {"prompt": "The name as JSON?", "chosen": said, "rejected": "Ada"},
    }
    (example,) = read_examples(write_jsonl(tmp_path / "a.jsonl", [rows[form]]))
    assert example.response == said


def test_lists_of_a_pandas_frame_are_read_though_they_are_arrays(tmp_path: Path) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    row = {"question": "Where?", "answers": {"text": ["Leda"]}, "contexts": [PASSAGE]}
    polars.DataFrame([row]).write_parquet(tmp_path / "a.parquet")
    (example,) = take_examples(pandas.read_parquet(tmp_path / "a.parquet"))
    assert (example.response, example.context) == ("Leda", PASSAGE)


def test_a_definition_is_advised_as_system_message_and_may_be_a_list() -> None:
    row = {"Definition": ["Answer in one word."], "inputs": "Where?", "targets": "Leda"}
    assert "Definition looks like an instruction; to read it: --columns system=Definition" in (
        unread(row).notes
    )
    assert one(row, system="Definition").system == "Answer in one word."


def test_keys_that_a_table_fills_with_null_are_passed_over() -> None:
    nothing = {"role": None, "content": None}
    turns: list[dict[str, Any]] = [
        {"from": "human", "value": "Where?", **nothing},
        {"from": "gpt", "value": "Leda"},
    ]
    assert one({"conversations": [*turns[:1], {**turns[1], **nothing}]}).response == "Leda"
    mixed = [turns[0], {"role": "assistant", "content": "Leda", "from": None, "value": None}]
    assert one({"conversations": mixed}).response == "Leda"
    row: dict[str, Any] = {"question": "Where?", "answer": {"text": None, "value": "Leda"}}
    assert one({**row, "passages": [{"text": None, "content": PASSAGE}]}).context == PASSAGE
    assert one({**row, "passages": [{"text": PASSAGE, "content": LONG}]}).context == PASSAGE
    assert one(row).response == "Leda"


def test_a_reference_answer_is_no_context() -> None:
    row = {"user_input": "Where?", "response": "Leda"}
    for more in ({"reference": LONG}, {"references": [LONG]}):
        assert unread({**row, **more}).advice == ()
        assert unread({**row, "retrieved_contexts": [PASSAGE], **more}).advice == ()


def test_parts_with_a_tool_call_say_how_to_write_it() -> None:
    call = {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {}}]}
    with pytest.raises(RowError, match="write calls as `tool_calls`"):
        one({"messages": [*chat("Where?"), call]})
