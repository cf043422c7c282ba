"""W4: what one wake-up costs among a crowd of parked threads, and what a parked thread keeps in memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Mapping, Sequence
from random import Random

from ..contestants import PORT, QUEUE, SIMPLE_QUEUE, open_channel
from ..measure import Comparison, Effort, Kind, OneByOne, Sample, Unit
from ..staging import SMALL_STACK_BYTES, Crew
from .pool import paced_sample

_CROWDS: dict[str, tuple[str, int]] = {
    f"{contestant} @{label}": (contestant, threads)
    for label, threads in (("1", 1), ("100", 100), ("10k", 10_000))
    for contestant in (PORT, SIMPLE_QUEUE, QUEUE)
}


class OneWake(OneByOne):
    """One packet at a time to 1, 100 or 10,000 parked threads with small stacks; time until it is handled."""

    wakes: Mapping[Effort, int] = {Effort.WARM_UP: 20, Effort.QUICK: 300, Effort.FULL: 500}

    def __init__(self) -> None:
        super().__init__(
            "one-wake",
            (
                Comparison("port @1", "SimpleQueue @1"),
                Comparison("port @100", "SimpleQueue @100"),
                Comparison("port @10k", "SimpleQueue @10k", goal=0.8),
                Comparison("port @10k", "queue.Queue @10k"),
                Comparison("port @100", "port @1"),
                Comparison("port @10k", "port @1"),
            ),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return [name for name, (_, threads) in _CROWDS.items() if effort is Effort.FULL or threads <= 100]

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        kind, threads = _CROWDS[contestant]
        return Sample(paced_sample(kind, threads, self.wakes[effort], SMALL_STACK_BYTES).cost)


class ParkedMemory(OneByOne):
    """Memory allocated per thread parked on a contestant, beyond that of a thread parked on a SimpleQueue.

    A thread parked there is the bare thread: it waits in C, and the queue keeps nothing for it. Counted by
    tracemalloc in the running process, which sees what the interpreter allocates and frees but not the pages
    of thread stacks; these are the thread's own and alike for all.
    """

    unit = Unit.BYTES
    threads: Mapping[Effort, int] = {Effort.WARM_UP: 10, Effort.QUICK: 200, Effort.FULL: 1_000}

    def __init__(self) -> None:
        super().__init__(
            "parked-memory",
            (
                Comparison(PORT, SIMPLE_QUEUE, 1024, Kind.DIFFERENCE),
                Comparison(QUEUE, SIMPLE_QUEUE, None, Kind.DIFFERENCE),
            ),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return PORT, SIMPLE_QUEUE, QUEUE

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        count = self.threads[effort]
        crew = Crew(open_channel(contestant), [_ignore] * (count + 1), SMALL_STACK_BYTES)
        tracemalloc.start()
        try:
            crew.start(1)  # pays what the first waiter pays for all
            before = _traced_bytes()
            crew.start()
            held = _traced_bytes() - before
        finally:
            tracemalloc.stop()
        crew.dismiss()
        return Sample(held / count)


def _ignore(_: int) -> None:
    return None


def _traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
