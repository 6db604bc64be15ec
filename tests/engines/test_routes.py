"""Every route to the numbers agrees with float64, whatever shares a pack, and says what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifcurate.engines.base import Prompt
from ifcurate.engines.cpu.arithmetic import OneDNN, load_kernels
from ifcurate.engines.hf.engine import HFEngine, load_hf_engine
from ifcurate.engines.hf.prefix_tree import Pack
from ifcurate.engines.hf.source import find_model
from ifcurate.errors import RowTooLargeError
from ifcurate.options.score import LoadOptions
from tests.models import MODEL_KINDS, ModelKind, make_model
from tests.scoring.reference import (
    load_reference,
    make_prompts,
    naive_logprobs,
    reference_logprobs,
    worst_difference,
)

ROUTES = {
    "llama": "fused",
    "mistral": "fused",
    "qwen2": "fused",
    "qwen3": "fused",
    "gpt-neox": "packed",
    "gpt2": "packed",
    "gemma": "packed",
    "gemma2": "packed",
}
#: Wide enough for the compiled kernels.
WIDE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "initializer_range": 0.1,
}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("models") / "wide", **WIDE)


def _engine(folder: Path, **options: Any) -> HFEngine:
    return load_hf_engine(str(folder), device="cpu", threads=1, **options)


def _largest(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_bundled_model_takes_a_route_that_shares(dtype: str) -> None:
    # In bfloat16 they were refused by chance: by the largest of many roundings.
    assert _engine(Path(find_model("pocket", LoadOptions()).folder), dtype=dtype).route == "packed"


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_the_fastest_route_that_is_right_is_taken_and_agrees_with_float64(
    kind: ModelKind, tmp_path: Path
) -> None:
    fused = ROUTES[kind] == "fused" and load_kernels() is not None
    folder = make_model(kind, tmp_path / kind, **(WIDE if ROUTES[kind] == "fused" else {}))
    prompts = make_prompts(30, 500, longest=160)
    model = load_reference(folder)
    truth = [reference_logprobs(model, prompt) for prompt in prompts]
    engine = _engine(folder)
    assert engine.route == ("fused" if fused else "packed")
    found = engine.response_logprobs(prompts)
    assert [a.shape for a in found] == [t.shape for t in truth]
    assert all(a.dtype == np.float32 for a in found)
    # PyTorch's own float32 is up to 6.5e-6 off for some of these random models.
    limit = 5e-6 if fused else worst_difference(naive_logprobs(folder, prompts), truth) + 2.5e-6
    assert worst_difference(found, truth) <= limit
    if fused:
        plain = _engine(folder, no_kernels=True)
        assert plain.report().details == {"route": "packed, with PyTorch's operations alone"}
        assert worst_difference(plain.response_logprobs(prompts), truth) <= 5e-6


@pytest.mark.parametrize("kind", ["qwen2", "gpt-neox"])
def test_products_through_onednn(
    kind: ModelKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    import ifcurate.engines.hf.probes as module

    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(module, "choose_arithmetic", lambda *_, **__: OneDNN())
    sizes = {} if kind == "gpt-neox" else WIDE
    folder = make_model(kind, tmp_path / kind, **sizes)
    prompts = make_prompts(30, 500)
    model = load_reference(folder)
    engine = _engine(folder)
    assert engine.route == "packed"
    assert "float32 products through oneDNN" in engine.report().details["route"]
    truth = [reference_logprobs(model, p) for p in prompts]
    assert worst_difference(engine.response_logprobs(prompts), truth) <= 5e-6


@pytest.mark.parametrize(("amd", "agrees"), [(True, True), (True, False), (False, True)])
def test_products_go_through_onednn_on_amd_if_they_are_right(
    amd: bool, agrees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from ifcurate.engines.cpu import arithmetic as module

    monkeypatch.setattr(module, "load_kernels", lambda: None)
    monkeypatch.setattr(module, "_is_amd", lambda: amd)
    monkeypatch.setattr(module, "_agrees", lambda *_: agrees)
    notes = str(module.find_arithmetic(torch.float32).notes)
    assert ("oneDNN" in notes) is (amd and agrees)
    assert not module.find_arithmetic(torch.bfloat16).notes


def test_onednn_that_gives_other_numbers_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from ifcurate.engines.cpu import arithmetic as module

    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this build of torch has no oneDNN")
    assert module._agrees(OneDNN(), torch.float32)
    monkeypatch.setattr(OneDNN, "add_linear", lambda _, total, x, weight: total)
    assert not module._agrees(OneDNN(), torch.float32)


WITHOUT = """
import os, sys

if sys.argv[2] == "removed":
    sys.modules["ifcurate.engines.cpu"] = None
from ifcurate.engines.base import Prompt
from ifcurate.engines.hf.engine import load_hf_engine

with load_hf_engine(sys.argv[1], device="cpu", threads=1) as engine:
    found = engine.response_logprobs([Prompt(list(range(40)), 5), Prompt([7, 8, 9], 1)])
    print([values.tolist() for values in found], engine.report().details)
loaded = [name for name in sys.modules if name.startswith("ifcurate.engines.cpu.")]
sys.exit(str(loaded) if loaded else 0)
"""


@pytest.mark.slow
def test_the_engine_scores_without_the_folder_of_kernels(wide: Path) -> None:
    import os
    import subprocess
    import sys

    said = []
    for how in ("removed", "switched off"):
        environment = {**os.environ, "IFCURATE_NO_KERNELS": "" if how == "removed" else "1"}
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, str(wide), how],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "packed, with PyTorch's operations alone" in said[0]
    assert said[0] == said[1]


def test_kernels_are_compiled_where_there_is_a_compiler() -> None:
    import shutil

    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("no C compiler here")
    assert load_kernels() is not None


@pytest.mark.parametrize("kind", ["llama", "gpt-neox", "gpt2", "gemma"])
def test_neighbours_do_not_matter(kind: ModelKind, tmp_path: Path) -> None:
    folder = make_model(kind, tmp_path / kind)
    prompts = make_prompts(20, 500)
    together = _engine(folder).response_logprobs(prompts)
    reordered = np.random.default_rng(1).permutation(len(prompts))
    engine = _engine(folder, batch_size=3)
    found = engine.response_logprobs([prompts[i] for i in reordered])
    back = [found[i] for i in np.argsort(reordered)]
    alone = [engine.response_logprobs([prompt])[0] for prompt in prompts]
    assert worst_difference(back, together) <= 1e-6
    assert worst_difference(alone, together) <= 1e-6


@pytest.mark.slow
def test_bfloat16_is_no_worse_than_the_model_alone(wide: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from ifcurate.engines.hf.quiet import quiet

    prompts = make_prompts(50, 500, longest=160)
    reference = load_reference(wide)
    truth = [reference_logprobs(reference, prompt) for prompt in prompts]
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(wide).to(torch.bfloat16).eval()
    naive = []
    for prompt in prompts:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([list(prompt.ids)])).logits[0].float()
        targets = torch.tensor(prompt.ids[prompt.response_start :])
        rows = logits[prompt.response_start - 1 : -1].log_softmax(-1)
        naive.append(rows.gather(-1, targets[:, None])[:, 0].numpy())
    for no_kernels in (False, True):
        engine = _engine(wide, dtype="bfloat16", no_kernels=no_kernels)
        found = engine.response_logprobs(prompts)
        assert _rms(found, truth) <= 1.1 * _rms(naive, truth)


def _rms(found: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Root mean square over all tokens, nats."""
    off = np.concatenate([a - b for a, b in zip(found, truth, strict=True)])
    return float(np.sqrt(np.mean(np.square(off))))


def test_the_report_counts_what_was_shared(wide: Path) -> None:
    head = list(range(50, 90))
    prompts = [Prompt([*head, 5, 6, 7], 41), Prompt([*head, 8, 9, 7], 41)]
    engine = _engine(wide)
    engine.response_logprobs([*prompts, prompts[0]])
    counts = engine.report().counts
    assert counts["prompts"] == 3
    assert counts["prompts_scored_before"] == 1
    assert counts["tokens_given"] == 3 * 42
    assert counts["tokens_computed"] == 40 + 2 + 2
    assert counts["tokens_saved"] == counts["tokens_given"] - counts["tokens_computed"]
    assert engine.report().details["route"].startswith("fused, with compiled")


def test_rows_beyond_a_sliding_window_are_scored_alone(tmp_path: Path) -> None:
    folder = make_model("mistral", tmp_path / "mistral", sliding_window=24)
    prompts = make_prompts(30, 500)
    model = load_reference(folder)
    engine = _engine(folder)
    found = engine.response_logprobs(prompts)
    assert worst_difference(found, [reference_logprobs(model, p) for p in prompts]) <= 5e-6
    beyond = sum(len(p.ids) - 1 > 24 for p in prompts)
    assert 0 < beyond < len(prompts)
    assert engine.report().counts["sequences_scored_alone"] == beyond


def test_recurrent_layers_are_scored_one_sequence_at_a_time(tmp_path: Path) -> None:
    import torch
    import transformers as tf

    from ifcurate.engines.hf.quiet import quiet
    from tests.models import make_tokenizer

    tokenizer = make_tokenizer("byte-bpe")
    config = tf.MambaConfig(
        vocab_size=len(tokenizer), hidden_size=32, state_size=4, num_hidden_layers=2
    )
    torch.manual_seed(0)
    folder = tmp_path / "mamba"
    with quiet():
        tf.MambaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    engine = _engine(folder)
    assert engine.route == "single"
    prompts = make_prompts(8, 500)
    model = load_reference(folder)
    truth = [reference_logprobs(model, p) for p in prompts]
    assert worst_difference(engine.response_logprobs(prompts), truth) <= 5e-6


def _masked(model: Any, shift: int) -> None:
    """Give every layer an attention mask of its own, which hides the token `shift` before."""
    import torch

    for layer in model.model.layers:
        real = layer.self_attn.forward

        def forward(*given: Any, _real: Any = real, **options: Any) -> Any:
            n = options["hidden_states"].shape[1]
            mask = torch.full((n, n), -torch.inf).triu(1)
            if n > shift:
                mask[range(shift, n), range(n - shift)] = -torch.inf
            dtype = options["hidden_states"].dtype
            options["attention_mask"] = mask.to(dtype)[None, None]
            return _real(*given, **options)

        layer.self_attn.forward = forward


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_layer_with_a_mask_of_its_own_is_scored_alone(
    dtype: str, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ifcurate.engines.hf.loading import load_model as real

    def load(*given: Any, **options: Any) -> Any:
        model = real(*given, **options)
        _masked(model, 2)
        return model

    monkeypatch.setattr("ifcurate.engines.hf.loading.load_model", load)
    assert _engine(wide, dtype=dtype).route == "single"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_route_that_is_a_little_wrong_is_not_taken(
    dtype: str, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ifcurate.engines.hf.arithmetic import Arithmetic

    real = Arithmetic.softmax

    def softmax(self: Arithmetic, scores: Any, **options: Any) -> Any:
        # One in a hundred: less than what bfloat16 rounds in a few layers.
        return real(self, scores, **{**options, "scale": 1.01 * options["scale"]})

    monkeypatch.setattr(Arithmetic, "softmax", softmax)
    assert _engine(wide, dtype=dtype, no_kernels=True).route == "single"


def test_a_route_that_could_not_be_checked_in_float32_is_noted(
    wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not _engine(wide, dtype="bfloat16").report().notes
    monkeypatch.setattr("ifcurate.engines.hf.probes.free_memory", lambda: 0)
    (note,) = _engine(wide, dtype="bfloat16").report().notes
    assert note.startswith("the route was checked in bfloat16 only")
    assert not _engine(wide, dtype="float32").report().notes


class _Small:
    """A runner with room for so many tokens."""

    def __init__(self, runner: Any, room: int) -> None:
        self.runner, self.room, self.sizes = runner, room, list[int]()

    def is_long(self, packs: Sequence[Pack]) -> bool:
        return False

    def run(self, pack: Pack) -> list[np.ndarray]:
        from ifcurate.engines.hf.workers import OutOfMemoryError

        self.sizes.append(pack.n_tokens)
        if pack.n_tokens > self.room:
            raise OutOfMemoryError
        found: list[np.ndarray] = self.runner.run(pack)
        return found


def test_packs_are_halved_when_memory_runs_out(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = make_prompts(40, 500, share=0.0)
    expected = _engine(wide).response_logprobs(prompts)
    engine = _engine(wide)
    small = _Small(engine._runner, 100)
    monkeypatch.setattr(engine, "_runner", small)
    found = engine.response_logprobs(prompts)
    assert worst_difference(found, expected) <= 1e-6
    assert max(small.sizes) > 100
    assert engine.report().counts["memory_retries"] > 0


def test_a_row_that_memory_does_not_hold_is_named(
    wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [Prompt(list(range(2, 30)), 3), Prompt(list(range(2, 150)), 3), Prompt([3, 4], 1)]
    engine = _engine(wide)
    expected = engine.response_logprobs(prompts)
    monkeypatch.setattr(engine, "_runner", _Small(engine._runner, 100))
    with pytest.raises(RowTooLargeError, match=r"prompt 1: does not fit .* 148 tokens"):
        engine.response_logprobs(prompts)
    first, missing, last = engine.submit(prompts).result()
    assert isinstance(missing, RowTooLargeError)
    assert isinstance(first, np.ndarray)
    assert isinstance(last, np.ndarray)
    assert worst_difference([first, last], [expected[0], expected[2]]) <= 1e-6


def test_torch_memory_errors_are_recognised() -> None:
    import torch

    from ifcurate.engines.hf.runner import is_memory_error

    assert is_memory_error(MemoryError())
    assert is_memory_error(torch.OutOfMemoryError("CUDA out of memory."))
    words = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate"
    assert is_memory_error(RuntimeError(f"{words} memory: you tried to allocate 4000 bytes."))
    assert not is_memory_error(RuntimeError("shapes cannot be multiplied"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_processes_give_the_same_numbers(
    dtype: str, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    import ifcurate.engines.hf.runner as module

    prompts = make_prompts(60, 500)
    expected = _engine(wide, dtype=dtype).response_logprobs(prompts)
    monkeypatch.setattr(module, "_WORTH_FORKING", 0)
    threads = torch.get_num_threads()
    try:
        engine = load_hf_engine(str(wide), device="cpu", threads=2, dtype=dtype)
        assert torch.get_num_threads() == 2
        found = engine.response_logprobs(prompts)
        assert engine.report().counts["packs"] > 1
        assert engine.report().counts["processes"] == 2
        assert worst_difference(found, expected) <= 1e-6
        assert worst_difference(engine.response_logprobs(prompts[:7]), expected[:7]) <= 1e-6
    finally:
        engine.close()
        torch.set_num_threads(threads)


def test_identical_prompts_get_equal_arrays_of_their_own(wide: Path) -> None:
    a, b = _engine(wide).response_logprobs([Prompt([5, 6, 7], 1)] * 2)
    assert _largest([a], [b]) == 0.0
    a[:] = 0
    assert (b != 0).all()
