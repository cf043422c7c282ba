"""Traces in Chrome's JSON format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

Theory.  Three groups of tracks.  "threads": a track per thread with a slice for each thing that it does, and a mark
for each step that happened to it, with the rules and the sentence.  "processors" (of a simulation): who ran there.
For each port a group with four counters: packets queued, threads parked, threads counted, and the limit.  An arrow
leads from whoever brought a packet to whoever received it.

Own rules.  Times are microseconds.  Events stand in the order in which they happened, so that of two at the same time
the first one is drawn first: slices are begun and ended (B and E) rather than given with a duration.  Every slice that
is begun is ended, by the end of the trace at the latest.  An arrow that begins ends, too: packets that nobody received
have none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from .model import Activity, PortStep, ThreadChange, Trace, brief, explain, packets_brief
from .recorder import DELIVERIES, EventKind
from .text import describe

THREADS, PROCESSORS, FIRST_PORT = 1, 2, 100
"""Process ids of the groups; port n has `FIRST_PORT + n`."""

SYSTEM, FIRST_LANE = 10, 11
"""Thread ids: of whatever is no thread (devices, clocks, code outside), and of the first thread or processor.

None is the id of its group: Perfetto would take it for the main thread of a process.
"""

_COLOURS = {
    Activity.RUNNING: "thread_state_running",
    Activity.READY: "thread_state_runnable",
    Activity.PARKED: "thread_state_sleeping",
    Activity.BLOCKED: "thread_state_iowait",
    Activity.SUSPENDED: "thread_state_unknown",
}

ChromeEvent = dict[str, Any]


def chrome_trace(trace: Trace) -> dict[str, Any]:
    """The document, ready for `json.dumps`.  O(events)."""
    return {
        "displayTimeUnit": "ns",
        "otherData": {"title": trace.title, "recorded": describe(trace)},
        "traceEvents": list(_Writer(trace).events()),
    }


def write_chrome(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write the document to `path`, over what is there.  Raises `OSError`."""
    with open(path, "w", encoding="ascii", newline="\n") as file:
        json.dump(chrome_trace(trace), file, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        file.write("\n")


class _Writer:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.tids = {name: tid for tid, name in enumerate(trace.threads, FIRST_LANE)}
        self.open_slices: dict[str, Activity] = {}
        self.on_processor: dict[str, int] = {}
        self.received = {
            number
            for event in trace.steps
            if event.reason.kind in DELIVERIES and event.thread is not None
            for number in event.packets
        }
        self.begun: set[int] = set()

    def events(self) -> Iterator[ChromeEvent]:
        yield from self._names()
        for event in self.trace.events:
            time = _microseconds(event.time_seconds)
            if isinstance(event, ThreadChange):
                yield from self._change(event, time)
            else:
                yield from self._step(event, time)
        yield from self._end(_microseconds(self.trace.seconds))

    def _names(self) -> Iterator[ChromeEvent]:
        yield from _process(THREADS, "threads", 0)
        yield _named("thread_name", THREADS, SYSTEM, {"name": "devices and code outside"})
        for name, tid in self.tids.items():
            yield _named("thread_name", THREADS, tid, {"name": name})
            yield _named("thread_sort_index", THREADS, tid, {"sort_index": tid})
        if self.trace.processors is not None:
            yield from _process(PROCESSORS, "processors", 1)
            for number in range(self.trace.processors):
                tid = FIRST_LANE + number
                yield _named("thread_name", PROCESSORS, tid, {"name": f"processor {number}"})
                yield _named("thread_sort_index", PROCESSORS, tid, {"sort_index": tid})
        for port in sorted(self.trace.ports):
            yield from _process(FIRST_PORT + port, f"port {port}", 1 + port)

    def _change(self, event: ThreadChange, time: float) -> Iterator[ChromeEvent]:
        name = event.thread
        yield from self._close(name, time)
        if event.activity is Activity.ENDED:
            return
        self.open_slices[name] = event.activity
        args: dict[str, Any] = {"event": event.number}
        slice_ = {"name": event.activity.value, "cat": "thread", "cname": _COLOURS[event.activity], "args": args}
        yield {"ph": "B", "ts": time, "pid": THREADS, "tid": self.tids[name], **slice_}
        if event.processor is not None:
            self.on_processor[name] = event.processor
            yield {
                "ph": "B",
                "ts": time,
                "pid": PROCESSORS,
                "tid": FIRST_LANE + event.processor,
                "name": name,
                "cat": "processor",
                "args": args,
            }

    def _close(self, name: str, time: float) -> Iterator[ChromeEvent]:
        if self.open_slices.pop(name, None) is not None:
            yield {"ph": "E", "ts": time, "pid": THREADS, "tid": self.tids[name]}
        processor = self.on_processor.pop(name, None)
        if processor is not None:
            yield {"ph": "E", "ts": time, "pid": PROCESSORS, "tid": FIRST_LANE + processor}

    def _step(self, event: PortStep, time: float) -> Iterator[ChromeEvent]:
        track = {"pid": THREADS, "tid": self.tids.get(event.thread or event.by or "", SYSTEM)}
        args = {
            "event": event.number,
            "why": explain(self.trace, event),
            "rules": ", ".join(event.rules),
            "port": event.port,
        }
        yield {"ph": "i", "s": "t", "ts": time, **track, "name": brief(self.trace, event), "cat": "port", "args": args}
        yield from self._arrows(event, time)
        counters = {"queued": event.depth, "parked": event.waiting, "counted": event.active, "limit": event.limit}
        for name, value in counters.items():
            if name != "limit" or event.limit < 1 << 32:
                yield {
                    "ph": "C",
                    "ts": time,
                    "pid": FIRST_PORT + event.port,
                    "tid": 0,
                    "name": name,
                    "args": {name: value},
                }

    def _arrows(self, event: PortStep, time: float) -> Iterator[ChromeEvent]:
        """An arrow begins where its packet first comes in, and ends at its first delivery."""
        if event.reason.kind in (EventKind.QUEUED, EventKind.HANDED_OVER):
            for number in event.packets:
                if number in self.received and number not in self.begun:
                    self.begun.add(number)
                    yield self._arrow("s", number, event.by, time)
        if event.reason.kind in DELIVERIES:
            for number in event.packets:
                if number in self.received and number in self.begun:
                    self.received.discard(number)
                    yield {**self._arrow("f", number, event.thread, time), "bp": "e"}

    def _arrow(self, phase: str, number: int, thread: str | None, time: float) -> ChromeEvent:
        return {
            "ph": phase,
            "id": number,
            "ts": time,
            "pid": THREADS,
            "tid": self.tids.get(thread or "", SYSTEM),
            "name": packets_brief(self.trace, [number]),
            "cat": "packet",
        }

    def _end(self, time: float) -> Iterator[ChromeEvent]:
        for name in list(self.open_slices):
            yield from self._close(name, time)


def _microseconds(seconds: float) -> float:
    """To the nanosecond."""
    return round(seconds * 1e6, 3)


def _process(pid: int, name: str, place: int) -> Iterator[ChromeEvent]:
    yield _named("process_name", pid, 0, {"name": name})
    yield _named("process_sort_index", pid, 0, {"sort_index": place})


def _named(what: str, pid: int, tid: int, args: dict[str, Any]) -> ChromeEvent:
    return {"ph": "M", "ts": 0, "pid": pid, "tid": tid, "name": what, "args": args}
