"""`PortMachine`: a correct pool passes, broken ones are found; each is as a user would write it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from iocp_emu.testing.calls import Block, Compute, Get, Post, Worker
from iocp_emu.testing.machine import PoolFailure, PortMachine

STOP = "stop"


class CorrectPool(PortMachine):
    """Each worker ends with a stop packet of its own."""

    def worker(self, number: int) -> Worker:
        while (packet := (yield Get())).key != STOP:
            yield Block()
            self.handled(packet.key)

    def stop(self) -> None:
        for _ in range(self.workers):
            self.post(STOP)


class PatientPool(CorrectPool):
    """Also right: calls have timeouts, and one stop packet is passed on from worker to worker."""

    def worker(self, number: int) -> Worker:
        while True:
            packet = yield Get(timeout=1.0)
            if packet is None:
                continue
            if packet.key == STOP:
                yield Post(STOP)
                return
            yield Compute()
            self.handled(packet.key)

    def stop(self) -> None:
        self.post(STOP)


class StopsEatenByOneWorker(CorrectPool):
    """A worker that does not end at once takes a second stop packet, which another one needs."""

    def worker(self, number: int) -> Worker:
        stops = 0
        while not stops:
            packet = yield Get()
            if packet.key == STOP:
                stops += 1
                second = yield Get(timeout=0)  # to see whether there is work left
                if second is not None and second.key != STOP:
                    self.handled(second.key)
            else:
                self.handled(packet.key)


class OneStopForAll(CorrectPool):
    """One stop packet, and nobody passes it on."""

    def stop(self) -> None:
        self.post(STOP)


class GivesUpAfterATimeout(CorrectPool):
    """A worker that has waited in vain ends; jobs that come later are left."""

    def worker(self, number: int) -> Worker:
        while (packet := (yield Get(timeout=1.0))) is not None and packet.key != STOP:
            self.handled(packet.key)


class HandlesTwice(CorrectPool):
    """A job that blocked is posted again, and done both times."""

    def worker(self, number: int) -> Worker:
        while (packet := (yield Get())).key != STOP:
            yield Block()
            if len(self.jobs) > 1:
                yield Post(packet.key)
            self.handled(packet.key)


class NeverEnds(CorrectPool):
    """A worker that puts stop packets back and goes on."""

    steps_to_stop = 200

    def worker(self, number: int) -> Worker:
        while True:
            packet = yield Get()
            yield Post(packet.key)


class YieldsNonsense(CorrectPool):
    """Not a call."""

    def worker(self, number: int) -> Worker:
        yield "get"  # type: ignore[misc]


def run(pool: type[PortMachine], examples: int = 60) -> None:
    """As `TestCase` does, within a budget, and without looking for a smaller example."""
    run_state_machine_as_test(
        pool,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.mark.parametrize("pool", [CorrectPool, PatientPool])
def test_right_pools_pass(pool: type[PortMachine]) -> None:
    """Nothing is found."""
    run(pool)


@pytest.mark.parametrize(
    ("pool", "verdict"),
    [
        (StopsEatenByOneWorker, "never ended: worker"),
        (OneStopForAll, "never ended: worker"),
        (GivesUpAfterATimeout, "never handled"),
        (HandlesTwice, "was handled 2 times"),
        (NeverEnds, "still runs 200 calls after"),
    ],
)
def test_broken_pools_are_found(pool: type[PortMachine], verdict: str) -> None:
    """Within 60 examples, with the verdict in words."""
    with pytest.raises(PoolFailure, match=verdict):
        run(pool)


def test_nonsense_is_named() -> None:
    """A worker that yields anything but calls, and a machine without a worker."""
    with pytest.raises(TypeError, match="a worker yields calls, not 'get'"):
        run(YieldsNonsense, examples=20)
    with pytest.raises(NotImplementedError, match="needs a worker"):
        PortMachine()
