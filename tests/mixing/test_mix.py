"""Mixtures: exact amounts, the same rows whatever the order of the data, nothing lost."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from ifcurate.counterfactual.write.output import write_counterfactuals
from ifcurate.data.parse_rows import row_hash
from ifcurate.data.sources import read_examples
from ifcurate.engines.load import load_engine
from ifcurate.errors import DataError, OptionError, RunError
from ifcurate.mixing.components import parse_components
from ifcurate.mixing.mix import mix_components, mix_examples
from ifcurate.mixing.mixture import Mixture, read_mixture
from ifcurate.mixing.overlap import read_names
from ifcurate.mixing.texts import read_example
from ifcurate.mixing.tokens import load_counter
from ifcurate.mixing.verify import verify_mixture
from ifcurate.options.augment import AugmentOptions
from ifcurate.options.mix import MixOptions
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.scoring.scorer import Scorer
from ifcurate.steps.filtering import filter_run
from ifcurate.steps.splitting import split_run
from ifcurate.storage.by_hand import write_verdicts
from tests.conftest import write_jsonl
from tests.models import make_tokenizer


def alpaca(n: int, word: str = "stone", **more: Any) -> list[dict[str, Any]]:
    """Rows with different texts of different lengths."""
    return [
        {
            "instruction": f"Describe {word} {i}.",
            "input": f"The {word} with number {i} lies here." if i % 3 else "",
            "output": f"It is {word} {i}" + " and so on" * (i % 7) + ".",
            "topic": "abc"[i % 3],
            **more,
        }
        for i in range(n)
    ]


def mix(folder: Path, *parts: str, out: str = "out", **options: Any) -> Mixture:
    made = MixOptions.create(**options)
    return mix_components(parse_components(parts), folder / out, made, overwrite=True)


def texts(made: Mixture) -> list[str]:
    rows = made.rows.select(pl.col("messages").list.last().struct.field("content")).collect()
    return [str(text) for text in rows[:, 0]]


def test_every_row_is_in_the_mixture_or_listed_with_a_reason(folder: Path) -> None:
    rows = alpaca(40)
    write_jsonl(folder / "a.jsonl", [*rows, rows[3], {**rows[4], "id": 7}, {"output": "x"}])
    write_jsonl(folder / "b.jsonl", [*alpaca(9, "leaf"), rows[5], {**rows[6], "output": " "}])
    made = mix(folder, "a=a.jsonl", "b=b.jsonl:5")
    counts = made.manifest.counts
    assert counts["read"] == 54 == counts["rows"] + counts["dropped"]
    assert (counts["rows:a"], counts["rows:b"]) == (40, 5)
    reasons = Counter(made.dropped["reason"])
    assert reasons == {
        "duplicate": 2,
        "duplicate of another component": 1,
        "cannot be used": 2,
        "not chosen": 4,
    }
    other = made.dropped.filter(pl.col("reason") == "duplicate of another component")
    assert other["detail"].item() == "the same texts as a.jsonl row 5"
    assert verify_mixture(folder / "out").whole


def test_rows_that_only_an_unchosen_row_repeats_are_named(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(40))
    made = mix(folder, "a=a.jsonl:10%", "b=a.jsonl")
    assert made.n_rows == 4
    (note,) = made.manifest.notes
    assert note.startswith("b: 36 rows left out as duplicates of rows of another component")


def test_the_rows_are_kept_as_they_were_read_and_as_messages(folder: Path) -> None:
    chat = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather in Pol?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"function": {"name": "look", "arguments": '{"city": "Pol"}'}}],
            },
            {"role": "tool", "name": "look", "content": "4 degrees"},
            {"role": "assistant", "content": "It is 4 degrees."},
        ],
        "tools": [{"name": "look"}],
    }
    write_jsonl(folder / "a.jsonl", [{"output": "B", "instruction": "A?", "input": "C"}])
    write_jsonl(folder / "c.jsonl", [chat])
    made = mix(folder, "a=a.jsonl", "c=c.jsonl").rows.collect()
    rows = {row["ifcurate_component"]: row for row in made.iter_rows(named=True)}
    line = (folder / "a.jsonl").read_text().rstrip("\n")
    assert rows["a"]["ifcurate_record"] == line
    assert [(m["role"], m["content"]) for m in rows["a"]["messages"]] == [
        ("user", "A?\n\nC"),
        ("assistant", "B"),
    ]
    roles = [m["role"] for m in rows["c"]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert json.loads(rows["c"]["messages"][2]["tool_calls"])[0]["function"]["name"] == "look"
    assert json.loads(rows["c"]["tools"]) == chat["tools"]


def test_a_mixture_is_read_again_as_its_data_was(folder: Path) -> None:
    call = {"type": "function", "function": {"name": "look", "arguments": {"at": "sea"}}}
    chat = [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "Calm."},
        {"role": "assistant", "content": "It is calm."},
    ]
    write_jsonl(folder / "a.jsonl", alpaca(5))
    write_jsonl(folder / "b.jsonl", [{"messages": chat}])
    made = mix(folder, "a=a.jsonl", "b=b.jsonl")
    given = {e.response: e for name in ("a.jsonl", "b.jsonl") for e in read_examples(name)}
    for row in made.rows.collect().iter_rows(named=True):
        example = read_example(row)
        assert example == replace(given.pop(example.response), blocks=())
    assert not given
    rows = list(read_examples("out").read())  # the mixture's rows alone, as messages
    assert len(rows) == 6
    assert not any(row.bad for row in rows)
    assert [e.trailing[0].tool_calls for r in rows for e in r.examples if e.trailing] == [(call,)]


def test_the_choice_depends_on_texts_and_seed_only(folder: Path) -> None:
    rows = alpaca(300)
    write_jsonl(folder / "whole.jsonl", rows)
    shuffled = random.Random(1).sample(rows, len(rows))
    for i in range(3):
        write_jsonl(folder / f"shard-{i}.jsonl", shuffled[i::3])
    whole = mix(folder, "a=whole.jsonl:100", out="one")
    sharded = mix(folder, "a=shard-*.jsonl:100", out="two")
    assert texts(whole) == texts(sharded)
    other = mix(folder, "a=whole.jsonl:100", out="three", seed=1)
    assert texts(other) != texts(whole)
    more = mix(folder, "a=whole.jsonl:200", out="four")
    assert set(texts(whole)) < set(texts(more))
    data = [
        (folder / name / "mixture.parquet").read_bytes()
        for name in ("one", "again")
        if mix(folder, "a=whole.jsonl:100", out="again")
    ]
    assert data[0] == data[1]


def test_rows_that_wait_on_disk_come_in_the_same_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(250))
    one = mix(folder, "a=a.jsonl:300", out="one", upsample=True)
    monkeypatch.setattr("ifcurate.mixing.store._BUCKET_ROWS", 40)
    monkeypatch.setattr("ifcurate.mixing.mix.BATCH_ROWS", 64)
    two = mix(folder, "a=a.jsonl:300", out="two", upsample=True)
    assert one.rows.collect().equals(two.rows.collect())
    assert not (folder / "two" / ".mixing").exists()
    in_memory = mix_examples({"a": read_examples("a.jsonl")}, amounts={"a": "300"}, upsample=True)
    assert texts(in_memory) == texts(one)


def test_weights_totals_and_shares_give_exact_counts(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(100))
    write_jsonl(folder / "b.jsonl", alpaca(30, "leaf"))

    def counts(*parts: str, **options: Any) -> tuple[int, int]:
        found = mix(folder, *parts, **options).manifest.counts
        return found["rows:a"], found["rows:b"]

    assert counts("a=a.jsonl:w9", "b=b.jsonl:w1") == (100, 11)
    assert counts("a=a.jsonl", "b=b.jsonl:10%-of-a") == (100, 10)
    assert counts("a=a.jsonl", "b=b.jsonl:10.9%-of-a") == (100, 10)  # rounded down
    assert counts("a=a.jsonl", "b=b.jsonl:0.29-of-a") == (100, 29)
    assert counts("a=a.jsonl:w2", "b=b.jsonl:w1", rows=50) == (33, 17)
    assert counts("a=a.jsonl", "b=b.jsonl:0.1-of-a", rows=44) == (40, 4)
    assert counts("a=a.jsonl", "b=b.jsonl:20", rows=44) == (24, 20)
    assert counts("a=a.jsonl:25%", "b=b.jsonl:2.5") == (25, 75)
    assert counts("a=a.jsonl:all", "b=b.jsonl:1rows") == (100, 1)


def test_repeated_rows_are_repeated_evenly(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(30))
    with pytest.raises(DataError, match="has 30 rows, and its amount is 75"):
        mix(folder, "a=a.jsonl:75")
    made = mix(folder, "a=a.jsonl:75", upsample=True)
    times = Counter(texts(made))
    assert sorted(times.values()) == [2] * 15 + [3] * 15
    assert made.manifest.notes == ["45 of the rows are repetitions (up-sampling)"]


@pytest.mark.parametrize("count", ["response", "whole"])
def test_a_token_budget_is_met_within_one_example(folder: Path, count: str) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(200))
    write_jsonl(folder / "b.jsonl", alpaca(200, "leaf"))
    made = mix(folder, "a=a.jsonl:1.2ktok", "b=b.jsonl:901tok", tokenizer="pocket", count=count)
    counter = load_counter("pocket")
    rows = made.rows.collect()
    for name, budget in (("a", 1200), ("b", 901)):
        own = rows.filter(pl.col("ifcurate_component") == name)
        if count == "response":
            said = own["messages"].list.last().struct.field("content").to_list()
        else:
            said = ["\n\n".join(m["content"] for m in row) for row in own["messages"].to_list()]
        sizes = counter.count(said)
        assert abs(sum(sizes) - budget) <= max(sizes)
        assert made.manifest.counts[f"tokens:{name}"] == sum(sizes)
    assert "tokens of every row" in verify_mixture(folder / "out").checked


def test_strata_keep_their_shares(folder: Path) -> None:
    rows = [
        {**row, "topic": "rare" if i % 10 == 0 else "often"} for i, row in enumerate(alpaca(200))
    ]
    write_jsonl(folder / "a.jsonl", rows)
    made = mix(folder, "a=a.jsonl:50", stratify="topic")
    topics = Counter(json.loads(r)["topic"] for r in made.rows.collect()["ifcurate_record"])
    assert topics == {"rare": 5, "often": 45}
    with pytest.raises(DataError, match="no row has a column 'topics'"):
        mix(folder, "a=a.jsonl:50", stratify="topics")


def test_rows_in_memory_are_mixed_like_those_of_a_file(folder: Path) -> None:
    rows = alpaca(9)
    made = mix_examples({"rows": rows, "frame": pl.DataFrame(rows[:4])}, amounts={"rows": "5"})
    assert repr(made) == "Mixture(5 rows, 8 left out)"
    with pytest.raises(TypeError, match="components: found list; give"):
        mix_examples([rows])
    write_jsonl(folder / "own.jsonl", [{"ask": "Who?", "reply": "Leda"}])
    with pytest.raises(DataError, match=r"component a: .*; score it with --columns, and mix"):
        mix(folder, "a=own.jsonl")


def test_kept_rows_have_the_labels_of_the_split_that_filtered_them(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(30))
    with load_engine("toy") as engine:
        run = score_run(
            read_examples("a.jsonl"), Scorer.create(engine, ScoreSettings()), folder / "r"
        )
    split_run(run, name="mine", rule="paper", fraction=0.4)
    filtered = filter_run(run, split="mine", drop="non-context-critical").folder
    split_run(run, name="mine", rule="paper", fraction=0.9)
    for place in (
        filtered,
        filter_run(
            run, split="mine", out=folder / "o", no_context="keep", keep="context-critical"
        ).folder,
    ):
        rows = mix(folder, f"a={place}").rows.collect()
        labels = Counter(rows["ifcurate_label"])
        assert labels == {"no-context": 10, "context-critical": 12 if place == filtered else 2}
        without = rows.filter(pl.col("ifcurate_label") == "no-context")["ifcurate_record"]
        assert all(not json.loads(record)["input"] for record in without)


def test_counterfactuals_are_read_with_the_columns_of_their_data(folder: Path) -> None:
    text = "The mill was built by Jonas Keller. It ground wheat until the river changed its "
    text += "course, and then it stood still for many years."
    row = {"instruction": "Who built the mill?", "input": text, "output": "Jonas Keller built it."}
    write_jsonl(folder / "a.jsonl", [{**row, "persona": "You are brief."}])
    examples = read_examples("a.jsonl", columns={"system": "persona"})
    write_counterfactuals(examples, AugmentOptions(emit="pair+abstain"), folder / "new")
    rows = mix(folder, "a=new").rows.collect()
    assert {row[0]["content"] for row in rows["messages"]} == {"You are brief."}
    roles = [json.loads(record)["ifcurate_role"] for record in rows["ifcurate_record"]]
    assert dict(zip(roles, rows["ifcurate_label"], strict=True)) == {
        "original": None,
        "counterfactual": "context-critical",
        "abstain": "no-context",
    }


def test_pairs_that_differ_in_the_rejected_answer_are_no_duplicates(folder: Path) -> None:
    said = [("Yes.", "No."), ("Yes.", "Never."), ("Yes.", "No.")]
    rows = [{"prompt": "Is it?", "chosen": chosen, "rejected": no} for chosen, no in said]
    write_jsonl(folder / "a.jsonl", rows)
    made = mix(folder, "a=a.jsonl")
    assert made.manifest.counts["rows"] == 2
    assert verify_mixture(folder / "out").whole


class SecondRepeats:
    """A stand-in of semhash: the second record nearly repeats the first."""

    @classmethod
    def from_records(cls, records: list[dict[str, str]], **_: Any) -> SecondRepeats:
        found = SimpleNamespace(record=records[1], duplicate_of=records[0], score=0.99)
        made = cls()
        made.filtered = [found]
        return made

    filtered: list[SimpleNamespace]

    def self_deduplicate(self, **_: Any) -> SecondRepeats:
        return self


def test_of_equal_rows_the_one_that_trains_most_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = [
        {"role": role, "content": text}
        for role, text in (("user", "A?"), ("assistant", "B."), ("user", "C?"), ("assistant", "D."))
    ]
    silent = [*chat[:1], {**chat[1], "train": False}, chat[2], {**chat[3], "weight": 0}]
    write_jsonl(folder / "a.jsonl", [{**alpaca(1)[0], "weight": 0}, alpaca(1)[0]])
    write_jsonl(folder / "b.jsonl", [{"messages": silent}])
    write_jsonl(folder / "c.jsonl", [{"messages": [*silent[:2], *chat[2:]]}, {"messages": chat}])
    made = mix(folder, "a=a.jsonl", "b=b.jsonl", "c=c.jsonl")
    places = made.rows.select("ifcurate_source", "ifcurate_row").collect().rows()
    assert sorted(places) == [("a.jsonl", 1), ("c.jsonl", 1)]
    assert made.dropped["detail"].to_list()[1] == "the same texts as c.jsonl row 1"
    given = {name: list(read_examples(f"{name}.jsonl")) for name in "abc"}
    in_memory = mix_examples({"b": given["b"], "c": given["c"]})
    assert in_memory.rows.select("ifcurate_component").collect().rows() == [("c",)]

    near = [{**row, "weight": i} for i, row in enumerate(alpaca(2))]
    write_jsonl(folder / "near.jsonl", near)
    monkeypatch.setattr("ifcurate.mixing.choosing.require_semhash", lambda: SecondRepeats)
    monkeypatch.setattr("ifcurate.mixing.choosing._load_encoder", lambda name: name)
    made = mix(folder, "a=near.jsonl", near_duplicates="0.9")
    assert made.dropped.select("row", "reason").rows() == [(0, "near duplicate")]


def test_only_rows_with_a_context(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(30))
    parts = parse_components(["a=a.jsonl"], context=("field",))
    made = mix_components(parts, folder / "out", MixOptions.create(only="context"))
    assert made.manifest.counts["rows"] == 20
    with pytest.raises(DataError, match="no row is labelled context-critical"):
        mix(folder, "a=a.jsonl", only="context-critical")


def test_rows_that_name_an_entity_of_the_suite_are_dropped_and_listed(folder: Path) -> None:
    suite = [
        {
            "question": "What is the capital city of Norvia?",
            "answer": "Pella",
            "memory_answer": "Ostra (Ostrava) or Kell City",
        },
    ]
    write_jsonl(folder / "suite.jsonl", suite)
    named = ["Norvia is cold.", "He saw Pella.", "Kell City at night", "Ostrava"]
    others = ["Norvian snow.", "pella", "Kell is a city.", "What is it?"]
    rows = [
        {"instruction": f"{i}?", "input": t, "output": "Yes."} for i, t in enumerate(named + others)
    ]
    write_jsonl(folder / "a.jsonl", rows)
    made = mix(folder, "a=a.jsonl", avoid_overlap=[folder / "suite.jsonl"])
    dropped = made.dropped.filter(pl.col("reason") == "overlap")
    assert dropped["row"].to_list() == [0, 1, 2, 3]
    assert dropped["detail"][1] == "names Pella"
    assert made.n_rows == 4


def test_a_name_as_in_an_index_is_turned_and_its_parts_alone_are_no_names(folder: Path) -> None:
    rows = [
        {"question": "What is the capital of Narra, North?", "answer": "Tol"},
        {"question": "What is the capital of Ketta, Republic of the?", "answer": "Bure"},
        {"question": "Who rules Porte d'Ombre?", "answer": "West"},
    ]
    write_jsonl(folder / "suite.jsonl", rows)
    names = set(read_names([folder / "suite.jsonl"]))
    wanted = {"Narra", "North Narra", "Tol", "Ketta", "Republic of the Ketta", "Bure"}
    assert names == {*wanted, "Porte d'Ombre"}


def test_a_tokenizer_that_truncates_counts_every_token(folder: Path) -> None:
    make_tokenizer("byte-bpe").save_pretrained(folder / "model")
    path = folder / "model" / "tokenizer.json"
    content = json.loads(path.read_text())
    limits = {"max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    path.write_text(json.dumps({**content, "truncation": limits}))
    assert load_counter(str(folder / "model")).count(["one two three four five six"])[0] > 4


def test_a_row_that_a_person_judged_broken_is_dropped_and_listed(folder: Path) -> None:
    rows = [{"instruction": f"{i}?", "input": "Pol is.", "output": "Pol."} for i in range(4)]
    write_jsonl(folder / "new.jsonl", rows)
    write_verdicts(folder, {row_hash(rows[2]): "broken", row_hash(rows[1]): "good"})
    made = mix(folder, "new=new.jsonl")
    dropped = made.dropped.to_dicts()
    assert [(row["row"], row["reason"]) for row in dropped] == [(2, "judged broken")]
    assert made.manifest.counts["dropped:judged broken"] == 1


def test_near_duplicates_go_with_semhash_and_an_encoder(folder: Path) -> None:
    """The encoder is a stand-in (counts of letters): the real one cannot be downloaded here."""
    pytest.importorskip("semhash")
    np = pytest.importorskip("numpy")

    class Letters:
        def encode(self, inputs: list[str], **_: Any) -> Any:
            return np.array(
                [[t.lower().count(c) + 0.01 for c in "abcdefghijklmnopqrstuvwxyz"] for t in inputs],
                dtype=np.float32,
            )

    said = ["the black cat sat on the mat", "the black cat sat on the mat!", "zig zag jump"]
    rows = [{"instruction": t, "input": "", "output": "Good."} for t in said]
    write_jsonl(folder / "a.jsonl", rows)
    options = MixOptions.create(near_duplicates="99%")
    made = mix_components(
        parse_components(["a=a.jsonl"]), folder / "out", options, encoder=Letters()
    )
    assert made.n_rows == 2
    near = made.dropped.row(0, named=True)
    assert near["reason"] == "near duplicate"
    assert near["row"] in (0, 1)
    assert near["detail"].startswith("similarity 0.99") or near["detail"].startswith("similarity 1")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("a.jsonl", "has no name; write NAME=PATH"),
        ("a=a.jsonl:1", "can mean one row or all rows; write 1rows"),
        ("a=a.jsonl:0%", "takes nothing"),
        ("a=a.jsonl:-5", "amount '-5': is negative; write all"),
        ("a=run/kept/critical", "did you mean keep-critical?; check the path"),
        ("a=a.jsonl:10%-of-c", "a share of 'c', and no component has that name"),
        ("a=missing.jsonl", "component a: missing.jsonl: no such file"),
        ("a=a.jsonl:5ktok", "no tokenizer is named"),
        ("a=run", "no file in it, only folders"),
    ],
)
def test_wrong_components_are_named(folder: Path, part: str, said: str) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(5))
    (folder / "run/kept/keep-critical").mkdir(parents=True)
    with pytest.raises(DataError, match=said.replace("(", r"\(").replace("?", r"\?")):
        mix(folder, part)


def test_shares_of_each_other_are_refused(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(5))
    (folder / "b.jsonl").write_bytes((folder / "a.jsonl").read_bytes())
    with pytest.raises(DataError, match="a share of b, whose amount is a share too; give b an am"):
        mix(folder, "a=a.jsonl:10%-of-b", "b=b.jsonl:10%-of-a")


def test_a_mixture_never_replaces_files_of_others(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(5))
    (folder / "out").mkdir()
    (folder / "out" / "README.md").write_text("mine")
    with pytest.raises(DataError, match="they would be replaced"):
        mix(folder, "a=a.jsonl")
    with pytest.raises(OptionError, match="tokens needs tokenizer"):
        MixOptions.create(tokens=5)
    assert MixOptions.create(tokens="20k", tokenizer="pocket").tokens == 20_000


def test_verify_finds_one_changed_byte_and_a_wrong_count(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(50))
    mix(folder, "a=a.jsonl:40")
    out = folder / "out"
    assert verify_mixture(out).whole
    for name in ("mixture.parquet", "dropped.parquet"):
        whole = (out / name).read_bytes()
        changed = bytearray(whole)
        changed[len(whole) // 3] ^= 1
        (out / name).write_bytes(bytes(changed))
        assert any("differs from the hash" in p for p in verify_mixture(out).problems), name
        (out / name).write_bytes(whole.replace(b'{"id": ', b'{"id"; '))
        assert not verify_mixture(out).whole, name
        (out / name).write_bytes(whole)
    manifest = json.loads((out / "mixture.json").read_text())
    manifest["counts"]["rows:a"] = 39
    (out / "mixture.json").write_text(json.dumps(manifest))
    assert any("'rows:a': is 40" in p for p in verify_mixture(out).problems)


def test_a_damaged_mixture_and_a_folder_that_cannot_be_made_are_errors(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", alpaca(50))
    made = mix(folder, "a=a.jsonl")
    path = folder / "out" / "mixture.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(400) + whole[404:])
    with pytest.raises(RunError, match=r"mixture\.parquet: cannot be read: .*; mix again"):
        list(made.frames())
    for out in ("a.jsonl", "a.jsonl/out"):
        with pytest.raises(DataError, match=r"a\.jsonl: is a file, and a folder is needed"):
            mix(folder, "a=a.jsonl", out=out)
    (folder / "augmented").mkdir()
    (folder / "augmented" / "augment.json").write_text("{")
    with pytest.raises(RunError, match=r"augment\.json: is damaged: .*; augment again"):
        mix(folder, "a=augmented")


def test_verify_recomputes_the_rows_themselves(folder: Path) -> None:
    """A forged file with a matching digest: the texts no longer have the hash beside them."""
    from ifcurate.storage.files import file_digest, read_table_manifest, write_table

    write_jsonl(folder / "a.jsonl", alpaca(20))
    made = mix(folder, "a=a.jsonl")
    path = folder / "out" / "mixture.parquet"
    inside = read_table_manifest(path)
    forged = made.rows.collect().with_columns(pl.col("ifcurate_record").str.replace("lies", "LIES"))
    write_table(forged, path, inside)
    manifest = json.loads((folder / "out" / "mixture.json").read_text())
    manifest["digests"]["mixture.parquet"] = file_digest(path)
    (folder / "out" / "mixture.json").write_text(json.dumps(manifest))
    problems = verify_mixture(folder / "out").problems
    assert any("do not match its ifcurate_hash" in problem for problem in problems)


def test_a_mixture_loads_with_datasets(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    write_jsonl(folder / "a.jsonl", alpaca(20))
    made = mix(folder, "a=a.jsonl")
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(folder / "out" / "mixture.parquet"),
        split="train",
        cache_dir=str(folder / "cache"),
    )
    assert [row["messages"][-1]["content"] for row in loaded] == texts(made)
    assert read_mixture(folder / "out").n_rows == 20


def test_another_mixture_is_not_replaced_without_a_word(folder: Path) -> None:
    write_jsonl(
        folder / "a.jsonl", [{"instruction": f"Ask {i}.", "output": "It."} for i in range(9)]
    )
    parts = parse_components(["a=a.jsonl"])
    before = mix_components(parts, folder / "out", MixOptions()).manifest
    assert mix_components(parts, folder / "out", MixOptions()).manifest.digests == before.digests
    other = MixOptions.create(seed=7)
    with pytest.raises(
        DataError, match=r"holds the result of other data or settings; .*--overwrite"
    ):
        mix_components(parts, folder / "out", other)
    assert read_mixture(folder / "out").manifest.id == before.id
    assert mix_components(parts, folder / "out", other, overwrite=True).manifest.id != before.id
