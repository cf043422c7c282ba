"""Modules as Windows has them, made of the host's: sys, os, errno, signal, socket, tempfile.

Each function makes a fresh view, so that one client's changes are no other's.

Own rule.  What a view adds is what Windows code asks for by name; what it asks of the host through these names must
then work on the host.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import Final

from .. import status
from .guests import ABSENT, ModuleView

WINSOCK_ERRORS: Final = {name: code for name, code in vars(status).items() if name.startswith("WSAE")}
"""The names of Winsock's error codes, as `errno` has them on Windows."""


def windows_sys() -> ModuleType:
    """`sys` with `platform` 'win32'; all else is the host's."""
    return ModuleView(sys, platform="win32")


def windows_os() -> ModuleType:
    """`os` with `name` 'nt'; paths stay the host's."""
    return ModuleView(os, name="nt")


def windows_errno() -> ModuleType:
    """`errno` with Winsock's names under Winsock's numbers: WSAEINVAL is 10022."""
    return ModuleView(errno, **WINSOCK_ERRORS)


SIGNALS_OF_WINDOWS: Final = frozenset(
    {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
)
MISSING_IN_SIGNAL: Final = (
    *("alarm", "getitimer", "pause", "pidfd_send_signal", "pthread_kill", "pthread_sigmask", "setitimer"),
    *("siginterrupt", "sigpending", "sigtimedwait", "sigwait", "sigwaitinfo", "Sigmasks"),
    *("ITIMER_PROF", "ITIMER_REAL", "ITIMER_VIRTUAL", "ItimerError"),
)
MISSING_IN_SOCKET: Final = (
    *("AF_UNIX", "SO_REUSEPORT", "SCM_RIGHTS", "SCM_CREDENTIALS", "CMSG_LEN", "CMSG_SPACE"),
    *("send_fds", "recv_fds", "sethostname"),
)
"""What programs look for to tell what a host can do."""


def windows_signal() -> ModuleType:
    """`signal` with the signals that Windows has, and the two console events.

    What stands for them can be sent by `os.kill` and `Popen.send_signal` of the host: Ctrl-C is SIGINT; Ctrl-Break,
    which ends a process that does not handle it, SIGTERM.
    """
    missing = [name for name in dir(signal) if name.startswith("SIG") and name not in SIGNALS_OF_WINDOWS]
    return ModuleView(
        signal,
        **dict.fromkeys([*missing, *MISSING_IN_SIGNAL], ABSENT),
        CTRL_C_EVENT=signal.SIGINT,
        CTRL_BREAK_EVENT=signal.SIGTERM,
        SIGBREAK=signal.SIGTERM,
    )


def windows_socket() -> ModuleType:
    """`socket` without what Windows does not have, local sockets above all; `socket.socket` is the host's class."""
    return ModuleView(socket, **dict.fromkeys(MISSING_IN_SOCKET, ABSENT))


def windows_tempfile() -> ModuleType:
    r"""`tempfile` whose `mktemp` gives a name in the device namespace for a prefix like `\\.\pipe\name-`."""

    host_mktemp: Callable[[str, str, str | None], str] = vars(tempfile)["mktemp"]

    def mktemp(suffix: str = "", prefix: str = tempfile.template, dir: str | None = None) -> str:
        if not prefix.startswith("\\\\.\\"):
            return host_mktemp(suffix, prefix, dir)
        return prefix + os.path.basename(host_mktemp(suffix, "", dir))

    return ModuleView(tempfile, mktemp=mktemp)
