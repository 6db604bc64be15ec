"""`ifcurate models`: the short names."""

from __future__ import annotations

from rich.table import Table

from . import common


def list_models(json: common.Json = False) -> None:
    """List the short names that --model takes, with the Hub ids that they stand for."""
    from ifcurate.models import MODELS

    if json:
        keys = ("name", "hub_id", "parameters", "note")
        common.print_json([{key: getattr(m, key) for key in keys} for m in MODELS])
        return
    table = Table(box=None, pad_edge=False)
    for name in ("name", "Hub id", "size", "note"):
        table.add_column(name, no_wrap=True)
    for model in MODELS:
        table.add_row(model.name, model.hub_id or "(bundled)", model.parameters, model.note)
    common.out.print(table)
    common.out.print("\ngated: accept the model's licence on the Hub, then set HF_TOKEN.")
    common.out.print("--model also takes any other Hub id of a causal model, or a local folder.")
