"""L06: the concurrency value, and when it is fixed."""

from __future__ import annotations

from typing import Any

from ... import CompletionPort, Pipe, win32
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, dismiss, start_parked, until


def program(value: int = 1) -> Facts:
    """A port is made with one value; a later call asks for 8."""
    port = CompletionPort(concurrency=value)
    file, _peer = Pipe.pair()
    key, eight = 5, 8
    asked, file_handle = port.handle, file.handle
    returned = win32.CreateIoCompletionPort(file_handle, asked, key, eight)
    port.close()

    values: list[int] = []
    for number in (0, 64, 0xFFFFFFFF):
        with CompletionPort(concurrency=number) as other:
            values.append(other.concurrency)
    return {
        "value after asking for 8": port.concurrency,
        "the call returned the port's own handle": returned == asked,
        "ports made with 0, 64 and 0xFFFFFFFF": values,
    }


STARTER = """\
# Choose the concurrency value of a port so that as many of its threads run at
# a time as the machine has processors. The checker tries machines with 2, 4
# and 8 processors.

CONCURRENCY = 4
"""

SOLUTION = "CONCURRENCY = 0\n"


def judge(attempt: Attempt) -> None:
    """Ten workers and ten packets on machines of three sizes."""
    concurrency = attempt.whole("CONCURRENCY", 0, 0xFFFFFFFF)

    def look() -> int:
        port = CompletionPort(concurrency)
        running: list[Any] = []

        def worker(name: str) -> None:
            running.append(port.get())
            busy_until(lambda: port.closed)

        threads = start_parked(port, worker, "ABCDEFGHIJ")
        for _ in threads:
            port.post()
        until(lambda: len(running) + port.depth == len(threads))
        count = len(running)
        dismiss(port, threads)
        return count

    for processors in (2, 4, 8):
        count = attempt.simulate(look, processors=processors)
        expect(count == processors, f"on {processors} processors {count} threads run: which value follows the machine?")


LESSON = Lesson(
    id="L06",
    name="concurrency-value",
    title="The concurrency value is fixed when the port is made",
    question=Question(
        "A port is made with concurrency value 1. Later CreateIoCompletionPort ties a file to it, with 8 for the "
        "number of concurrent threads. What is the port's value then?",
        "value after asking for 8",
        (
            Choice("1: the number is ignored when there is a port already.", 1),
            Choice("8: the last call counts.", 8),
            Choice("9: the file brings 8 more.", 9),
        ),
    ),
    program=program,
    limits={"value": (0, 0xFFFFFFFF)},
    explanation=(
        "The concurrency value is the one number of a port that matters most: how many of its threads may run at a "
        "time (L07). It is given when the port is made and never changes. The call that ties a file to an existing "
        "port has the parameter as well, and ignores it; it returns the handle of the port it was given, not a new "
        "one.",
        "0 means the number of logical processors, looked up once, when the port is made: 4 on this machine. Every "
        "other number is taken as it is. 0xFFFFFFFF means, in effect, no limit.",
    ),
    rules=("Q-03", "Q-04", "C-04"),
    sentences=(8, 9),
    answers={
        4: "0, unless you know better: as many threads run as there are processors. 1 lets one thread run at a time, "
        "which wastes the other processors. A thread is associated when it has called get on the port (A-01).",
        6: "Programs that use the port as a plain queue for threads that they manage themselves pass 0xFFFFFFFF, so "
        "that the limit never interferes (X-10). With 1, a second thread that calls get waits while the first one "
        "computes; as soon as the first one blocks, the second may run (Q-23).",
        24: "No leak: a call with an existing port returns the same handle again, and you owe one CloseHandle in all "
        "(C-04). A call without one makes a new port each time (C-01): then the handles differ, and each must be "
        "closed.",
    },
    variation=Variation({"value": 3}, "Make the port with 3: then it is 3, whatever later calls ask for."),
    exercise=Exercise(
        "Choose the value that lets as many threads run as there are processors, on any machine.",
        STARTER,
        SOLUTION,
        judge,
    ),
)
