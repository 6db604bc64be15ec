"""`ifcurate inspect`: marks without colour, spans, why no context was found, what is not read."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_cli import Command, ifcurate
from tests.conftest import write_jsonl

__all__ = ["ifcurate"]  # the fixture

PASSAGE = "The mill of Holt stands on the Leda."
ROW = {"id": "mill", "prompt": f"Context: {PASSAGE}\n\nWhere does it stand?", "completion": "Leda"}


def test_the_context_is_marked_without_colour_and_spans_are_in_json(
    ifcurate: Command, folder: Path
) -> None:
    write_jsonl(folder / "a.jsonl", [ROW])
    assert f"Context: ⟦{PASSAGE}⟧" in ifcurate("inspect a.jsonl").out
    (shown,) = ifcurate("inspect a.jsonl --json").json()["shown"]
    (span,) = shown["spans"]
    assert shown["id"] == "mill"
    assert ROW["prompt"][span["start"] : span["end"]] == span["text"] == PASSAGE
    rest = ROW["prompt"][: span["outer_start"]] + ROW["prompt"][span["outer_end"] :]
    assert rest == "Where does it stand?"


def test_rows_without_a_context_are_shown_beside_those_with_one(
    ifcurate: Command, folder: Path
) -> None:
    plain = [{"prompt": f"Who keeps mill {i}{'?' * i}", "completion": "Ada"} for i in range(3)]
    write_jsonl(folder / "a.jsonl", [ROW, *plain, *plain])
    shown = ifcurate("inspect a.jsonl").out
    assert shown.count("no context was found") == 2
    assert "mill 1?" in shown
    assert "mill 2??" in shown
    assert "mill 0" not in shown


def test_as_many_examples_are_shown_as_asked_for(ifcurate: Command, folder: Path) -> None:
    rows = [{**ROW, "id": f"mill{i}"} for i in range(4)]
    write_jsonl(folder / "a.jsonl", [*rows, {**ROW, "context": PASSAGE, "prompt": "Where?"}])
    shown = ifcurate("inspect a.jsonl --examples 3 --json").json()["shown"]
    assert [row["spans"][0]["rule"] for row in shown] == ["label", "field", "label"]


def test_words_of_a_script_without_blanks_are_counted(ifcurate: Command, folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", [{**ROW, "completion": "王明于一九八六年"}])
    assert ifcurate("inspect a.jsonl --json").json()["words"]["response"]["most"] > 3


def test_explain_says_which_contexts_were_tried_and_why_not(
    ifcurate: Command, folder: Path
) -> None:
    alone = {"id": "alone", "prompt": f"Passage: {PASSAGE}", "completion": "x"}
    write_jsonl(folder / "a.jsonl", [ROW, alone])
    told = ifcurate("inspect a.jsonl --explain alone")
    assert "no context was found" in told.out
    (text,) = ifcurate("inspect a.jsonl --explain alone --json").json()["texts"]
    assert "what remains would not ask for anything" in [step["outcome"] for step in text["tried"]]
    (text,) = ifcurate("inspect a.jsonl --explain 0 --json").json()["texts"]
    assert text["path"] == "prompt"
    assert [step["outcome"] for step in text["tried"]][-1] == "taken"
    refused = ifcurate("inspect a.jsonl --explain nobody")
    assert refused.code == 1
    assert "no row has this id or number" in refused.err


def test_explain_shows_square_brackets_of_a_text(ifcurate: Command, folder: Path) -> None:
    prompt = "Context: The [bold]mill[/bold] is [x] old.\n\nHow old is the mill?"
    write_jsonl(folder / "a.jsonl", [{"id": "a", "prompt": prompt, "completion": "x"}])
    told = ifcurate("inspect a.jsonl --explain a").out
    assert told.count("[bold]mill[/bold] is [x] old.") == 2  # in the text, and in the table


def test_a_likely_context_that_is_not_read_comes_with_the_line_to_paste(
    ifcurate: Command, folder: Path
) -> None:
    rows = [{"prompt": "Where?", "completion": "Leda", "wiki": PASSAGE * 6, "stars": 3}] * 2
    write_jsonl(folder / "a.jsonl", rows)
    told = ifcurate("inspect a.jsonl")
    assert "columns not read: wiki, stars" in told.out
    advice = "--columns context=wiki"
    assert advice in told.out
    assert ifcurate(f"inspect a.jsonl {advice} --json").json()["with_context"] == 2


def test_data_without_a_usable_row_is_an_error_that_says_why(
    ifcurate: Command, folder: Path
) -> None:
    write_jsonl(folder / "a.jsonl", [{"prompt": "Who?", "completion": "Me"}] * 3)
    for command in ("inspect a.jsonl", "score a.jsonl --engine toy --out run"):
        refused = ifcurate(command)
        assert refused.code == 1, command
        assert "of 3 rows 3" in refused.err
        assert "--columns instruction=..." in refused.err


def test_earlier_responses_and_end_markers_are_named(ifcurate: Command, folder: Path) -> None:
    turns = [("user", f"Context: {PASSAGE}\n\nWhere?"), ("assistant", "Leda"), ("user", "Sure?")]
    said = [{"role": r, "content": c} for r, c in (*turns, ("assistant", "Yes.<|im_end|>"))]
    write_jsonl(folder / "a.jsonl", [{"messages": said}])
    told = ifcurate("inspect a.jsonl").out
    assert "1 response in earlier turns; --turns all scores them too" in told
    assert "1 response ends in <|im_end|>, which is not scored" in told
    assert "--turns all" not in ifcurate("inspect a.jsonl --turns all").out
    dialogue = "Human: Hi\n\nAssistant: Hello.\n\nHuman: Who left?"  # only its response is scored
    write_jsonl(folder / "b.jsonl", [{"instruction": dialogue, "input": PASSAGE, "output": "Leda"}])
    assert "--turns all" not in ifcurate("inspect b.jsonl").out


def test_a_filter_that_keeps_nothing_is_refused(ifcurate: Command, folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", [{**ROW, "id": f"r{i}"} for i in range(4)])
    assert ifcurate("score a.jsonl --engine toy --out run -q").code == 0
    assert ifcurate("split --run run --rule gain --threshold 90 -q").code == 0
    refused = ifcurate("filter --run run --keep context-critical")
    assert refused.code == 1
    assert "no row would be kept; the split found 4 non-context-critical" in refused.err
    assert ifcurate("filter --run run --keep non-context-critical -q").code == 0


def test_explain_says_why_a_row_cannot_be_read(ifcurate: Command, folder: Path) -> None:
    bird = {"id": "bird", "prompt": ["Where?"], "completion": "Leda"}
    write_jsonl(folder / "a.jsonl", [ROW, bird])
    with (folder / "a.jsonl").open("a") as file:
        file.write("{broken\n")
    for wanted in ("bird", "1"):
        told = ifcurate(f"inspect a.jsonl --explain {wanted}")
        assert told.code == 0
        assert (
            "a.jsonl:2: read as prompt_completion, it cannot be used: column 'prompt'" in told.out
        )
        assert "columns: id, prompt, completion" in told.out
    assert "expected text" in ifcurate("inspect a.jsonl --explain bird --json").json()["problem"]
    assert "invalid JSON" in ifcurate("inspect a.jsonl --explain 2").out


def test_subfolders_are_named(ifcurate: Command, folder: Path) -> None:
    (folder / "d" / "sub").mkdir(parents=True)
    row = {"question": "Is it?", "passage": PASSAGE, "answer": True}
    write_jsonl(folder / "d" / "a.jsonl", [row])
    write_jsonl(folder / "d" / "sub" / "b.jsonl", [row])
    told = ifcurate("inspect d").out
    assert "1 data file in subfolders is not read; to read it, name 'd/sub/**/*.jsonl'" in told
    scored = ifcurate("score d --engine toy --out run")
    assert "d: 1 data file in subfolders is not read" in scored.out + scored.err
    assert ifcurate("inspect d d/sub/**/*.jsonl --json").json()["with_context"] == 2


def test_a_response_that_is_only_a_marker_is_counted_as_empty(
    ifcurate: Command, folder: Path
) -> None:
    write_jsonl(folder / "a.jsonl", [ROW, {**ROW, "completion": "</s>"}])
    assert ifcurate("inspect a.jsonl --json").json()["empty_responses"] == 1
