"""Files: what is in the folder, in what layout, the same bytes again; the command; the sheet."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ifcurate
from ifcurate.counterfactual.augment import augment_counterfactual
from ifcurate.counterfactual.avoided import read_avoided
from ifcurate.counterfactual.checks import Check
from ifcurate.counterfactual.write import outcomes, output
from ifcurate.counterfactual.write.model_check import ModelJudge, check_with_model, text_rises
from ifcurate.counterfactual.write.output import write_counterfactuals
from ifcurate.counterfactual.write.sheet import render_sheet, sample_rank
from ifcurate.data.parse_rows import parse_row
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import read_examples
from ifcurate.engines.load import load_engine
from ifcurate.errors import DataError, OptionError
from ifcurate.options.augment import AugmentOptions, SubstitutionOptions
from ifcurate.records import Example
from tests.conftest import write_jsonl

from .making import alpaca, chat, examples_of, qca, written

MARTHA = alpaca(
    "When Martha arrived, the hall was full. At nine Martha opened the meeting, and nobody was "
    "late for once, which made the chairs scarce.",
    "Martha",
    "Who opened the meeting?",
)
FLIGHT = qca(
    "The first flight was made by Gustav Lindner. Lindner built the machine in a barn, and his "
    "neighbours came to see it on a cold morning.",
    "Who made the first flight?", "Gustav Lindner", "Wright",
)  # fmt: skip
NOTHING = alpaca("", "Write a letter.")
SORT = {**MARTHA, "instruction": "Sort the names."}


def read(path: Path) -> list[dict[str, Any]]:
    text = path.read_text("utf-8")
    rows = json.loads(text) if text.startswith("[") else [json.loads(x) for x in text.splitlines()]
    assert isinstance(rows, list)
    return rows


def test_the_folder_and_the_funnel(folder: Path) -> None:
    source = write_jsonl(folder / "data.jsonl", [MARTHA, NOTHING, SORT])
    result = write_counterfactuals(read_examples(source), AugmentOptions(sample=5), folder / "out")
    assert result.funnel.as_dict() == {
        "read": 3, "unusable": 0, "has_context": 2, "entity": 2, "written": 1, "examples": 1,
        "types": {"PERSON": 1}, "checks": {"H14": {"rows": 1, "meaning": Check.TASK.meaning}},
        "rejected": {"H14: task: sort": 1},
    }  # fmt: skip
    (row,) = read(folder / "out" / "data.counterfactual.jsonl")
    assert list(row)[:5] == ["instruction", "input", "output", "answer", "memory_answer"]
    assert row["memory_answer"] == "Martha"
    assert row["output"] == row["answer"] == row["ifcurate_substitute"]
    stages = {r["row"]: r["stage"] for r in read(folder / "out" / "rejected.jsonl")}
    assert stages == {1: "context", 2: "H14"}
    manifest = json.loads((folder / "out" / "augment.json").read_text("utf-8"))
    assert manifest["funnel"] == result.funnel.as_dict()
    assert len(manifest["lexicon"]) == 64


def test_a_json_array_stays_one(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps([MARTHA, FLIGHT]), "utf-8")
    write_counterfactuals(read_examples(folder / "a.json"), AugmentOptions(), folder / "out")
    assert len(read(folder / "out" / "a.counterfactual.json")) == 1


def test_the_same_bytes_again_and_in_shards(folder: Path) -> None:
    rows = [MARTHA, FLIGHT | {"id": "b"}, SORT, {**MARTHA, "input": MARTHA["input"] + " Yes."}]
    alpacas = [r for r in rows if "input" in r]
    one = write_jsonl(folder / "one.jsonl", alpacas)
    for name in ("x", "y"):
        write_counterfactuals(
            read_examples(one), AugmentOptions(variants=2, sample=2), folder / name
        )
    for path in (folder / "x").iterdir():
        assert path.read_bytes() == (folder / "y" / path.name).read_bytes()
    shards = []
    for number, row in enumerate(reversed(alpacas)):
        path = write_jsonl(folder / f"s{number}.jsonl", [row])
        write_counterfactuals(
            read_examples(path), AugmentOptions(variants=2), folder / f"o{number}"
        )
        shards += read(folder / f"o{number}" / f"s{number}.counterfactual.jsonl")
    whole = read(folder / "x" / "one.counterfactual.jsonl")
    assert sorted(map(json.dumps, shards)) == sorted(map(json.dumps, whole))


def test_the_output_can_be_evaluated_on(folder: Path) -> None:
    source = write_jsonl(folder / "suite.jsonl", [FLIGHT])
    write_counterfactuals(read_examples(source), AugmentOptions(), folder / "out")
    (again,) = read_examples(folder / "out" / "suite.counterfactual.jsonl")
    assert again.response in again.context
    assert again.row["memory_answer"] == "Wright"
    (suite,) = read(folder / "out" / "suite.jsonl")
    assert set(suite) == {"id", "context", "question", "answer", "memory_answer"}
    assert (suite["context"], suite["answer"]) == (again.context, again.response)


def test_a_rejected_conversation_is_no_question() -> None:
    asked = {"role": "user", "content": f"Text: {MARTHA['input']}\n\nQuestion: Who opened it?"}
    chosen, rejected = (
        [asked, {"role": "assistant", "content": answer}] for answer in ("Martha did.", "Nobody.")
    )
    result = augment_counterfactual([{"chosen": chosen, "rejected": rejected}])
    (row,) = result.rows
    assert row["rejected"][0] == row["chosen"][0] != asked
    assert "Martha" not in str(row["chosen"])


@pytest.mark.parametrize(
    ("context", "path"),
    [
        ([FLIGHT["context"], "The barn is gone."], "context[0]"),
        ([{"title": "Flight", "text": FLIGHT["context"]}, {"text": "Gone."}], "context[0].text"),
        ({"sentences": [["It was cold.", FLIGHT["context"]]]}, "context.sentences[0][1]"),
    ],
)
def test_passages_in_a_list_are_edited_where_they_are(context: Any, path: str) -> None:
    (made,) = augment_counterfactual([{**FLIGHT, "context": context}], emit="pair+abstain").written
    _, row, abstain = made.rows
    assert "Lindner" not in str(row["context"])
    assert row["answer"] in made.example.context
    assert any(edit["field"] == path for edit in row["ifcurate_edits"])
    assert "Gustav" not in str(abstain["context"])
    (again,) = parse_row(row, RowLayout("qca"))
    assert (again.context, again.context_text) == (made.example.context, made.example.context_text)


def test_a_pair_and_an_abstention() -> None:
    item = written(MARTHA, emit="pair+abstain")
    roles = [r["ifcurate_role"] for r in item.rows]
    assert roles == ["original", "counterfactual", "abstain"]
    original, new, abstain = item.rows
    assert {k: v for k, v in original.items() if not k.startswith("ifcurate_")} == MARTHA
    assert abstain["input"] == ""
    assert abstain["output"] == "unanswerable"
    assert len({r["ifcurate_pair"] for r in item.rows}) == 1
    assert new["ifcurate_parent"] == original["ifcurate_parent"]


def test_no_abstention_where_the_rest_answers() -> None:
    row = chat(
        ("human", "Who directed it?"),
        ("observation", '{"title": "Inception", "director": "Christopher Nolan", "year": 2010}'),
        ("gpt", "It was directed by Christopher Nolan."),
        ("human", "Sure?"),
        ("gpt", "Yes, by Christopher Nolan."),
    )
    item = written(row, emit="pair+abstain")
    assert [r["ifcurate_role"] for r in item.rows] == ["original", "counterfactual"]


def test_a_counterfactual_is_an_example_again() -> None:
    for row in (MARTHA, FLIGHT):
        item = written(row)
        layout = "alpaca" if row is MARTHA else "qca"
        (again,) = parse_row(item.rows[0], RowLayout(layout), source="rows.jsonl")
        made = item.example
        assert (made.context_text, made.response) == (again.context_text, again.response)
        assert made.blocks == again.blocks
        assert made.row["ifcurate_grounding"] == 1.0


def test_variants_have_different_substitutes() -> None:
    result = augment_counterfactual(examples_of(MARTHA), variants=5)
    assert len({w.made.substitute for w in result.written}) == 5
    assert [r["ifcurate_variant"] for r in result.rows] == [0, 1, 2, 3, 4]


def test_policies() -> None:
    others = [
        alpaca(f"{name} came, saw the long table in the hall, and sat down with all the others who "
               "had been waiting for hours.", name, "Who?")
        for name in ("Angela", "Denise", "Kevin")
    ]  # fmt: skip
    rows = [MARTHA, *others]
    examples = [e for n, r in enumerate(rows) for e in examples_of(r, n)]
    corpus = augment_counterfactual(examples, policy="corpus")
    assert {w.made.substitute for w in corpus.written} <= {"Angela", "Denise", "Martha"}
    made_up = augment_counterfactual(examples, policy="fictional")
    assert not {w.made.substitute for w in made_up.written} & {"Angela", "Denise", "Martha"}
    swapped = written(MARTHA, policy="type-swap")
    assert swapped.made.plan.new_type == "CITY"
    alias = written(
        alpaca("We flew to Mumbai in spring and stayed there for a week, in a small and quiet "
               "house with a garden.", "Mumbai", "Where?"), policy="alias",
    )  # fmt: skip
    assert alias.made.substitute == "Bombay"


def test_names_to_avoid(folder: Path) -> None:
    first = written(MARTHA).made.substitute
    (folder / "names.txt").write_text(f"{first}\n\n", "utf-8")
    write_jsonl(folder / "suite.jsonl", [FLIGHT, {"answers": {"text": ["Ghazni"]}}, "Kandahar"])
    avoid = read_avoided([folder / "names.txt", folder / "suite.jsonl"])
    assert avoid == {first, "Gustav Lindner", "Wright", "Ghazni", "Kandahar"}
    assert written(MARTHA, avoid=avoid).made.substitute != first
    (folder / "bad.json").write_text("{", "utf-8")
    with pytest.raises(DataError, match="is not JSON"):
        read_avoided([folder / "bad.json"])


@pytest.mark.parametrize(
    "bad", [{"policy": "best"}, {"types": ("HERO",)}, {"emit": "all"}, {"variants": 0}]
)
def test_settings_that_do_not_exist(bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        SubstitutionOptions.create(**bad)


class Scorer:
    """Losses by what stands in the context: the answer there is likely, others are not."""

    def __init__(self, known: str = ""):
        self.known = known
        self.engine = load_engine("toy")

    def score(self, examples: Sequence[Example]) -> tuple[pl.DataFrame, None]:
        rows = []
        for example in examples:
            answer = example.response
            seen = bool(answer) and answer in example.context_text
            rows.append({
                "status": "scored" if answer else "empty_response", "reason": None,
                "nll_with_context": 1.0 if seen else 6.0,
                "nll_without_context": 2.0 if answer == self.known else 8.0,
            })  # fmt: skip
        return pl.DataFrame(rows), None


def test_the_model_check() -> None:
    item = written(MARTHA)
    ((_, good, why),) = check_with_model([item], ModelJudge(Scorer("Martha"), 0.5, 9.0))
    assert good is not None
    assert (why, good.drop) == ("", 7.0)
    assert good.nll_original_with_context > good.nll_new_with_context
    ((_, _, late),) = check_with_model([item], ModelJudge(Scorer(item.made.substitute), 0.5, 9.0))
    assert late == "without the context the new answer is preferred already"
    ((_, _, small),) = check_with_model([item], ModelJudge(Scorer("Martha"), 7.5, 9.0))
    assert small.startswith("the context helps by 7 nats")


def test_the_model_check_of_the_text() -> None:
    item = written(MARTHA)
    judge = ModelJudge(Scorer("Martha"), 0.5, -1.0)
    ((_, check, why),) = check_with_model([item], judge)
    assert check is not None
    assert check.text_rise == pytest.approx(0, abs=1e-6)  # the rest of the text is the same
    assert why.startswith("the rest of the context is less likely than before by")
    texts = {**item.made.after, "input": item.made.after["input"].replace("was", "gnu", 1)}
    odd = replace(item, made=replace(item.made, after=texts))
    (rise,) = text_rises([odd], load_engine("toy"))
    assert rise is not None
    assert rise > 0.01


def test_what_the_model_does_not_confirm_is_rejected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_jsonl(folder / "data.jsonl", [MARTHA])
    name = "Nobody"
    monkeypatch.setattr(
        output, "open_judge", lambda *_: nullcontext(ModelJudge(Scorer(name), 0.5, 9.0))
    )
    result = write_counterfactuals(read_examples(source), AugmentOptions(), folder / "out")
    assert result.funnel.written == 0
    (record,) = read(folder / "out" / "rejected.jsonl")
    assert record["stage"] == "S1"
    name = "Martha"
    write_counterfactuals(read_examples(source), AugmentOptions(), folder / "in")
    (row,) = read(folder / "in" / "data.counterfactual.jsonl")
    assert row["ifcurate_drop"] == 7.0


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_sheet_escapes_and_loads_nothing() -> None:
    row = {**MARTHA, "instruction": "Who? <script>alert(1)</script> & <b>", "source": "<i>x"}
    item = written(row)
    page = render_sheet(item.rows, {"read": 1})
    tags = Tags()
    tags.feed(page)
    assert tags.tags.count("script") == 1
    assert not tags.links
    assert "<script>alert" not in page
    assert html.escape("<script>alert(1)</script> & <b>") in page
    assert tags.tags.count("del") == 4  # the heading, two in the context, one in the response
    assert item.made.substitute in tags.text


def test_a_sample_depends_on_content_alone() -> None:
    rows = [alpaca(MARTHA["input"] + f" {n}", "Martha", "Who?") for n in range(9)]
    examples = [e for n, r in enumerate(rows) for e in examples_of(r, n)]
    pairs = [w.suite["id"] for w in augment_counterfactual(examples).written]
    back = [w.suite["id"] for w in augment_counterfactual(examples[::-1]).written]
    ranked = [sorted(ids, key=lambda pair: sample_rank(pair, 0)) for ids in (pairs, back)]
    assert ranked[0] == ranked[1]
    assert len({*pairs}) == 9


def test_every_check_is_used_and_documented() -> None:
    root = Path(outcomes.__file__).parents[1]
    code = "".join(path.read_text("utf-8") for path in root.rglob("*.py"))
    assert all(f"Check.{check.name}" in code for check in Check)
    page = root.parents[1] / "docs" / "counterfactual.md"
    rows = page.read_text("utf-8").split("<!-- checks -->")[1].split("<!-- /checks -->")[0]
    told = "".join(f"| `{c.code}` | {c.meaning} |\n" for c in Check if c.judges)
    assert rows == f"\n| stage | because |\n| --- | --- |\n{told}"


def test_an_unanswerable_question_is_usable_and_not_written(folder: Path) -> None:
    row = {"question": "Who?", "context": MARTHA["input"], "answers": [], "is_impossible": True}
    source = write_jsonl(folder / "data.jsonl", [row])
    result = write_counterfactuals(read_examples(source), AugmentOptions(), folder / "out")
    assert (result.funnel.unusable, result.funnel.has_context, result.funnel.entity) == (0, 1, 0)
    (rejected,) = read(folder / "out" / "rejected.jsonl")
    assert rejected["reason"] == "the response is empty"


def test_files_of_other_data_are_not_replaced(folder: Path) -> None:
    source = write_jsonl(folder / "data.jsonl", [MARTHA])
    own = write_jsonl(folder / "suite.jsonl", [{"mine": 1}])
    with pytest.raises(DataError, match="exists already"):
        write_counterfactuals(read_examples(source), AugmentOptions(), folder)
    assert read(own) == [{"mine": 1}]
    write_counterfactuals(read_examples(source), AugmentOptions(), folder, overwrite=True)
    again = write_counterfactuals(read_examples(source), AugmentOptions(sample=1), folder)
    assert again.funnel.written == 1  # the same, and a review sheet
    assert (folder / "review.html").exists()
    with pytest.raises(DataError, match="--overwrite"):
        write_counterfactuals(read_examples(source), AugmentOptions(seed=1), folder)


def test_a_killed_run_resumes_and_gives_the_same_bytes(folder: Path) -> None:
    rows = [alpaca(MARTHA["input"] + f" {n}", "Martha", "Who?") for n in range(12)]
    source = write_jsonl(folder / "data.jsonl", rows)

    def stop(funnel: Any) -> None:
        if funnel.read == 7:
            raise KeyboardInterrupt

    settings = AugmentOptions(variants=2)
    with pytest.raises(KeyboardInterrupt):
        write_counterfactuals(read_examples(source), settings, folder / "a", on_row=stop)
    journal = folder / "a" / ".augment.partial.jsonl"
    with journal.open("ab") as stream:
        stream.write(b'{"cut sho')  # as a kill in the middle of a line leaves it
    (folder / "a" / ".suite.jsonl.99999999.partial").touch()  # of a process that is gone
    for name in ("a", "b"):
        write_counterfactuals(read_examples(source), settings, folder / name)
    assert not journal.exists()
    assert not list((folder / "a").glob(".*.partial"))
    for path in (folder / "a").iterdir():
        if path.name != "augment.json":
            assert path.read_bytes() == (folder / "b" / path.name).read_bytes()


def test_a_thousand_files_are_not_held_open(folder: Path) -> None:
    import resource

    (folder / "in").mkdir()
    for number in range(150):
        write_jsonl(folder / "in" / f"{number:04}.jsonl", [MARTHA])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        examples = read_examples(sorted((folder / "in").iterdir()))
        result = write_counterfactuals(examples, AugmentOptions(), folder / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert result.funnel.written == 150


@pytest.mark.slow
def test_reasons_do_not_depend_on_the_hash_seed(folder: Path) -> None:
    import subprocess
    import sys

    code = (
        "import json, ifcurate\n"
        "text = 'Ann Lee Abbott and Lee Abbott came. Abbott Lee saw Annie, and Abby Leeson wept.'\n"
        "row = {'instruction': 'Who came?', 'input': text * 3, 'output': 'Ann Lee Abbott'}\n"
        "result = ifcurate.augment_counterfactual([row])\n"
        "print([(o.stage, o.reason) for o in result.rejected], [w.suite for w in result.written])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env={"PYTHONHASHSEED": str(seed)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in range(3)
    }  # fmt: skip
    assert len(told) == 1


def test_an_abstention_uses_the_words_that_the_prompt_asks_for() -> None:
    asked = 'Who opened the meeting? If the text does not tell, answer "not in the text".'
    row = {**MARTHA, "instruction": asked}
    abstain = written(row, emit="pair+abstain").rows[-1]
    assert abstain["output"] == "not in the text"


def test_originals_and_abstentions_are_written_once() -> None:
    (outcome,) = [augment_counterfactual([MARTHA], variants=3, emit="pair+abstain")]
    roles = [row["ifcurate_role"] for row in outcome.rows]
    assert sorted(roles) == ["abstain", *["counterfactual"] * 3, "original"]


def test_the_suites_context_never_holds_the_question() -> None:
    row = alpaca(MARTHA["input"] + "\nQuestion: Who opened the meeting?", "Martha", "Read this.")
    suite = written(row).suite
    assert "Question:" not in suite["context"]
    assert "Who opened the meeting?" in suite["question"]


def test_end_marks_are_no_words() -> None:
    made = written({**MARTHA, "output": "Martha<|endoftext|>"})
    assert made.rows[0]["output"] == f"{made.made.substitute}<|endoftext|>"


def test_a_list_of_dicts_is_enough() -> None:
    row = qca("At nine Martha came in, and " + "everybody sat down. " * 9, "Who came?", "Martha")
    result = ifcurate.augment_counterfactual([row, {**row, "answer": "Nobody"}], seed=0)
    (made,) = result.rows
    assert made["answer"] == made["ifcurate_substitute"]
    assert made["answer"] in made["context"]
    (rejected,) = result.rejected
    assert (rejected.row_number, rejected.stage) == (1, "entity")
    assert (result.funnel.read, result.funnel.written) == (2, 1)


def test_a_disk_that_is_full_is_an_error_that_says_what_to_do(folder: Path) -> None:
    import resource
    import signal

    write_jsonl(folder / "a.jsonl", [alpaca("Ann Lee left.", "Ann Lee.") for _ in range(50)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
        with pytest.raises(DataError, match=r"cannot be written.*the same command resumes"):
            write_counterfactuals(read_examples("a.jsonl"), AugmentOptions(), folder / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
