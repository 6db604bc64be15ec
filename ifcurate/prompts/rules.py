"""The rules that make prompts from rows: their version is a part of a run's identity.

The version is a digest of the files of these rules, code and data, because a number that people
increase by hand can be forgotten. So a run resumes only under rules that are the same to the byte.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_PACKAGE: Final = Path(__file__).parents[1]
_DECIDING: Final = ("contexts", "data", "prompts", "records.py")


@functools.cache
def rules_version() -> str:
    """Return a digest of all files that decide how a row becomes prompts, 16 hex digits."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(_PACKAGE.rglob("*")):
        name = path.relative_to(_PACKAGE)
        if name.parts[0] in _DECIDING and path.is_file() and path.suffix != ".pyc":
            digest.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def without_rules(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's identity without what the rules decide: their version, learned templates."""
    inputs = [
        {**known, "layout": {k: v for k, v in known["layout"].items() if k != "shapes"}}
        for known in identity["inputs"]
    ]
    return {k: v for k, v in identity.items() if k != "rules"} | {"inputs": inputs}
