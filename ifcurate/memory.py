"""The memory that scoring may use besides the loaded model."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

#: Bytes of the input that are read, tokenised and scored together, at most.
PIECE_BYTES: Final = 8 << 20
_DEFAULT_LEAST: Final = 1 << 30
# Three pieces are in memory at a time (read ahead, submitted, current),
# and a byte of text was measured to take up to 21 bytes as text and token ids.
_PIECE_SHARE: Final = 128
_TEXT_BYTES: Final = 8  # for one character: the row, its texts, and both rendered prompts
_TOKEN_BYTES: Final = 400  # for one character while two texts are tokenised; measured: 550 a token


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """A limit in bytes: one half for rows in memory, the other for packs on a CPU."""

    total: int

    @classmethod
    def create(cls, limit: int | None = None) -> Self:
        """Return the limit, or by default half of the memory that is free now, at least 1 GiB."""
        return cls(limit or max(_DEFAULT_LEAST, free_memory() // 2))

    @property
    def piece(self) -> int:
        """Bytes of the input that are read and tokenised together; a larger row is alone."""
        return min(PIECE_BYTES, self.total // _PIECE_SHARE)

    @property
    def packs(self) -> int:
        """Bytes for the packs that are computed at a time."""
        return self.total // 2

    def fits(self, characters: int, tokenised: int) -> bool:
        """Return whether a row fits, by its characters and those that are tokenised at once."""
        return self.needs(characters, tokenised) <= self.total // 2

    def needs(self, characters: int, tokenised: int) -> int:
        """Return an estimate of the bytes that such a row takes."""
        return characters * _TEXT_BYTES + tokenised * _TOKEN_BYTES


def free_memory() -> int:
    """Return the bytes of memory that are free; a large number on systems that do not state it.

    The limit of a container (control groups of version 2) is respected.
    """
    free = 1 << 34
    with contextlib.suppress(OSError, StopIteration, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        free = int(available.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())  # "max" is no limit
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        free = min(free, limit - used + int(stat.get("inactive_file", 0)))  # pages of files
    return max(0, free)
