"""An immutable, hashable picture of a kernel's state, for comparing before and after, and for recognizing states.

Theory.  Two kernels that went through the same history have equal snapshots, whatever the addresses of their objects:
threads and objects are named by their order of creation.  What no verb can ever observe (freed objects, counters of
handle values) is left out.

A canonical picture names objects by what they are and what they are bound to instead: first all of one type are alike,
then those are told apart whose pictures differ, until that tells nothing more apart; then one of those that are still
alike is made the first, and so on.  It is the picture of the same state under other names, so unlike states never share
one; like workers, and like ports, are interchangeable in it.  It leaves out in which order a process has made what it
holds, which only its end shows.

Own rule.  Taking a picture changes nothing.  O(state).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
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


def canonical(kernel: Kernel, labels: Mapping[KernelObject, Hashable] | None = None) -> Snapshot:
    """The state up to renaming of what is alike.  O(state), times the number of like objects at worst.

    `labels` tells objects apart by what the kernel does not know of them: where in its program a thread stands, say.
    Each label's `repr` stands for it and should be the same in every process.
    """
    given = labels or {}
    named = {obj: name for name, obj in kernel.names.items()}
    ranks = _ranks({obj: (obj.type_name, named.get(obj), given.get(obj)) for obj in kernel.objects})
    while True:
        finer = _ranks({obj: (ranks[obj], _unnamed(obj, ranks)) for obj in ranks})
        if len(set(finer.values())) > len(set(ranks.values())):
            ranks = finer
            continue
        alike = [rank for rank, count in Counter(ranks.values()).items() if count > 1]
        if not alike:
            break
        # Any of these may be the first: what they are bound to does not tell them apart.
        chosen = next(obj for obj, rank in ranks.items() if rank == min(alike))
        ranks = _ranks({obj: (rank, obj is not chosen) for obj, rank in ranks.items()})
    objects = sorted(ranks, key=ranks.__getitem__)
    return tuple(
        (obj.type_name, named.get(obj), repr(given.get(obj)), *_unnamed(obj, ranks)) for obj in objects
    )


def _ranks(keys: dict[KernelObject, Any]) -> dict[KernelObject, int]:
    """The place of each object's key among the keys; keys are compared by what they look like."""
    shown = {obj: repr(key) for obj, key in keys.items()}
    places = {key: place for place, key in enumerate(sorted(set(shown.values())))}
    return {obj: places[key] for obj, key in shown.items()}


def _unnamed(obj: KernelObject, numbers: dict[KernelObject, int]) -> tuple[Any, ...]:
    """The picture without names of threads, and without an order where only names have one."""
    state = _state(obj, numbers)
    if isinstance(obj, KernelThread):
        state = (*state[1:], *_places(obj, numbers))
    elif isinstance(obj, (IoCompletion, Process, Job)):
        unordered = {IoCompletion: (3,), Process: (1, 2), Job: (3,)}[type(obj)]
        state = tuple(tuple(sorted(each, key=repr)) if place in unordered else each for place, each in enumerate(state))
    return (obj.references, obj.handle_count, *state)


def _places(thread: KernelThread, numbers: dict[KernelObject, int]) -> tuple[Any, ...]:
    """Where a thread stands in what others hold: among waiters, as the owner of mutexes, as the issuer of requests."""
    parked = None if thread.queue is None or thread not in thread.queue.waiters else list(thread.queue.waiters)
    waiting = () if thread.wait is None else tuple(list(obj.waits).index(thread.wait) for obj in thread.wait.objects)
    owned = sorted(numbers[mutant] for mutant in thread.mutants)
    issued = sorted((numbers.get(request.file, -1), list(request.file.requests).index(request))
                    for request in thread.requests)
    return (None if parked is None else parked.index(thread), waiting, tuple(owned), tuple(issued))


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
