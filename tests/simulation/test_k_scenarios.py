"""The 37 queue scenarios of semantics.md 12.2 as programs of blocking functions in a simulation, cell by cell."""

from __future__ import annotations

import pytest

from iocp_emu import Simulation
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.schedulers import RoundRobinScheduler, Scheduler, SeededScheduler, SteadyScheduler
from tests.rules.k_scenarios import SCENARIOS, Scenario
from tests.simulation.stage import Stage


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_scenario(scenario: Scenario, carrier: Carrier) -> None:
    """Every row has the outcome, count, runnable threads, waiters and queue that the law says."""
    with Simulation(processors=16, carrier=carrier) as simulation:
        Stage(scenario, simulation).run()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
@pytest.mark.parametrize("scheduler", [SeededScheduler(7), SteadyScheduler(), RoundRobinScheduler()])
def test_scenario_under_other_schedulers(scenario: Scenario, scheduler: Scheduler) -> None:
    """Q-10 to Q-36: a table leaves nothing open, so no scheduler makes a difference."""
    with Simulation(processors=16, scheduler=scheduler) as simulation:
        Stage(scenario, simulation).run()


def test_a_wrong_cell_is_found() -> None:
    """The comparison can fail."""
    scenario = Scenario("wrong", "", "Q-12", "T1: get(P) | T1 parks | 1/1 | - | T1 | -", {"P": 1})
    with Simulation(processors=16) as simulation, pytest.raises(AssertionError, match="row 1"):
        Stage(scenario, simulation).run()
