"""Scripted devices for tests on the kernel model, and the bench on which those tests stand.

Theory.  What an operation does, only its device knows; what becomes of its request, the kernel decides (chapter 6).  So
a test of the kernel's part needs no pipe and no socket, only a device that does what the test says: it completes
requests by hand, when it is asked to cancel, or when its file loses its last handle (I-43).

`Bench` is one machine with one process and the verbs that rules and scenarios are told in.  Own rules: every verb of
the bench ends with a check of all invariants of the state; every refusal must leave the whole picture as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion, Packet
from iocp_emu.kernel.file import Device, FileObject, IoMode, IoRequest, StatusBlock
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.jobs import Process
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import Access, KernelObject, NtError
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, Event, ResetMode, Timeout, Waitable, WaitMode
from iocp_emu.profiles import WIN10, Profile

SUCCESS = status.STATUS_SUCCESS
PENDING = status.STATUS_PENDING
CANCELLED = status.STATUS_CANCELLED
PIPE_BROKEN = status.STATUS_PIPE_BROKEN
BUFFER_OVERFLOW = status.STATUS_BUFFER_OVERFLOW

INVALID_HANDLE = status.STATUS_INVALID_HANDLE
INVALID_PARAMETER = status.STATUS_INVALID_PARAMETER
ACCESS_DENIED = status.STATUS_ACCESS_DENIED
NOT_FOUND = status.STATUS_NOT_FOUND
TYPE_MISMATCH = status.STATUS_OBJECT_TYPE_MISMATCH

TIMEOUT = RemoveOutcome.TIMEOUT
ABANDONED = RemoveOutcome.ABANDONED
USER_APC = RemoveOutcome.USER_APC


class ByHand:
    """Does nothing by itself: the test completes its requests.  Remembers what it was asked for."""

    def __init__(self) -> None:
        self.cancelled: list[IoRequest] = []
        self.cleanups = 0
        self.closes = 0

    def cancel(self, request: IoRequest) -> None:
        """Only remember the wish."""
        self.cancelled.append(request)

    def cleanup(self, file: FileObject) -> None:
        """Only count."""
        self.cleanups += 1

    def close(self, file: FileObject) -> None:
        """Only count."""
        self.closes += 1


class Obedient(ByHand):
    """Completes a request as cancelled as soon as it is asked to."""

    def cancel(self, request: IoRequest) -> None:
        """Cancelled at once, no bytes."""
        super().cancel(request)
        request.complete(CANCELLED, 0)


class Hasty(ByHand):
    """Has finished a request with success before it notices that it should cancel (I-41)."""

    bytes_done = 3

    def cancel(self, request: IoRequest) -> None:
        """Too late: the operation is done."""
        super().cancel(request)
        request.complete(SUCCESS, self.bytes_done)


class PipeEnd(Obedient):
    """A pipe end: closed by its owner, its outstanding requests end with STATUS_PIPE_BROKEN (I-43)."""

    status_at_cleanup = PIPE_BROKEN

    def cleanup(self, file: FileObject) -> None:
        """End what is outstanding, in the order of issue."""
        super().cleanup(file)
        for request in list(file.requests):
            request.complete(self.status_at_cleanup, 0)


class Socket(PipeEnd):
    """A socket: closed, its outstanding requests end with STATUS_CANCELLED (I-43)."""

    status_at_cleanup = CANCELLED


class Overlapped(StatusBlock):
    """An OVERLAPPED: the status block of one request and, as a rule, the context of its packet."""

    __slots__ = ("name",)

    def __init__(self, name: str = "ov") -> None:
        super().__init__()
        self.name = name

    def __repr__(self) -> str:
        return self.name

    @property
    def result(self) -> tuple[int, int]:
        """(Internal, InternalHigh)."""
        return self.status, self.information


def packet(key: Any = 0, overlapped: Any = None, code: int = SUCCESS, information: int = 0) -> Packet:
    """What a dequeuer sees of a packet: everything but where it came from."""
    return Packet(key, overlapped, code, information, None)


def win32_code(seen: Packet) -> int:
    """The last error that a dequeue of this packet leaves; 0 when the call returns TRUE (G-01, G-02)."""
    return 0 if seen.error is None else seen.error.winerror


def without_source(result: Any) -> Any:
    """A removal's result in which packets can be compared with `packet(...)`."""
    return [each.replace(source=None) for each in result] if isinstance(result, list) else result


class Bench:
    """One emulated machine with one process, its thread `main`, and the verbs that the rules are told in."""

    def __init__(self, profile: Profile = WIN10, processors: int = 2) -> None:
        self.kernel = Kernel(profile, processors)
        self.process = self.kernel.create_process()
        self.processes = [self.process]
        self.main = self.thread("main")

    # -- making things -----------------------------------------------------------------------------------------

    def another_process(self) -> Process:
        """A second process on the same machine."""
        process = self.kernel.create_process()
        self.processes.append(process)
        return process

    def thread(self, name: str, process: Process | None = None) -> KernelThread:
        """A runnable stranger."""
        return self.kernel.create_thread(process or self.process, name)

    def port(self, concurrency: int = 0) -> tuple[IoCompletion, int]:
        """A port and its only handle, with every right."""
        port = self.kernel.create_port(concurrency)
        return port, self.open(port)

    def file(self, device: Device | None = None, io_mode: IoMode = IoMode.OVERLAPPED) -> tuple[FileObject, int]:
        """A file object, in front of a device served by hand unless another is given, and its only handle."""
        file = self.kernel.create_file(device or ByHand(), io_mode)
        return file, self.open(file)

    def bound_file(self, port: IoCompletion, key: Any, device: Device | None = None) -> tuple[FileObject, int]:
        """An overlapped file that is associated with `port`."""
        file, handle = self.file(device)
        self.bind(file, port, key)
        return file, handle

    def event(self, reset_mode: ResetMode = ResetMode.MANUAL, *, signalled: bool = False) -> Event:
        """An event with one handle."""
        event = self.kernel.create_event(reset_mode, signalled=signalled)
        self.open(event)
        return event

    def open(self, obj: KernelObject, access: int = Access.ANY, process: Process | None = None) -> int:
        """One more handle."""
        handle = (process or self.process).handles.open(obj, access)
        self.check()
        return handle

    def duplicate(self, handle: int, target: Process | None = None, source: Process | None = None) -> int:
        """A second handle of the same object with the same rights."""
        made = (source or self.process).handles.duplicate(handle, (target or self.process).handles, None)
        self.check()
        return made

    def close(self, handle: int, process: Process | None = None) -> None:
        """CloseHandle."""
        (process or self.process).handles.close(handle)
        self.check()

    # -- packets -----------------------------------------------------------------------------------------------

    def post(
        self, port: IoCompletion, key: Any = 0, information: int = 0, overlapped: Any = None, code: int = SUCCESS
    ) -> int:
        """Queue a packet; the depth before."""
        previous = self.kernel.post(port, packet(key, overlapped, code, information))
        self.check()
        return previous

    def get(
        self,
        thread: KernelThread,
        port: IoCompletion,
        maximum: int = 1,
        *,
        timeout: Timeout = Timeout.LATER,
        alertability: Alertability = Alertability.PLAIN,
    ) -> Any:
        """Dequeue: a list of packets, a `RemoveOutcome`, or None when the thread has parked."""
        result = self.kernel.remove(thread, port, maximum, timeout, alertability)
        self.check()
        assert (result is None) == (thread.state is ThreadState.PARKED)
        return without_source(result)

    def poll(
        self,
        thread: KernelThread,
        port: IoCompletion,
        maximum: int = 1,
        alertability: Alertability = Alertability.PLAIN,
    ) -> Any:
        """Dequeue with timeout zero."""
        return self.get(thread, port, maximum, timeout=Timeout.DUE, alertability=alertability)

    def park(self, thread: KernelThread, port: IoCompletion, maximum: int = 1) -> None:
        """Dequeue with nothing to be had."""
        assert self.get(thread, port, maximum) is None

    def collect(self, thread: KernelThread) -> Any:
        """What the wait of a thread that somebody has readied brought it."""
        self.kernel.readied.remove(thread)
        result = self.kernel.collect(thread)
        self.check()
        return without_source(result)

    # -- waiting elsewhere -------------------------------------------------------------------------------------

    def wait(
        self,
        thread: KernelThread,
        objects: Sequence[Waitable] = (),
        mode: WaitMode = WaitMode.ANY,
        timeout: Timeout = Timeout.LATER,
        alertability: Alertability = Alertability.PLAIN,
    ) -> int | None:
        """Wait for objects, or sleep; None when the thread is blocked."""
        result = self.kernel.wait(thread, objects, mode, timeout, alertability)
        self.check()
        return result

    def is_signalled(self, obj: Waitable) -> bool:
        """What a wait with timeout zero finds."""
        result = self.wait(self.main, [obj], timeout=Timeout.DUE)
        assert result in (status.STATUS_WAIT_0, status.STATUS_TIMEOUT)
        return result == status.STATUS_WAIT_0

    def run_user_apc(self, thread: KernelThread) -> None:
        """The thread runs its oldest pending user APC."""
        apc = thread.next_user_apc()
        assert apc is not None
        apc()

    def exit(self, thread: KernelThread) -> None:
        """The thread ends."""
        self.kernel.exit_thread(thread)
        self.check()

    # -- files and requests ------------------------------------------------------------------------------------

    def bind(self, file: FileObject, port: IoCompletion, key: Any) -> None:
        """Associate."""
        file.associate(port, key)
        self.check()

    def start(
        self,
        file: FileObject,
        overlapped: Overlapped,
        *,
        thread: KernelThread | None = None,
        wants_packet: bool = True,
        event: Event | None = None,
        apc: Callable[[int, int, StatusBlock], None] | None = None,
    ) -> IoRequest:
        """Issue a request that pends; `wants_packet` False is an hEvent with its low bit set (I-07)."""
        overlapped.begin()
        request = file.start_request(
            thread or self.main, overlapped, context=overlapped if wants_packet else None, event=event, apc=apc
        )
        request.pend()
        assert request.return_to_caller() == PENDING
        self.check()
        return request

    def at_once(
        self,
        file: FileObject,
        overlapped: Overlapped,
        code: int,
        information: int,
        *,
        wants_packet: bool = True,
        event: Event | None = None,
    ) -> int:
        """Issue a request that the device completes before the call returns; what the call reports."""
        overlapped.begin()
        request = file.start_request(self.main, overlapped, context=overlapped if wants_packet else None, event=event)
        self.complete(request, code, information)
        reported = request.return_to_caller()
        self.check()
        return reported

    def complete(self, request: IoRequest, code: int = SUCCESS, information: int = 0) -> None:
        """The device is done."""
        self.kernel.complete(request, code, information)
        self.check()

    def cancel_io(self, file: FileObject, thread: KernelThread) -> int:
        """CancelIo: the thread's own requests; how many were found (I-40)."""
        found = file.cancel_requests(thread=thread)
        self.check()
        return found

    def cancel_io_ex(self, file: FileObject, thread: KernelThread, overlapped: Overlapped | None = None) -> None:
        """CancelIoEx: requests of the thread's process, those of one OVERLAPPED or all (I-40)."""
        file.cancel_all_or_one(thread.process, overlapped)
        self.check()

    # -- what must hold ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every property of the state holds (chapter P)."""
        check(self.kernel)

    def picture(self) -> tuple[Any, ...]:
        """Everything that a verb could have changed: objects, handle tables, names."""
        tables = tuple(tuple(process.handles.handles()) for process in self.processes)
        return snapshot(self.kernel), tables, dict(self.kernel.names), list(self.kernel.readied)

    @contextmanager
    def refused(self, code: int) -> Generator[None, None, None]:
        """What stands inside must be refused with this NTSTATUS and must change nothing."""
        before = self.picture()
        with pytest.raises(NtError) as caught:
            yield
        assert status.status_name(caught.value.status) == status.status_name(code)
        assert self.picture() == before
        self.check()
