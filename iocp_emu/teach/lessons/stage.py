"""What the programs of lessons share: waiting for a condition, keeping busy, and starting workers in a known order.

Theory.  A lesson shows what follows from an order of events, so it has to bring that order about, on virtual threads
and on real ones alike.  Nothing sleeps and hopes: each step waits until the one before it is to be seen.

Own rule.  Whoever waits longer than `PATIENCE_SECONDS` is stuck for good and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, TypeVar

from ... import CompletionPort, Packet, PortClosed, Simulation, SpawnedThread, compute, current_system, sleep, spawn

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
STEP_SECONDS = 0.001

HELPERS = {
    "until": "waits until a condition holds, looking once a millisecond",
    "busy_until": "computes until a condition holds: the thread stays runnable",
    "start_parked": "starts the workers one by one, each when the one before it waits in get",
    "dismiss": "closes the port, which ends the workers that still wait in get, and joins all",
    "poll": "get with timeout 0: says what came of it",
    "outcome": "what became of a request: its bytes, or its error",
    "now": "the time in seconds",
}
"""What each function here does, in a line for learners."""


class StageStuck(RuntimeError):
    """A condition that a program waits for did not come true."""


def until(condition: Callable[[], object]) -> None:
    """Wait until `condition()` is true.  Blocks, visibly (Q-23).  Raises `StageStuck` after half a minute."""
    end = now() + PATIENCE_SECONDS
    while not condition():
        if now() > end:
            raise StageStuck(f"nothing has happened for {PATIENCE_SECONDS:.0f} seconds")
        sleep(STEP_SECONDS)


def busy_until(condition: Callable[[], object]) -> None:
    """Compute until `condition()` is true: runnable throughout, so the slot stays taken (Q-29).  Raises as `until`."""
    end = now() + PATIENCE_SECONDS
    while not condition():
        if now() > end:
            raise StageStuck(f"busy for {PATIENCE_SECONDS:.0f} seconds, and nothing has happened")
        compute(STEP_SECONDS)


def start_parked(port: CompletionPort, worker: Callable[[str], T], names: Iterable[str]) -> list[SpawnedThread[T]]:
    """Start `worker(name)` for each name, and wait each time until that thread is parked on the port.  Blocks."""
    threads: list[SpawnedThread[T]] = []
    for waiting, name in enumerate(names, start=port.waiting + 1):
        threads.append(spawn(worker, name, name=name))
        _until_waiting(port, waiting)
    return threads


def _until_waiting(port: CompletionPort, number: int) -> None:
    until(lambda: port.waiting == number)


def dismiss(port: CompletionPort, threads: Iterable[SpawnedThread[Any]]) -> None:
    """Close the port and join the threads; those that waited end with `PortClosed` (O-21), which is no error here."""
    port.close()
    for thread in threads:
        try:
            thread.join()
        except PortClosed:
            pass


def poll(port: CompletionPort) -> str:
    """Take a packet if that is possible at once; in words, what came of it.  Never blocks.  Raises `PortClosed`."""
    try:
        return f"packet {port.get(timeout=0).key}"
    except TimeoutError:
        return "nothing, timeout"


def outcome(packet: Packet) -> str:
    """What became of the request of a packet, in words."""
    return f"{packet.bytes} bytes" if packet.error is None else f"error {packet.error.winerror}"


def now() -> float:
    """The time in seconds: virtual in a simulation."""
    system = current_system()
    return system.now if isinstance(system, Simulation) else perf_counter()
