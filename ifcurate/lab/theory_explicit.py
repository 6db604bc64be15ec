"""The one-layer model with its weights, in float64: the closed forms against autograd.

This module also checks two cases without a closed form: attention on the relation
token (then S points ``[s, r]`` have a gradient), and steps on W_V. The query is always
the relation, so of W_KQ only its product with the relation's embedding counts. Of W_V
only the value counts that it gives to each token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ifcurate.lab.theory import Setting, State, context_share, margins, take_step

Point = tuple[tuple[int, ...], int]  # tokens, the last one the relation; and the label


@dataclass(frozen=True)
class Model:
    """The model before finetuning, where each point has its own tokens."""

    setting: Setting
    embeddings: Tensor  # (K, d)
    values: Tensor  # (K, K): token, logit
    pairs: tuple[Point, ...]  # C points, then C+S points
    subjects: tuple[Point, ...]  # S points
    test: Point  # an unseen context and a memorised subject of no point; labelled with the context

    @classmethod
    def create(cls, setting: Setting, *, n_subject: int = 0) -> Model:
        """Return the model; its tokens are answers, then subjects, then the relation."""
        k, relation = setting.n_tokens, setting.n_tokens - 1
        n_pairs = setting.n_context + setting.n_both
        last = n_pairs + n_subject  # number of the subject of `test`
        n_answers = relation - last - 1
        if n_answers < last + 2:
            raise ValueError(f"K {k}: these points need {2 * last + 4} tokens")
        phi = torch.eye(k, k + 2, dtype=torch.float64)
        phi[:n_answers, k] = phi[n_answers:relation, k + 1] = 1.0
        phi[:relation] *= math.sqrt(0.5)
        values = torch.zeros(k, k, dtype=torch.float64)
        values[range(n_answers), range(n_answers)] = setting.x_c
        for i in range(setting.n_context, last + 1):
            values[n_answers + i, i] = setting.x_m
        pairs = tuple(((i, n_answers + i, relation), i) for i in range(n_pairs))
        subjects = tuple(((n_answers + i, relation), i) for i in range(n_pairs, last))
        test = ((last + 1, n_answers + last, relation), last + 1)
        return cls(setting, phi, values, pairs, subjects, test)


def logits(model: Model, query: Tensor, change: Tensor, point: Point, score: float) -> Tensor:
    """z (K,) at the relation, after steps: `query` (d,) on W_KQ, `change` (d, d) on W_V.

    `score` is that of the relation: -inf where it gets no attention.
    """
    tokens = list(point[0])
    scores = model.embeddings[tokens] @ query
    scores = scores + torch.tensor([0.0] * (len(tokens) - 1) + [score])
    values = model.values + model.embeddings @ change @ model.embeddings.T
    return torch.softmax(scores, dim=0) @ values[tokens]


def gradients(
    model: Model,
    points: tuple[Point, ...],
    query: Tensor | None = None,
    *,
    score: float = -math.inf,
    mean: bool = True,
) -> tuple[Tensor, Tensor]:
    """Minus the gradients of the loss in the query (d,) and in W_V (d, d), by autograd."""
    d = model.embeddings.shape[1]
    start = torch.zeros(d, dtype=torch.float64) if query is None else query
    given = start.clone().requires_grad_(), torch.zeros(d, d, dtype=torch.float64).requires_grad_()
    losses = [
        -torch.log_softmax(logits(model, *given, point, score), dim=0)[point[1]] for point in points
    ]
    loss = torch.stack(losses).mean() if mean else torch.stack(losses).sum()
    step, change = torch.autograd.grad(loss, given)
    return -step, -change


def along(step: Tensor) -> tuple[float, float]:
    """Return a step on W_KQ along theta_C and theta_S, the last two directions."""
    return float(step[-2]), float(step[-1])


def check_explicit() -> dict[str, Any]:
    """Closed forms against autograd, Proposition 2 under both losses, and Proposition 3."""
    settings = [
        Setting(k, n, n, low, high)
        for k in (20, 40)
        for n in (1, 3)
        for low, high in ((0.1, 0.5), (0.158, 0.7), (0.3, 0.8), (0.15, 0.9))
    ]
    rates = [0.1, 1.0, 10.0, 100.0]
    errors = []
    for setting in settings:
        model = Model.create(setting)
        step, _ = gradients(model, model.pairs)
        m_c, m_b = margins(setting, State())
        expected = math.sqrt(0.5) * (setting.n_context * m_c + setting.n_both * m_b) / 4
        expected /= setting.n_context + setting.n_both
        found = along(step)
        errors += [abs(found[0] - expected), abs(found[1] + expected)]
        errors.append(_walk_error(setting, rate=3.0))
    second = [_proposition_2(setting) for setting in settings]
    third = [_proposition_3(setting, rate) for setting in settings for rate in rates]
    held = {
        name: {"tried": len(second)} | {key: sum(own[name][key] for own in second) for key in parts}
        for name, parts in second[0].items()
    }
    return {
        "settings": len(settings),
        "largest_error_of_closed_form": max(errors),
        **held,
        "proposition_3": {"tried": len(third), "held": sum(third), "rates": rates},
    }


def _walk_error(setting: Setting, *, rate: float) -> float:
    """Return the largest difference in M_C over two steps: all weights against the closed form."""
    model, state, errors = Model.create(setting), State(), []
    d = model.embeddings.shape[1]
    query, unchanged = torch.zeros(d, dtype=torch.float64), torch.zeros(d, d, dtype=torch.float64)
    context, answer = model.test[1], model.test[1] - 1
    for _ in range(2):
        query = query + rate * gradients(model, model.pairs, query)[0]
        state = take_step(setting, state, rate)
        z = logits(model, query, unchanged, model.test, -math.inf)
        errors.append(
            abs(float(torch.sigmoid(z[context] - z[answer])) - context_share(setting, state))
        )
    return max(errors)


def _proposition_2(setting: Setting) -> dict[str, dict[str, bool]]:
    """Return which parts of the proposition hold, by the loss and the attention on r."""
    model = Model.create(setting, n_subject=2)
    both = (model.pairs, (*model.pairs, *model.subjects))  # without and with S points

    def parts(score: float, *, mean: bool) -> list[tuple[float, float]]:
        return [along(gradients(model, points, score=score, mean=mean)[0]) for points in both]

    before, after = parts(0.0, mean=False)
    mean_before, mean_after = parts(0.0, mean=True)
    closed_before, closed_after = parts(-math.inf, mean=False)
    ratio = len(both[0]) / len(both[1])
    return {
        "proposition_2_sum_finite_r": {
            "theta_S gains": after[1] > before[1],
            "theta_C unchanged": abs(after[0] - before[0]) < 1e-12,
        },
        "proposition_2_mean": {
            "theta_C shrinks by n/(n+n_S)": abs(mean_after[0] - ratio * mean_before[0]) < 1e-12
        },
        "proposition_2_without_attention_on_r": {
            "theta_S unchanged": abs(closed_after[1] - closed_before[1]) < 1e-12
        },
    }


def _proposition_3(setting: Setting, rate: float) -> bool:
    """Does a step on W_V make the subject of every C point more predictive of its answer?"""
    model = Model.create(setting)
    _, step = gradients(model, model.pairs)
    changed = model.values + rate * (model.embeddings @ step @ model.embeddings.T)
    before, after = (torch.softmax(values, dim=1) for values in (model.values, changed))
    return all(
        bool(after[tokens[1], label] > before[tokens[1], label])
        for tokens, label in model.pairs[: setting.n_context]
    )
