"""A comparison of another engine with the reference engine, on a few rows before a run.

The difference is taken over both variants (with and without context) of rows spread from
the shortest to the longest. With d_t = log p_engine(y_t) - log p_reference(y_t):

    max |d_t| / max(1, -log p_reference(y_t))  over all tokens, and
    mean over the prompts of |mean of d_t over the prompt's tokens|

A token's rounding grows with its loss: in float32, unlikely tokens of the bundled model
differ by 1.7e-4 nats between two right engines. Scores are based on the mean. With equal
weights in float32 it differs by about 1e-5 nats, because of the order of additions. In
bfloat16 each engine rounds every layer and the logits in its own way. On real rows,
single tokens then differ by tenths of a nat and the mean by 0.003 to 0.025; each engine
is as far from float32 (measured with the bundled model and a random one; random ids,
which no run scores, differ by far more). Another model, another tokenizer or an offset
by one moves the mean by much more. So in 16 bits the mean finds a wrong engine. Both
numbers are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

import numpy as np

from ifcurate.engines.base import Engine, EngineIdentity, Float32Array, Prompt
from ifcurate.errors import ModelError
from ifcurate.phrases import count
from ifcurate.prompts.pairs import PromptPair
from ifcurate.records import Example
from ifcurate.scoring.scorer import Scorer


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest differences that are accepted, in nats."""

    token: float  # for any single token, times its loss where that is above 1 nat
    mean: float  # mean of the absolute differences of the prompts' means


#: float16 has three bits more than bfloat16.
TOLERANCES: Final = {
    "float32": Tolerance(1e-4, 5e-5),
    "float16": Tolerance(0.125, 0.00625),
    "bfloat16": Tolerance(1.0, 0.05),
}
_ROWS_LOOKED_AT: Final = 1000  # at the start of the data, to choose the sample from
_CHUNK: Final = 100


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an engine is from the reference on a sample."""

    n_rows: int
    n_tokens: int  # response tokens, both variants
    max_difference: float  # nats, of one token
    max_relative: float  # of one token, over its loss where that is above 1 nat
    mean_difference: float  # nats per token: absolute differences of the prompts' means
    worst_row: str  # the row with the largest difference
    tolerance: Tolerance
    engine: EngineIdentity
    reference: EngineIdentity

    @property
    def within_tolerance(self) -> bool:
        """Whether the engine may be used in place of the reference."""
        most = self.tolerance
        return self.max_relative <= most.token and self.mean_difference <= most.mean

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {**asdict(self), "within_tolerance": self.within_tolerance}

    def __str__(self) -> str:
        if not self.n_rows:
            return f"parity with {self.reference.engine}: no row with a context to compare"
        compared = f"{count(self.n_rows, 'row')}, {count(self.n_tokens, 'token')}"
        return (
            f"parity with {self.reference.engine} ({self.reference.dtype}) on {compared}: "
            f"at most {self.max_difference:.2g} nats at a token, {self.max_relative:.2g} of its "
            f"loss (allowed {self.tolerance.token:g}); rows {self.mean_difference:.2g} on average "
            f"(allowed {self.tolerance.mean:g})"
        )


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference engine's numbers for a sample. The engine itself may be closed."""

    identity: EngineIdentity
    rows: tuple[str, ...]  # the row's id for every prompt
    prompts: tuple[Prompt, ...]
    logprobs: tuple[Float32Array, ...]  # each (n_response_tokens,)

    def check(self, engine: Engine, *, tolerance: float | None = None) -> Parity:
        """Compare an engine with the reference.

        `tolerance` is for one token (see `Tolerance`), and a tenth of it for the mean. The
        default is that of the less exact dtype of the two (bfloat16 for an unknown dtype),
        see `TOLERANCES`. Prompts that are too long for the engine are left out. A sample
        without rows (none has a context) gives an `n_rows` of 0. Raises `ModelError` beyond
        the tolerance, for another tokenizer, and when all prompts are too long.
        """
        kept = [i for i, p in enumerate(self.prompts) if len(p.ids) <= engine.max_length]
        self._check_comparable(engine, kept)
        logprobs = engine.response_logprobs([self.prompts[i] for i in kept])
        parity = self._measure(engine.identity, kept, logprobs, tolerance)
        if not parity.within_tolerance:
            raise ModelError(_refusal(parity))
        return parity

    def _check_comparable(self, engine: Engine, kept: Sequence[int]) -> None:
        """Raise `ModelError` for another tokenizer, or where no prompt fits the engine."""
        mine = engine.identity
        if mine.tokenizer != self.identity.tokenizer:
            raise ModelError(
                f"parity: {_name(mine)} and {_name(self.identity)} have different tokenizers; "
                f"found fingerprints {mine.tokenizer} and {self.identity.tokenizer}; give both "
                "the same model (for a server: --tokenizer)"
            )
        if self.prompts and not kept:
            raise ModelError(
                f"parity: no row to compare {_name(mine)} with {_name(self.identity)} on; found "
                f"{len(self.prompts)} prompts, all longer than {engine.max_length} tokens; "
                "give a smaller --max-length, or --parity 0 to go without"
            )

    def _measure(
        self,
        mine: EngineIdentity,
        kept: Sequence[int],
        logprobs: Sequence[Float32Array],
        tolerance: float | None,
    ) -> Parity:
        truths = [self.logprobs[i].astype(np.float64) for i in kept]
        gaps = [a.astype(np.float64) - b for a, b in zip(logprobs, truths, strict=True)]
        largest = [float(np.abs(gap).max(initial=0.0)) for gap in gaps]
        relative = [
            float((np.abs(gap) / np.maximum(1.0, -truth)).max(initial=0.0))
            for gap, truth in zip(gaps, truths, strict=True)
        ]
        means = [abs(float(gap.mean())) for gap in gaps if len(gap)]
        return Parity(
            n_rows=len({self.rows[i] for i in kept}),
            n_tokens=sum(map(len, gaps)),
            max_difference=float(np.max(largest, initial=0.0)),
            max_relative=float(np.max(relative, initial=0.0)),
            mean_difference=float(np.mean(means)) if means else 0.0,
            worst_row=self.rows[kept[int(np.argmax(relative))]] if kept else "",
            tolerance=_tolerance((mine.dtype, self.identity.dtype), tolerance),
            engine=mine,
            reference=self.identity,
        )


def _tolerance(dtypes: Iterable[str], token: float | None) -> Tolerance:
    """Return the tolerance for one token and its tenth; or that of the least exact dtype."""
    if token is not None:
        return Tolerance(token, token / 10)
    known = [TOLERANCES.get(dtype, TOLERANCES["bfloat16"]) for dtype in dtypes]
    return max(known, key=lambda tolerance: tolerance.token)


def reference_for_run(examples: Iterable[Example], scorer: Scorer, n: int) -> Reference:
    """Return the numbers of the scorer's engine for `n` of the examples, both variants.

    The rows are chosen by length alone, evenly from the shortest to the longest of
    the first thousand that can be scored. So the same data give the same sample.
    Raises `ModelError` when the engine fails.
    """
    pairs: list[PromptPair] = []
    iterator = iter(examples)
    left = _ROWS_LOOKED_AT
    while left > 0 and (chunk := list(islice(iterator, min(_CHUNK, left)))):
        pairs += (pair for pair in scorer.prepare(chunk) if pair.status == "scored")
        left -= len(chunk)
    order = sorted(range(len(pairs)), key=lambda i: (sum(pairs[i].n_tokens), i))
    places = np.unique(np.linspace(0, len(order) - 1, min(n, len(order))).round().astype(int))
    rows: list[str] = []
    prompts: list[Prompt] = []
    for pair in (pairs[order[place]] for place in places):
        both = [p for p in (pair.with_context, pair.without_context) if p is not None]
        rows += [pair.example.id] * len(both)
        prompts += both
    logprobs = tuple(scorer.engine.response_logprobs(prompts)) if prompts else ()
    return Reference(scorer.engine.identity, tuple(rows), tuple(prompts), logprobs)


def _name(identity: EngineIdentity) -> str:
    return f"{identity.engine} {identity.engine_version} ({identity.model}, {identity.dtype})"


def _refusal(parity: Parity) -> str:
    return (
        f"parity: {_name(parity.engine)} does not give the numbers of {_name(parity.reference)}; "
        f"found {parity.max_relative:.3g} of a token's loss in row {parity.worst_row} (allowed "
        f"{parity.tolerance.token:g}) and rows {parity.mean_difference:.3g} nats apart on average "
        f"(allowed {parity.tolerance.mean:g}) over {count(parity.n_rows, 'row')}; "
        "check that both run the same weights in the same dtype (no quantised copy, no adapter), "
        "or use --engine hf, or allow more with --parity-tolerance"
    )
