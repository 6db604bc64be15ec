"""The augment step: from its options to the files, for the command and for recipes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ifcurate.counterfactual.recognisers import load_recogniser
from ifcurate.counterfactual.settings import AugmentSettings, read_avoided
from ifcurate.counterfactual.write.model_check import ModelJudge
from ifcurate.counterfactual.write.outcomes import Funnel
from ifcurate.counterfactual.write.output import AugmentResult, write_counterfactuals
from ifcurate.data.sources import Examples
from ifcurate.engines.base import EngineIdentity
from ifcurate.options.augment import AugmentOptions
from ifcurate.storage.files import refuse_unwritable


def write_augmented(
    examples: Examples,
    folder: Path,
    options: AugmentOptions,
    command: str,
    *,
    overwrite: bool = False,
    on_row: Callable[[Funnel], None] = lambda _: None,
    on_model: Callable[[EngineIdentity], None] = lambda _: None,
) -> AugmentResult:
    """Write counterfactual rows of the examples into a folder.

    `on_row` gets the counts after each row, `on_model` the model of `verify` once it is
    loaded. Raises the errors of the step.
    """
    refuse_unwritable(folder)
    settings = AugmentSettings.of(options, read_avoided(options.avoid or ()))
    recogniser = load_recogniser(options, settings.kinds, folder / "plans.jsonl")
    with _open_judge(options, on_model) as judge:
        return write_counterfactuals(
            examples,
            settings,
            folder,
            recogniser=recogniser,
            judge=judge,
            sample=options.sample,
            overwrite=overwrite,
            command=command,
            on_row=on_row,
        )


@contextlib.contextmanager
def _open_judge(
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
