"""L17: cancelling and closing while requests are in flight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Pipe
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import outcome, poll


def program(reads: int = 2) -> Facts:
    """Reads are pending: one is cancelled, then the file is closed."""
    port = CompletionPort()
    file, _peer = Pipe.pair()
    port.associate(file, key=7)
    requests = [file.read(100) for _ in range(reads)]

    requests[0].cancel()
    still_busy = not requests[0].done
    cancelled = port.get()
    file.close()
    late = [port.get(timeout=0) for _ in requests[1:]]
    return {
        "the cancelled one is over when cancel returns": not still_busy,
        "its packet": outcome(cancelled),
        "packets after the file was closed": len(late),
        "with": [outcome(packet) for packet in late],
        "then": poll(port),
    }


STARTER = """\
# A connection is given up while it has requests in flight. `free(request)`
# gives the memory of a request back; the checker objects when the system
# still uses it. Close the file and free every request, at the right time.


def give_up(port, file, requests, free):
    file.close()
    for request in requests:
        free(request)
"""

SOLUTION = """\
def give_up(port, file, requests, free):
    file.close()
    for _ in requests:
        free(port.get().overlapped)
"""


def judge(attempt: Attempt) -> None:
    """Three requests; each freed once, after its packet."""
    give_up: Callable[..., Any] = attempt.function("give_up")

    def look() -> tuple[list[Any], list[Any], bool, int]:
        port = CompletionPort()
        file, _peer = Pipe.pair()
        port.associate(file, key=7)
        requests = [file.read(10) for _ in range(3)]
        freed: list[Any] = []
        early: list[Any] = []

        def free(request: Any) -> None:
            freed.append(request)
            if not request.done:
                early.append(request)

        give_up(port, file, list(requests), free)
        is_each_once = len(freed) == 3 and all(any(each is request for each in freed) for request in requests)
        return freed, early, is_each_once and file.closed, port.depth

    freed, early, is_complete, depth = attempt.simulate(look)
    expect(not early, f"{len(early)} requests were freed while in use: their packets had not been taken")
    expect(is_complete, f"three requests are to be freed once each, and the file closed; {len(freed)} were freed")
    expect(depth == 0, f"{depth} packets are left in the queue: they point to memory that is gone")


LESSON = Lesson(
    id="L17",
    name="cancelling",
    title="Cancelling and closing with requests in flight",
    question=Question(
        "Two reads are pending. The first is cancelled and its packet taken; then the file's only handle is closed. "
        "What comes of the second read?",
        "packets after the file was closed",
        (
            Choice("Nothing: the file is gone, and the read with it.", 0),
            Choice("Two: one for the read, one for the close.", 2),
            Choice("One packet still comes, with an error.", 1),
        ),
    ),
    program=program,
    limits={"reads": (1, 100)},
    explanation=(
        "Cancelling is a request, not an end: the call returns at once, and the read is over when its packet comes, "
        "with 995 if the cancel was in time, or with its data if that was quicker.",
        "Closing the last handle ends what is pending, too, and each request still brings its one packet, after the "
        "handle is gone: with 109 for a pipe closed by its owner, 995 for a socket. So memory that a request uses, "
        "its buffer and its OVERLAPPED, must outlive the packet, whatever happens to the file.",
        "The safe way: give every request memory of its own on the heap, count those in flight, and free each when its "
        "packet is taken. The connection is gone when the count is zero.",
    ),
    rules=("I-41", "I-42", "I-43", "I-11"),
    sentences=(),
    answers={
        25: "Because each request that was pending brings one packet, also after the close (I-43, I-05). Free its "
        "memory when you have taken that packet, not when you close. And do not look the connection up by its "
        "handle's number, which Windows may have given to another one by then.",
        26: "Mark the connection as ending, so that no new request starts; shut it down or cancel; take packets until "
        "its count of requests in flight is zero; then close. Nobody needs to lock the handle (I-41).",
        35: "A request writes to its buffer, and its OVERLAPPED is used, until its packet has been taken (I-11, "
        "I-27). A stack frame that returns before is gone, and the system writes into whatever is there now. The same "
        "for an output parameter such as the byte count: take it from the packet.",
    },
    variation=Variation(
        {"reads": 4}, "Four reads: one is cancelled, and the close brings three packets, one for each that is left."
    ),
    exercise=Exercise("Give a connection up and free its requests at the right time.", STARTER, SOLUTION, judge),
)
