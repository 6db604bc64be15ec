"""Exports: loaded back by the real libraries, with rows and texts as they were."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from ifcurate.data.sources import read_examples
from ifcurate.engines.load import load_engine
from ifcurate.errors import DataError, ModelError, OptionError, RunError
from ifcurate.exports.export import Export, export_mixture
from ifcurate.exports.models import check_separate_projections, list_weights
from ifcurate.exports.trainers import AXOLOTL_QK
from ifcurate.mixing.components import parse_components
from ifcurate.mixing.mix import mix_components, mix_examples
from ifcurate.mixing.mixture import Mixture, read_mixture
from ifcurate.mixing.verify import verify_mixture
from ifcurate.options.mix import MixOptions
from ifcurate.options.score import ScoreSettings
from ifcurate.pocket import model_path
from ifcurate.records import native_call
from ifcurate.runs.filling import score_run
from ifcurate.scoring.scorer import Scorer
from ifcurate.steps.filtering import filter_run
from tests.conftest import write_jsonl

ALPACA = [
    {"instruction": f"Read {i}.", "input": f"Line {i}" if i % 2 else "", "output": f"It is {i}."}
    for i in range(6)
]
CHATS = [
    {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": f"Hello {i}"},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "And now?"},
            {"role": "assistant", "content": f"Now {i}."},
        ]
    }
    for i in range(3)
]
CALLS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"type": "function", "function": {"name": name, "arguments": arguments}}
                ],
            },
            {"role": "tool", "name": name, "content": "4 degrees"},
            {"role": "assistant", "content": f"{name}: 4 degrees."},
        ],
        "tools": [{"name": name, "parameters": {"type": "object"}}],
    }
    for name, arguments in (("look", '{"city": "Pol"}'), ("feel", '{"depth": 3}'))
]


def mixture(folder: Path, **rows: list[dict[str, Any]]) -> Mixture:
    for name, own in rows.items():
        write_jsonl(folder / f"{name}.jsonl", own)
    parts = parse_components([f"{name}={name}.jsonl" for name in rows])
    return mix_components(parts, folder / "mix", MixOptions(), overwrite=True)


def load(export: Export) -> Any:
    datasets = pytest.importorskip("datasets")
    cache = str(export.folder.parent / "cache")
    data = str(export.data)
    return datasets.load_dataset("json", data_files=data, split="train", cache_dir=cache)


def test_messages_come_back_from_datasets_as_they_were(folder: Path) -> None:
    made = mixture(folder, alpaca=ALPACA, chats=CHATS, calls=CALLS)
    export = export_mixture(made, folder / "mix" / "messages", trainer="messages")
    loaded = list(load(export))
    rows = made.rows.collect().to_dicts()
    assert len(loaded) == len(rows) == 11
    for ours, theirs in zip(rows, loaded, strict=True):
        assert set(theirs) <= {"messages", "tools"}
        for mine, other in zip(ours["messages"], theirs["messages"], strict=True):
            assert (mine["role"], mine["content"]) == (other["role"], other["content"])
    (call,) = (
        c["function"]
        for row in loaded
        for m in row["messages"]
        for c in m.get("tool_calls") or []
        if c["function"]["name"] == "look"
    )
    assert call["arguments"] == '{"city": "Pol"}'
    whole = verify_mixture(folder / "mix")
    assert whole.whole
    assert "bytes of messages/train.jsonl" in whole.checked
    export.data.write_bytes(export.data.read_bytes().replace(b"Pol", b"Pal"))
    assert any("differs from the hash" in p for p in verify_mixture(folder / "mix").problems)


def call(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_tool_calls_have_the_shape_that_each_reader_takes(folder: Path) -> None:
    asked = {"role": "user", "content": "How is it?"}
    calls = [call("a", "look", city="Pol"), call("b", "feel", depth=3)]
    both = {"role": "assistant", "content": "I look.", "tool_calls": calls}
    results = [{"role": "tool", "tool_call_id": id, "content": id} for id in "ba"]
    last = {"role": "assistant", "content": "", "tool_calls": [call("c", "look", city=3)]}
    plain = {"role": "assistant", "content": "Wet."}
    unasked = {"role": "tool", "content": "4 degrees"}
    rows: list[list[dict[str, Any]]] = [
        [asked, both, *results, plain], [asked, last], [asked, unasked, plain]
    ]  # fmt: skip
    made = mixture(folder, chats=[{"messages": messages} for messages in rows])
    assert verify_mixture(folder / "mix").whole

    def read(trainer: str) -> tuple[dict[int, Any], list[str]]:
        export = export_mixture(made, folder / trainer, trainer=trainer, model="pocket")
        left = folder / trainer / "left_out.jsonl"
        reasons = left.read_text().splitlines() if left.exists() else []
        text = export.data.read_text()
        found = json.loads(text) if text[0] == "[" else map(json.loads, text.splitlines())
        lists = [row.get("messages") or row.get("conversations") for row in found]
        return {len(own): own for own in lists}, [json.loads(line)["reason"] for line in reasons]

    for trainer, n_left in (("messages", 1), ("axolotl", 0)):
        chats, reasons = read(trainer)
        functions = [
            c["function"] for c in (*chats[5][1]["tool_calls"], *chats[2][1]["tool_calls"])
        ]
        assert [json.loads(f["arguments"]) for f in functions] == [
            {"city": "Pol"}, {"depth": 3}, {"city": 3}
        ]  # fmt: skip
        assert [c["id"] for c in chats[5][1]["tool_calls"]] == ["call_1", "call_2"]
        assert [m["tool_call_id"] for m in chats[5][2:4]] == ["call_2", "call_1"]
        assert reasons == ["has a tool result without a tool call before it"] * n_left
    chats, reasons = read("trl")
    assert chats[5][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Pol"}
    assert chats[2][1]["tool_calls"][0]["function"] == {"name": "look", "arguments": {"city": 3}}
    assert (chats[2][1]["content"], len(chats[3]), reasons) == ("", 3, [])
    chats, reasons = read("llama-factory")
    assert chats[2][1]["from"] == "function_call"
    assert "has text and a tool call in one message" in reasons
    made = mix_examples({"a": [{"messages": rows[1]}]})
    with pytest.raises(DataError, match="the first has a tool call as its response"):
        export_mixture(made, folder / "alpaca", trainer="alpaca")


def test_alpaca_keeps_the_input_apart_and_lists_what_it_has_no_place_for(folder: Path) -> None:
    made = mixture(folder, alpaca=ALPACA, chats=CHATS)
    export = export_mixture(made, folder / "out", trainer="alpaca")
    loaded = {row["output"]: row for row in load(export)}
    assert loaded == {row["output"]: row for row in ALPACA}
    left = [json.loads(line) for line in (folder / "out/left_out.jsonl").read_text().splitlines()]
    assert {row["reason"] for row in left} == {"is a conversation of several turns"}
    assert export.manifest.counts == {"rows": 9, "written": 6, "left_out": 3}
    with pytest.raises(DataError, match="no row can be written"):
        export_mixture(mixture(folder, chats=CHATS), folder / "no", trainer="alpaca")
    assert not (folder / "no").exists()


def read_as_llama_factory(row: dict[str, Any]) -> list[tuple[str, str]]:
    """The rules of LLaMA-Factory's ShareGPT reader, restated: it skips rows that break them."""
    turns = [(turn["from"], turn["value"]) for turn in row["conversations"]]
    asks, answers = ("human", "observation"), ("gpt", "function_call")
    assert len(turns) % 2 == 0
    assert all(who in (answers if i % 2 else asks) for i, (who, _) in enumerate(turns))
    return turns


def test_llama_factory_finds_its_data_by_name(folder: Path) -> None:
    made = mixture(folder, alpaca=ALPACA, chats=CHATS, calls=CALLS)
    options = {"trainer": "llama-factory", "model": "pocket", "qk_only": True}
    export = export_mixture(made, folder / "out", **options)
    config = yaml.safe_load((folder / "out/llamafactory.yaml").read_text())
    assert (config["finetuning_type"], config["lora_target"]) == ("lora", "q_proj,k_proj")
    info = json.loads((Path(config["dataset_dir"]) / "dataset_info.json").read_text())
    entry = info[config["dataset"]]
    assert Path(config["dataset_dir"], entry["file_name"]) == export.data
    rows = list(load(export))
    assert len(rows) == 11
    assert set(entry["columns"].values()) <= set(rows[0])
    said = {read_as_llama_factory(row)[-1][1] for row in rows}
    assert said == set(made.rows.collect()["messages"].list.last().struct.field("content"))
    call = next(t for row in rows for t in row["conversations"] if t["from"] == "function_call")
    assert set(json.loads(call["value"])) == {"name", "arguments"}
    assert export.command == f"llamafactory-cli train {folder}/out/llamafactory.yaml"


def matches_in_axolotl(pattern: str, name: str) -> bool:
    """How axolotl reads a pattern, restated: a dot is a dot unless a plus follows."""
    return re.match(re.sub(r"\.(?!\+)", r"\\.", pattern), name) is not None


def test_axolotl_unfreezes_queries_and_keys_and_nothing_else(folder: Path) -> None:
    made = mixture(folder, chats=CHATS)
    options = {"trainer": "axolotl", "model": "pocket", "qk_only": True, "indicator": ""}
    export = export_mixture(made, folder / "out", **options)
    config = yaml.safe_load((folder / "out/axolotl.yaml").read_text())
    (pattern,) = config["unfrozen_parameters"]
    assert pattern == AXOLOTL_QK
    weights = list_weights("pocket")
    free = {name for name in weights if matches_in_axolotl(pattern, name)}
    wanted = {n for n in weights if ".self_attn.q_proj." in n or ".self_attn.k_proj." in n}
    assert free == wanted
    assert len(free) == 8
    assert not any(matches_in_axolotl(r".*self_attn\.(q|k)_proj.*", name) for name in weights)
    (data,) = config["datasets"]
    assert (data["type"], Path(data["path"])) == ("chat_template", export.data)
    assert export.command == f"axolotl train {folder}/out/axolotl.yaml"


def test_open_instruct_takes_all_rows_and_no_qk(folder: Path) -> None:
    made = mixture(folder, chats=CHATS)
    export = export_mixture(made, folder / "out", trainer="open-instruct", model="gpt2")
    words = shlex.split(export.command)
    at = words.index("--dataset_mixer_list")
    # Its reader takes a local file by its ending, only as the split train, and 1.0 as a share.
    assert words[at + 1 : at + 3] == [str(export.data), "1.0"]
    assert words[at + 1].endswith(".jsonl")
    assert words[words.index("--dataset_mixer_list_splits") + 1] == "train"
    assert words[words.index("--model_name_or_path") + 1] == "openai-community/gpt2"
    with pytest.raises(OptionError, match="open-instruct fixes the LoRA modules"):
        export_mixture(made, folder / "qk", trainer="open-instruct", qk_only=True)


def test_fused_projections_are_refused_with_a_reason(folder: Path) -> None:
    for name in ("qkv_proj", "c_attn", "query_key_value"):
        weights = [f"transformer.h.0.attn.{name}.weight", "transformer.wte.weight"]
        with pytest.raises(DataError, match=rf"one weight \({name}\)"):
            check_separate_projections("m", weights)
    with pytest.raises(DataError, match=r"has no weights model\.layers"):
        check_separate_projections("m", ["a.weight"])
    (folder / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no safetensors"):
        list_weights(str(folder / "empty"))


def test_the_indicator_marks_context_critical_rows_only(folder: Path) -> None:
    made = mixture(folder, alpaca=ALPACA, chats=CHATS)
    with pytest.raises(DataError, match="no row is labelled context-critical"):
        export_mixture(made, folder / "no", trainer="messages", indicator="[IND]")
    critical = pl.when(pl.col("ifcurate_row") == 1).then(pl.lit("context-critical"))
    labelled = Mixture(
        made.rows.with_columns(critical.alias("ifcurate_label")), made.dropped, made.manifest
    )
    export = export_mixture(labelled, folder / "out", trainer="messages", indicator="[IND]")
    marked = [
        [m["content"] for m in row["messages"] if "[IND]" in m["content"]] for row in load(export)
    ]
    assert sorted(filter(None, marked)) == [["[IND] And now?"], ["[IND] Read 1.\n\nLine 1"]]


def test_end_markers_of_responses_are_not_exported_and_the_mixture_keeps_them(
    folder: Path,
) -> None:
    end = "<|im_end|>"
    rows = [{"prompt": f"Ask {end}", "chosen": f"Yes{end}\n", "rejected": f"No</s>{end}"}]
    turns = [("user", f"a{end}"), ("assistant", f"b{end}"), ("user", "c"), ("assistant", end)]
    chat = {"messages": [{"role": role, "content": text} for role, text in turns]}
    made = mixture(folder, pairs=rows, chat=[chat])

    def said(name: str, **options: Any) -> tuple[set[str], list[str]]:
        export = export_mixture(made, folder / name, model="pocket", **options)
        lines = export.data.read_text().splitlines()
        return {*re.findall(r'"content": "(.*?)"', "".join(lines))}, export.manifest.notes

    texts, (note,) = said("sft", trainer="messages")
    assert texts == {f"Ask {end}", "Yes", f"a{end}", "b", "c", end}
    assert note.startswith("taken off the end of responses, as in scoring: <|im_end|> (2 rows);")
    texts, notes = said("dpo", trainer="trl", objective="dpo")
    assert {"Yes", "No"} < texts
    assert "<|im_end|> (1 row), </s><|im_end|> (1 row);" in notes[-1]
    texts, notes = said("kept", trainer="messages", keep_end_markers=True)
    assert {rf"Yes{end}\n", f"b{end}"} < texts
    assert not notes
    alpaca = export_mixture(made, folder / "alpaca", trainer="alpaca").data.read_text()
    assert json.loads(alpaca)[0]["output"] == "Yes"
    stored = made.rows.collect()["messages"].list.last().struct.field("content")
    assert f"Yes{end}" in "".join(stored)


def test_an_export_never_replaces_files_of_others(folder: Path) -> None:
    made = mixture(folder, alpaca=ALPACA)
    (folder / "out").mkdir()
    (folder / "out" / "train.jsonl").write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        export_mixture(made, folder / "out", trainer="messages")
    with pytest.raises(DataError, match="no model is named"):
        export_mixture(made, folder / "trl", trainer="trl")
    with pytest.raises(DataError, match="no rejected response; export preference rows, or leave"):
        export_mixture(made, folder / "dpo", trainer="trl", model="gpt2", objective="dpo")


def test_an_export_of_an_earlier_mixture_is_found_by_verify(folder: Path) -> None:
    made = mixture(folder, alpaca=ALPACA)
    export_mixture(made, folder / "mix" / "messages", trainer="messages")
    assert verify_mixture(folder / "mix").whole
    mixture(folder, alpaca=ALPACA[:3])
    (problem,) = verify_mixture(folder / "mix").problems
    assert "has the rows of an earlier mixture" in problem


def test_the_toy_engine_is_no_model_to_train(folder: Path) -> None:
    write_jsonl(folder / "alpaca.jsonl", ALPACA)
    with load_engine("toy") as engine:
        scorer = Scorer.create(engine, ScoreSettings())
        score_run(read_examples("alpaca.jsonl"), scorer, folder / "run")
    made = mix_components(parse_components(["a=run"]), folder / "mix", MixOptions())
    with pytest.raises(DataError, match="no model is named"):
        export_mixture(made, folder / "trl", trainer="trl")


def test_trl_gets_a_chat_template_where_the_model_scored_without_one(folder: Path) -> None:
    made = mixture(folder, alpaca=ALPACA)

    def read(name: str, template: str, **options: Any) -> tuple[dict[str, Any], str]:
        engine = {"engine": "hf", "model": "mine", "revision": "0" * 40}
        origin = {"engine": engine, "template": {"name": template}}
        (component,) = made.manifest.identity["components"]
        identity = {**made.manifest.identity, "components": [{**component, "origin": origin}]}
        manifest = made.manifest.model_copy(update={"identity": identity})
        scored = Mixture(made.rows, made.dropped, manifest)
        export = export_mixture(scored, folder / name, trainer="trl", **options)
        (note,) = export.manifest.notes or [""]
        return yaml.safe_load((folder / name / "trl.yaml").read_text()), note

    path = str(folder / "base" / "chat_template.jinja")
    assert read("base", "alpaca")[0]["chat_template_path"] == path
    assert "{%- generation %}" in Path(path).read_text()
    assert "chat_template_path" in read("moved", "alpaca", model="models/mine")[0]
    for name, template, model in (("chat", "chat", ""), ("other", "alpaca", "gpt2")):
        config, note = read(name, template, model=model)
        assert "chat_template_path" not in config
        assert note.endswith(f"add --chat_template_path {folder}/{name}/chat_template.jinja")


def test_the_trl_command_names_the_template_if_that_of_the_model_cannot_be_used(
    folder: Path,
) -> None:
    pytest.importorskip("trl")
    model = shutil.copytree(model_path(), folder / "mine")

    def export(rows: list[dict[str, Any]], **options: Any) -> Export:
        made = mixture(folder, rows=rows)
        return export_mixture(made, folder / "out", trainer="trl", overwrite=True, **options)

    one, several = export(ALPACA, model=str(model)), export(CHATS, model=str(model))
    assert (one.command, one.manifest.notes) == (f"trl sft --config {folder}/out/trl.yaml", [])
    option = f" --chat_template_path {folder}/out/chat_template.jinja"
    assert several.command == one.command + option
    assert several.manifest.notes[1].startswith("TRL cannot see the answers in the model's own")
    config = json.loads((model / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    bare = export(ALPACA, model=str(model))
    assert bare.command == one.command + option
    assert bare.manifest.notes == [
        "the model has no chat template, so the command names chat_template.jinja"
    ]


@pytest.mark.parametrize("component", ["run", "run/filtered/keep-context-critical"])
def test_a_local_model_that_scored_is_exported_by_its_folder(folder: Path, component: str) -> None:
    write_jsonl(folder / "alpaca.jsonl", ALPACA)
    model = shutil.copytree(model_path(), folder / "models" / "mine")
    with load_engine("hf", model="models/mine") as engine:
        scorer = Scorer.create(engine, ScoreSettings())
        command = "ifcurate score alpaca.jsonl --model models/mine"
        run = score_run(read_examples("alpaca.jsonl"), scorer, folder / "run", command=command)
    filter_run(run, keep="context-critical")
    made = mix_components(parse_components([f"a={component}"]), folder / "mix", MixOptions())
    export = export_mixture(made, folder / "trl", trainer="trl")
    config = yaml.safe_load((folder / "trl" / "trl.yaml").read_text())
    assert config["model_name_or_path"] == "models/mine" == export.manifest.identity["model"]
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    advice = "; name the model that you will train: --model FOLDER"
    with pytest.raises(DataError, match=f"'mine', and models/mine holds another one now{advice}"):
        export_mixture(made, folder / "other", trainer="axolotl")
    shutil.rmtree(model)
    with pytest.raises(DataError, match=rf"'mine', and found no folder models/mine .*{advice}"):
        export_mixture(made, folder / "other", trainer="open-instruct")
    export_mixture(made, folder / "other", trainer="axolotl", model="gpt2")
    export_mixture(made, folder / "plain", trainer="messages")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # in TRL and PEFT
@pytest.mark.parametrize("layout", ["completion", "qk", "messages", "dpo"])
def test_trl_trains_on_the_responses_and_on_nothing_else(folder: Path, layout: str) -> None:
    """Two steps from the exported configuration, with TRL's own parser, loader and trainer."""
    trl = pytest.importorskip("trl")
    import torch
    from trl.scripts.utils import DatasetMixtureConfig, get_dataset

    called: dict[str, Any] = {**CALLS[0], "messages": CALLS[0]["messages"][:2]}
    pairs = [
        {"prompt": f"Ask {i}", "chosen": f"Good {i}", "rejected": f"Bad {i}"} for i in range(4)
    ]
    rows: list[dict[str, Any]] = {
        "completion": [*ALPACA[:3], called],
        "qk": ALPACA[:4],
        "messages": [*CHATS, *CALLS],
        "dpo": pairs,
    }[layout]
    made = mix_examples({f"part{i}": [row] for i, row in enumerate(rows)})
    objective = "dpo" if layout == "dpo" else "sft"
    options = {"objective": objective, "qk_only": layout == "qk", "model": "pocket"}
    export = export_mixture(made, folder / "out", trainer="trl", **options)
    settings, make = (
        (trl.DPOConfig, trl.DPOTrainer) if objective == "dpo" else (trl.SFTConfig, trl.SFTTrainer)
    )
    kinds = (trl.ScriptArguments, settings, trl.ModelConfig, DatasetMixtureConfig)
    more = (
        "--report_to none --use_cpu true --bf16 false --max_steps 2 --per_device_train_batch_size"
    )
    line = [*shlex.split(export.command)[2:], *more.split(), str(len(rows))]
    _, training, network, data = trl.TrlParser(kinds).parse_args_and_config(line)
    trainer = make(
        model=network.model_name_or_path,
        args=training,
        train_dataset=get_dataset(data)["train"],
        peft_config=trl.get_peft_config(network),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    if objective == "sft":
        read = trainer.processing_class
        trained = {
            read.decode(b[a != -100])
            for a, b in zip(batch["labels"], batch["input_ids"], strict=True)
        }
        assert trained == {
            _trained(row["messages"], layout, read.eos_token)
            for row in made.rows.collect().to_dicts()
        }
    before = {name: w.detach().clone() for name, w in trainer.model.named_parameters()}
    loss = trainer.train().training_loss
    assert math.isfinite(loss)
    changed = {n for n, w in trainer.model.named_parameters() if not torch.equal(w, before[n])}
    if layout == "qk":
        assert all(".q_proj.lora" in name or ".k_proj.lora" in name for name in changed)
        assert len(changed) == 16
    else:
        assert changed == set(before)


def _trained(messages: list[dict[str, Any]], layout: str, end: str) -> str:
    """The texts that the loss is on, as the template writes them."""
    said = []
    for message in messages if layout == "messages" else messages[-1:]:
        if message["role"] == "assistant":
            calls = [native_call(c)["function"] for c in json.loads(message["tool_calls"] or "[]")]
            if layout != "messages":  # the template of the bundled model
                calls = [{**call, "arguments": json.dumps(call["arguments"])} for call in calls]
            head = "Call:\n" * (layout != "messages" and bool(calls))
            said.append(f"{head}{message['content']}{''.join(map(json.dumps, calls))}{end}")
    return "".join(said)


def weighted_chat(name: str, *weights: int | str) -> dict[str, Any]:
    turns = [
        turn
        for n, weight in enumerate(weights)
        for turn in (
            {"role": "user", "content": f"Which {n}?"},
            {"role": "assistant", "content": f"{name} {n}", "weight": weight},
        )
    ]
    return {"messages": [{"role": "system", "content": name}, *turns]}


def test_no_trainer_gets_an_answer_with_weight_zero_to_train_on(folder: Path) -> None:
    last, none = weighted_chat("last", 0, 1), weighted_chat("none", 1, 0)
    made = mixture(folder, chats=[last, none], alpaca=ALPACA[:1])
    for trainer in ("messages", "axolotl"):
        export = export_mixture(made, folder / trainer, trainer=trainer, model="pocket")
        weights = [[m.get("weight") for m in row["messages"]] for row in load(export)]
        assert len(weights) == 3
        assert [None, None, 0, None, None] in weights
        assert [None, None, None, None, 0] in weights
    data = yaml.safe_load((folder / "axolotl/axolotl.yaml").read_text())["datasets"]
    assert data[0]["message_field_training"] == "weight"
    trl = export_mixture(made, folder / "trl", trainer="trl", model="pocket")
    assert trl.manifest.counts == {"rows": 3, "written": 2, "left_out": 1}
    assert ["last 1"] in [[m["content"] for m in row["completion"]] for row in load(trl)]
    assert b"weight" not in trl.data.read_bytes()
    for trainer, written in (("llama-factory", 2), ("open-instruct", 1), ("alpaca", 1)):
        export = export_mixture(made, folder / trainer, trainer=trainer, model="pocket")
        assert export.manifest.counts == {"rows": 3, "written": written, "left_out": 3 - written}
    config = yaml.safe_load((folder / "llama-factory/llamafactory.yaml").read_text())
    assert config["mask_history"] is True
    several = mixture(folder, chats=[last, none, weighted_chat("both", 1, 1)])
    for trainer in ("trl", "llama-factory"):
        export = export_mixture(several, folder / f"all-{trainer}", trainer=trainer, model="pocket")
        assert export.manifest.counts == {"rows": 3, "written": 1, "left_out": 2}
        assert any("a mixture of such rows alone" in note for note in export.manifest.notes)
    made = mix_examples({"rows": [last, none]})
    export = export_mixture(made, folder / "rows", trainer="messages", model="pocket")
    assert export.data.read_bytes().count(b'"weight":') == 2


@pytest.mark.parametrize(
    "row",
    [
        {**ALPACA[0], "weight": 0},
        {**ALPACA[0], "weight": "0"},
        {"messages": json.dumps(weighted_chat("none", 1, 0)["messages"])},
        {"messages": weighted_chat("none", 1, "0")["messages"]},
    ],
)
def test_a_weight_of_zero_is_found_wherever_it_is(row: dict[str, Any], folder: Path) -> None:
    other = {"messages": CHATS[0]["messages"][:3]} if "messages" in row else ALPACA[1]
    made = mixture(folder, rows=[row, other])
    export = export_mixture(made, folder / "out", trainer="trl", model="pocket")
    assert export.manifest.counts == {"rows": 2, "written": 1, "left_out": 1}
    (unread,) = read_examples("rows.jsonl").unread().values()
    assert any("weight 0" in note for note in unread.notes)
    assert "weight" not in unread.columns


def test_preferences_are_exported_as_pairs(folder: Path) -> None:
    rows = [{"prompt": f"Ask {i}", "chosen": f"Good {i}", "rejected": f"Bad {i}"} for i in range(3)]
    turns = [
        {
            "prompt": "Ask list",
            "chosen": [
                {"role": "user", "content": "Ask list"},
                {"role": "assistant", "content": "Good list"},
            ],
            "rejected": [
                {"role": "user", "content": "Ask list"},
                {"role": "assistant", "content": "Bad list"},
            ],
        }
    ]
    same = [{"prompt": "Ask same", "chosen": "Same", "rejected": "Same"}]
    made = mixture(folder, flat=rows, turns=turns, same=same)
    export = export_mixture(made, folder / "out", trainer="trl", model="gpt2", objective="dpo")
    pairs = {
        (r["prompt"][-1]["content"], r["chosen"][0]["content"], r["rejected"][0]["content"])
        for r in load(export)
    }
    assert pairs == {
        *((f"Ask {i}", f"Good {i}", f"Bad {i}") for i in range(3)),
        ("Ask list", "Good list", "Bad list"),
    }
    assert export.command.startswith("trl dpo")
    assert "chosen response as its rejected" in (folder / "out" / "left_out.jsonl").read_text()
    ranked = export_mixture(
        made, folder / "lf", trainer="llama-factory", model="gpt2", objective="dpo"
    )
    assert all(row["rejected"]["value"].startswith("Bad") for row in load(ranked))
    info = json.loads((folder / "lf/dataset_info.json").read_text())
    assert info["ifcurate"]["ranking"] is True


def test_an_export_or_mixture_that_was_killed_is_made_again(folder: Path) -> None:
    made = mixture(folder, alpaca=ALPACA)
    whole = export_mixture(made, folder / "out", trainer="messages").data.read_bytes()
    for name in ("out/export.json", "mix/mixture.json"):
        path = folder / name
        path.write_text(path.read_text().replace('"finished": true', '"finished": false'))
        path.with_name(".train.jsonl.999999999.partial").write_text("cut off")
    (folder / "out" / "train.jsonl").write_text("cut off")
    with pytest.raises(RunError, match="holds no complete mixture; it was stopped; mix again"):
        read_mixture(folder / "mix")
    made = mixture(folder, alpaca=ALPACA)
    assert export_mixture(made, folder / "out", trainer="messages").data.read_bytes() == whole
    assert not list(folder.rglob("*.partial"))


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("Yes", "No"),
        ("\n\nHuman: Is it?\n\nAssistant: Yes", "\n\nHuman: Is it?\n\nAssistant: No"),
        ("Human: Hello.\n\nAssistant: Yes", "Human: Hello.\n\nAssistant: No"),
        ({"from": "gpt", "value": "Yes"}, {"from": "gpt", "value": "No"}),
        ([{"role": "assistant", "content": "Yes"}], [{"role": "assistant", "content": "No"}]),
    ],
)
def test_the_rejected_answer_is_exported_without_its_conversation(
    folder: Path, chosen: Any, rejected: Any
) -> None:
    play = isinstance(chosen, str) and "Hello" in chosen  # an answer that quotes a dialogue
    yes, no = (chosen, rejected) if play else ("Yes", "No")
    made = mixture(folder, pairs=[{"prompt": "Is it?", "chosen": chosen, "rejected": rejected}])
    export = export_mixture(made, folder / "dpo", trainer="trl", objective="dpo", model="pocket")
    (row,) = load(export)
    assert [row[name][-1]["content"] for name in ("chosen", "rejected")] == [yes, no]
