"""Real time, real threads, real waiting and chance without a seed are named, not silently accepted."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from iocp_emu import CompletionPort, Event, ResetMode, Simulation, sleep
from iocp_emu.runtime import ambient
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.virtual_threads import SimulationMisuse


def start_a_thread() -> None:
    """What many programs do."""
    threading.Thread(target=print).start()


def wait_for_a_future() -> None:
    """Futures wait on a condition."""
    concurrent.futures.Future[None]().result()


CALLS: dict[str, tuple[Callable[[], Any] | str, str]] = {
    "time.sleep": (lambda: time.sleep(0.001), "iocp_emu.sleep"),
    "time.time": ("time.time", "Simulation.now"),
    "time.time_ns": ("time.time_ns", "Simulation.now"),
    "time.monotonic": ("time.monotonic", "Simulation.now"),
    "time.perf_counter": ("time.perf_counter", "Simulation.now"),
    "random.random": ("random.random", r"random.Random\(seed\)"),
    "random.choice": (lambda: random.choice([1, 2]), r"random.Random\(seed\)"),
    "random.shuffle": (lambda: random.shuffle([1, 2]), r"random.Random\(seed\)"),
    "random.gauss": (lambda: random.gauss(0, 1), r"random.Random\(seed\)"),
    "os.urandom": (lambda: os.urandom(4), r"random.Random\(seed\)"),
    "threading.Thread.start": (start_a_thread, "iocp_emu.spawn"),
    "threading.Condition": (lambda: threading.Event().wait(0.01), "iocp_emu.Event"),
}
INDIRECT: dict[str, Callable[[], Any]] = {
    "uuid4": uuid.uuid4,
    "queue": lambda: queue.Queue[int]().get(),
    "future": wait_for_a_future,
    "semaphore": lambda: threading.Semaphore(0).acquire(),
    "executor": lambda: concurrent.futures.ThreadPoolExecutor(1).submit(print),
    "timer": lambda: threading.Timer(1, print).start(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_named_with_its_replacement(call: str, carrier: Carrier) -> None:
    """The message names the call, what to use instead, and the thread."""
    given, instead = CALLS[call]

    def function() -> Any:
        # A name is looked up at the call, as a program does it.
        return eval(f"{given}()") if isinstance(given, str) else given()

    with Simulation(carrier=carrier) as simulation:
        simulation.spawn(function, name="culprit")
        with pytest.raises(SimulationMisuse, match=rf"{call}.*{instead}.*culprit"):
            simulation.run()


@pytest.mark.parametrize("call", INDIRECT)
def test_what_is_built_on_them_is_found_too(call: str) -> None:
    """Queues, futures, semaphores, executors and timers wait and start threads by the same few functions."""
    with Simulation() as simulation:
        simulation.spawn(INDIRECT[call])
        with pytest.raises(SimulationMisuse):
            simulation.run()


def test_catching_it_does_not_hide_it(carrier: Carrier) -> None:
    """A program that catches everything still fails."""

    def careless() -> None:
        try:
            time.sleep(1)
        except Exception:
            sleep(1)

    with Simulation(carrier=carrier) as simulation:
        simulation.spawn(careless)
        with pytest.raises(SimulationMisuse, match=r"time\.sleep"):
            simulation.run()


def test_a_contended_lock_is_named() -> None:
    """A lock held over a call of the package would stop every virtual thread; without contention it is fine."""
    with Simulation() as simulation:
        lock = threading.Lock()
        port = CompletionPort()
        total: list[int] = []

        def careful() -> None:
            with lock:
                total.append(1)
            assert lock.acquire(blocking=False)
            lock.release()
            sleep(1)

        for _ in range(3):
            simulation.spawn(careful)
        simulation.run()
        assert total == [1, 1, 1]

        def careless() -> None:
            with lock:
                port.get()

        simulation.spawn(careless)
        simulation.spawn(careless)
        with pytest.raises(SimulationMisuse, match=r"threading\.Lock\.acquire would wait.*ResetMode\.AUTO"):
            simulation.run()
    assert not lock.locked()


def test_recursive_locks_and_conditions_made_inside_work() -> None:
    """Guarded locks are locks."""
    with Simulation() as simulation:

        def worker() -> None:
            lock = threading.RLock()
            with lock, lock:
                condition = threading.Condition(lock)
                condition.notify_all()
            plain = threading.Condition()
            with plain as held:
                assert held
            assert "guarded" in repr(lock)

        simulation.spawn(worker)
        simulation.run()


def test_an_event_serves_as_a_lock() -> None:
    """What the message recommends."""
    with Simulation() as simulation:
        lock, inside = Event(ResetMode.AUTO), [0]
        lock.set()

        def worker() -> None:
            for _ in range(5):
                lock.wait()
                inside[0] += 1
                sleep(0.1)
                assert inside[0] == 1
                inside[0] -= 1
                lock.set()

        for _ in range(3):
            simulation.spawn(worker)
        assert simulation.run().seconds == 1.5


def test_seeded_chance_and_logging_are_no_misuse(caplog: pytest.LogCaptureFixture) -> None:
    """A generator of one's own is fine, and so is a library that looks at the clock."""
    drawn: list[float] = []

    def worker() -> None:
        drawn.append(random.Random(1).random())
        logging.getLogger("worker").warning("hello")

    with Simulation() as simulation:
        simulation.spawn(worker)
        simulation.run()
    assert drawn == [random.Random(1).random()]
    assert caplog.messages == ["hello"]


def test_everything_is_back_afterwards() -> None:
    """Replacements go with the last simulation, also when a run fails, and nest in any order."""
    names: list[tuple[Any, str]] = [(time, "sleep"), (time, "time"), (random, "random"), (os, "urandom")]
    names += [(threading, "Lock"), (threading.Condition, "wait")]
    names += [(threading.Thread, "start"), (threading.Thread, "join")]
    before = [getattr(owner, name) for owner, name in names]
    first, second = Simulation(), Simulation()
    with first:
        second.__enter__()
        assert time.sleep is not before[0]
        second.spawn(time.sleep, 1)
        with pytest.raises(SimulationMisuse):
            second.run()
        second.__exit__()
    assert [getattr(owner, name) for owner, name in names] == before


def test_code_outside_is_left_alone(carrier: Carrier) -> None:
    """Before, after and beside the virtual threads, the host's functions are the host's."""
    started, go = threading.Event(), threading.Event()
    seen: list[Any] = []

    def outside() -> None:
        started.set()
        go.wait(60)
        time.sleep(0)
        seen.extend([time.time(), random.random(), threading.Lock()])

    helper = threading.Thread(target=outside)
    helper.start()
    started.wait()
    with Simulation(carrier=carrier) as simulation:
        time.sleep(0)
        assert random.random() < 1
        simulation.spawn(go.set)
        simulation.spawn(sleep, 1)
        simulation.run()
        helper.join()
    assert len(seen) == 3


def test_strange_threads_are_refused(carrier: Carrier) -> None:
    """An OS thread that is not of the simulation cannot call into it while it runs."""
    errors: list[BaseException] = []
    go, done = threading.Event(), threading.Event()
    with Simulation(carrier=carrier) as simulation:
        port = CompletionPort()

        def strange() -> None:
            go.wait(60)
            try:
                port.post()
            except BaseException as error:
                errors.append(error)
            done.set()

        stranger = threading.Thread(target=strange)
        stranger.start()

        def virtual() -> None:
            go.set()
            while not done.is_set():
                pass

        simulation.spawn(virtual)
        simulation.run()
        stranger.join()
    assert isinstance(errors[0], SimulationMisuse)
    assert "not of the simulation" in str(errors[0])


def test_waiting_outside_of_run_is_refused() -> None:
    """Nobody runs there who could end the wait; the port is left as it was."""
    with Simulation() as simulation:
        port = CompletionPort()
        for wait in (port.get, lambda: port.get(timeout=1), lambda: sleep(1), Event().wait):
            with pytest.raises(SimulationMisuse, match=r"outside of run\(\)"):
                wait()
        assert port.waiting == 0
        with pytest.raises(TimeoutError):
            port.get(timeout=0)
        assert simulation.now == 0


def test_run_inside_of_run_is_refused() -> None:
    """A virtual thread cannot run its own world, nor close it."""
    for method in ("run", "close"):
        with Simulation() as simulation:
            simulation.spawn(getattr(simulation, method))
            with pytest.raises(SimulationMisuse, match=method):
                simulation.run()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"processors": 0}, ValueError, "processors must be 1 or more"),
        ({"processors": 1.5}, TypeError, "processors must be a whole number"),
        ({"seed": -1}, ValueError, "seed must be 0 or more"),
        ({"seed": "x"}, TypeError, "seed must be a whole number"),
        ({"time_slice": 0}, ValueError, "time_slice must be above 0"),
        ({"context_switch_cost": -1}, ValueError, "context_switch_cost must be 0 or more"),
        ({"carrier": "horse"}, ValueError, "carrier must be one of auto, greenlet, thread"),
        ({"profile": "dos"}, ValueError, "unknown profile"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Bad arguments are named before anything happens."""
    with pytest.raises(error, match=message):
        Simulation(**options)


def test_locks_of_others_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real thread that makes a lock beside a simulation gets a real one, at once, and no machine is made for it."""
    monkeypatch.setattr(ambient, "_shared", None)
    made: list[Any] = []
    with Simulation():
        other = threading.Thread(target=lambda: made.extend([threading.Lock(), threading.RLock()]), daemon=True)
        other.start()
        other.join(10)
    assert [type(lock) for lock in made] == [type(threading.Lock()), type(threading.RLock())]
    assert ambient._shared is None
