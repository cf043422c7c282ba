"""L16: requests that end within the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Pipe, Win32Error, win32
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation


def program(size: int = 5) -> Facts:
    """A read that succeeds at once, in two modes; one that fails at once."""

    def read(mode: int, waiting: int) -> tuple[str, int]:
        port = CompletionPort()
        file, peer = Pipe.pair()
        port.associate(file, key=7)
        win32.SetFileCompletionNotificationModes(file.handle, mode)
        peer.write(bytes(waiting))
        if not waiting:
            peer.close()
        try:
            request = file.read(100)
            outcome = f"{request.bytes} bytes" if request.done else "pending"
        except Win32Error as error:
            outcome = f"error {error.winerror}"
        return outcome, port.depth

    skip = win32.FILE_SKIP_COMPLETION_PORT_ON_SUCCESS
    return {
        "success at once: outcome of the call, packets": list(read(0, size)),
        "the same in skip mode": list(read(skip, size)),
        "failure at once": list(read(0, 0)),
    }


STARTER = """\
# Count the bytes that a pipe brings, each once. `read` starts a read: it
# returns the request, which may be done at once, or raises OSError when it
# fails at once (the end of the data). Packets come to the port.
#
# This file counts what is done at once, and then again from its packet.


def count_bytes(port, read):
    total = 0
    while True:
        try:
            request = read()
        except OSError:
            return total
        if request.done:
            total += request.bytes
        packet = port.get()
        total += packet.bytes
"""

SOLUTION = """\
def count_bytes(port, read):
    total = 0
    while True:
        try:
            read()
        except OSError:
            return total
        total += port.get().bytes
"""


def judge(attempt: Attempt) -> None:
    """Two messages' worth of bytes that are there, then the end."""
    count_bytes: Callable[..., Any] = attempt.function("count_bytes")

    def look() -> tuple[Any, int]:
        port = CompletionPort()
        file, peer = Pipe.pair()
        port.associate(file, key=7)
        peer.write(b"1234567")
        peer.close()
        return count_bytes(port, lambda: file.read(5)), port.depth

    total, depth = attempt.simulate(look)
    expect(total != 14, "14 bytes, but only 7 were sent: each is counted twice")
    expect(total == 7, f"7 bytes were sent, you count {total}")
    expect(depth == 0, f"{depth} packets are left in the queue: somebody else will find them there")


LESSON = Lesson(
    id="L16",
    name="at-once",
    title="Requests that end within the call",
    question=Question(
        "A read finds its data waiting and succeeds within the call: it returns TRUE, with 5 bytes. The file is "
        "associated with a port. Is there a packet as well?",
        "success at once: outcome of the call, packets",
        (
            Choice("No: the call has told the result already.", ["5 bytes", 0]),
            Choice("Yes: success brings its packet, at once or later.", ["5 bytes", 1]),
        ),
    ),
    program=program,
    limits={"size": (1, 100)},
    explanation=(
        "A success brings a packet, whether the call said TRUE or pending. So handle it in one place only: either on "
        "the spot or when the packet comes, never both. Whoever frees the request on the spot has freed what the "
        "packet will point to.",
        "A file can be told to skip the packet when the call succeeds at once (FILE_SKIP_COMPLETION_PORT_ON_SUCCESS). "
        "Then, and only then, the result on the spot is all there is; what was pending still brings its packet.",
        "A call that fails with an error at once brings none, with or without that mode: the request has never begun.",
    ),
    rules=("I-02", "I-03", "I-04", "I-15"),
    sentences=(3,),
    simplifications={
        3: "A completion within the call counts, too (I-02), unless the file skips it (I-15); and a failure within "
        "the call brings nothing (I-03).",
    },
    answers={
        29: "Yes, one, unless the file is in skip mode (I-02, I-15): the fact above says 1 packet, and 0 in that mode.",
        30: "That is the mistake: after a success the request is in use until its packet has been taken. Free it "
        "there, in one place. Setting skip mode on a layer that only pretends to know it has the same effect the "
        "other way round: you do not expect a packet, and it comes.",
        31: "You do, at once: no packet will come for it, so nobody else ever will (I-03). If the call failed with "
        "997, pending, it is not a failure: leave it alone until its packet comes. A warning (234) also brings a "
        "packet (I-04).",
    },
    variation=Variation({"size": 100}, "As much data as was asked for, it is the same: success is success."),
    exercise=Exercise("Count each byte once, with requests that end at once.", STARTER, SOLUTION, judge),
)
