"""pywin32's calls on completion ports and on operations under way.

Rules of this file: those of `flat.ports` and `flat.results`, in pywin32's shape: the port that was given comes back
from an association, `GetQueuedCompletionStatus` never raises an API error, and packets bring back PyOVERLAPPED objects.
"""

from __future__ import annotations

from typing import Any

from ... import win32
from ..whole_calls import make_whole
from .arguments import c_long, handle_of, pointer, signed_long, signed_pointer
from .errors import require
from .handles import PyHANDLE, new_handle
from .overlapped import Block, PyOVERLAPPED, block_of

ALL_ONES = (1 << 64) - 1
"""The pointer that means no OVERLAPPED, as NULL does."""


def CreateIoCompletionPort(handle: Any, existing: Any, completionKey: Any, numThreads: Any, /) -> Any:
    """Create a port, or associate a file or socket with `existing`, which is then what is returned, the very object.

    `handle`: -1 for a port alone.  `completionKey`: 64 bits.  `numThreads`: concurrency value, 0 for the number of
    processors.  Never blocks.  Raises `error` 87, 6, 5.
    """
    threads = c_long(numThreads)
    port = handle_of(existing)
    value = win32.CreateIoCompletionPort(handle_of(handle), port, pointer(completionKey), threads)
    if port:
        require("CreateIoCompletionPort", value)
        return existing
    return new_handle("CreateIoCompletionPort", value)


def GetQueuedCompletionStatus(hPort: Any, timeOut: Any, /) -> tuple[int, int, int, PyOVERLAPPED | int | None]:
    """(rc, bytes, key, overlapped) of the oldest packet, waiting up to `timeOut` ms (-1: for ever).

    rc is 0, or the error of the operation that the packet tells of; without a packet it is 258 (timeout), 735 (closed
    meanwhile), 6 or 5, and the rest (0, 0, None).  Packets that no OVERLAPPED belongs to bring their value as it is,
    such as the process id of a job message.  Blocks.  `RuntimeError` when the OVERLAPPED died meanwhile.
    """
    packet = win32.GetQueuedCompletionStatus(handle_of(hPort), c_long(timeOut))
    rc = 0 if packet.ret else win32.GetLastError()
    if packet.lpNumberOfBytesTransferred is win32.UNTOUCHED:
        return rc, 0, 0, None
    overlapped = packet.lpOverlapped
    if isinstance(overlapped, Block):
        overlapped = overlapped.let_go()
    elif overlapped == ALL_ONES:
        overlapped = None
    return (
        signed_long(rc),
        signed_long(packet.lpNumberOfBytesTransferred),
        signed_pointer(packet.lpCompletionKey),
        overlapped,
    )


def PostQueuedCompletionStatus(
    handle: Any, numberOfbytes: Any = 0, completionKey: Any = None, overlapped: PyOVERLAPPED | None = None, /
) -> None:
    """Queue a packet; `overlapped` lives at least until it is taken.  Never blocks.  Raises `error` 6, 5."""
    port = handle_of(handle)
    number_of_bytes = c_long(numberOfbytes)
    key = 0 if completionKey is None else pointer(completionKey)
    block = block_of(overlapped)
    if block is not None:
        block.hold()
    posted = win32.PostQueuedCompletionStatus(port, number_of_bytes, key, block)
    if not posted and block is not None:
        block.let_go()
    require("PostQueuedCompletionStatus", posted)


def GetOverlappedResult(hFile: Any, overlapped: PyOVERLAPPED, bWait: Any, /) -> int:
    """The bytes moved by an operation, waiting for its end if `bWait`.

    Raises `error`: what the operation came to, or 996 while it is under way.  Blocks, visibly (Q-23).
    """
    handle = handle_of(hFile)
    block = block_of(overlapped)
    if block is None:
        raise TypeError("The object is not a PyOVERLAPPED object")
    result = win32.GetOverlappedResult(handle, block, c_long(bWait))
    require("GetOverlappedResult", result.ret)
    assert isinstance(result.lpNumberOfBytesTransferred, int)
    return result.lpNumberOfBytesTransferred


def CancelIo(handle: PyHANDLE | int, /) -> None:
    """Ask for an early end of what this thread has under way on the file.  Never blocks.  Raises `error` 6."""
    require("CancelIo", win32.CancelIo(handle_of(handle)))


make_whole(globals())
