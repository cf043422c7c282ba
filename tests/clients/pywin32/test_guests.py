"""How programs get the modules: as guests, in scripts, or everywhere; and how that ends."""

from __future__ import annotations

import importlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from iocp_emu.compat import run_guest
from iocp_emu.compat.pywin32 import NAMES, Installed, install, install_everywhere, win32file

SCRIPT = """
import sys
import pywintypes, win32con, win32event, win32file, winerror
from win32file import GetQueuedCompletionStatus, PostQueuedCompletionStatus
from win32con import *

port = win32file.CreateIoCompletionPort(win32file.INVALID_HANDLE_VALUE, None, 0, 0)
overlapped = pywintypes.OVERLAPPED()
overlapped.object = "travels along"
PostQueuedCompletionStatus(port, 1, 2, overlapped)
rc, count, key, back = GetQueuedCompletionStatus(port, win32event.INFINITE)
result = rc, count, key, back.object, GENERIC_WRITE, winerror.WAIT_TIMEOUT
port.Close()
"""

RESULT = (0, 1, 2, "travels along", 0x40000000, 258)


def test_a_script_runs_as_a_guest(tmp_path: Path, installed: Installed) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert run_guest(str(script), installed.modules)["result"] == RESULT
    assert not set(NAMES) & set(sys.modules)


def test_modules_are_guests_by_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("some_windows_program", "some_other_program"):
        (tmp_path / f"{name}.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    with install("some_windows_*"):
        assert importlib.import_module("some_windows_program").result == RESULT
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("some_other_program")


def test_everywhere_means_sys_modules_and_ends() -> None:
    before = {name: sys.modules.get(name) for name in NAMES}
    with install_everywhere() as everywhere:
        namespace: dict[str, object] = {}
        exec(SCRIPT, namespace)
        assert namespace["result"] == RESULT
        assert sys.modules["win32file"] is win32file
    everywhere.uninstall()
    assert {name: sys.modules.get(name) for name in NAMES} == before


def test_the_hooks_of_sockets_go_with_the_last_user() -> None:
    with install(), socket.socket() as hooked:
        hooked.setsockopt(socket.SOL_SOCKET, win32file.SO_UPDATE_CONNECT_CONTEXT, b"")


def test_handles_that_are_open_at_the_end_of_a_program_say_nothing() -> None:
    program = """
from iocp_emu.compat.pywin32 import install_everywhere
install_everywhere()
import pywintypes, win32event, win32file
event = win32event.CreateEvent(None, 1, 0, None)
port = win32file.CreateIoCompletionPort(-1, None, 0, 0)
overlapped = pywintypes.OVERLAPPED()
overlapped.hEvent, overlapped.object = event, [port, overlapped]
win32file.PostQueuedCompletionStatus(port, 0, 0, overlapped)
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_provided_stays_and_misleads_nobody() -> None:
    program = """
import sys
before = sys.platform, set(sys.modules)
from iocp_emu.compat.pywin32 import NAMES, provide
modules = provide()
assert sorted(modules) == sorted(NAMES)
assert provide() == modules
assert sys.platform == before[0]
assert not set(NAMES) & set(sys.modules)
port = modules["win32file"].CreateIoCompletionPort(-1, None, 0, 0)
assert modules["win32file"].GetQueuedCompletionStatus(port, 0) == (258, 0, 0, None)
assert modules["pywintypes"].HANDLEType is type(port)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
