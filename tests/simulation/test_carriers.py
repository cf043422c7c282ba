"""Carriers: results, exceptions, interrupts and leftovers are the same on greenlets and on OS threads."""

from __future__ import annotations

import contextvars
import gc
import signal
import sys
import weakref
from typing import Any

import pytest

from iocp_emu import CompletionPort, Simulation, current_system, sleep, spawn
from iocp_emu.runtime import carriers
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.virtual_threads import VirtualThreadExit


def test_results_and_errors(carrier: Carrier) -> None:
    """What functions return and raise is in the result; a join receives an error, and then `run` does not raise it."""
    with Simulation(carrier=carrier) as simulation:

        def fail() -> None:
            raise KeyError("lost")

        def parent() -> str:
            with pytest.raises(KeyError, match="lost"):
                spawn(fail).join()
            return "done"

        simulation.spawn(parent)
        result = simulation.run()
    assert result.results == {"parent": "done"}
    assert [each.name for each in result.threads if isinstance(each.error, KeyError)] == ["fail"]


def test_an_error_that_nobody_receives_comes_out_of_run(carrier: Carrier) -> None:
    """With the traceback of the thread; the other threads have gone on until they ended."""
    log: list[str] = []
    with Simulation(carrier=carrier) as simulation:

        def fail() -> None:
            raise ValueError("unheard")

        simulation.spawn(fail)

        def other() -> None:
            sleep(1)
            log.append("other")

        simulation.spawn(other)
        with pytest.raises(ValueError, match="unheard") as caught:
            simulation.run()
    assert log == ["other"]
    assert caught.traceback[-1].name == "fail"


def test_system_exit_ends_one_thread(carrier: Carrier) -> None:
    """As in any thread of Python."""
    with Simulation(carrier=carrier) as simulation:
        simulation.spawn(sys.exit, 3)
        simulation.spawn(sleep, 1)
        assert simulation.run().seconds == 1


def test_an_interrupt_ends_the_run(carrier: Carrier) -> None:
    """Ctrl-C comes out of `run`, and every thread is unwound."""
    unwound: list[str] = []

    def waiting(port: CompletionPort) -> None:
        try:
            port.get()
        finally:
            unwound.append("waiting")

    def pressing() -> None:
        try:
            sleep(1)
            signal.raise_signal(signal.SIGINT)
            for _ in range(1000):
                sleep(1)
        finally:
            unwound.append("pressing")

    with Simulation(carrier=carrier) as simulation:
        port = CompletionPort()
        simulation.spawn(waiting, port)
        simulation.spawn(pressing)
        with pytest.raises(KeyboardInterrupt):
            simulation.run()
    assert sorted(unwound) == ["pressing", "waiting"]


def test_leaving_the_block_unwinds_what_is_left(carrier: Carrier) -> None:
    """`finally` blocks run, may call the kernel, and may not wait; a packet in nobody's hands stays queued (Q-35)."""
    log: list[Any] = []
    with Simulation(carrier=carrier) as simulation:
        port, other = CompletionPort(), CompletionPort()

        def worker() -> None:
            try:
                port.get()
            except VirtualThreadExit:
                log.append("exit")
                raise
            finally:
                other.post(key="last words")
                with pytest.raises(VirtualThreadExit):
                    port.get()
                log.append(other.depth)

        simulation.spawn(worker)
        simulation.spawn(sleep, 1)
        simulation.run(until=0.5)
        never = simulation.spawn(log.append, "never")
        assert port.waiting == 1
    assert log == ["exit", 1]
    assert port.waiting == port.active == 0
    assert not never.is_alive


def test_a_thread_that_refuses_to_end(carrier: Carrier) -> None:
    """Catching everything does not keep a closed simulation busy for ever."""
    with Simulation(carrier=carrier) as simulation:
        rounds: list[int] = []

        def stubborn() -> None:
            while len(rounds) < 50:
                try:
                    sleep(1)
                except BaseException:
                    rounds.append(1)

        simulation.spawn(stubborn)
        simulation.run(until=0.5)
    assert len(rounds) == 50


def hold(port: CompletionPort, cargo: object) -> object:
    """Wait with something in hand."""
    port.get()
    return cargo


def test_nothing_is_kept(carrier: Carrier) -> None:
    """A simulation that was closed is garbage, with its threads, functions and arguments."""

    class Cargo:
        """Something to be freed."""

    cargo = Cargo()
    seen = weakref.ref(cargo)
    with Simulation(carrier=carrier) as simulation:
        port = CompletionPort()
        simulation.spawn(hold, port, cargo)
        simulation.run(until=1)
    del cargo, simulation, port
    gc.collect()
    assert seen() is None


def test_deep_recursion(carrier: Carrier) -> None:
    """Each thread has a stack of its own; waiting at its bottom is fine."""

    def deep(level: int) -> int:
        if level:
            return deep(level - 1) + 1
        sleep(1)
        return 0

    with Simulation(carrier=carrier) as simulation:
        threads = [simulation.spawn(deep, 300) for _ in range(3)]
        simulation.run()
    assert [thread.result for thread in threads] == [300] * 3


def test_recursion_without_end_is_that_threads_error(carrier: Carrier) -> None:
    """And nobody else's."""

    def endless() -> None:
        endless()

    with Simulation(carrier=carrier) as simulation:
        simulation.spawn(endless)
        with pytest.raises(RecursionError):
            simulation.run()


def test_context_variables_follow_the_spawner(carrier: Carrier) -> None:
    """A thread runs in a copy of the context that started it, with this simulation as its system."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[Any] = []
    simulation = Simulation(carrier=carrier)
    variable.set("set")

    def child() -> None:
        seen.append(variable.get())
        variable.set("child's")
        sleep(1)
        seen.append(variable.get())
        seen.append(current_system() is simulation)

    simulation.spawn(child)

    def sibling() -> None:
        sleep(0.5)
        seen.append(variable.get())

    simulation.spawn(sibling)
    simulation.run()
    assert seen == ["set", "set", "child's", True]
    assert variable.get() == "set"
    assert current_system() is not simulation


def test_many_threads(carrier: Carrier) -> None:
    """Hundreds of threads start, wait and end."""
    with Simulation(carrier=carrier) as simulation:
        for number in range(300):
            simulation.spawn(sleep, number / 100)
        assert simulation.run().seconds == 2.99


def test_without_greenlet_the_default_is_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auto falls back; asking for greenlets names what to install."""
    monkeypatch.setitem(sys.modules, "greenlet", None)
    assert Simulation().carrier is Carrier.THREAD
    with pytest.raises(RuntimeError, match=r"pip install 'iocp-emu\[fast\]'"):
        Simulation(carrier="greenlet")
    assert carriers.choose_carrier("thread")[0] is Carrier.THREAD


def test_simulations_nest(carrier: Carrier) -> None:
    """A thread of one may run another: each has its own time."""

    def inner() -> float:
        with Simulation(carrier=carrier) as simulation:
            simulation.spawn(sleep, 100)
            return simulation.run().seconds

    with Simulation(carrier=carrier) as simulation:
        thread = simulation.spawn(inner)
        simulation.spawn(sleep, 1)
        assert simulation.run().seconds == 1
    assert thread.result == 100
