"""One seed, one run: the same on both carriers, in every process, on every Python version and system."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

import pytest

from iocp_emu import Simulation
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.chance import Exponential, LogNormal, Uniform
from iocp_emu.runtime.results import RunResult
from iocp_emu.runtime.schedulers import (
    ReplayScheduler,
    RoundRobinScheduler,
    ScheduleMismatch,
    Scheduler,
    SteadyScheduler,
)
from iocp_emu.runtime.simulation import Preemption
from tests.simulation.programs import mixed

GOLDEN = {
    0: "32bd1e8173d65a9a",
    1: "9deb071848ebffff",
    2: "9c4d36810530f5bc",
}
"""Digests of schedule and log.  They change only with the meaning of schedules, which the change log then tells."""


def run_mixed(**options: Any) -> tuple[RunResult, list[Any]]:
    """One run of the mixed program: its result and its log."""
    log: list[Any] = []
    with Simulation(**options) as simulation:
        simulation.spawn(mixed, log, lambda: simulation.now, name="main")
        return simulation.run(), log


def digest(result: RunResult, log: list[Any]) -> str:
    """A short name for everything that happened."""
    return hashlib.sha256(repr((result.schedule, result.steps, result.switches, log)).encode()).hexdigest()[:16]


@pytest.mark.parametrize("seed", GOLDEN)
def test_golden_runs(seed: int, carrier: Carrier) -> None:
    """P-17: a seed names one run, whatever the carrier, the Python version and the system."""
    assert digest(*run_mixed(seed=seed, carrier=carrier, context_switch_cost=0.00001)) == GOLDEN[seed]


def test_the_same_seed_twice(carrier: Carrier) -> None:
    """P-17, with everything that the result tells."""
    first, second = (run_mixed(seed=3, carrier=carrier) for _ in range(2))
    assert first == second


def test_seeds_differ() -> None:
    """A seed decides something: ten of them give more than one order of events."""
    assert len({digest(*run_mixed(seed=seed)) for seed in range(10)}) > 5


@pytest.mark.parametrize("preemption", Preemption)
@pytest.mark.parametrize("processors", [1, 2, 8])
def test_replay(preemption: Preemption, processors: int, carrier: Carrier) -> None:
    """The recorded schedule, without the seed, is the same run."""
    options: dict[str, Any] = {"processors": processors, "preemption": preemption, "carrier": carrier}
    result, log = run_mixed(seed=11, **options)
    again = run_mixed(seed=11, scheduler=ReplayScheduler(result.schedule), **options)
    assert again == (result, log)


@pytest.mark.parametrize("scheduler", [SteadyScheduler(), RoundRobinScheduler()])
def test_schedulers_can_be_used_again(scheduler: Scheduler) -> None:
    """A simulation begins its scheduler anew."""
    assert run_mixed(scheduler=scheduler) == run_mixed(scheduler=scheduler)


def test_a_schedule_of_another_program_is_refused() -> None:
    """The message says which choice does not fit."""
    with pytest.raises(ScheduleMismatch, match=r"choice 1 of the schedule takes option 99"):
        run_mixed(scheduler=ReplayScheduler([99]))


def test_a_schedule_that_ends_early_goes_on_steadily() -> None:
    """A prefix is a schedule too: what explorers start from."""
    result, _ = run_mixed(seed=5)
    prefix = result.schedule[:10]
    again, _ = run_mixed(scheduler=ReplayScheduler(prefix))
    assert again.schedule[:10] == prefix


def test_distributions_are_the_same_everywhere() -> None:
    """Latencies are made of `random()`, the four operations and `sqrt` only: their digits are fixed."""
    random = Random(1)
    drawn = [each.draw(random) for each in (Uniform(1, 2), Exponential(2), LogNormal(1, 0.5)) for _ in range(3)]
    assert [each.hex() for each in drawn] == DRAWN


DRAWN = [
    "0x1.2265b1f236eb0p+0",
    "0x1.d8f16ad9ac27cp+0",
    "0x1.c386bbc204f8ap+0",
    "0x1.2d87e587ad877p-1",
    "0x1.5e3cf3ce5bfb8p+0",
    "0x1.319e763251eaep+0",
    "0x1.5aeaf8bcc9dc4p+0",
    "0x1.d3fec77e31c6bp+0",
    "0x1.9e30e7c0a4c2ap-1",
]
