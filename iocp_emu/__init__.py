"""iocp_emu: Windows I/O completion ports on any operating system, in pure Python.

The names of the object face are here and are loaded when they are first used; the flat Win32 face is `iocp_emu.win32`,
the NT face `iocp_emu.ntdll`, the model itself `iocp_emu.kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import ntdll as ntdll
    from . import win32 as win32
    from .errors import PortClosed as PortClosed
    from .errors import Win32Error as Win32Error
    from .executor import BrokenCompletionPortExecutor as BrokenCompletionPortExecutor
    from .executor import CompletionPortExecutor as CompletionPortExecutor
    from .executor import ExecutorStats as ExecutorStats
    from .executor import Overflow as Overflow
    from .executor import TooManyPending as TooManyPending
    from .executor import WaitDeadlock as WaitDeadlock
    from .executor import WorkersExhausted as WorkersExhausted
    from .inspection import allow_inspection as allow_inspection
    from .kernel.completion import Packet as Packet
    from .kernel.waits import ResetMode as ResetMode
    from .kernel.waits import WaitMode as WaitMode
    from .overlapped.files import Caching as Caching
    from .overlapped.pipe_names import PipeDirection as PipeDirection
    from .overlapped.pipe_states import PipeType as PipeType
    from .pipes import Pipe as Pipe
    from .port import CompletionPort as CompletionPort
    from .port import File as File
    from .port import Overlapped as Overlapped
    from .profiles import Profile as Profile
    from .runtime.ambient import current_system as current_system
    from .runtime.ambient import use as use
    from .runtime.blocking import blocking as blocking
    from .runtime.detection import BlockingKind as BlockingKind
    from .runtime.detection import detect_blocking as detect_blocking
    from .runtime.simulation import Simulation as Simulation
    from .runtime.threads import ForkedSystemError as ForkedSystemError
    from .runtime.threads import ThreadSystem as ThreadSystem
    from .simulated import SimulatedDisk as SimulatedDisk
    from .simulated import SimulatedNetwork as SimulatedNetwork
    from .sockets import Listener as Listener
    from .sockets import Socket as Socket
    from .sync import Event as Event
    from .sync import SpawnedThread as SpawnedThread
    from .sync import compute as compute
    from .sync import sleep as sleep
    from .sync import spawn as spawn
    from .sync import wait as wait

__version__ = "0.1.0"

_HOMES = {
    "BlockingKind": "runtime.detection",
    "BrokenCompletionPortExecutor": "executor",
    "Caching": "overlapped.files",
    "CompletionPort": "port",
    "CompletionPortExecutor": "executor",
    "Event": "sync",
    "ExecutorStats": "executor",
    "File": "port",
    "ForkedSystemError": "runtime.threads",
    "Listener": "sockets",
    "Overflow": "executor",
    "Overlapped": "port",
    "Packet": "kernel.completion",
    "Pipe": "pipes",
    "PipeDirection": "overlapped.pipe_names",
    "PipeType": "overlapped.pipe_states",
    "PortClosed": "errors",
    "Profile": "profiles",
    "ResetMode": "kernel.waits",
    "SimulatedDisk": "simulated",
    "SimulatedNetwork": "simulated",
    "Simulation": "runtime.simulation",
    "Socket": "sockets",
    "SpawnedThread": "sync",
    "ThreadSystem": "runtime.threads",
    "TooManyPending": "executor",
    "WaitDeadlock": "executor",
    "WaitMode": "kernel.waits",
    "Win32Error": "errors",
    "WorkersExhausted": "executor",
    "allow_inspection": "inspection",
    "blocking": "runtime.blocking",
    "compute": "sync",
    "current_system": "runtime.ambient",
    "detect_blocking": "runtime.detection",
    "sleep": "sync",
    "spawn": "sync",
    "use": "runtime.ambient",
    "wait": "sync",
}
_WINGS = frozenset({"ntdll", "win32"})

__all__ = [
    "BlockingKind",
    "BrokenCompletionPortExecutor",
    "Caching",
    "CompletionPort",
    "CompletionPortExecutor",
    "Event",
    "ExecutorStats",
    "File",
    "ForkedSystemError",
    "Listener",
    "Overflow",
    "Overlapped",
    "Packet",
    "Pipe",
    "PipeDirection",
    "PipeType",
    "PortClosed",
    "Profile",
    "ResetMode",
    "SimulatedDisk",
    "SimulatedNetwork",
    "Simulation",
    "Socket",
    "SpawnedThread",
    "ThreadSystem",
    "TooManyPending",
    "WaitDeadlock",
    "WaitMode",
    "Win32Error",
    "WorkersExhausted",
    "__version__",
    "allow_inspection",
    "blocking",
    "compute",
    "current_system",
    "detect_blocking",
    "ntdll",
    "sleep",
    "spawn",
    "use",
    "wait",
    "win32",
]


def __getattr__(name: str) -> Any:
    """Load a public name, or a face, at its first use; then it is an ordinary attribute."""
    from importlib import import_module

    if name in _HOMES:
        value: Any = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    elif name in _WINGS:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_WINGS})


def _follow_environment() -> None:
    from os import environ

    if environ.get("IOCP_EMU_INSPECT", "0") not in ("", "0"):
        from .inspection.doors import allow_if_asked

        allow_if_asked()


_follow_environment()
