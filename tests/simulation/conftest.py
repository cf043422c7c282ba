"""Both carriers; the one on greenlets is skipped, with the reason, where greenlet is not installed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from iocp_emu.runtime.carriers import Carrier


@pytest.fixture(params=[Carrier.GREENLET, Carrier.THREAD], ids=lambda carrier: carrier.value)
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """What virtual threads run on."""
    if request.param is Carrier.GREENLET:
        pytest.importorskip("greenlet", reason="greenlet is not installed")
    chosen: Carrier = request.param
    return chosen


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No simulation leaves an OS thread behind."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(5)  # real threads of the program that is run on both: past their last step, or on their way
    assert set(threading.enumerate()) <= before
