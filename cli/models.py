"""`ifcurate models`: the short names."""

from __future__ import annotations

from . import common, printing


def list_models(json: common.Json = False) -> None:
    """List the short names that --model takes, with their Hub ids."""
    from ifcurate.models import MODELS

    if json:
        keys = ("name", "hub_id", "parameters", "note")
        printing.print_json([{key: getattr(m, key) for key in keys} for m in MODELS])
        return
    lines = [("name", "Hub id", "size", "note")]
    lines += [(m.name, m.hub_id or "(bundled)", m.parameters, m.note) for m in MODELS]
    printing.print_columns(lines)
    printing.out.print("\ngated: accept the model's licence on the Hub, then set HF_TOKEN.")
    printing.out.print("--model also takes any other Hub id of a causal model, or a local folder.")
