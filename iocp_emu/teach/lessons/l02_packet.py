"""L02: when a packet is queued."""

from __future__ import annotations

from ... import CompletionPort, Pipe
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation


def program(size: int = 5) -> Facts:
    """One read, from its start to its packet."""
    port = CompletionPort()
    file, peer = Pipe.pair()
    port.associate(file, key=7)

    request = file.read(100)  # no data yet: the read is pending
    depths, waiting = [port.depth], port.waiting
    peer.write(bytes(size))  # now the read completes
    depths.append(port.depth)
    packet = port.get()
    depths.append(port.depth)
    return {
        "packets queued after the start, after the data, after get": depths,
        "bytes in the packet": packet.bytes,
        "the packet names the request": packet.overlapped is request,
        "threads that waited while the read was pending": waiting,
    }


STARTER = """\
# Two reads are started on one associated pipe. Then the other end writes
# 3 bytes, and later 3 bytes again. How many packets are queued each time?

AFTER_THE_TWO_READS = 2
AFTER_THE_FIRST_WRITE = 2
AFTER_THE_SECOND_WRITE = 2
"""

SOLUTION = """\
AFTER_THE_TWO_READS = 0
AFTER_THE_FIRST_WRITE = 1
AFTER_THE_SECOND_WRITE = 2
"""


def judge(attempt: Attempt) -> None:
    """Compares the guesses with a run."""
    names = ("AFTER_THE_TWO_READS", "AFTER_THE_FIRST_WRITE", "AFTER_THE_SECOND_WRITE")
    guesses = [attempt.whole(name, 0, 10) for name in names]

    def look() -> list[int]:
        port = CompletionPort()
        file, peer = Pipe.pair()
        port.associate(file, key=7)
        file.read(3)
        file.read(3)
        depths = [port.depth]
        for _ in range(2):
            peer.write(b"abc")
            depths.append(port.depth)
        return depths

    for name, guess, depth in zip(names, guesses, attempt.simulate(look), strict=True):
        expect(guess == depth, f"{name} is not {guess}: how many of the two reads have completed by then?")


LESSON = Lesson(
    id="L02",
    name="packet",
    title="When a packet is queued",
    question=Question(
        "A program starts a read on a file that is associated with a port. There is no data yet; it comes later; then "
        "a thread calls get. How many packets are queued after each of the three?",
        "packets queued after the start, after the data, after get",
        (
            Choice("1, 1, 0: the read is queued when it starts.", [1, 1, 0]),
            Choice("0, 1, 0: the packet comes when the read completes.", [0, 1, 0]),
            Choice("0, 0, 0: get looks at the file itself.", [0, 0, 0]),
        ),
    ),
    program=program,
    limits={"size": (1, 1000)},
    explanation=(
        "A read on an overlapped file does not wait. It begins, and the call returns: the read is pending. Nobody "
        "waits for it, no thread is used up by it, and there is no packet yet.",
        "When the data is there the system finishes the read and queues one packet: the key of the file, the bytes "
        "moved, and which request it was. The packet reports something that is over. A thread collects it when it "
        "likes, and the queue is one shorter.",
    ),
    rules=("I-01", "I-05", "O-04"),
    sentences=(3,),
    simplifications={
        3: "Not every completion brings one. A request that fails at once does not (I-03), nor does one that "
        "succeeds at once if the file is told to skip it (I-15), nor one whose event says so (I-07): see L16. And "
        "when a worker waits and may run, the packet goes straight to it and is never in the queue (Q-05).",
    },
    answers={
        11: "Neither. A port is no thread: it is a queue. While the I/O takes place nothing of yours runs for it. "
        "When it is over there is a packet, and a thread of yours that waits in get is woken with it. That is not "
        "polling: it sleeps until then (I-01, Q-10).",
    },
    variation=Variation(
        {"size": 200},
        "Send more than the read has asked for: the packet says 100 bytes. The other 100 stay in the pipe, and bring "
        "no packet until another read asks for them.",
    ),
    exercise=Exercise(
        "Two reads, two writes: say how many packets are queued after each step.", STARTER, SOLUTION, judge
    ),
)
