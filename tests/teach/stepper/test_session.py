"""A stepping session: choosing, going back, forking, comparing, running on; what a moment shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu.runtime.schedulers import ScheduleMismatch
from iocp_emu.teach.stepper.moments import Moment, Standing
from iocp_emu.teach.stepper.session import Session, StepperError
from iocp_emu.testing import replay
from iocp_emu.testing.runs import FailureKind, Plan, Sharing
from tests.teach.stepper.programs import lost_update, pool, stuck

KERNEL = Sharing.KERNEL_OBJECTS


def pool_session(choices: str = "") -> Session:
    """The pool, after these choices."""
    session = Session(Plan(pool, sharing=KERNEL))
    for number in choices.split():
        session.choose(int(number))
    return session


def threads(moment: Moment) -> dict[str, Standing]:
    """Each thread's standing by its name."""
    return {thread.name: thread.standing for thread in moment.threads}


def test_q12_a_moment_shows_who_is_parked() -> None:
    """Q-12: after its first call the worker is parked on top, and the count is 0."""
    session = pool_session()
    while threads(session.moment).get("one") is not Standing.PARKED:
        words = [option.words for option in session.moment.options]
        session.choose(next(place for place, each in enumerate(words, 1) if each.startswith("one: ")))
    port = session.moment.ports[0]
    assert (port.active, port.limit, port.waiters, port.packets) == (0, 1, ("one",), ())
    first = next(row for row in session.moment.rows if row.outcome == "parks")
    assert first.rules == ("Q-11", "Q-12", "Q-20", "A-01")


def test_options_are_those_who_can_run() -> None:
    """The first option is who runs anyway; each says who and what."""
    session = pool_session("1")
    words = [option.words for option in session.moment.options]
    assert words[0].startswith("main: ")
    assert "one: start" in words


def test_back_is_where_one_was() -> None:
    """A choice taken back leaves the very moment that was there before."""
    session = pool_session("2 1")
    before = session.moment
    session.choose(2)
    assert session.moment != before
    session.back()
    assert session.moment == before
    session.back(100)
    assert session.moment.ranks == ()


def test_forks_part_and_stay() -> None:
    """What is chosen on one branch changes nothing on another."""
    session = pool_session("1 2")
    start = session.moment
    session.fork("other")
    session.choose(2)
    there = session.moment
    session.switch("main")
    assert session.moment == start
    session.choose(1)
    difference = session.compare("other")
    assert difference.first is not None
    assert difference.pairs[: difference.first] == tuple((row, row) for row in start.rows[: difference.first])
    session.switch("other")
    assert session.moment == there


@pytest.mark.parametrize("strategy", [None, "random", "round-robin", "pct", "pos"])
def test_run_on_reaches_an_end(strategy: str | None) -> None:
    """Every strategy brings the run to its end, the same for the same seed."""
    first, second = pool_session("2 1"), pool_session("2 1")
    first.run_on(strategy, 5)
    second.run_on(strategy, 5)
    assert first.moment == second.moment
    assert first.moment.ranks[:2] == (1, 0)
    assert first.moment.run is not None
    assert first.moment.run.failure is None
    assert set(threads(first.moment).values()) == {Standing.ENDED}


def test_a_failure_is_found_by_hand_and_replayed() -> None:
    """The lost update needs one choice against the order; its schedule fails in `replay` as well."""
    session = Session(Plan(lost_update))
    while session.moment.run is None:
        words = [option.words for option in session.moment.options]
        stopped = [place for place, each in enumerate(words, 1) if each.startswith("writer: go on")]
        others = [place for place, each in enumerate(words, 1) if each.startswith("writer-2: ")]
        session.choose(others[0] if stopped and others else 1)
    assert session.moment.run.failure is not None
    assert session.moment.run.failure.kind is FailureKind.ASSERTION
    failure = replay(lost_update, str(session.schedule))
    assert failure is not None
    assert failure.kind is FailureKind.ASSERTION


def test_a_deadlock_is_an_end() -> None:
    """A run that is stuck ends, with the reason; nothing can be chosen any more."""
    session = Session(Plan(stuck))
    session.run_on()
    assert session.moment.run is not None
    assert session.moment.run.failure is not None
    assert session.moment.run.failure.kind is FailureKind.DEADLOCK
    with pytest.raises(StepperError, match="the run has ended"):
        session.choose(1)


def test_what_cannot_be_done_changes_nothing() -> None:
    """Each refusal says what is wrong and leaves branches and moment as they were."""
    session = pool_session("1")
    before = (dict(session.branches), session.branch, session.moment)
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: session.choose(9), "choose a number from 1 to 2, not 9"),
        (lambda: session.choose(0), "choose a number from 1 to 2, not 0"),
        (lambda: session.go_to(5), "choices 0 to 1, not 5"),
        (lambda: session.fork("main"), "a branch 'main' already"),
        (lambda: session.fork("a b"), "letters and digits"),
        (lambda: session.switch("nowhere"), "no branch 'nowhere': known are main"),
        (lambda: session.compare("nowhere"), "no branch 'nowhere'"),
        (lambda: session.run_on("fair"), "no strategy 'fair': known are random, round-robin, pct, pos"),
    ]
    for attempt, message in refused:
        with pytest.raises(StepperError, match=message):
            attempt()
        assert (dict(session.branches), session.branch, session.moment) == before
    session.back()
    with pytest.raises(StepperError, match="nothing to take back"):
        session.back()


def test_ranks_of_another_program_are_refused() -> None:
    """Choices that the program does not offer are a mismatch, not a wrong picture."""
    with pytest.raises(ScheduleMismatch):
        Session(Plan(pool, sharing=KERNEL), (7,))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12))
def test_p17_a_session_is_what_its_choices_say(numbers: list[int]) -> None:
    """P-17: choosing step by step and opening with all the choices give the same moment."""
    session = pool_session()
    for number in numbers:
        if session.moment.run is not None:
            break
        session.choose(number % len(session.moment.options) + 1)
    again = Session(session.plan, session.branches["main"])
    assert again.moment == session.moment
