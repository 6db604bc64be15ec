"""S1: three checks of a counterfactual by a model, two on the answer and one on the text.

Of the answer's tokens alone, in nats, c' the new context and y', y the new and
the original answer:

    drop = nll(y' | q) - nll(y' | q, c')  >=  threshold
    nll(y' | q, c') < nll(y | q, c')      the new answer is preferred with the context
    nll(y | q) < nll(y' | q)              the original one without it

Of the context's tokens outside the substituted places (`text_rises`):

    text_rise = loss per token in c' - loss per token in c  <=  text_threshold

If the answer is inside a longer response, the loss of the response before it is subtracted.

A substitute that does not fit makes the words around it less likely: a pronoun of the other
gender, a country after "written by". Tokens of the substituted places are left out on both
sides, because a rare name says nothing about the text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ifcurate.engines.base import Engine, EngineIdentity, Float32Array, Prompt
from ifcurate.options.augment import AugmentOptions
from ifcurate.records import Example

from ..checks import Check
from ..edit.views import TextRange
from .outcomes import Outcome, Written
from .rows import edited_example

#: The contexts of one row as one text, and the substituted places in it.
_Text = tuple[str, list[tuple[int, int]]]


class PairScorer(Protocol):
    """The part of `ifcurate.scoring.scorer.Scorer` that is used here."""

    @property
    def engine(self) -> Engine:
        """The engine that scores."""

    def score(self, examples: Sequence[Example]) -> tuple[Any, Any]:
        """Return the SCORES table of the examples in order, and the token table."""


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """The model checks of a run: `scorer` scores; the thresholds are in nats."""

    scorer: PairScorer
    threshold: float
    text_threshold: float  # per token
    identity: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest and the identity of a run."""
        thresholds = {"threshold": self.threshold, "text_threshold": self.text_threshold}
        return {**thresholds, **self.identity}


@contextlib.contextmanager
def open_judge(
    options: AugmentOptions, on_model: Callable[[EngineIdentity], None]
) -> Iterator[ModelJudge | None]:
    """The model that confirms each counterfactual; None without `verify`."""
    if not options.verify:
        yield None
        return
    from ifcurate.engines.load import load_engine
    from ifcurate.options.score import ScoreSettings
    from ifcurate.scoring.scorer import Scorer

    toy = options.verify == "toy"
    with load_engine("toy") if toy else load_engine("hf", model=options.verify) as engine:
        on_model(engine.identity)
        scorer = Scorer.create(engine, ScoreSettings())
        yield ModelJudge(scorer, options.threshold, options.text_threshold, scorer.identity())


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """The numbers of one counterfactual, in nats over the answer's tokens."""

    nll_new_with_context: float
    nll_new_without_context: float
    nll_original_with_context: float  # with the new context
    nll_original_without_context: float
    drop: float  # the nats by which the new context helps the new answer
    text_rise: float  # per token of the context outside the substituted places

    def failure(self, judge: ModelJudge) -> str:
        """Return the reason why it fails; "" if it passes."""
        if self.drop < judge.threshold:
            return f"the context helps by {self.drop:.3g} nats, under {judge.threshold:g}"
        if self.nll_new_with_context >= self.nll_original_with_context:
            return "with the new context the original answer is preferred"
        if self.nll_original_without_context >= self.nll_new_without_context:
            return "without the context the new answer is preferred already"
        if self.text_rise > judge.text_threshold:
            rise = f"{self.text_rise:.3g} nats a token, over {judge.text_threshold:g}"
            return f"the rest of the context is less likely than before by {rise}"
        return ""


def check_with_model(
    written: Sequence[Written], judge: ModelJudge
) -> Iterator[tuple[Written, ModelCheck | None, str]]:
    """Yield each counterfactual with its numbers, and why it fails or cannot be scored, else ""."""
    table, _ = judge.scorer.score([example for item in written for example in _three(item)])
    rows = table.select("status", "reason", "nll_with_context", "nll_without_context").rows()
    rises = text_rises(written, judge.scorer.engine)
    for number, (item, rise) in enumerate(zip(written, rises, strict=True)):
        new, original, before = rows[3 * number : 3 * number + 3]
        failed = [row[1] or row[0] for row in (new, original) if row[0] != "scored"]
        if failed or rise is None:
            yield item, None, f"not scored: {[*failed, 'the context is too long'][0]}"
            continue
        with_, without = (before[2], before[3]) if before[0] == "scored" else (0.0, 0.0)
        check = ModelCheck(
            *(new[2] - with_, new[3] - without, original[2] - with_, original[3] - without),
            drop=(new[3] - without) - (new[2] - with_),
            text_rise=rise,
        )
        yield item, check, check.failure(judge)


def _three(item: Written) -> list[Example]:
    """Return the example with the new answer, with the original one, and with neither."""
    case = item.made
    edit = case.answers[0]
    before = case.after[edit.path][: edit.new_start]
    base = edited_example(item.original, case)
    return [
        replace(base, response=before + edit.new),
        replace(base, response=before + edit.old),
        replace(base, response=before.rstrip()),
    ]


def judged(outcomes: Iterable[Outcome], judge: ModelJudge) -> Iterator[Outcome]:
    """Outcomes after the model check, in order. Examples are scored in batches."""
    batch: list[Outcome] = []
    for outcome in outcomes:
        batch.append(outcome)
        if sum(len(o.written) for o in batch) >= 64 or len(batch) >= 4096:
            yield from _judge(batch, judge)
            batch = []
    yield from _judge(batch, judge)


def _judge(batch: list[Outcome], judge: ModelJudge) -> Iterator[Outcome]:
    checked = check_with_model([w for o in batch for w in o.written], judge)
    for outcome in batch:
        results = [next(checked) for _ in outcome.written]
        kept = tuple(
            _with_numbers(item, check) for item, check, why in results if check and not why
        )
        if results and not kept:
            yield replace(outcome, written=(), check=Check.MODEL, reason=results[0][2])
        else:
            yield replace(outcome, written=kept)


def _with_numbers(item: Written, check: ModelCheck) -> Written:
    """Return the counterfactual with the numbers in its columns."""
    columns = {f"ifcurate_{name}": value for name, value in asdict(check).items()}
    rows = tuple(
        {**row, **columns} if row.get("ifcurate_role") == "counterfactual" else row
        for row in item.rows
    )
    return replace(item, rows=rows)


def text_rises(items: Sequence[Written], engine: Engine) -> list[float | None]:
    """Return the rise of the loss per token outside the substituted places, in nats.

    None for a text that the engine cannot score or that has no other token. Texts are cut to the
    engine's length.
    """
    texts: list[_Text] = []
    for case in (item.made for item in items):
        old = [(e.path, e.start, e.end) for e in case.edits]
        new = [(e.path, e.new_start, e.new_end) for e in case.edits]
        texts += [_join(case.before, case.view.context, old), _join(case.after, case.context, new)]
    tokenizer = engine.tokenizer
    start = tokenizer.fallback_start_id if tokenizer.bos_id is None else tokenizer.bos_id
    encodings = tokenizer.encode_batch([text for text, _ in texts])
    prompts = [Prompt([start, *e.ids][: engine.max_length], 1) for e in encodings]
    answers = engine.submit(prompts).result()
    losses: list[Float32Array | None] = []
    for (_, places), encoding, answer in zip(texts, encodings, answers, strict=True):
        if not isinstance(answer, np.ndarray):
            losses.append(None)
            continue
        offsets = encoding.offsets[: len(answer)]
        outside = [not _touches(token, places) for token in offsets]
        losses.append(-answer[np.array(outside, dtype=bool)])
    return [_rise(*pair) for pair in zip(losses[0::2], losses[1::2], strict=True)]


def _join(
    texts: Mapping[str, str], context: Iterable[TextRange], edited: Sequence[TextRange]
) -> _Text:
    """Return the ranges of a context as one text with line breaks between, and the edits in it."""
    text, places = "", list[tuple[int, int]]()
    for path, start, end in context:
        text += "\n" if text else ""
        shift = len(text) - start
        places += [
            (a + shift, b + shift) for p, a, b in edited if p == path and start <= a and b <= end
        ]
        text += texts[path][start:end]
    return text, places


def _touches(token: tuple[int, int], places: Iterable[tuple[int, int]]) -> bool:
    return any(token[0] < end and start < token[1] for start, end in places)


def _rise(before: Float32Array | None, after: Float32Array | None) -> float | None:
    """Return the rise of the mean over the tokens that both texts have: one may be cut earlier."""
    if before is None or after is None:
        return None
    shared = min(len(before), len(after))
    return float(np.mean(after[:shared]) - np.mean(before[:shared])) if shared else None
