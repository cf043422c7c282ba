"""Deadlocks of a simulation, told so that one can read them: who waits for what, and which rule stops it.

Theory.  When nobody can make a step, no alarm is set and threads still wait, nothing can ever change again, because
everything that changes the kernel is a step or an alarm.  Each waiting thread is then asked for its reason, which the
kernel knows.

Own rule.  A report is plain text and plain data; making it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..kernel.completion import IoCompletion
from ..kernel.file import FileObject
from ..kernel.objects import KernelObject
from ..kernel.thread import KernelThread, ThreadState
from ..kernel.waits import Mutant, WaitMode
from .virtual_threads import Place, VirtualThread

if TYPE_CHECKING:
    from .simulation import Simulation


@dataclass(frozen=True, slots=True)
class StuckThread:
    """One thread that can never go on: `waits_for` in words, `rule` that stops it, `why` nothing will change that.

    `waits_on` are the names of threads that it waits for, or that hold what it waits for.
    """

    name: str
    waits_for: str
    rule: str
    why: str
    waits_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadlockReport:
    """Everything about a deadlock at `seconds` of virtual time; `str` is the text."""

    seconds: float
    threads: tuple[StuckThread, ...]
    failed: tuple[str, ...]
    circle: tuple[str, ...]

    def __str__(self) -> str:
        count = len(self.threads)
        lines = [
            f"nothing can ever run again: {count} thread{'s wait' if count != 1 else ' waits'} "
            f"at {self.seconds} virtual seconds"
        ]
        lines += [f"  {each.name} waits for {each.waits_for}: {each.why} ({each.rule})" for each in self.threads]
        if self.circle:
            lines.append(f"  they wait for each other in a circle: {' -> '.join([*self.circle, self.circle[0]])}")
        lines += [f"  before, {each}" for each in self.failed]
        return "\n".join(lines)


class SimulationDeadlock(RuntimeError):
    """Threads wait, and nothing can ever wake them; `report` has the parts, the message the text."""

    def __init__(self, report: DeadlockReport) -> None:
        super().__init__(str(report))
        self.report = report


def report_deadlock(simulation: Simulation) -> DeadlockReport:
    """Who waits for what.  O(state)."""
    names = _Names(simulation)
    stuck = tuple(
        _explain(thread, names) for thread in simulation.virtual_threads if thread.place not in (Place.NEW, Place.ENDED)
    )
    failed = tuple(
        f"{thread.title} ended with {type(thread.error).__name__}: {thread.error}"
        for thread in simulation.virtual_threads
        if thread.error is not None
    )
    return DeadlockReport(simulation.now, stuck, failed, _circle(stuck))


class _Names:
    """What objects are called in a report: by kind and order of creation, and by handle."""

    def __init__(self, simulation: Simulation) -> None:
        self._names: dict[KernelObject, str] = {}
        counts: dict[str, int] = {}
        for obj in simulation.kernel.objects:
            counts[obj.type_name] = number = counts.get(obj.type_name, 0) + 1
            kind = "port" if isinstance(obj, IoCompletion) else obj.type_name.lower()
            self._names[obj] = obj.name if isinstance(obj, KernelThread) and obj.name else f"{kind} {number}"
        handles = simulation.process.handles
        for handle in handles.handles():
            obj = handles.entry(handle).object
            if not isinstance(obj, KernelThread) and "0x" not in self._names.get(obj, ""):
                self._names[obj] = f"{self._names.get(obj, obj.type_name)} (handle {handle:#x})"

    def __getitem__(self, obj: KernelObject) -> str:
        return self._names.get(obj, obj.type_name)


def _explain(thread: VirtualThread, names: _Names) -> StuckThread:
    if thread.state is ThreadState.PARKED and thread.queue is not None:
        port = thread.queue.owner
        assert isinstance(port, IoCompletion)
        return _explain_parked(thread, port, names[port])
    if thread.state is ThreadState.SUSPENDED:
        return StuckThread(thread.title, "a resume", "Q-23", f"it is suspended {thread.suspend_count} times")
    if thread.wait is not None:
        return _explain_blocked(thread, names)
    return StuckThread(thread.title, "something outside of the kernel", "Q-23", f"it is {thread.state.value}")


def _explain_parked(thread: VirtualThread, port: IoCompletion, name: str) -> StuckThread:
    queue = port.queue
    waits_for = f"a packet of {name}"
    if not queue.packets:
        outstanding = [obj for obj in thread.kernel.objects if isinstance(obj, FileObject) and _feeds(obj, port)]
        if outstanding:
            why = "it is empty, and its devices will never end the requests that are left"
            return StuckThread(thread.title, waits_for, "I-05", why)
        return StuckThread(thread.title, waits_for, "Q-11", "it is empty, and nobody is left who could post")
    holders = tuple(member.name or "a thread" for member in queue.members if member.state is ThreadState.RUNNABLE)
    count = len(queue.packets)
    return StuckThread(
        thread.title,
        waits_for,
        "Q-13",
        f"{count} {'is' if count == 1 else 'are'} queued, but {queue.current_count} of {queue.maximum_count} slots "
        f"are taken by {', '.join(holders)}",
        holders,
    )


def _feeds(file: FileObject, port: IoCompletion) -> bool:
    return file.association is not None and file.association.port is port and bool(file.requests)


def _explain_blocked(thread: VirtualThread, names: _Names) -> StuckThread:
    wait = thread.wait
    assert wait is not None
    if not wait.objects:
        return StuckThread(thread.title, "nothing, for ever", "Q-23", "it sleeps without end")
    joined = " and " if wait.mode is WaitMode.ALL else " or "
    missing = [obj for obj in wait.objects if not obj.is_signalled_for(thread)]
    waits_for = joined.join(
        f"{names[obj]} to end" if isinstance(obj, KernelThread) else names[obj] for obj in missing
    )
    waits_on = tuple(names[each] for each in _those_that_could_signal(missing))
    owned = [f"{names[obj]} is owned by {names[obj.owner]}" for obj in missing if isinstance(obj, Mutant) and obj.owner]
    if owned:
        why = ", ".join(owned)
    elif all(isinstance(obj, KernelThread) for obj in missing):
        why = "which waits too" if len(missing) == 1 else "which wait too"
    else:
        why = "nobody is left who could signal it" if len(missing) == 1 else "nobody is left who could signal them"
    return StuckThread(thread.title, waits_for, "Q-23", why, waits_on)


def _those_that_could_signal(objects: Iterable[KernelObject]) -> Iterable[KernelThread]:
    for obj in objects:
        if isinstance(obj, KernelThread):
            yield obj
        elif isinstance(obj, Mutant) and obj.owner is not None:
            yield obj.owner


def _circle(stuck: tuple[StuckThread, ...]) -> tuple[str, ...]:
    """The first circle of threads that wait for each other, from its lowest thread on."""
    edges = {each.name: each.waits_on for each in stuck}
    for start in edges:
        path: list[str] = []
        pending = [(start, 0)]
        while pending:
            name, depth = pending.pop()
            del path[depth:]
            if name == start and path:
                return tuple(path)
            if name in path or name not in edges:
                continue
            path.append(name)
            pending.extend((each, depth + 1) for each in edges[name])
    return ()
