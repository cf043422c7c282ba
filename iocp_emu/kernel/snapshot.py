"""An immutable, hashable picture of a kernel's state, for comparing before and after, and for recognizing states.

Theory.  Two kernels that went through the same history have equal snapshots, whatever the addresses of their objects:
threads and objects are named by their order of creation.  What no verb can ever observe (freed objects, counters of
handle values) is left out.

Own rule.  Taking a picture changes nothing.  O(state).
"""

from __future__ import annotations

from typing import Any

from .completion import IoCompletion, Packet
from .file import FileObject, IoRequest
from .jobs import Job, Process
from .machine import Kernel
from .objects import KernelObject
from .queue import Dequeue
from .thread import KernelThread, WaitResult
from .waitpackets import ReserveObject, WaitCompletionPacket
from .waits import Event, Mutant, Semaphore, Timer

Snapshot = tuple[Any, ...]


def snapshot(kernel: Kernel) -> Snapshot:
    """The state of every live object, in order of creation.  O(state)."""
    numbers = {obj: number for number, obj in enumerate(kernel.objects)}
    names = tuple((name, numbers[obj]) for name, obj in kernel.names.items())
    objects = ((obj.type_name, obj.references, obj.handle_count, *_state(obj, numbers)) for obj in numbers)
    return (names, *objects)


def _state(obj: KernelObject, numbers: dict[KernelObject, int]) -> tuple[Any, ...]:
    """What distinguishes this object, beyond its references."""

    def number(other: KernelObject | None) -> int | None:
        return None if other is None else numbers.get(other, -1)

    if isinstance(obj, KernelThread):
        home = None if obj.queue is None else number(obj.queue.owner)
        wait = None
        if obj.wait is not None:
            objects = tuple(number(each) for each in obj.wait.objects)
            wait = (objects, obj.wait.mode.name, obj.wait.alertability.name)
        call = None if obj.dequeue is None else _dequeue(obj.dequeue)
        result = _result(obj.wait_result)
        return (obj.name, obj.state.name, home, wait, call, result, len(obj.user_apcs), obj.suspend_count)
    if isinstance(obj, IoCompletion):
        queue = obj.queue
        return (
            obj.concurrency,
            queue.current_count,
            tuple(number(thread) for thread in queue.waiters),
            tuple(number(thread) for thread in queue.members),
            tuple(map(_packet, queue.packets)),
            obj.dropped,
            obj.is_closed,
            obj.running_down,
        )
    if isinstance(obj, FileObject):
        bound = None if obj.association is None else (number(obj.association.port), obj.association.key)
        requests = tuple(
            (number(request.thread), number(request.event), *_request(request)) for request in obj.requests
        )
        return (bound, obj.io_mode.name, obj.modes, obj.signalled, requests)
    if isinstance(obj, Timer):
        return (obj.reset_mode.name, obj.signalled, obj.armed)
    if isinstance(obj, Event):
        return (obj.reset_mode.name, obj.signalled)
    if isinstance(obj, Semaphore):
        return (obj.count, obj.maximum)
    if isinstance(obj, Mutant):
        return (number(obj.owner), obj.depth, obj.abandoned)
    if isinstance(obj, Process):
        handles = obj.handles
        entries = tuple((number(handles.entry(each).object), handles.entry(each).access) for each in handles.handles())
        return (obj.exit_code, entries, tuple(number(thread) for thread in obj.threads), tuple(map(number, obj.jobs)))
    if isinstance(obj, Job):
        return (number(obj.port), obj.key, number(obj.parent), tuple(number(process) for process in obj.processes))
    if isinstance(obj, WaitCompletionPacket):
        packet = None if obj.packet is None else _packet(obj.packet)
        return (obj.state.name, number(obj.port), number(obj.target), packet)
    if isinstance(obj, ReserveObject):
        return (obj.is_queued,)
    raise TypeError(f"no picture of {type(obj).__name__}")


def _result(result: WaitResult) -> Any:
    return tuple(map(_packet, result)) if isinstance(result, list) else result


def _dequeue(dequeue: Dequeue) -> tuple[Any, ...]:
    return (dequeue.maximum, dequeue.timeout.name, dequeue.alertability.name)


def _packet(packet: Packet) -> tuple[Any, ...]:
    return (packet.key, _identity(packet.overlapped), packet.status, packet.information)


def _request(request: IoRequest) -> tuple[Any, ...]:
    return (
        _identity(request.context),
        request.apc is None,
        request.state.name,
        request.has_pended,
        request.has_returned,
        request.is_cancelling,
        request.block.status,
        request.block.information,
    )


def _identity(value: Any) -> Any:
    """An opaque value as part of a key: itself when it is plain data, else only its type."""
    return value if isinstance(value, (int, str, bytes, type(None))) else type(value).__name__
