"""Runs pywin32's own tests on the emulator, unmodified, as guests.

    python -m tests.clients.pywin32.run_own_tests DIRECTORY

DIRECTORY is `win32/test` of pywin32, out of a wheel for instance; nothing is fetched.  Prints for each file how many
passed, failed and were skipped, and the failures that `CAUSES` does not explain; the exit code tells whether there are.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import socket
import sys
import tempfile
import unittest
from collections.abc import Generator
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

from iocp_emu.compat.guests import ModuleView, guest
from iocp_emu.compat.pywin32 import install
from iocp_emu.status import WSAEWOULDBLOCK

FILES = ("handles", "test_exceptions", "test_win32event", "test_win32pipe", "test_win32file")

FILE_INFORMATION = "attributes and times of files are no part of this project"
FINDING = "finding files by pattern is no part of this project"

CAUSES = {
    "handles.*.testOtherHandle": "calls GetProcAddress on Python's own library",
    "test_exceptions.TestCOMSimple.*": "there is no COM",
    "test_win32file.TestEncrypt.*": "there is no encrypting file system",
    "test_win32file.TestFindFiles.*": FINDING,
    "test_win32file.TestGetFileInfoByHandleEx.*": FILE_INFORMATION,
    "test_win32file.TestSimpleOps.testFileTimes*": FILE_INFORMATION,
    "test_win32file.TestSimpleOps.testMoreFiles": FILE_INFORMATION,
}
"""Why a test cannot pass here."""


class Socket(socket.socket):
    """A socket as Python has it on Windows: error codes are Winsock's, and ended connections keep no address in use."""

    def bind(self, address: Any, /) -> None:
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        super().bind(address)

    def connect_ex(self, address: Any, /) -> int:
        code = super().connect_ex(address)
        return WSAEWOULDBLOCK if code == errno.EINPROGRESS else code

    def accept(self) -> tuple[Socket, Any]:
        accepted, address = super().accept()
        return Socket(fileno=accepted.detach()), address

    def recv(self, *args: Any) -> bytes:
        with winsock_errors():
            return super().recv(*args)

    def send(self, *args: Any) -> int:
        with winsock_errors():
            return super().send(*args)


@contextlib.contextmanager
def winsock_errors() -> Generator[None]:
    """What would have to wait is WSAEWOULDBLOCK."""
    try:
        yield
    except BlockingIOError as error:
        raise BlockingIOError(WSAEWOULDBLOCK, error.strerror) from None


def stand_ins() -> dict[str, ModuleType]:
    """Modules that the files import, and that are not here: names without contents, but for `testmain`."""
    found = {name: ModuleType(name) for name in ("pythoncom", "win32timezone", "pywin32_testutil")}
    found["pywin32_testutil"].__dict__["testmain"] = unittest.main
    return {**found, "socket": ModuleView(socket, socket=Socket)}


def run(name: str) -> list[str]:
    """Run one file, print how it went, and return the failures without a cause."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(name))
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        result = unittest.TextTestRunner(stream=nowhere).run(suite)
    failed = [(test.id(), trace) for test, trace in result.failures + result.errors]
    passed = result.testsRun - len(failed) - len(result.skipped)
    print(f"{name}: {passed} passed, {len(failed)} failed, {len(result.skipped)} skipped")
    unexplained: list[str] = []
    for identity, trace in failed:
        cause = next((cause for pattern, cause in CAUSES.items() if fnmatchcase(identity, pattern)), None)
        print(f"  {identity}: {cause or trace.strip().splitlines()[-1]}")
        if cause is None:
            unexplained.append(identity)
    return unexplained


def main(directory: str) -> int:
    """Run all; 0 when every failure has its cause."""
    sys.path.insert(0, directory)
    with install() as installed, tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        Path("NUL").touch()  # which every directory of Windows has
        view = {**installed.modules, **stand_ins()}
        with guest(dict.fromkeys(FILES, view)):
            unexplained = [identity for name in FILES for identity in run(name)]
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
