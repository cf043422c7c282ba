"""W8: executors, with tasks that do nothing, that block, and that do both; and what detecting blocking costs."""

from __future__ import annotations

import heapq
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as OutOfPatience
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import accumulate, pairwise, repeat
from random import Random
from statistics import quantiles
from typing import Any

from ..contestants import CONCURRENCY
from ..measure import Comparison, Effort, Kind, OneByOne, Sample, WrongResult
from ..staging import context_switches, settle, spin, turns_for

EXECUTOR = "executor"
POOL_N = f"pool({CONCURRENCY})"
POOL_4N = f"pool({4 * CONCURRENCY})"
POOL_64 = "pool(64)"
POOL_SIZES = {POOL_N: CONCURRENCY, POOL_4N: 4 * CONCURRENCY, POOL_64: 64}

WORKERS = 64
SLEEP_SECONDS = 0.001
COMPUTE_SECONDS = 0.0002

SWITCHES_PER_TASK = "switches/task"
MEAN_RUNNABLE = "mean runnable"
MOST_RUNNABLE = "most runnable"

Blocking = Callable[[], AbstractContextManager[None]]
Interval = tuple[float, float]


@dataclass(slots=True)
class Notes:
    """What tasks note of themselves, in seconds of `perf_counter`."""

    inside: list[Interval] = field(default_factory=list[Interval])
    """From the begin of a task to its end."""
    runnable: list[Interval] = field(default_factory=list[Interval])
    """While a task could have run; that includes waiting for the GIL or a processor, once its sleep was over."""


Work = Callable[[int, Notes], object]


def open_executor(contestant: str) -> tuple[Executor, Blocking]:
    """A fresh executor, and what its tasks put around a wait."""
    if contestant == EXECUTOR:
        import iocp_emu  # here, so that listing workloads and testing the harness need no product

        executor: Executor = iocp_emu.CompletionPortExecutor(WORKERS, CONCURRENCY)
        return executor, iocp_emu.blocking
    return ThreadPoolExecutor(POOL_SIZES[contestant]), nullcontext


def run_all(executor: Executor, task: Callable[[int], object], count: int) -> float:
    """Submit `count` tasks and wait for all; seconds per task.  Raises what a task raised."""
    start = time.perf_counter()
    futures = [executor.submit(task, number) for number in range(count)]
    wait(futures)
    elapsed = time.perf_counter() - start
    for future in futures:
        future.result()
    return elapsed / count


class _ExecutorWorkload(OneByOne):
    """What the workloads with tasks share: a warm executor, checks, counts."""

    tasks: Mapping[Effort, int]

    def __init__(self, name: str, comparisons: Sequence[Comparison]) -> None:
        super().__init__(name, comparisons)
        self._contestants = tuple(
            dict.fromkeys(
                name for each in comparisons if each.kind is Kind.RATIO for name in (each.ours, each.peer)
            )
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return self._contestants

    @contextmanager
    def staged(self, blocking: Blocking) -> Generator[Work, None, None]:
        """The work of one task."""
        raise NotImplementedError

    def cost(self, seconds_per_task: float, notes: Notes) -> float:
        """What the table shows."""
        return seconds_per_task

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        count = self.tasks[effort]
        executor, blocking = open_executor(contestant)
        ran: list[int] = []
        notes = Notes()
        with executor, self.staged(blocking) as work:

            def task(number: int) -> None:
                work(number, notes)
                ran.append(number)

            run_all(executor, task, min(count, 2 * WORKERS))  # so that its threads exist
            settle()
            ran.clear()
            notes.inside.clear()
            notes.runnable.clear()
            before = context_switches()
            seconds = run_all(executor, task, count)
            after = context_switches()
        if sorted(ran) != list(range(count)):
            raise WrongResult(f"{len(ran)} of {count} tasks ran, or some twice")
        curve = runnable_curve(notes.runnable)
        figures = runnable_figures(curve)
        if before is not None and after is not None:
            figures[SWITCHES_PER_TASK] = (after - before) / count
        return Sample(self.cost(seconds, notes), figures, curve)


def runnable_curve(intervals: Sequence[Interval]) -> list[tuple[float, int]]:
    """How many tasks were runnable at once, from each moment on at which that changed; the first moment is 0.0."""
    changes = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    levels = accumulate(step for _, step in changes)
    return [(moment - changes[0][0], level) for (moment, _), level in zip(changes, levels, strict=True)]


def runnable_figures(curve: Sequence[tuple[float, int]]) -> dict[str, float]:
    """The mean of a curve over the time when any task was runnable, and the most."""
    if not curve:
        return {}
    busy = total = 0.0
    for (start, level), (end, _) in pairwise(curve):
        if level:
            busy += end - start
            total += level * (end - start)
    return {MEAN_RUNNABLE: total / busy if busy else 0.0, MOST_RUNNABLE: float(max(level for _, level in curve))}


class SubmitWait(_ExecutorWorkload):
    """W8a: submit calls that do nothing and wait for all; time per call."""

    tasks: Mapping[Effort, int] = {Effort.WARM_UP: 200, Effort.QUICK: 3_000, Effort.FULL: 10_000}

    def __init__(self) -> None:
        super().__init__("submit", (Comparison(EXECUTOR, POOL_N, goal=0.35),))

    @contextmanager
    def staged(self, blocking: Blocking) -> Generator[Work, None, None]:
        yield lambda number, notes: None


class Sleepers(_ExecutorWorkload):
    """W8b: tasks that sleep 1 ms; time per task until all have ended."""

    tasks: Mapping[Effort, int] = {Effort.WARM_UP: 100, Effort.QUICK: 600, Effort.FULL: 2_000}

    def __init__(self) -> None:
        super().__init__(
            "sleepers",
            (Comparison(EXECUTOR, POOL_N, goal=0.15), Comparison(EXECUTOR, POOL_4N), Comparison(EXECUTOR, POOL_64)),
        )

    @contextmanager
    def staged(self, blocking: Blocking) -> Generator[Work, None, None]:
        def work(number: int, notes: Notes) -> None:
            with blocking():
                time.sleep(SLEEP_SECONDS)

        yield work


class _Mixed(_ExecutorWorkload):
    """Tasks that compute for 0.2 ms and then sleep 1 ms."""

    tasks: Mapping[Effort, int] = {Effort.WARM_UP: 100, Effort.QUICK: 600, Effort.FULL: 2_000}

    @contextmanager
    def staged(self, blocking: Blocking) -> Generator[Work, None, None]:
        turns = turns_for(COMPUTE_SECONDS)

        def work(number: int, notes: Notes) -> None:
            start = time.perf_counter()
            spin(turns)
            with blocking():
                time.sleep(SLEEP_SECONDS)
            notes.inside.append((start, time.perf_counter()))

        yield work


class MixedInside(_Mixed):
    """W8c: 0.2 ms of computing, then 1 ms of sleep; time inside a task, 95th percentile."""

    def __init__(self) -> None:
        super().__init__("inside-p95", (Comparison(EXECUTOR, POOL_64, goal=0.1), Comparison(EXECUTOR, POOL_4N)))

    def cost(self, seconds_per_task: float, notes: Notes) -> float:
        return quantiles((end - start for start, end in notes.inside), n=20)[-1]


class MixedThroughput(_Mixed):
    """W8c: the same tasks; time per task until all have ended (0.9 of the throughput is 1.11x the time)."""

    def __init__(self) -> None:
        super().__init__("inside-rate", (Comparison(EXECUTOR, POOL_64, goal=1 / 0.9), Comparison(EXECUTOR, POOL_4N)))


class _Blocked(_ExecutorWorkload):
    """The benefit: tasks that compute a little and then block; time per task, tasks runnable at once, switches."""

    tasks: Mapping[Effort, int] = {Effort.WARM_UP: 100, Effort.QUICK: 400, Effort.FULL: 1_500}

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            (
                Comparison(EXECUTOR, POOL_N),
                Comparison(EXECUTOR, POOL_4N),
                Comparison(EXECUTOR, MEAN_RUNNABLE, kind=Kind.FIGURE),
                Comparison(EXECUTOR, SWITCHES_PER_TASK, kind=Kind.FIGURE),
            ),
        )

    @contextmanager
    def waits(self) -> Generator[Callable[[int], float], None, None]:
        """What each task does that blocks, given its number; it returns when the wait was over."""
        raise NotImplementedError

    @contextmanager
    def staged(self, blocking: Blocking) -> Generator[Work, None, None]:
        turns = turns_for(COMPUTE_SECONDS / 4)
        with self.waits() as block:

            def work(number: int, notes: Notes) -> None:
                start = time.perf_counter()
                spin(turns)
                blocks = time.perf_counter()
                with blocking():
                    wakes = block(number)
                goes_on = time.perf_counter()
                notes.runnable.append((start, blocks))
                notes.runnable.append((min(wakes, goes_on), goes_on))

            yield work


class BlockedBySleep(_Blocked):
    """Benefit: 0.05 ms of computing, then a sleep of 1 ms."""

    def __init__(self) -> None:
        super().__init__("block-sleep")

    @contextmanager
    def waits(self) -> Generator[Callable[[int], float], None, None]:
        yield sleep


class BlockedBySocket(_Blocked):
    """Benefit: 0.05 ms of computing, then a round trip to a server that answers after 1 ms."""

    def __init__(self) -> None:
        super().__init__("block-socket")

    @contextmanager
    def waits(self) -> Generator[Callable[[int], float], None, None]:
        pairs = [socket.socketpair() for _ in range(WORKERS)]
        free = [near for near, _ in pairs]  # `pop` and `append` are atomic
        server = threading.Thread(target=_answer_late, args=([far for _, far in pairs],), daemon=True)
        server.start()

        def round_trip(number: int) -> float:
            connection = free.pop()
            connection.send(b"?")
            (answered,) = MOMENT.unpack(connection.recv(MOMENT.size))
            free.append(connection)
            return float(answered)

        try:
            yield round_trip
        finally:
            for near, _ in pairs:
                near.close()
            server.join()
            for _, far in pairs:
                far.close()


MOMENT = struct.Struct("d")
"""What the server answers: seconds of `perf_counter`."""


def sleep(number: int) -> float:
    """Sleep; when that was over."""
    over = time.perf_counter() + SLEEP_SECONDS
    time.sleep(SLEEP_SECONDS)
    return over


def _answer_late(connections: Sequence[socket.socket]) -> None:
    """Answer each byte after `SLEEP_SECONDS` with the moment of the answer, until all connections are closed."""
    by_number = {connection.fileno(): connection for connection in connections}
    due: list[tuple[float, int]] = []
    while by_number:
        patience = max(0.0, due[0][0] - time.monotonic()) if due else None
        readable, _, _ = select.select(list(by_number), [], [], patience)
        for number in readable:
            if by_number[number].recv(1):
                heapq.heappush(due, (time.monotonic() + SLEEP_SECONDS, number))
            else:
                del by_number[number]
        while due and due[0][0] <= time.monotonic():
            by_number[heapq.heappop(due)[1]].send(MOMENT.pack(time.perf_counter()))


class BlockedByLock(_Blocked):
    """Benefit: 0.05 ms of computing, then one of eight locks, held for 1 ms."""

    def __init__(self) -> None:
        super().__init__("block-lock")

    @contextmanager
    def waits(self) -> Generator[Callable[[int], float], None, None]:
        locks = [threading.Lock() for _ in range(8)]

        def hold(number: int) -> float:
            with locks[number % len(locks)]:
                return sleep(number)

        yield hold


STUCK = "stuck"
"""Share of the outermost tasks in which some wait had to be given up."""


class Nested(OneByOne):
    """Benefit: tasks that submit a task and wait for it, eight deep, as many at once as may run; how many get stuck.

    Who has no thread left for the task that is waited for is stuck; so that the run goes on, each wait is given up
    after `patience_seconds`, much longer than all the work takes.  Time is not compared: the stuck ones have none.
    """

    depth = 8
    patience_seconds = 1.0

    def __init__(self) -> None:
        super().__init__(
            "nested", (Comparison(EXECUTOR, STUCK, 0, Kind.FIGURE), Comparison(POOL_N, STUCK, None, Kind.FIGURE))
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return EXECUTOR, POOL_N

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        executor, _ = open_executor(contestant)
        all_run = threading.Barrier(CONCURRENCY)

        def descend(levels: int) -> int:
            if levels == self.depth:
                all_run.wait()  # every thread of the smaller pool is taken now
            if levels == 0:
                return 1
            below = executor.submit(descend, levels - 1)
            try:
                return 1 + below.result(self.patience_seconds)
            except OutOfPatience:
                below.cancel()
                return 1

        with executor:
            start = time.perf_counter()
            depths = [each.result() for each in [executor.submit(descend, self.depth) for _ in range(CONCURRENCY)]]
            elapsed = time.perf_counter() - start
        return Sample(elapsed, {STUCK: sum(depth <= self.depth for depth in depths) / CONCURRENCY})


DETECTED = "detected"
PLAIN = "plain"


class DetectionCost(OneByOne):
    """A call that does not wait, in a worker: with `detect_blocking()` against without it; time per call."""

    def __init__(self, name: str, make_call: Callable[[], Callable[[], object]]) -> None:
        super().__init__(name, (Comparison(DETECTED, PLAIN),))
        self._make_call = make_call

    def contestants(self, effort: Effort) -> Sequence[str]:
        return DETECTED, PLAIN

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        import iocp_emu

        count = {Effort.WARM_UP: 100, Effort.QUICK: 5_000, Effort.FULL: 20_000}[effort]
        detection: AbstractContextManager[Any] = iocp_emu.detect_blocking() if contestant == DETECTED else nullcontext()
        with detection, iocp_emu.CompletionPortExecutor(1, 1) as executor:
            return Sample(executor.submit(_time_calls, self._make_call(), count).result() / count)


def _time_calls(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in repeat(None, count):
        call()
    return time.perf_counter() - start


def _sleep_for_no_time() -> Callable[[], object]:
    return lambda: time.sleep(0)


def _take_a_free_lock() -> Callable[[], object]:
    lock = threading.Lock()

    def take() -> None:
        with lock:
            pass

    return take


BENEFIT_WORKLOADS = (BlockedBySleep(), BlockedBySocket(), BlockedByLock(), Nested())
"""What a pool that keeps N threads running is for."""

EXECUTOR_WORKLOADS = (
    SubmitWait(),
    Sleepers(),
    MixedInside(),
    MixedThroughput(),
    *BENEFIT_WORKLOADS,
    DetectionCost("detect-sleep", _sleep_for_no_time),
    DetectionCost("detect-lock", _take_a_free_lock),
)
