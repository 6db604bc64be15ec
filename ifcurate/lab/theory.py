"""The one-layer model of the inversion, in closed form.

One layer, one head, tokens ``[c, s, r]``: answers (which are also the contexts),
subjects and a relation, ``K`` tokens in all. Embeddings are
``phi(c) = sqrt(1/2) (own direction + theta_C)`` for answers and
``phi(s) = sqrt(1/2) (own direction + theta_S)`` for subjects. The logits at ``r`` are

    z = alpha_c v_c + alpha_s v_s + alpha_r v_r,   v_y = W_H^T W_V phi(y),

with attention ``alpha`` from ``W_KQ``, which starts at 0. Attention on ``r`` is 0 here
(see `ifcurate.lab.theory_explicit` for a finite one), so ``alpha_s = 1 - alpha_c``.
The value of a context has logit ``x_C`` on its own token and 0 elsewhere, where it
gives the token probability ``delta_C``; that of a memorised subject ``x_M`` on its
answer, for probability ``delta_M > 2 delta_C``; that of a C point's subject is uniform.

With ``u`` the score of the context minus that of the subject, a point pulls the
scores by ``g = alpha_c alpha_s m``, where

    m_C   = (1 - p_c) x_C              on a C point,
    m_C+S = (1 - p_a) (x_C - x_M)      on a C+S point.

Points have their own tokens and share only ``theta_C`` and ``theta_S``. After one
step of gradient descent on ``W_KQ`` at rate ``eta`` (mean over n points)

    u_C = u_C + eta/n (G + g_C),  u_C+S = u_C+S + eta/n (G + g_C+S),  u_test = u_test + eta/n G,

where ``G`` is the sum of all pulls. If ``G > 0``, attention rises along theta_C and
falls along theta_S. Reference: Goyal et al., ICLR 2025, section 5. Statements and
conditions are reworded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Setting:
    """Sizes and probabilities of one case. Raises `ValueError` outside the assumptions."""

    n_tokens: int  # K
    n_context: int  # C points
    n_both: int  # C+S points
    delta_c: float  # probability that a context's value gives its own token
    delta_m: float  # probability that a memorised subject's value gives its answer

    def __post_init__(self) -> None:
        if not 1 / self.n_tokens < self.delta_c < self.delta_m / 2 < 0.5:
            raise ValueError(
                f"delta_C {self.delta_c}: must lie between 1/K and delta_M / 2, delta_M below 1"
            )

    @property
    def x_c(self) -> float:
        """Logit of a context's own token."""
        return math.log(_odds(self.delta_c) * (self.n_tokens - 1))

    @property
    def x_m(self) -> float:
        """Logit of a memorised subject's answer."""
        return math.log(_odds(self.delta_m) * (self.n_tokens - 1))


@dataclass(frozen=True, slots=True)
class State:
    """Scores of the context minus the subject: on C points, C+S points and an unseen conflict."""

    context: float = 0.0
    both: float = 0.0
    test: float = 0.0


#: Two answers, two subjects, a relation. exp(x_C) = 2 and exp(x_M) = 32, so that
#: p_a = 8/12 on the C+S point and |m_C+S| = (1/3) ln 16 = 0.924, while
#: p_c = sqrt(2)/(sqrt(2) + 4) = 0.261 on the C point and m_C = 0.739 ln 2 = 0.512.
SMALLEST: Final = Setting(5, 1, 1, 1 / 3, 8 / 9)


LARGEST_RATE: Final = 1e9


def _odds(p: float) -> float:
    return p / (1 - p)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _probability(logit: float, n_tokens: int) -> float:
    """Return the probability of a token with this logit, when all other logits are 0."""
    return _sigmoid(logit - math.log(n_tokens - 1))


def margins(setting: Setting, state: State) -> tuple[float, float]:
    """m_C and m_C+S at a state."""
    alpha_c, alpha_b = _sigmoid(state.context), _sigmoid(state.both)
    p_c = _probability(alpha_c * setting.x_c, setting.n_tokens)
    p_a = _probability(alpha_b * setting.x_c + (1 - alpha_b) * setting.x_m, setting.n_tokens)
    return (1 - p_c) * setting.x_c, (1 - p_a) * (setting.x_c - setting.x_m)


def _log_pulls(setting: Setting, state: State) -> tuple[float, float]:
    """Natural logs of |g_C| and |g_C+S|; the first pulls towards the context, the second away."""
    m_c, m_b = margins(setting, state)
    spread = [-abs(u) - 2 * math.log1p(math.exp(-abs(u))) for u in (state.context, state.both)]
    return spread[0] + math.log(m_c), spread[1] + math.log(-m_b)


def pull_sign(setting: Setting, state: State) -> int:
    """Return the sign of G, safe where both parts underflow."""
    log_c, log_b = _log_pulls(setting, state)
    difference = log_c + math.log(setting.n_context) - log_b - math.log(setting.n_both)
    return (difference > 0) - (difference < 0)


def _pulls(setting: Setting, state: State) -> tuple[float, float, float]:
    """g_C, g_C+S and G, the sum over all points; they may underflow to 0."""
    log_c, log_b = _log_pulls(setting, state)
    g_c, g_b = math.exp(log_c), -math.exp(log_b)
    return g_c, g_b, setting.n_context * g_c + setting.n_both * g_b


def take_step(setting: Setting, state: State, rate: float) -> State:
    """Return the state after one step of gradient descent on W_KQ."""
    g_c, g_b, total = _pulls(setting, state)
    scale = rate / (setting.n_context + setting.n_both)
    return State(
        state.context + scale * (total + g_c),
        state.both + scale * (total + g_b),
        state.test + scale * total,
    )


def context_share(setting: Setting, state: State) -> float:
    """M_C = p(c) / (p(c) + p(a)) on an unseen conflict of unseen context and memorised subject."""
    alpha = _sigmoid(state.test)
    return _sigmoid(alpha * setting.x_c - (1 - alpha) * setting.x_m)


def lemma_margin(setting: Setting) -> float:
    """|m_C| - |m_C+S| before training. Lemma 6 states that it is above 0."""
    m_c, m_b = margins(setting, State())
    return m_c + m_b


def sufficient(setting: Setting) -> bool:
    """Return a condition under which Lemma 6 is true: odds(delta_M) <= odds(delta_C)^2 (K - 1).

    It is equivalent to x_M - x_C <= x_C. As x_M > 0, the answer of a C+S point starts more likely
    than that of a C point, so 1 - p_a < 1 - p_c, and
    |m_C+S| = (1 - p_a)(x_M - x_C) < (1 - p_c) x_C = |m_C|.
    """
    return setting.x_m - setting.x_c <= setting.x_c


def find_rate(setting: Setting) -> float | None:
    """Return the smallest rate of a fine grid at which the second step reverses the signs."""
    rate = 0.01
    while rate <= LARGEST_RATE:
        if pull_sign(setting, take_step(setting, State(), rate)) < 0:
            return rate
        rate *= 1.05
    return None


def walk(setting: Setting, rate: float, n_steps: int) -> list[dict[str, float]]:
    """Attention to the context and M_C over steps of one rate, for the phase plot."""
    state, points = State(), []
    for step in range(n_steps + 1):
        points.append(
            {
                "step": step,
                "attention_context_points": _sigmoid(state.context),
                "attention_both_points": _sigmoid(state.both),
                "attention_conflict": _sigmoid(state.test),
                "context_share": context_share(setting, state),
            }
        )
        state = take_step(setting, state, rate)
    return points


def reverses_in_the_limit(setting: Setting) -> bool:
    """Return whether C+S points keep the larger pull as the rate grows: G + g_C > |G + g_C+S|.

    Each pull decays as exp(-|u|), so the points with the smaller |u| decide. With equal
    counts this follows from the first phase, as 2 G + g_C + g_C+S is then above 0.
    """
    g_c, g_b, total = _pulls(setting, State())
    return total + g_c > abs(total + g_b)


def describe(setting: Setting) -> dict[str, Any]:
    """Return a setting and its two pulls before training, for tables."""
    m_c, m_b = margins(setting, State())
    return {
        "K": setting.n_tokens,
        "C": setting.n_context,
        "C+S": setting.n_both,
        "delta_C": setting.delta_c,
        "delta_M": setting.delta_m,
        "x_C": setting.x_c,
        "x_M": setting.x_m,
        "m_C": m_c,
        "m_C+S": m_b,
    }
