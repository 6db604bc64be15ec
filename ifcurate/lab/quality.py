"""AUROC of each score: how well it separates critical rows from the others, by the truth.

Only this module compares scores with the truth. No arm reads its results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ifcurate.engines.base import Prompt
from ifcurate.lab.examiner import load_base
from ifcurate.lab.plan import TEMPLATE, Laboratory
from ifcurate.storage.files import read_table, write_json
from ifcurate.storage.tables import SCORES

_COLUMNS: Final = (
    "loss_without_context",
    "max_token_loss_without_context",
    "context_gain",
    "max_token_gain",
    "gain_token_fraction",
)
_NEGATIVES: Final = {"both": ("non", "off"), "non": ("non",), "off": ("off",)}
FloatArray = npt.NDArray[np.float64]


def measure_scores(lab: Laboratory) -> dict[str, Any]:
    """AUROC of every score against the truth, from auroc.json, which is written when missing.

    Positive rows are critical. Negatives are *non* and *off* together, and each alone.
    """
    path = lab.folder / "auroc.json"
    if path.exists():
        saved: dict[str, Any] = lab.read_json(path)
        return saved
    kinds = np.array(lab.read_json(lab.truth)["kinds"])
    result = {name: _measure_score(values, kinds) for name, values in _all_scores(lab).items()}
    write_json(path, result)
    return result


def measure_laboratories(root: Path) -> dict[str, Any]:
    """Return the AUROCs of every scored laboratory under `root` whose mixture has its own shape."""
    folders = sorted(path.parent for path in root.glob("*/scores.parquet"))
    return {
        folder.name: measure_scores(Laboratory(folder))
        for folder in folders
        if "=" not in folder.name  # a mixture with a changed shape
    }


def _measure_score(values: FloatArray, kinds: npt.NDArray[np.str_]) -> dict[str, float]:
    areas = {}
    for name, negative in _NEGATIVES.items():
        compared = np.isin(kinds, (*negative, "critical")) & np.isfinite(values)
        positive = kinds[compared] == "critical"
        if not positive.all():
            areas[name] = area_under_curve(values[compared], positive)
    return areas


def _all_scores(lab: Laboratory) -> dict[str, FloatArray]:
    """Score -> a value per row of the mixture, NaN where there is none; higher is more critical."""
    table = read_table(lab.scores, SCORES)
    scores = {name: table[name].cast(float).to_numpy().astype(np.float64) for name in _COLUMNS}
    with_context = table["loss_with_context"].to_numpy().astype(np.float64)
    without = scores["loss_without_context"]
    scores["ratio (1 - with / without)"] = 1 - with_context / np.maximum(without, 1e-9)
    alone, attention = _alone_and_attention(lab)
    scores["IFD (negated: exp(with - alone))"] = -np.exp(with_context - alone)
    scores["IFD"] = np.exp(with_context - alone)
    for layer, shares in enumerate(attention):
        scores[f"attention, largest head, layer {layer}"] = shares
    return scores


def _alone_and_attention(lab: Laboratory) -> tuple[FloatArray, list[FloatArray]]:
    """Loss of the response alone, (rows,), and attention on the context, (rows,) per layer."""
    from ifcurate.evaluation.models import measure_attention
    from ifcurate.prompts.templates import load_template

    examples = lab.read_mixture()
    loaded = load_base(str(lab.base))
    wrapped = loaded.tokenizer
    template = load_template(TEMPLATE, wrapped)
    start = wrapped.bos_id if wrapped.bos_id is not None else wrapped.fallback_start_id
    responses = [wrapped.encode(e.response).ids for e in examples]
    prompts = [Prompt([start, *ids], 1) for ids in responses]
    losses = (-values for values in loaded.response_logprobs(prompts))
    alone = np.array([own.sum(dtype=np.float64) / max(1, len(own)) for own in losses])
    measured = measure_attention(loaded.model, wrapped, template, examples)
    by_id = {id: own.max(axis=1).mean(axis=1, dtype=np.float64) for id, own in measured.items()}
    n_layers = len(next(iter(by_id.values())))
    nothing = np.full(n_layers, np.nan)
    shares = np.array([by_id.get(e.id, nothing) for e in examples])
    return alone, list(shares.T)


def area_under_curve(scores: FloatArray, positive: npt.NDArray[np.bool_]) -> float:
    """Chance that a positive row scores above a negative one, ties counting half."""
    from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]

    above = mannwhitneyu(scores[positive], scores[~positive]).statistic
    return float(above / (positive.sum() * (~positive).sum()))
