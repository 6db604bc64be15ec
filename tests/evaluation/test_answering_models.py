"""Answers from elsewhere than transformers: a completions endpoint, and vLLM in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ifcurate.engines import load
from ifcurate.engines.hf.tokenizer import load_model_tokenizer
from ifcurate.engines.vllm.engine import load_vllm_engine
from ifcurate.errors import ModelError, OptionError
from ifcurate.evaluation.evaluate import evaluate_model
from ifcurate.evaluation.models import open_local
from ifcurate.options.evaluate import EvaluateOptions
from ifcurate.options.score import LoadOptions
from ifcurate.pocket import model_path
from tests.engines.fake_server import FakeServer, Reply, Seen, made_up_logprobs

ANSWERS = ("It is in Herat.", "Kabul, not Herat!", "I do not know")


def suite_file(folder: Path) -> Path:
    rows = [
        {
            "context": f"The capital of Land{i} is Herat.",
            "question": f"What is the capital of Land{i}?",
            "answer": "Herat",
            "memory_answer": "Kabul (Cabul)",
        }
        for i in range(3)
    ]
    path = folder / "own.json"
    path.write_text(json.dumps(rows))
    return path


def answer_for(text: str) -> str:
    """By the number of the land, with its context; Kabul without one."""
    number = next(i for i in range(3) if f"Land{i}?" in text)
    return ANSWERS[number] if "Herat" in text else "Cabul"


def check_measures(result: dict[str, Any]) -> None:
    found = result["suites"]["own"]
    shares = {
        name: found["all"][name]["value"] for name in ("counterfactual", "parametric", "both")
    }
    assert shares == pytest.approx({"counterfactual": 2 / 3, "parametric": 1 / 3, "both": 1 / 3})
    assert found["knows"]["value"] == 1.0
    assert found["all"]["counterfactual_by_logprob"]["n"] == 3


def test_a_server_answers_and_gives_log_probabilities(tmp_path: Path) -> None:
    tokenizer: Any = load_model_tokenizer("pocket", LoadOptions())
    asked: list[dict[str, Any]] = []

    def script(n: int, seen: Seen) -> Reply | None:
        if seen.body.get("max_tokens") != 12:
            return None  # a request for log-probabilities
        asked.append(seen.body)
        text = answer_for(tokenizer.decode(seen.body["prompt"]))
        return Reply(body={"choices": [{"index": 0, "text": text}]})

    with FakeServer(script=script, models=("served",)) as server:
        result = evaluate_model(
            "served", tmp_path, suite=(str(suite_file(tmp_path)),), template="alpaca",
            max_new_tokens=12, engine="server", base_url=server.url, tokenizer="pocket",
        )  # fmt: skip
    check_measures(result)
    assert len(asked) == 6  # with and without the context
    assert {(body["temperature"], body["repetition_penalty"]) for body in asked} == {(0.0, 1.0)}


def test_answers_are_greedy_whatever_the_model_comes_with() -> None:
    local = open_local("pocket", EvaluateOptions())
    prompt = local.tokenizer.encode("The capital of Peru is Lima. The capital of Peru is").ids
    plain = local.continue_greedily([prompt], max_new_tokens=6)
    settings = local.model.generation_config
    settings.repetition_penalty, settings.min_new_tokens = 9.0, 6
    assert local.continue_greedily([prompt], max_new_tokens=6) == plain
    assert local.model.generation_config is settings


def test_a_server_that_answers_something_else_is_named(tmp_path: Path) -> None:
    def script(n: int, seen: Seen) -> Reply | None:
        return Reply(body={"choices": []}) if seen.body.get("max_tokens") == 12 else None

    with (
        FakeServer(script=script, models=("served",)) as server,
        pytest.raises(ModelError, match="the answer has no text"),
    ):
        evaluate_model(
            "served", tmp_path, suite=(str(suite_file(tmp_path)),), template="alpaca",
            max_new_tokens=12, engine="server", base_url=server.url, tokenizer="pocket",
        )  # fmt: skip


class FakeVLLM:
    """A stand-in for the package, which gives ids as vLLM does."""

    __version__ = "0"

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self._tokenizer: Any = load_model_tokenizer("pocket", LoadOptions())
        self.LLM = lambda **given: SimpleNamespace(
            generate=self.generate,
            llm_engine=SimpleNamespace(model_config=SimpleNamespace(max_model_len=512)),
        )

    def SamplingParams(self, **given: Any) -> Any:  # noqa: N802
        return SimpleNamespace(**given)

    def generate(
        self, prompts: Sequence[dict[str, Any]], parameters: Any, *, use_tqdm: bool
    ) -> list[Any]:
        self.asked.append(parameters)
        ids = [prompt["prompt_token_ids"] for prompt in prompts]
        if hasattr(parameters, "prompt_logprobs"):
            return [self._score(own) for own in ids]
        texts = [answer_for(self._tokenizer.decode(own)) for own in ids]
        end = parameters.stop_token_ids
        answers = [[*self._tokenizer.encode(text).ids, *end] for text in texts]
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=own)]) for own in answers]

    def _score(self, ids: list[int]) -> Any:
        entries = zip(ids, made_up_logprobs(ids), strict=True)
        found = [{i: SimpleNamespace(logprob=value)} for i, value in entries]
        return SimpleNamespace(prompt_token_ids=ids, prompt_logprobs=[None, *found[1:]])


def test_vllm_answers_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = FakeVLLM()
    monkeypatch.setattr(load, "_find", lambda place: partial(load_vllm_engine, vllm=package))
    result = evaluate_model(
        str(model_path()), tmp_path, suite=(str(suite_file(tmp_path)),), template="alpaca",
        max_new_tokens=12, engine="vllm",
    )  # fmt: skip
    check_measures(result)
    greedy = [own for own in package.asked if not hasattr(own, "prompt_logprobs")]
    assert {(own.temperature, own.max_tokens) for own in greedy} == {(0.0, 12)}
    text = (next(tmp_path.rglob("own.answers.jsonl"))).read_text()
    assert "</s>" not in text


@pytest.mark.parametrize("given", [{"attention": True}, {"benchmark": ("gsm8k",)}])
def test_what_needs_the_model_in_this_process_is_refused_for_others(given: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="only for --engine hf"):
        EvaluateOptions.create(engine="vllm", **given)
