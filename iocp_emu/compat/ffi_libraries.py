"""The functions of kernel32, ntdll and ws2_32 that programs call through cffi, on memory of cffi's.

Theory.  Each function takes what the C function takes, calls the flat face, and writes results where C would.  An
OVERLAPPED of the program stands behind a `_Block`, which the kernel writes to as to any other; each write goes on to
the program's memory.  So the structure tells the truth at any time, also after the program has forgotten about us.

Rules of this file: clients.md 7.  Semantics are those of the calls.

Own rules.  A block is kept from the call until its final status is written.  Strings are UTF-16, as the programs
encode them themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import status, win32
from ..overlapped.afd import IOCTL_AFD_POLL, POLL_INFO
from .whole_calls import make_whole

Memory = Any
"""A pointer, or another object of cffi's."""


class _Block(win32.OVERLAPPED):
    """An OVERLAPPED in memory of the program's: `pointer` keeps that alive.  `after` is called once it has ended."""

    __slots__ = ("address", "after", "pointer")

    def __init__(self, pointer: Memory, address: int, after: Callable[[], None]) -> None:
        self.pointer = pointer
        self.address = address
        self.after = after
        place = pointer.DUMMYUNIONNAME.DUMMYSTRUCTNAME
        super().__init__(0, 0, place.Offset, place.OffsetHigh)

    @property
    def status(self) -> int:
        """The NTSTATUS."""
        return int(self.pointer.Internal)

    @status.setter
    def status(self, value: int) -> None:
        self.pointer.Internal = value & 0xFFFFFFFF
        if value != status.STATUS_PENDING:
            self.after()

    @property
    def information(self) -> int:
        """The byte count."""
        return int(self.pointer.InternalHigh)

    @information.setter
    def information(self, value: int) -> None:
        self.pointer.InternalHigh = value


class Library:
    """What the libraries share: an FFI, whose types they use."""

    def __init__(self, ffi: Any) -> None:
        self._ffi = ffi

    def _number(self, value: Any) -> int:
        """A handle or another integer."""
        return value if isinstance(value, int) else int(self._ffi.cast("uintptr_t", value))

    def _handle(self, value: int) -> Memory:
        return self._ffi.cast("HANDLE", value)

    def _bytes(self, pointer: Memory, size: int) -> memoryview | None:
        """Memory of the program's; None for NULL."""
        if pointer == self._ffi.NULL:
            return None
        return memoryview(self._ffi.buffer(self._ffi.cast("char *", pointer), size)).cast("B")

    def _text(self, pointer: Memory) -> str:
        units = self._ffi.cast("unsigned short *", pointer)
        length = 0
        while units[length]:
            length += 1
        return bytes(self._ffi.buffer(units, 2 * length)).decode("utf-16-le")


class Kernel32(Library):
    """kernel32.dll."""

    def __init__(self, ffi: Any) -> None:
        super().__init__(ffi)
        self._in_flight: dict[int, _Block] = {}

    # -- ports -------------------------------------------------------------------------------------------------

    def CreateIoCompletionPort(self, file: Memory, existing: Memory, key: Any, concurrency: int, /) -> Memory:
        """A new port, or `existing` with which `file` is associated; NULL."""
        made = win32.CreateIoCompletionPort(
            self._number(file), self._number(existing), self._number(key), self._number(concurrency)
        )
        return self._handle(made)

    def PostQueuedCompletionStatus(self, port: Memory, size: int, key: Any, overlapped: Memory, /) -> int:
        """Queue a packet."""
        address = self._number(overlapped)
        return int(win32.PostQueuedCompletionStatus(self._number(port), size, self._number(key), address or None))

    def GetQueuedCompletionStatusEx(
        self, port: Memory, entries: Memory, count: int, removed: Memory, milliseconds: int, alertable: int, /
    ) -> int:
        """Take packets.  Blocks."""
        batch = win32.GetQueuedCompletionStatusEx(self._number(port), count, milliseconds, bool(alertable))
        for place, packet in enumerate(batch.entries):
            overlapped = packet.lpOverlapped
            address = overlapped.address if isinstance(overlapped, _Block) else overlapped or 0
            entry = entries[place]
            entry.lpCompletionKey = packet.lpCompletionKey
            entry.lpOverlapped = self._ffi.cast("LPOVERLAPPED", address)
            entry.Internal = packet.Internal & 0xFFFFFFFF
            entry.dwNumberOfBytesTransferred = packet.dwNumberOfBytesTransferred
        removed[0] = batch.ulNumEntriesRemoved
        return int(batch.ret)

    def SetFileCompletionNotificationModes(self, file: Memory, flags: int, /) -> int:
        """Set modes that stay."""
        return int(win32.SetFileCompletionNotificationModes(self._number(file), self._number(flags)))

    # -- files and devices -------------------------------------------------------------------------------------

    def CreateFileW(
        self,
        name: Memory,
        access: int,
        share: int,
        security: Memory,
        disposition: int,
        flags: int,
        template: Memory,
        /,
    ) -> Memory:
        """Open; INVALID_HANDLE_VALUE."""
        return self._handle(
            win32.CreateFileW(self._text(name), int(access), int(share), int(disposition), int(flags))
        )

    def ReadFile(self, file: Memory, buffer: Memory, size: int, count: Memory, overlapped: Memory, /) -> int:
        """Start to read."""
        view = self._bytes(buffer, size)
        read = self._start(overlapped, lambda block: win32.ReadFile(self._number(file), view, size, block))
        self._report(count, read.lpNumberOfBytesRead)
        return int(read.ret)

    def WriteFile(self, file: Memory, buffer: Memory, size: int, count: Memory, overlapped: Memory, /) -> int:
        """Start to write."""
        view = self._bytes(buffer, size)
        written = self._start(overlapped, lambda block: win32.WriteFile(self._number(file), view, size, block))
        self._report(count, written.lpNumberOfBytesWritten)
        return int(written.ret)

    def DeviceIoControl(
        self,
        device: Memory,
        code: int,
        given: Memory,
        given_size: int,
        wanted: Memory,
        wanted_size: int,
        count: Memory,
        overlapped: Memory,
        /,
    ) -> int:
        """Start what a control code says; the structure of a poll is laid out as on Windows."""
        write_back: Callable[[], None] | None = None
        if code == IOCTL_AFD_POLL:
            data, target, write_back = self._poll_info(given, wanted)
        else:
            data, target = self._bytes(given, given_size), self._bytes(wanted, wanted_size)
        controlled = self._start(
            overlapped,
            lambda block: win32.DeviceIoControl(
                self._number(device),
                int(code),
                block,
                lpInBuffer=data,
                nInBufferSize=len(data or b""),
                lpOutBuffer=target,
                nOutBufferSize=len(target or b""),
            ),
            write_back,
        )
        self._report(count, controlled.lpBytesReturned)
        return int(controlled.ret)

    def _poll_info(self, given: Memory, wanted: Memory) -> tuple[Any, Any, Callable[[], None]]:
        """What a poll asks, room for its answer, and what writes that to the program's memory."""
        asked, answered = (self._ffi.cast("AFD_POLL_INFO *", pointer) for pointer in (given, wanted))
        one = asked.Handles[0]
        data = POLL_INFO.pack(
            asked.Timeout,
            asked.NumberOfHandles,
            self._number(asked.Exclusive),
            self._number(one.Handle),
            one.Events,
            one.Status,
        )
        target = bytearray(data)

        def write_back() -> None:
            answered.Timeout, answered.NumberOfHandles, _, handle, events, code = POLL_INFO.unpack(target)
            place = answered.Handles[0]
            place.Handle = self._handle(handle)
            place.Events, place.Status = events, code

        return data, target, write_back

    def CancelIoEx(self, file: Memory, overlapped: Memory, /) -> int:
        """End one operation of a file, or all of them, early."""
        address = self._number(overlapped)
        if not address:
            return int(win32.CancelIoEx(self._number(file), None))
        block = self._in_flight.get(address) or win32.OVERLAPPED()
        return int(win32.CancelIoEx(self._number(file), block))

    def _start(
        self, overlapped: Memory, call: Callable[[Any], Any], write_back: Callable[[], None] | None = None
    ) -> Any:
        """Call with the block of an OVERLAPPED, and keep that until the operation has ended."""
        address = self._number(overlapped)
        if not address:
            return call(None)

        def after() -> None:
            if self._in_flight.pop(address, None) is not None and write_back is not None:
                write_back()

        block = _Block(overlapped, address, after)
        block.hEvent = self._number(overlapped.hEvent)
        self._in_flight[address] = block
        result = call(block)
        if not result.ret and win32.GetLastError() != status.ERROR_IO_PENDING:
            self._in_flight.pop(address, None)
        return result

    def _report(self, place: Memory, count: Any) -> None:
        if place != self._ffi.NULL and isinstance(count, int):
            place[0] = count

    # -- waits and handles -------------------------------------------------------------------------------------

    def CreateEventA(self, security: Memory, manual_reset: int, initial_state: int, name: Memory, /) -> Memory:
        """A new event without a name."""
        return self._handle(win32.CreateEventW(bool(manual_reset), bool(initial_state)))

    def SetEvent(self, event: Memory, /) -> int:
        """Signal an event."""
        return int(win32.SetEvent(self._number(event)))

    def ResetEvent(self, event: Memory, /) -> int:
        """Unsignal an event."""
        return int(win32.ResetEvent(self._number(event)))

    def WaitForSingleObject(self, handle: Memory, milliseconds: int, /) -> int:
        """Wait.  Blocks."""
        return win32.WaitForSingleObject(self._number(handle), milliseconds)

    def WaitForMultipleObjects(self, count: int, handles: Memory, wait_all: int, milliseconds: int, /) -> int:
        """Wait for one of several, or for all.  Blocks."""
        numbers = [self._number(handles[place]) for place in range(count)]
        return win32.WaitForMultipleObjects(count, numbers, bool(wait_all), milliseconds)

    def CloseHandle(self, handle: Memory, /) -> int:
        """Close a handle."""
        return int(win32.CloseHandle(self._number(handle)))


class Ntdll(Library):
    """ntdll.dll."""

    def RtlNtStatusToDosError(self, code: int, /) -> int:
        """The Win32 code of an NTSTATUS."""
        return status.status_to_error(self._number(code) & 0xFFFFFFFF)


class Ws2(Library):
    """ws2_32.dll."""

    def WSAGetLastError(self) -> int:
        """The last error of the calling thread."""
        return win32.WSAGetLastError()

    def WSAIoctl(
        self,
        s: Any,
        code: int,
        given: Memory,
        given_size: int,
        wanted: Memory,
        wanted_size: int,
        count: Memory,
        overlapped: Memory,
        routine: Memory,
        /,
    ) -> int:
        """Ask for the handle below a socket's; 0, or -1."""
        answer = win32.WSAIoctl(self._number(s), int(code), self._bytes(given, given_size))
        if not answer.ret and isinstance(answer.lpvOutBuffer, int):
            self._ffi.cast("HANDLE *", wanted)[0] = self._handle(answer.lpvOutBuffer)
            count[0] = answer.lpcbBytesReturned
        return answer.ret


make_whole(globals())
