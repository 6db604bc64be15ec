"""The ablation in which each example gets the context of another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ifcurate.records import Example


def shuffle_contexts(examples: Sequence[Example]) -> dict[int, list[str]]:
    """For each example, the next longer context; the longest gets the one before it.

    In an example with several blocks, the longest block gets the text and the others none.
    """
    contexts = {i: e.context_text for i, e in enumerate(examples) if e.has_context}
    order = sorted(contexts, key=lambda i: (len(contexts[i]), contexts[i], i))
    donors: dict[int, list[str]] = {}
    for place, i in enumerate(order):
        neighbours = itertools.chain(order[place + 1 :], reversed(order[:place]))
        other = next((contexts[j] for j in neighbours if contexts[j] != contexts[i]), None)
        if other is not None:
            blocks = examples[i].blocks
            longest = max(blocks, key=lambda b: b.end - b.start)
            donors[i] = [other if block is longest else "" for block in blocks]
    return donors
