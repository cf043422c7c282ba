"""L12: packets of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Pipe, win32
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation


def program(count: int = 0) -> Facts:
    """A port without a file: three posts, and one get too many."""
    port = CompletionPort()
    nowhere = 0xDEAD  # an OVERLAPPED need not point to anything
    win32.PostQueuedCompletionStatus(port.handle, count, 0, None)
    win32.PostQueuedCompletionStatus(port.handle, 0xFFFFFFFF, 7, None)
    win32.PostQueuedCompletionStatus(port.handle, 3, 7, nowhere)

    def dequeue() -> win32.DequeuedPacket:
        return win32.GetQueuedCompletionStatus(port.handle, 0)

    first, second, third, empty = dequeue(), dequeue(), dequeue(), dequeue()
    no_packet = f"{str(empty.ret).upper()}, error {win32.GetLastError()}"
    result, size = str(first.ret).upper(), first.lpNumberOfBytesTransferred
    null = "NULL" if first.lpOverlapped is None else "an OVERLAPPED"
    return {
        "get after posting": f"{result}, bytes {size}, {null}",
        "key of the second": second.lpCompletionKey,
        "bytes of the second": second.lpNumberOfBytesTransferred,
        "the third has the number given": third.lpOverlapped == nowhere,
        "get on the empty port": no_packet,
    }


STARTER = """\
# The packets of files have the file's name as their key; the program posts
# its own with the key STOP. Say what to do with a packet: "end" for the
# program's own, "serve" for all others.
#
# Mind: a file may be named "stop", too.

STOP = "stop"


def what_to_do(packet):
    return "serve"
"""

SOLUTION = """\
STOP = object()


def what_to_do(packet):
    return "end" if packet.key is STOP else "serve"
"""


def judge(attempt: Attempt) -> None:
    """Two files, one with a nasty name, and the program's own packet."""
    what_to_do: Callable[..., Any] = attempt.function("what_to_do")
    stop = attempt.value("STOP", object)

    def look() -> list[Any]:
        port = CompletionPort()
        for key in ("data", "stop"):
            file, peer = Pipe.pair()
            port.associate(file, key)
            file.read(10)
            peer.write(b"x")
        port.post(key=stop)
        return [what_to_do(port.get()) for _ in range(3)]

    file, nasty, own = attempt.simulate(look)
    expect(own == "end", f"for the program's own packet you said {own!r}")
    expect(file == "serve", f"for a file's packet you said {file!r}")
    expect(nasty == "serve", "the packet of the file named 'stop' ends the program: STOP must be like no file's name")


LESSON = Lesson(
    id="L12",
    name="posting",
    title="Packets of your own",
    question=Question(
        "A port has no file at all. The program posts a packet: 0 bytes, key 0, OVERLAPPED NULL. What does "
        "GetQueuedCompletionStatus give?",
        "get after posting",
        (
            Choice("FALSE and NULL: that is no packet.", "FALSE, bytes UNTOUCHED, NULL"),
            Choice("TRUE, with an OVERLAPPED that the port has made.", "TRUE, bytes 0, an OVERLAPPED"),
            Choice("TRUE, with exactly these three values.", "TRUE, bytes 0, NULL"),
        ),
    ),
    program=program,
    limits={"count": (0, 0xFFFFFFFF)},
    explanation=(
        "PostQueuedCompletionStatus puts a packet into the queue without any I/O. Its three values mean nothing to the "
        "port: it hands them over as they are. A posted packet is always a success, so TRUE with NULL is a packet, and "
        "FALSE with NULL is none.",
        "Because nothing is interpreted, telling the packets apart is up to you. Reserve a key for your own, one that "
        "no file has, and look at the key first.",
    ),
    rules=("N-01", "N-02", "N-03"),
    sentences=(19,),
    answers={
        37: "Only to you: the port passes all three through (N-01). Tell your packet from that of a file by the key, "
        "which you choose for both; or by the OVERLAPPED, if it points to something of yours that says what it is.",
    },
    variation=Variation({"count": 77}, "Post 77 bytes: get says 77, although nothing was ever moved."),
    exercise=Exercise("Tell the program's own packet from those of all files.", STARTER, SOLUTION, judge),
)
