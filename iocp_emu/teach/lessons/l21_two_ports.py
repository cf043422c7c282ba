"""L21: a thread that asks another port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Event, spawn
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, dismiss, now, poll, start_parked, until


def program(concurrency: int = 1) -> Facts:
    """In the middle of a packet of one port, B looks into another one."""
    orders, audit = CompletionPort(concurrency), CompletionPort(concurrency)
    log: list[str] = []
    look, done = Event(), Event()

    def worker(name: str) -> None:
        packet = orders.get()
        log.append(f"{name} has order {packet.key}")
        if packet.key == 1:
            busy_until(look.is_set)
            poll(audit)  # and goes on with its order
        busy_until(done.is_set)

    threads = start_parked(orders, worker, "AB")
    orders.post(key=1)
    orders.post(key=2)
    until(lambda: len(log) + orders.depth == 2)
    before = list(log)
    look.set()
    until(lambda: audit.active == 1 and len(log) == 2)
    counts = [orders.active, audit.active]
    done.set()
    dismiss(orders, threads)
    audit.close()
    return {
        "at work before": before,
        "at work after B has looked into the other port": log,
        "counted by the ports": counts,
    }


STARTER = """\
# This worker serves `orders`, of which one may be worked on at a time. For
# each order it looks whether `audit` has a packet for it. By that it leaves
# `orders`, and others start with the next order too early. Let another thread
# serve `audit`, and the worker look into the shared list `audited` instead.


def serve_order(orders, audit, audited, work):
    packet = orders.get()
    try:
        audited.append(audit.get(timeout=0).key)
    except TimeoutError:
        pass
    work(packet)


def serve_audit(audit, audited):
    pass
"""

SOLUTION = """\
def serve_order(orders, audit, audited, work):
    packet = orders.get()
    packet.key in audited
    work(packet)


def serve_audit(audit, audited):
    audited.append(audit.get().key)
"""


def judge(attempt: Attempt) -> None:
    """Two workers for orders, one thread for the audit; never two orders at a time."""
    serve_order: Callable[..., Any] = attempt.function("serve_order")
    serve_audit: Callable[..., Any] = attempt.function("serve_audit")

    def look() -> tuple[int, list[Any], int]:
        orders, audit = CompletionPort(concurrency=1), CompletionPort(concurrency=1)
        audited: list[Any] = []
        at_work: list[Any] = []
        most = 0
        finished = 0

        def work(packet: Any) -> None:
            nonlocal most, finished
            at_work.append(packet)
            most = max(most, len(at_work))
            begun = now()
            busy_until(lambda: now() >= begun + 0.05)
            at_work.remove(packet)
            finished += 1

        def clerk(_: str) -> None:
            serve_order(orders, audit, audited, work)

        def auditor(_: str) -> None:
            serve_audit(audit, audited)

        audit.post(key=1)
        auditors = [spawn(auditor, "auditor", name="auditor")]
        until(lambda: not audit.depth or not auditors[0].is_alive())
        clerks = start_parked(orders, clerk, "AB")
        orders.post(key=1)
        orders.post(key=2)
        until(lambda: finished == 2)
        dismiss(orders, clerks)
        dismiss(audit, auditors)
        return most, audited, finished

    most, audited, _ = attempt.simulate(look)
    expect(most == 1, "two orders were at work at the same time: which call of the worker leaves its port?")
    expect(audited == [1], f"the audit's packet has key 1, and audited is {audited}")


LESSON = Lesson(
    id="L21",
    name="two-ports",
    title="A thread belongs to one port",
    question=Question(
        "A port for orders has concurrency value 1. B works on order 1; order 2 is queued; A waits. In the middle of "
        "its order B looks whether another port has a packet, with timeout 0, and goes on. How many orders are at "
        "work then?",
        "at work after B has looked into the other port",
        (
            Choice("One: looking elsewhere changes nothing.", ["B has order 1"]),
            Choice("Two: A has been given order 2.", ["B has order 1", "A has order 2"]),
        ),
    ),
    program=program,
    limits={"concurrency": (1, 100)},
    explanation=(
        "A thread belongs to one port at a time: the one it has asked last. When B asked the other port, it left the "
        "first one at that moment. Its slot there was free, so A got order 2, although B is still at work on order 1. "
        "The first port has lost count of B, and B takes a slot on a port that it never meant to serve.",
        "So a worker must not call code that asks another port, even with a timeout of 0. If that code waits there "
        "for something which only threads of the first port could bring about, and they wait for B in turn, all of "
        "them wait for ever.",
    ),
    rules=("Q-15", "A-04", "Q-28"),
    sentences=(),
    answers={
        13: "It belongs to that other port from then on: the pool's port frees its slot and releases the next waiter "
        "(Q-15), and does not count the thread until it comes back. The pool runs one thread too many meanwhile; and "
        "if both sides wait for each other, that is a deadlock.",
    },
    variation=Variation(
        {"concurrency": 2}, "With 2 both orders are at work from the start, and B's look elsewhere lets nobody else in."
    ),
    exercise=Exercise("Split a worker that serves two ports into two that serve one each.", STARTER, SOLUTION, judge),
)
