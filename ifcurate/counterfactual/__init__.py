"""Counterfactual examples: an answer's entity replaced everywhere by another of its kind."""

from __future__ import annotations

from .augment import AugmentSettings, augment_counterfactual, iterate_counterfactuals
from .outcomes import Augmentation, Funnel, Outcome

__all__ = [
    "AugmentSettings",
    "Augmentation",
    "Funnel",
    "Outcome",
    "augment_counterfactual",
    "iterate_counterfactuals",
]
