"""What every Winsock call needs: sockets by handle, buffers, addresses, and answers in Winsock's own codes.

Theory.  A Winsock call looks its socket up, issues one operation and says how it ended: 0 or -1 and a code of Winsock's
own, which differs from what the port reports for the same status (I-53).  With an OVERLAPPED the call is one step; the
socket's blocking mode means nothing then (fact afd-nonblock).  Without one it waits, visibly (Q-23), or on a
non-blocking socket fails with WSAEWOULDBLOCK; no packet comes of it (I-09).

Rules of this file: I-03, I-04, I-07 to I-09, I-53, C-16 (fact sock-apc-invalid), Q-23.

Own rules.  A sockaddr is an address in Python's form.  A buffer is one object, or a sequence of them taken together.
"""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from typing_extensions import ParamSpec

from .. import status
from ..kernel.file import FileObject, IoMode, StatusBlock
from ..kernel.objects import NtError
from ..overlapped.device import Ask
from ..overlapped.engine import issue, start
from ..overlapped.host_sockets import PEEK, WAIT_ALL, Address, check_address, status_of, winsock_code
from ..overlapped.socket_requests import Operation, Patience
from ..overlapped.sockets import SocketDevice, device_of_socket
from .constants import MSG_DONTROUTE, MSG_OOB, MSG_PARTIAL, MSG_PEEK, MSG_WAITALL, SOCKET_ERROR
from .support import (
    MAXIMUM_DWORD,
    OVERLAPPED,
    Caller,
    FileInUse,
    Handle,
    caller,
    dword,
    refusal,
    set_last_error,
)
from .transfer import Apc, ask_of, order_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

SocketRoutine = Callable[[int, int, OVERLAPPED, int], object]
"""Called with Winsock's code, the bytes moved, the OVERLAPPED and the flags, as a user APC of the thread that asked."""

HOST_FLAGS = (
    (MSG_OOB, int(socket.MSG_OOB)),
    (MSG_PEEK, PEEK),
    (MSG_DONTROUTE, int(socket.MSG_DONTROUTE)),
    (MSG_WAITALL, WAIT_ALL),
)


class SOCKADDR:
    """A place for an address, written when the operation ends.  `address` is None until then."""

    __slots__ = ("address",)

    def __init__(self, address: Address = None) -> None:
        self.address = address

    def __repr__(self) -> str:
        return f"<SOCKADDR {self.address}>"


# -- answers -----------------------------------------------------------------------------------------------------


def winsock(failure: R) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a Winsock call of a function: when it is refused, the last error is set and `failure` returned."""

    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(call)
        def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return call(*args, **kwargs)
            except NtError as error:
                set_last_error(winsock_code(error.status))
                return failure

        return reporting

    return decorate


def answer(code: int) -> int:
    """0 for the NTSTATUS of a success, else SOCKET_ERROR with the last error set (I-04)."""
    if code != status.STATUS_PENDING and status.is_success(code):
        return 0
    set_last_error(winsock_code(code))
    return SOCKET_ERROR


def flags_of(code: int) -> int:
    """What a receive that ended with this NTSTATUS says in its flags."""
    return MSG_PARTIAL if code == status.STATUS_BUFFER_OVERFLOW else 0


# -- arguments ---------------------------------------------------------------------------------------------------


def host_flags(flags: int) -> int:
    """Flags of a transfer as the host has them; what the host does not have is left out."""
    value = dword(flags)
    return value and sum(theirs for ours, theirs in HOST_FLAGS if value & ours)


def views_of(buffers: Any, count: int, *, writable: bool) -> list[memoryview]:
    """The first `count` bytes of one buffer or of several taken together; too few, or read-only ones, are WSAEFAULT."""
    given: Sequence[Any] = (b"" if buffers is None else buffers,)
    if isinstance(buffers, (list, tuple)):
        given = cast("Sequence[Any]", buffers)
    left = dword(count)
    views: list[memoryview] = []
    for each in given:
        view = memoryview(each)
        if view.format != "B" or view.ndim != 1:
            view = view.cast("B")
        view = view[:left]
        if writable and view.readonly and len(view):
            raise NtError(status.STATUS_ACCESS_VIOLATION)
        left -= len(view)
        if len(view) or not views:
            views.append(view)
    if left:
        raise NtError(status.STATUS_ACCESS_VIOLATION)
    return views


def address_for(device: SocketDevice, address: Address) -> Address:
    """An address argument; WSAEINVAL when it is none of the socket's family, or not in digits."""
    value = address.address if isinstance(address, SOCKADDR) else address
    return check_address(device.host.family, value)


def routine_apc(routine: SocketRoutine | None, overlapped: OVERLAPPED) -> Apc | None:
    """The APC that calls a completion routine."""
    if routine is None:
        return None

    def apc(code: int, information: int, _: StatusBlock) -> None:
        routine(winsock_code(code), information & MAXIMUM_DWORD, overlapped, flags_of(code))

    return apc


# -- sockets -----------------------------------------------------------------------------------------------------


def device_at(me: Caller, s: Handle) -> SocketDevice:
    """Under the kernel lock: the socket behind a handle; WSAENOTSOCK."""
    return device_of_socket(me.lookup(s, FileObject))


def with_device(s: Handle, step: Callable[[SocketDevice], T]) -> T:
    """Run one step on a socket under the kernel lock; a host error is refused with its status."""
    me = caller()

    def verb() -> T:
        try:
            return step(device_at(me, s))
        except OSError as error:
            raise NtError(status_of(error)) from None

    return me.perform(verb)


def overlapped_call(
    s: Handle,
    overlapped: OVERLAPPED,
    make: Callable[[Caller, SocketDevice], Operation],
    routine: SocketRoutine | None = None,
) -> int:
    """Issue the operation that `make` makes under the kernel lock; the NTSTATUS of the call.  Never blocks."""
    me = caller()
    overlapped.begin()
    order = order_of(overlapped, routine_apc(routine, overlapped))
    try:
        ask = ask_of(me, order)
    except NtError as error:
        raise refusal(status.status_to_error(error.status)) from None

    def step() -> int:
        file = me.lookup(s, FileObject)
        device = device_of_socket(file)
        try:
            operation = make(me, device)
        except OSError as error:
            raise NtError(status_of(error)) from None
        request = start(me.thread, file, ask, operation)
        device.begin(request)
        return request.return_to_caller()

    return me.perform(step)


def waiting_call(s: Handle, make: Callable[[Caller, SocketDevice], Operation]) -> tuple[int, int, Operation]:
    """Issue the operation and wait for its end, visibly (Q-23); NTSTATUS, bytes moved, and the operation.

    On a non-blocking socket STATUS_DEVICE_NOT_READY instead of waiting.
    """
    me = caller()
    with FileInUse(me, s) as file:
        device = device_of_socket(file)
        try:
            is_blocking = os.get_blocking(device.host.fileno())
            operation = me.perform(make, me, device)
        except OSError as error:
            raise NtError(status_of(error)) from None
        ask = Ask(StatusBlock())
        if is_blocking:
            code = issue(me.system, file, ask, operation, device.begin, io_mode=IoMode.SYNCHRONOUS)
        else:
            operation.patience = Patience.FAILS
            code = issue(me.system, file, ask, operation, device.begin)
    return code, ask.block.information, operation
