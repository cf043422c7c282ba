"""The 37 queue scenarios of semantics.md 12.2, played row by row; every column of every row is compared.

Each is played twice where a thread "blocks on something else": blocked on something outside the kernel, and in a wait
for a kernel object.  The port must not know the difference (Q-23).
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.rules.k_scenarios import SCENARIOS, Scenario
from tests.rules.world import Blocking, World


def play(scenario: Scenario, blocking: Blocking = Blocking.OUTSIDE) -> None:
    """Play every row; an unexpected cell is reported with the number of its row."""
    limits: dict[str, Any] = dict(scenario.limits)
    world = World(processors=scenario.processors, blocking=blocking, **limits)
    for number, step in enumerate(scenario.steps, start=1):
        try:
            world.step(*step)
        except AssertionError as mismatch:
            raise AssertionError(f"{scenario.id} ({scenario.title}) row {number}: {mismatch}") from mismatch


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_scenario(scenario: Scenario) -> None:
    """Every row of the table has the outcome, count, runnable threads, waiters and queue that the law says."""
    play(scenario)


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if "blocks on something else" in scenario.table],
    ids=lambda scenario: scenario.id,
)
def test_scenario_with_a_wait_for_an_event(scenario: Scenario) -> None:
    """Q-23: the same rows when the thread blocks in a wait of the kernel's own."""
    play(scenario, Blocking.EVENT)


def test_all_scenarios_are_here() -> None:
    """The law has 37 of them: K-01 to K-36, with K-32 as a and b, in this order."""
    ids = [scenario.id for scenario in SCENARIOS]
    numbers = [f"{number:02}" for number in range(1, 37)]
    expected = [f"K-{each}" for number in numbers for each in ([number] if number != "32" else ["32a", "32b"])]
    assert ids == expected


def test_every_row_has_six_cells_and_a_known_rule() -> None:
    """The data are well formed: six cells in each row, and rules of the law at each scenario."""
    for scenario in SCENARIOS:
        assert scenario.steps
        assert all(len(line.split("|")) == 6 for line in scenario.table.strip().splitlines())
        assert all(re.fullmatch(r"[A-Z]-\d\d", rule) for rule in scenario.rules.split(", "))


def test_a_wrong_cell_is_reported() -> None:
    """The comparison can fail: a row with one wrong cell does not pass, and the report names the cell."""
    world = World()
    with pytest.raises(AssertionError, match=r"waiters +expected 'T2', found 'T1'"):
        world.step("T1: get(P)", "T1 parks", "0/1", "-", "T2", "-")
