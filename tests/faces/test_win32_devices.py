"""What the Win32 face makes of a device's answers: at once, later, errors, warnings; with and without a port.

The device here answers as it is told, so every row of chapter 6.1 can be seen; disk files show only some of them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

import iocp_emu
from iocp_emu import ntdll, status, win32
from iocp_emu.kernel.file import FileObject, IoMode, IoRequest
from iocp_emu.overlapped.device import Ask, IoDevice, Transferred
from iocp_emu.runtime.threads import ThreadSystem
from iocp_emu.win32 import OVERLAPPED
from tests.faces.helpers import PRESET, until_parked

OVERFLOW = status.STATUS_BUFFER_OVERFLOW
BROKEN = status.STATUS_PIPE_BROKEN
NO_COUNT = 0


class Told(IoDevice):
    """A device that answers reads with `answer`, or keeps them pending when that is None."""

    def __init__(self, answer: Transferred | None) -> None:
        self.answer = answer
        self.pending: list[IoRequest] = []

    def read(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None, ask: Ask) -> int:
        """Answer as told."""

        def step() -> int:
            request = file.start_request(system.current(), ask.block, context=ask.context, event=ask.event, apc=ask.apc)
            if self.answer is None:
                request.pend()
                self.pending.append(request)
            else:
                request.complete(self.answer.status, self.answer.count)
            return request.return_to_caller()

        system.current()
        return system.perform(step)

    def read_now(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None) -> Transferred:
        """Answer as told."""
        assert self.answer is not None
        return self.answer

    def cancel(self, request: IoRequest) -> None:
        """End it."""
        self.pending.remove(request)
        request.complete(status.STATUS_CANCELLED, 0)


Opened = Callable[..., tuple[Told, int]]


@pytest.fixture
def opened(machine: ThreadSystem) -> Opened:
    """Opens such a device: the device and a handle."""

    def make(answer: Transferred | None, io_mode: IoMode = IoMode.OVERLAPPED) -> tuple[Told, int]:
        device = Told(answer)
        return device, win32.handle_of(machine.perform(machine.kernel.create_file, device, io_mode))

    return make


def read(handle: int, overlapped: OVERLAPPED | None) -> tuple[bool, object, int]:
    """ReadFile: what it returns, and the last error."""
    win32.SetLastError(PRESET)
    result = win32.ReadFile(handle, bytearray(4), 4, overlapped)
    return result.ret, result.lpNumberOfBytesRead, win32.GetLastError()


def end(machine: ThreadSystem, device: Told, code: int, count: int) -> None:
    """The oldest pending request ends."""
    machine.perform(machine.kernel.complete, device.pending.pop(0), code, count)


@pytest.mark.parametrize(
    ("answer", "result", "packets", "packets_when_skipping"),
    [
        (Transferred(0, 3), (True, 3, PRESET), 1, 0),
        (Transferred(0, 0), (True, 0, PRESET), 1, 0),
        (Transferred(OVERFLOW, 4), (False, NO_COUNT, 234), 1, 0),
        (Transferred(BROKEN, 0), (False, NO_COUNT, 109), 0, 0),
    ],
)
def test_i02_to_i04_answers_at_once(
    opened: Opened,
    answer: Transferred,
    result: tuple[bool, int, int],
    packets: int,
    packets_when_skipping: int,
) -> None:
    """I-02 to I-04, I-15, I-16, I-26 (M-08 to M-10, M-14): success and warnings bring a packet, errors never do."""
    _, handle = opened(answer)
    port = win32.CreateIoCompletionPort(handle, None, 7, 0)
    overlapped = OVERLAPPED(5, 6)
    assert read(handle, overlapped) == result
    block = (status.STATUS_PENDING, 6) if status.is_error(answer.status) else (answer.status, answer.count)
    assert (overlapped.Internal, overlapped.InternalHigh) == block
    batch = win32.GetQueuedCompletionStatusEx(port, 4, 0, False)
    assert batch.ulNumEntriesRemoved == packets
    assert batch.entries == ((7, overlapped, answer.status, answer.count),) * packets
    assert win32.SetFileCompletionNotificationModes(handle, win32.FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)
    assert read(handle, overlapped) == result
    batch = win32.GetQueuedCompletionStatusEx(port, 4, 0, False)
    assert batch.ulNumEntriesRemoved == packets_when_skipping


@pytest.mark.parametrize(("code", "count", "error"), [(0, 3, PRESET), (OVERFLOW, 4, 234), (BROKEN, 0, 109)])
def test_i05_answers_later(machine: ThreadSystem, opened: Opened, code: int, count: int, error: int) -> None:
    """I-05, I-27 (M-11, M-17): one packet, whatever the outcome; the status block is written by the dequeue."""
    device, handle = opened(None)
    port = win32.CreateIoCompletionPort(handle, None, 7, 0)
    overlapped = OVERLAPPED(5, 6)
    assert read(handle, overlapped) == (False, NO_COUNT, 997)
    end(machine, device, code, count)
    assert (overlapped.Internal, overlapped.InternalHigh) == (status.STATUS_PENDING, 6)
    win32.SetLastError(PRESET)
    assert win32.GetQueuedCompletionStatus(port, 0) == (status.is_success(code), count, 7, overlapped)
    assert win32.GetLastError() == error
    assert (overlapped.Internal, overlapped.InternalHigh) == (code, count)
    assert not win32.GetQueuedCompletionStatus(port, 0).ret


def test_i28_with_an_event_the_block_is_not_late(machine: ThreadSystem, opened: Opened) -> None:
    """I-28: with hEvent status and event are there at the completion, and the packet too."""
    device, handle = opened(None)
    port, event = win32.CreateIoCompletionPort(handle, None, 7, 0), win32.CreateEventW(True, True)
    overlapped = OVERLAPPED(hEvent=event)
    assert read(handle, overlapped) == (False, NO_COUNT, 997)
    assert win32.WaitForSingleObject(event, 0) == win32.WAIT_TIMEOUT
    end(machine, device, 0, 3)
    assert win32.GetOverlappedResult(handle, overlapped, True) == (True, 3)
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 3, 7, overlapped)


def test_c15_bound_after_issuing(machine: ThreadSystem, opened: Opened) -> None:
    """C-15, M-12: a request that pends when the file is associated brings its packet with the new key."""
    device, handle = opened(None)
    overlapped = OVERLAPPED()
    assert read(handle, overlapped) == (False, NO_COUNT, 997)
    port = win32.CreateIoCompletionPort(handle, None, 9, 0)
    end(machine, device, 0, 2)
    assert win32.GetQueuedCompletionStatus(port, 0) == (True, 2, 9, overlapped)


def test_i10_a_device_that_takes_a_read_without_an_overlapped(machine: ThreadSystem, opened: Opened) -> None:
    """I-09, I-10: where the device accepts it the call waits for the file, visibly, and no packet comes."""
    device, handle = opened(None)
    port = win32.CreateIoCompletionPort(handle, None, 7, 0)
    reader = iocp_emu.spawn(read, handle, None)
    until_parked(reader.waitable)
    end(machine, device, 0, 3)
    assert reader.join(30) == (True, 3, PRESET)
    device.answer = Transferred(status.STATUS_END_OF_FILE)
    assert read(handle, None) == (True, 0, PRESET)
    assert not win32.GetQueuedCompletionStatus(port, 0).ret


@pytest.mark.parametrize(
    ("answer", "result", "is_told"),
    [
        (Transferred(0, 3), (True, 3, PRESET), True),
        (Transferred(OVERFLOW, 4), (False, NO_COUNT, 234), True),
        (Transferred(status.STATUS_END_OF_FILE), (False, NO_COUNT, 38), True),
        (Transferred(BROKEN), (False, NO_COUNT, 109), False),
    ],
)
def test_synchronous_files(opened: Opened, answer: Transferred, result: tuple[bool, int, int], is_told: bool) -> None:
    """The call has the result; block and event tell it too, at the end of the file as well (ntfile-sync-eof)."""
    _, handle = opened(answer, IoMode.SYNCHRONOUS)
    event = win32.CreateEventW(True, True)
    overlapped = OVERLAPPED(5, 6, hEvent=event)
    assert read(handle, overlapped) == result
    assert (win32.WaitForSingleObject(event, 0) == 0) is is_told
    block = (answer.status, answer.count) if is_told else (status.STATUS_PENDING, 6)
    assert (overlapped.Internal, overlapped.InternalHigh) == block


class ClosedMeanwhile(Told):
    """A device under which the only handle is closed while it reads."""

    def __init__(self) -> None:
        super().__init__(Transferred(0, 1))
        self.handle = 0
        self.was_freed = True

    def read_now(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None) -> Transferred:
        """Close, look, and answer."""
        assert win32.CloseHandle(self.handle)
        self.was_freed = file.freed
        return super().read_now(system, file, target, offset)


def test_h02_a_file_lives_until_its_call_returns(machine: ThreadSystem) -> None:
    """H-02: a file that is closed in the middle of a call is freed when the call is over, not under it."""
    device = ClosedMeanwhile()
    file = machine.perform(machine.kernel.create_file, device, IoMode.SYNCHRONOUS)
    device.handle = win32.handle_of(file)
    assert read(device.handle, None) == (True, 1, PRESET)
    assert not device.was_freed
    assert file.freed


def test_a_device_without_operations(machine: ThreadSystem) -> None:
    """What a device does not have is 1, and on the NT side INVALID_DEVICE_REQUEST."""
    file = machine.perform(machine.kernel.create_file, IoDevice(), IoMode.OVERLAPPED)
    handle = win32.handle_of(file)
    assert read(handle, OVERLAPPED()) == (False, NO_COUNT, 1)
    assert not win32.FlushFileBuffers(handle)
    assert win32.GetLastError() == 1
    started = ntdll.NtWriteFile(handle, None, None, 1, b"x", 1, 0)
    assert started.ret == status.STATUS_INVALID_DEVICE_REQUEST
