"""The experiment in the simulation: its laws, queueing theory, and figures that can be worked out by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from iocp_emu.teach.experiment import Cause, run
from tests.teach.experiment.laws import erlang_c


@pytest.mark.parametrize("processors", [1, 2, 3, 4, 8, 24, 64])
def test_the_knee_of_pure_computation_is_at_the_processors(processors: int) -> None:
    """S15, A-08: however many there are, and for random amounts of computation too."""
    values = sorted({1, max(processors - 1, 1), processors, processors + 1, 2 * processors})
    for work in ("cpu=5ms", "cpu=uniform(2ms,8ms)"):
        result = run(work, threads=2 * processors, processors=processors, concurrency=values, packets=200 * processors)
        assert (result.knee.limit, result.knee.cause) == (processors, Cause.PROCESSORS)
        assert result.knee.sentence.startswith(f"{processors} = the processors: there they are 100% busy")


def test_latency_grows_past_the_knee() -> None:
    """A-08: more threads than processors take longer over each packet, and finish no more of them."""
    result = run("cpu=5ms", threads=16, processors=4, concurrency="4..16", packets=4000)
    services = [point.mean(lambda each: each.service.mean) for point in result.points]
    assert all(low < high for low, high in pairwise(services))
    p95 = [point.mean(lambda each: each.service.p95) for point in result.points]
    assert all(low <= high for low, high in pairwise(p95))
    assert p95[-1] > 5 * p95[0]
    throughputs = [point.throughput for point in result.points]
    assert max(throughputs) == throughputs[0]
    assert min(throughputs) > 0.99 * throughputs[0]


@pytest.mark.parametrize(
    "work", ["cpu=5ms,block=20ms:p=.3", "cpu=1ms,block=exp(10ms)", "(cpu=exp(1ms),block=2ms)*3", "cpu=2ms,hidden=4ms"]
)
def test_throughput_never_falls_as_the_value_grows(work: str) -> None:
    """With threads enough, waiting of any kind, and switches for nothing, a larger value loses nothing."""
    result = run(
        work, threads=96, processors=4, concurrency="1..6,8,12,24", packets=3000, switch_cost=0, arrivals="closed=200"
    )
    throughputs = [point.throughput for point in result.points]
    # The end of a run cuts packets off that are under way, at most one for each thread: that is the noise.
    assert all(high >= low * (1 - 96 / 3000) for low, high in pairwise(throughputs))


def test_throughput_never_falls_as_blocking_grows() -> None:
    """Q-23, Q-25: as long as threads suffice, blocked workers are replaced and cost nothing."""
    throughputs: list[float] = []
    for milliseconds in (0, 1, 5, 20, 60):
        result = run(
            f"cpu=5ms,block={milliseconds}ms",
            threads=64,
            processors=4,
            concurrency=4,
            packets=8000,
            switch_cost=0,
            arrivals="closed=128",
        )
        throughputs.append(result.points[0].throughput)
    # 4 processors, 5 ms each: 800 per second; what is missing is the filling of the pipe at the beginning.
    assert all(800 >= each > 800 * (1 - 64 / 8000) for each in throughputs)


def test_when_threads_do_not_suffice() -> None:
    """A-08: 6 threads, each 5 ms computing and 20 ms blocked: 6 / 25 ms, whatever the value; the sentence says so."""
    result = run("cpu=5ms,block=20ms", threads=6, processors=4, concurrency="2..8", packets=4000, switch_cost=0)
    assert all(point.throughput == pytest.approx(240, rel=0.01) for point in result.points)
    assert result.knee.cause is Cause.THREADS
    assert "all 6 threads are in use" in result.knee.sentence


def test_hidden_waits_want_a_larger_value() -> None:
    """Q-23, Q-29: with 1 ms of computing to 3 ms unseen it takes four slots for each processor."""
    result = run("cpu=1ms,hidden=3ms", threads=64, processors=4, concurrency="1..24", packets=8000, switch_cost=0)
    assert result.at(4).throughput == pytest.approx(1000, rel=0.01)
    assert (result.knee.limit, result.knee.cause) == (16, Cause.HIDDEN)
    # The kernel sees none of it: slots are taken throughout.
    assert result.at(8).most_active == 8
    assert result.at(8).mean(lambda each: each.blocked) == 0


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (2, 1.4), (4, 3.0), (8, 6.8)])
def test_queueing_theory(servers: int, load: float) -> None:
    """M/M/c: over ten replications the mean wait is Erlang's, within four standard errors, which are small."""
    result = run(
        "cpu=exp(1s)",
        threads=2 * servers,
        processors=servers,
        concurrency=servers,
        arrivals=f"rate={load}",
        packets=6_000,
        warm_up=1_000,
        repeat=10,
        seed=servers,
        time_slice=1e6,
        switch_cost=0,
    )
    (point,) = result.points
    waits = point.spread(lambda each: each.wait.mean)
    error = waits.deviation / math.sqrt(10)
    expected = erlang_c(servers, load) / (servers - load)
    assert abs(waits.mean - expected) < 4 * error
    assert error < 0.15 * expected
    # Utilization is load / servers, and Little's law binds depth and wait.
    assert point.mean(lambda each: each.processor_use) == pytest.approx(load / servers, rel=0.03)
    depths = point.spread(lambda each: each.depth)
    assert depths.mean == pytest.approx(load * waits.mean, rel=0.12)


def test_figures_worked_out_by_hand() -> None:
    """A batch of 10 seconds of work each on 4 processors with 10 threads (A-11, Q-03): three rounds, the last half."""
    result = run(
        "cpu=1s", threads=10, processors=4, concurrency="0", packets=10, arrivals="batch", switch_cost=0, repeat=1
    )
    (measured,) = result.points[0].runs
    assert (measured.elapsed, measured.throughput, measured.most_active) == (3.0, 10 / 3, 4)
    assert measured.latency.p50 == 2.0
    assert (measured.latency.mean, measured.wait.mean, measured.service.mean) == (1.8, 0.8, 1.0)
    assert (measured.wait.longest, measured.latency.p99) == (2.0, 3.0)
    assert measured.processor_use == pytest.approx(10 / 12)
    assert measured.active == pytest.approx(10 / 3)
    assert measured.depth == pytest.approx(8 / 3)  # 6 packets for a second, 2 for another one


def test_a_blocked_worker_returns_beyond_the_limit() -> None:
    """Q-26: with value 1 two are seen runnable, and more than one thread's blocking overlaps."""
    result = run("cpu=5ms,block=20ms,cpu=1ms", threads=16, processors=4, concurrency=1, packets=1000)
    (point,) = result.points
    assert point.most_active > 1
    assert point.mean(lambda each: each.blocked) > 2


def test_every_value_gets_the_same_packets() -> None:
    """One seed, one load: what a run computes does not depend on the value; another seed is another load."""
    results = [
        run("cpu=exp(5ms)", threads=8, processors=2, concurrency="1,2,6", packets=500, arrivals="batch", seed=seed)
        for seed in (1, 1, 2)
    ]
    computed = [
        [round(each.processor_use * each.elapsed * 2, 9) for point in result.points for each in point.runs]
        for result in results
    ]
    assert computed[0] == computed[1] != computed[2]
    assert len(set(computed[0])) == 1
    assert results[0] == results[1]


def test_steady_and_random_arrivals_have_their_rate() -> None:
    """Even arrivals meet a free worker each; random ones sometimes wait."""
    even, random = (
        run("cpu=5ms", arrivals=arrivals, threads=4, processors=2, concurrency=2, packets=5000, switch_cost=0).points[0]
        for arrivals in ("steady=300", "rate=300")
    )
    assert even.throughput == pytest.approx(300, rel=0.001)
    assert random.throughput == pytest.approx(300, rel=0.05)
    assert even.mean(lambda each: each.wait.longest) == 0
    assert random.mean(lambda each: each.wait.mean) > 0.001


def test_more_than_can_be_done_is_said() -> None:
    """When packets come faster than they are finished the queue grows, and a note says what that means."""
    result = run("cpu=5ms", threads=8, processors=4, concurrency="1,2,4", packets=2000, arrivals="rate=500")
    assert result.at(1).mean(lambda each: each.depth) > 100
    assert any(
        "With concurrency values 1 and 2 fewer packets are finished than arrive" in each for each in result.notes
    )
    assert result.knee.concurrency == 4


def test_samples_cover_the_run() -> None:
    """At least 64 of them, in order, from the beginning to nearly the end, each adding up to the threads."""
    (measured,) = run("cpu=5ms,block=5ms", threads=8, processors=2, concurrency=2, packets=3000).points[0].runs
    times = [sample.time for sample in measured.samples]
    assert 63 <= len(times) <= 128
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] > 0.9 * measured.elapsed
    assert all(sample.active + sample.blocked + sample.parked == 8 for sample in measured.samples)


def test_the_smallest_experiment_and_the_largest_value() -> None:
    """The edges: one thread, one processor, one packet, values beyond every thread, up to the largest there is."""
    result = run("cpu=5ms", threads=1, processors=1, concurrency="1,4294967295", packets=1)
    assert [point.throughput for point in result.points] == [200.0, 200.0]
    assert "No value that was tried makes a difference" in result.knee.sentence
