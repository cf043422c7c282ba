"""L14: what keeps a port alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import CompletionPort, Pipe, win32
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation


def program(files: int = 2) -> Facts:
    """The references of a port, from the first to the last."""
    port = CompletionPort()
    counts = [port.references]
    pairs = [Pipe.pair() for _ in range(files)]
    for key, (file, _) in enumerate(pairs):
        port.associate(file, key)
    counts.append(port.references)
    first = pairs[0][0].handle
    same = win32.DUPLICATE_SAME_ACCESS
    duplicate = win32.DuplicateHandle(first, 0, same).lpTargetHandle
    counts.append(port.references)

    port.close()  # the port's only handle
    freed_early = port.freed
    counts.append(port.references)
    for file, _ in pairs:
        file.close()
    counts.append(port.references)
    win32.CloseHandle(duplicate)
    counts.append(port.references)
    return {
        "freed when its handle is closed": freed_early,
        "references: made, files, duplicate": counts[:3],
        "references: port closed, files closed, duplicate closed": counts[3:],
        "freed in the end": port.freed,
    }


STARTER = """\
# Shut down: a port with one file, which has one read pending. When you are
# done the port must be freed, and the packet of the read must have been
# taken. Return that packet.


def shut_down(port, file):
    port.close()
    file.close()
"""

SOLUTION = """\
def shut_down(port, file):
    file.close()
    packet = port.get()
    port.close()
    return packet
"""


def judge(attempt: Attempt) -> None:
    """Freed, and nothing lost."""
    shut_down: Callable[..., Any] = attempt.function("shut_down")

    def look() -> tuple[bool, bool]:
        port = CompletionPort()
        file, _peer = Pipe.pair()
        port.associate(file, key=7)
        request = file.read(10)
        packet = shut_down(port, file)
        return port.freed, getattr(packet, "overlapped", None) is request

    freed, is_taken = attempt.simulate(look)
    expect(freed, "the port is not freed: which handle is still open?")
    expect(is_taken, "the packet of the pending read was not taken: in which order do you close?")


LESSON = Lesson(
    id="L14",
    name="lifetime",
    title="What keeps a port alive",
    question=Question(
        "A port has one handle and two associated files. The program closes the handle of the port. Is the port freed?",
        "freed when its handle is closed",
        (
            Choice("No: the files still refer to it.", False),
            Choice("Yes: its last handle is closed.", True),
        ),
    ),
    program=program,
    limits={"files": (1, 100)},
    explanation=(
        "The port's handle is one reference, and each associated file is one. A duplicate of a file's handle adds "
        "none: it is the same file object. The port is freed when the last reference is gone; the system does that, "
        "and once.",
        "But it stops being of use earlier: with its last handle nobody can name it any more. The files still work, "
        "and what completes on them has nowhere to go.",
        "While a request is pending it keeps its file, and so the port; and so does a call of get in progress.",
    ),
    rules=("H-01", "H-02", "H-03", "O-20"),
    sentences=(21, 22, 23),
    simplifications={
        22: "It is file objects that count, not file handles: the duplicate above added nothing (C-12). And requests "
        "in flight and calls in progress hold the port as well (H-02, H-03).",
        23: "To free it, yes, and the requests in flight have to end too. But it is unusable from its own last handle "
        "on (O-20).",
    },
    answers={
        27: "Its use is over, the object is not: nobody can get from it any more, all waiters have been told (O-20, "
        "O-21), but the associated socket keeps the object until it is closed itself (H-02). What completes meanwhile "
        "is lost.",
    },
    variation=Variation({"files": 5}, "With five files there are six references, and five when the port is closed."),
    exercise=Exercise("Shut down so that the port is freed and no packet is lost.", STARTER, SOLUTION, judge),
)
