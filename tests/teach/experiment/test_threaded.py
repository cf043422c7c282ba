"""The experiment on real threads: what must hold whatever the machine is doing meanwhile."""

from __future__ import annotations

import threading
import time
from itertools import islice
from random import Random

import pytest

from iocp_emu import Simulation
from iocp_emu.runtime.host import gil_is_enabled
from iocp_emu.teach.experiment import Progress, make_settings, run, runs_of, threaded
from iocp_emu.teach.experiment.sweep import interpreter_lock


def leftovers() -> list[str]:
    """Threads of an experiment that do not go: to the kernel they have ended, the interpreter may need a moment."""
    deadline = time.monotonic() + 30
    while True:
        names = [thread.name for thread in threading.enumerate() if thread.name.startswith("worker-")]
        if not names or time.monotonic() > deadline:
            return names
        time.sleep(0.001)


def test_every_packet_is_counted_and_nothing_is_left() -> None:
    """Figures that no load on the machine can change: counts, orders, bounds, and that all threads have ended."""
    result = run(
        "cpu=200us,block=1ms:p=.5,hidden=1ms:p=.2", engine="threads", threads=4, concurrency="1,3", packets=40, repeat=2
    )
    assert [len(point.runs) for point in result.points] == [2, 2]
    assert result.is_complete
    for point in result.points:
        for each in point.runs:
            assert each.packets == 40
            assert 0 < each.processor_use <= 1
            assert each.latency.p50 <= each.latency.p95 <= each.latency.p99 <= each.latency.longest
            assert each.latency.mean == pytest.approx(each.wait.mean + each.service.mean)
            assert each.service.mean >= 0.0002
            assert 1 <= each.most_active <= 4
            assert each.depth <= 8
            assert [sample.time for sample in each.samples] == sorted(sample.time for sample in each.samples)
    assert not leftovers()
    assert result.interpreter_lock is gil_is_enabled()


def test_hidden_waits_show_the_value_on_real_threads() -> None:
    """Q-29: slots that are kept while their workers wait 20 ms unseen bound the throughput to value / 20 ms."""
    result = run("hidden=20ms", engine="threads", threads=8, concurrency="1,4", packets=16, repeat=1)
    for value in (1, 4):
        assert result.at(value).most_active <= value
        assert result.at(value).throughput <= value / 0.02 * 1.01


def test_reported_blocking_frees_the_slot_on_real_threads() -> None:
    """Q-23, Q-25: with value 1 several workers block at once, which is seen in the run's own sums."""
    result = run("block=50ms", engine="threads", threads=8, concurrency=1, packets=16, repeat=1)
    (measured,) = result.points[0].runs
    # One after the other they would be blocked for as long as the run lasts: a mean of 1.
    assert measured.blocked > 1.5


@pytest.mark.parametrize("arrivals", ["rate=400", "steady=400", "batch", "closed=3"])
def test_every_way_to_arrive(arrivals: str) -> None:
    """Packets come as they should, and never more are finished than came."""
    begun = time.monotonic()
    result = run("cpu=100us", engine="threads", threads=3, concurrency=2, packets=20, repeat=1, arrivals=arrivals)
    (measured,) = result.points[0].runs
    assert measured.packets == 20
    assert 0 < measured.elapsed <= time.monotonic() - begun
    if arrivals == "steady=400":
        assert measured.throughput <= 400 * 1.001
    if arrivals == "closed=3":
        assert measured.depth <= 3
    assert not leftovers()


def test_stopping_between_runs_keeps_what_was_measured() -> None:
    """`runs_of` is an iterator: whoever stops asking has the runs so far, in rounds over the values."""
    settings = make_settings("cpu=100us", engine="threads", threads=2, concurrency="1,2", packets=5, repeat=2)
    runs = list(islice(runs_of(settings), 3))
    assert [(each.concurrency, each.repetition) for each in runs] == [(1, 0), (2, 0), (1, 1)]
    assert not leftovers()


def test_an_interrupt_ends_workers_wherever_they_stand() -> None:
    """Ctrl-C in the middle of a run: threads that compute, block or wait unseen for an hour are gone at once."""
    settings = make_settings(
        "cpu=1us,cpu=3600s:p=.3,block=3600s:p=.4,hidden=3600s", engine="threads", threads=6, concurrency=6, packets=50
    )

    def interrupt(progress: Progress) -> None:
        if time.monotonic() > begun + 0.2:
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(runs_of(settings, interrupt))
    assert time.monotonic() - begun < 30
    assert not leftovers()


def test_an_error_of_a_worker_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker raises ends the run, and is raised where the run was asked for."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a worker")

    monkeypatch.setattr(threaded, "_computer", lambda: broken)
    with pytest.raises(ZeroDivisionError, match="a worker"):
        run("cpu=1ms", engine="threads", threads=2, concurrency=1, packets=5)
    assert not leftovers()


def test_inside_a_simulation_there_are_no_real_threads() -> None:
    """Said at once, with what to do; the simulation of the experiment is one of its own, and runs there too."""
    with Simulation():
        with pytest.raises(RuntimeError, match="inside a Simulation: leave it first"):
            run("cpu=1ms", engine="threads", threads=2, concurrency=1, packets=5)
        assert run("cpu=1ms", threads=2, concurrency=1, packets=5).points[0].throughput == pytest.approx(1000)


def test_computing_where_clocks_of_threads_are_coarse() -> None:
    """Measured turns of a loop stand in for the clock: twice the work takes about twice the processor time."""
    compute = threaded._computer_by_turns()
    spent: dict[int, list[float]] = {2_000_000: [], 8_000_000: []}
    for _ in range(9):
        for nanoseconds, times in spent.items():
            begun = time.thread_time()
            compute(nanoseconds, lambda: False)
            times.append(time.thread_time() - begun)
    assert 2 < min(spent[8_000_000]) / min(spent[2_000_000]) < 8
    begun = time.monotonic()
    compute(3600 * 10**9, lambda: True)
    assert time.monotonic() - begun < 60


def test_the_lock_is_only_asked_for_on_real_threads() -> None:
    """None in the simulation, where there is none."""
    assert interpreter_lock(make_settings("cpu=1ms")) is None
    assert interpreter_lock(make_settings("cpu=1ms", engine="threads")) is gil_is_enabled()


def test_draws_are_those_of_the_simulation() -> None:
    """One seed, one load, whichever engine: the first packet's bursts are the same."""
    settings = make_settings("cpu=exp(1us)", engine="threads", threads=1, concurrency=1, packets=30, repeat=1, seed=5)
    (measured,) = runs_of(settings)
    expected = (
        run("cpu=exp(1us)", threads=1, concurrency=1, packets=30, repeat=1, seed=5, switch_cost=0).points[0].runs[0]
    )
    assert measured.processor_use * measured.elapsed * settings.processors == pytest.approx(
        expected.processor_use * expected.elapsed * 4, abs=1e-12
    )
    assert Random("work 5").random() != Random("arrivals 5").random()
