"""L08: the efficient case, in which no thread is woken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Event, sleep
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, dismiss, start_parked, until


def program(packets: int = 10, naps: int = 0) -> Facts:
    """Three workers, one of them may run at a time."""
    port = CompletionPort(concurrency=1)
    taken = {"A": 0, "B": 0, "C": 0}
    posted = Event()

    def worker(name: str) -> None:
        while True:
            port.get()
            taken[name] += 1
            busy_until(posted.is_set)
            if taken[name] <= naps:
                sleep(0.010)  # as if it waited for a disk

    threads = start_parked(port, worker, "ABC")
    for _ in range(packets):
        port.post()
    depth = port.depth
    posted.set()
    until(lambda: sum(taken.values()) == packets and port.waiting == 3)
    dismiss(port, threads)
    return {
        "packets queued at first, with two workers waiting": depth,
        "workers that were woken": sum(count > 0 for count in taken.values()),
        "packets taken by A, B and C": list(taken.values()),
    }


STARTER = """\
# This worker is polite: after each packet it lets the others have a turn.
# Make it efficient: one worker takes all packets, and nobody else is woken.

from iocp_emu import compute, sleep


def worker(port, handled):
    while True:
        packet = port.get()
        compute(0.005)
        handled(packet)
        sleep(0.001)
"""

SOLUTION = """\
from iocp_emu import compute


def worker(port, handled):
    while True:
        packet = port.get()
        compute(0.005)
        handled(packet)
"""


def judge(attempt: Attempt) -> None:
    """Eight packets among three workers, one at a time."""
    worker: Callable[..., Any] = attempt.function("worker")

    def look() -> dict[str, int]:
        port = CompletionPort(concurrency=1)
        handled = {"A": 0, "B": 0, "C": 0}

        def run(name: str) -> None:
            def count(_: object) -> None:
                handled[name] += 1

            worker(port, count)

        threads = start_parked(port, run, "ABC")
        for _ in range(8):
            port.post()
        until(lambda: sum(handled.values()) >= 8)
        dismiss(port, threads)
        return handled

    handled = attempt.simulate(look)
    expect(sum(handled.values()) == 8, f"eight packets were posted, {sum(handled.values())} were handled")
    busy = sum(count > 0 for count in handled.values())
    expect(busy == 1, f"{busy} workers were woken: which call of the worker waits for something other than a packet?")


LESSON = Lesson(
    id="L08",
    name="no-switch",
    title="The efficient case: nobody is woken",
    question=Question(
        "Concurrency value 1, three workers wait. Ten packets are posted in one go; each takes a little computing and "
        "no waiting. How many packets does each of A, B and C take?",
        "packets taken by A, B and C",
        (
            Choice("3, 3, 4: they take turns.", [3, 3, 4]),
            Choice("0, 0, 10: C takes all, the others are never woken.", [0, 0, 10]),
            Choice("10, 0, 0: the one who has waited longest takes all.", [10, 0, 0]),
        ),
    ),
    program=program,
    limits={"packets": (1, 1000), "naps": (0, 100)},
    explanation=(
        "C lay on top and got the first packet. The other nine were queued: the limit is reached. When C asks again it "
        "gives up its slot, looks, finds a packet and goes on, all in one call, before any waiter is considered. So "
        "nobody is woken and nobody is put to sleep. A wake-up is a context switch, and costs far more than a packet.",
        "It lasts as long as there are packets and C does not wait for anything else. One wait, and another worker is "
        "released at once: see below.",
    ),
    rules=("Q-14", "A-05", "Q-25"),
    sentences=(12, 13, 14),
    simplifications={
        13: "At once, unless the count is above the limit: then even a running thread that asks has to wait, although "
        "packets are queued (Q-32, L11).",
        14: "The port causes no switch. The system may still run other programs' threads, or take turns among more "
        "threads than processors; a thread that has lost its processor for that counts as runnable (Q-29).",
    },
    answers={
        36: "A request that succeeds at once brings a packet all the same, and if another thread takes it, that is a "
        "switch. Two ways out: let the thread that issues it ask the port next, for a running worker takes the packet "
        "itself without a switch (Q-14); or tell the file to bring no packet in that case (I-15, L16).",
    },
    variation=Variation(
        {"naps": 1},
        "Let each worker sleep once, after its first packet: each sleep wakes the next worker. Awake again they are "
        "too many for the limit: two have to wait, and one takes the rest (L11).",
    ),
    exercise=Exercise(
        "Change a worker so that it takes all packets and nobody else is woken.", STARTER, SOLUTION, judge
    ),
)
