"""Traces as JSON lines, to keep and to hand on; reading gives back what was written.

Theory.  The first line says what the file is and its version, then follow threads, ports, packets and events, each a
line of its own and before the first event that names it, so that a file can be read along; the last line counts the
events, so that one that was cut off is noticed.

    {"iocp_emu_trace": 1, "title": "...", "engine": "simulation", "processors": 2}
    {"thread": "worker"}
    {"port": 1, "limit": 2}
    {"packet": 1, "key": "'hello'", "bytes": 0, "error": 0, "origin": "posted"}
    {"event": 1, "time": 0.0, "reason": "PARKED", "on": 1, "of": "worker", "by": "worker", "packets": [],
     "active": 0, "limit": 2, "depth": 0, "waiting": 1, "cause": null}       (on one line)
    {"event": 2, "time": 0.0, "of": "worker", "activity": "parked", "processor": null}
    {"end": 2}

Own rules.  A file is data: it is parsed, checked field by field, and never executed.  Whatever is wrong with it is a
`TraceFileError` with the line, the column and what was expected.  A line is at most a million characters; lines hold no
deep structures, so a deep one is refused.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from .model import Activity, Engine, PortStep, ThreadChange, Trace, TraceEvent, TracePacket
from .reasons import Reason

VERSION = 1
LONGEST_LINE = 1_000_000
MOST_EVENTS = 10_000_000
LARGEST_NUMBER = 1 << 64

T = TypeVar("T")


class TraceFileError(ValueError):
    """A file that is not a trace, or a damaged one; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int = 1, name: str = "") -> None:
        self.line = line
        self.column = column
        self.message = message
        where = f"{name}, line {line}" if name else f"line {line}"
        super().__init__(f"{where}, column {column}: {message}")


def write_lines(trace: Trace) -> Iterator[str]:
    """The lines of the file, each with its line feed.  O(1) memory."""
    head = {"iocp_emu_trace": VERSION, "title": trace.title, "engine": trace.engine.value}
    yield _line({**head, "processors": trace.processors})
    yield from (_line({"thread": name}) for name in trace.threads)
    yield from (_line({"port": port, "limit": limit}) for port, limit in trace.ports.items())
    packets = 0
    for event in trace.events:
        if isinstance(event, PortStep) and event.packets:
            for packet in trace.packets[packets : max(event.packets)]:
                yield _packet_line(packet)
            packets = max(packets, *event.packets)
        yield _event_line(event)
    yield from map(_packet_line, trace.packets[packets:])
    yield _line({"end": len(trace.events)})


def write_trace(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write the file at `path`, over what is there.  Raises `OSError`."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(write_lines(trace))


def read_trace(path: str | os.PathLike[str]) -> Trace:
    """The trace in a file.  Raises `TraceFileError` with the place of the damage, `OSError`.  O(events)."""
    name = os.fspath(path)
    with open(path, "rb") as file:
        return read_lines(_decoded(iter(lambda: file.readline(LONGEST_LINE + 1), b""), name), name)


def read_lines(lines: Iterable[str], name: str = "") -> Trace:
    """The trace in these lines; `name` is what errors call the file.

    >>> trace = Trace("nothing happens", Engine.THREADS)
    >>> read_lines(write_lines(trace)) == trace
    True
    >>> read_lines(["Once upon a time"])
    Traceback (most recent call last):
    iocp_emu.trace.jsonl.TraceFileError: line 1, column 1: not a recording, since it is not JSON: Expecting value
    """
    return _Reader(name).read(lines)


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise TraceFileError("not UTF-8 text", number, error.start + 1, name) from None


# -- writing ---------------------------------------------------------------------------------------------------------


def _line(fields: dict[str, Any]) -> str:
    return f"{json.dumps(fields, ensure_ascii=True, allow_nan=False)}\n"


def _packet_line(packet: TracePacket) -> str:
    fields = {"packet": packet.number, "key": packet.key, "bytes": packet.bytes, "error": packet.error}
    return _line({**fields, "origin": packet.origin})


def _event_line(event: TraceEvent) -> str:
    head: dict[str, Any] = {"event": event.number, "time": event.time_seconds}
    if isinstance(event, ThreadChange):
        return _line({**head, "of": event.thread, "activity": event.activity.value, "processor": event.processor})
    head |= {"reason": event.reason.name, "on": event.port, "of": event.thread, "by": event.by}
    counts = {"active": event.active, "limit": event.limit, "depth": event.depth, "waiting": event.waiting}
    return _line({**head, "packets": list(event.packets), **counts, "cause": event.cause})


# -- reading ---------------------------------------------------------------------------------------------------------

_ACTIVITIES = {each.value: each for each in Activity}
_ENGINES = {each.value: each for each in Engine}


class _Reader:
    """Goes through the lines of one file; `line` is the number of the present one, `text` what it says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.line = 0
        self.text = ""
        self.threads: set[str] = set()
        self.time = 0.0

    def read(self, lines: Iterable[str]) -> Trace:
        trace: Trace | None = None
        ended = False
        for self.line, text in enumerate(lines, 1):
            self.text = text
            if ended:
                raise self._error("something follows the end of the trace")
            fields = self._parse()
            if trace is None:
                trace = self._head(fields)
            elif "end" in fields:
                ended = self._end(trace, fields)
            else:
                self._add(trace, fields)
        if trace is None:
            raise TraceFileError("the file is empty", 1, 1, self.name)
        if not ended:
            raise TraceFileError(
                f"the file ends after {len(trace.events)} events without its last line: it was cut off",
                self.line + 1,
                1,
                self.name,
            )
        return trace

    def _parse(self) -> dict[str, Any]:
        if len(self.text) > LONGEST_LINE:
            raise self._error(f"the line is longer than {LONGEST_LINE:,} characters", LONGEST_LINE + 1)
        try:
            fields: Any = json.loads(self.text, parse_constant=_refuse)
        except json.JSONDecodeError as error:
            what = "not a recording, since it is not JSON" if self.line == 1 else "not JSON"
            raise self._error(f"{what}: {error.msg}", error.colno) from None
        except RecursionError:
            raise self._error("not a line of a trace: too deeply nested") from None
        except ValueError as error:
            raise self._error(f"not a line of a trace: {error}") from None
        if not isinstance(fields, dict):
            raise self._error("not a line of a trace: an object in braces is expected")
        return cast("dict[str, Any]", fields)

    def _head(self, fields: dict[str, Any]) -> Trace:
        if "iocp_emu_trace" not in fields:
            raise self._error('not a trace of iocp_emu: the first line has no "iocp_emu_trace"')
        version = self._number(fields, "iocp_emu_trace", 1)
        if version != VERSION:
            raise self._error(f"version {version} of the format; this program reads version {VERSION}")
        engine = self._choice(fields, "engine", _ENGINES)
        processors = self._optional(fields, "processors", lambda: self._number(fields, "processors", 1))
        return Trace(self._string(fields, "title"), engine, processors)

    def _end(self, trace: Trace, fields: dict[str, Any]) -> bool:
        count = self._number(fields, "end", 0)
        if count != len(trace.events):
            found = len(trace.events)
            raise self._error(f"the last line counts {count} events, but {found} were read: lines are missing")
        return True

    def _add(self, trace: Trace, fields: dict[str, Any]) -> None:
        if "event" in fields:
            trace.events.append(self._event(trace, fields))
        elif "packet" in fields:
            trace.packets.append(self._packet(trace, fields))
        elif "thread" in fields:
            name = self._string(fields, "thread")
            if name in self.threads:
                raise self._error("a thread of this name was there already", self._column("thread"))
            self.threads.add(name)
            trace.threads.append(name)
        elif "port" in fields:
            trace.ports[self._number(fields, "port", 1)] = self._number(fields, "limit", 0)
        else:
            raise self._error('a line needs one of "thread", "port", "packet", "event" and "end"')

    def _packet(self, trace: Trace, fields: dict[str, Any]) -> TracePacket:
        self._expect_next(fields, "packet", len(trace.packets))
        return TracePacket(
            len(trace.packets) + 1,
            self._string(fields, "key"),
            self._number(fields, "bytes", 0),
            self._number(fields, "error", 0),
            self._string(fields, "origin"),
        )

    def _event(self, trace: Trace, fields: dict[str, Any]) -> TraceEvent:
        number = len(trace.events) + 1
        if number > MOST_EVENTS:
            raise self._error(f"more than {MOST_EVENTS:,} events")
        self._expect_next(fields, "event", number - 1)
        time = self._time(fields)
        if "activity" in fields:
            processors = trace.processors or 0
            return ThreadChange(
                number,
                time,
                self._thread(fields, "of"),
                self._choice(fields, "activity", _ACTIVITIES),
                self._optional(fields, "processor", lambda: self._number(fields, "processor", 0, processors - 1)),
            )
        port = self._number(fields, "on", 1)
        if port not in trace.ports:
            raise self._error(f"there is no port {port} in this trace", self._column("on"))
        return PortStep(
            number,
            time,
            self._choice(fields, "reason", Reason.__members__),
            port,
            self._optional(fields, "of", lambda: self._thread(fields, "of")),
            self._optional(fields, "by", lambda: self._string(fields, "by")),
            self._packets(trace, fields),
            self._number(fields, "active", 0),
            self._number(fields, "limit", 0),
            self._number(fields, "depth", 0),
            self._number(fields, "waiting", 0),
            self._optional(fields, "cause", lambda: self._number(fields, "cause", 1, number - 1)),
        )

    def _packets(self, trace: Trace, fields: dict[str, Any]) -> tuple[int, ...]:
        found: Any = self._field(fields, "packets")
        count = len(trace.packets)
        if found.__class__ is not list or not all(type(each) is int and 1 <= each <= count for each in found):
            raise self._error(f"packets must be a list of numbers from 1 to {count}", self._column("packets"))
        return tuple(found)

    # -- fields ------------------------------------------------------------------------------------------------

    def _field(self, fields: dict[str, Any], name: str) -> Any:
        if name not in fields:
            raise self._error(f'the field "{name}" is missing')
        return fields[name]

    def _optional(self, fields: dict[str, Any], name: str, read: Callable[[], T]) -> T | None:
        return None if self._field(fields, name) is None else read()

    def _string(self, fields: dict[str, Any], name: str) -> str:
        value = self._field(fields, name)
        if not isinstance(value, str):
            raise self._error(f"{name} must be a string", self._column(name))
        return value

    def _thread(self, fields: dict[str, Any], name: str) -> str:
        thread = self._string(fields, name)
        if thread not in self.threads:
            raise self._error(f"there is no thread of this name in the trace: {thread[:40]!r}", self._column(name))
        return thread

    def _number(self, fields: dict[str, Any], name: str, low: int, high: int = LARGEST_NUMBER) -> int:
        value = self._field(fields, name)
        if type(value) is not int or not low <= value <= high:
            limits = f"of {low} or more" if high == LARGEST_NUMBER else f"from {low} to {high}"
            raise self._error(f"{name} must be a whole number {limits}", self._column(name))
        return value

    def _time(self, fields: dict[str, Any]) -> float:
        value = self._field(fields, "time")
        if type(value) not in (int, float) or not math.isfinite(value) or value < self.time:
            raise self._error(f"time must be a number of seconds, {self.time} or more", self._column("time"))
        self.time = float(value)
        return self.time

    def _choice(self, fields: dict[str, Any], name: str, choices: Any) -> Any:
        value = self._string(fields, name)
        if value not in choices:
            raise self._error(f"{name} must be one of {', '.join(choices)}", self._column(name))
        return choices[value]

    def _expect_next(self, fields: dict[str, Any], name: str, count: int) -> None:
        if self._number(fields, name, 1) != count + 1:
            raise self._error(f"{name} {count + 1} is expected here: lines are missing, or moved", self._column(name))

    def _column(self, name: str) -> int:
        """Where the field's name stands."""
        return max(self.text.find(f'"{name}"'), 0) + 1

    def _error(self, message: str, column: int = 1) -> TraceFileError:
        return TraceFileError(message, self.line, column, self.name)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number here")
