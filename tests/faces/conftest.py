"""What the tests of the flat faces share: a machine of their own, checked at the end, and threads on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from iocp_emu.kernel.invariants import check
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem

Machine = Callable[..., ThreadSystem]


@pytest.fixture
def machine() -> Iterator[ThreadSystem]:
    """An emulated Windows 10 of its own for one test; its invariants hold at the end."""
    with use(ThreadSystem(processors=2)) as system:
        yield system
        system.perform(check, system.kernel)
        system.perform(system.process.handles.close_all)
