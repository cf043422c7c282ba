"""L23: the order of packets and the order of work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Event, compute, spawn
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, dismiss, start_parked, until


def program(concurrency: int = 2) -> Facts:
    """Two packets, two workers; the first packet is more work."""
    port = CompletionPort(concurrency)
    taken: list[int] = []
    finished: list[int] = []
    posted = Event()

    def worker(_: str) -> None:
        while True:
            packet = port.get()
            taken.append(packet.key)
            busy_until(posted.is_set)
            if packet.key == 1 and concurrency > 1:
                busy_until(lambda: 2 in finished)  # it computes for longer
            finished.append(packet.key)

    threads = start_parked(port, worker, "AB")
    port.post(key=1)
    until(lambda: taken)
    port.post(key=2)
    posted.set()
    until(lambda: len(finished) == 2)
    dismiss(port, threads)
    return {"taken in this order": taken, "finished in this order": finished}


STARTER = """\
# Packets 0 to 9 are worked on by three workers at the same time, so they are
# finished out of order. `finish(number)` is called by the worker that has
# done a packet; write the numbers to `output` in ascending order, each as
# early as possible. `state` is a dict of yours, empty at first.


def finish(number, state, output):
    output.append(number)
"""

SOLUTION = """\
def finish(number, state, output):
    state[number] = True
    while len(output) in state:
        output.append(len(output))
"""


def judge(attempt: Attempt) -> None:
    """In order, and as early as possible."""
    finish: Callable[..., Any] = attempt.function("finish")

    def look() -> tuple[list[int], bool]:
        port = CompletionPort(concurrency=3)
        output: list[int] = []
        done: set[int] = set()
        state: dict[Any, Any] = {}
        is_prompt = True

        def worker() -> None:
            nonlocal is_prompt
            while True:
                number = port.get().key
                compute(0.010 * (1 + number * 7 % 4))
                done.add(number)
                finish(number, state, output)
                ready = next(count for count in range(11) if count not in done)
                is_prompt = is_prompt and len(output) >= ready

        for number in range(10):
            port.post(key=number)
        threads = [spawn(worker, name=name) for name in "ABC"]
        until(lambda: len(done) == 10 and port.waiting == 3)
        dismiss(port, threads)
        return output, is_prompt

    output, is_prompt = attempt.simulate(look, processors=3)
    expect(sorted(output) == list(range(10)), f"each of 0 to 9 once: output is {output}")
    expect(output == list(range(10)), f"output is {output}: a number has to wait for those before it")
    expect(is_prompt, "the order is right, but numbers wait longer than they must")


LESSON = Lesson(
    id="L23",
    name="order",
    title="First in, first out, and still out of order",
    question=Question(
        "Two workers may run. Packet 1 is posted, then packet 2; packet 1 is more work than packet 2. In which order "
        "are they finished?",
        "finished in this order",
        (
            Choice("2, 1: the queue is, the work is not.", [2, 1]),
            Choice("1, 2: the queue is first in, first out.", [1, 2]),
        ),
    ),
    program=program,
    limits={"concurrency": (1, 100)},
    explanation=(
        "The packets leave the queue in the order in which they came: 1 was taken first. But then two threads work at "
        "the same time, and nothing makes them keep step. A thread may even lose its processor between taking its "
        "packet and its first line of work, so even the beginning may be out of order.",
        "If the order matters, give the packets numbers and put the results in order, as TCP does; or let a stream "
        "have one request in flight at a time; or use the value 1 and workers that never block.",
    ),
    rules=("Q-06", "Q-39", "I-11"),
    sentences=(),
    answers={
        18: "The queue is first in, first out, always (Q-06). What differs is when the threads that took the packets "
        "get to do something with them: two threads run side by side, and either may be first. The remark in the "
        "documentation is about that.",
    },
    variation=Variation({"concurrency": 1}, "With 1 and workers that never block, one packet is done after the other."),
    exercise=Exercise("Put results into order that are finished out of order.", STARTER, SOLUTION, judge),
)
