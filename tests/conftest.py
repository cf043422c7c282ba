"""What all tests share: how hypothesis runs here.

The examples are the same in every run, and no example has a time limit: a failure is then a fact about the
code and not about the machine's load. To look further: `python -m pytest --hypothesis-profile=default`.

What has been imported and collected before the first test is out of the garbage collector's sight: tests that collect
by hand, as every benchmark does, would else look at all of it each time.

And where the pipes of a run meet: in a directory of its own, so that two runs at once do not take each other's names.
And that Ctrl-C reaches the programs that tests start, also where a shell has put the run into the background.
"""

from __future__ import annotations

import gc
import signal
import tempfile
from collections.abc import Generator

import pytest
from hypothesis import find, settings
from hypothesis.strategies import none

settings.register_profile("iocp_emu", deadline=None, derandomize=True)
settings.load_profile("iocp_emu")


def pytest_collection_finish() -> None:
    """What stays until the end need not be looked at again.

    Hypothesis makes its random numbers at its first test, and looks for who refers to them where what is frozen is not
    seen: so it has its first test here.
    """
    find(none(), lambda _: True)
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Generator[None]:
    """Children inherit an ignored SIGINT; from here they do not."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def pipes_of_this_run() -> Generator[None]:
    """Named pipes are found by the processes of this test run only."""
    with tempfile.TemporaryDirectory(prefix="iocp") as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IOCP_EMU_PIPE_DIR", directory)
        yield
