"""The bench of pipes between processes: machines that meet in a directory of the test's own, and real processes.

Two machines in one process that meet in a directory know of each other no more than two processes do.

Own rules.  At the end no file is left in the directory, and nothing is watched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from iocp_emu.overlapped.pipe_names import join_host
from iocp_emu.overlapped.pipe_queues import ReadMode
from iocp_emu.overlapped.pipe_registry import DIRECTORY_VARIABLE, HAS_UNIX_SOCKETS
from iocp_emu.overlapped.pipe_states import PipeType
from iocp_emu.overlapped.reactor import REACTOR
from tests.overlapped.pipe_ends import OpenedEnd, open_, serve
from tests.overlapped.support import MakeRig, Rig, eventually

CHECKOUT = Path(__file__).resolve().parents[2]

needs_unix_sockets = pytest.mark.skipif(not HAS_UNIX_SOCKETS, reason="a host without Unix sockets")


@pytest.fixture(scope="module", autouse=True)
def quick_reactor() -> Generator[None]:
    """The reactor's thread ends soon after each test, with its descriptors."""
    before, REACTOR.idle_seconds = REACTOR.idle_seconds, 0.02
    yield
    REACTOR.idle_seconds = before


@pytest.fixture
def meeting_place() -> Generator[str]:
    """A directory where only the processes of this test meet; its path is short."""
    directory = tempfile.mkdtemp(prefix="iocp")
    yield directory
    try:
        eventually(lambda: not os.listdir(directory), "no endpoint is left")
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def hosts(meeting_place: str, rigs: MakeRig) -> Callable[[], Rig]:
    """Makes machines that meet in that directory."""

    def make() -> Rig:
        rig = rigs()
        join_host(rig.system, meeting_place)
        return rig

    return make


def apart(hosts: Callable[[], Rig], **kwargs: Any) -> tuple[OpenedEnd, OpenedEnd]:
    """A server's end on one machine and the client's on another; options as of `serve`."""
    server = serve(hosts(), **kwargs)
    client = open_(hosts())
    if kwargs.get("type") is PipeType.MESSAGE:
        server.set_modes(ReadMode.MESSAGE)
        client.set_modes(ReadMode.MESSAGE)
    return server, client


def can_read(end: OpenedEnd, count: int, parcels: int | None = None) -> None:
    """Wait until `count` bytes can be read, in so many parcels."""
    eventually(lambda: end.peek()[1] == count and parcels in (None, end.peek()[2]), f"{count} bytes are there")


class Script:
    """A real process that runs Python source with `directory` as its meeting place."""

    def __init__(self, directory: str, source: str, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source), *arguments],
            env={**os.environ, DIRECTORY_VARIABLE: directory, "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """The next line that it prints."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def tell(self, line: str) -> None:
        """Give it a line."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def end(self) -> str:
        """The rest of what it prints, once it has ended well."""
        rest, _ = self.popen.communicate(timeout=60)
        assert self.popen.returncode == 0
        return rest

    def kill(self) -> None:
        """End it, whatever it does."""
        self.popen.kill()
        self.popen.communicate()


@pytest.fixture
def scripts(meeting_place: str) -> Generator[Callable[..., Script]]:
    """Starts processes, and ends those that are left."""
    started: list[Script] = []

    def start(source: str, *arguments: str) -> Script:
        started.append(Script(meeting_place, source, *arguments))
        return started[-1]

    yield start
    for script in started:
        if script.popen.poll() is None:
            script.kill()
