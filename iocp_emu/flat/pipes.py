"""Win32 calls on named and anonymous pipes.

Theory.  ConnectNamedPipe, DisconnectNamedPipe and TransactNamedPipe are control codes, sent as DeviceIoControl sends
them; what they answer is decided by the end of the pipe.  Without an OVERLAPPED they wait; on an overlapped end they
then wait for the file, which anything else that ends there satisfies as well (I-10).

Rules of this file: I-02 to I-10, I-25, table 6.6 (ConnectNamedPipe); facts k32pipe-*.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import status
from ..kernel.file import FileObject, IoMode
from ..kernel.objects import Access, NtError
from ..overlapped.pipe_names import (
    DEFAULT_BUFFER_SIZE,
    DEFAULT_TIMEOUT_SECONDS,
    UNLIMITED_INSTANCES,
    Instance,
    PipeDirection,
    PipeOptions,
    create_instance,
    create_pair,
    name_in,
    open_client,
    wait_for_instance,
)
from ..overlapped.pipe_queues import ReadMode
from ..overlapped.pipes import PEEK_HEADER, BufferSizes, EndKind, PipeEnd, PipeType, WaitMode
from .constants import (
    FILE_FLAG_FIRST_PIPE_INSTANCE,
    FILE_FLAG_OVERLAPPED,
    FILE_FLAG_WRITE_THROUGH,
    FILE_READ_ATTRIBUTES,
    FILE_WRITE_ATTRIBUTES,
    FSCTL_PIPE_DISCONNECT,
    FSCTL_PIPE_LISTEN,
    FSCTL_PIPE_PEEK,
    FSCTL_PIPE_TRANSCEIVE,
    GENERIC_READ,
    GENERIC_WRITE,
    INVALID_HANDLE_VALUE,
    NMPWAIT_USE_DEFAULT_WAIT,
    NMPWAIT_WAIT_FOREVER,
    PIPE_ACCESS_DUPLEX,
    PIPE_NOWAIT,
    PIPE_READMODE_MESSAGE,
    PIPE_REJECT_REMOTE_CLIENTS,
    PIPE_SERVER_END,
    PIPE_TYPE_MESSAGE,
)
from .support import (
    MAXIMUM_DWORD,
    OVERLAPPED,
    UNTOUCHED,
    Caller,
    Handle,
    Untouched,
    buffer_to_read,
    buffer_to_write,
    caller,
    dword,
    map_rights,
    reports,
    reports_transfer,
    set_last_error,
)
from .transfer import control, control_and_wait, order_of

OPEN_MODE_BITS = 0x01000000 | 0x000C0000 | FILE_FLAG_OVERLAPPED | FILE_FLAG_WRITE_THROUGH | PIPE_ACCESS_DUPLEX
"""The ways and flags, and the rights WRITE_DAC, WRITE_OWNER (the bit of the first instance) and to the audit list."""

PIPE_MODE_BITS = PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_NOWAIT | PIPE_REJECT_REMOTE_CLIENTS
NOTHING = memoryview(b"")


class PeekedPipe(NamedTuple):
    """What `PeekNamedPipe` returns."""

    ret: bool
    lpBytesRead: int | Untouched
    lpTotalBytesAvail: int | Untouched
    lpBytesLeftThisMessage: int | Untouched


class Transacted(NamedTuple):
    """What `TransactNamedPipe` and `CallNamedPipeW` return."""

    ret: bool
    lpBytesRead: int | Untouched


class PipeInfo(NamedTuple):
    """What `GetNamedPipeInfo` returns."""

    ret: bool
    lpFlags: int | Untouched
    lpOutBufferSize: int | Untouched
    lpInBufferSize: int | Untouched
    lpMaxInstances: int | Untouched


class PipeHandleState(NamedTuple):
    """What `GetNamedPipeHandleStateW` returns."""

    ret: bool
    lpState: int | Untouched
    lpCurInstances: int | Untouched


class CreatedPipe(NamedTuple):
    """What `CreatePipe` returns."""

    ret: bool
    hReadPipe: int | Untouched
    hWritePipe: int | Untouched


class ClientProcess(NamedTuple):
    """What `GetNamedPipeClientProcessId` returns."""

    ret: bool
    ClientProcessId: int | Untouched


class ServerProcess(NamedTuple):
    """What `GetNamedPipeServerProcessId` returns."""

    ret: bool
    ServerProcessId: int | Untouched


# -- creating and connecting -------------------------------------------------------------------------------------


@reports(INVALID_HANDLE_VALUE)
def CreateNamedPipeW(
    lpName: str | None,
    dwOpenMode: int,
    dwPipeMode: int,
    nMaxInstances: int,
    nOutBufferSize: int,
    nInBufferSize: int,
    *,
    nDefaultTimeOut: int = 0,
) -> int:
    r"""Create an instance of the pipe `\\.\pipe\NAME`, at once free for a client; the handle of its server end.

    `nMaxInstances`: 1 to 254, 255 without limit; for the first instance only, as `nDefaultTimeOut` (milliseconds for
    WaitNamedPipe, 0: 50).  Buffer sizes in bytes: what may stand unread before writes pend (fact k32pipe-quota).  The
    last error becomes 0.  INVALID_HANDLE_VALUE: 87 for modes that do not exist or go together and 0 instances, 3 no
    name, 123 no name of a pipe, 231 all instances are there, 5 FILE_FLAG_FIRST_PIPE_INSTANCE and it is not, another
    direction or type than the first has, or another process serves the name.  Never blocks.  Other processes of the
    user find the pipe by its name, where the host has Unix sockets (`overlapped.pipe_registry`).
    """
    if lpName is None:
        raise NtError(status.STATUS_OBJECT_PATH_NOT_FOUND)
    name = name_in(lpName)
    if name is None:
        raise NtError(status.STATUS_OBJECT_NAME_INVALID)
    open_mode, pipe_mode, instances = dword(dwOpenMode), dword(dwPipeMode), dword(nMaxInstances)
    way = open_mode & PIPE_ACCESS_DUPLEX
    is_valid = not open_mode & ~OPEN_MODE_BITS and not pipe_mode & ~PIPE_MODE_BITS
    if not is_valid or not way or not 1 <= instances <= UNLIMITED_INSTANCES:
        raise NtError(status.STATUS_INVALID_PARAMETER)
    options = PipeOptions(
        direction=PipeDirection(way),
        type=PipeType.MESSAGE if pipe_mode & PIPE_TYPE_MESSAGE else PipeType.BYTE,
        read_mode=_read_mode(pipe_mode),
        wait_mode=_wait_mode(pipe_mode),
        io_mode=IoMode.OVERLAPPED if open_mode & FILE_FLAG_OVERLAPPED else IoMode.SYNCHRONOUS,
        instance=Instance.FIRST if open_mode & FILE_FLAG_FIRST_PIPE_INSTANCE else Instance.ANY,
        maximum_instances=instances,
        sizes=BufferSizes(dword(nOutBufferSize), dword(nInBufferSize)),
        default_timeout=dword(nDefaultTimeOut) / 1000 or DEFAULT_TIMEOUT_SECONDS,
    )
    me = caller()
    desired = GENERIC_READ if way & PipeDirection.INBOUND else 0
    desired |= GENERIC_WRITE if way & PipeDirection.OUTBOUND else 0
    file = create_instance(me.system, name, options)
    handle = me.perform(me.open, file, map_rights("File", desired) | FILE_READ_ATTRIBUTES)
    set_last_error(status.ERROR_SUCCESS)
    return handle


@reports(False)
def ConnectNamedPipe(hNamedPipe: Handle, lpOverlapped: OVERLAPPED | None) -> bool:
    """Wait until a client opens this instance.

    TRUE when one did during the wait, or a disconnected end in mode PIPE_NOWAIT became free.  FALSE: 997 it goes on
    and a packet will follow; 535 a client is already there, 232 one was there and has gone, 536 nobody is there in
    mode PIPE_NOWAIT, 1 on a client end, 6: no packet follows (table 6.6, I-03).  Without an OVERLAPPED, and on a
    synchronous end, the call waits, visibly (Q-23).
    """
    me = caller()
    if lpOverlapped is None:
        outcome = control_and_wait(me, hNamedPipe, FSCTL_PIPE_LISTEN, NOTHING, NOTHING)
    else:
        lpOverlapped.begin()
        outcome = control(me, hNamedPipe, FSCTL_PIPE_LISTEN, NOTHING, NOTHING, order_of(lpOverlapped))
    return reports_transfer(outcome.status)


@reports(False)
def DisconnectNamedPipe(hNamedPipe: Handle) -> bool:
    """Throw the client out of this instance: requests of both ends end with 233, what was unread is lost.

    Then the instance waits for another ConnectNamedPipe.  FALSE: 233 already done, 536 there has been no client yet, 1
    on a client end, 6.  Never blocks; O(requests of both ends).
    """
    return reports_transfer(control_and_wait(caller(), hNamedPipe, FSCTL_PIPE_DISCONNECT, NOTHING, NOTHING).status)


@reports(False)
def WaitNamedPipeW(lpNamedPipeName: str, nTimeOut: int) -> bool:
    """Wait until an instance of the pipe is free; opening it may fail all the same when another client is faster.

    `nTimeOut` in milliseconds, NMPWAIT_USE_DEFAULT_WAIT: that of the pipe, or NMPWAIT_WAIT_FOREVER.  FALSE: 2 no such
    pipe, 3 no name of a pipe, 121 time is up.  Blocks, visibly (Q-23).
    """
    wait_for_instance(caller().system, _client_name(lpNamedPipeName), _pipe_timeout(nTimeOut))
    return True


@reports(CreatedPipe(False, UNTOUCHED, UNTOUCHED))
def CreatePipe(nSize: int = 0) -> CreatedPipe:
    """Create an anonymous pipe: bytes that are written at one end are read at the other, both synchronous.

    `nSize` in bytes: what may stand unread before a write waits; 0: 4096.  Never blocks.
    """
    size = dword(nSize) or DEFAULT_BUFFER_SIZE
    options = PipeOptions(
        direction=PipeDirection.INBOUND, io_mode=IoMode.SYNCHRONOUS, maximum_instances=1, sizes=BufferSizes(size, size)
    )
    me = caller()
    reading = map_rights("File", GENERIC_READ) | FILE_WRITE_ATTRIBUTES
    writing = map_rights("File", GENERIC_WRITE) | FILE_READ_ATTRIBUTES
    server, client = create_pair(me.system, options)
    read_handle, write_handle = me.perform(lambda: (me.open(server, reading), me.open(client, writing)))
    return CreatedPipe(True, read_handle, write_handle)


# -- modes and what is known of a pipe ---------------------------------------------------------------------------


@reports(False)
def SetNamedPipeHandleState(hNamedPipe: Handle, lpMode: int | None) -> bool:
    """Set how this end reads, PIPE_READMODE_, and whether it waits, PIPE_WAIT or PIPE_NOWAIT; None leaves both.

    FALSE: 87 for messages of a byte pipe, unknown bits, and what is no pipe; 5 without the right to write attributes,
    233 for a client that was thrown out, 6.  Never blocks.
    """
    me = caller()

    def step() -> None:
        end = _end_of(me, hNamedPipe, FILE_WRITE_ATTRIBUTES)
        if lpMode is not None:
            mode = dword(lpMode)
            if mode & ~(PIPE_READMODE_MESSAGE | PIPE_NOWAIT):
                raise NtError(status.STATUS_INVALID_PARAMETER)
            end.set_modes(_read_mode(mode), _wait_mode(mode))

    me.perform(step)
    return True


@reports(PipeHandleState(False, UNTOUCHED, UNTOUCHED))
def GetNamedPipeHandleStateW(hNamedPipe: Handle) -> PipeHandleState:
    """The modes of this end, and how many instances of its pipe there are.  FALSE: 87 no pipe, 6.  Never blocks."""
    me = caller()

    def step() -> PipeHandleState:
        end = _end_of(me, hNamedPipe, FILE_READ_ATTRIBUTES)
        state = PIPE_READMODE_MESSAGE if end.read_mode is ReadMode.MESSAGE else 0
        state |= PIPE_NOWAIT if end.wait_mode is WaitMode.NOWAIT else 0
        return PipeHandleState(True, state, len(end.pipe.instances))

    return me.perform(step)


@reports(PipeInfo(False, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED))
def GetNamedPipeInfo(hNamedPipe: Handle) -> PipeInfo:
    """Which end this is and of what type the pipe is, its buffer sizes in bytes, and its instances at most.

    FALSE: 87 no pipe, 5, 6.  Never blocks.
    """
    me = caller()

    def step() -> PipeInfo:
        end = _end_of(me, hNamedPipe, FILE_READ_ATTRIBUTES)
        flags = PIPE_SERVER_END if end.kind is EndKind.SERVER else 0
        flags |= PIPE_TYPE_MESSAGE if end.pipe.type is PipeType.MESSAGE else 0
        return PipeInfo(True, flags, end.sizes.outbound, end.sizes.inbound, end.pipe.maximum_instances)

    return me.perform(step)


@reports(ClientProcess(False, UNTOUCHED))
def GetNamedPipeClientProcessId(Pipe: Handle) -> ClientProcess:
    """The process of the client, the last one there was.  FALSE: 1168 none yet, 87 no pipe, 6.  Never blocks."""
    return ClientProcess(True, _process_of(Pipe, EndKind.CLIENT))


@reports(ServerProcess(False, UNTOUCHED))
def GetNamedPipeServerProcessId(Pipe: Handle) -> ServerProcess:
    """The process that created the instance.  FALSE: 87 no pipe, 6.  Never blocks."""
    return ServerProcess(True, _process_of(Pipe, EndKind.SERVER))


# -- peeking and transactions ------------------------------------------------------------------------------------


@reports(PeekedPipe(False, UNTOUCHED, UNTOUCHED, UNTOUCHED))
def PeekNamedPipe(hNamedPipe: Handle, lpBuffer: Any = None, nBufferSize: int = 0) -> PeekedPipe:
    """Look at what can be read, without taking it: of messages the first, also where this end reads bytes.

    The counts: bytes copied, bytes that can be read, and bytes of this message beyond those copied.  TRUE also when
    there is nothing.  Being a request, it leaves the file signalled (C-17).  FALSE: 109 the other end is closed and
    nothing is left, 230 no client, 233 a client that was thrown out, 5, 6, 1 no pipe.  Never blocks.
    """
    target = buffer_to_write(lpBuffer, nBufferSize)
    answer = memoryview(bytearray(PEEK_HEADER.size + len(target)))
    outcome = control_and_wait(caller(), hNamedPipe, FSCTL_PIPE_PEEK, NOTHING, answer)
    if status.is_error(outcome.status):
        raise NtError(outcome.status)
    _, available, _, first = PEEK_HEADER.unpack_from(answer)
    count = outcome.transferred - PEEK_HEADER.size
    if count:
        target[:count] = answer[PEEK_HEADER.size : outcome.transferred]
    return PeekedPipe(True, count, available, max(0, first - count))


@reports(Transacted(False, 0))
def TransactNamedPipe(
    hNamedPipe: Handle,
    lpInBuffer: Any,
    nInBufferSize: int,
    lpOutBuffer: Any,
    nOutBufferSize: int,
    lpOverlapped: OVERLAPPED | None,
) -> Transacted:
    """Write a message from `lpInBuffer` and read one into `lpOutBuffer` (fact k32pipe-transact).

    FALSE: 997 it goes on; 234 the answer is longer than the buffer, the rest can be read; 231 something is unread
    already, told by a packet since Windows 8; 230 this end does not read messages; 5, 6, and what a write brings.
    Without an OVERLAPPED, and on a synchronous end, the call waits, visibly (Q-23).
    """
    me = caller()
    data = buffer_to_read(lpInBuffer, nInBufferSize)
    target = buffer_to_write(lpOutBuffer, nOutBufferSize)
    if lpOverlapped is None:
        outcome = control_and_wait(me, hNamedPipe, FSCTL_PIPE_TRANSCEIVE, data, target)
    else:
        lpOverlapped.begin()
        outcome = control(me, hNamedPipe, FSCTL_PIPE_TRANSCEIVE, data, target, order_of(lpOverlapped))
    count = 0 if status.is_error(outcome.status) else outcome.transferred
    return Transacted(reports_transfer(outcome.status), count & MAXIMUM_DWORD)


@reports(Transacted(False, UNTOUCHED))
def CallNamedPipeW(
    lpNamedPipeName: str,
    lpInBuffer: Any,
    nInBufferSize: int,
    lpOutBuffer: Any,
    nOutBufferSize: int,
    nTimeOut: int,
) -> Transacted:
    """Open a message pipe, waiting for a free instance as `WaitNamedPipeW` does, transact once, and close it.

    FALSE: 234 the answer is longer than the buffer, its rest is lost; 2, 3, 121, and what a transaction brings.
    Blocks, visibly (Q-23).
    """
    me = caller()
    name, timeout = _client_name(lpNamedPipeName), _pipe_timeout(nTimeOut)
    rights = map_rights("File", GENERIC_READ | GENERIC_WRITE)
    while True:
        try:
            file = open_client(me.system, name, rights, IoMode.SYNCHRONOUS)
            break
        except NtError as error:
            if error.status != status.STATUS_PIPE_NOT_AVAILABLE:
                raise
        wait_for_instance(me.system, name, timeout)
    handle = me.perform(me.open, file, rights)
    try:
        if not SetNamedPipeHandleState(handle, PIPE_READMODE_MESSAGE):
            return Transacted(False, UNTOUCHED)
        return TransactNamedPipe(handle, lpInBuffer, nInBufferSize, lpOutBuffer, nOutBufferSize, None)
    finally:
        me.perform(me.system.process.handles.close, handle)


# -- steps -------------------------------------------------------------------------------------------------------


def _end_of(me: Caller, handle: Handle, rights: int) -> PipeEnd:
    """Under the kernel lock: the end of a pipe that a handle with one of these rights names."""
    end = me.lookup_any(handle, FileObject, rights).device
    if not isinstance(end, PipeEnd):
        raise NtError(status.STATUS_INVALID_PARAMETER)
    return end


def _process_of(handle: Handle, kind: EndKind) -> int:
    me = caller()
    end = me.perform(_end_of, me, handle, Access.ANY)
    process_id = end.process_id if end.kind is kind else end.far_process_id
    if process_id is None:
        raise NtError(status.STATUS_NOT_FOUND)
    return process_id


def _client_name(path: str) -> str:
    name = name_in(path)
    if name is None:
        raise NtError(status.STATUS_OBJECT_PATH_NOT_FOUND)
    return name


def _pipe_timeout(milliseconds: int) -> float | None:
    """A timeout of the NMPWAIT_ kind in seconds, as `wait_for_instance` takes it."""
    value = dword(milliseconds)
    if value == NMPWAIT_USE_DEFAULT_WAIT:
        return None
    return math.inf if value == NMPWAIT_WAIT_FOREVER else value / 1000


def _read_mode(mode: int) -> ReadMode:
    return ReadMode.MESSAGE if mode & PIPE_READMODE_MESSAGE else ReadMode.BYTE


def _wait_mode(mode: int) -> WaitMode:
    return WaitMode.NOWAIT if mode & PIPE_NOWAIT else WaitMode.WAIT
