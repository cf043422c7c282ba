"""The zoo of broken programs: each is found, told well and can be replayed; of the right ones nothing is said."""

from __future__ import annotations

import pytest

from iocp_emu.testing import FailureKind, StopReason, explore, replay
from tests.explore.zoo import endless, races
from tests.explore.zoo.catalogue import SPECIMENS, Specimen

CASES = [
    pytest.param(specimen, strategy, budget, id=f"{specimen.name}-{strategy}")
    for specimen in SPECIMENS
    for strategy, budget in specimen.strategies.items()
]


def test_the_zoo_is_large() -> None:
    """At least twenty kinds of broken programs, all different."""
    assert len({specimen.name for specimen in SPECIMENS}) == len(SPECIMENS) >= 28


@pytest.mark.parametrize(("specimen", "strategy", "budget"), CASES)
def test_a_broken_program_is_found(specimen: Specimen, strategy: str, budget: int) -> None:
    """By each named strategy within its budget, with the right verdict and words; the text replays the same."""
    # Shrinking takes most of the time, so it is done for one strategy of each.
    steps = 1000 if strategy == "exhaustive" else 0
    found = explore(
        specimen.program, strategy=strategy, schedules=budget, parameters=specimen.parameters, shrink_steps=steps
    )
    failure = found.failure
    assert failure is not None, found.headline
    assert failure.kind is specimen.kind
    if not steps:
        return
    assert [word for word in specimen.words if word not in str(found)] == []
    if specimen.preemptions is not None:
        assert failure.preemptions <= specimen.preemptions
    again = replay(specimen.program, failure.schedule)
    assert again is not None
    assert (again.verdict, again.table) == (failure.verdict, failure.table)


RIGHT = {specimen.right.__name__: specimen.right for specimen in SPECIMENS if specimen.right is not None}


@pytest.mark.parametrize(("strategy", "schedules"), [("random", 15), ("exhaustive", 10)])
@pytest.mark.parametrize("name", RIGHT)
def test_of_a_right_program_nothing_is_said(name: str, strategy: str, schedules: int) -> None:
    """A short look brings nothing; a long one is among the slow tests."""
    explore(RIGHT[name], strategy=strategy, schedules=schedules).assert_ok()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "round-robin", "pct", "pos", "exhaustive"])
@pytest.mark.parametrize("name", RIGHT)
def test_of_a_right_program_nothing_is_said_for_long(name: str, strategy: str) -> None:
    """Nor a larger one."""
    explore(RIGHT[name], strategy=strategy, schedules=1500).assert_ok()


def test_what_should_happen_sometimes_and_never_does() -> None:
    """A pool that was meant to work side by side is found although no run fails."""
    found = explore(endless.never_together, schedules=50)
    assert not found.ok
    assert found.failure is None
    assert found.verdict == "never happened: sometimes two work at the same time"
    assert explore(endless.never_together_right, schedules=50).ok


def test_a_program_that_remembers_its_runs() -> None:
    """P-17: the second run of a failure goes another way, and that is the verdict."""
    found = explore(endless.remembers_runs)
    assert found.failure is not None
    assert found.failure.kind is FailureKind.NONDETERMINISM
    assert "the same choices gave failed assertion (AssertionError: every other time" in found.failure.message


def test_every_schedule_of_a_small_right_program() -> None:
    """Within no bound at all: nothing is left to be tried."""
    found = explore(races.signals_merge_right, strategy="exhaustive", schedules=None)
    assert found.stop is StopReason.COMPLETE
    assert found.verdict == "nothing found: every schedule has been tried"
