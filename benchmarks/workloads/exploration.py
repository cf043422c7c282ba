"""W9: exploring every history of the kernel's verbs, and programs under many schedules; how fast, and how it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from random import Random
from time import perf_counter, process_time

from ..measure import Comparison, Effort, Kind, OneByOne, Sample, WrongResult

CONTESTANTS: Mapping[str, int] = {"2 threads": 2, "3 threads": 3, "4 threads": 4, "5 threads": 5}
"""Worlds of two ports with concurrency value 1, by the number of threads."""

PACKETS: Mapping[Effort, int] = {Effort.WARM_UP: 0, Effort.QUICK: 1, Effort.FULL: 4}
"""How many may be queued at a time."""

COVERED = "states/s"
GENERATED = "generated/s"
DISTINCT = "distinct/s"


class Exploration(OneByOne):
    """All histories of a bounded world: states covered per second of one core, every thread and port having a name.

    Besides: the distinct states that stand for them, and those generated, known ones too, as model checkers count.
    """

    def __init__(self) -> None:
        super().__init__(
            "explore", tuple(Comparison(world, COVERED, 50_000, Kind.RATE) for world in CONTESTANTS)
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return tuple(CONTESTANTS)

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        from iocp_emu.testing import Bounds, Stop, explore_histories

        bounds = Bounds(CONTESTANTS[contestant], (1, 1), PACKETS[effort])
        start = process_time()  # of this one thread: what other programs take of the machine is no cost of ours
        report = explore_histories(bounds)
        seconds = process_time() - start
        if report.stop is not Stop.COMPLETE:
            raise WrongResult(str(report))
        return Sample(
            seconds / report.concrete_states,
            {
                COVERED: report.concrete_states / seconds,
                GENERATED: report.transitions / seconds,
                DISTINCT: report.states / seconds,
            },
        )


class SharedExploration(OneByOne):
    """The same with the work shared among processes: elapsed time for one world, two processes against one.

    Each contestant is a pool of processes that have started and explored already, so that both pay for sending states
    to and fro.  With two processors that nobody else uses, half is perfect.
    """

    worlds: Mapping[Effort, tuple[int, int]] = {
        Effort.WARM_UP: (3, 1),
        Effort.QUICK: (4, 1),
        Effort.FULL: (4, 4),
    }
    """Threads, and packets that may be queued."""

    def __init__(self) -> None:
        super().__init__("explore-shared", (Comparison("2 processes", "1 process", goal=0.6),))

    def contestants(self, effort: Effort) -> Sequence[str]:
        return "1 process", "2 processes"

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        from iocp_emu.testing import Bounds, Stop, explore_histories

        threads, packets = self.worlds[effort]
        with ProcessPoolExecutor(int(contestant[0]), get_context("spawn")) as pool:
            explore_histories(Bounds(3, (1, 1), 1), executor=pool)
            start = perf_counter()
            report = explore_histories(Bounds(threads, (1, 1), packets), executor=pool)
            seconds = perf_counter() - start
        if report.stop is not Stop.COMPLETE:
            raise WrongResult(str(report))
        return Sample(seconds / report.states)


RUNS: Mapping[Effort, int] = {Effort.WARM_UP: 2, Effort.QUICK: 40, Effort.FULL: 300}
"""How many runs of a program."""

SCHEDULES = "schedules/s"


def _hand_in_turn() -> None:
    """A right program of 18 steps or more: two workers on one port, each of which gets a packet and a stop."""
    from iocp_emu import CompletionPort, spawn

    def worker() -> None:
        while port.get().key != "stop":
            pass

    with CompletionPort(1) as port:
        threads = [spawn(worker) for _ in range(2)]
        for key in ("work", "work", "stop", "stop"):
            port.post(key=key)
        for thread in threads:
            thread.join()


class Schedules(OneByOne):
    """A small program under many schedules, chapter P judged at every step: runs per second of one core."""

    def __init__(self) -> None:
        strategies = ("random", "pct", "pos", "exhaustive")
        super().__init__("schedules", tuple(Comparison(each, SCHEDULES, kind=Kind.FIGURE) for each in strategies))

    def contestants(self, effort: Effort) -> Sequence[str]:
        return tuple(comparison.ours for comparison in self.comparisons)

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        from iocp_emu.testing import explore

        start = process_time()
        found = explore(_hand_in_turn, strategy=contestant, schedules=RUNS[effort])
        seconds = process_time() - start
        if not found.ok:
            raise WrongResult(str(found))
        figures = {SCHEDULES: found.schedules / seconds}
        if found.states is not None:
            figures[DISTINCT] = found.states / seconds
        return Sample(seconds / found.schedules, figures)
