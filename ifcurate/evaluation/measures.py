"""Measures of context reliance over answered questions, each with a 95% interval.

- counterfactual accuracy: the text names the context's answer; parametric accuracy: it
  names the memory answer (Goyal et al., ICLR 2025); both, neither: it names both or none;
- memorisation ratio: parametric / (parametric + counterfactual), without the texts that
  name both answers (Longpre et al., 2021);
- the same by log-probability: which of the two answers is the likelier response.

Intervals are percentile bootstraps over questions, from a seed. Where all outcomes are equal
a bootstrap has no width, and the interval is Wilson's (1927).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ifcurate.evaluation.answers import Outcome, name_answers, names
from ifcurate.evaluation.suites import Question

N_DRAWS: Final = 2000
_LENGTHS: Final = ((40, "under 40 words"), (80, "40-79 words"), (1 << 60, "80 words or more"))
#: The outcomes that each share counts.
_COUNTED: Final[Mapping[str, tuple[Outcome, ...]]] = {
    "counterfactual": ("context", "both"),
    "parametric": ("memory", "both"),
    "both": ("both",),
    "neither": ("neither",),
}
#: A share as "value", its 95% interval as "low" and "high", and "n" questions; None without any.
Share = dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and the model's answers to it."""

    question: Question
    text: str
    bare_text: str | None = None  # the answer without the context; None when not asked
    context_logprob: float | None = None  # nats: the context answer as the response
    memory_logprob: float | None = None
    attention: tuple[float, ...] | None = None  # share on the context, by layer, mean over heads

    @property
    def outcome(self) -> Outcome:
        """Which of the two answers the text names."""
        q = self.question
        return name_answers(self.text, q.context_answers, q.memory_answers).outcome

    @property
    def knows(self) -> bool | None:
        """Whether the answer without the context names the memory answer; None when not asked."""
        if self.bare_text is None:
            return None
        return names(self.bare_text, self.question.memory_answers)

    @property
    def prefers_context(self) -> bool | None:
        """Whether the context's answer is the likelier response; None when not measured."""
        if self.context_logprob is None or self.memory_logprob is None:
            return None
        return self.context_logprob > self.memory_logprob


def measure(answered: Sequence[Answered], *, seed: int) -> dict[str, Any]:
    """Return all measures: over all questions, over those that the model knows, and by group."""
    known = [a for a in answered if a.knows]
    result: dict[str, Any] = {"all": _measures(answered, seed)}
    if any(a.knows is not None for a in answered):
        result["known"] = _measures(known, seed)
        result["knows"] = _share([bool(a.knows) for a in answered], seed)
    watched = [a.attention for a in answered if a.attention is not None]
    if watched:
        result["attention"] = np.mean(watched, axis=0).tolist()
    groups: dict[str, Callable[[Answered], str]] = {
        "by_position": lambda a: position_of_answer(a.question),
        "by_length": lambda a: _length(a.question),
    }
    for name, key in groups.items():
        members: dict[str, list[Answered]] = {}
        for a in answered:
            members.setdefault(key(a), []).append(a)
        result[name] = {label: _measures(members[label], seed) for label in sorted(members)}
    return result


def _measures(answered: Sequence[Answered], seed: int) -> dict[str, Share]:
    outcomes = [a.outcome for a in answered]
    shares = {
        name: _share([outcome in counted for outcome in outcomes], seed)
        for name, counted in _COUNTED.items()
    }
    decided = [outcome for outcome in outcomes if outcome in ("context", "memory")]
    shares["memorisation_ratio"] = _share([outcome == "memory" for outcome in decided], seed)
    measured = [value for a in answered if (value := a.prefers_context) is not None]
    if measured:
        shares["counterfactual_by_logprob"] = _share(measured, seed)
        shares["memorisation_ratio_by_logprob"] = _share([not value for value in measured], seed)
    return shares


def _share(values: Sequence[bool], seed: int) -> Share:
    if not values:
        return {"value": None, "low": None, "high": None, "n": 0}
    hits = np.asarray(values, dtype=np.float64)
    n, value = len(hits), float(hits.mean())
    if value in (0, 1):  # every draw would be the same
        low, high = _test_share(int(hits.sum()), n).proportion_ci(method="wilson")
        return {"value": value, "low": float(low), "high": float(high), "n": n}
    # A bootstrap draw of a share is a binomial count.
    rng = np.random.default_rng(seed)
    draws = rng.binomial(n, value, size=N_DRAWS) / n
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"value": value, "low": float(low), "high": float(high), "n": n}


def compare_outcomes(
    first: Mapping[str, bool], second: Mapping[str, bool], *, seed: int
) -> dict[str, Any]:
    """Return the paired difference (second minus first) of a share over the same questions.

    The result has the 95% bootstrap interval and the exact two-sided p-value of McNemar's test.
    """
    ids = sorted(set(first) & set(second))
    differences = np.array([second[i] - first[i] for i in ids], dtype=np.float64)
    if not len(ids):
        return {"n": 0, "difference": None, "low": None, "high": None, "p": None}
    rng = np.random.default_rng(seed)
    draws = differences[rng.integers(len(ids), size=(N_DRAWS, len(ids)))].mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    up, changed = int((differences > 0).sum()), int((differences != 0).sum())
    return {
        "n": len(ids),
        "difference": float(differences.mean()),
        "low": float(low),
        "high": float(high),
        "p": float(_test_share(up, changed).pvalue) if changed else 1.0,
    }


def _test_share(hits: int, n: int) -> Any:
    """Return scipy's exact test of a share against one half."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    return binomtest(hits, n)


def position_of_answer(question: Question) -> str:
    """Return the third of the context in which it first names its answer: first, middle or last."""
    text = question.context.lower()
    places = [text.find(answer.lower()) for answer in question.context_answers]
    inside = [place for place in places if place >= 0]
    if not inside:
        return "not in the context"
    third = 3 * min(inside) // max(1, len(text))
    return ("first third", "middle third", "last third")[min(third, 2)]


def _length(question: Question) -> str:
    n_words = len(question.context.split())
    return next(label for limit, label in _LENGTHS if n_words < limit)
