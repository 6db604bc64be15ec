"""Preference rows, other column names, paths, the user's own rules, and learned templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ifcurate.data.detection import detect_format
from ifcurate.data.parse_rows import parse_row
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import read_examples
from ifcurate.data.unread import describe_unread, unread_columns
from ifcurate.errors import OptionError
from ifcurate.records import Example

PASSAGE = "The mill of Holt stands on the Leda. It made paper until 1939."


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def said(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}


def preference_rows(n: int) -> list[tuple[dict[str, Any], str]]:
    """`n` rows in each of four layouts, with the response that is right."""
    rows: list[tuple[dict[str, Any], str]] = []
    for i in range(n):
        good, bad, asked = f"Good {i}.", f"Bad {i}.", f"Who keeps lamp {i}?"
        more = {"score": i, "id": f"r{i}"}
        rows += [
            ({"prompt": asked, "chosen": good, "rejected": bad, **more}, good),
            (
                {
                    "prompt": asked,
                    "chosen": [turn("user", asked), turn("assistant", good)],
                    "rejected": [turn("user", asked), turn("assistant", bad)],
                    **more,
                },
                good,
            ),
            (
                {
                    "conversations": [
                        said("human", "Hello."),
                        said("gpt", "Hello, you."),
                        said("human", asked),
                    ],
                    "chosen": said("gpt", good),
                    "rejected": said("gpt", bad),
                    **more,
                },
                good,
            ),
            (
                {
                    "prompt": [turn("user", "Hi."), turn("assistant", "Hi."), turn("user", asked)],
                    "chosen": [turn("assistant", good)],
                    "rejected": [turn("assistant", bad)],
                    **more,
                },
                good,
            ),
        ]
    return rows


def test_the_chosen_answer_is_the_response_in_four_layouts() -> None:
    rows = preference_rows(75)
    for row, good in rows:
        assert detect_format([row], "x") == "preference"
        (example,) = parse_row(row, RowLayout("preference"))
        assert example.response == good
        assert example.instruction.startswith("Who keeps lamp")
        assert example.row == row  # the other columns are written as they are
    assert len(rows) == 300


def test_a_chat_as_one_text_is_a_preference_row_too() -> None:
    row = {
        "chosen": "\n\nHuman: Who?\n\nAssistant: You.\n\nHuman: Why?\n\nAssistant: Because.",
        "rejected": "\n\nHuman: Who?\n\nAssistant: You.\n\nHuman: Why?\n\nAssistant: No.",
    }
    (example,) = parse_row(row, RowLayout("preference"))
    assert (example.instruction, example.response) == ("Why?", "Because.")
    assert [t.content for t in example.history] == ["Who?", "You."]


def test_a_chat_that_ends_on_a_user_turn_has_no_response() -> None:
    row = {"messages": [turn("user", "a"), turn("assistant", "b"), turn("user", "c")]}
    (example,) = parse_row(row, RowLayout("messages"))
    assert (example.instruction, example.response) == ("c", "")
    assert [t.content for t in example.history] == ["a", "b"]


@pytest.mark.parametrize(
    ("row", "context", "path"),
    [
        ({"question": "Where?", "answer": "Leda", "passage": PASSAGE}, PASSAGE, "passage"),
        ({"query": "Where?", "response": "Leda", "document": PASSAGE}, PASSAGE, "document"),
        ({"instruction": "Where?", "output": "Leda", "article": PASSAGE}, PASSAGE, "article"),
        ({"inputs": "Where?", "targets": "Leda", "evidence": PASSAGE}, PASSAGE, "evidence"),
        ({"input": "Where?", "output": "Leda", "story": PASSAGE}, PASSAGE, "story"),
        (
            {"question": "Where?", "answer": "Leda", "contexts": [PASSAGE, "More."]},
            f"{PASSAGE}\n\nMore.",
            "contexts",
        ),
        ({"question": "Where?", "answer": "Leda", "contexts": [PASSAGE]}, PASSAGE, "contexts[0]"),
        (
            {"instruction": "Where?", "instances": [{"input": PASSAGE, "output": "Leda"}]},
            PASSAGE,
            "instances[0].input",
        ),
    ],
)
def test_contexts_in_columns_of_other_names(row: dict[str, Any], context: str, path: str) -> None:
    (example,) = parse_row(row, RowLayout(detect_format([row], "x")))
    assert (example.instruction, example.response) == ("Where?", "Leda")
    assert example.context_text == context
    assert example.blocks[0].path == path


def test_a_column_that_repeats_the_instruction_is_a_rendering_and_no_context() -> None:
    asked = "Name the river on which the mill stands."
    row = {"instruction": asked, "input": "", "output": "Leda", "text": f"Below ... {asked} Leda"}
    (example,) = parse_row(row, RowLayout("alpaca"))
    assert not example.has_context


def test_parts_under_value_are_text() -> None:
    row = {
        "messages": [
            {"role": "user", "content": [{"type": "input_text", "value": "Where?"}]},
            {"role": "assistant", "value": "Leda"},
        ]
    }
    (example,) = parse_row(row, RowLayout("messages"))
    assert (example.instruction, example.response) == ("Where?", "Leda")


def test_columns_take_paths(tmp_path: Path) -> None:
    row = {"ask": {"text": "Where?"}, "docs": [{"body": PASSAGE}], "out": "Leda"}
    path = write(tmp_path / "a.jsonl", [row])
    columns = {"instruction": "ask.text", "context": "docs[0].body", "response": "out"}
    (example,) = read_examples(path, columns=columns)
    assert (example.instruction, example.context, example.response) == ("Where?", PASSAGE, "Leda")
    assert example.blocks[0].path == "docs[0].body"


def test_columns_that_are_not_read_are_named_and_a_likely_context_among_them() -> None:
    rows = [{"prompt": "Where?", "completion": "Leda", "wiki": PASSAGE * 5, "stars": 4}] * 3
    unread = unread_columns(rows, RowLayout("prompt_completion"))
    assert unread.columns == ("wiki", "stars")
    assert unread.advice[0].startswith("wiki looks")
    assert describe_unread({"a.csv": unread}) == [
        "a.csv: columns not read: wiki, stars",
        "a.csv: wiki looks like a context; to read it: --columns context=wiki",
    ]
    assert describe_unread({"a.csv": unread}, most=1)[0] == "a.csv: columns not read: wiki, …"
    pairs = [{"prompt": "Where?", "chosen": "Leda", "rejected": "Nile"}]
    unread = unread_columns(pairs, RowLayout("preference"))
    assert describe_unread({"a": unread}) == ["a: rejected is kept for DPO and not scored"]
    said = [("user", "Where?", 1), ("assistant", "Nile", 0), ("assistant", "Leda", 1)]
    chat = {"messages": [{"role": r, "content": c, "weight": w} for r, c, w in said]}
    (note,) = unread_columns([chat], RowLayout("messages")).notes
    assert "weight 0" in note
    read = [{"question": "Where?", "answer": "Leda", "passage": PASSAGE}]
    assert unread_columns(read, RowLayout("qca")).columns == ()


def test_a_label_of_the_users_own() -> None:
    row = {"prompt": "Motto: Mills stand.\n\nWrite a poem of four lines.", "completion": "x"}
    (plain,) = parse_row(row, RowLayout("prompt_completion"))
    (told,) = parse_row(row, RowLayout("prompt_completion", labels=("Motto",)))
    assert not plain.has_context
    assert told.context_text == "Mills stand."
    assert told.without_context().instruction == "Write a poem of four lines."


def test_a_pattern_of_the_users_own(tmp_path: Path) -> None:
    row = {"prompt": f"%% {PASSAGE} %% Where?", "completion": "Leda"}
    pattern = r"(?P<cut>%% (?P<context>.*?) %% )"
    (example,) = parse_row(row, RowLayout("prompt_completion", pattern=pattern))
    assert example.context_text == PASSAGE
    assert example.without_context().instruction == "Where?"
    assert example.blocks[0].rule == "regex"
    nested = r"%% (?P<context>.*?(?P<context2>mill).*?) %%"  # one text, removed once
    (example,) = parse_row(row, RowLayout("prompt_completion", pattern=nested))
    assert example.context_text == PASSAGE
    other = {"prompt": f"Context: {PASSAGE}\n\nWhere?", "completion": "Leda"}
    assert not parse_row(other, RowLayout("prompt_completion", pattern=pattern))[0].has_context
    path = write(tmp_path / "a.jsonl", [row])
    with pytest.raises(OptionError, match=r"context_regex: no group named context"):
        read_examples(path, context_regex="%%")
    with pytest.raises(OptionError, match="context_regex: missing"):
        read_examples(path, context_regex="(")


def test_thanks_after_a_tool_result_is_no_context_critical_row() -> None:
    before = [
        turn("user", "Find it."),
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "find"}}]},
        turn("tool", PASSAGE),
        turn("assistant", "It stands on the Leda."),
    ]
    thanks = {"messages": [*before, turn("user", "Thanks!"), turn("assistant", "Welcome.")]}
    asks = {"messages": [*before, turn("user", "Until when?"), turn("assistant", "1939.")]}
    assert not parse_row(thanks, RowLayout("messages"))[0].has_context
    assert parse_row(asks, RowLayout("messages"))[0].context_text == PASSAGE
    scored = [e.has_context for e in parse_row(thanks, RowLayout("messages", turns="all"))]
    assert scored == [False, True, False]


def test_a_handmade_example_keeps_its_context() -> None:
    example = Example(id="1", instruction="Where?", context=PASSAGE, response="Leda")
    assert example.context_text == PASSAGE
    assert example.without_context().context == ""
    assert not Example(
        id="1", instruction="Where?", context=PASSAGE, response="L", blocks=()
    ).blocks


TEXTS = (
    "snow fell on the ferry and nobody came",
    "the baker of Turin burnt all his bread twice",
    "two geese walked into the bank, and out again",
    "our roof leaks since the storm of May",
    "she found a ring under the old piano",
    "no train stops in Porto after nine",
    "a goat ate the mayor's only speech",
    "they danced until the lamps went out",
    "his boat sank within sight of home",
    "the choir lost its key and its conductor",
)


def template_rows() -> list[dict[str, Any]]:
    """Rows of a template that no rule reads: the text has no mark, the request is unfinished."""
    return [{"prompt": f"{t} The mood here is", "completion": "calm"} for t in TEXTS]


def test_the_template_of_a_file_is_learned_and_belongs_to_its_identity(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", template_rows())
    examples = read_examples(path)
    (layout,) = examples.layouts
    (template,) = layout.templates
    assert template.parts == ("", " The mood here is")
    assert template.describe().startswith("10 rows share a template; slot 1 is the context")
    found = list(examples)
    assert all(e.blocks[0].rule == "template" for e in found)
    assert found[3].context_text == TEXTS[3]
    assert found[3].without_context().instruction == "The mood here is"
    again = RowLayout.from_record(json.loads(json.dumps(layout.as_record())))
    assert again == layout
    # A shard, or a run with a limit, reads its rows as the whole run does.
    assert read_examples(path, limit=2).layouts == examples.layouts
    assert not next(iter(read_examples(write(tmp_path / "b.jsonl", template_rows()[:3])))).blocks


def test_a_context_made_by_a_program_is_one_slot(tmp_path: Path) -> None:
    places = ("Oslo", "Turin", "Kyoto", "Lagos", "Perth", "Quito", "Minsk", "Lyon", "Brno", "Cork")
    rows = [
        {
            "prompt": f"Passage: {a} sold its trams to {b} in {1900 + i}.\n\nWho bought from {a}?",
            "completion": b,
        }
        for i, (a, b) in enumerate(zip(places, reversed(places), strict=True))
    ]
    for row, example in zip(rows, read_examples(write(tmp_path / "a.jsonl", rows)), strict=True):
        passage = row["prompt"].split("\n")[0].removeprefix("Passage: ")
        assert example.context_text in (passage, passage.rstrip("."))
        assert example.without_context().instruction.endswith(row["prompt"].split("\n")[-1])


def test_a_passage_that_many_rows_share_is_still_their_context(tmp_path: Path) -> None:
    asked = ("Who built it", "When was it sold", "Where does it stand", "What did it make")
    rows = [
        {"prompt": f"Passage: {PASSAGE}\n\nQuestion: {q} {w}?", "completion": "x"}
        for q in asked
        for w in ("first", "last", "then")
    ]
    for example in read_examples(write(tmp_path / "a.jsonl", rows)):
        assert example.context_text == PASSAGE
