"""The catalogue of the zoo: what is wrong with each program, who finds it in how many runs, what the report says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iocp_emu.testing.runs import FailureKind
from tests.explore.zoo import devices, endless, pools, races

EVERY = {"random": 100, "pct": 100, "pos": 100, "exhaustive": 200}

ENDLESS = {"random": 20, "exhaustive": 20}
"""Runs without an end are long."""


@dataclass(frozen=True)
class Specimen:
    """A broken program; `strategies` find it within so many runs; the report has all of `words`."""

    program: Callable[..., object]
    right: Callable[..., object] | None
    kind: FailureKind
    words: tuple[str, ...] = ()
    strategies: dict[str, int] = field(default_factory=lambda: dict(EVERY))
    preemptions: int | None = None
    parameters: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def name(self) -> str:
        """What is wrong."""
        return self.program.__name__


SPECIMENS = (
    Specimen(
        pools.stop_eaten, pools.stop_eaten_right, FailureKind.DEADLOCK, ("Q-11", "nobody is left who could post")
    ),
    Specimen(
        pools.forgotten_stop,
        pools.stop_eaten_right,
        FailureKind.DEADLOCK,
        ("Q-11", "forgotten_stop workers=1"),
        parameters={"workers": 3},
    ),
    Specimen(pools.closed_before_drained, pools.closed_before_drained_right, FailureKind.ASSERTION, ("len(done)",)),
    Specimen(pools.waits_inside, pools.waits_inside_right, FailureKind.DEADLOCK, ("Q-23", "event")),
    Specimen(pools.nested_get, pools.nested_get_right, FailureKind.PROPERTY, ("one job at a time", "Q-15")),
    Specimen(pools.tells_everybody, pools.tells_everybody_right, FailureKind.ASSERTION, ("len(told)",)),
    Specimen(pools.limit_assumed, pools.limit_assumed_right, FailureKind.PROPERTY, ("at most one worker is active",)),
    Specimen(pools.closed_in_a_get, pools.closed_in_a_get_right, FailureKind.EXCEPTION, ("PortClosed",)),
    Specimen(
        pools.posts_after_close, pools.posts_after_close_right, FailureKind.EXCEPTION, ("of producer", "PortClosed")
    ),
    Specimen(
        pools.dies_with_the_job,
        pools.dies_with_the_job_right,
        FailureKind.EXCEPTION,
        ("ZeroDivisionError", "nothing can ever run again"),
    ),
    Specimen(races.lost_update, races.lost_update_right, FailureKind.ASSERTION, ("total == writers",), preemptions=1),
    Specimen(races.check_then_act, races.check_then_act_right, FailureKind.DEADLOCK, ("Q-11",), preemptions=1),
    Specimen(races.order_assumed, races.order_assumed_right, FailureKind.ASSERTION, ("first",), preemptions=1),
    Specimen(races.published_late, races.published_late_right, FailureKind.ASSERTION, ("42",), preemptions=1),
    Specimen(races.lost_on_timeout, races.lost_on_timeout_right, FailureKind.ASSERTION, ("just in time",)),
    Specimen(
        races.signals_merge, races.signals_merge_right, FailureKind.LOST_WAKEUP, ("set again while it was set", "Q-23")
    ),
    Specimen(races.reset_too_late, races.reset_too_late_right, FailureKind.LOST_WAKEUP, ("reset before anybody",)),
    Specimen(races.abba_events, races.abba_events_right, FailureKind.DEADLOCK, ("Q-23",), preemptions=1),
    Specimen(
        races.abba_mutexes,
        races.abba_mutexes_right,
        FailureKind.DEADLOCK,
        ("in a circle: one -> other -> one", "Q-23"),
        preemptions=1,
    ),
    Specimen(races.leaky_queue, races.leaky_queue_right, FailureKind.NOT_LINEARIZABLE, ("get() -> 1",)),
    Specimen(endless.hidden_wait, endless.hidden_wait_right, FailureKind.STARVATION, ("Q-13", "for ever"), ENDLESS),
    Specimen(
        endless.addressed_packets,
        endless.addressed_packets_right,
        FailureKind.STARVATION,
        ("steps of left repeat for ever", "right waits for port 1"),
        ENDLESS,
    ),
    Specimen(
        endless.polling_consumer, endless.polling_consumer_right, FailureKind.LIVELOCK, ("main repeat",), ENDLESS
    ),
    Specimen(endless.heartbeat, endless.heartbeat_right, FailureKind.LIVELOCK, ("beat",), ENDLESS),
    Specimen(
        endless.never_answers,
        endless.never_answers_right,
        FailureKind.PROPERTY,
        ("eventually the request is answered",),
    ),
    Specimen(devices.handled_twice, devices.handled_twice_right, FailureKind.ASSERTION, ("handled == 1",)),
    Specimen(devices.short_read_ignored, devices.short_read_ignored_right, FailureKind.ASSERTION, ("bytes == 8",)),
    Specimen(
        devices.completion_order_assumed, devices.completion_order_assumed_right, FailureKind.ASSERTION, ("tag",)
    ),
    Specimen(devices.failure_ignored, devices.failure_ignored_right, FailureKind.ASSERTION, ("a read failed",)),
    Specimen(devices.cancel_believed, devices.cancel_believed_right, FailureKind.ASSERTION, ("has succeeded",)),
)
