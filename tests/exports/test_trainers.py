"""Exports, loaded by the trainers' own code. Each test skips where its trainer is missing.

Both trainers require packages that need a GPU. Their parsers do not: install the trainer
without its requirements into an environment that has torch and `ifcurate[train]`.

    pip install --no-deps llamafactory==0.9.5 omegaconf antlr4-python3-runtime==4.9.3 \
        av einops fire sentencepiece
    pip install --no-deps axolotl==0.19.0 pillow addict colorama python-dotenv posthog \
        backoff distro art numba llvmlite termcolor

open-instruct is not on PyPI, and pins CUDA packages. The test of its command restates the
rules of `open_instruct/dataset_transformation.py`.
"""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from ifcurate.exports.export import export_mixture
from ifcurate.exports.models import list_weights
from tests.exports.test_exports import ALPACA, CALLS, CHATS, mixture

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def llama_factory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """LLaMA-Factory's arguments, loader and templates."""
    # torchaudio on PyPI is built for CUDA. Texts need nothing of it.
    silent = types.ModuleType("torchaudio")
    silent.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    monkeypatch.setitem(sys.modules, "torchaudio", silent)
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    pytest.importorskip("llamafactory")
    return pytest.importorskip("llamafactory.data.loader", exc_type=ImportError)


def load_in_llama_factory(config: Path, stage: str) -> Any:
    """The rows after LLaMA-Factory's converter, from the arguments in its own file."""
    from llamafactory.data.loader import _get_merged_dataset  # type: ignore[import-not-found]
    from llamafactory.hparams import get_train_args  # type: ignore[import-not-found]

    values = yaml.safe_load(config.read_text())
    model, data, training, _, _ = get_train_args({**values, "bf16": False, "report_to": "none"})
    return _get_merged_dataset(data.dataset, model, data, training, stage)


def test_llama_factory_reads_every_row_with_its_texts(folder: Path, llama_factory: Any) -> None:
    made = mixture(folder, alpaca=ALPACA, chats=CHATS, calls=CALLS)
    export_mixture(made, folder / "out", trainer="llama-factory", model="pocket", qk_only=True)
    rows = list(load_in_llama_factory(folder / "out/llamafactory.yaml", "sft"))
    assert len(rows) == 11
    for row, mine in zip(rows, made.rows.collect().to_dicts(), strict=True):
        said = [m["content"] for m in mine["messages"] if not m["tool_calls"]]
        system = [row["_system"]] if row["_system"] else []
        read = system + [
            m["content"] for m in (*row["_prompt"], *row["_response"]) if m["role"] != "function"
        ]
        assert read == said
    assert sum(m["role"] == "function" for row in rows for m in row["_prompt"]) == 2


def test_llama_factory_reads_preferences(folder: Path, llama_factory: Any) -> None:
    rows = [{"prompt": f"Ask {i}", "chosen": f"Good {i}", "rejected": f"Bad {i}"} for i in range(3)]
    made = mixture(folder, pairs=rows)
    export_mixture(made, folder / "out", trainer="llama-factory", model="pocket", objective="dpo")
    read = load_in_llama_factory(folder / "out/llamafactory.yaml", "rm")
    found = {
        (row["_prompt"][-1]["content"], *(m["content"] for m in row["_response"])) for row in read
    }
    assert found == {(f"Ask {i}", f"Good {i}", f"Bad {i}") for i in range(3)}


def load_in_axolotl(config: Path) -> tuple[Any, Any]:
    """The settings as axolotl validates them, and the rows as it tokenizes them."""
    from axolotl.cli.config import load_cfg  # type: ignore[import-not-found]
    from axolotl.common.datasets import load_datasets  # type: ignore[import-not-found]

    settings = load_cfg(
        str(config), dataset_num_proc=1, dataset_prepared_path=str(config.parent / "prepared")
    )
    return settings, load_datasets(cfg=settings).train_dataset


def test_axolotl_trains_on_every_response_and_on_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    pytest.importorskip("axolotl.utils.freeze", exc_type=ImportError)
    from axolotl.utils.freeze import freeze_layers_except  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ifcurate.pocket import model_path

    made = mixture(folder, alpaca=ALPACA, chats=CHATS, calls=CALLS)
    export_mixture(made, folder / "out", trainer="axolotl", model="pocket", qk_only=True)
    settings, rows = load_in_axolotl(folder / "out/axolotl.yaml")
    tokenizer = AutoTokenizer.from_pretrained(str(model_path()))
    assert len(rows) == 11
    trained = sorted(tokenizer.decode([t for t in row["labels"] if t != -100]) for row in rows)
    ours = (row["messages"] for row in made.rows.collect().to_dicts())
    assert trained == sorted(_answers(messages, tokenizer.eos_token) for messages in ours)
    assert settings.sequence_len == 4096
    model = AutoModelForCausalLM.from_pretrained(str(model_path()))
    freeze_layers_except(model, settings.unfrozen_parameters)
    free = {name for name, weight in model.named_parameters() if weight.requires_grad}
    wanted = {n for n in list_weights("pocket") if ".self_attn.q_proj." in n or "k_proj" in n}
    assert free == wanted
    freeze_layers_except(model, [r".*self_attn\.(q|k)_proj.*"])
    assert not any(weight.requires_grad for weight in model.parameters())


def _answers(messages: list[dict[str, Any]], end: str) -> str:
    """All responses and calls of a conversation, as the template of the model spells them."""
    said = []
    for message in messages:
        if message["role"] == "assistant":
            calls = json.loads(message["tool_calls"] or "[]")
            said += [f"Call:\n{json.dumps(call['function'])}{end}" for call in calls]
            said += [f"{message['content']}{end}"] if message["content"] else []
    return "".join(said)
