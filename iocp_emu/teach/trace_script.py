"""Running somebody's script under a recorder.

Theory.  The script runs as `python SCRIPT` would run it: as `__main__`, with its arguments and its directory first on
the path.  On real threads a recorded machine is the process's own meanwhile, so that threads of any origin are seen; a
script that makes a `Simulation` gets a recorded one.  In a simulation the whole script is one virtual thread, named
"main", and the threads that it spawns are others.

Own rules.  What the script raises is shown as Python would show it, without the frames of this module, and the
recording is kept.  Everything that was changed for the script is changed back.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import iocp_emu

from ..runtime.ambient import share, use
from ..trace.model import Trace
from ..trace.recording import TracedSimulation, TracedThreads


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """A script that has run: its exit `status`, a `message` for its user, and the trace; None when it did not begin."""

    status: int
    message: str
    trace: Trace | None


def run_script(path: str, arguments: list[str], simulation: tuple[int, int] | None) -> ScriptRun:
    """Run the script at `path`; `simulation` is (processors, seed), None for real threads.  Blocks until it ends."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        return ScriptRun(2, str(error), None)
    title = os.path.basename(path)
    with _as_main(path, arguments):
        if simulation is None:
            return _on_threads(path, title)
        return _in_simulation(path, title, *simulation)


def _on_threads(path: str, title: str) -> ScriptRun:
    system = TracedThreads(title)
    with share(system), use(system), _recorded_simulations(title) as simulations:
        status, message = _run(path)
        system.stop_tracing()
    trace = next((each for each in simulations if each.ports), system.trace)
    return ScriptRun(status, message, system.trace if system.trace.ports else trace)


def _in_simulation(path: str, title: str, processors: int, seed: int) -> ScriptRun:
    outcome: list[tuple[int, str]] = []
    with TracedSimulation(processors, seed, title=title) as machine:
        machine.spawn(lambda: outcome.append(_run(path)), name="main")
        try:
            machine.run()
        except Exception as error:
            reason = "".join(traceback.format_exception_only(error)).rstrip()
            return ScriptRun(1, f"{outcome[0][1]}\n{reason}" if outcome and outcome[0][1] else reason, machine.trace)
    return ScriptRun(*outcome[0], machine.trace)


def _run(path: str) -> tuple[int, str]:
    """Exit status and message of the script, as Python gives them."""
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0, ""
        return 1, str(end.code)
    except Exception as error:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename != path:
            frames = frames.tb_next
        return 1, "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    return 0, ""


@contextmanager
def _as_main(path: str, arguments: list[str]) -> Generator[None]:
    argv, first = sys.argv, os.path.dirname(os.path.abspath(path))
    sys.argv = [path, *arguments]
    sys.path.insert(0, first)
    try:
        yield
    finally:
        sys.argv = argv
        if first in sys.path:
            sys.path.remove(first)


@contextmanager
def _recorded_simulations(title: str) -> Generator[list[Trace]]:
    """Let `iocp_emu.Simulation` make simulations that are recorded; their traces."""
    traces: list[Trace] = []

    class Simulation(TracedSimulation):
        def __init__(self, *positional: Any, **named: Any) -> None:
            super().__init__(*positional, title=title, **named)
            traces.append(self.trace)

    plain = iocp_emu.Simulation
    iocp_emu.Simulation = Simulation  # type: ignore[misc]
    try:
        yield traces
    finally:
        iocp_emu.Simulation = plain  # type: ignore[misc]
