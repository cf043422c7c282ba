"""The standard library's proactor event loop, on the emulated port: `asyncio.windows_events`, unmodified.

Theory.  `asyncio/windows_events.py` and `windows_utils.py` lie in the library of every CPython, on every host, and do
nothing but refuse to be imported where `sys.platform` is not 'win32'.  As guests they are imported from their own
files; `_overlapped`, `_winapi` and `msvcrt` are modules of this package.  The rest of asyncio stays as it is, and so
does the default policy, unless `make_default` says otherwise.

    with install() as installed:                            for a while
        asyncio.Runner(loop_factory=installed.ProactorEventLoop)
    asyncio.run(main(), loop_factory=loop_factory)          Python 3.12 and later
    provide()                                               for the rest of the process
    python -m iocp_emu.compat.asyncio script.py             a script with this loop as the default
    pytest -p iocp_emu.compat.pytest_proactor --proactor    a test suite likewise

Own rules.  Installing twice gives the same classes; the last `uninstall` undoes everything.  An event loop must be
closed before that.
"""

from __future__ import annotations

import argparse
import asyncio
import asyncio.events
import contextlib
import importlib
import importlib.util
import os
import runpy
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from types import ModuleType
from typing import Any

from typing_extensions import Self

from . import views
from .guests import Guests, guest, run_guest
from .hooks import hook_sockets, unhook_sockets
from .processes import windows_subprocess

GUESTS = ("asyncio.windows_utils", "asyncio.windows_events")
DEPRECATED = ("WindowsSelectorEventLoopPolicy", "WindowsProactorEventLoopPolicy")
"""What `asyncio` has on Windows without exporting it, from Python 3.14 on: who asks for it is warned."""

_MISSING = object()


class Installed:
    """asyncio's Windows modules, as long as they are wanted; a context manager.

    `modules` maps what Windows code imports to the modules that it should get.  `ProactorEventLoop` and `IocpProactor`
    are the standard library's own classes.
    """

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self.modules = modules
        self._is_installed = True

    @property
    def ProactorEventLoop(self) -> Any:
        """`asyncio.windows_events.ProactorEventLoop`, also usable as a loop factory."""
        return self.modules["asyncio.windows_events"].ProactorEventLoop

    @property
    def IocpProactor(self) -> Any:
        """`asyncio.windows_events.IocpProactor`."""
        return self.modules["asyncio.windows_events"].IocpProactor

    def uninstall(self) -> None:
        """Not wanted any more; calling again does nothing."""
        if self._is_installed:
            self._is_installed = False
            _leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()


class _Installation:
    """What was changed in the process, to be undone."""

    def __init__(self) -> None:
        from . import msvcrt_module, overlapped_module, winapi_module

        modules: dict[str, ModuleType] = {
            "_overlapped": overlapped_module,
            "_winapi": winapi_module,
            "msvcrt": msvcrt_module,
            "errno": views.windows_errno(),
            "signal": views.windows_signal(),
            "socket": views.windows_socket(),
            "subprocess": windows_subprocess(),
            "sys": views.windows_sys(),
            "tempfile": views.windows_tempfile(),
        }
        self._guests: Guests = guest({"asyncio.windows_*": modules})
        try:
            self.modules = {**modules, **{name: _load(name) for name in GUESTS}}
        except BaseException:
            self._guests.uninstall()
            raise
        events = self.modules["asyncio.windows_events"]
        exported = {name: getattr(events, name) for name in events.__all__ if not hasattr(asyncio, name)}
        if (other_names := vars(asyncio).get("__getattr__")) is not None:
            exported["__getattr__"] = _deprecated_names(other_names, events)
        self._names = contextlib.ExitStack()
        self._names.enter_context(_with_names(asyncio, exported))
        hook_sockets()

    def undo(self) -> None:
        """Leave the process as it was."""
        unhook_sockets()
        self._names.close()
        self._guests.uninstall()


@contextlib.contextmanager
def _with_names(module: ModuleType, values: Mapping[str, Any]) -> Generator[None]:
    """Inside, the module has these values under these names."""
    before = {name: vars(module).get(name, _MISSING) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is not _MISSING:
                setattr(module, name, value)
            elif name in vars(module):
                delattr(module, name)


def _deprecated_names(other_names: Callable[[str], Any], events: ModuleType) -> Callable[[str], Any]:
    def of_module(name: str) -> Any:
        if name in DEPRECATED and hasattr(events, f"_{name}"):
            warnings.warn(f"'asyncio.{name}' is deprecated, as all policies are", DeprecationWarning, stacklevel=2)
            return getattr(events, f"_{name}")
        return other_names(name)

    return of_module


def _load(name: str) -> ModuleType:
    if importlib.util.find_spec(name) is None:
        raise ImportError(
            f"this Python has no {name.replace('.', '/')}.py: its builder has left out what other systems do not need; "
            f"a CPython as python.org has it is complete",
            name=name,
        )
    return importlib.import_module(name)


_lock = threading.RLock()
_installation: _Installation | None = None
_users = 0


def _enter() -> _Installation:
    global _installation, _users
    with _lock:
        if _installation is None:
            _installation = _Installation()
        _users += 1
        return _installation


def _leave() -> None:
    global _installation, _users
    with _lock:
        _users -= 1
        if not _users and _installation is not None:
            installation, _installation = _installation, None
            installation.undo()


def install() -> Installed:
    """Have asyncio's Windows modules in this process until `uninstall`, or to the end of a `with` block.

    Afterwards `asyncio.windows_events`, `asyncio.windows_utils`, `asyncio.ProactorEventLoop` and what else asyncio
    exports on Windows exist.  The default policy, `sys.platform` and `sys.modules['_winapi']` stay as they are.
    `ImportError` where the interpreter does not ship the files.

    >>> with install() as installed:
    ...     loop = installed.ProactorEventLoop()
    ...     loop.run_until_complete(asyncio.sleep(0, "done"))
    ...     loop.close()
    'done'
    """
    return Installed(dict(_enter().modules))


_provided: Installed | None = None


def provide() -> dict[str, ModuleType]:
    """`install`, for the rest of the process; what Windows code should get for each name that it imports.

    Calling again gives the same modules.  `ImportError` as for `install`.
    """
    global _provided
    with _lock:
        if _provided is None:
            _provided = install()
        return dict(_provided.modules)


view = provide
"""The same mapping, for other guests."""


def loop_factory() -> Any:
    """A new ProactorEventLoop, for `asyncio.Runner` and `asyncio.run`; installs for the rest of the process."""
    events: Any = provide()["asyncio.windows_events"]
    return events.ProactorEventLoop()


# -- as the default ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def make_default() -> Generator[Installed]:
    """Inside, `asyncio.run`, `new_event_loop` and the default policy make proactor event loops, as on Windows."""
    with install() as installed:
        events = installed.modules["asyncio.windows_events"]
        set_policy = _policy_setter()
        policy_before = asyncio.events._event_loop_policy  # type: ignore[attr-defined]
        with contextlib.ExitStack() as names:
            for module, of_module in _DEFAULTS.items():
                values = {name: getattr(events, name) for name in of_module if hasattr(events, name)}
                names.enter_context(_with_names(module, values))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    set_policy(_default_policy(events)())
                yield installed
            finally:
                set_policy(policy_before)


_POLICIES = ("DefaultEventLoopPolicy", "_DefaultEventLoopPolicy")
_DEFAULTS: dict[ModuleType, tuple[str, ...]] = {asyncio: (*_POLICIES, "EventLoop", "SelectorEventLoop")}
"""Where asyncio looks for what is the default."""
if "asyncio.unix_events" in sys.modules:
    _DEFAULTS[sys.modules["asyncio.unix_events"]] = ("_DefaultEventLoopPolicy",)  # from Python 3.14 on


def _policy_setter() -> Callable[[Any], None]:
    """Sets the policy, on Pythons that warn of this too."""
    newer = "_set_event_loop_policy"
    setter: Callable[[Any], None] = getattr(asyncio.events, newer if hasattr(asyncio.events, newer) else newer[1:])
    return setter


def _default_policy(events: ModuleType) -> Any:
    for name in _POLICIES:
        if hasattr(events, name):
            return getattr(events, name)
    raise ImportError("asyncio.windows_events has no default policy")


# -- python -m iocp_emu.compat.asyncio ---------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a script, or a module, with the proactor event loop as the default."""
    parser = argparse.ArgumentParser(
        prog="python -m iocp_emu.compat.asyncio",
        description="Run a Python program on asyncio's ProactorEventLoop, on an emulated completion port.",
    )
    parser.add_argument(
        "--windows", action="store_true", help="let the script itself find Windows' modules, and a win32 sys.platform"
    )
    parser.add_argument("-m", dest="is_module", action="store_true", help="SCRIPT is the name of a module")
    parser.add_argument("script", metavar="SCRIPT")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.windows and options.is_module:
        parser.error("--windows takes the path of a script")
    sys.argv[:] = [options.script, *options.arguments]
    with make_default() as installed:
        if options.is_module:
            sys.path.insert(0, os.getcwd())
            runpy.run_module(options.script, run_name="__main__", alter_sys=True)
            return
        sys.path.insert(0, os.path.dirname(os.path.abspath(options.script)))
        if options.windows:
            run_guest(options.script, installed.modules)
        else:
            runpy.run_path(options.script, run_name="__main__")


if __name__ == "__main__":
    # This file is then known under two names; all state is kept under the right one.
    from iocp_emu.compat.asyncio import main as main_of_package

    main_of_package()
