"""pywin32's calls on named and anonymous pipes.

Rules of this file: those of `flat.pipes`; what is under way is (997, ...), a client that is there already 535, and a
message that is longer than the buffer (234, ...); every other failure is an `error`.
"""

from __future__ import annotations

from typing import Any

from ... import win32
from ...status import ERROR_IO_PENDING, ERROR_PIPE_CONNECTED
from ..whole_calls import make_whole
from .arguments import c_long, data_of, handle_of, name_of, new_buffer
from .errors import api_error, code_of, require
from .files import read_result, read_target
from .handles import PyHANDLE, new_handle
from .overlapped import PyOVERLAPPED, block_of
from .security import check_attributes


def CreateNamedPipe(
    pipeName: str,
    openMode: Any,
    pipeMode: Any,
    nMaxInstances: Any,
    nOutBufferSize: Any,
    nInBufferSize: Any,
    nDefaultTimeOut: Any,
    sa: Any,
    /,
) -> PyHANDLE:
    r"""Create an instance of the pipe `\\.\pipe\NAME`; its server end.  Sizes in bytes, the timeout in ms.

    Never blocks.  Raises `error` 87, 231 all instances are there, 5, 123.
    """
    name = name_of(pipeName)
    modes = c_long(openMode), c_long(pipeMode)
    instances, out_size, in_size = c_long(nMaxInstances), c_long(nOutBufferSize), c_long(nInBufferSize)
    timeout = c_long(nDefaultTimeOut)
    check_attributes(sa)
    handle = win32.CreateNamedPipeW(name, *modes, instances, out_size, in_size, nDefaultTimeOut=timeout)
    return new_handle("CreateNamedPipe", handle)


def ConnectNamedPipe(hPipe: Any, overlapped: PyOVERLAPPED | None = None, /) -> int:
    """Wait for a client: 0, 997 it goes on, or 535 one is there already, and then no packet comes.

    Raises `error` 232 one was there and has gone, 536, 1, 6.  Blocks without an OVERLAPPED, visibly (Q-23).
    """
    code = code_of(win32.ConnectNamedPipe(handle_of(hPipe), block_of(overlapped)))
    if code not in (0, ERROR_IO_PENDING, ERROR_PIPE_CONNECTED):
        raise api_error("ConnectNamedPipe", code)
    return code


def DisconnectNamedPipe(hFile: Any, /) -> None:
    """Throw the client out; what it had not read is lost.  Never blocks.  Raises `error` 233, 536, 1, 6."""
    require("DisconnectNamedPipe", win32.DisconnectNamedPipe(handle_of(hFile)))


def WaitNamedPipe(pipeName: str, timeout: Any, /) -> None:
    """Wait up to `timeout` ms (0: as the pipe says; -1: for ever) until an instance is free.

    Blocks, visibly (Q-23).  Raises `error` 2 no such pipe, 121 time is up.
    """
    require("WaitNamedPipe", win32.WaitNamedPipeW(_required(pipeName), c_long(timeout)))


def CreatePipe(sa: Any, nSize: Any, /) -> tuple[PyHANDLE, PyHANDLE]:
    """(read end, write end) of an anonymous pipe.  Never blocks."""
    check_attributes(sa)
    made = win32.CreatePipe(c_long(nSize))
    require("CreatePipe", made.ret)
    return PyHANDLE(made.hReadPipe), PyHANDLE(made.hWritePipe)


def _required(name: Any) -> str:
    text = name_of(name)
    if text is None:
        raise TypeError("None is not a valid string in this context")
    return text


# -- modes and what is known of a pipe -----------------------------------------------------------------------------


def _is_given(name: str, value: Any) -> bool:
    if value is not None and not isinstance(value, int):
        raise TypeError(f"{name} param must be None or an integer (got {type(value).__name__})")
    return value is not None


def SetNamedPipeHandleState(
    hPipe: Any, Mode: int | None, MaxCollectionCount: int | None, CollectDataTimeout: int | None, /
) -> None:
    """Set how this end reads and whether it waits; the other two are for remote pipes, and must be None (87).

    Never blocks.  Raises `error` 87, 5, 6.
    """
    handle = handle_of(hPipe)
    _is_given("mode", Mode)
    collects = _is_given("maxCollectionCount", MaxCollectionCount)
    if _is_given("collectDataTimeout", CollectDataTimeout) or collects:
        raise api_error("SetNamedPipeHandleState", 87)
    require("SetNamedPipeHandleState", win32.SetNamedPipeHandleState(handle, Mode))


def GetNamedPipeHandleState(
    hPipe: Any, bGetCollectionData: Any = 0, bGetUserName: Any = 0, /
) -> tuple[int, int, int | None, int | None, str]:
    """(modes, instances, None, None, ''): collection data is for remote pipes, users are all one.

    Never blocks.  Raises `error` 87, 5, 6.
    """
    handle = handle_of(hPipe)
    if c_long(bGetCollectionData):
        raise api_error("GetNamedPipeHandleState", 87)
    c_long(bGetUserName)
    state = win32.GetNamedPipeHandleStateW(handle)
    require("GetNamedPipeHandleState", state.ret)
    assert isinstance(state.lpState, int) and isinstance(state.lpCurInstances, int)
    return state.lpState, state.lpCurInstances, None, None, ""


def GetNamedPipeInfo(hNamedPipe: Any, /) -> tuple[int, int, int, int]:
    """(flags, out buffer, in buffer, instances at most); sizes in bytes.  Never blocks.  Raises `error` 87, 5, 6."""
    info = win32.GetNamedPipeInfo(handle_of(hNamedPipe))
    require("GetNamedPipeInfo", info.ret)
    flags, out_size, in_size, instances = info[1:]
    assert isinstance(flags, int) and isinstance(out_size, int)
    assert isinstance(in_size, int) and isinstance(instances, int)
    return flags, out_size, in_size, instances


def GetNamedPipeClientProcessId(hPipe: Any, /) -> int:
    """The process of the client.  Never blocks.  Raises `error` 1168, 87, 6."""
    found = win32.GetNamedPipeClientProcessId(handle_of(hPipe))
    require("GetNamedPipeClientProcessId", found.ret)
    assert isinstance(found.ClientProcessId, int)
    return found.ClientProcessId


def GetNamedPipeServerProcessId(hPipe: Any, /) -> int:
    """The process that created the instance.  Never blocks.  Raises `error` 87, 6."""
    found = win32.GetNamedPipeServerProcessId(handle_of(hPipe))
    require("GetNamedPipeServerProcessId", found.ret)
    assert isinstance(found.ServerProcessId, int)
    return found.ServerProcessId


# -- peeking and transactions --------------------------------------------------------------------------------------


def PeekNamedPipe(hPipe: Any, size: Any, /) -> tuple[bytes, int, int]:
    """(data, bytes that can be read, bytes left of this message): a look at up to `size` bytes that takes nothing.

    Never blocks.  Raises `error` 109, 230, 233, 5, 6.
    """
    target = new_buffer(c_long(size))
    peeked = win32.PeekNamedPipe(handle_of(hPipe), target, len(target))
    require("PeekNamedPipe", peeked.ret)
    assert isinstance(peeked.lpBytesRead, int)
    assert isinstance(peeked.lpTotalBytesAvail, int) and isinstance(peeked.lpBytesLeftThisMessage, int)
    return bytes(target[: peeked.lpBytesRead]), peeked.lpTotalBytesAvail, peeked.lpBytesLeftThisMessage


def TransactNamedPipe(
    pipeName: Any, writeData: Any, buffer: Any, overlapped: PyOVERLAPPED | None = None, /
) -> tuple[int, Any]:
    """(rc, data): write a message to a pipe, by handle, and read one, of up to a size or into a buffer.

    Results as those of ReadFile: rc is 0, 997 or 234.  Raises `error` 230 it does not read messages, 231, 5, 6.
    """
    handle = handle_of(pipeName)
    data = data_of(writeData)
    block = block_of(overlapped)
    target = read_target(buffer)
    done = win32.TransactNamedPipe(handle, data, len(data), target, len(target), block)
    count = done.lpBytesRead if isinstance(done.lpBytesRead, int) else 0
    return read_result("TransactNamedPipe", done.ret, target, count, buffer, overlapped)


def CallNamedPipe(pipeName: str, data: Any, bufSize: Any, timeOut: Any, /) -> bytes:
    """Open a message pipe, waiting for a free instance up to `timeOut` ms, send a message, and return the answer.

    Blocks, visibly (Q-23).  Raises `error` 234 the answer is longer than `bufSize`, 2, 121, 231, 109.
    """
    view = data_of(data)
    target = new_buffer(c_long(bufSize))
    done = win32.CallNamedPipeW(_required(pipeName), view, len(view), target, len(target), c_long(timeOut))
    require("CallNamedPipe", done.ret)
    assert isinstance(done.lpBytesRead, int)
    return bytes(target[: done.lpBytesRead])


make_whole(globals())
