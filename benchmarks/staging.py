"""What samples with threads need around the clock: parked crews, quiet, pinning, known work, checks.

Guarantee: when a crew is handed out, all its threads wait for packets and the process burns no processor
time, for a contestant that can tell its waiters and for one that cannot.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain, pairwise, repeat
from random import Random
from statistics import quantiles

from .contestants import STOP, Channel, Received
from .measure import Unavailable, WrongResult

SETTLE_SECONDS = 60.0
SMALL_STACK_BYTES = 256 * 1024  # for crowds: deep enough for any CPython here, little address space

_LOOK_SECONDS = 0.003
_QUIET_SHARE = 0.1


def settle() -> None:
    """Wait until this process is at rest: its threads have used less than a tenth of a short interval.

    Raises `WrongResult` after `SETTLE_SECONDS`.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        wall, used = time.monotonic(), time.process_time()
        time.sleep(_LOOK_SECONDS)
        if time.process_time() - used <= _QUIET_SHARE * (time.monotonic() - wall):
            return
        if time.monotonic() > deadline:
            raise WrongResult("the threads do not come to rest")


def wait_until_parked(channel: Channel, count: int) -> None:
    """Wait until `count` threads are parked in `channel.take`; `WrongResult` after `SETTLE_SECONDS`."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (waiting := channel.waiting()) is not None and waiting != count:
        if time.monotonic() > deadline:
            raise WrongResult(f"{waiting} of {count} threads are parked")
        time.sleep(_LOOK_SECONDS)
    settle()


@contextmanager
def stack_size(size_bytes: int) -> Generator[None, None, None]:
    """Give threads started inside a stack of `size_bytes`, 0 for the platform's usual one."""
    before = threading.stack_size(size_bytes)
    try:
        yield
    finally:
        threading.stack_size(before)


def _serve(take: Callable[[], Received], handle: Callable[[int], object]) -> None:
    while (number := take().bytes) != STOP:
        handle(number)


class Crew:
    """Threads parked on one channel, one handler each: `start` before the clock, `dismiss` after it."""

    def __init__(
        self, channel: Channel, handlers: Sequence[Callable[[int], object]], stack_bytes: int = 0
    ) -> None:
        self._channel = channel
        self._stack_bytes = stack_bytes
        self._threads = [
            threading.Thread(target=_serve, args=(channel.take, handle), daemon=True) for handle in handlers
        ]
        self._started = 0

    def start(self, count: int | None = None) -> None:
        """Start `count` more threads, by default all, and wait until every started one is parked.

        Raises `Unavailable`, with the crew dismissed, if the machine has no room for the threads.
        """
        until = len(self._threads) if count is None else self._started + count
        with stack_size(self._stack_bytes):
            for thread in self._threads[self._started : until]:
                try:
                    thread.start()
                except RuntimeError as full:
                    self.dismiss()
                    raise Unavailable(f"no room for more than {self._started} threads") from full
                self._started += 1
        wait_until_parked(self._channel, self._started)

    def dismiss(self) -> None:
        """Send each thread its stop packet, join all, close the channel. Blocks until they have ended."""
        started = self._threads[: self._started]
        for _ in started:
            self._channel.put(self._channel.payload(STOP))
        for thread in started:
            thread.join()
        self._channel.close()


def check_in_order(numbers: Sequence[int], start: int, count: int) -> None:
    """Raise `WrongResult` unless `numbers` is exactly `start`, `start` + 1, ... `count` of them."""
    for place, (found, expected) in enumerate(zip(numbers, range(start, start + count), strict=False)):
        if found != expected:
            raise WrongResult(f"packet {place} has number {found}, expected {expected}")
    if len(numbers) != count:
        raise WrongResult(f"{len(numbers)} packets arrived, expected {count}")


def check_shared_out(logs: Sequence[Sequence[int]], count: int) -> None:
    """Raise `WrongResult` unless the logs hold 0 to `count` - 1 exactly once, ascending within each log."""
    for worker, log in enumerate(logs):
        for earlier, later in pairwise(log):
            if later <= earlier:
                raise WrongResult(f"worker {worker} got packet {later} after packet {earlier}")
    check_in_order(sorted(chain.from_iterable(logs)), 0, count)


if sys.platform == "win32":

    def context_switches() -> int | None:
        """Context switches of this process so far; None where the platform does not tell."""
        return None

else:
    import resource

    def context_switches() -> int | None:
        """Context switches of this process so far; None where the platform does not tell."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_nvcsw + usage.ru_nivcsw


@contextmanager
def pinned(random: Random) -> Generator[None, None, None]:
    """Keep the calling thread and those it starts on one processor, where the platform can do that."""
    if sys.platform == "linux":
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {random.choice(sorted(allowed))})
        try:
            yield
        finally:
            os.sched_setaffinity(0, allowed)
    else:
        yield


def undisturbed(values: Sequence[float]) -> float:
    """The lower quartile of like measurements: other programs only ever make one longer."""
    return quantiles(values, n=4, method="inclusive")[0] if len(values) > 1 else values[0]


def spin(turns: int) -> None:
    """Keep the processor busy for `turns` turns of an empty loop."""
    for _ in repeat(None, turns):
        pass


@cache
def turns_for(seconds: float) -> int:
    """How many turns of `spin` last `seconds` here; measured once, so that all do the same work."""
    turns = 20_000
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        spin(turns)
        best = min(best, time.perf_counter() - start)
    return max(1, round(seconds * turns / best))


def widen_futex_hash() -> bool:
    """On Linux 6.16 and newer give this process 4096 futex hash slots; False where that cannot be.

    Those kernels give a process a private table that starts small; with 10^4 parked locks every wake-up
    searches long chains, whichever contestant makes it. Asked for once per run, for all contestants alike.
    """
    if sys.platform != "linux":
        return False
    import ctypes

    set_futex_hash, set_slots, slots = 78, 1, 4096
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return False
    arguments = (ctypes.c_ulong(argument) for argument in (set_slots, slots, 0, 0))
    return bool(prctl(set_futex_hash, *arguments) == 0)
