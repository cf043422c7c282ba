"""L18: taking many packets at once."""

from __future__ import annotations

from ... import CompletionPort, Event, Packet, compute, spawn
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, dismiss, now, poll, start_parked, until


def program(most: int = 8) -> Facts:
    """Six packets are queued when a thread asks; then one asks too early."""
    port = CompletionPort(concurrency=2)
    for number in range(6):
        port.post(key=number)
    batches: list[list[Packet]] = []
    done = Event()

    def first() -> None:
        batches.append(port.get_many(most))
        busy_until(done.is_set)

    thread = spawn(first, name="first")
    until(lambda: batches)
    counted = port.active
    second = spawn(poll, port, name="second").join()
    done.set()
    thread.join()

    quiet = CompletionPort(concurrency=2)

    def early(_: str) -> int:
        return len(quiet.get_many(most))

    threads = start_parked(quiet, early, ["early"])
    quiet.post()
    quiet.post()
    size = threads[0].join()
    port.close()
    quiet.close()
    return {
        "packets in the first batch": len(batches[0]),
        "their keys": [packet.key for packet in batches[0]],
        "threads counted for the batch": counted,
        "a second thread, which may run, finds": second,
        "one that waited for a batch got": size,
    }


STARTER = """\
# Four workers, four processors, concurrency value 4. 32 packets of 10 ms of
# computing each are queued. A worker takes up to BATCH packets at once, and
# handles them one after the other. Choose BATCH as large as it can be, with
# all work still done in about 80 ms.

BATCH = 32
"""

SOLUTION = "BATCH = 8\n"


def measure(batch: int) -> float:
    """Milliseconds for the exercise's work."""
    port = CompletionPort(concurrency=4)
    handled: list[int] = []

    def worker() -> None:
        for packet in port.get_many(batch):
            compute(0.010)
            handled.append(packet.key)

    def work() -> None:
        while len(handled) < 32 and port.depth:
            worker()

    for number in range(32):
        port.post(key=number)
    begun = now()
    threads = [spawn(work, name=name) for name in "ABCD"]
    until(lambda: len(handled) == 32)
    milliseconds = 1000 * (now() - begun)
    dismiss(port, threads)
    return milliseconds


def judge(attempt: Attempt) -> None:
    """As large as possible, as quick as possible."""
    batch = attempt.whole("BATCH", 1, 1000)
    taken = attempt.simulate(measure, batch)
    expect(taken < 85, f"it took {taken:.0f} ms: some workers had nothing while others sat on a batch")
    for larger in range(batch + 1, 33):
        expect(attempt.simulate(measure, larger) >= 85, f"{batch} is quick enough, but so is a larger batch")


LESSON = Lesson(
    id="L18",
    name="batches",
    title="Taking many packets at once",
    question=Question(
        "Six packets are queued, concurrency value 2. A thread asks for up to 8 packets in one call, and computes on "
        "them. A second thread asks for one. What does the second thread find?",
        "a second thread, which may run, finds",
        (
            Choice("Half of them: the port deals the packets out.", "packet 3"),
            Choice("Nothing: the first one has all six.", "nothing, timeout"),
            Choice("The first packet: the batch waits until it has 8.", "packet 0"),
        ),
    ),
    program=program,
    limits={"most": (1, 100)},
    explanation=(
        "A batch (GetQueuedCompletionStatusEx, here get_many) takes what is there, up to the number asked for, oldest "
        "first, and never waits to have more. It spares a call per packet. The whole batch belongs to one thread, "
        "which is counted once.",
        "So the batch also hides its packets: a second thread that may run, on a processor that is free, finds "
        "nothing, and the last packet of the batch waits for all those before it. Large batches are for short "
        "packets.",
        "A thread that waits for a batch is woken by the first packet, and here it gets just that one.",
    ),
    rules=("G-20", "G-22", "Q-19", "G-23"),
    sentences=(),
    answers={
        20: "One port for all keeps every processor busy, since any worker takes any packet; one per core needs a way "
        "to share out the work. Taking many at once saves calls, but the packets of a batch wait for one another "
        "while other workers may have nothing to do (G-22). So: one port, and batches only of what is quick to "
        "handle.",
    },
    variation=Variation({"most": 4}, "Ask for 4: two packets are left, and the second thread finds the fifth one."),
    exercise=Exercise("Choose the largest batch that keeps four workers busy.", STARTER, SOLUTION, judge),
)
