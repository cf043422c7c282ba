"""L20: a timeout is not the end of belonging to a port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ... import CompletionPort, Event, spawn
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, dismiss, poll, start_parked, until


def program(concurrency: int = 1) -> Facts:
    """A has asked once, in vain, and computes; B waits; a packet comes."""
    port = CompletionPort(concurrency)
    asked: list[str] = []
    taken: list[str] = []
    wait_now, done = Event(), Event()

    def passer_by() -> None:
        asked.append(poll(port))
        busy_until(wait_now.is_set)  # has no packet, and does not want any
        done.wait()

    def worker(name: str) -> None:
        port.get()
        taken.append(name)

    first = spawn(passer_by, name="A")
    until(lambda: asked)
    threads = start_parked(port, worker, "B")
    port.post()
    depth, waiting = port.depth, port.waiting
    wait_now.set()
    until(lambda: taken)
    done.set()
    first.join()
    dismiss(port, threads)
    return {
        "A asked once": asked[0],
        "after the post": f"{depth} queued, {waiting} waits",
        "when A waits for something else, the packet goes to": taken[0],
    }


STARTER = """\
# A monitor wants to know how many packets are queued, every 10 ms, ten times.
# This one asks the port for a packet to see whether there is one, and so
# becomes one of its threads. Let it find out without taking part.
#
# It returns the list of ten depths.

from iocp_emu import compute


def monitor(port):
    depths = []
    for _ in range(10):
        try:
            port.get(timeout=0)
            depths.append(1)
        except TimeoutError:
            depths.append(0)
        compute(0.010)
    return depths
"""

SOLUTION = """\
from iocp_emu import compute


def monitor(port):
    depths = []
    for _ in range(10):
        depths.append(port.depth)
        compute(0.010)
    return depths
"""


def judge(attempt: Attempt) -> None:
    """One worker may run; the monitor must not take its slot, nor its packets."""
    monitor: Callable[..., Any] = attempt.function("monitor")

    def look() -> tuple[int, int, Any]:
        port = CompletionPort(concurrency=1)
        taken: list[Any] = []

        def worker(_: str) -> None:
            while True:
                taken.append(port.get())

        threads = start_parked(port, worker, "W")
        watcher = spawn(monitor, port, name="monitor")
        until(lambda: not watcher.is_alive() or port.active)
        counted = port.active
        for _ in range(3):
            port.post()
        depths = watcher.join()
        until(lambda: port.waiting == 1)
        dismiss(port, threads)
        return counted, len(taken), depths

    counted, taken, depths = attempt.simulate(look)
    expect(taken == 3, f"of the worker's three packets the monitor has taken {3 - taken}")
    expect(not counted, "the monitor counts as a running thread of the port, and the worker has to wait for it")
    expect(
        isinstance(depths, list) and len(cast(list[object], depths)) == 10, "monitor should return a list of ten depths"
    )


LESSON = Lesson(
    id="L20",
    name="timeouts",
    title="Who has asked once takes a slot",
    question=Question(
        "Concurrency value 1. Thread A asks with timeout 0, gets nothing, and computes something of its own. B waits "
        "in get. No packet is being worked on. Now one is posted. What happens?",
        "after the post",
        (
            Choice("It stays in the queue, and B waits.", "1 queued, 1 waits"),
            Choice("B gets it: nobody else is at work on a packet.", "0 queued, 0 waits"),
        ),
    ),
    program=program,
    limits={"concurrency": (1, 100)},
    explanation=(
        "The port does not count packets at work; it counts its threads that are runnable. A has called get once, so "
        "it is one of them, and it computes: that is one, and one is the limit. The packet stays until A waits for "
        "something, or ends, and so lets B have it; or until A asks again, and takes it itself.",
        "The same for a timeout that passes: whoever returns from get runs, with a packet or without. So let no "
        "thread poll a port that does not serve it.",
    ),
    rules=("Q-24", "Q-30", "A-03"),
    sentences=(),
    answers={
        5: "Yes: as long as it is runnable it takes one of the slots, though it may never ask again (A-03). It frees "
        "it when it blocks, ends, or asks another port. No memory is set aside for the value: it is a number to "
        "compare with (Q-01).",
    },
    variation=Variation({"concurrency": 2}, "With 2 there is a slot for B, and the packet goes to it at once."),
    exercise=Exercise("Let a monitor watch a port without becoming one of its threads.", STARTER, SOLUTION, judge),
)
