"""Check whether a prompt still asks for something when its context is cut."""

from __future__ import annotations

from typing import Final

from ifcurate.contexts.asking import asks, asks_beyond_slot
from ifcurate.records import Example

#: Contexts that you marked yourself: a pattern and a function. Others were checked.
_OWN: Final = ("regex", "function")


def asks_nothing(example: Example) -> bool:
    """Return whether a context that you marked seems to hold the whole request of the prompt."""
    if not any(block.rule in _OWN for block in example.blocks):
        return False
    rest = example.without_context()
    return not (asks_beyond_slot(rest.instruction) or asks(rest.system))
