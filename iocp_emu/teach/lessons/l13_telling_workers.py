"""L13: telling the workers something; ending them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, PortClosed, spawn
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import dismiss, start_parked, until


def program(workers: int = 3) -> Facts:
    """As many packets as workers: to be told something, then to stop."""
    port = CompletionPort(concurrency=1)
    names = "ABCDEFGHIJ"[:workers]
    told = dict.fromkeys(names, 0)
    ended: list[str] = []

    def worker(name: str) -> None:
        while port.get().key != "stop":
            told[name] += 1  # and back to the port
        ended.append(name)  # does not come back

    threads = start_parked(port, worker, names)
    for _ in names:
        port.post(key="reread")
    until(lambda: sum(told.values()) == workers and port.waiting == workers)
    for _ in names:
        port.post(key="stop")
    for thread in threads:
        thread.join()
    port.close()
    return {
        f"who was told, of {' '.join(names)}": list(told.values()),
        "who stopped, in this order": " ".join(ended),
    }


STARTER = """\
# Three workers serve a port; `handle(packet)` does the work. End them all:
# stop_all is called once, after all work has been posted, and all work has to
# be done before the workers end. `workers` is how many there are.


def worker(port, handle):
    while True:
        packet = port.get()
        if packet.key == "stop":
            print("asked to stop")
        else:
            handle(packet)


def stop_all(port, workers):
    port.post(key="stop")
"""

SOLUTION = """\
def worker(port, handle):
    while True:
        packet = port.get()
        if packet.key == "stop":
            return
        handle(packet)


def stop_all(port, workers):
    for _ in range(workers):
        port.post(key="stop")
"""


def judge(attempt: Attempt) -> None:
    """All work done, all workers ended."""
    worker: Callable[..., Any] = attempt.function("worker")
    stop_all: Callable[..., Any] = attempt.function("stop_all")

    def look() -> int:
        port = CompletionPort(concurrency=1)
        handled: list[Any] = []

        def run(_: str) -> None:
            try:
                worker(port, handled.append)
            except PortClosed:
                pass

        threads = [spawn(run, name, name=name) for name in "ABC"]
        until(lambda: port.waiting == 3)
        for number in range(6):
            port.post(key=number)
        stop_all(port, 3)
        for thread in threads:
            thread.join()
        if not port.closed:
            dismiss(port, [])
        return len(handled)

    handled = attempt.simulate(look)
    expect(handled == 6, f"all workers have ended, but of six packets of work {handled} were done")


LESSON = Lesson(
    id="L13",
    name="telling-workers",
    title="Telling the workers something",
    question=Question(
        "Three workers wait on a port with concurrency value 1. You want each of them to read its settings again, and "
        "post three packets that say so. Each worker handles a packet and calls get again. Who is told, of A, B and "
        "C?",
        "who was told, of A B C",
        (
            Choice("C three times, the others never: 0, 0, 3.", [0, 0, 3]),
            Choice("Each one once: 1, 1, 1.", [1, 1, 1]),
            Choice("A three times: 3, 0, 0.", [3, 0, 0]),
        ),
    ),
    program=program,
    limits={"workers": (1, 10)},
    explanation=(
        "A packet addresses no thread. C lies on top, gets the first one, comes back, and gets the next one, before "
        "the others are considered (L05, L08). Posting N packets reaches N calls of get, not N threads.",
        "Stopping works, and the reason is that a worker that stops does not come back: C takes the first stop and "
        "ends, which frees its slot; B is released with the second, then A with the third. So: post one stop for each "
        "worker, let each end at its first one, join them, and only then close the port.",
        "To tell all workers something without ending them, put it where all look, such as a version number that each "
        "compares before it serves a packet.",
    ),
    rules=("N-07", "Q-14", "Q-28", "H-07"),
    sentences=(20,),
    answers={
        17: "Not with one packet per worker, if they loop back: the one on top takes several (N-07). Share a version "
        "number or a flag, and post only to wake those that sleep; or post until each worker has confirmed.",
        21: "Post a packet that means stop; the thread gets it like any other and ends. Closing the port's last handle "
        "also wakes it, with error 735 (O-21, L15), but packets still queued are lost then.",
        23: "Safe, if each worker ends at its first stop packet and you join the workers before you close the port. "
        "Not safe if workers loop back, or if the port is closed at once: then a worker may meet a handle that is "
        "closed, and what is queued is lost (O-22, O-23).",
    },
    variation=Variation({"workers": 5}, "Five workers, five packets: E is told five times. All five stop, top first."),
    exercise=Exercise("End three workers in good order, with all their work done.", STARTER, SOLUTION, judge),
)
