"""W1, W1d and W6: what a packet costs when nobody else is there: singly, behind many others, in batches.

One thread needs no staging, so all contestants stand side by side and take turns in short slices, in shuffled
order. A sample is the lower quartile of its slices: other programs only ever make a slice longer, some of them by
half or more for as long as they compute beside it, and a median may then compare one contestant's quiet slices with
another's disturbed ones. A slice is far shorter than what a scheduler gives a thread at a time, even that of the
slowest: else a slow contestant has no slice that is undisturbed, and the fast one gains.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from random import Random

from ..contestants import DEQUE, PORT, QUEUE, SIMPLE_QUEUE, WINE, WINE_IN_QUEUES, open_channel
from ..measure import Comparison, Effort, OneByOne, Sample, Workload, WrongResult
from ..staging import check_in_order, undisturbed

BATCH = 64


class _Pairs:
    """A channel kept at one depth: a slice posts as many packets as it takes."""

    def __init__(self, contestant: str, depth: int) -> None:
        self.channel = open_channel(contestant)
        self._depth = depth
        self._taken = 0
        self.costs: list[float] = []
        for number in range(depth):
            self.channel.put(self.channel.payload(number))

    def slice(self, count: int) -> None:
        """Post and take `count` packets and note the cost of one, after an untimed pair."""
        self._post_and_take(1)  # moves the thread's association and warms its caches
        self.costs.append(self._post_and_take(count) / count)

    def _post_and_take(self, count: int) -> float:
        newest = self._depth + self._taken
        payloads = [self.channel.payload(number) for number in range(newest, newest + count)]
        put, take = self.channel.put, self.channel.take
        numbers: list[int] = []
        keep = numbers.append
        start = time.perf_counter()
        for payload in payloads:
            put(payload)
            keep(take().bytes)
        elapsed = time.perf_counter() - start
        check_in_order(numbers, self._taken, count)
        self._taken += count
        return elapsed


class _SideBySide(Workload):
    """Post and get on one thread, each level a contestant at a depth."""

    levels: Mapping[str, tuple[str, int]]
    slices: Mapping[Effort, tuple[int, int]]  # how many, of how many packets

    def repeat(self, effort: Effort, random: Random) -> dict[str, Sample]:
        rounds, count = self.slices[effort]
        gc.collect()
        pairs = {name: _Pairs(*level) for name, level in self.levels.items()}
        for _ in range(rounds):
            for name in random.sample(list(pairs), len(pairs)):
                try:
                    pairs[name].slice(count)
                except WrongResult as wrong:
                    raise WrongResult(f"{name}: {wrong}") from wrong
        for pair in pairs.values():
            pair.channel.close()
        return {name: Sample(undisturbed(pair.costs)) for name, pair in pairs.items()}


class OneThread(_SideBySide):
    """One thread posts a packet and gets it back, over and over; cost per packet.

    A deque is the limit: no lock, no wait. Wine's own port is a noted figure, scaled by the queue of this run.
    """

    levels: Mapping[str, tuple[str, int]] = {name: (name, 0) for name in (PORT, QUEUE, SIMPLE_QUEUE, DEQUE)}
    slices: Mapping[Effort, tuple[int, int]] = {
        Effort.WARM_UP: (1, 200),
        Effort.QUICK: (60, 200),
        Effort.FULL: (250, 200),
    }

    def __init__(self) -> None:
        super().__init__(
            "one-thread",
            (
                Comparison(PORT, QUEUE, goal=0.20),
                Comparison(PORT, SIMPLE_QUEUE),
                Comparison(PORT, DEQUE),
                Comparison(PORT, WINE, goal=1 / 25),
            ),
        )

    def repeat(self, effort: Effort, random: Random) -> dict[str, Sample]:
        samples = super().repeat(effort, random)
        samples[WINE] = Sample(samples[QUEUE].cost * WINE_IN_QUEUES)
        return samples


class Depth(_SideBySide):
    """One thread posts and gets while 10, 10^3 or 10^6 packets are queued; cost per packet.

    Flat if nothing searches. The rows of SimpleQueue show what cold memory costs any queue.
    """

    levels: Mapping[str, tuple[str, int]] = {
        "port @10": (PORT, 10),
        "port @1k": (PORT, 10**3),
        "port @1M": (PORT, 10**6),
        "SimpleQueue @10": (SIMPLE_QUEUE, 10),
        "SimpleQueue @1M": (SIMPLE_QUEUE, 10**6),
    }
    slices: Mapping[Effort, tuple[int, int]] = {
        Effort.WARM_UP: (1, 100),
        Effort.QUICK: (15, 500),
        Effort.FULL: (25, 2_000),  # longer than the queue of 1,000, whose packets the slices before have driven out
    }

    def __init__(self) -> None:
        super().__init__(
            "depth",
            (
                Comparison("port @1k", "port @10", goal=1.03),
                Comparison("port @1M", "port @10", goal=1.10),
                Comparison("SimpleQueue @1M", "SimpleQueue @10"),
                Comparison("port @1M", "SimpleQueue @1M"),
            ),
        )


class Batch(OneByOne):
    """One thread takes 64 queued packets by one `get_many(64)` and reads each; cost per packet taken.

    Contestants without batches take one after the other. Putting the packets is not in the time. A sample is
    the lower quartile of its batches.
    """

    batches: Mapping[Effort, int] = {Effort.WARM_UP: 20, Effort.QUICK: 200, Effort.FULL: 600}

    def __init__(self) -> None:
        super().__init__(
            f"batch-{BATCH}",
            (
                Comparison(PORT, QUEUE, goal=0.07),
                Comparison(PORT, SIMPLE_QUEUE),
                Comparison(PORT, DEQUE),
            ),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return PORT, QUEUE, SIMPLE_QUEUE, DEQUE

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        batches = self.batches[effort]
        channel = open_channel(contestant)
        put, take_many, now = channel.put, channel.take_many, time.perf_counter
        numbers: list[int] = []
        costs: list[float] = []
        for batch in range(batches):
            for number in range(batch * BATCH, (batch + 1) * BATCH):
                put(channel.payload(number))
            start = now()
            numbers.extend([received.bytes for received in take_many(BATCH)])
            costs.append((now() - start) / BATCH)
        channel.close()
        check_in_order(numbers, 0, batches * BATCH)
        return Sample(undisturbed(costs))
