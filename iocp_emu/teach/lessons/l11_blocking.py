"""L11: a worker that blocks, and what happens when it wakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Event
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, dismiss, start_parked, until


def program(workers: int = 3) -> Facts:
    """Whoever has packet 1 has to wait for something in the middle of it."""
    port = CompletionPort(concurrency=2)
    log: list[str] = []
    wait_now, wake_up, ask, done = Event(), Event(), Event(), Event()

    def worker(name: str) -> None:
        packet = port.get()
        log.append(f"{name} got packet {packet.key}")
        if packet.key == 1:
            busy_until(wait_now.is_set)
            wake_up.wait()  # as for a lock, or for an answer of a database
            log.append(f"{name} is awake")
        if packet.key == 2:
            busy_until(ask.is_set)
            port.get()
        busy_until(done.is_set)

    threads = start_parked(port, worker, "ABCDEFGHIJ"[:workers])
    for number in (1, 2, 3):
        port.post(key=number)
    until(lambda: len(log) + port.depth == 3)
    at_work = port.active
    wait_now.set()
    until(lambda: len(log) == 3)  # whoever got the third packet
    blocked = port.active
    wake_up.set()
    until(lambda: len(log) == 4)
    awake = port.active

    port.post(key=4)
    ask.set()
    until(lambda: port.waiting == workers - 2)
    asked = f"waits, {port.depth} packet queued, {port.active} run"
    done.set()
    dismiss(port, threads)
    return {
        "running while the first two compute": at_work,
        "running while the first one waits": blocked,
        "who took over": log[2],
        "who woke up": log[3],
        "running when it is awake again": awake,
        "the second one asks for a fourth packet, and": asked,
    }


STARTER = """\
# Packet "ask" needs an answer that packet "answer" will bring. This worker
# waits for it by computing in a circle, and with concurrency value 1 nobody
# is left to bring it. Let it wait in a way that the port can see.
#
# `answered` is an Event: answered.set(), answered.is_set(), answered.wait()

from iocp_emu import compute


def handle(packet, answered):
    if packet.key == "answer":
        answered.set()
    else:
        while not answered.is_set():
            compute(0.001)
"""

SOLUTION = """\
def handle(packet, answered):
    if packet.key == "answer":
        answered.set()
    else:
        answered.wait()
"""


def judge(attempt: Attempt) -> None:
    """Two workers of whom one may run."""
    handle: Callable[..., Any] = attempt.function("handle")

    def look() -> int:
        port = CompletionPort(concurrency=1)
        answered = Event()
        over: list[bool] = []

        def worker(name: str) -> None:
            handle(port.get(), answered)
            over.append(answered.is_set())

        threads = start_parked(port, worker, "AB")
        port.post(key="ask")
        port.post(key="answer")
        until(lambda: len(over) == 2)
        dismiss(port, threads)
        return sum(over)

    over = attempt.simulate(look, limit_seconds=1.0)
    expect(over == 2, "a packet was done before the answer was there: the worker has to wait for it")


LESSON = Lesson(
    id="L11",
    name="blocking",
    title="A worker blocks, and wakes up again",
    question=Question(
        "Concurrency value 2. C and B each have a packet, a third is queued, A waits. C has to wait for a lock; A "
        "takes over. Now the lock is free, and C could go on: that would be three. What happens?",
        "running when it is awake again",
        (
            Choice("C is held back until A or B is done: 2 run.", 2),
            Choice("C goes on at once: 3 run.", 3),
            Choice("A loses its packet to C again.", 1),
        ),
    ),
    program=program,
    limits={"workers": (3, 10)},
    explanation=(
        "The moment C blocked, it was not runnable any more. The port saw that, and gave the queued packet to A, the "
        "top waiter. So both slots are used, although one worker waits. That is the point of a port: blocking does "
        "not cost you a processor.",
        "When C wakes, it simply goes on. Nothing stops it: three threads run on a port with value 2. The excess goes "
        "away when threads ask for more: B asks, and has to wait although a packet is queued, since two others run. "
        "From then on it is two again.",
        "Python cannot see its threads block, Windows can. Waits of this package are seen; around others, say "
        "with blocking(): and the port knows.",
    ),
    rules=("Q-23", "Q-25", "Q-26", "Q-32"),
    sentences=(10, 11),
    simplifications={
        10: "Here the number of runnable threads was 3 with a value of 2. It bounds what is handed out (A-06).",
        11: "C was not blocked by the system when it woke, nor was anybody else: B waits because it asked (Q-32).",
    },
    answers={
        12: "The kernel puts threads to sleep itself, so it knows: locks, Sleep, waits on objects, synchronous I/O, "
        "page faults, being suspended all count (Q-23). When the thread wakes it goes on at once, and for a while "
        "more than N run: by as many as were blocked and replaced (Q-26).",
    },
    variation=Variation(
        {"workers": 5},
        "Five workers: E, D and C do what C, B and A did. One thread that blocks releases one waiter; A and B wait all "
        "the time, and nobody needs them.",
    ),
    exercise=Exercise("Let a worker wait for an answer in a way that the port can see.", STARTER, SOLUTION, judge),
)
