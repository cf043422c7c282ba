"""The kernel and the naive model in lockstep: random histories, everything compared after every verb.

Theory.  The same lockstep is run by three machines: one that may do everything, one that dwells on the queue and its
threads, one that dwells on files and requests.  Each is run as win10, and the whole one as every other system.

Own rules.  Examples are the same in every run (tests/conftest.py).  A failure prints the shortest history found, verb
by verb, and both worlds at its end.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.lockstep import Lockstep
from tests.stateful.rules import FileRules, HandleRules, IllegalRules, QueueRules, WaitRules

OTHER_SYSTEMS = ["win7", "xp", "classic", "wine"]


class WholeMachine(QueueRules, WaitRules, FileRules, HandleRules, IllegalRules):
    """Everything."""


class QueueMachine(QueueRules, WaitRules):
    """Ports, threads and waits."""


class FileMachine(FileRules, HandleRules, QueueRules):
    """Files and requests, with ports to post to and threads to collect."""


def run(machine: type[Lockstep], profile: str, examples: int, steps: int) -> None:
    """Play `examples` histories of at most `steps` rules in a profile."""
    run_state_machine_as_test(
        type(f"{machine.__name__}_{profile}", (machine,), {"profile": profile}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_p01_to_p18_everything_as_the_naive_model_has_it() -> None:
    """P-01 to P-18, Q-02: ports, threads, waits, files, handles and illegal verbs, on win10."""
    run(WholeMachine, "win10", examples=200, steps=50)


def test_p01_to_p18_queue_as_the_naive_model_has_it() -> None:
    """P-01 to P-18, Q-10, Q-11, Q-25: ports, threads and waits, on win10."""
    run(QueueMachine, "win10", examples=160, steps=50)


def test_p15_p16_requests_as_the_naive_model_has_them() -> None:
    """P-15, P-16, I-01 to I-45: files, requests and handles, on win10."""
    run(FileMachine, "win10", examples=160, steps=50)


@pytest.mark.parametrize("profile", OTHER_SYSTEMS)
def test_p01_to_p18_other_systems_as_the_naive_model_has_them(profile: str) -> None:
    """P-01 to P-18, 0.3: everything, in the other systems."""
    run(WholeMachine, profile, examples=70, steps=50)


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["win10", *OTHER_SYSTEMS])
@pytest.mark.parametrize("machine", [WholeMachine, QueueMachine, FileMachine])
def test_p01_to_p18_long_histories(machine: type[Lockstep], profile: str) -> None:
    """P-01 to P-18, 0.3: many more and longer histories."""
    run(machine, profile, examples=1000, steps=100)
