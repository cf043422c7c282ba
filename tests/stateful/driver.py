"""The kernel behind the verbs of the naive model: plain arguments in, plain outcomes and views out.

Theory.  Objects are named by number, in the order of their creation, and every verb goes through a handle table or a
thread, as a face would.  So a history is a list of plain tuples, and playing it on a fresh driver is a loop (P-17).

Own rules.  No decision is made here.  Packets carry in `information` a stamp that grows by one with every packet that
is posted and every request that its device completes; histories are judged by these stamps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion, Packet
from iocp_emu.kernel.file import FileObject, IoMode, IoRequest, RequestState, StatusBlock
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import Access, KernelObject, NtError
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, Event, ResetMode, Timeout, Waitable, WaitMode
from iocp_emu.profiles import get_profile

Outcome = Any
STATES = {
    ThreadState.RUNNABLE: "runnable",
    ThreadState.PARKED: "parked",
    ThreadState.BLOCKED: "blocked",
    ThreadState.SUSPENDED: "suspended",
    ThreadState.EXITED: "exited",
}


class Completion(NamedTuple):
    """What was known of a request at the moment at which its device completed it."""

    stamp: int
    request: int
    port: int | None
    port_is_run_down: bool
    code: int
    has_context: bool
    has_routine: bool
    has_pended: bool
    modes: int


class Effects(NamedTuple):
    """What one verb did besides its outcome."""

    readied: list[int]
    posted: list[tuple[int, int]]
    completions: list[Completion]
    interrupted: list[int]


class HandDrivenDevice:
    """A device that ends requests when the test says so or, if eager, as soon as it is asked to (I-41, I-43)."""

    def __init__(self, driver: Driver, eager: bool) -> None:
        self.driver = driver
        self.eager = eager
        self.closed = 0

    def cancel(self, request: IoRequest) -> None:
        """Complete as cancelled, or later."""
        if self.eager:
            self.driver.finish(request, status.STATUS_CANCELLED)

    def cleanup(self, file: FileObject) -> None:
        """Complete everything as broken, in order of issue, or later."""
        if self.eager:
            for request in list(file.requests):
                self.driver.finish(request, status.STATUS_PIPE_BROKEN)

    def close(self, file: FileObject) -> None:
        """The file is gone: once."""
        self.closed += 1


class Driver:
    """One kernel with two processes.  `do(verb, *arguments)` is the door, as in the naive model."""

    def __init__(self, profile: str, kernel: Kernel | None = None) -> None:
        self.kernel = kernel or Kernel(get_profile(profile), processors=2)
        self.processes = [self.kernel.create_process() for _ in range(2)]
        self.threads: list[KernelThread] = []
        self.ports: list[IoCompletion] = []
        self.events: list[Event] = []
        self.files: list[FileObject] = []
        self.devices: list[HandDrivenDevice] = []
        self.requests: list[IoRequest] = []
        self.handles: list[int] = []
        self.stamp = 0
        self.effects = Effects([], [], [], [])

    def do(self, verb: str, *arguments: Any) -> Outcome:
        """Perform one verb; `effects` tells what else happened."""
        self.effects = Effects([], [], [], [])
        try:
            return getattr(self, verb)(*arguments)
        except NtError as refusal:
            return ("refused", refusal.status)
        finally:
            self.take_readied()

    def take_readied(self) -> None:
        """Empty the kernel's list of readied threads, as a runtime does."""
        self.effects.readied.extend(self.threads.index(thread) for thread in self.kernel.readied)
        self.kernel.readied.clear()

    def check(self) -> None:
        """The properties of the state."""
        check(self.kernel)
        for file, device in zip(self.files, self.devices, strict=True):
            assert device.closed == int(file.freed), f"P-14: a device was closed {device.closed} times"
        for obj in (*self.ports, *self.files, *self.events):
            alive = obj in self.kernel.objects
            assert alive == (obj.references > 0) == (not obj.freed), f"P-14: {obj!r} alive={alive} freed={obj.freed}"

    def find(self, process: int, handle: int, kind: type[Any], access: int = 0) -> Any:
        """The object behind the handle of this number."""
        return self.processes[process].handles.lookup(self.handles[handle], kind, access)

    def find_for(self, thread: int, handle: int, kind: type[Any], access: int = 0) -> Any:
        """The same, in a thread's process."""
        return self.find(self.processes.index(self.threads[thread].process), handle, kind, access)

    # -- making things -----------------------------------------------------------------------------------------

    def open(self, process: int, obj: KernelObject) -> int:
        """A handle with every right."""
        self.handles.append(self.processes[process].handles.open(obj, Access.ALL))
        return len(self.handles) - 1

    def create_thread(self, process: int) -> int:
        """A thread."""
        self.threads.append(self.kernel.create_thread(self.processes[process], f"T{len(self.threads)}"))
        return len(self.threads) - 1

    def create_port(self, process: int, limit: int) -> int:
        """A port."""
        self.ports.append(self.kernel.create_port(limit))
        return self.open(process, self.ports[-1])

    def create_event(self, process: int, auto: bool, signalled: bool) -> int:
        """An event."""
        mode = ResetMode.AUTO if auto else ResetMode.MANUAL
        self.events.append(self.kernel.create_event(mode, signalled=signalled))
        return self.open(process, self.events[-1])

    def create_file(self, process: int, overlapped: bool, eager: bool) -> int:
        """A file."""
        self.devices.append(HandDrivenDevice(self, eager))
        mode = IoMode.OVERLAPPED if overlapped else IoMode.SYNCHRONOUS
        self.files.append(self.kernel.create_file(self.devices[-1], mode))
        return self.open(process, self.files[-1])

    # -- ports and waits ---------------------------------------------------------------------------------------

    def packet(self, port: IoCompletion, key: str) -> Packet:
        """A fresh packet for a port."""
        self.stamp += 1
        self.effects.posted.append((self.stamp, self.ports.index(port)))
        return Packet(key, None, status.STATUS_SUCCESS, self.stamp, None)

    def query(self, process: int, handle: int) -> int:
        """The depth."""
        port: IoCompletion = self.find(process, handle, IoCompletion, Access.QUERY_STATE)
        return port.depth

    def post(self, process: int, handle: int, key: str) -> int:
        """Post."""
        port = self.find(process, handle, IoCompletion, Access.MODIFY_STATE)
        return self.kernel.post(port, self.packet(port, key))

    def remove(self, thread: int, handle: int, maximum: int, due: bool, alertable: bool) -> Outcome:
        """Dequeue."""
        port = self.find_for(thread, handle, IoCompletion, Access.MODIFY_STATE)
        result = self.kernel.remove(self.threads[thread], port, maximum, timeout(due), alertability(alertable))
        return "parked" if result is None else plain(result)

    def collect(self, thread: int) -> Outcome:
        """Return from a call that had parked or blocked."""
        return plain(self.kernel.collect(self.threads[thread]))

    def wait(self, thread: int, handles: list[int], every: bool, due: bool, alertable: bool) -> Outcome:
        """Wait."""
        objects = [self.find_for(thread, handle, Waitable, Access.SYNCHRONIZE) for handle in handles]
        mode = WaitMode.ALL if every else WaitMode.ANY
        result = self.kernel.wait(self.threads[thread], objects, mode, timeout(due), alertability(alertable))
        return "blocked" if result is None else result

    def set_event(self, process: int, handle: int) -> None:
        """Signal an event."""
        self.find(process, handle, Event, Access.MODIFY_STATE).set()

    def reset_event(self, process: int, handle: int) -> None:
        """Reset an event."""
        self.find(process, handle, Event, Access.MODIFY_STATE).reset()

    # -- threads -----------------------------------------------------------------------------------------------

    def block(self, thread: int) -> None:
        """Block elsewhere."""
        self.kernel.block(self.threads[thread])

    def unblock(self, thread: int) -> None:
        """That is over."""
        self.kernel.unblock(self.threads[thread])

    def expire(self, thread: int) -> bool:
        """The time of a wait is over."""
        return self.kernel.expire(self.threads[thread])

    def suspend(self, thread: int) -> int:
        """Suspend."""
        return self.kernel.suspend(self.threads[thread])

    def resume(self, thread: int) -> int:
        """Resume."""
        return self.kernel.resume(self.threads[thread])

    def exit(self, thread: int) -> None:
        """End."""
        self.kernel.exit_thread(self.threads[thread])

    def user_apc(self, thread: int) -> None:
        """Queue a user APC."""
        self.kernel.queue_user_apc(self.threads[thread], lambda: None)

    def run_apcs(self, thread: int) -> int:
        """Run the pending user APCs."""
        count = 0
        while (apc := self.threads[thread].next_user_apc()) is not None:
            apc()
            count += 1
        return count

    def kernel_apc(self, thread: int, handles: list[int]) -> None:
        """A kernel APC that posts."""
        target = self.threads[thread]
        ports = [self.find_for(thread, handle, IoCompletion, Access.MODIFY_STATE) for handle in handles]
        interrupted = target if target.state is ThreadState.PARKED else None
        self.effects.interrupted.append(thread)

        def action() -> None:
            for port in ports:
                port.set(self.packet(port, "apc"), interrupted)

        self.kernel.kernel_apc(target, action)

    # -- files and requests ------------------------------------------------------------------------------------

    def associate(self, process: int, file_handle: int, port_handle: int, key: str) -> None:
        """Bind a file."""
        file = self.find(process, file_handle, FileObject)
        file.associate(self.find(process, port_handle, IoCompletion, Access.MODIFY_STATE), key)

    def replace(self, process: int, file_handle: int, port_handle: int | None, key: str) -> None:
        """Bind it elsewhere, or nowhere."""
        file = self.find(process, file_handle, FileObject)
        port = None if port_handle is None else self.find(process, port_handle, IoCompletion, Access.MODIFY_STATE)
        file.replace_association(port, key)

    def add_modes(self, process: int, handle: int, flags: int) -> None:
        """Add notification modes."""
        self.find(process, handle, FileObject).add_modes(flags)

    def issue(
        self, thread: int, handle: int, context: bool, event_handle: int | None, routine: bool, script: str, code: int
    ) -> int:
        """Start a request; the device does what `script` says before the call returns."""
        file: FileObject = self.find_for(thread, handle, FileObject)
        event = None if event_handle is None else self.find_for(thread, event_handle, Event, Access.MODIFY_STATE)
        block = StatusBlock()
        block.begin()
        request = file.start_request(
            self.threads[thread],
            block,
            context=f"r{len(self.requests)}" if context else None,
            event=event,
            apc=(lambda *_: None) if routine else None,
        )
        self.requests.append(request)
        if script != "complete":
            request.pend()
        if script != "pend":
            self.finish(request, code)
        return request.return_to_caller()

    def complete(self, number: int, code: int) -> None:
        """The device is done with a request."""
        self.finish(self.requests[number], code)

    def finish(self, request: IoRequest, code: int) -> None:
        """Complete a request with the next stamp."""
        association = request.file.association
        fact = Completion(
            self.stamp + 1,
            self.requests.index(request),
            None if association is None else self.ports.index(association.port),
            association is not None and association.port.running_down,
            code,
            request.context is not None,
            request.apc is not None,
            request.has_pended,
            request.file.modes,
        )
        self.effects.completions.append(fact)
        try:
            self.stamp += 1
            self.kernel.complete(request, code, self.stamp)
        except NtError:
            self.stamp -= 1
            self.effects.completions.remove(fact)
            raise

    def cancel_io(self, thread: int, handle: int) -> int:
        """CancelIo."""
        file: FileObject = self.find_for(thread, handle, FileObject)
        return file.cancel_requests(thread=self.threads[thread])

    def cancel_io_ex(self, process: int, handle: int, request: int | None) -> None:
        """CancelIoEx."""
        file = self.find(process, handle, FileObject)
        file.cancel_all_or_one(self.processes[process], None if request is None else self.requests[request].block)

    def duplicate(self, process: int, handle: int, target: int, access: int | None) -> int:
        """Duplicate a handle."""
        source = self.processes[process].handles
        self.handles.append(source.duplicate(self.handles[handle], self.processes[target].handles, access))
        return len(self.handles) - 1

    def close(self, process: int, handle: int) -> None:
        """Close a handle."""
        self.processes[process].handles.close(self.handles[handle])

    # -- what can be seen --------------------------------------------------------------------------------------

    def view(self) -> dict[str, list[Any]]:
        """Everything visible, as plain data, in the shape of the naive model's view."""
        opened = {handle for process in self.processes for handle in process.handles.handles()}
        return {
            "port": [None if port.freed else self._view_of_port(port) for port in self.ports],
            "dropped": [port.dropped for port in self.ports],
            "thread": [self._view_of_thread(thread) for thread in self.threads],
            "file": [None if file.freed else self._view_of_file(file) for file in self.files],
            "event": [None if event.freed else (event.signalled, event.references) for event in self.events],
            "request": [
                (r.state is RequestState.ISSUED, r.is_cancelling, r.block.status, r.block.information)
                for r in self.requests
            ],
            "open handle": [number for number, handle in enumerate(self.handles) if handle in opened],
        }

    def _view_of_port(self, port: IoCompletion) -> dict[str, Any]:
        queue = port.queue
        return {
            "limit": port.concurrency,
            "count": queue.current_count,
            "depth": port.depth,
            "packets": [packet[:4] for packet in queue.packets],
            "waiters": [self.threads.index(thread) for thread in queue.waiters],
            "members": sorted(self.threads.index(thread) for thread in queue.members),
            "references": port.references,
            "signalled": port.is_signalled_for(None),
            "run down": port.running_down,
        }

    def _view_of_thread(self, thread: KernelThread) -> dict[str, Any]:
        result = thread.wait_result
        if isinstance(result, list):
            result = [packet[:4] for packet in result]
        return {
            "state": STATES[thread.state],
            "port": None if thread.queue is None else self.ports.index(thread.queue.owner),  # type: ignore[arg-type]
            "result": result.name if isinstance(result, RemoveOutcome) else result,
            "apcs": len(thread.user_apcs),
            "suspensions": thread.suspend_count,
        }

    def _view_of_file(self, file: FileObject) -> dict[str, Any]:
        bound = file.association
        return {
            "association": None if bound is None else (self.ports.index(bound.port), bound.key),
            "modes": file.modes,
            "signalled": file.signalled,
            "outstanding": [self.requests.index(request) for request in file.requests],
            "references": file.references,
        }


def plain(result: Any) -> Outcome:
    """A result in the naive model's words."""
    if isinstance(result, list):
        return ("got", [packet[:4] for packet in result])
    return result.name if isinstance(result, RemoveOutcome) else result


def timeout(due: bool) -> Timeout:
    """Zero, or later."""
    return Timeout.DUE if due else Timeout.LATER


def alertability(alertable: bool) -> Alertability:
    """Whether user APCs end the call."""
    return Alertability.ALERTABLE if alertable else Alertability.PLAIN
