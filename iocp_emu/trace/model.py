"""What a trace is: who took part, which packets there were, and what happened, step by step.

Theory.  Two kinds of things happen.  A `PortStep` is one step of one port's scheduler, with the reason by which it took
that course and the counts that it left.  A `ThreadChange` says that a thread runs, waits for a processor, is parked,
blocked or suspended, or has ended.  Nothing else is kept: which packets are queued, who waits in which order and who
holds what follows from the events, and `state` derives it.

In a simulation a thread runs on a numbered processor, and times are virtual.  On real threads the operating system
decides who has a processor, and tells nobody: there `RUNNING` means "runs, or could".

Own rules.  Pure data: no event refers to a living object, names are unique within a trace, events are numbered from 1
without gaps and times never go back.  What a step causes comes after it: first "parks", then "is parked".
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..kernel.queue import UNLIMITED
from .reasons import Reason

BRIEF_KEY = 14
"""How many characters of a key brief texts show."""

BRIEF_PACKETS = 4
"""How many packets brief texts name."""


class Engine(enum.Enum):
    """What ran the program."""

    SIMULATION = "simulation"
    THREADS = "threads"


class Activity(enum.Enum):
    """What a thread does; the value is the word for it."""

    RUNNING = "running"
    READY = "ready"
    PARKED = "parked"
    BLOCKED = "blocked"
    SUSPENDED = "suspended"
    ENDED = "ended"


ACTIVITY_SENTENCES = {
    Activity.RUNNING: "{thread} runs.",
    Activity.READY: "{thread} could run, and waits for a processor.",
    Activity.PARKED: "{thread} is parked: it waits in a dequeue call.",
    Activity.BLOCKED: "{thread} is blocked: it waits for something other than its port.",
    Activity.SUSPENDED: "{thread} is suspended.",
    Activity.ENDED: "{thread} has ended.",
}
"""What a `ThreadChange` says in words."""

ON_PROCESSOR_SENTENCE = "{thread} runs on processor {processor}."


@dataclass(slots=True, frozen=True)
class TracePacket:
    """A completion packet: its `number` (from 1, in order of arrival), and what it carries, as text.

    `key` is the completion key.  `bytes` is the count, `error` the Win32 error code or 0, `origin` where it came from:
    "posted", "I/O", "job" or "wait packet".
    """

    number: int
    key: str
    bytes: int = 0
    error: int = 0
    origin: str = "posted"


@dataclass(slots=True, frozen=True)
class PortStep:
    """One step of the scheduler of port number `port`, and the counts after it.

    `thread` is whom it happened to (None where a packet is only queued), `by` who called (None for a device or a
    clock), `packets` the numbers of those concerned, oldest first.  `active` threads are counted against `limit`,
    `depth` packets are queued, `waiting` threads are parked.  `cause` is the number of the step that a release followed
    from.
    """

    number: int
    time_seconds: float
    reason: Reason
    port: int
    thread: str | None
    by: str | None
    packets: tuple[int, ...]
    active: int
    limit: int
    depth: int
    waiting: int
    cause: int | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of the rules that acted."""
        return self.reason.rules


@dataclass(slots=True, frozen=True)
class ThreadChange:
    """From here on `thread` does something else; `processor` counts from 0, None where it is not known or none."""

    number: int
    time_seconds: float
    thread: str
    activity: Activity
    processor: int | None = None


TraceEvent: TypeAlias = "PortStep | ThreadChange"


@dataclass(slots=True)
class Trace:
    """A recording.

    `processors` is their number in a simulation, else None.  `threads` are names in the order in which they appeared,
    `ports` the limits by port number, `packets` in order of arrival: packet n is `packets[n - 1]`.  A notebook shows it
    as a page that can be stepped through.
    """

    title: str
    engine: Engine
    processors: int | None = None
    threads: list[str] = field(default_factory=list[str])
    ports: dict[int, int] = field(default_factory=dict[int, int])
    packets: list[TracePacket] = field(default_factory=list[TracePacket])
    events: list[TraceEvent] = field(default_factory=list["TraceEvent"])

    @property
    def steps(self) -> list[PortStep]:
        """The steps of ports alone.  O(events)."""
        return [event for event in self.events if isinstance(event, PortStep)]

    @property
    def seconds(self) -> float:
        """The time of the last event; 0.0 when there is none."""
        return self.events[-1].time_seconds if self.events else 0.0

    def explain(self, number: int) -> str:
        """Event `number` (1 or more) in words.  Raises `IndexError` when there is none.  O(1)."""
        if not 1 <= number <= len(self.events):
            raise IndexError(f"event {number}: this trace has the events 1 to {len(self.events)}")
        return explain(self, self.events[number - 1])

    def _repr_html_(self) -> str:
        from .html import notebook_html

        return notebook_html(self)


def limit_text(limit: int) -> str:
    """A limit for readers: profiles that ignore the concurrency value have none."""
    return "any number" if limit >= UNLIMITED else str(limit)


def explain(trace: Trace, event: TraceEvent) -> str:
    """What happened and why, as a sentence or two.  O(packets)."""
    return _fill(trace, event, event.reason.sentence if isinstance(event, PortStep) else "")


def brief(trace: Trace, event: TraceEvent) -> str:
    """What happened, in a few words.  O(packets)."""
    return _fill(trace, event, event.reason.brief if isinstance(event, PortStep) else "")


def _fill(trace: Trace, event: TraceEvent, template: str) -> str:
    if isinstance(event, ThreadChange):
        template = ACTIVITY_SENTENCES[event.activity] if event.processor is None else ON_PROCESSOR_SENTENCE
        return template.format(thread=event.thread, processor=event.processor)
    return template.format(
        port=event.port,
        thread=event.thread,
        by=event.by or "the system",
        packets=packets_text(trace, event.packets),
        short=packets_brief(trace, event.packets),
        active=event.active,
        limit=limit_text(event.limit),
        depth=event.depth,
        waiting=event.waiting,
        cause=event.cause or 0,
    )


def packets_text(trace: Trace, numbers: Sequence[int]) -> str:
    """The packets with these numbers, for readers.

    >>> trace = Trace("", Engine.THREADS, packets=[TracePacket(1, "'a'"), TracePacket(2, "7")])
    >>> packets_text(trace, [1]), packets_text(trace, [1, 2]), packets_text(trace, [])
    ("packet 1 (key 'a')", 'packets 1, 2', 'no packet')
    """
    if len(numbers) == 1:
        return f"packet {numbers[0]} (key {trace.packets[numbers[0] - 1].key})"
    return f"packets {', '.join(map(str, numbers))}" if numbers else "no packet"


def packets_brief(trace: Trace, numbers: Sequence[int]) -> str:
    """The same in a few characters.

    >>> trace = Trace("", Engine.THREADS, packets=[TracePacket(1, "'a'"), TracePacket(2, "7")])
    >>> packets_brief(trace, [1]), packets_brief(trace, [1, 2])
    ("#1 'a'", '#1 #2')
    """
    if len(numbers) == 1:
        key = trace.packets[numbers[0] - 1].key
        key = key if len(key) <= BRIEF_KEY else f"{key[: BRIEF_KEY - 2]}.."
        return f"#{numbers[0]} {key}" if key.startswith(("'", '"', "<")) else f"#{numbers[0]} key {key}"
    if len(numbers) > BRIEF_PACKETS:
        return f"#{numbers[0]} and {len(numbers) - 1} more"
    return " ".join(f"#{number}" for number in numbers) or "none"
