"""Which options each engine takes, and its comparison with ours before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ifcurate.phrases import count

from .common import note

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.engines.base import Engine
    from ifcurate.scoring.parity import Reference
    from ifcurate.scoring.scorer import ScoreSettings


def read_batch_size(text: str) -> Any:
    """What `--batch-size` says: auto, or a number. Raises a usage error."""
    if text == "auto":
        return text
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"{text!r}: write auto or a number", param_hint="--batch-size")


def engine_options(engine: str, given: dict[str, Any]) -> dict[str, Any]:
    """Of the options given, those that the engine takes."""
    from ifcurate.engines.load import ENGINE_OPTIONS

    names = () if engine == "toy" else ("model", *ENGINE_OPTIONS[engine])
    return {name: given[name] for name in names}


def open_engine(
    engine: str,
    given: dict[str, Any],
    *,
    examples: Examples,
    settings: ScoreSettings,
    parity: int,
    tolerance: float | None,
    quiet: bool,
) -> tuple[Engine, dict[str, Any]]:
    """The engine, and what its comparison with ours found (empty where there was none).

    Raises `ModelError` when it cannot be loaded, or differs beyond the tolerance.
    """
    from ifcurate.engines.load import load_engine

    check_engine_options(engine, given)
    chosen = engine_options(engine, given)
    if not parity or engine not in ("vllm", "server"):
        return load_engine(engine, **chosen), {}
    if engine == "server":
        # It costs no memory here, and a wrong address or key is known at once.
        loaded = load_engine(engine, **chosen)
        model = given["tokenizer"] or given["model"] or loaded.identity.model
        reference = _ask_reference(examples, settings, given, model, parity, quiet=quiet)
    else:
        from ifcurate.engines.vllm.setup import require_vllm

        require_vllm()
        reference = _ask_reference(examples, settings, given, given["model"], parity, quiet=quiet)
        loaded = load_engine(engine, **chosen)
    found = reference.check(loaded, tolerance=tolerance)
    note(str(found), quiet=quiet)
    return loaded, {"parity": found.as_dict()}


def check_apart(engine: str, given: dict[str, Any], *, parity: int, **more: Any) -> dict[str, Any]:
    """What `open_engine` finds, in a process that gives its memory back: engines run elsewhere."""
    if not parity or engine not in ("vllm", "server"):
        return {}
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_checks_alone, engine, given, {"parity": parity, **more}).result()


def _checks_alone(engine: str, given: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return open_engine(engine, given, **more)[1]


def check_engine_options(engine: str, given: dict[str, Any]) -> None:
    """Refuse a call that cannot work before anything is loaded."""
    from ifcurate.engines.load import ENGINE_OPTIONS
    from ifcurate.errors import IfcurateError

    if engine in ("hf", "vllm") and not given["model"]:
        raise IfcurateError(
            "score: no model was given; name one: --model llama-2-7b (see `ifcurate models`), "
            "a Hub id, a folder, or --model pocket for a try"
        )
    if engine == "server" and not given["base_url"]:
        raise IfcurateError(
            "score: the engine 'server' needs the address of one that runs: "
            "--base-url http://127.0.0.1:8000/v1"
        )
    others: dict[str, dict[str, Any]] = {
        "server": {"base_url": "", "tokenizer": "", "concurrency": 16},
        "hf": {"device": "auto"},
    }
    for owner, defaults in others.items():
        for name, default in defaults.items():
            if name not in ENGINE_OPTIONS[engine] and given[name] != default:
                raise IfcurateError(
                    f"score: --{name.replace('_', '-')} is for --engine {owner}; "
                    f"found --engine {engine}; leave out one"
                )


def _ask_reference(
    examples: Examples,
    settings: ScoreSettings,
    given: dict[str, Any],
    model: str,
    n: int,
    *,
    quiet: bool,
) -> Reference:
    """What our own engine says of a few rows; it is gone before the other one is loaded."""
    from ifcurate.engines.base import closing_engine
    from ifcurate.engines.load import load_engine
    from ifcurate.errors import ModelError
    from ifcurate.scoring.parity import free_memory, reference_for_run
    from ifcurate.scoring.scorer import Scorer

    note(f"parity: asking hf about {count(n, 'row')} first (--parity 0 leaves it out)", quiet=quiet)
    wanted = engine_options("hf", given)
    wanted["model"] = model
    try:
        ours = load_engine("hf", **wanted)
    except ModelError as error:
        raise ModelError(
            f"parity: {error} (the model is loaded here to compare; --parity 0 goes without)"
        ) from error
    with closing_engine(ours):
        reference = reference_for_run(examples, Scorer.create(ours, settings), n)
    del ours
    free_memory()
    return reference
