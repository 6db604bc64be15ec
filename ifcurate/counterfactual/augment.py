"""Counterfactuals of a dataset in memory, and the rejected rows with their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ifcurate.data.sources import Examples
from ifcurate.data.taking import take_examples

from .augmenter import iterate_counterfactuals
from .recognise.spans import DEFAULT_TYPES, Recogniser
from .settings import AugmentSettings, Emit, parse_types
from .write.outcomes import Augmentation


def augment_counterfactual(
    examples: Any,
    *,
    seed: int = 0,
    policy: str = "lexicon",
    types: str | Sequence[str] = DEFAULT_TYPES,
    recogniser: Recogniser | None = None,
    variants: int = 1,
    emit: Emit = "counterfactual",
    avoid: Iterable[str] = (),
) -> Augmentation:
    """Make counterfactuals of all examples that allow it, and record why the others do not.

    `examples` is what `read_examples` gives, a list of dicts, a `datasets.Dataset`, a
    polars or pandas frame, or a list of `Example`. `types` is a list of types, or a text as the
    command takes it ("all", "+CITY"). With `policy="corpus"` they are read twice.
    Results are in the order of the input. Raises `DataError` for unknown settings.
    """
    kinds = parse_types(types) if isinstance(types, str) else tuple(types)
    settings = AugmentSettings(policy, kinds, seed, variants, emit, frozenset(avoid))
    result = Augmentation()
    taken = take_examples(examples, turns="all")
    taken = taken if isinstance(taken, Sequence | Examples) else list(taken)
    for outcome in iterate_counterfactuals(taken, settings, recogniser=recogniser):
        result.funnel.add(outcome.as_record())
        result.written.extend(outcome.written)
        if not outcome.written:
            result.rejected.append(outcome)
    return result
