"""L04: waiting for the packet, not for the I/O; what get can bring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Pipe, win32
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation


def program(size: int = 5) -> Facts:
    """A read that succeeds, one that fails, an empty port; as C sees them."""
    port = CompletionPort()
    file, peer = Pipe.pair()
    port.associate(file, key=7)
    first, second = win32.OVERLAPPED(), win32.OVERLAPPED()
    for overlapped in (first, second):
        win32.ReadFile(file.handle, bytearray(100), 100, overlapped)
    peer.write(bytes(size))  # the first read succeeds
    peer.close()  # the second one fails

    early = win32.GetOverlappedResult(file.handle, first, False)
    early_result = f"{str(early.ret).upper()}, error {win32.GetLastError()}"

    def dequeue() -> str:
        packet = win32.GetQueuedCompletionStatus(port.handle, 0)
        error = "" if packet.ret else f", error {win32.GetLastError()}"
        result = str(packet.ret).upper()
        if packet.lpOverlapped is None:
            return f"{result}, NULL{error}"
        which = "first" if packet.lpOverlapped is first else "second"
        count = packet.lpNumberOfBytesTransferred
        return f"{result}, {which} read, {count} bytes{error}"

    return {
        "result asked for before get": early_result,
        "first get": dequeue(),
        "second get": dequeue(),
        "third get": dequeue(),
    }


STARTER = """\
# Say what a call of get has brought, in one word: "data" for a request that
# succeeded, "end" for one that succeeded with 0 bytes, "failed" for one that
# failed, "nothing" when no packet came within the timeout.


def outcome(port):
    packet = port.get(timeout=0)
    return "data"
"""

SOLUTION = """\
def outcome(port):
    try:
        packet = port.get(timeout=0)
    except TimeoutError:
        return "nothing"
    if packet.error is not None:
        return "failed"
    return "data" if packet.bytes else "end"
"""


def judge(attempt: Attempt) -> None:
    """Each of the four, one after the other."""
    outcome: Callable[..., Any] = attempt.function("outcome")

    def look() -> list[Any]:
        port = CompletionPort()
        file, peer = Pipe.pair()
        port.associate(file, key=7)
        file.read(100)
        file.read(100)
        peer.write(b"hello")
        peer.close()
        port.post(bytes=0, key=7)
        return [outcome(port) for _ in range(4)]

    words = attempt.simulate(look)
    for word, right, case in zip(
        words,
        ("data", "failed", "end", "nothing"),
        ("5 bytes", "an error", "success with 0 bytes", "an empty port"),
        strict=True,
    ):
        expect(word == right, f"for {case} you said {word!r}, which should be {right!r}")


LESSON = Lesson(
    id="L04",
    name="outcomes",
    title="Waiting for the packet: what get can bring",
    question=Question(
        "Two reads are pending. The first succeeds; then the other end is closed, and the second fails. In C, what "
        "does the second GetQueuedCompletionStatus give?",
        "second get",
        (
            Choice(
                "FALSE, but with the OVERLAPPED of the read: a packet of a failure.",
                "FALSE, second read, 0 bytes, error 109",
            ),
            Choice("FALSE and no OVERLAPPED: a failed read brings nothing.", "FALSE, NULL, error 109"),
            Choice("TRUE, and 0 bytes.", "TRUE, second read, 0 bytes"),
        ),
    ),
    program=program,
    limits={"size": (0, 100)},
    explanation=(
        "A thread does not wait for its read. It waits for a packet, any packet, and the packet names the request: in "
        "C by the address of its OVERLAPPED, here by the object that read has returned.",
        "So FALSE has two meanings. With an OVERLAPPED it is a packet: a request has ended badly, and the last error "
        "says how. Without one there was no packet: the timeout passed (258), or the port was closed (735). Programs "
        "that look at FALSE alone lose requests, or hang. In Python the two cannot be mixed up: a failure is a packet "
        "with an error, no packet is an exception.",
        "The status of a request that was pending is written when its packet is taken. Before that it says 996, still "
        "pending, although the read is over and its packet queued. 996 means: not yet.",
    ),
    rules=("G-02", "G-03", "I-27", "I-29"),
    sentences=(5,),
    answers={
        32: "A packet has come: of a request that failed. Take the error from the last error, the request from the "
        "OVERLAPPED, and go on as for any end of a request (G-02). Only FALSE with NULL means that there is no packet.",
        33: "No: 996 is neither success nor failure; it means that there is no result yet (I-29). On an associated "
        "file that is so until the packet has been taken, even when the I/O is over (I-27).",
        34: "For TCP as a success with 0 bytes, if the peer closed in good order; a reset is FALSE with error 64. A "
        "pipe whose other end is gone gives FALSE and 109, as here (table 6.6 of the rules). Do not read 0 bytes as "
        "an end if you asked for 0 bytes (I-51).",
    },
    variation=Variation(
        {"size": 0},
        "Write no bytes: the first read does not end by that, so the close ends both, each with a packet of its own "
        "and error 109.",
    ),
    exercise=Exercise("Tell data, end, failure and no packet from one another.", STARTER, SOLUTION, judge),
)
