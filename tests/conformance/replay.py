"""The replayer of the conformance vectors: it drives an adapter through them and tells what differs.

Theory. A vector is a script of calls on symbolic threads. Each of these is an OS thread with an inbox. The
thread that calls `replay` is the director: it hands out one step at a time, takes the answer, binds symbols
and compares. `main` is a symbolic thread like the others: the director is never a thread of the vector.

Rules of this file:
- It knows the format of the vectors and no rule of completion ports; it never repairs or guesses a result.
- What is expected decides how an answer is read: for the name of a status, an error or a wait result its
  number does as well; for a symbol only the very value bound to it does, and never a null.
- Only outputs that a vector lists are compared, and the last error only where the call is expected to fail.
- A thread is told that it is idle before its answer is published: no later step meets it still running. Its
  removal is logged for `@order` before that: a thread that goes idle may release the next one.
- A difference found before an `Unsupported` makes the vector fail: being unsupported hides nothing.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import operator
import queue
import re
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

DATA = Path(__file__).parent / "data"
PUBLIC_VECTORS = DATA / "vectors_public.json"
PROFILES = ("win10", "wine_old")

WAIT_FACTOR = 5  # @wait gets this many times the recorded timeout ...
WAIT_FLOOR_MS = 2000  # ... and at least this long, unless the thread is expected to stay blocked
STEP_DEADLINE_S = 30.0  # for a call that is not meant to block, on top of its own finite timeout
CLOSE_DEADLINE_S = 5.0  # for threads that are still in a call when the adapter has been closed
PAUSE_SLICE_MS = 5

Vector = Mapping[str, Any]
Step = Mapping[str, Any]
Result = Mapping[str, Any]

_constants = json.loads((DATA / "constants.json").read_text(encoding="utf-8"))
# What a result may be called: two spellings of one number are equal.
NUMBERS: Mapping[str, int] = {
    **_constants["statuses"],
    **_constants["errors"],
    "WAIT_OBJECT_0": 0,
    "WAIT_ABANDONED": 0x80,
    "WAIT_FAILED": 0xFFFFFFFF,
}
ARGUMENTS: Mapping[str, int] = {**NUMBERS, **_constants["arguments"]}
INVALID_HANDLE_VALUES = (ARGUMENTS["INVALID_HANDLE_VALUE"], -1)

CONSTANT_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
HEX_STATUS = re.compile(r"0x[0-9a-f]{8}")
REMOVAL = re.compile(r"GetQueuedCompletionStatus(Ex)?|NtRemoveIoCompletion(Ex)?|@gqcs_spin")
SOCKET_CALL = re.compile(
    r"WSA.*|(Accept|Connect|Disconnect)Ex|TransmitFile|@tcp_.*|@udp_.*|@close_with_rst|@wait_readable"
    r"|socket|bind|listen|accept|connect|send|recv|sendto|recvfrom|shutdown|closesocket|ioctlsocket"
)


class Outcome(Enum):
    """What became of a vector."""

    PASSED = "passed"
    FAILED = "failed"
    FAILED_UNVERIFIED = "failed, in unverified steps only"
    UNSUPPORTED = "unsupported"
    RECORDED = "recorded"


FAILURES = frozenset({Outcome.FAILED, Outcome.FAILED_UNVERIFIED})


@dataclass(frozen=True, slots=True)
class Difference:
    """A readable difference, and whether it lies in a step whose Windows result nobody has verified."""

    text: str
    unverified: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one vector: outcome, differences in step order, reason if unsupported."""

    vector_id: str
    category: str
    outcome: Outcome
    differences: tuple[Difference, ...]
    reason: str
    left_blocked: tuple[str, ...]  # threads that were still in a call after the adapter had been closed

    def report(self) -> str:
        """The verdict in full, one line per difference."""
        lines = [f"{self.vector_id}: {self.outcome.value}" + (f": {self.reason}" if self.reason else "")]
        lines += [f"    {difference.text}" for difference in self.differences]
        lines += [f"    thread {name} was still in a call after close()" for name in self.left_blocked]
        return "\n".join(lines)


class Adapter(Protocol):
    """What the project's adapter offers: it translates calls and decides nothing."""

    def call(
        self, thread: SymbolicThread, name: str, args: dict[str, Any], as_name: str | None, /
    ) -> Result: ...
    def idle(self, thread: SymbolicThread, /) -> None: ...
    def busy(self, thread: SymbolicThread, /) -> None: ...
    def thread_exit(self, thread: SymbolicThread, /) -> None: ...
    def close(self) -> None: ...


AdapterFactory = Callable[[], Adapter]


# --- What is expected, and whether an answer is that --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """One acceptable result of a step. `error` counts only if `compares_error`."""

    ret: Any
    error: str | None
    outputs: Mapping[str, Any]
    compares_error: bool


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A place in a result, by dotted path, that is not as expected."""

    path: str
    expected: Any
    actual: Any


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


def expectations(step: Step, profile: str) -> tuple[Expected, ...]:
    """The acceptable results: what real Windows gives if stated, else (and for wine) the observed one."""
    windows = {} if profile.startswith("wine") else step.get("windows", {})
    return tuple(_expected(step["result"], {**windows, **choice}) for choice in windows.get("any_of", ({},)))


def _expected(observed: Result, replaced: Mapping[str, Any]) -> Expected:
    ret, error, outputs = (replaced.get(key, observed[key]) for key in ("ret", "error", "outputs"))
    # A replaced return value says nothing about the error that came with the observed one.
    error_is_known = "error" in replaced or _same(ret, observed["ret"])
    return Expected(ret, error, outputs or {}, error_is_known and _is_failure(ret))


def _same(left: object, right: object) -> bool:
    # By type as well: 0 is the success of a Winsock call, and equal to False.
    return type(left) is type(right) and left == right


def _is_failure(ret: object) -> bool:
    return ret is False or ret in ("NULL", "INVALID_HANDLE_VALUE", "WAIT_FAILED") or _same(ret, -1)


def _is_null(actual: object) -> bool:
    return actual is None or _same(actual, 0) or _same(actual, "NULL")


def _number(value: object) -> int | None:
    if isinstance(value, str):
        return int(value, 16) if HEX_STATUS.fullmatch(value) else NUMBERS.get(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _is_symbol(name: str, actual: object, symbols: Mapping[str, Any]) -> bool:
    value = symbols.get(name)
    # A failed call binds its symbol to a null, and nothing equals that.
    if value is None or value in INVALID_HANDLE_VALUES or _is_null(actual) or isinstance(actual, bool):
        return False
    return actual is value or bool(actual == value)


def _is_expected(expected: object, actual: object, symbols: Mapping[str, Any]) -> bool:
    if actual is ABSENT:
        return False
    if expected is None or expected == "NULL":
        return _is_null(actual)
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if not isinstance(expected, str):
        return expected == actual
    if expected.startswith("$"):
        return _is_symbol(expected[1:], actual, symbols)
    if expected == "INVALID_HANDLE_VALUE":
        return actual in (expected, *INVALID_HANDLE_VALUES)
    number = _number(expected)
    if number is not None:
        return _number(actual) == number
    return (actual.decode("latin-1") if isinstance(actual, bytes) else actual) == expected


def _walk(path: str, expected: Any, actual: Any, symbols: Mapping[str, Any]) -> Iterator[Mismatch]:
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key, value in expected.items():
            yield from _walk(f"{path}.{key}", value, actual.get(key, ABSENT), symbols)
    elif isinstance(expected, list) and isinstance(actual, (list, tuple)) and len(expected) == len(actual):
        for index, (want, got) in enumerate(zip(expected, actual, strict=True)):
            yield from _walk(f"{path}.{index}", want, got, symbols)
    elif isinstance(expected, (Mapping, list)) or not _is_expected(expected, actual, symbols):
        yield Mismatch(path, expected, actual)


def mismatches(step: Step, expected: Expected, result: Result, symbols: Mapping[str, Any]) -> list[Mismatch]:
    """Where `result` differs from `expected`, the step's volatile paths left out. O(size of the result)."""
    found: list[Mismatch] = []
    # Most harness calls return nothing, and then there is nothing to compare.
    if expected.ret is not None or not step["call"].startswith("@"):
        found += _walk("ret", expected.ret, result.get("ret", ABSENT), symbols)
    if expected.compares_error:
        # None is "unchanged by the call" here, and no number means that.
        actual = result.get("error")
        if not (actual is None if expected.error is None else _is_expected(expected.error, actual, symbols)):
            found.append(Mismatch("error", expected.error, actual))
    found += _walk("outputs", expected.outputs, result.get("outputs") or {}, symbols)
    volatile = step.get("volatile", ())
    return [m for m in found if not any(m.path == path or m.path.startswith(path + ".") for path in volatile)]


def needs(vector: Vector) -> frozenset[str]:
    """The kinds of device that the steps call for: any of "pipe" and "socket"."""
    found: set[str] = set()
    for step in vector["steps"]:
        texts = [value for value in step["args"].values() if isinstance(value, str)]
        if "NamedPipe" in step["call"] or any(text.startswith(("pipe:", "FSCTL_PIPE_")) for text in texts):
            found.add("pipe")
        if SOCKET_CALL.fullmatch(step["call"]):
            found.add("socket")
    return frozenset(found)


# --- Symbolic threads ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Call:
    """A step on its way: handed over, entered, done with a result or an exception."""

    name: str
    args: dict[str, Any]
    as_name: str | None
    entered: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    result: Result = field(default_factory=dict[str, Any])
    error: BaseException | None = None


class SymbolicThread:
    """A thread of a vector: an OS thread that makes the calls of its inbox, one after the other.

    Adapters see `name`, hash it by identity, and set `dequeued` when `@gqcs_spin` holds its packet.
    """

    def __init__(self, name: str, adapter: Adapter, removals: list[str]) -> None:
        self.name = name
        self.outstanding: deque[_Call] = deque()  # the director's: started and not yet waited for
        self.failure: BaseException | None = None  # what idle, busy or thread_exit raised first
        self.closing = False  # once set, the adapter hears no more of this thread
        self._adapter = adapter
        self._removals = removals
        self._dequeued = False
        self._inbox: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._os_thread = threading.Thread(target=self._serve, name=f"vector-{name}", daemon=True)
        self._os_thread.start()

    @property
    def dequeued(self) -> bool:
        """True while a spinning removal holds its packet."""
        return self._dequeued

    @dequeued.setter
    def dequeued(self, value: bool) -> None:
        if value and not self._dequeued:
            self._removals.append(self.name)
        self._dequeued = value

    @property
    def alive(self) -> bool:
        """True until the OS thread has ended."""
        return self._os_thread.is_alive()

    def submit(self, call: _Call) -> None:
        """Put a call into the inbox."""
        self._inbox.put(call)

    def end(self, timeout_s: float) -> bool:
        """Let the OS thread end after the calls that it has, and join it; False if it did not in time."""
        self._inbox.put(None)
        self._os_thread.join(timeout_s)
        return not self.alive

    def _serve(self) -> None:
        self._tell(self._adapter.idle)
        while (call := self._inbox.get()) is not None and not self.closing:
            self._tell(self._adapter.busy)
            call.entered.set()
            try:
                call.result = self._make(call)
            except BaseException as error:  # whatever it is, it belongs into the verdict
                call.error = error
            self._dequeued = False
            self._tell(self._adapter.idle)
            call.done.set()
        self._tell(self._adapter.busy)
        self._tell(self._adapter.thread_exit)

    def _make(self, call: _Call) -> Result:
        result = self._adapter.call(self, call.name, call.args, call.as_name)
        if not isinstance(result, Mapping) or "ret" not in result:
            raise TypeError(f"the answer has no ret: {result!r}")
        if REMOVAL.fullmatch(call.name) and not self._dequeued and _took_a_packet(result):
            self._removals.append(self.name)
        return result

    def _tell(self, what: Callable[[SymbolicThread], None]) -> None:
        try:
            if not self.closing:
                what(self)
        except BaseException as error:  # this thread has nobody to raise it to
            self.failure = self.failure or error


def _took_a_packet(result: Result) -> bool:
    if result["ret"] is False:  # with the byte count set, this is the packet of an operation that failed
        return bool(
            (result.get("outputs") or {}).get("lpNumberOfBytesTransferred", "untouched") != "untouched"
        )
    return result["ret"] is True or _number(result["ret"]) == 0


def _pause(milliseconds: float, until: threading.Event) -> bool:
    """Wait at least that long or until the event; True if it is set.

    In slices: a stall of the whole process then eats one slice, and not the pause that other threads need.
    """
    for _ in range(-(-int(milliseconds) // PAUSE_SLICE_MS)):
        if until.wait(PAUSE_SLICE_MS / 1000):
            break
    return until.is_set()


# --- The director -------------------------------------------------------------------------------------------


class _Stopped(Exception):
    """The rest of the vector cannot be replayed; the text says why."""


class _AdapterRaised(Exception):
    """The adapter raised (the cause) where it had to answer."""

    def __init__(self, doing: str, error: BaseException) -> None:
        super().__init__(
            f"{doing}: {error}" if _is_unsupported(error) else f"{doing} raised {_describe(error)}"
        )
        self.__cause__ = error


def _is_unsupported(error: BaseException | None) -> bool:
    # By name: the class is the adapter's own, and this module works without one.
    return any(kind.__name__ == "Unsupported" for kind in type(error).__mro__)


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


class _Director:
    """One replay of one vector on one adapter."""

    def __init__(self, vector: Vector, adapter: Adapter, profile: str) -> None:
        self._vector = vector
        self._steps: Sequence[Step] = vector["steps"]
        self._adapter = adapter
        self._profile = profile
        self._thread_names = {"main", *(step.get("thread", "main") for step in self._steps)}
        self._threads: dict[str, SymbolicThread] = {}
        self._symbols: dict[str, Any] = {}
        self._removals: list[str] = []
        self._last_of_group = {step["group"]: i for i, step in enumerate(self._steps) if "group" in step}
        self._groups: dict[str, list[tuple[int, Result, dict[str, Any]]]] = {}
        self._differences: list[Difference] = []

    def play(self) -> Verdict:
        """Replay every step, close the adapter, and judge."""
        reason = ""
        where = ""
        try:
            for index, step in enumerate(self._steps):
                where = _title(index, step)
                result = self._make_step(step)
                if result is not None:
                    self._judge_step(index, result)
            where = "after the last step"
            for thread in self._threads.values():
                for call in thread.outstanding:
                    if call.done.is_set():
                        self._answer(thread, call)
        except (_AdapterRaised, _Stopped) as stop:
            if _is_unsupported(stop.__cause__):
                reason = f"{where}: {stop}"
            else:
                self._differ(f"{where}: {stop}")
        return _verdict(self._vector, self._differences, reason, self._close())

    def _differ(self, text: str, *, unverified: bool = False) -> None:
        self._differences.append(Difference(text, unverified))

    def _make_step(self, step: Step) -> Result | None:
        """Make the call of a step and return its result; None for a call that was only started."""
        args = {name: self._resolve(name, value) for name, value in step["args"].items()}
        if step["call"] in _OWN_CALLS:
            return _OWN_CALLS[step["call"]](self, step, args)
        thread = self._thread(step.get("thread", "main"))
        call = _Call(step["call"], args, step.get("as"))
        is_free = not thread.outstanding
        thread.submit(call)
        if step.get("mode") == "start":
            thread.outstanding.append(call)
            # From here on the pauses of the vector give the thread time to block, not to start.
            if is_free and not call.entered.wait(STEP_DEADLINE_S):
                raise _Stopped(f"the thread did not take the call within {STEP_DEADLINE_S:g} s")
            return None
        timeout_ms = args.get("dwMilliseconds") or 0
        patience_s = STEP_DEADLINE_S + (timeout_ms / 1000 if timeout_ms < ARGUMENTS["INFINITE"] else 0)
        if not call.done.wait(patience_s):
            thread.outstanding.append(call)
            raise _Stopped(f"the call did not return within {patience_s:g} s")
        return self._answer(thread, call)

    def _thread(self, name: str) -> SymbolicThread:
        if name not in self._thread_names:
            raise _Stopped(f"the vector has no symbol and no thread {name}")
        if name not in self._threads or not self._threads[name].alive:
            self._threads[name] = SymbolicThread(name, self._adapter, self._removals)
        return self._threads[name]

    def _resolve(self, parameter: str, value: Any) -> Any:
        if not isinstance(value, str) or parameter in ("content", "data"):
            return value
        if value.startswith("$") and value[1:] in self._symbols:
            return self._symbols[value[1:]]
        if value.startswith("$") or parameter == "of":
            name = value.removeprefix("$")
            return self._threads.get(name) or self._thread(name)  # a thread that has ended keeps its name
        names = value.split("|")
        if all(name in ARGUMENTS for name in names):
            return functools.reduce(operator.or_, (ARGUMENTS[name] for name in names))
        if any(CONSTANT_NAME.fullmatch(name) for name in names):
            raise _Stopped(f"constants.json has no value for {value}")
        return value

    def _answer(self, thread: SymbolicThread, call: _Call) -> Result:
        """The result of a call that is done, its symbols bound; raises what the adapter raised."""
        if call.error is not None:
            raise _AdapterRaised(f"{call.name} on {thread.name}", call.error)
        self._check(thread)
        if call.as_name is not None:
            # Unless the adapter binds it below, the call failed, and the symbol is the null that it returned.
            invalid = _is_expected("INVALID_HANDLE_VALUE", call.result["ret"], {})
            self._symbols[call.as_name] = ARGUMENTS["INVALID_HANDLE_VALUE"] if invalid else None
        self._symbols.update(call.result.get("bind") or {})
        return call.result

    def _check(self, thread: SymbolicThread) -> None:
        if thread.failure is not None:
            error, thread.failure = thread.failure, None
            raise _AdapterRaised(f"idle, busy or thread_exit on {thread.name}", error)

    def _close(self) -> tuple[str, ...]:
        for thread in self._threads.values():
            if all(call.done.is_set() for call in thread.outstanding):
                thread.end(STEP_DEADLINE_S)
        for thread in self._threads.values():
            thread.closing = True
        try:
            self._adapter.close()
        except Exception as error:
            self._differ(f"close() raised {_describe(error)}")
        for thread in self._threads.values():
            thread.end(CLOSE_DEADLINE_S)
            try:
                self._check(thread)
            except _AdapterRaised as raised:
                self._differ(f"at the end: {raised}")
        return tuple(thread.name for thread in self._threads.values() if thread.alive)

    # The replayer's own calls.

    def _started(self, args: Mapping[str, Any]) -> tuple[SymbolicThread, _Call]:
        thread: SymbolicThread = args["of"]
        if not thread.outstanding:
            raise _Stopped(f"nothing was started on thread {thread.name}")
        return thread, thread.outstanding[0]

    def _wait(self, step: Step, args: Mapping[str, Any]) -> Result:
        thread, call = self._started(args)
        timeout_ms = args["timeout"]
        if any(expected.ret != "BLOCKED" for expected in expectations(step, self._profile)):
            timeout_ms = max(WAIT_FACTOR * timeout_ms, WAIT_FLOOR_MS)
        if not call.done.wait(timeout_ms / 1000):
            return {"ret": "BLOCKED"}
        thread.outstanding.popleft()
        return self._answer(thread, call)

    def _blocked(self, _step: Step, args: Mapping[str, Any]) -> Result:
        thread, call = self._started(args)
        returned = _pause(args["after_ms"], call.done)
        if returned and call.error is not None:
            self._answer(thread, call)
        return {"ret": not returned}

    def _sleep(self, _step: Step, args: Mapping[str, Any]) -> Result:
        _pause(args["ms"], threading.Event())
        return {}

    def _order(self, _step: Step, args: Mapping[str, Any]) -> Result:
        _pause(args.get("after_ms", 0), threading.Event())
        return {"outputs": {"threads": list(self._removals)}}

    def _reset_order(self, _step: Step, _args: Mapping[str, Any]) -> Result:
        self._removals.clear()
        return {}

    def _dequeued(self, _step: Step, args: Mapping[str, Any]) -> Result:
        _pause(args.get("after_ms", 0), threading.Event())
        return {"outputs": {"threads": sorted(t.name for t in self._threads.values() if t.dequeued)}}

    def _exit_thread(self, _step: Step, args: Mapping[str, Any]) -> Result:
        ended = args["of"].end(STEP_DEADLINE_S)
        self._check(args["of"])
        return {"ret": ended}

    # Comparing.

    def _judge_step(self, index: int, result: Result) -> None:
        group = self._steps[index].get("group")
        if group is None:
            self._compare(index, result, self._symbols)
            return
        self._groups.setdefault(group, []).append((index, result, dict(self._symbols)))
        if index == self._last_of_group[group]:
            self._settle(group, self._groups.pop(group))

    def _best(self, index: int, result: Result, symbols: Mapping[str, Any]) -> list[Mismatch]:
        step = self._steps[index]
        return min((mismatches(step, e, result, symbols) for e in expectations(step, self._profile)), key=len)

    def _compare(self, index: int, result: Result, symbols: Mapping[str, Any], note: str = "") -> None:
        step = self._steps[index]
        if len(expectations(step, self._profile)) > 1:
            note += " (nearest alternative)"
        windows = {} if self._profile.startswith("wine") else step.get("windows", {})
        for m in self._best(index, result, symbols):
            names = "".join(f" = ${name}" for name in symbols if _is_symbol(name, m.actual, symbols))
            text = f"{m.path}: expected {m.expected!r}, got {m.actual!r}{names}{note}"
            self._differ(f"{_title(index, step)}: {text}", unverified=bool(windows.get("unverified")))

    def _settle(self, group: str, members: Sequence[tuple[int, Result, dict[str, Any]]]) -> None:
        """Give every step of a group a result that fits it (maximum matching); what is left over differs."""
        step_of: dict[int, int] = {}  # position of a result -> position of the step that has it

        def place(position: int, tried: set[int]) -> bool:
            for at, (_, result, symbols) in enumerate(members):
                if at not in tried and not self._best(members[position][0], result, symbols):
                    tried.add(at)
                    if at not in step_of or place(step_of[at], tried):
                        step_of[at] = position
                        return True
            return False

        unplaced = [position for position in range(len(members)) if not place(position, set())]
        left_over = [at for at in range(len(members)) if at not in step_of]
        for position, at in zip(unplaced, left_over, strict=True):
            _, result, symbols = members[at]
            self._compare(members[position][0], result, symbols, f" (in any order of group {group})")


_OWN_CALLS: Mapping[str, Callable[[_Director, Step, Mapping[str, Any]], Result]] = {
    "@sleep": _Director._sleep,
    "@wait": _Director._wait,
    "@blocked": _Director._blocked,
    "@order": _Director._order,
    "@reset_order": _Director._reset_order,
    "@dequeued": _Director._dequeued,
    "@exit_thread": _Director._exit_thread,
}


def _title(index: int, step: Step) -> str:
    of = f"({step['args']['of']})" if "of" in step["args"] else ""
    return f"step {index} {step['call']}{of}" + (f" on {step['thread']}" if "thread" in step else "")


def _verdict(
    vector: Vector, differences: Sequence[Difference], reason: str, left_blocked: tuple[str, ...] = ()
) -> Verdict:
    if not vector.get("judge", True):
        outcome = Outcome.RECORDED
    elif any(not difference.unverified for difference in differences):
        outcome = Outcome.FAILED
    elif reason:
        outcome = Outcome.UNSUPPORTED
    else:
        outcome = Outcome.FAILED_UNVERIFIED if differences else Outcome.PASSED
    return Verdict(vector["id"], vector["category"], outcome, tuple(differences), reason, left_blocked)


def replay(vector: Vector, adapter_factory: AdapterFactory, profile: str = "win10") -> Verdict:
    """Replay one vector on a new adapter and judge it; blocks for the vector's pauses and waits.

    `profile`: one of `PROFILES`; real Windows is expected, or for wine what was observed. Whatever the
    adapter raises ends up in the verdict.
    """
    try:
        adapter = adapter_factory()
    except Exception as error:
        if _is_unsupported(error):
            return _verdict(vector, (), str(error))
        return _verdict(vector, (Difference(f"no adapter: {_describe(error)}"),), "")
    return _Director(vector, adapter, profile).play()


# --- The command --------------------------------------------------------------------------------------------


def load_vectors(path: Path = PUBLIC_VECTORS) -> list[Vector]:
    """The vectors of a file, in its order."""
    vectors: list[Vector] = json.loads(path.read_text(encoding="utf-8"))
    return vectors


def load_adapter(profile: str = "win10") -> AdapterFactory:
    """The project's adapter; made without arguments for win10, with `profile=` for another profile."""
    factory: Callable[..., Adapter] = importlib.import_module("tests.conformance.adapter").Adapter
    return factory if profile == "win10" else functools.partial(factory, profile=profile)


def summary(verdicts: Sequence[Verdict]) -> str:
    """Failures, a table per category, and last the totals, with unverified failures among the failed."""
    lines = [verdict.report() for verdict in verdicts if verdict.outcome in FAILURES]
    counts = Counter((verdict.category, verdict.outcome) for verdict in verdicts)
    total = Counter(verdict.outcome for verdict in verdicts)
    columns = ("passed", "failed", "unverified", "unsupported", "recorded")  # in the order of Outcome
    lines.append(f"{'category':12}" + "".join(f"{column:>13}" for column in columns))
    for category in dict.fromkeys(verdict.category for verdict in verdicts):
        lines.append(f"{category:12}" + "".join(f"{counts[category, outcome]:13}" for outcome in Outcome))
    if total[Outcome.FAILED_UNVERIFIED]:
        lines.append(f"of the failed, {total[Outcome.FAILED_UNVERIFIED]} differ in unverified steps only")
    failed = sum(total[outcome] for outcome in FAILURES)
    lines.append(f"{total[Outcome.PASSED]} passed, {failed} failed, {total[Outcome.UNSUPPORTED]} unsupported")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Replay vectors on the project's adapter. Exit status: 0 none failed, 1 some failed, 2 none selected."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.replay", description=main.__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="win10")
    parser.add_argument("--category", default="", help="only these, separated by commas")
    parser.add_argument("--id", default="", help="only these, separated by commas")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every verdict as it comes")
    parser.add_argument("file", nargs="?", type=Path, default=PUBLIC_VECTORS, metavar="FILE.json")
    options = parser.parse_args(argv)
    categories, ids = (set(chosen.split(",")) - {""} for chosen in (options.category, options.id))
    vectors = [v for v in load_vectors(options.file) if not categories or v["category"] in categories]
    vectors = [v for v in vectors if not ids or v["id"] in ids]
    if not vectors:
        print("no vector of the file is selected", file=sys.stderr)
        return 2
    factory = load_adapter(options.profile)
    verdicts: list[Verdict] = []
    for vector in vectors:
        verdicts.append(replay(vector, factory, options.profile))
        if options.verbose:
            print(verdicts[-1].report(), flush=True)
    print(summary(verdicts))
    return int(any(verdict.outcome in FAILURES for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
