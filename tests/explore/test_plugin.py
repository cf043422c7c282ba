"""The pytest plugin: its fixtures, its options, and what it says of a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import iocp_emu

# What is first imported in a run of `pytester` is forgotten after it, and would be there twice.
for name in ("iocp_emu.sync", "iocp_emu.testing.explorer"):
    import_module(name)

CHECKOUT = str(Path(iocp_emu.__file__).parents[1])

pytest_plugins = ["pytester"]

BROKEN = '''
from iocp_emu import CompletionPort, spawn

def lost_update():
    total = 0
    def writer():
        nonlocal total
        seen = total
        port.post(key="working")
        total = seen + 1
    with CompletionPort() as port:
        for each in [spawn(writer) for _ in range(2)]:
            each.join()
    assert total == 2

def test_lost_update(explore):
    explore(lost_update, schedules=100)

def test_right(explore):
    assert explore(lambda: None, schedules=3).ok

def test_simulation(simulation):
    port = CompletionPort()
    thread = simulation.spawn(port.get)
    port.post(key="x")
    simulation.run()
    assert (thread.result.key, simulation.seed) == ("x", 7)
'''


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """One run of the tests above in this process, with the plugin."""
    pytester.makepyfile(BROKEN)
    return pytester.runpytest_inprocess("-p", "iocp_emu.testing.plugin", "-p", "no:cacheprovider", *options)


def test_a_failure_tells_its_seed_and_its_schedule(pytester: pytest.Pytester) -> None:
    """And the schedule, given back, makes the failure again in one run."""
    result = run(pytester, "--iocp-seed", "7")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*seed: --iocp-seed 7", "replay it with: --iocp-schedule 'iocp-schedule 1 | lost_*"])
    line = next(line for line in result.outlines if line.startswith("replay it with:"))
    again = run(pytester, "-k", "lost_update", "--iocp-schedule", line.partition("'")[2].rstrip("'"))
    again.assert_outcomes(failed=1, deselected=2)
    again.stdout.fnmatch_lines(["*lost_update: a failure was found (replay, seed 7, 1 runs)"])


def test_another_seed(pytester: pytest.Pytester) -> None:
    """The fixture `simulation` has the seed of the option: the test expects 7, and gets 0."""
    result = run(pytester, "-k", "simulation")
    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(["seed: --iocp-seed 0"])


@pytest.mark.slow
def test_with_xdist(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker process has to say comes to the terminal."""
    pytest.importorskip("xdist")
    monkeypatch.setenv("PYTHONPATH", CHECKOUT)
    pytester.makepyfile(BROKEN)
    result = pytester.runpytest_subprocess("-p", "iocp_emu.testing.plugin", "-n", "1", "--iocp-seed", "7")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*seed: --iocp-seed 7", "replay it with: --iocp-schedule*"])


def test_the_plugin_is_cheap() -> None:
    """It loads nothing of iocp_emu but itself and the two lazy packages above it."""
    code = (
        "import sys, pytest; import iocp_emu.testing.plugin;"
        "print(sorted(name for name in sys.modules if name.startswith('iocp_emu')))"
    )
    environment = {**os.environ, "PYTHONPATH": CHECKOUT}
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert loaded.strip() == "['iocp_emu', 'iocp_emu.testing', 'iocp_emu.testing.plugin']"
