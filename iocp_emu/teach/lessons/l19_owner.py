"""L19: a thread that ends, and the requests it has started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Event, Pipe, spawn, win32
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import outcome


def program(size: int = 5) -> Facts:
    """A thread starts three reads and ends before any data has come."""
    port, event = CompletionPort(), Event()
    plain, plain_peer = Pipe.pair()  # associated
    special, special_peer = Pipe.pair()  # the same, with an event
    loose, loose_peer = Pipe.pair()  # not associated
    port.associate(plain, "plain")
    port.associate(special, "with an event")

    def start() -> None:
        plain.read(100)
        overlapped = win32.OVERLAPPED(hEvent=event.handle)
        win32.ReadFile(special.handle, bytearray(100), 100, overlapped)
        loose.read(100)

    spawn(start, name="issuer").join()
    pending = [file.outstanding for file in (plain, special, loose)]
    plain_peer.write(bytes(size))
    packets = [port.get() for _ in range(port.depth)]
    for peer in (special_peer, loose_peer):
        peer.close()
    return {
        "pending after the thread's end": pending,
        "packets": [f"{packet.key}: {outcome(packet)}" for packet in packets],
    }


STARTER = """\
# A short-lived thread starts a read on a pipe and ends; its data comes later.
# The read must survive the end of the thread, and its packet must come to the
# port. `start_read` runs in that thread; `prepare` ran before, in the main
# one.


def prepare(port, pipe):
    pass


def start_read(pipe):
    pipe.read(100)
"""

SOLUTION = """\
def prepare(port, pipe):
    port.associate(pipe, key=7)


def start_read(pipe):
    pipe.read(100)
"""


def judge(attempt: Attempt) -> None:
    """The data comes after the thread has gone."""
    prepare: Callable[..., Any] = attempt.function("prepare")
    start_read: Callable[..., Any] = attempt.function("start_read")

    def look() -> tuple[int, int, int]:
        port = CompletionPort()
        pipe, peer = Pipe.pair()
        prepare(port, pipe)
        spawn(start_read, pipe, name="short-lived").join()
        pending = pipe.outstanding
        peer.write(b"hello")
        if not port.depth:
            return pending, 0, 0
        packet = port.get()
        return pending, 1, packet.bytes

    pending, packets, count = attempt.simulate(look)
    expect(pending == 1, "the read was cancelled when the thread ended: to whom did it belong?")
    expect(packets == 1, "the data came, but no packet did")
    expect(count == 5, f"the packet should bring 5 bytes, not {count}")


LESSON = Lesson(
    id="L19",
    name="owner",
    title="A thread ends: what becomes of its requests?",
    question=Question(
        "A thread starts three reads and ends: on an associated file; on an associated file, with an event in the "
        "request; on a file that is not associated. How many of each are still pending then?",
        "pending after the thread's end",
        (
            Choice("0, 0, 0: the end of a thread cancels its I/O.", [0, 0, 0]),
            Choice("1, 1, 1: I/O belongs to the file, not to the thread.", [1, 1, 1]),
            Choice("1, 1, 0: what is associated goes on.", [1, 1, 0]),
            Choice("1, 0, 0: only the plain one on the associated file goes on.", [1, 0, 0]),
        ),
    ),
    program=program,
    limits={"size": (1, 100)},
    explanation=(
        "In general the end of a thread cancels the I/O it has started. Requests of a completion port are the "
        "exception: on an associated file, with an OVERLAPPED and without an event, a request belongs to no thread "
        "(since Windows Vista). Any thread may start it, any may end, any takes the packet.",
        "An event in the OVERLAPPED makes the request its thread's again: it was cancelled, and its packet came, with "
        "995. On the file that is not associated the read was cancelled too, without a packet, since there is no "
        "port.",
    ),
    rules=("I-30", "I-31"),
    sentences=(),
    answers={
        15: "It cancels what belongs to that thread. A plain request on a file with a port does not: it goes on, and "
        "its packet comes (I-31). Without a port, or with an event in the OVERLAPPED, it is cancelled; also on XP, "
        "always. Monitoring tools can make such requests a thread's own again (I-32), so do not end pool threads "
        "lightly.",
    },
    variation=Variation({"size": 100}, "The data of the plain read: as many bytes as come, in one packet."),
    exercise=Exercise("Let a read outlive the thread that has started it.", STARTER, SOLUTION, judge),
)
