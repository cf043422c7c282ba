"""Sockets that other processes have too: an association is one of the file object, whoever made it (C-06, C-12)."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from iocp_emu import ntdll, status, win32

from .socket_support import DEADLINE, Bench, bench_in_use, running_reactor

__all__ = ["running_reactor"]

pytestmark = pytest.mark.skipif(not hasattr(fcntl, "F_SETSIG"), reason="this host has no room for the mark (F_SETSIG)")

CHECKOUT = Path(__file__).resolve().parents[2]
HEIR = """
import sys
from iocp_emu import win32
port = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, 0)
print(win32.CreateIoCompletionPort(int(sys.argv[1]), port, 0, 0) == port or win32.GetLastError())
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One machine as Windows 10 is."""
    with bench_in_use() as made:
        yield made


def answer_of_heir(sock: socket.socket) -> str:
    """What an association says in a new process that inherits the socket: "True", or the error."""
    done = subprocess.run(
        [sys.executable, "-c", HEIR, str(sock.fileno())],
        cwd=CHECKOUT, pass_fds=[sock.fileno()], capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_c12_an_heir_cannot_associate_again(bench: Bench) -> None:
    """C-12: what this process has associated, a process that inherits it cannot (87)."""
    listener = bench.listener()
    assert win32.CreateIoCompletionPort(listener.fileno(), bench.port, 1, 0) == bench.port
    assert answer_of_heir(listener) == "87"


def test_c12_an_association_outlives_the_process_that_made_it(bench: Bench) -> None:
    """C-12, C-13: the file object lives on with this process's handle, and so does what the other has made of it."""
    listener = bench.listener()
    assert answer_of_heir(listener) == "True"
    assert answer_of_heir(listener) == "87"
    assert not win32.CreateIoCompletionPort(listener.fileno(), bench.port, 1, 0)
    assert win32.GetLastError() == status.ERROR_INVALID_PARAMETER


def test_c14_removing_it_sets_all_free(bench: Bench) -> None:
    """C-14: the association that is removed is gone for everybody."""
    listener = bench.listener()
    win32.CreateIoCompletionPort(listener.fileno(), bench.port, 1, 0)
    removed = ntdll.NtSetInformationFile(listener.fileno(), ntdll.FileReplaceCompletionInformation)
    assert removed.ret == status.STATUS_SUCCESS
    assert answer_of_heir(listener) == "True"


def test_c12_an_accepted_connection_keeps_its_association(bench: Bench) -> None:
    """C-12: AcceptEx puts another socket of the host in the place of an associated one; its heirs still hear 87."""
    listener, served = bench.listener(), bench.stream()
    for sock in (listener, served):
        win32.CreateIoCompletionPort(sock.fileno(), bench.port, 1, 0)
    room = bytearray(64)
    win32.AcceptEx(listener.fileno(), served.fileno(), room, 0, win32.OVERLAPPED(),
                   dwLocalAddressLength=32, dwRemoteAddressLength=32)  # fmt: skip
    bench.adopt(socket.create_connection(listener.getsockname()))
    assert bench.packet()[0] == 0
    assert served.getpeername()
    assert answer_of_heir(served) == "87"


def test_a_signal_of_the_program_is_left_alone(bench: Bench) -> None:
    """A program keeps the signal that it has chosen itself; processes then do not know of each other."""
    listener = bench.listener()
    fcntl.fcntl(listener, fcntl.F_SETSIG, signal.SIGUSR1)
    win32.CreateIoCompletionPort(listener.fileno(), bench.port, 1, 0)
    assert fcntl.fcntl(listener, fcntl.F_GETSIG) == signal.SIGUSR1
    assert answer_of_heir(listener) == "True"


def test_an_association_that_is_never_made_leaves_no_mark(bench: Bench) -> None:
    """What was only used, and not associated, is as it was."""
    own, peer = bench.pair(key=None)
    bench.recv(own)
    peer.sendall(b"x")
    assert fcntl.fcntl(own, fcntl.F_GETSIG) == 0
    assert os.fstat(own.fileno())
