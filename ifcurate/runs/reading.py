"""The inputs and the examples of a finished run, read again."""

from __future__ import annotations

from pathlib import Path

from ifcurate.data.formats import Layout
from ifcurate.data.readers.fingerprints import fingerprint_source
from ifcurate.data.readers.rows import Source
from ifcurate.data.sources import Examples
from ifcurate.errors import RunError
from ifcurate.runs.run import Run

__all__ = ["run_examples", "run_sources"]


def run_sources(run: Run) -> list[Source]:
    """The run's inputs, after a check that they have not changed.

    Raises `RunError` when a file has changed or is gone.
    """
    sources = []
    for known in run.manifest.identity["inputs"]:
        inputs = {key: value for key, value in known.items() if key != "layout"}
        source = Source(
            inputs["name"],
            inputs["format"],
            inputs.get("compression", ""),
            inputs.get("subset", ""),
            inputs.get("split", ""),
        )
        if source.format != "hub" and not source.path.exists():
            raise RunError(
                f"{source.name}: the scored data is gone (seen from {Path.cwd()}); "
                "put it back, or run from the folder that you scored in"
            )
        if fingerprint_source(source) != inputs:
            raise RunError(
                f"{source.name}: has changed since it was scored; score it again, "
                "or put the old file back"
            )
        sources.append(source)
    return sources


def run_examples(run: Run) -> Examples:
    """The run's examples, read in the same way again. Raises as `run_sources`."""
    identity = run.manifest.identity
    layouts = [known["layout"] for known in identity["inputs"]]
    return Examples(
        tuple(run_sources(run)),
        tuple(map(Layout.from_record, layouts)),
        identity["limit"],
    )
