"""The adapter of the conformance vectors: it makes their calls on the product's flat faces.

Theory.  Each adapter is one emulated machine.  A symbolic thread of a vector is an OS thread that calls here; between
its steps it is blocked, which is told to that machine.  A call is looked up by its name in the faces, its arguments are
handed over as they are, and what comes back is written as the vectors write it: statuses, errors and wait results by
name, NULL and untouched outputs as such.

Rules of this file:
- It translates and never decides: every value in an answer comes from a public face.
- The last error is preset before each call, so that "unchanged" can be seen.
- What the product does not have raises `Unsupported`.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import selectors
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from iocp_emu import ntdll, win32
from iocp_emu.kernel.objects import NtError
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import OsThread, ThreadSystem

_constants = json.loads((Path(__file__).parent / "data" / "constants.json").read_text(encoding="utf-8"))
STATUS_NAMES: Mapping[int, str] = {value: name for name, value in reversed(_constants["statuses"].items())}
ERROR_NAMES: Mapping[int, str] = {value: name for name, value in reversed(_constants["errors"].items())}
LAST_ERROR_PRESET: int = _constants["last_error_preset"]
SENTINEL: int = _constants["sentinel_u32"]
FILL_BYTE = 0xCC
CLOSE_DEADLINE_MS = 5000
SPIN_FODDER = bytes(1 << 18)

WAIT_NAMES = {0: "WAIT_OBJECT_0", 128: "WAIT_ABANDONED", 192: "WAIT_IO_COMPLETION", 258: "WAIT_TIMEOUT"}
WAIT_CALLS = frozenset(
    {
        "WaitForSingleObject",
        "WaitForSingleObjectEx",
        "WaitForMultipleObjects",
        "WaitForMultipleObjectsEx",
        "SignalObjectAndWait",
    }
)
HANDLE_CALLS = frozenset(
    {
        "CreateEventW",
        "CreateFileW",
        "CreateIoCompletionPort",
        "CreateJobObjectW",
        "CreateMutexW",
        "CreateNamedPipeW",
        "CreateSemaphoreW",
        "CreateWaitableTimerW",
    }
)
HANDLE_OUTPUTS = (
    "lpTargetHandle",
    "IoCompletionHandle",
    "MemoryReserveHandle",
    "WaitCompletionPacketHandle",
    "IoStatusBlock",
)
STATUS_FIELDS = frozenset({"Internal", "Status"})
SOCKET_DEADLINE_SECONDS = 10.0
LOCALHOST = ("127.0.0.1", 0)
ROUTINE_CALLS = frozenset({"ReadFileEx", "WriteFileEx"})

# A child sleeps, writes its 32-bit exit code where the product reads it, and ends with the low byte of it.
CHILD = """
import os, sys, time
time.sleep(int(sys.argv[1]) / 1000)
code = int(sys.argv[2]) & 0xFFFFFFFF
os.write(int(os.environ["IOCP_EMU_EXIT_CODE_FD"]), str(code).encode())
os._exit(code & 0xFF)
"""


class Unsupported(Exception):
    """The product does not have what the vector calls for."""


class Thread(Protocol):
    """A symbolic thread: an identity, and a place to say that it holds a packet."""

    dequeued: bool


@dataclass(eq=False)
class _Known:
    """What is known of a symbolic thread."""

    thread: OsThread
    handle: int
    apc_log: list[int] = field(default_factory=list[int])
    has_called: bool = False
    is_idle: bool = False


class Adapter:
    """One emulated machine, with a directory for its files.  `profile` is a name that `get_profile` knows."""

    def __init__(self, profile: str = "win10") -> None:
        self._system = ThreadSystem(profile)
        self._directory = Path(tempfile.mkdtemp(prefix="iocp-emu-vector-"))
        self._threads: dict[Any, _Known] = {}
        self._children: list[int] = []
        self._sockets: set[int] = set()

    # -- what the replayer calls -------------------------------------------------------------------------------

    def call(self, thread: Thread, name: str, args: dict[str, Any], as_name: str | None) -> dict[str, Any]:
        """Make one call on the symbolic thread; its answer as the vectors write it."""
        with use(self._system):
            known = self._know(thread)
            if name.startswith("@"):
                return self._harness_call(thread, name, args, as_name)
            function, values = self._resolve(known, name, args)
            win32.SetLastError(LAST_ERROR_PRESET)
            answer = function(**values)
            last_error = win32.GetLastError()
            if name == "accept" and answer.ret != win32.INVALID_SOCKET:
                self._sockets.add(answer.ret)
            elif name in ("closesocket", "CloseHandle"):
                self._sockets.discard(next(iter(values.values())))
            return self._answered(name, answer, last_error, as_name)

    def idle(self, thread: Thread) -> None:
        """The symbolic thread waits for its next step: it is blocked, for all that the machine knows (Q-23)."""
        known = self._threads.get(thread)
        if known is not None and not known.is_idle:
            known.is_idle = True
            with contextlib.suppress(NtError):  # it has ended
                self._system.block(known.thread)

    def busy(self, thread: Thread) -> None:
        """It has its next step (Q-26)."""
        known = self._threads.get(thread)
        if known is not None and known.is_idle:
            known.is_idle = False
            with contextlib.suppress(NtError):
                self._system.unblock(known.thread)

    def thread_exit(self, thread: Thread) -> None:
        """The symbolic thread ends (Q-28, I-31)."""
        known = self._threads.get(thread)
        if known is not None:
            self._system.end_thread(known.thread)

    def close(self) -> None:
        """End everything: children, waits, handles, files."""
        with use(self._system):
            for child in self._children:
                win32.TerminateProcess(child, 0)
            for child in self._children:
                win32.WaitForSingleObject(child, CLOSE_DEADLINE_MS)
            for each in self._sockets:
                win32.closesocket(each)
        self._system.perform(self._system.process.handles.close_all)
        for known in self._threads.values():
            self._system.perform(self._system.kernel.expire, known.thread)
        shutil.rmtree(self._directory, ignore_errors=True)

    # -- arguments ---------------------------------------------------------------------------------------------

    def _know(self, thread: Thread) -> _Known:
        """The record of the calling symbolic thread, whose OS thread becomes that kernel thread at its first call."""
        known = self._record(thread)
        if not known.has_called:
            known.has_called = True
            self._system.adopt(known.thread)
        return known

    def _record(self, thread: Any) -> _Known:
        """The record of a symbolic thread, perhaps of one that is only spoken of."""
        known = self._threads.get(thread)
        if known is None:
            kernel_thread = self._system.create_thread(getattr(thread, "name", "a thread"))
            known = self._threads[thread] = _Known(kernel_thread, win32.handle_of(kernel_thread))
        return known

    def _resolve(self, known: _Known, name: str, args: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The function of the faces, and the arguments that it takes."""
        function = getattr(win32, name, None) or getattr(ntdll, name, None)
        if not inspect.isfunction(function):
            raise Unsupported(f"the product has no {name}")
        values = {key: self._value(key, value) for key, value in args.items()}
        if name == "QueueUserAPC":
            values["pfnAPC"] = self._log_of(args["hThread"])
        elif name in ROUTINE_CALLS:
            values.setdefault("lpCompletionRoutine", lambda *_: known.apc_log.append(0))
        elif name in ("NtReadFile", "NtWriteFile"):
            values.setdefault("IoStatusBlock", win32.IO_STATUS_BLOCK(SENTINEL, SENTINEL))
        for key in ("name", "lpTo"):
            if isinstance(values.get(key), int):
                values[key] = self._address(values[key], is_dead=bool(values.pop("dead", 0)))
        unknown = values.keys() - inspect.signature(function).parameters.keys()
        if unknown:
            raise Unsupported(f"{name} has no {', '.join(sorted(unknown))}")
        return function, values

    def _value(self, parameter: str, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("pipe:"):
            return rf"\\.\pipe\{self._directory.name}\{value.removeprefix('pipe:')}"
        if isinstance(value, str) and value.startswith("tmp:"):
            return str(self._path(value))
        if parameter == "hThread" and value is not None and not isinstance(value, int):
            return self._named(value).handle
        return value

    def _named(self, thread: Any) -> _Known:
        """The record of a symbolic thread, given as itself or by its name."""
        if thread not in self._threads and isinstance(thread, str):
            for each, known in self._threads.items():
                if getattr(each, "name", None) == thread:
                    return known
        return self._record(thread)

    def _log_of(self, thread: Any) -> Callable[[int], None]:
        """What a queued APC does: it writes its argument into the log of its thread."""
        if thread is not None and not isinstance(thread, int):
            return self._named(thread).apc_log.append
        known = next((each for each in self._threads.values() if each.handle == thread), None)
        return (lambda _: None) if known is None else known.apc_log.append

    def _path(self, name: str) -> Path:
        return self._directory / name.removeprefix("tmp:")

    # -- answers -----------------------------------------------------------------------------------------------

    def _answered(self, name: str, answer: Any, last_error: int, as_name: str | None) -> dict[str, Any]:
        ret, outputs = answer, {}
        if hasattr(answer, "_asdict"):
            outputs = answer._asdict()
            ret = outputs.pop("ret")
        result: dict[str, Any] = {
            "ret": _named_ret(name, ret),
            "error": None if last_error == LAST_ERROR_PRESET else ERROR_NAMES.get(last_error, str(last_error)),
            "outputs": {key: _shown(key, value) for key, value in outputs.items()},
        }
        made = next((outputs[key] for key in HANDLE_OUTPUTS if key in outputs), ret)
        if as_name is not None and _is_made(made):
            result["bind"] = {as_name: made}
        return result

    # -- harness calls -----------------------------------------------------------------------------------------

    def _harness_call(self, thread: Thread, name: str, args: dict[str, Any], as_name: str | None) -> dict[str, Any]:
        values = {key: self._value(key, value) for key, value in args.items() if key not in ("content", "data", "of")}
        values.update({key: args[key] for key in ("content", "data", "of") if key in args})
        if name == "@gqcs_spin":
            return self._gqcs_spin(thread, **values)
        if name == "@tcp_pair":
            return self._tcp_pair(**values)
        method = getattr(self, f"_do_{name.removeprefix('@')}", None)
        if method is None:
            raise Unsupported(f"the product has no {name}")
        made, outputs = method(**values)
        result: dict[str, Any] = {"ret": made and made[""], "error": None, "outputs": outputs}
        if as_name is not None and made is not None:
            result["bind"] = {as_name + suffix: value for suffix, value in made.items()}
        return result

    def _do_overlapped(
        self,
        Offset: int = 0,
        OffsetHigh: int = 0,
        hEvent: int | None = None,
        hEventLowBit: int = 0,
        Internal: int = 0,
        InternalHigh: int = 0,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        event = (hEvent or 0) | hEventLowBit
        return {"": win32.OVERLAPPED(Internal, InternalHigh, Offset, OffsetHigh, event)}, {}

    def _do_set_offset(self, overlapped: win32.OVERLAPPED, Offset: int = 0, OffsetHigh: int = 0) -> tuple[None, Any]:
        overlapped.Offset = Offset
        overlapped.OffsetHigh = OffsetHigh
        return None, {}

    def _do_ov(self, overlapped: win32.OVERLAPPED) -> tuple[None, dict[str, Any]]:
        return None, {"Internal": _status(overlapped.Internal), "InternalHigh": overlapped.InternalHigh}

    def _do_iosb(self, iosb: win32.IO_STATUS_BLOCK) -> tuple[None, dict[str, Any]]:
        if (iosb.Status, iosb.Information) == (SENTINEL, SENTINEL):
            return None, {"Status": "untouched", "Information": "untouched"}
        return None, {"Status": _status(iosb.Status), "Information": iosb.Information}

    def _do_buffer(self, size: int, data: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
        content = data.encode("latin-1")
        return {"": bytearray(content + bytes([FILL_BYTE]) * (size - len(content)))}, {}

    def _do_data(self, buffer: bytearray, length: int) -> tuple[None, dict[str, Any]]:
        return None, {"data": buffer[:length].decode("latin-1")}

    def _do_write_file(self, path: str, content: str) -> tuple[None, dict[str, Any]]:
        Path(path).write_bytes(content.encode("latin-1"))
        return None, {}

    def _do_read_file(self, path: str) -> tuple[None, dict[str, Any]]:
        return None, {"data": Path(path).read_bytes().decode("latin-1")}

    def _do_delete_file(self, path: str) -> tuple[None, dict[str, Any]]:
        Path(path).unlink()
        return None, {}

    # -- sockets -----------------------------------------------------------------------------------------------

    def _address(self, of: int, *, is_dead: bool = False) -> Any:
        """The address of a socket, or one where nobody listens."""
        return win32.getsockname(self._socket(win32.SOCK_STREAM, bind=1) if is_dead else of).name

    def _socket(self, type: int, bind: int) -> int:
        made = win32.socket(win32.AF_INET, type, 0)
        assert made != win32.INVALID_SOCKET, win32.GetLastError()
        self._sockets.add(made)
        if bind:
            assert win32.bind(made, LOCALHOST) == 0, win32.GetLastError()
        return made

    def _do_tcp_socket(self, bind: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"": self._socket(win32.SOCK_STREAM, bind)}, {}

    def _do_udp_socket(self, bind: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"": self._socket(win32.SOCK_DGRAM, bind)}, {}

    def _do_tcp_listener(self) -> tuple[dict[str, Any], dict[str, Any]]:
        listener = self._socket(win32.SOCK_STREAM, bind=1)
        assert win32.listen(listener, 16) == 0, win32.GetLastError()
        return {"": listener}, {}

    def _tcp_pair(self, a: str, b: str) -> dict[str, Any]:
        """Two ends of a connection, bound to two symbols."""
        listener = self._socket(win32.SOCK_STREAM, bind=1)
        first = self._socket(win32.SOCK_STREAM, bind=0)
        assert win32.listen(listener, 1) == 0, win32.GetLastError()
        assert win32.connect(first, self._address(listener)) == 0, win32.GetLastError()
        second = win32.accept(listener).ret
        assert second != win32.INVALID_SOCKET, win32.GetLastError()
        self._sockets.add(second)
        self._sockets.discard(listener)
        win32.closesocket(listener)
        return {"ret": None, "error": None, "outputs": {"a": first, "b": second}, "bind": {a: first, b: second}}

    def _do_close_with_rst(self, s: int) -> tuple[None, dict[str, Any]]:
        assert win32.setsockopt(s, win32.SOL_SOCKET, win32.SO_LINGER, (1, 0)) == 0, win32.GetLastError()
        self._sockets.discard(s)
        assert win32.closesocket(s) == 0, win32.GetLastError()
        return None, {}

    def _do_wait_readable(self, s: int) -> tuple[None, dict[str, Any]]:
        with selectors.DefaultSelector() as selector:
            selector.register(s, selectors.EVENT_READ)
            assert selector.select(SOCKET_DEADLINE_SECONDS), "nothing came"
        return None, {}

    # -- children ----------------------------------------------------------------------------------------------

    def _do_spawn(self, ms: int = 0, code: int = 0, suspended: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        command = [sys.executable, "-I", "-S", "-c", CHILD, str(ms), str(code)]
        child = win32.CreateProcessW(None, command, win32.CREATE_SUSPENDED if suspended else 0)
        assert isinstance(child.hProcess, int), win32.GetLastError()
        self._children.append(child.hProcess)
        return {"": child.hProcess, ".pid": child.dwProcessId, ".thread": child.hThread}, {}

    def _do_apc_log(self, of: Any) -> tuple[None, dict[str, Any]]:
        return None, {"ran": list(self._named(of).apc_log)}

    def _gqcs_spin(self, thread: Thread, CompletionPort: Any, dwMilliseconds: int, spin_ms: int) -> dict[str, Any]:
        win32.SetLastError(LAST_ERROR_PRESET)
        packet = win32.GetQueuedCompletionStatus(CompletionPort, dwMilliseconds)
        result = self._answered("GetQueuedCompletionStatus", packet, win32.GetLastError(), None)
        if packet.ret or packet.lpNumberOfBytesTransferred is not win32.UNTOUCHED:
            thread.dequeued = True
            _spin(spin_ms / 1000)
        return result


def _spin(seconds: float) -> None:
    """Burn processor time; most of it without the interpreter's lock, so that nobody's pauses get longer by it."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        hashlib.sha256(SPIN_FODDER)


def _status(value: int) -> str:
    return STATUS_NAMES.get(value, f"0x{value:08x}")


def _is_made(value: Any) -> bool:
    """Whether a call has brought something for its symbol."""
    return isinstance(value, win32.IO_STATUS_BLOCK) or (
        isinstance(value, int) and not isinstance(value, bool) and value not in (0, win32.INVALID_HANDLE_VALUE)
    )


def _named_ret(call: str, ret: Any) -> Any:
    if call in HANDLE_CALLS:
        return {0: "NULL", win32.INVALID_HANDLE_VALUE: "INVALID_HANDLE_VALUE"}.get(ret, ret)
    if call in WAIT_CALLS:
        return WAIT_NAMES.get(ret, "WAIT_FAILED" if ret == win32.WAIT_FAILED else ret)
    if call == "SleepEx":
        return WAIT_NAMES[ret] if ret else 0
    if call.startswith("Nt"):
        return _status(ret)
    return ret


def _shown(key: str, value: Any) -> Any:
    if value is win32.UNTOUCHED:
        return "untouched"
    if key == "entries":
        return [{name: _shown(name, each) for name, each in entry._asdict().items()} for entry in value]
    if key in STATUS_FIELDS and isinstance(value, int):
        return _status(value)
    if key in HANDLE_OUTPUTS and value == 0:
        return "NULL"
    return value
