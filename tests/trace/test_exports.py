"""Exports: equal to the golden files everywhere, complete, and bad files are told with the place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu import CompletionPort
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.trace import (
    Charset,
    Trace,
    TracedSimulation,
    TraceFileError,
    chrome_trace,
    read_trace,
    text_timeline,
    write_chrome,
    write_trace,
)
from iocp_emu.trace.chrome import THREADS
from iocp_emu.trace.jsonl import LONGEST_LINE, read_lines, write_lines
from iocp_emu.trace.model import Activity, Engine, ThreadChange

from .exports import EXPORTS, GOLDEN
from .traces import SMALL, blocked_worker, busy, closed_port


@pytest.mark.parametrize("carrier", [Carrier.GREENLET, Carrier.THREAD], ids=lambda carrier: carrier.value)
@pytest.mark.parametrize("name", SMALL)
def test_golden_files(name: str, carrier: Carrier) -> None:
    """P-17: every export of the small traces is the same to the letter, on every Python and both carriers.

    `python -m tests.trace.exports` writes the files anew.
    """
    if carrier is Carrier.GREENLET:
        pytest.importorskip("greenlet", reason="greenlet is not installed")
    trace = SMALL[name](carrier)
    for ending, export in EXPORTS.items():
        assert export(trace) == (GOLDEN / f"{name}.{ending}").read_text(encoding="utf-8"), ending


# -- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("charset", Charset)
@pytest.mark.parametrize("workers", [1, 7, 40])
def test_text_fits(workers: int, charset: Charset) -> None:
    """No line is longer than 80 columns, with few threads or many; in ASCII there is nothing else."""
    text = text_timeline(busy(30, workers), charset)
    assert max(map(len, text.splitlines())) <= 80
    assert charset is Charset.UNICODE or text.isascii()
    assert ("without a lane" in text) == (workers == 40)


def test_text_leaves_out_the_middle() -> None:
    """A long trace is cut in the middle, and how much is said."""
    text = text_timeline(busy(200), most_rows=10)
    steps = len(busy(200).steps)
    assert f" {steps - 10:,} steps left out " in text
    assert len(text.splitlines()) < 50


def test_text_escapes_names() -> None:
    """Control characters of names, keys and titles do not reach the terminal."""
    trace = _named("evil\x1b[31m\n\u202e\ud800")
    for charset in Charset:
        text = text_timeline(trace, charset)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "evil\\x1b[31m\\n" in text
        text.encode()


@pytest.mark.parametrize(("width", "rows"), [(59, 10), (80, 1)])
def test_text_refuses_sizes(width: int, rows: int) -> None:
    """Too narrow or too short is told."""
    with pytest.raises(ValueError, match="or more"):
        text_timeline(blocked_worker(), width=width, most_rows=rows)


def test_empty_traces_can_be_shown() -> None:
    """Nothing happened: every export says so."""
    trace = Trace("", Engine.THREADS)
    assert "every thread has ended; 0 packets queued" in text_timeline(trace)
    assert read_lines(write_lines(trace)) == trace
    assert validate(chrome_trace(trace)) == []


def _named(name: str) -> Trace:
    with TracedSimulation(processors=1, title=name) as simulation:
        port = CompletionPort(1)
        simulation.spawn(port.get, name=name)
        port.post(key=name)
        simulation.run()
    return simulation.trace


# -- JSON lines ------------------------------------------------------------------------------------------------------


def test_jsonl_reads_back_whole(tmp_path: Path) -> None:
    """What was written is read back, equal in every field, hostile names included."""
    for number, trace in enumerate((closed_port(), busy(50), _named("\ud800\u2028</script>\x00"))):
        path = tmp_path / f"{number}.jsonl"
        write_trace(trace, path)
        assert read_trace(path) == trace
        assert path.read_bytes().isascii()


LINES = list(write_lines(closed_port()))
EVENT = next(number for number, line in enumerate(LINES) if '"reason"' in line)


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        ([], 1, "the file is empty"),
        (["hello"], 1, "not a recording"),
        (["[]"], 1, "an object in braces"),
        (['{"a": 1}'], 1, 'no "iocp_emu_trace"'),
        (['{"iocp_emu_trace": 2, "title": "", "engine": "threads", "processors": null}'], 1, "version 2"),
        (
            ['{"iocp_emu_trace": 1, "title": "", "engine": "magic", "processors": null}'],
            1,
            "one of simulation, threads",
        ),
        (['{"iocp_emu_trace": 1, "title": 5, "engine": "threads", "processors": null}'], 1, "title must be a string"),
        (['{"iocp_emu_trace": 1, "title": "", "engine": "threads"}'], 1, '"processors" is missing'),
        (LINES[:-1], len(LINES), "cut off"),
        ([*LINES, LINES[-1]], len(LINES) + 1, "follows the end"),
        ([*LINES[:EVENT], *LINES[EVENT + 1 :]], EVENT + 1, "lines are missing, or moved"),
        ([*LINES[:EVENT], "{" * 100_000], EVENT + 1, "not JSON"),
        ([*LINES[:EVENT], '{"a":' + "[" * 100_000], EVENT + 1, "too deeply nested"),
        ([*LINES[:EVENT], "1" * 5000], EVENT + 1, "not a line of a trace"),
        ([*LINES[:EVENT], " " * (LONGEST_LINE + 1)], EVENT + 1, "longer than 1,000,000 characters"),
        ([*LINES[:EVENT], '{"event": NaN}'], EVENT + 1, "NaN is no number"),
        ([*LINES[:EVENT], '{"what": 1}'], EVENT + 1, "needs one of"),
        ([*LINES[:-1], '{"end": 3}'], len(LINES), "counts 3 events"),
        ([LINES[0], LINES[1], LINES[1]], 3, "was there already"),
    ],
)
def test_damaged_files(lines: list[str], line: int, message: str) -> None:
    """A damaged file is refused with the line and what is wrong."""
    with pytest.raises(TraceFileError, match=message) as caught:
        read_lines(lines, "my.jsonl")
    assert caught.value.line == line
    assert str(caught.value).startswith(f"my.jsonl, line {line}, column {caught.value.column}: ")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("time", -1.0, "seconds"),
        ("time", "now", "seconds"),
        ("reason", "MAGIC", "reason must be one of QUEUED"),
        ("on", 9, "no port 9"),
        ("of", "nobody", "no thread of this name"),
        ("packets", [99], "packets must be a list"),
        ("packets", 1, "packets must be a list"),
        ("active", True, "active must be a whole number of 0 or more"),
        ("limit", 1.5, "limit must be a whole number"),
        ("cause", 1000, "cause must be a whole number from 1 to"),
    ],
)
def test_wrong_fields(field: str, value: Any, message: str) -> None:
    """A field of the wrong kind is told with its column."""
    event = json.loads(LINES[EVENT]) | {field: value}
    with pytest.raises(TraceFileError, match=message) as caught:
        read_lines([*LINES[:EVENT], json.dumps(event)])
    assert caught.value.column == json.dumps(event).find(f'"{field}"') + 1


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, and lines without end, are refused before they are read whole."""
    path = tmp_path / "binary"
    path.write_bytes(LINES[0].encode() + b"abc\xff\n")
    with pytest.raises(TraceFileError, match=r"line 2, column 4: not UTF-8"):
        read_trace(path)
    path.write_bytes(b"{" * (LONGEST_LINE + 2))
    with pytest.raises(TraceFileError, match="line 1"):
        read_trace(path)


@given(st.data())
def test_any_damage_is_told(data: st.DataObject) -> None:
    """Whatever is changed in a file, it is read or refused, with a place inside of it."""
    text = "".join(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text = text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(st.integers(0, 30)) :]
    lines = text.splitlines(keepends=True)
    fault: TraceFileError | None = None
    try:
        trace = read_lines(lines)
    except TraceFileError as error:
        fault = error
    else:
        assert read_lines(write_lines(trace)) == trace
        text_timeline(trace, Charset.ASCII)
        chrome_trace(trace)
    assert fault is None or (1 <= fault.line <= len(lines) + 1 and fault.column >= 1)


# -- Chrome's format -------------------------------------------------------------------------------------------------


def validate(document: dict[str, Any]) -> list[str]:
    """What is wrong with a trace in Chrome's JSON format, one line each."""
    faults: list[str] = []
    depth: dict[tuple[int, int], list[float]] = {}
    begun: dict[int, float] = {}
    last = 0.0
    if set(document) - {"traceEvents", "displayTimeUnit", "otherData"} or document["displayTimeUnit"] not in (
        "ms",
        "ns",
    ):
        faults.append("unknown keys or time unit")
    for number, event in enumerate(document["traceEvents"]):
        where = f"event {number}: {event}"
        if not {"ph", "ts", "pid", "tid"} <= set(event) or not all(type(event[key]) is int for key in ("pid", "tid")):
            faults.append(f"fields missing: {where}")
            continue
        phase, time, track = event["ph"], event["ts"], (event["pid"], event["tid"])
        if phase == "M":
            if event["name"] not in (
                "process_name",
                "process_sort_index",
                "thread_name",
                "thread_sort_index",
            ) or not set(event["args"]) <= {"name", "sort_index"}:
                faults.append(f"metadata: {where}")
            continue
        if time < last:
            faults.append(f"goes back in time: {where}")
        last = time
        if phase == "B":
            depth.setdefault(track, []).append(time)
            if not event.get("name"):
                faults.append(f"nameless slice: {where}")
        elif phase == "E":
            if not depth.get(track):
                faults.append(f"ends what has not begun: {where}")
            else:
                depth[track].pop()
        elif phase == "C":
            if not all(type(value) is int for value in event["args"].values()):
                faults.append(f"a counter without a number: {where}")
        elif phase == "s":
            if event["id"] in begun:
                faults.append(f"an arrow begins twice: {where}")
            begun[event["id"]] = time
        elif phase == "f":
            if begun.pop(event["id"], time + 1) > time or event.get("bp") != "e":
                faults.append(f"an arrow without a beginning: {where}")
        elif phase != "i" or event.get("s") not in ("t", "p", "g"):
            faults.append(f"unknown: {where}")
    faults += [f"never ended: {track}" for track, open_ in depth.items() if open_]
    faults += [f"an arrow without an end: {each}" for each in begun]
    return faults


@pytest.mark.parametrize("trace", [*(make(Carrier.AUTO) for make in SMALL.values()), busy(100)], ids=lambda t: t.title)
def test_chrome_format(trace: Trace, tmp_path: Path) -> None:
    """The rules of the format: slices nest and end, time goes on, arrows have two ends, counters are numbers."""
    write_chrome(trace, tmp_path / "trace.json")
    document = json.loads((tmp_path / "trace.json").read_bytes())
    assert document == json.loads(json.dumps(chrome_trace(trace)))
    assert validate(document) == []
    events = document["traceEvents"]
    slices = [each for each in events if each["ph"] == "B" and each["pid"] == THREADS]
    changes = [each for each in trace.events if isinstance(each, ThreadChange) and each.activity is not Activity.ENDED]
    assert [each["args"]["event"] for each in slices] == [each.number for each in changes]
    assert [each["args"]["event"] for each in events if each["ph"] == "i"] == [each.number for each in trace.steps]
    delivered = {number for step in trace.steps if step.thread for number in step.packets}
    assert {each["id"] for each in events if each["ph"] == "f"} == delivered


@pytest.mark.parametrize(
    "fault",
    [
        {"ph": "E", "ts": 0, "pid": 1, "tid": 1},
        {"ph": "B", "ts": 0, "pid": 1, "tid": 1, "name": "x"},
        {"ph": "B", "ts": -1, "pid": 1, "tid": 1, "name": "x"},
        {"ph": "f", "ts": 0, "pid": 1, "tid": 1, "id": 1, "bp": "e"},
        {"ph": "s", "ts": 0, "pid": 1, "tid": 1, "id": 1},
        {"ph": "C", "ts": 0, "pid": 1, "tid": 1, "args": {"a": "b"}},
        {"ph": "M", "ts": 0, "pid": 1, "tid": 1, "name": "nonsense", "args": {}},
        {"ph": "Z", "ts": 0, "pid": 1, "tid": 1},
        {"ph": "B", "ts": 0, "pid": "1"},
    ],
)
def test_the_validator_sees_faults(fault: dict[str, Any]) -> None:
    """Each kind of fault that the validator is there for is found."""
    assert validate({"displayTimeUnit": "ns", "traceEvents": [fault]})
