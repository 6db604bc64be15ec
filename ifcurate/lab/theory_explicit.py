"""The one-layer model with all its weights, in float64: the closed forms against autograd.

This module also checks two cases without a closed form: attention on the relation
token (then S points ``[s, r]`` have a gradient), and steps on W_V. W_V has the
weights of least norm that give every token its value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ifcurate.lab.theory import Setting, State, context_share, margins, take_step

Array = npt.NDArray[np.float64]
Point = tuple[tuple[int, ...], int]  # tokens, the last one the relation; and the label


@dataclass(frozen=True)
class Model:
    """Embeddings (K, d), W_KQ and W_V (d, d), and the points C, C+S and S."""

    setting: Setting
    embeddings: Array
    w_kq: Array
    w_v: Array
    context: tuple[Point, ...]
    both: tuple[Point, ...]
    subject: tuple[Point, ...]
    test: Point  # an unseen context and a memorised subject of no point; labelled with the context
    test_answer: int

    @classmethod
    def create(cls, setting: Setting, *, n_subject: int = 0) -> Model:
        """Return the model before finetuning, where each point has its own tokens."""
        n_points = setting.n_context + setting.n_both + n_subject + 1
        n_answers = n_points + 1
        n_tokens = n_answers + n_points + 1
        if n_tokens > setting.n_tokens:
            raise ValueError(f"K {setting.n_tokens}: these points need {n_tokens} tokens")
        n_answers += setting.n_tokens - n_tokens  # answers that occur in no point
        k, r = setting.n_tokens, setting.n_tokens - 1
        dims = k + 2
        phi = np.eye(k, dims)
        phi[:n_answers, k] = phi[n_answers:r, k + 1] = 1.0
        phi[:r] *= np.sqrt(0.5)
        values = np.zeros((k, k))  # (token, logit)
        values[range(n_answers), range(n_answers)] = setting.x_c
        first_b = setting.n_context
        context = tuple(((i, n_answers + i, r), i) for i in range(first_b))
        both = tuple(((i, n_answers + i, r), i) for i in range(first_b, first_b + setting.n_both))
        first_s = first_b + setting.n_both
        subject = tuple(((n_answers + i, r), i) for i in range(first_s, first_s + n_subject))
        last = first_s + n_subject
        for tokens, answer in (*both, *subject, ((n_answers + last, r), last)):
            values[tokens[-2], answer] = setting.x_m
        # phi W_V^T phi^T = values, in the least norm: pseudo-inverses on both sides.
        inverse = np.linalg.pinv(phi)
        w_v = (inverse @ values @ inverse.T).T
        test = ((last + 1, n_answers + last, r), last + 1)
        return cls(setting, phi, np.zeros((dims, dims)), w_v, context, both, subject, test, last)

    @property
    def points(self) -> tuple[Point, ...]:
        """The training points."""
        return (*self.context, *self.both, *self.subject)


def logits(model: Any, w_kq: Any, w_v: Any, tokens: tuple[int, ...], relation_score: float) -> Any:
    """z (K,) at the relation, as a tensor; `relation_score` is -inf where r gets no attention."""
    import torch

    phi = torch.from_numpy(model.embeddings)
    inputs = phi[list(tokens)]  # (n, d)
    offset = torch.zeros(len(tokens), dtype=torch.float64)
    offset[-1] = relation_score
    attention = torch.softmax(inputs @ w_kq @ inputs[-1] + offset, dim=0)
    return phi @ w_v @ inputs.T @ attention


def gradients(
    model: Model, points: tuple[Point, ...], *, relation_score: float, mean: bool
) -> tuple[Array, Array]:
    """Minus the gradients of the loss in W_KQ and W_V, (d, d) each, by autograd."""
    import torch

    w_kq = torch.from_numpy(model.w_kq.copy()).requires_grad_()
    w_v = torch.from_numpy(model.w_v.copy()).requires_grad_()
    loss = sum(
        -torch.log_softmax(logits(model, w_kq, w_v, tokens, relation_score), dim=0)[label]
        for tokens, label in points
    )
    (loss / (len(points) if mean else 1)).backward()  # type: ignore[union-attr]
    assert w_kq.grad is not None
    assert w_v.grad is not None
    return -w_kq.grad.numpy(), -w_v.grad.numpy()


def along(model: Model, step: Array) -> tuple[float, float]:
    """Return a step on W_KQ along theta_C and theta_S (rows) at the relation (column)."""
    k = model.setting.n_tokens
    column = step @ model.embeddings[k - 1]
    return float(column[k]), float(column[k + 1])


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
        step, _ = gradients(model, model.points, relation_score=-np.inf, mean=True)
        m_c, m_b = margins(setting, State())
        expected = np.sqrt(0.5) * (setting.n_context * m_c + setting.n_both * m_b) / 4
        expected /= setting.n_context + setting.n_both
        found = along(model, step)
        errors += [abs(found[0] - expected), abs(found[1] + expected)]
        errors.append(_walk_error(setting, rate=3.0))
    second = [_proposition_2(setting) for setting in settings]
    third = [_proposition_3(setting, rate) for setting in settings for rate in rates]
    n = len(settings)
    held = {name: sum(own[name] for own in second) for name in second[0]}
    return {
        "settings": n,
        "largest_error_of_closed_form": max(errors),
        "proposition_2_sum_finite_r": {
            "tried": n,
            "theta_S gains": held["theta_S gains with sum"],
            "theta_C unchanged": held["theta_C unchanged with sum"],
        },
        "proposition_2_mean": {
            "tried": n,
            "theta_C shrinks by n/(n+n_S)": held["theta_C shrinks with mean"],
        },
        "proposition_2_without_attention_on_r": {
            "tried": n,
            "theta_S unchanged": held["theta_S unchanged without attention on r"],
        },
        "proposition_3": {"tried": len(third), "held": sum(third), "rates": rates},
    }


def _walk_error(setting: Setting, *, rate: float) -> float:
    """Return the largest difference in M_C over two steps: all weights against the closed form."""
    import torch

    model, state, errors = Model.create(setting), State(), []
    for _ in range(2):
        step, _ = gradients(model, model.points, relation_score=-np.inf, mean=True)
        model, state = (
            replace(model, w_kq=model.w_kq + rate * step),
            take_step(setting, state, rate),
        )
        kq, v = torch.from_numpy(model.w_kq), torch.from_numpy(model.w_v)
        z = logits(model, kq, v, model.test[0], -np.inf)
        share = torch.sigmoid(z[model.test[1]] - z[model.test_answer])
        errors.append(abs(float(share) - context_share(setting, state)))
    return max(errors)


def _proposition_2(setting: Setting) -> dict[str, bool]:
    n_subject = 2
    model = Model.create(setting, n_subject=n_subject)
    few = (*model.context, *model.both)

    def parts(points: tuple[Point, ...], score: float, *, mean: bool) -> tuple[float, float]:
        step, _ = gradients(model, points, relation_score=score, mean=mean)
        return along(model, step)

    before, after = (parts(p, 0.0, mean=False) for p in (few, model.points))
    mean_before, mean_after = (parts(p, 0.0, mean=True) for p in (few, model.points))
    closed_before, closed_after = (parts(p, -np.inf, mean=False) for p in (few, model.points))
    ratio = len(few) / len(model.points)
    return {
        "theta_S gains with sum": after[1] > before[1],
        "theta_C unchanged with sum": abs(after[0] - before[0]) < 1e-12,
        "theta_C shrinks with mean": abs(mean_after[0] - ratio * mean_before[0]) < 1e-12,
        "theta_S unchanged without attention on r": abs(closed_after[1] - closed_before[1]) < 1e-12,
    }


def _proposition_3(setting: Setting, rate: float) -> bool:
    """Does a step on W_V make the subject of every C point more predictive of its answer?"""
    model = Model.create(setting)
    _, step = gradients(model, model.points, relation_score=-np.inf, mean=True)
    phi = model.embeddings

    def probability(w_v: Array, point: Point) -> float:
        values = phi @ w_v @ phi[point[0][1]]
        values = np.exp(values - values.max())
        return float(values[point[1]] / values.sum())

    changed = model.w_v + rate * step
    return all(probability(changed, p) > probability(model.w_v, p) for p in model.context)
