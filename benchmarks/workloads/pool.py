"""W3: a pool of parked workers, given packets in a burst or one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from threading import Barrier, Lock, get_ident
from typing import Any, Protocol

from ..contestants import CONCURRENCY, PORT, QUEUE, SIMPLE_QUEUE, THREAD_POOL, open_channel
from ..measure import Comparison, Effort, Kind, OneByOne, Sample
from ..staging import Crew, check_shared_out, context_switches, settle, spin, turns_for

Handler = Callable[[int], object]

WORKERS_TOUCHED = "workers touched"
SWITCHES_PER_PACKET = "switches/packet"
PROCESSOR_TIME = "processor us/packet"


class Pool(Protocol):
    """Parked workers, one handler each, that packets can be posted to."""

    @property
    def post(self) -> Callable[[Any], object]: ...

    @property
    def payload(self) -> Callable[[int], Any]: ...

    def stop(self) -> None: ...


class ChannelPool:
    """Threads that loop over one channel."""

    def __init__(self, contestant: str, handlers: Sequence[Handler], stack_bytes: int = 0) -> None:
        channel = open_channel(contestant)
        self.post = channel.put
        self.payload = channel.payload
        self._crew = Crew(channel, handlers, stack_bytes)
        self._crew.start()

    def stop(self) -> None:
        self._crew.dismiss()


class ExecutorPool:
    """`ThreadPoolExecutor` with all threads started; a packet is a call of the taking thread's handler."""

    def __init__(self, handlers: Sequence[Handler]) -> None:
        self._executor = ThreadPoolExecutor(len(handlers))
        self._handler_of: dict[int, Handler] = {}
        everybody = Barrier(len(handlers))
        for future in [self._executor.submit(self._adopt, handler, everybody) for handler in handlers]:
            future.result()
        submit: Callable[..., object] = self._executor.submit
        self.post = partial(submit, self._handle)
        settle()

    def _adopt(self, handler: Handler, everybody: Barrier) -> None:
        self._handler_of[get_ident()] = handler
        everybody.wait()  # holds this thread, so that the next task starts another one

    def _handle(self, number: int) -> None:
        self._handler_of[get_ident()](number)

    def payload(self, number: int) -> Any:
        return number

    def stop(self) -> None:
        self._executor.shutdown()


def open_pool(contestant: str, handlers: Sequence[Handler], stack_bytes: int = 0) -> Pool:
    """The named contestant with one parked worker per handler."""
    if contestant == THREAD_POOL:
        return ExecutorPool(handlers)
    return ChannelPool(contestant, handlers, stack_bytes)


def figures(
    logs: Sequence[Sequence[int]], switches_before: int | None, switches_after: int | None
) -> dict[str, float]:
    """How many workers handled a packet, and context switches per packet where the platform counts them."""
    counted: dict[str, float] = {WORKERS_TOUCHED: sum(1 for log in logs if log)}
    if switches_before is not None and switches_after is not None:
        counted[SWITCHES_PER_PACKET] = (switches_after - switches_before) / sum(map(len, logs))
    return counted


class _PoolWorkload(OneByOne):
    """What burst and paced share."""

    packets: Mapping[Effort, int]

    def __init__(self, name: str, workers: int, comparisons: Sequence[Comparison]) -> None:
        super().__init__(name, comparisons)
        self.workers = workers

    def contestants(self, effort: Effort) -> Sequence[str]:
        return PORT, QUEUE, SIMPLE_QUEUE, THREAD_POOL


class Burst(_PoolWorkload):
    """A producer posts a burst to a pool of parked workers; time per packet until the last is handled.

    Counted besides: the workers that handled at least one packet, and context switches and processor time of
    the process per packet: the time that others on the machine do not add to. A burst is long because
    `queue.Queue` falls into step with its lock only after some thousands of packets; a short one would flatter it.
    """

    def __init__(self, workers: int, *, goal: float | None = None, work_seconds: float = 0.0) -> None:
        self.work_seconds = work_seconds
        comparisons = [
            Comparison(PORT, QUEUE, goal=goal),
            Comparison(PORT, SIMPLE_QUEUE),
            Comparison(PORT, THREAD_POOL),
        ]
        if workers > 1:
            comparisons.append(Comparison(PORT, WORKERS_TOUCHED, CONCURRENCY, Kind.FIGURE))
        if workers > 1 and not work_seconds:
            comparisons.append(Comparison(PORT, SWITCHES_PER_PACKET, 0.005, Kind.FIGURE))
        name = f"burst-{workers}"
        self.packets = {Effort.WARM_UP: 300, Effort.QUICK: 10_000, Effort.FULL: 20_000}
        if work_seconds:
            name += f"-{work_seconds * 1e6:.0f}us"
            self.packets = {Effort.WARM_UP: 100, Effort.QUICK: 1_500, Effort.FULL: 5_000}
        super().__init__(name, workers, comparisons)

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        count = self.packets[effort]
        to_go = list(range(count))  # `pop` is atomic with and without a GIL: whoever gets 0 is the last
        finished: list[float] = []
        all_handled = Lock()
        all_handled.acquire()
        turns = turns_for(self.work_seconds) if self.work_seconds else 0

        def handler(log: list[int]) -> Handler:
            keep = log.append

            def handle(number: int) -> None:
                keep(number)
                if turns:
                    spin(turns)
                if to_go.pop() == 0:
                    finished.append(time.perf_counter())
                    all_handled.release()

            return handle

        logs: list[list[int]] = [[] for _ in range(self.workers)]
        pool = open_pool(contestant, [handler(log) for log in logs])
        payloads = [pool.payload(number) for number in range(count)]
        post = pool.post
        switches = context_switches()
        used = time.process_time()
        start = time.perf_counter()
        for payload in payloads:
            post(payload)
        all_handled.acquire()
        counted = figures(logs, switches, context_switches())
        counted[PROCESSOR_TIME] = (time.process_time() - used) / count * 1e6
        pool.stop()
        check_shared_out(logs, count)
        return Sample((finished[0] - start) / count, counted)


class Paced(_PoolWorkload):
    """A producer posts a packet to a pool of parked workers and waits until it is handled; time per packet.

    A packet costs two wake-ups: the worker's and the producer's. Counted besides, as in a burst: workers
    and switches.
    """

    packets: Mapping[Effort, int] = {Effort.WARM_UP: 50, Effort.QUICK: 500, Effort.FULL: 2_000}

    def __init__(self, workers: int, *, goal: float | None = None) -> None:
        comparisons = [
            Comparison(PORT, QUEUE, goal=goal),
            Comparison(PORT, SIMPLE_QUEUE),
            Comparison(PORT, THREAD_POOL),
        ]
        if workers > 1:
            comparisons.append(Comparison(PORT, WORKERS_TOUCHED, 1, Kind.FIGURE))
        super().__init__(f"paced-{workers}", workers, comparisons)

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        return paced_sample(contestant, self.workers, self.packets[effort])


def paced_sample(contestant: str, workers: int, count: int, stack_bytes: int = 0) -> Sample:
    """One packet at a time through a pool of `workers` parked threads; seconds per packet, and the counts."""
    handled = Lock()
    handled.acquire()

    def handler(log: list[int]) -> Handler:
        keep, report = log.append, handled.release

        def handle(number: int) -> None:
            keep(number)
            report()

        return handle

    logs: list[list[int]] = [[] for _ in range(workers)]
    pool = open_pool(contestant, [handler(log) for log in logs], stack_bytes)
    payloads = [pool.payload(number) for number in range(count)]
    post, wait = pool.post, handled.acquire
    switches = context_switches()
    start = time.perf_counter()
    for payload in payloads:
        post(payload)
        wait()
    elapsed = time.perf_counter() - start
    counted = figures(logs, switches, context_switches())
    pool.stop()
    check_shared_out(logs, count)
    return Sample(elapsed / count, counted)
