"""The properties that hold in every state between two verbs (chapter P), as one check.

Theory.  P-01, P-02, P-07, P-08 and P-13 to P-15 speak of a state and are checked here, and that nobody may take
packets by itself who must not by P-06; P-03 to P-06, P-09 to P-12 and P-16 to P-18 speak of histories and are checked
by the stateful tests, which see both sides of every verb.

Own rule.  A violation names the rule, says what was expected and found, and shows the port: it is meant to be read.
"""

from __future__ import annotations

from collections.abc import Container

from .completion import IoCompletion
from .file import FileObject, RequestState
from .machine import Kernel
from .objects import KernelObject
from .thread import KernelThread, ThreadState


class InvariantViolation(AssertionError):
    """A property of chapter P does not hold; `rule` is its id."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


def check(kernel: Kernel, unopened: Container[KernelObject] = ()) -> None:
    """Raise `InvariantViolation` unless every property of the state holds.  O(state).

    `unopened` objects are made already, and the next verb of whoever made them opens the first handle.
    """
    for obj in list(kernel.objects):
        if obj in unopened:
            continue
        if obj.references <= 0 or obj.freed or obj.references < obj.handle_count:
            raise InvariantViolation("P-14", f"{obj!r} is alive with {obj.handle_count} handles")
        if isinstance(obj, IoCompletion):
            check_port(obj)
        elif isinstance(obj, KernelThread):
            check_thread(obj)
        elif isinstance(obj, FileObject):
            check_file(obj)


def check_port(port: IoCompletion) -> None:
    """P-01, P-02, P-06, P-07, P-13 of one port."""
    queue = port.queue
    runnable = [thread for thread in queue.members if thread.state is ThreadState.RUNNABLE]
    if queue.current_count != len(runnable):
        raise InvariantViolation("P-01", f"{len(runnable)} runnable members but {describe(port)}")
    if queue.packets and queue.waiters and queue.current_count < queue.maximum_count:
        raise InvariantViolation("P-02", f"a packet is stranded: {describe(port)}")
    if queue.waiters and not queue.is_watched:
        raise InvariantViolation("P-02", f"nobody would offer a packet to the waiters: {describe(port)}")
    if len(queue.takers) > len(runnable) or (queue.takers and queue.current_count > queue.maximum_count):
        raise InvariantViolation("P-06", f"{len(queue.takers)} threads may take by themselves: {describe(port)}")
    for thread in queue.waiters:
        if thread not in queue.members or thread.queue is not queue or thread.state is not ThreadState.PARKED:
            raise InvariantViolation("P-07", f"{thread.name} is a waiter of {describe(port)} but {thread.state.value}")
    if port.running_down and (queue.waiters or queue.members or queue.packets or queue.current_count):
        raise InvariantViolation("P-13", f"not empty after the last close: {describe(port)}")
    if not port.handle_count and port.profile.close_wakes_waiters and queue.waiters:
        raise InvariantViolation("P-13", f"waiters without a handle: {describe(port)}")


def check_thread(thread: KernelThread) -> None:
    """P-07 and P-08 of one thread."""
    queue = thread.queue
    if queue is not None and thread not in queue.members:
        raise InvariantViolation("P-08", f"{thread.name} points to a queue that does not know it")
    if thread.state is ThreadState.PARKED and (queue is None or thread not in queue.waiters or thread.dequeue is None):
        raise InvariantViolation("P-07", f"{thread.name} is parked but on no waiter list")
    if thread.state is ThreadState.EXITED and queue is not None:
        raise InvariantViolation("P-08", f"{thread.name} has exited but is still associated")


def check_file(file: FileObject) -> None:
    """P-15 of one file: what is listed as outstanding has not been reported."""
    for request in file.requests:
        if request.state is not RequestState.ISSUED:
            raise InvariantViolation("P-15", f"a request of {file!r} is listed but {request.state.value}")


def describe(port: IoCompletion) -> str:
    """One line: count/limit, who is runnable, who waits (bottom to top), what is queued (oldest first)."""
    queue = port.queue
    runnable = [thread.name for thread in queue.members if thread.state is ThreadState.RUNNABLE]
    return (
        f"count {queue.current_count}/{queue.maximum_count} runnable {runnable} "
        f"waiters {[thread.name for thread in queue.waiters]} packets {[packet.key for packet in queue.packets]}"
    )
