"""L15: closing a port that threads wait on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Event, PortClosed
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, start_parked, until


def program(packets: int = 2) -> Facts:
    """C runs, A and B wait; then the port is closed."""
    port = CompletionPort(concurrency=1)
    closed = Event()
    told: dict[str, str] = {}

    def worker(name: str) -> None:
        try:
            port.get()
            busy_until(closed.is_set)
            port.get()
        except PortClosed as error:
            told[name] = f"error {error.winerror}"

    threads = start_parked(port, worker, "ABC")
    for _ in range(packets):
        port.post()
    depth = port.depth
    port.close()
    until(lambda: len(told) == 2)  # those that waited are told at once
    waiters = " ".join(sorted(told))
    closed.set()
    for thread in threads:
        thread.join()
    return {
        "woken by the close": waiters,
        "told to A and B, who waited": [told["A"], told["B"]],
        "told to C, who calls get later": told["C"],
        "packets lost in the queue": depth,
    }


STARTER = """\
# The port is closed while workers wait on it, or just before one calls get.
# End this worker in good order in both cases: return how many packets it
# has handled.


def worker(port):
    handled = 0
    while True:
        port.get()
        handled += 1
"""

SOLUTION = """\
from iocp_emu import PortClosed


def worker(port):
    handled = 0
    while True:
        try:
            port.get()
        except PortClosed:
            return handled
        handled += 1
"""


def judge(attempt: Attempt) -> None:
    """One waits when the port is closed, one comes later."""
    worker: Callable[..., Any] = attempt.function("worker")

    def look() -> list[Any]:
        port = CompletionPort(concurrency=2)
        counts: list[Any] = []
        thread = start_parked(port, lambda _: worker(port), "A")[0]
        port.post()
        port.post()
        until(lambda: port.waiting == 1 and not port.depth)
        port.close()
        counts.append(thread.join())
        counts.append(worker(port))
        return counts

    waiting, late = attempt.simulate(look)
    expect(waiting == 2, f"a worker that had handled two packets returned {waiting!r}")
    expect(late == 0, f"a worker that came after the close returned {late!r}")


LESSON = Lesson(
    id="L15",
    name="closing",
    title="Closing a port that threads wait on",
    question=Question(
        "C is at work on a packet, another packet is queued, A and B wait. The port's last handle is closed. What are "
        "A and B told?",
        "told to A and B, who waited",
        (
            Choice("Nothing: they wait for ever.", ["nothing", "nothing"]),
            Choice("One gets the queued packet, the other 735.", ["packet", "error 735"]),
            Choice("Both are told 6: the handle is invalid.", ["error 6", "error 6"]),
            Choice("Both are told 735: the wait was abandoned.", ["error 735", "error 735"]),
        ),
    ),
    program=program,
    limits={"packets": (1, 1000)},
    explanation=(
        "CloseHandle on the last handle ends the port for everybody at once. Every thread that waits in get is woken "
        "and told 735, ERROR_ABANDONED_WAIT_0. The packets still in the queue are not handed out any more: they are "
        "lost.",
        "C was not waiting, so nobody tells it anything. When it calls get with the old handle value, that is an "
        "invalid handle: error 6. So a worker has to be ready for both numbers, depending on where the close finds "
        "it.",
    ),
    rules=("O-20", "O-21", "O-22", "O-23"),
    sentences=(24,),
    answers={
        22: "Both, for different threads: 735 for those that wait at that moment (O-21), 6 for those that call "
        "afterwards (O-23). Windows XP and 2003 did not wake the waiters at all (O-25), which is what older books "
        "describe.",
    },
    variation=Variation(
        {"packets": 4}, "More packets in the queue: the waiters are told 735 all the same, and more packets are lost."
    ),
    exercise=Exercise("End a worker in good order, wherever the close finds it.", STARTER, SOLUTION, judge),
)
