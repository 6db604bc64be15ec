"""From packs to numbers: in this process, or in one process for each core.

With processes a caller may begin with further prompts before it waits for the
first ones' numbers, so that no core is idle while the last pack is computed. What
is packed together does not depend on that, and so neither do the numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ifcurate.engines.base import EngineReport, Float32Array
from ifcurate.engines.hf.packing import Pack, Plan
from ifcurate.engines.hf.runner import (
    OutOfMemoryError,
    PackRunner,
    run_with_backoff,
    token_budget,
)
from ifcurate.engines.hf.workers import Answer, WorkerPool, can_fork
from ifcurate.errors import RowTooLargeError

__all__ = ["Begun", "PackScorer", "fitting_threads"]

_WORTH_FORKING: Final = 200_000_000_000  # floating-point operations, about two seconds of a core
_LEAST_PACK: Final = 1024  # tokens
_SMALL: Final = 50_000_000  # parameters; below, an operation is too short to be divided


class PackScorer:
    """Fills packs, has them computed, and fills smaller ones where memory runs out."""

    def __init__(
        self,
        model: Any,
        runner: PackRunner,
        report: EngineReport,
        *,
        n_parameters: int,
        threads: int,
        max_sequences: int | None,
        share: bool,
    ) -> None:
        """`share` off: every sequence by itself, nothing computed once for several."""
        self.runner = runner
        self._model = model
        self._report = report
        self._n_parameters = n_parameters
        self._threads = threads
        self._max_sequences = max_sequences
        self._share = share
        self._budget = token_budget(model)
        self._pool: WorkerPool | None = None

    @property
    def works_apart(self) -> bool:
        """Whether this process has time while the model works: on a GPU, or in processes."""
        return self._model.device.type != "cpu" or (self._threads > 1 and can_fork())

    def begin(self, plan: Plan, members: Sequence[int], *, single: bool = False) -> Begun:
        """Begin with some of the plan's sequences; `single`: one by one, by the model's own pass.

        Where there are no processes to begin with, all is done when the result is asked for.
        """
        budget = self._budget
        if self._threads > 1 and self._model.device.type == "cpu":
            # Enough packs for all processes, none too small for fast products.
            n_tokens = sum(len(plan.sequences[i].ids) for i in members)
            budget = min(budget, max(_LEAST_PACK, n_tokens // self._threads))
        begun = Begun(self, plan, single, [], None)
        begun.packs = begun.split(members, budget)
        if not single and self._worth_workers(begun.packs):
            if self._pool is None:
                self._pool = WorkerPool(self._threads, self.runner.run)
            self._report.counts["processes"] = len(self._pool)
            begun.answers = self._pool.submit(begun.packs)
        return begun

    def close(self) -> None:
        """End the processes, if there are any."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _worth_workers(self, packs: Sequence[Pack]) -> bool:
        if self._threads < 2 or self._model.device.type != "cpu" or not can_fork():
            return False
        if self._pool is not None:
            return True
        work = 2 * self._n_parameters * sum(pack.n_tokens for pack in packs)
        return work >= _WORTH_FORKING

    def run(self, begun: Begun, packs: Sequence[Pack]) -> list[list[Float32Array] | None]:
        """The numbers of packs; None for one that memory does not hold."""
        self.count("packs", len(packs))
        self.count("tokens_computed", sum(pack.n_tokens for pack in packs))
        answers, begun.answers = begun.answers, None
        if answers is None and not begun.single and self._pool is not None:
            answers = self._pool.submit(packs)
        if answers is not None:
            try:
                return [answer.result() for answer in answers]
            except BaseException:
                self.close()
                raise
        results: list[list[Float32Array] | None] = []
        with fitting_threads(self._model, self._n_parameters):
            for pack in packs:
                try:
                    results.append(self.runner.run(pack, single=begun.single))
                except OutOfMemoryError:
                    results.append(None)
        return results

    def smaller(self, n_times: int) -> None:
        """Memory ran out so many times: from now on packs are smaller."""
        self._budget = max(1, self._budget // 2)
        self.count("memory_retries", n_times)

    def fill(self, plan: Plan, members: Sequence[int], budget: int, *, single: bool) -> list[Pack]:
        """Packs of at most `budget` tokens, see `Plan.packs`."""
        apart = single or not self._share
        most = 1 if apart else self._max_sequences
        return plan.packs(members, budget, max_sequences=most, share=not apart)

    def count(self, name: str, n: int) -> None:
        """Add to a count of the report."""
        self._report.counts[name] = self._report.counts.get(name, 0) + n


@dataclass(slots=True)
class Begun:
    """Sequences that are being scored, or will be when they are asked for."""

    scorer: PackScorer
    plan: Plan
    single: bool
    packs: list[Pack]
    answers: list[Answer] | None  # of the packs, where processes were given them

    def result(self) -> dict[int, Float32Array]:
        """The log-probabilities of each sequence. Raises `RowTooLargeError`, `ModelError`."""
        plan = self.plan
        found, too_large, halvings = run_with_backoff(
            self.packs, lambda packs: self.scorer.run(self, packs), self.split
        )
        if halvings:
            self.scorer.smaller(halvings)
        if too_large:
            length = min(len(plan.sequences[i].ids) for i in too_large)
            index = next(i for i, s in enumerate(plan.source) if s in too_large)
            raise RowTooLargeError(
                f"prompt {index}: too large for this machine's memory; found {length} tokens; "
                "leave the row out, shorten its context, or use a smaller model or dtype",
                index,
            )
        return found

    def split(self, members: Sequence[int], budget: int) -> list[Pack]:
        """Packs of these sequences."""
        return self.scorer.fill(self.plan, members, budget, single=self.single)

    def cancel(self) -> None:
        """What is not in a process's hands is not computed."""
        for answer in self.answers or ():
            answer.cancel()


@contextlib.contextmanager
def fitting_threads(model: Any, n_parameters: int) -> Iterator[None]:
    """One thread on a CPU where processes can share the work, then as many as before.

    At every operation threads wait for each other, by spinning: on a busy machine a
    model of a million parameters took nine times the processor time with two
    threads, and seven times the time on the clock. In bfloat16 the number of
    threads also changes how products are cut up, and so the last bits of scores.
    """
    import torch

    if model.device.type != "cpu" or (n_parameters >= _SMALL and not can_fork()):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
