"""What the tests of the pywin32 modules share: the modules are installed, and no test leaves a handle open.

Programs of this kind start plain threads, so they all use the machine that the process shares.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import pytest

from iocp_emu import current_system
from iocp_emu.compat.pywin32 import Installed, install
from iocp_emu.kernel.invariants import check

DEADLINE_SECONDS = 30.0

Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def eventually() -> Eventually:
    """Wait for a condition; fail when it does not come true."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.001)

    return wait


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest, eventually: Eventually) -> Iterator[Installed]:
    """pywin32's modules, and a machine that afterwards has no more handles than before and is sound."""
    system = current_system()
    handles = system.process.handles
    before = set(handles.handles())

    def are_as_before() -> bool:
        if set(handles.handles()) <= before:
            return True
        gc.collect()  # more than once: what other threads have dropped may come late
        return False

    with install() as installed:
        yield installed
        if not request.session.testsfailed:  # the traceback of a failure keeps handles open
            eventually(are_as_before)
        system.perform(check, system.kernel)
