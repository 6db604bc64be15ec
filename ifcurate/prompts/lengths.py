"""Sizes of examples in characters, by which rows are refused or cut before tokenising."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ifcurate.engines.base import Tokenizer
from ifcurate.records import Example

_LONGEST_TOKEN: Final = 128  # characters; the longest token of known vocabularies is of blanks
_PLACES: Final = ("start", "end", "outer_start", "outer_end")  # of a block in its text
_BATCH: Final = 1 << 18  # characters of examples that are encoded at once


def longest_token(tokenizer: Tokenizer) -> int:
    """Return the largest number of characters in one token."""
    # Tokenizers of other packages may lack the attribute.
    return max(_LONGEST_TOKEN, getattr(tokenizer, "longest_token", 0))


def least_size(example: Example) -> int:
    """Return the number of characters that every rendering of an example has at least."""
    return sum(len(t.strip()) for t in (example.instruction, example.context, example.response))


def full_size(example: Example) -> int:
    """Return the number of characters of all texts of an example."""
    return sum(map(len, (*example.prompt_texts, example.response)))


def batch_by_size(examples: Sequence[tuple[int, Example]]) -> Iterator[list[tuple[int, Example]]]:
    """Batches of at most `_BATCH` characters; a longer example is a separate batch."""
    batch: list[tuple[int, Example]] = []
    n = 0
    for i, example in examples:
        size = full_size(example)
        if batch and n + size > _BATCH:
            yield batch
            batch, n = [], 0
        batch.append((i, example))
        n += size
    if batch:
        yield batch


def cut_longest_block(example: Example, most: int) -> Example:
    """Return the example with at most `most` characters at each end of its longest context block.

    The example is returned unchanged if the block is not longer. All blocks keep their places.
    """
    longest = max(example.blocks, key=lambda b: b.end - b.start)
    removed = longest.end - longest.start - 2 * most
    if removed <= 0:
        return example
    texts = [example.part(b.part)[b.start : b.end] for b in example.blocks]
    at = example.blocks.index(longest)
    texts[at] = texts[at][:most] + texts[at][-most:]
    moved = list(example.blocks)
    for i, block in enumerate(moved):
        places = {name: getattr(block, name) for name in _PLACES if block.part == longest.part}
        after = {name: at - removed for name, at in places.items() if at >= longest.end}
        moved[i] = replace(block, **after)
    return replace(example.with_contexts(texts), blocks=tuple(moved))
