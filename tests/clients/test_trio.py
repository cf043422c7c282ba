"""Trio on its Windows backend on the emulated port, by trio's own tests.

A quick choice runs by default where trio and cffi are installed.  `python -m pytest -m slow tests/clients/test_trio.py`
runs all suites, as `python -m tests.clients.run_trio` does, and puts deliberate defects into the port.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.clients import defects
from tests.clients.children import CHECKOUT, Report, run
from tests.clients.run_trio import CHILD, KNOWN, SUITES

QUICK = {
    "trio._core._tests.test_windows": "",
    "trio._core._tests.test_io": "",
    "trio._tests.test_windows_pipes": "",
    "trio._tests.test_wait_for_object": "",
    "trio._tests.test_highlevel_socket": "",
}
SENSITIVE = {
    "trio._core._tests.test_windows": "",
    "trio._core._tests.test_io": "",
    "trio._tests.test_windows_pipes": "",
}

needs_trio = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("trio", "cffi", "trustme", "OpenSSL")),
    reason="needs trio and cffi, and trustme and pyOpenSSL for its tests",
)

PROGRAM = """
import sys
from iocp_emu.compat.trio import provide
modules = provide()
assert provide() == modules and modules["sys"].platform == "win32"
assert not {"msvcrt", "_winapi"} & set(sys.modules) and sys.platform == PLATFORM
import trio, trio.testing

SIZE = 1_000_000

async def main():
    assert trio.lowlevel.current_statistics().io_statistics.backend == "windows"
    async with trio.open_nursery() as nursery:
        async def echo(stream):
            async for data in stream:
                await stream.send_all(data)
        listeners = await nursery.start(trio.serve_tcp, echo, 0)
        client = await trio.testing.open_stream_to_socket_listener(listeners[0])
        nursery.start_soon(client.send_all, bytes(SIZE))
        count = 0
        while count < SIZE:
            count += len(await client.receive_some(65536))
        with trio.move_on_after(0.1) as scope:
            await client.receive_some(1)
        print(count, scope.cancelled_caught)
        nursery.cancel_scope.cancel()

trio.run(main)
"""


def check(report: Report) -> None:
    """Every test passes but those whose failure has a known cause elsewhere."""
    assert report.counts["passed"]
    unexpected = report.unexpected(KNOWN)
    assert not unexpected, "\n".join(f"{test}\n{report.failures[test]}" for test in unexpected)


@needs_trio
def test_a_program_on_the_backend() -> None:
    """clients.md 9: provide(), trio's own backend, an echo of a million bytes; nothing else sees Windows."""
    program = PROGRAM.replace("PLATFORM", repr(sys.platform))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("1000000 True\n", 0), done.stderr


@needs_trio
def test_quick_suites() -> None:
    """clients issue: polls, pipes and waits, by trio's tests."""
    check(run(CHILD, QUICK))


@needs_trio
@pytest.mark.slow
def test_all_suites() -> None:
    """clients issue: every test but those whose cause lies in the test or in the host."""
    check(run(CHILD, SUITES))


@needs_trio
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, clients) in defects.DEFECTS.items() if "trio" in clients])
def test_defects_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """clients issue: trio's tests notice a defect of the port."""
    monkeypatch.setenv("SECONDS_PER_TEST", "4")
    report = run(CHILD, SENSITIVE, arguments=["--defect", name], seconds=30, until_other_than=KNOWN)
    assert report.unexpected(KNOWN)
