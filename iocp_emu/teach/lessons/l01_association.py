"""L01: a port and the files that are associated with it."""

from __future__ import annotations

from typing import Any

from ... import CompletionPort, Pipe, Win32Error, win32
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation


def program(second_key: int = 9) -> Facts:
    """Two files, one port."""
    port = CompletionPort()
    left, left_peer = Pipe.pair()  # the two ends of a pipe; an end is a file
    right, right_peer = Pipe.pair()
    port.associate(left, key=7)
    port.associate(right, key=second_key)
    left.read(100)  # both reads begin; nothing is there to read yet
    right.read(100)
    members = port.active + port.waiting

    right_peer.write(b"hello")  # the second file's read completes
    packet = port.get()
    try:
        port.associate(left, key=1)
        again = "the key is 1 now"
    except Win32Error as error:
        again = f"refused, error {error.winerror}"

    handle = right.handle
    right.close()
    win32.CreateIoCompletionPort(handle, port.handle, 3, 0)
    left_peer.write(b"late")
    return {
        "threads of the port before the first get": members,
        "key of the packet": packet.key,
        "associating the first file again": again,
        "associating a closed file": f"refused, error {win32.GetLastError()}",
        "key of the first file's packet": port.get().key,
    }


STARTER = """\
# Three pipes are given. Associate them with the port so that the key of a
# packet is the number of the pipe that it is about: 0, 1 or 2.


def associate_all(port, pipes):
    for pipe in pipes:
        port.associate(pipe, key=0)
"""

SOLUTION = """\
def associate_all(port, pipes):
    for number, pipe in enumerate(pipes):
        port.associate(pipe, key=number)
"""


def judge(attempt: Attempt) -> None:
    """Data on the pipes in another order has to bring the keys in that order."""
    associate_all = attempt.function("associate_all")

    def look() -> list[Any]:
        port = CompletionPort()
        pairs = [Pipe.pair() for _ in range(3)]
        associate_all(port, [end for end, _ in pairs])
        for end, _ in pairs:
            end.read(10)
        for number in (2, 0, 1):
            pairs[number][1].write(b"x")
        expect(port.depth == 3, f"of three files, {port.depth} brought a packet: is each one associated?")
        return [port.get().key for _ in range(3)]

    keys = attempt.simulate(look)
    expect(
        keys == [2, 0, 1],
        f"data came on pipe 2, then 0, then 1, and the keys were {keys}: the key should tell which pipe it was",
    )


LESSON = Lesson(
    id="L01",
    name="association",
    title="A port and its files",
    question=Question(
        "An I/O completion port is a queue: when I/O on one of its files is done, the system puts a packet into it, "
        "and a thread takes the packet out. A file is associated with the port, with a key of your choice. Here the "
        "first file has key 7, the second key 9. Then the program associates the first file once more, with key 1. "
        "What happens?",
        "associating the first file again",
        (
            Choice("From now on the key of that file is 1.", "the key is 1 now"),
            Choice("It has two keys now, and each completion brings two packets.", "two packets"),
            Choice("It is refused: a file has one port and one key, for good.", "refused, error 87"),
        ),
    ),
    program=program,
    limits={"second_key": (0, 1000)},
    explanation=(
        "The completion key is a value of your own. It comes back in every packet of that file, and means nothing to "
        "the port. So one thread can serve many files and still know which one a packet is about.",
        "An association lasts as long as the file does. Asking again is error 87, for the same port and for another "
        "one. A handle that has been closed is error 6.",
        "The port made no thread. Its threads are those that call get on it: none before the first call. The pool of "
        "workers is yours, and a thread belongs to the port from its first get on, whatever it did before.",
    ),
    rules=("C-04", "C-06", "C-07", "C-11", "A-01"),
    sentences=(1, 2),
    simplifications={
        1: "A port is useful without any I/O, too: packets can be posted to one that has no file at all (N-01, L12).",
        2: "None is enough: a port can be created without a file (C-01). And what is tied to it is the file object: "
        "every duplicate of the handle shares the one association (C-12).",
    },
    answers={
        2: "No. A port has no threads of its own; those that call get on it become its threads (A-01). The first fact "
        "shows it: before the first get, none.",
        3: "It is yours. You start the threads, as many as you like, and each calls get in a loop. The port only "
        "decides how many of them run at a time (L07). What the system calls its thread pool is built on top of this.",
        38: "Any: a port created without a file ignores the key (C-01). The key is given when a file is associated.",
        39: "No: a file object has one port at most, and all duplicates of its handle share it. Trying is the way to "
        "find out: error 87 (C-06), which other bad arguments give as well. Windows 8.1 and later can replace or "
        "remove an association, by a call of the NT layer (C-14).",
        40: "No. A closed handle is not a handle any more: error 6 (C-07), and nothing has changed.",
    },
    variation=Variation(
        {"second_key": 7},
        "Give both files the same key: nobody objects, but the packet does not say any more which file it is about.",
    ),
    exercise=Exercise(
        "Associate three pipes so that the key of each packet is the number of its pipe.", STARTER, SOLUTION, judge
    ),
)
