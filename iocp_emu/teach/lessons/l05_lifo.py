"""L05: which waiter is released."""

from __future__ import annotations

from ... import CompletionPort
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import dismiss, start_parked, until


def program(workers: int = 3) -> Facts:
    """Some threads wait; packets come one by one."""
    port = CompletionPort(concurrency=workers)
    names = "ABCDEFGHIJ"[:workers]
    released: list[str] = []

    def worker(name: str) -> None:
        packet = port.get()
        released.append(f"{name} got packet {packet.key}")

    threads = start_parked(port, worker, names)
    for number in range(1, workers + 1):
        port.post(key=number)
        until(lambda: len(released) == number)
    dismiss(port, threads)
    return {
        "called get in this order": " ".join(names),
        "who got the first packet": released[0][0],
        "then": released,
    }


STARTER = """\
# A, B, C and D wait on a port with concurrency value 4, in this order. Three
# packets come one by one. The first worker that is released handles its
# packet at once and waits again BEFORE the second packet comes; the others
# keep theirs. Who gets the three packets?

ORDER = ["A", "B", "C"]
"""

SOLUTION = 'ORDER = ["D", "D", "C"]\n'


def judge(attempt: Attempt) -> None:
    """The guess against a run; in the run nobody but the first comes back."""
    order = attempt.words("ORDER")

    def look() -> list[str]:
        port = CompletionPort(concurrency=4)
        taken: list[str] = []

        def worker(name: str) -> None:
            while True:
                port.get()
                taken.append(name)
                if len(taken) > 1:
                    return

        threads = start_parked(port, worker, "ABCD")
        port.post()
        until(lambda: taken and port.waiting == 4)
        for number in (2, 3):
            port.post()
            until(lambda: len(taken) == number)
        dismiss(port, threads)
        return taken

    right = attempt.simulate(look)
    expect(len(order) == 3, f"three packets, so ORDER has three names, not {len(order)}")
    expect(order[0] == right[0], "the first packet: the one who has waited longest, or the one who came last?")
    expect(order[1] == right[1], "the second packet: who has called get most recently by then?")
    expect(order == right, "the third packet: who is on top of the stack when the first worker keeps its packet?")


LESSON = Lesson(
    id="L05",
    name="lifo",
    title="Last in, first out",
    question=Question(
        "Three threads call get on an empty port: A, then B, then C. All three wait. One packet is posted. Who gets "
        "it?",
        "who got the first packet",
        (
            Choice("A, which has waited longest.", "A"),
            Choice("Whoever the scheduler picks.", "any"),
            Choice("C, which came last.", "C"),
        ),
    ),
    program=program,
    limits={"workers": (1, 10)},
    explanation=(
        "Packets stand in a queue, but waiting threads lie on a stack: the one that began to wait most recently is "
        "released first. That is fairness to nobody, on purpose. The latest waiter's stack and its data are still "
        "warm in the caches, while the longest waiter may have been paged out. Under light load one thread does all "
        "the work, and the others stay asleep.",
        "The order counts from the latest call of get: who comes back lies on top again. At the bottom a thread may "
        "wait for ever. And it is the order of waiting only: which thread started the I/O plays no part.",
    ),
    rules=("Q-07", "Q-10", "A-10"),
    sentences=(6, 7),
    simplifications={
        7: "Only while fewer threads run than the concurrency value allows: at the limit the packet stays in the "
        "queue although threads wait (Q-10, L07). A worker that calls get at that moment comes before all waiters "
        "(Q-14, L08).",
    },
    answers={
        14: "Not with a port: a packet goes to the top waiter, whoever that is. A user APC (QueueUserAPC) targets a "
        "thread, but that thread must wait alertably (G-12). With a port, give each thread its own port or share "
        "state.",
        16: "Yes. The port does not remember which thread started a request; its packet goes to the top waiter "
        "(Q-07). A design with one loop per thread needs one port per thread.",
        19: "Because the most recent waiter is the cheapest to run: its stack and caches are warm, and the old ones "
        "may stay paged out (Q-37). Order among equal workers has no other meaning.",
    },
    variation=Variation({"workers": 5}, "Five threads: the order of release is the order of waiting, turned round."),
    exercise=Exercise(
        "Four threads wait; the first one released comes back. Say who gets the three packets.",
        STARTER,
        SOLUTION,
        judge,
    ),
)
