"""The engine of a run, and its comparison with the hf engine before the run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ifcurate.options.score import ENGINE_OPTIONS
from ifcurate.phrases import count

from .printing import note

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.engines.base import Engine
    from ifcurate.options.score import EngineOptions, ScoreSettings
    from ifcurate.scoring.parity import Reference
    from ifcurate.scoring.scorer import Scorer


def open_engine(
    options: EngineOptions, *, examples: Examples, settings: ScoreSettings, quiet: bool
) -> tuple[Engine, dict[str, Any]]:
    """Return the engine, and the result of its comparison with hf (empty without one).

    Raises `ModelError` when the engine cannot be loaded, or differs beyond the tolerance.
    """
    from ifcurate.engines.load import load_engine

    check_engine_options(options)
    chosen = options.for_engine(max_length=settings.max_length)
    if not options.parity or options.engine not in ("vllm", "server"):
        return load_engine(options.engine, **chosen), {}
    if options.engine == "server":
        # It needs no memory here, and a wrong address or key is reported at once.
        loaded = load_engine("server", **chosen)
        model = options.tokenizer or options.model or loaded.identity.model
        reference = _ask_reference(examples, settings, options, model, quiet=quiet)
    else:
        from ifcurate.engines.vllm.setup import require_vllm

        require_vllm()
        reference = _ask_reference(examples, settings, options, options.model, quiet=quiet)
        loaded = load_engine("vllm", **chosen)
    parity = reference.check(loaded, tolerance=options.parity_tolerance)
    note(str(parity), quiet=quiet)
    return loaded, {"parity": parity.as_dict()}


@contextlib.contextmanager
def open_scorer(
    options: EngineOptions, *, examples: Examples, settings: ScoreSettings, quiet: bool
) -> Iterator[tuple[Scorer, dict[str, Any]]]:
    """The scorer of a run, and the comparison of its engine; see `open_engine`."""
    from ifcurate.memory import MemoryBudget
    from ifcurate.scoring.scorer import Scorer

    if options.model:
        note(f"loading {options.model}", quiet=quiet)
    engine, checks = open_engine(options, examples=examples, settings=settings, quiet=quiet)
    memory = MemoryBudget.create(options.memory)
    with engine:
        yield Scorer.create(engine, settings, memory=memory), checks


def check_apart(options: EngineOptions, **more: Any) -> dict[str, Any]:
    """Return the comparison of `open_engine`, in a process that then frees its memory."""
    check_engine_options(options)
    if not options.parity or options.engine not in ("vllm", "server"):
        return {}
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_checks_alone, options, more).result()


def _checks_alone(options: EngineOptions, more: dict[str, Any]) -> dict[str, Any]:
    return open_engine(options, **more)[1]


def check_engine_options(options: EngineOptions) -> None:
    """Refuse options that cannot work, before anything is loaded."""
    from ifcurate.errors import OptionError

    if options.engine in ("hf", "vllm") and not options.model:
        raise OptionError(
            "score: no model was given; name one: --model smollm2-135m (see `ifcurate models`), "
            "a Hub id, a folder, or --model pocket to try it out"
        )
    if options.engine == "server" and not options.base_url:
        raise OptionError(
            "score: the engine 'server' needs the address of a running server: "
            "--base-url http://127.0.0.1:8000/v1"
        )


def _ask_reference(
    examples: Examples,
    settings: ScoreSettings,
    options: EngineOptions,
    model: str,
    *,
    quiet: bool,
) -> Reference:
    """Return the losses of a few rows by the hf engine, which is closed before the other one is
    loaded.
    """
    from ifcurate.engines.load import load_engine
    from ifcurate.errors import ModelError
    from ifcurate.scoring.parity import free_memory, reference_for_run
    from ifcurate.scoring.scorer import Scorer

    n = options.parity
    note(f"parity: scoring {count(n, 'row')} with hf first (--parity 0 skips it)", quiet=quiet)
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
    free_memory()
    return reference
