"""Counterfactuals of a dataset in memory, and the rejected rows with their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ifcurate.data.in_memory import take_examples
from ifcurate.data.sources import Examples
from ifcurate.options.augment import SubstitutionOptions
from ifcurate.options.base import takes_options

from .augmenter import iterate_counterfactuals
from .recognise.spans import Recogniser
from .settings import AugmentSettings
from .write.outcomes import Augmentation


@takes_options(SubstitutionOptions)
def augment_counterfactual(
    examples: Any,
    *,
    recogniser: Recogniser | None = None,
    avoid: Iterable[str] = (),
    options: SubstitutionOptions,
) -> Augmentation:
    """Make counterfactuals of all examples that allow it, and record why the others do not.

    `examples` is what `read_examples` gives, a list of dicts, a `datasets.Dataset`, a
    polars or pandas frame, or a list of `Example`. With `policy="corpus"` they are read twice.
    `types` may also be a list, and `avoid` are names that are never substitutes.
    Results are in the order of the input. Raises `OptionError` for unknown settings.
    """
    settings = AugmentSettings.of(options, avoid)
    result = Augmentation()
    taken = take_examples(examples, turns="all")
    taken = taken if isinstance(taken, Sequence | Examples) else list(taken)
    for outcome in iterate_counterfactuals(taken, settings, recogniser=recogniser):
        result.funnel.add(outcome.as_record())
        result.written.extend(outcome.written)
        if not outcome.written:
            result.rejected.append(outcome)
    return result
