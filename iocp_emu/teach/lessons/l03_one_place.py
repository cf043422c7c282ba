"""L03: one place to wait for many files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Pipe, spawn
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import until


def program(posts: int = 1) -> Facts:
    """Three files and some posts, one thread."""
    port = CompletionPort()
    peers: dict[str, Pipe] = {}
    for key in "ABC":
        file, peers[key] = Pipe.pair()
        port.associate(file, key)
        file.read(100)

    def worker() -> list[str]:
        return [port.get().key for _ in range(3 + posts)]

    thread = spawn(worker, name="worker")
    until(lambda: port.waiting == 1)
    peers["B"].write(b"second file")
    peers["C"].write(b"third file")
    for _ in range(posts):
        port.post(key="posted")
    peers["A"].write(b"first file")
    return {
        "keys in the order in which the worker got them": thread.join(),
        "packets left": port.depth,
    }


STARTER = """\
# Write the loop of the one thread that serves all files of the port: take
# `expected` packets, add up the bytes for each key, and return the sums as a
# dict, such as {"A": 12, "B": 3}.


def serve(port, expected):
    sums = {}
    packet = port.get()
    sums[packet.key] = packet.bytes
    return sums
"""

SOLUTION = """\
def serve(port, expected):
    sums = {}
    for _ in range(expected):
        packet = port.get()
        sums[packet.key] = sums.get(packet.key, 0) + packet.bytes
    return sums
"""


def judge(attempt: Attempt) -> None:
    """Two files, one of them with two reads, in turns."""
    serve: Callable[..., Any] = attempt.function("serve")

    def look() -> Any:
        port = CompletionPort()
        (left, left_peer), (right, right_peer) = Pipe.pair(), Pipe.pair()
        port.associate(left, "left")
        port.associate(right, "right")
        for file in (left, left, right):
            file.read(100)
        left_peer.write(b"12345")
        right_peer.write(b"123")
        left_peer.write(b"12")
        return serve(port, 3)

    sums = attempt.simulate(look)
    expect(isinstance(sums, dict), f"serve should return a dict, not {type(sums).__name__}")
    expect(set(sums) == {"left", "right"}, f"the files are 'left' and 'right', your dict has {sorted(map(str, sums))}")
    expect(sums["left"] != 2, "of two packets with one key, only the second one counts")
    expect(sums == {"left": 7, "right": 3}, f"left brought 5 and 2 bytes, right 3; you have {sums}")


LESSON = Lesson(
    id="L03",
    name="one-place",
    title="One place to wait for many files",
    question=Question(
        "Files A, B and C are associated with one port, in this order, and each has a read pending. Data comes for B, "
        "then for C, then the program posts a packet of its own, then data comes for A. One thread calls get four "
        "times. What does it see?",
        "keys in the order in which the worker got them",
        (
            Choice("A, B, C, posted: in the order of association.", ["A", "B", "C", "posted"]),
            Choice("B, C, A, posted: files first.", ["B", "C", "A", "posted"]),
            Choice("B, C, posted, A: in the order in which things happened.", ["B", "C", "posted", "A"]),
        ),
    ),
    program=program,
    limits={"posts": (0, 100)},
    explanation=(
        "Without a port, a thread that serves three files would have to wait for three things. The port makes them "
        "one: whatever completes is queued there, and the thread waits in one call.",
        "The queue has one order, first in, first out, whichever file a packet is about and whether the system queued "
        "it or the program posted it. So the thread sees things in the order in which they happened.",
        "Porters of select or epoll, note: those say that a file is ready, and then you read. A port says that the "
        "read is done: the bytes are in your buffer already, and you start the next read yourself.",
    ),
    rules=("N-03", "Q-06", "C-11"),
    sentences=(4,),
    answers={},
    variation=Variation(
        {"posts": 3}, "Post three packets in the middle: they come in the middle, and A still comes last."
    ),
    exercise=Exercise(
        "Write the loop of a thread that serves all files of a port and adds up their bytes.",
        STARTER,
        SOLUTION,
        judge,
    ),
)
