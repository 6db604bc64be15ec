"""Counterfactual examples: an answer's entity replaced everywhere by another of its kind."""

from __future__ import annotations

from .augment import (
    Augmentation,
    AugmentSettings,
    Funnel,
    Outcome,
    augment_counterfactual,
    iterate_counterfactuals,
)

__all__ = [
    "AugmentSettings",
    "Augmentation",
    "Funnel",
    "Outcome",
    "augment_counterfactual",
    "iterate_counterfactuals",
]
