"""Parity: what is compared, what is let through, and what a refusal says."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ifcurate.engines.base import Engine, EngineIdentity, Float32Array, Prompt
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import ModelError
from ifcurate.options.score import ScoreSettings
from ifcurate.records import ContextBlock, Example
from ifcurate.scoring.parity import (
    TOLERANCES,
    Reference,
    Tolerance,
    reference_for_run,
)
from ifcurate.scoring.scorer import Scorer
from tests.scoring.reference import check_parity, make_prompts


class OtherEngine(ToyEngine):
    """The toy engine with an error: `shift` on every token, `spike` on one."""

    def __init__(
        self,
        *,
        shift: float = 0.0,
        spike: float = 0.0,
        dtype: str = "float32",
        max_length: int = 4096,
        tokenizer: str = "",
    ) -> None:
        super().__init__(max_length=max_length)
        self.shift, self.spike = shift, spike
        self.asked: list[Prompt] = []
        self.identity: EngineIdentity = replace(
            self.identity,
            engine="other",
            dtype=dtype,
            tokenizer=tokenizer or self.identity.tokenizer,
        )

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        self.asked += prompts
        found = [a - np.float32(self.shift) for a in super().response_logprobs(prompts)]
        found[len(found) // 2][-1] -= self.spike
        return found


def examples(n: int) -> list[Example]:
    made = []
    for i in range(n):
        context = "The ferry leaves at nine. " * (1 + 7 * i % n)
        block = ContextBlock("context", "input", 0, len(context), 0, len(context), "field", 1.0)
        blocks = (block,) if i % 3 else ()
        text = context if i % 3 else ""
        made.append(
            Example(
                id=f"row-{i}",
                instruction="When does it leave?",
                context=text,
                response="At nine.",
                blocks=blocks,
            )
        )
    return made


def scorer(engine: Engine | None = None, **settings: object) -> Scorer:
    chosen = ScoreSettings(template="alpaca", **settings)  # type: ignore[arg-type]
    return Scorer.create(engine or ToyEngine(), chosen)


def test_equal_engines_have_no_difference() -> None:
    prompts = make_prompts(10, 500)
    parity = check_parity(OtherEngine(), ToyEngine(), prompts)
    assert (parity.max_difference, parity.mean_difference, parity.n_rows) == (0.0, 0.0, 10)
    assert parity.n_tokens == sum(len(p.ids) - p.response_start for p in prompts)
    assert parity.within_tolerance
    assert parity.tolerance == TOLERANCES["float32"]
    content = json.loads(json.dumps(parity.as_dict()))
    assert content["engine"]["engine"] == "other"
    assert content["reference"]["engine"] == "toy"
    assert content["within_tolerance"] is True
    assert content["tolerance"] == {"token": 1e-4, "mean": 5e-5}
    assert "parity with toy (float32) on 10 rows" in str(parity)


def test_a_shift_of_every_token_is_found_by_the_mean() -> None:
    prompts = make_prompts(10, 500)
    parity = check_parity(OtherEngine(shift=8e-6), ToyEngine(), prompts)
    assert parity.mean_difference == pytest.approx(8e-6, rel=0.1)
    with pytest.raises(ModelError, match=r"8.\d*e-05 nats apart on average \(allowed 5e-05\)"):
        check_parity(OtherEngine(shift=8e-5), ToyEngine(), prompts)


def test_one_wrong_token_is_found_and_its_row_named() -> None:
    prompts = make_prompts(10, 500)
    with pytest.raises(ModelError, match=r"0.00\d* of a token's loss in row row-5 .allowed") as at:
        check_parity(OtherEngine(spike=0.01), ToyEngine(), prompts)
    for words in ("other 1 (toy, float32)", "toy 1 (toy, float32)", "--engine hf", "--parity-tol"):
        assert words in str(at.value)
    loose = check_parity(OtherEngine(spike=0.01), ToyEngine(), prompts, tolerance=0.02)
    assert loose.max_difference == pytest.approx(0.01, rel=1e-3)
    assert loose.worst_row == "row-5"
    assert loose.tolerance == Tolerance(0.02, 0.002)


def test_a_token_is_compared_by_its_loss() -> None:
    # Two right engines of float32 differ by 1.7e-4 at a token with a loss of 20 nats.
    prompts = (Prompt([1, 2, 3, 4], 1),)
    reference = Reference(
        ToyEngine().identity, ("row",), prompts, (np.array([-20, -0.5, -0.5], np.float32),)
    )

    class Given(ToyEngine):
        values = (-20.00017, -0.5, -0.5)

        def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
            return [np.array(self.values, np.float32)]

    engine = Given()
    parity = reference.check(engine, tolerance=5.7e-4)
    assert parity.max_difference == pytest.approx(1.7e-4, rel=0.02)
    assert parity.max_relative == pytest.approx(0.85e-5, rel=0.02)
    engine.values = (-20.0, -0.5, -0.50017)
    with pytest.raises(ModelError, match="of a token's loss"):
        reference.check(engine)


def test_a_number_that_is_none_is_never_within_tolerance() -> None:
    with pytest.raises(ModelError, match="nan of a token"):
        check_parity(OtherEngine(shift=float("nan")), ToyEngine(), make_prompts(5, 500))


@pytest.mark.parametrize(
    ("dtype", "expected"), [*TOLERANCES.items(), ("unknown", TOLERANCES["bfloat16"])]
)
def test_the_tolerance_is_that_of_the_less_exact_dtype(dtype: str, expected: Tolerance) -> None:
    parity = check_parity(OtherEngine(dtype=dtype), ToyEngine(), make_prompts(3, 500))
    assert parity.tolerance == expected


def test_other_tokenizers_are_refused() -> None:
    with pytest.raises(ModelError, match="different tokenizers"):
        check_parity(OtherEngine(tokenizer="else"), ToyEngine(), make_prompts(3, 500))


def test_the_sample_is_spread_over_lengths_and_always_the_same() -> None:
    reference = reference_for_run(examples(60), scorer(), 8)
    assert len(reference.rows) == len(reference.prompts) == len(reference.logprobs) == 16
    assert len(set(reference.rows)) == 8
    again = reference_for_run(examples(60), scorer(), 8)
    assert (again.rows, again.prompts) == (reference.rows, reference.prompts)
    sizes = [len(p.ids) for p in reference.prompts[::2]]  # with context
    assert sizes == sorted(sizes)
    every = reference_for_run(examples(60), scorer(), 1000)
    assert len(set(every.rows)) == 40  # a third has no context
    lengths = [len(p.ids) for p in every.prompts[::2]]
    assert (sizes[0], sizes[-1]) == (min(lengths), max(lengths))


def test_a_reference_outlives_its_engine() -> None:
    reference = reference_for_run(examples(30), scorer(), 4)
    gc.collect()
    parity = reference.check(OtherEngine())
    assert (parity.n_rows, parity.max_difference) == (4, 0.0)


def test_what_is_too_long_for_the_engine_is_left_out() -> None:
    reference = reference_for_run(examples(60), scorer(), 8)
    engine = OtherEngine(max_length=100)
    parity = reference.check(engine)
    assert max(len(p.ids) for p in engine.asked) <= 100
    assert 0 < parity.n_rows <= 8
    with pytest.raises(ModelError, match=r"no row to compare.*--parity 0"):
        reference.check(OtherEngine(max_length=5))


def test_rows_that_are_not_scored_are_not_compared() -> None:
    reference = reference_for_run(examples(1), scorer(), 8)  # without context
    assert reference.prompts == ()
    parity = reference.check(ToyEngine())
    assert (parity.n_rows, parity.n_tokens, parity.worst_row) == (0, 0, "")
    assert str(parity) == "parity with toy: no row with a context to compare"


@pytest.mark.parametrize("ablation", ["template", "shuffle"])
def test_every_ablation_has_its_sample(ablation: str) -> None:
    reference = reference_for_run(examples(30), scorer(ablation=ablation), 3)
    assert len(reference.prompts) == 6
