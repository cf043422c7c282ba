"""A schedule's run as a trace."""

from __future__ import annotations

import pytest

from iocp_emu import CompletionPort, spawn
from iocp_emu.kernel.queue import KernelQueue
from iocp_emu.testing import ScheduleTextError, explore, timeline
from iocp_emu.trace import html_page, text_timeline
from iocp_emu.trace.recorder import EventKind
from tests.explore.zoo.races import lost_update


def never_served() -> None:
    """Two workers and one packet: one of them waits for ever."""
    with CompletionPort(1) as port:
        workers = [spawn(port.get, name=name) for name in ("ann", "bob")]
        port.post(key="only one")
        for worker in workers:
            worker.join()


def test_a_failure_becomes_a_page() -> None:
    """The run of the report's schedule, with its threads and packets, as text and as a page."""
    failure = explore(never_served, strategy="pct").failure
    assert failure is not None
    trace = timeline(never_served, failure.schedule)
    assert trace.threads == ["main", "ann", "bob"]
    assert [packet.key for packet in trace.packets] == ["'only one'"]
    assert [step.reason.kind for step in trace.steps].count(EventKind.PARKED) >= 1
    assert "never_served" in html_page(trace)
    assert "only one" in text_timeline(trace)


def test_recording_changes_nothing() -> None:
    """Recording twice gives the same events, and the run fails as it did (P-17)."""
    failure = explore(lost_update, strategy="exhaustive").failure
    assert failure is not None
    first, second = (timeline(lost_update, failure.schedule) for _ in range(2))
    assert first == second
    assert first.events


inserted: list[object] = []


class CountingQueue(KernelQueue[object]):
    """A queue of somebody else."""

    __slots__ = ()

    def insert(self, packet: object, *args: object, **kwargs: object) -> int:
        """As the kernel does; noted."""
        inserted.append(packet)
        return super().insert(packet, *args, **kwargs)  # type: ignore[arg-type]


def test_another_queue_stays_under_the_recorder() -> None:
    """The queue type of the exploration is recorded too."""
    failure = explore(never_served, strategy="pct", queue_type=CountingQueue).failure
    assert failure is not None
    inserted.clear()
    trace = timeline(never_served, failure.schedule, queue_type=CountingQueue)
    assert len(trace.packets) == len(inserted) == 1


def test_a_schedule_of_another_program_is_refused() -> None:
    """As `replay` refuses it."""
    failure = explore(never_served, strategy="pct").failure
    assert failure is not None
    with pytest.raises(ScheduleTextError, match="of the program never_served, not of lost_update"):
        timeline(lost_update, failure.schedule)
