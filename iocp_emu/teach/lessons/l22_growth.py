"""L22: a queue without an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Event, compute, spawn
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import dismiss, until


def program(packets: int = 5000) -> Facts:
    """Nobody takes anything."""
    port = CompletionPort(concurrency=1)
    refused = 0
    for number in range(packets):
        try:
            port.post(key=number)
        except OSError:
            refused += 1
    depth = port.depth
    first = port.get().key
    return {
        "posts": packets,
        "posts refused": refused,
        "packets queued": depth,
        "the first one taken": first,
    }


STARTER = '''\
# The producer posts 100 packets, the worker needs 10 ms for each. Keep at
# most LIMIT packets in the queue: the producer waits when there are so many.
# `event` is an Event: event.set(), event.reset(), event.wait()

LIMIT = 5


def produce(port, event):
    for number in range(100):
        port.post(key=number)


def handled(port, event):
    """Called by the worker after each packet."""
'''

SOLUTION = """\
LIMIT = 5


def produce(port, event):
    for number in range(100):
        while port.depth >= LIMIT:
            event.reset()
            if port.depth >= LIMIT:
                event.wait()
        port.post(key=number)


def handled(port, event):
    event.set()
"""


def judge(attempt: Attempt) -> None:
    """All packets, never more than the limit in the queue."""
    produce: Callable[..., Any] = attempt.function("produce")
    handled: Callable[..., Any] = attempt.function("handled")
    limit = attempt.whole("LIMIT", 1, 50)

    def look() -> tuple[int, int]:
        port = CompletionPort(concurrency=1)
        event = Event()
        deepest = 0
        keys: list[Any] = []

        def worker() -> None:
            nonlocal deepest
            while len(keys) < 100:
                deepest = max(deepest, port.depth)
                keys.append(port.get().key)
                compute(0.010)
                handled(port, event)

        threads = [spawn(worker, name="worker"), spawn(produce, port, event, name="producer")]
        until(lambda: len(keys) == 100)
        dismiss(port, threads)
        return deepest, len(set(keys))

    deepest, different = attempt.simulate(look, limit_seconds=5.0)
    expect(different == 100, f"of 100 packets {different} different ones came")
    expect(deepest <= limit, f"{deepest} packets were queued at a time, LIMIT is {limit}")


LESSON = Lesson(
    id="L22",
    name="growth",
    title="The queue grows as long as you post",
    question=Question(
        "Concurrency value 1, and nobody takes packets. The program posts 5000 of them. How many posts are refused?",
        "posts refused",
        (
            Choice("4999: the port holds as many packets as its value.", 4999),
            Choice("904: a port holds 4096 packets.", 904),
            Choice("None: the queue has no limit.", 0),
        ),
    ),
    program=program,
    limits={"packets": (1, 100_000)},
    explanation=(
        "The concurrency value limits threads, not packets. The queue has no bound, and posting never waits: with a "
        "good handle it fails only when the system is out of memory. So a program that posts faster than it works "
        "grows until something breaks, and the packets at the end are very late.",
        "Holding back is your job: count what is in flight, and start the next request only when one is done. For I/O "
        "that comes by itself if each connection has a fixed number of requests.",
    ),
    rules=("O-09", "N-06", "N-08"),
    sentences=(),
    answers={
        28: "As long as there is memory. There is no maximum depth; when memory or quota runs out, a post fails with "
        "1450, and nothing has been queued then (O-09, N-05).",
    },
    variation=Variation({"packets": 10_000}, "Ten thousand: the same, only more."),
    timeline_rows=10,
    exercise=Exercise("Hold a producer back when the queue is long.", STARTER, SOLUTION, judge),
)
