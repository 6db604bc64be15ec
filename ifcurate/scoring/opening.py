"""The engine of a run, and its comparison with the hf engine before the run."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ifcurate.data.sources import Examples
from ifcurate.engines.base import Engine
from ifcurate.engines.load import load_engine
from ifcurate.errors import ModelError, OptionError
from ifcurate.memory import MemoryBudget
from ifcurate.options.score import ENGINE_OPTIONS, EngineOptions, ScoreSettings
from ifcurate.phrases import count
from ifcurate.scoring.parity import Reference, reference_for_run
from ifcurate.scoring.scorer import Scorer

Say = Callable[[str], None]


@contextlib.contextmanager
def open_scorer(
    options: EngineOptions, settings: ScoreSettings, examples: Examples, say: Say
) -> Iterator[tuple[Scorer, dict[str, Any]]]:
    """The scorer of a run, and the comparison of its engine; see `open_engine`."""
    if options.model:
        say(f"loading {options.model}")
    engine, checks = open_engine(options, settings, examples, say)
    memory = MemoryBudget.create(options.memory)
    with engine:
        yield Scorer.create(engine, settings, memory=memory), checks


def open_engine(
    options: EngineOptions, settings: ScoreSettings, examples: Examples, say: Say
) -> tuple[Engine, dict[str, Any]]:
    """Return the engine, and the result of its comparison with hf (empty without one).

    `say` gets lines about the comparison. Raises `ModelError` when the engine cannot be loaded,
    or differs beyond the tolerance, `OptionError` for options that cannot work.
    """
    chosen = options.for_engine(max_length=settings.max_length)
    if not _is_compared(options):
        return load_engine(options.engine, **chosen), {}
    if options.engine == "server":
        # It needs no memory here, and a wrong address or key is reported at once.
        loaded = load_engine("server", **chosen)
        model = options.tokenizer or options.model or loaded.identity.model
        reference = _ask_reference(model, options, settings, examples, say)
    else:
        from ifcurate.engines.vllm.setup import require_vllm

        require_vllm()
        reference = _ask_reference(options.model, options, settings, examples, say)
        loaded = load_engine("vllm", **chosen)
    parity = reference.check(loaded, tolerance=options.parity_tolerance)
    say(str(parity))
    return loaded, {"parity": parity.as_dict()}


def check_apart(
    options: EngineOptions, settings: ScoreSettings, examples: Examples, say: Say
) -> dict[str, Any]:
    """Return the comparison of `open_engine`, in a process that then frees its memory.

    `say` must be a function that another process can import.
    """
    if not _is_compared(options):
        return {}
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_checks_alone, options, settings, examples, say).result()


def _checks_alone(*given: Any) -> dict[str, Any]:
    return open_engine(*given)[1]


def _is_compared(options: EngineOptions) -> bool:
    """Return whether there is a comparison. Refuses options that cannot work, before loading."""
    if options.missing:
        raise OptionError(f"score: {options.missing}")
    return options.parity > 0 and options.engine in ("vllm", "server")


def _ask_reference(
    model: str, options: EngineOptions, settings: ScoreSettings, examples: Examples, say: Say
) -> Reference:
    """Return the losses of a few rows by the hf engine, which is then closed."""
    n = options.parity
    say(f"parity: scoring {count(n, 'row')} with hf first (--parity 0 skips it)")
    values = {**options.model_dump(), "model": model, "max_length": settings.max_length}
    wanted = {name: values[name] for name in ("model", *ENGINE_OPTIONS["hf"])}
    try:
        engine = load_engine("hf", **wanted)
    except ModelError as error:
        raise ModelError(
            f"parity: {error} (the comparison loads the model here; --parity 0 turns it off)"
        ) from error
    with engine:
        reference = reference_for_run(examples, Scorer.create(engine, settings), n)
    del engine
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return reference
