"""The replayer itself, on adapters that are no product: an oracle, and scripted ones.

The oracle answers every public vector with that vector's own results, in raw values as a product has them
(handles, objects, numbers, nulls), with junk wherever nothing is compared: a difference is the replayer's.
The other way round, place by place: whatever is compared makes a difference as soon as it is changed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conformance.replay import (
    ABSENT,
    CLOSE_DEADLINE_S,
    DATA,
    STEP_DEADLINE_S,
    Adapter,
    AdapterFactory,
    Expected,
    Outcome,
    Step,
    SymbolicThread,
    Vector,
    Verdict,
    expectations,
    load_vectors,
    main,
    mismatches,
    needs,
    replay,
    summary,
)

VECTORS = load_vectors()
CONSTANTS = json.loads((DATA / "constants.json").read_text(encoding="utf-8"))
REPLAYERS_OWN = {"@sleep", "@wait", "@blocked", "@order", "@reset_order", "@dequeued", "@exit_thread"}
UNTOUCHED = "untouched"


class Unsupported(Exception):
    """What an adapter raises for a call that the product does not have; the replayer knows it by its name."""


# --- The oracle ---------------------------------------------------------------------------------------------


class Values(dict[str, Any]):
    """A raw value for every symbol: memory is an object, anything else a number like a handle."""

    def __missing__(self, name: str) -> Any:
        self[name] = object() if name.startswith(("ov", "buf")) else 0x40000000 + 4 * len(self)
        return self[name]


def raw(expected: Any, values: Values, *, numeric: bool) -> Any:
    """What is expected, as a product has it; `numeric` takes numbers where there is a choice."""
    if isinstance(expected, Mapping):
        return {key: raw(value, values, numeric=numeric) for key, value in expected.items()}
    if isinstance(expected, list):
        return tuple(raw(value, values, numeric=numeric) for value in expected)
    if expected is None or expected == "NULL":
        return 0 if numeric else None
    if isinstance(expected, str) and expected.startswith("$"):
        return values[expected[1:]]
    if isinstance(expected, str) and numeric:
        if expected.startswith("0x"):
            return int(expected, 16)
        names = {"WAIT_OBJECT_0": 0, **CONSTANTS["errors"], **CONSTANTS["statuses"], **CONSTANTS["arguments"]}
        return names.get(expected, expected)
    return expected


def answer_to(step: Step, expected: Expected, values: Values, *, numeric: bool) -> dict[str, Any]:
    """An answer that meets `expected`, with junk in every place that is not compared."""
    outputs = {**raw(expected.outputs, values, numeric=numeric), "unlisted": "junk"}
    if numeric and "data" in outputs:
        outputs["data"] = outputs["data"].encode("latin-1")
    error: Any = "ERROR_OF_AN_EARLIER_CALL"
    if expected.compares_error:
        error = None if expected.error is None else raw(expected.error, values, numeric=numeric)
    answer = {"ret": raw(expected.ret, values, numeric=numeric), "error": error, "outputs": outputs}
    for path in step.get("volatile", ()):
        *parents, leaf = path.split(".")
        place: dict[str, Any] = answer
        for parent in parents:
            place = place[parent]
        place[leaf] = {"junk": "junk"} if leaf == "outputs" else "junk"
    return answer


class Oracle:
    """An adapter that answers one vector with the vector's own results, and checks how it is driven."""

    def __init__(self, vector: Vector, profile: str, alternative: int, *, numeric: bool) -> None:
        self.faults: list[str] = []
        self._steps: list[Step] = vector["steps"]
        self._profile = profile
        self._alternative = alternative
        self._numeric = numeric
        self._values = Values()
        self._script: dict[str, deque[int]] = defaultdict(deque)  # thread name -> steps still to come
        self._answered_by = {index: index for index in range(len(self._steps))}
        self._returns_with: dict[int, list[int]] = defaultdict(list)  # step -> started steps, in order
        self._may_return: dict[int, threading.Event] = {}
        self._returning: deque[int] = deque()  # the first of these has been let go, the others come after it
        self._lock = threading.RLock()
        self._os_threads: dict[SymbolicThread, int] = {}
        self._idle: set[SymbolicThread] = set()
        self._exited: set[SymbolicThread] = set()
        groups: dict[str, list[int]] = defaultdict(list)
        for index, step in enumerate(self._steps):
            if step["call"] not in REPLAYERS_OWN:
                self._script[step.get("thread", "main")].append(index)
            if "group" in step:
                groups[step["group"]].append(index)
            if step.get("mode") == "start":
                self._plan(index)
        for members in groups.values():  # the results of a group come in the opposite order
            self._answered_by.update(zip(members, reversed(members), strict=True))
        orders = [i for i, step in enumerate(self._steps) if step["call"] == "@order"]
        for index in orders:
            names: list[str] = self._expected(index).outputs["threads"]
            self._returns_with[-1] = [
                started
                for name in names
                for started in self._may_return
                if self._steps[started]["thread"] == name and started < index
            ]
        if orders:  # all at once, one after the other, in the order that is expected
            last_call = max(self._returns_with)
            self._returns_with[last_call] = self._returns_with.pop(-1)

    def _plan(self, index: int) -> None:
        """A started call returns with the last call before somebody looks for its result."""
        name = self._steps[index]["thread"]
        later = range(index + 1, len(self._steps))
        wait = next(i for i in later if self._is(i, "@wait", name))
        look = next(i for i in later if i == wait or self._is(i, "@order"))
        calls = [i for i in range(index, look) if self._steps[i]["call"] not in REPLAYERS_OWN]
        assert not any(self._is(i, "@blocked", name) for i in range(calls[-1], look))
        self._answered_by[index] = wait
        self._may_return[index] = threading.Event()
        if self._expected(wait).ret != "BLOCKED":
            self._returns_with[calls[-1]].append(index)

    def _is(self, index: int, call: str, of: str | None = None) -> bool:
        step = self._steps[index]
        return bool(step["call"] == call and (of is None or step["args"]["of"] == of))

    def _expected(self, index: int) -> Expected:
        alternatives = expectations(self._steps[index], self._profile)
        return alternatives[self._alternative % len(alternatives)]

    def call(
        self, thread: SymbolicThread, name: str, args: dict[str, Any], as_name: str | None, /
    ) -> dict[str, Any]:
        with self._lock:
            index = self._script[thread.name].popleft()
            self._check_call(index, thread, name, args, as_name)
            was_empty = not self._returning
            self._returning.extend(self._returns_with[index])
            if was_empty and self._returning:
                self._may_return[self._returning[0]].set()
        if index in self._may_return:
            self._may_return[index].wait()
        step = self._steps[self._answered_by[index]]
        expected = self._expected(self._answered_by[index])
        answer = answer_to(step, expected, self._values, numeric=self._numeric)
        bound: list[str] = []
        if as_name and str(expected.ret).startswith(("$", "True", "STATUS_SUCCESS", "STATUS_PENDING")):
            bound = [as_name, f"{as_name}.pid"] if name == "@spawn" else [as_name]
        elif name == "@tcp_pair":
            bound = [args["a"], args["b"]]
        return {**answer, "bind": {symbol: self._values[symbol] for symbol in bound}}

    def _check_call(
        self, index: int, thread: SymbolicThread, name: str, args: dict[str, Any], as_name: str | None
    ) -> None:
        step = self._steps[index]
        if (name, as_name, list(args)) != (step["call"], step.get("as"), list(step["args"])):
            self.faults.append(f"step {index}: called as {name} {as_name} {args}")
        if thread in self._idle or self._os_threads[thread] != threading.get_ident():
            self.faults.append(f"step {index}: {thread.name} is idle, or is not itself")
        for parameter, value in step["args"].items():
            actual = args[parameter]
            if isinstance(actual, SymbolicThread):
                good = value in (actual.name, f"${actual.name}")
            elif isinstance(value, str) and value.startswith("$"):
                good = actual is self._values[value[1:]]
            elif isinstance(value, str) and isinstance(actual, int):
                good = actual == sum(CONSTANTS["arguments"][flag] for flag in value.split("|"))
            else:
                good = type(actual) is type(value) and actual == value
                good = good and (not isinstance(actual, str) or actual not in CONSTANTS["arguments"])
            if not good:
                self.faults.append(f"step {index}: {parameter} {value!r} came as {actual!r}")

    def idle(self, thread: SymbolicThread, /) -> None:
        with self._lock:
            if thread in self._idle or self._os_threads.setdefault(thread, threading.get_ident()) != (
                threading.get_ident()
            ):
                self.faults.append(f"idle: {thread.name} is idle already, or is not itself")
            self._idle.add(thread)
            if self._returning and self._steps[self._returning[0]]["thread"] == thread.name:
                self._returning.popleft()
                if self._returning:
                    self._may_return[self._returning[0]].set()

    def busy(self, thread: SymbolicThread, /) -> None:
        with self._lock:
            if thread not in self._idle or self._os_threads[thread] != threading.get_ident():
                self.faults.append(f"busy: {thread.name} was not idle, or is not itself")
            self._idle.discard(thread)

    def thread_exit(self, thread: SymbolicThread, /) -> None:
        with self._lock:
            if thread in self._idle or self._os_threads[thread] != threading.get_ident():
                self.faults.append(f"thread_exit: {thread.name} is idle, or is not itself")
            self._exited.add(thread)

    def close(self) -> None:
        still_blocked = [index for index, event in self._may_return.items() if not event.is_set()]
        left = [index for script in self._script.values() for index in script]
        if left or len(self._os_threads) != len(self._exited) + len(still_blocked):
            self.faults.append(f"close: steps left {left}, or a thread has not exited")
        for index in still_blocked:
            self._may_return[index].set()


def making(adapter: Adapter) -> AdapterFactory:
    """A factory of just this adapter."""
    return lambda: adapter


@pytest.mark.parametrize(
    ("profile", "alternative", "numeric"),
    [("win10", 0, False), ("win10", 1, True), ("wine_old", 0, True)],
    ids=["win10", "win10-second-alternatives-as-numbers", "wine_old"],
)
def test_every_public_vector_passes_on_its_own_results(
    profile: str, alternative: int, *, numeric: bool
) -> None:
    """No false difference, however spelled: symbols, groups, volatile paths, statuses, entries, threads."""
    for vector in VECTORS:
        oracle = Oracle(vector, profile, alternative, numeric=numeric)
        verdict = replay(vector, making(oracle), profile)
        wanted = Outcome.PASSED if vector["judge"] else Outcome.RECORDED
        assert (verdict.outcome, verdict.differences) == (wanted, ()), verdict.report()
        assert not verdict.left_blocked
        assert not oracle.faults, (vector["id"], oracle.faults)


def places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The paths of all leaves of an expected value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))
    else:
        yield path


def changed(answer: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of `answer` with another value at one place; ABSENT takes the place away."""
    if not path:
        return value
    copy = list(answer) if isinstance(answer, tuple) else dict(answer)
    inner = changed(copy[path[0]], path[1:], value)
    copy[path[0]] = inner
    if inner is ABSENT and isinstance(copy, dict):
        del copy[path[0]]
    return copy


def other_values(expected: Any) -> Iterator[Any]:
    """Values that `expected` must not be taken for, near misses among them."""
    yield ABSENT
    yield "something else"
    yield object()
    yield from (value for value in (True, False) if value is not expected)
    if expected is not None and expected != "NULL":
        yield None
        yield "NULL"
    if isinstance(expected, bool) or not isinstance(expected, int):
        yield 12345
    else:
        yield expected + 1
    if expected != UNTOUCHED:
        yield UNTOUCHED
    if expected != "STATUS_END_OF_FILE":
        yield "STATUS_END_OF_FILE"


def test_every_compared_place_of_every_public_vector_makes_a_difference() -> None:
    """A check that cannot fail is none: each leaf that is not volatile is changed in several ways."""
    changes = 0
    for vector in VECTORS:
        for profile in ("win10", "wine_old"):
            for index, step in enumerate(vector["steps"]):
                for expected in expectations(step, profile):
                    values = Values()
                    answer = answer_to(step, expected, values, numeric=False)
                    assert mismatches(step, expected, answer, values) == []
                    compared = [*places(expected.outputs, ("outputs",))] if expected.outputs else []
                    if expected.ret is not None:
                        compared.append(("ret",))
                    if expected.compares_error:
                        compared.append(("error",))
                    for path in compared:
                        dotted = ".".join(map(str, path))
                        if any(f"{dotted}.".startswith(f"{v}.") for v in step.get("volatile", ())):
                            continue
                        wanted: Any = getattr(expected, path[0])
                        for key in path[1:]:
                            wanted = wanted[key]
                        for value in other_values(wanted):
                            found = mismatches(step, expected, changed(answer, path, value), values)
                            assert [m.path for m in found] == [dotted], (vector["id"], index, path, value)
                            changes += 1
    assert changes > 10_000


# --- Scripted adapters --------------------------------------------------------------------------------------

FAILED_RETURNS = (None, "NULL", "INVALID_HANDLE_VALUE", False)
Answer = Callable[[SymbolicThread, str, dict[str, Any]], Any]


class Scripted:
    """An adapter whose calls are answered by one function; it notes what it is told, in order."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.told: list[str] = []
        self.closed = threading.Event()

    def call(
        self, thread: SymbolicThread, name: str, args: dict[str, Any], as_name: str | None, /
    ) -> dict[str, Any]:
        self.told.append(f"{name} on {thread.name}")
        answer = self._answer(thread, name, args)
        if not isinstance(answer, dict):
            answer = {"ret": answer}
        complete: dict[str, Any] = {"error": None, "outputs": {}, **answer}
        if as_name is not None and "bind" not in complete and complete["ret"] not in FAILED_RETURNS:
            complete["bind"] = {as_name: complete["ret"]}
        return complete

    def idle(self, thread: SymbolicThread, /) -> None:
        self.told.append(f"idle {thread.name}")

    def busy(self, thread: SymbolicThread, /) -> None:
        self.told.append(f"busy {thread.name}")

    def thread_exit(self, thread: SymbolicThread, /) -> None:
        self.told.append(f"exit {thread.name}")

    def close(self) -> None:
        self.told.append("close")
        self.closed.set()


def step(call: str, ret: Any = None, error: str | None = None, /, **more: Any) -> dict[str, Any]:
    """A step with its observed result; `outputs` goes into the result, `as_` is `as`."""
    result = {"ret": ret, "error": error, "outputs": more.pop("outputs", {})}
    if "as_" in more:
        more["as"] = more.pop("as_")
    return {"call": call, "args": more.pop("args", {}), "result": result, **more}


def vector_of(*steps: dict[str, Any], **more: Any) -> Vector:
    """A vector of these steps, to be judged unless `judge` says otherwise."""
    return {"id": "v-1", "category": "test", "judge": True, "steps": list(steps), **more}


def judged(answer: Answer | Any, *steps: dict[str, Any], profile: str = "win10", **more: Any) -> Verdict:
    """The verdict on these steps, with `answer` as a function that answers or as the answer to each call."""
    respond = answer if callable(answer) else lambda *_: answer
    return replay(vector_of(*steps, **more), lambda: Scripted(respond), profile)


def texts(verdict: Verdict) -> list[str]:
    """The differences as text."""
    return [difference.text for difference in verdict.differences]


def test_a_wrong_return_value_is_a_readable_difference() -> None:
    """The text names step, call, place, what was expected and what came."""
    verdict = judged(
        True, step("SetEvent", True), step("CloseHandle", False, "ERROR_INVALID_HANDLE", thread="A")
    )
    assert verdict.outcome is Outcome.FAILED
    assert texts(verdict) == [
        "step 1 CloseHandle on A: ret: expected False, got True",
        "step 1 CloseHandle on A: error: expected 'ERROR_INVALID_HANDLE', got None",
    ]
    assert verdict.report().splitlines()[0] == "v-1: failed"


def test_all_differences_are_told_not_only_the_first() -> None:
    """A difference does not end the replay."""
    verdict = judged(True, *(step("CloseHandle", False, "ERROR_INVALID_HANDLE") for _ in range(3)))
    assert [text.split(":")[0] for text in texts(verdict)] == [
        f"step {n} CloseHandle" for n in (0, 0, 1, 1, 2, 2)
    ]


def test_a_wrong_output_inside_a_list_of_entries_is_found() -> None:
    """Entries are compared one by one, each field by its own rule."""
    entries = [
        {"lpCompletionKey": 1, "Internal": "STATUS_SUCCESS"},
        {"lpCompletionKey": 2, "Internal": "0x00000315"},
    ]
    given = [{"lpCompletionKey": 1, "Internal": 0}, {"lpCompletionKey": 3, "Internal": 0x315}]
    get = step("GetQueuedCompletionStatusEx", True, outputs={"entries": entries})
    verdict = judged({"ret": True, "outputs": {"entries": given}}, get)
    assert texts(verdict) == [
        "step 0 GetQueuedCompletionStatusEx: outputs.entries.1.lpCompletionKey: expected 2, got 3"
    ]
    assert judged({"ret": True, "outputs": {"entries": given[:1]}}, get).outcome is Outcome.FAILED


def test_untouched_is_neither_null_nor_zero() -> None:
    """An output that must stay as it was differs from one that was set to nothing, both ways."""
    for expected, given in (("untouched", 0), ("untouched", None), (None, "untouched"), (0, "untouched")):
        get = step("GetQueuedCompletionStatus", True, outputs={"lpOverlapped": expected})
        assert judged({"ret": True, "outputs": {"lpOverlapped": given}}, get).outcome is Outcome.FAILED


def test_an_output_that_is_missing_is_a_difference_even_where_null_is_expected() -> None:
    """Leaving an output out is no way to make it null; one that the vector does not list is not compared."""
    get = step("GetQueuedCompletionStatus", True, outputs={"lpOverlapped": None})
    assert texts(judged({"ret": True, "outputs": {"other": 1}}, get)) == [
        "step 0 GetQueuedCompletionStatus: outputs.lpOverlapped: expected None, got nothing"
    ]


def test_the_error_is_compared_only_when_the_call_is_expected_to_fail() -> None:
    """A success, Winsock's 0 included, leaves the last error open; each kind of failure does not."""
    for success in (True, 0, "$port1", 5, "WAIT_OBJECT_0"):
        given = {"ret": 0x40000000 if success == "$port1" else success, "error": "ERROR_SUCCESS"}
        call = step("connect", success, None, **({"as_": "port1"} if success == "$port1" else {}))
        assert judged(given, call).outcome is Outcome.PASSED
    for failure in (False, -1, "NULL", "INVALID_HANDLE_VALUE", "WAIT_FAILED"):
        call = step("connect", failure, "WSAEINVAL")
        assert judged({"ret": failure, "error": "WSAENOTCONN"}, call).outcome is Outcome.FAILED
        assert judged({"ret": failure, "error": 10022}, call).outcome is Outcome.PASSED
    unchanged = step("CloseHandle", False, None)
    assert judged({"ret": False, "error": 0}, unchanged).outcome is Outcome.FAILED


def test_a_symbol_is_its_own_value_and_never_a_null() -> None:
    """A failed call binds NULL to its symbol, so an expected symbol must not be met by NULL."""
    create = step("CreateIoCompletionPort", "$port1", as_="port1")
    for null in (None, 0, "NULL", "INVALID_HANDLE_VALUE", -1, False):
        assert judged({"ret": null, "bind": {}}, create).outcome is Outcome.FAILED
    again = step("CreateIoCompletionPort", "$port1")
    handles = iter([0x40000000, 0x40000004])
    assert texts(judged(lambda *_: next(handles), create, again)) == [
        "step 1 CreateIoCompletionPort: ret: expected '$port1', got 1073741828"
    ]


def test_arguments_arrive_resolved() -> None:
    """Symbols, constants, flags, null, private paths, threads, each as its value; a failed symbol as NULL."""
    seen: list[Any] = []

    def answer(_thread: SymbolicThread, name: str, args: dict[str, Any]) -> Any:
        seen.append(args)
        answers = {"CreateEventW": "NULL", "CreateFileW": "INVALID_HANDLE_VALUE"}
        return {"ret": 8, "bind": {"p": 8, "p.pid": 77}} if name == "@spawn" else answers.get(name, True)

    flags = "GENERIC_READ|GENERIC_WRITE"
    verdict = judged(
        answer,
        step("@spawn", "$p", as_="p", args={"ms": 5}),
        step("CreateEventW", "NULL", None, as_="ev"),
        step("CreateFileW", "INVALID_HANDLE_VALUE", None, as_="f"),
        step("F", True, args={"a": "$p", "b": "$p.pid", "c": "$ev", "d": None, "e": "tmp:x", "of": "main"}),
        step("F", True, args={"a": "$main", "b": flags, "content": "INFINITE", "c": False, "d": "$f"}),
    )
    assert verdict.outcome is Outcome.PASSED, verdict.report()
    main_thread = seen[3].pop("of")
    assert main_thread.name == "main"
    assert seen[3] == {"a": 8, "b": 77, "c": None, "d": None, "e": "tmp:x"}
    assert seen[4] == {"a": main_thread, "b": 0xC0000000, "content": "INFINITE", "c": False, "d": 2**64 - 1}


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (step("SetEvent", True, args={"hEvent": "$none"}), "no symbol and no thread none"),
        (step("SetEvent", True, args={"hEvent": "NO_SUCH_NAME"}), "no value for NO_SUCH_NAME"),
        (step("@wait", True, args={"of": "main", "timeout": 1}), "nothing was started on thread main"),
    ],
)
def test_a_step_without_a_meaning_fails_the_vector(bad: dict[str, Any], text: str) -> None:
    """A vector that cannot be replayed is never a passed one."""
    verdict = judged(True, bad)
    assert verdict.outcome is Outcome.FAILED
    assert text in verdict.report()


def test_results_of_a_group_come_in_any_order_but_each_once() -> None:
    """A group is compared as a multiset; steps outside of it keep their place."""

    def removal(key: int, **more: Any) -> dict[str, Any]:
        return step("GetQueuedCompletionStatus", True, outputs={"lpCompletionKey": key}, **more)

    def verdict_on(*keys: int) -> Verdict:
        given = iter(keys)
        steps = [removal(1, group="g"), removal(2, group="g"), removal(2, group="g"), removal(9)]
        return judged(lambda *_: {"ret": True, "outputs": {"lpCompletionKey": next(given)}}, *steps)

    for keys in ((1, 2, 2, 9), (2, 1, 2, 9), (2, 2, 1, 9)):
        assert verdict_on(*keys).outcome is Outcome.PASSED
    assert texts(verdict_on(2, 1, 1, 9)) == [
        "step 2 GetQueuedCompletionStatus: outputs.lpCompletionKey: expected 2, got 1"
        " (in any order of group g)"
    ]
    assert verdict_on(2, 2, 9, 1).outcome is Outcome.FAILED
    # The first step would take either result, the second only the one that came first.
    given = iter((1, 2))
    steps = [removal(2, group="g", volatile=["outputs"]), removal(1, group="g")]
    verdict = judged(lambda *_: {"ret": True, "outputs": {"lpCompletionKey": next(given)}}, *steps)
    assert verdict.outcome is Outcome.PASSED, verdict.report()


def test_volatile_paths_are_not_compared_and_their_neighbours_are() -> None:
    """A path covers what lies under it, and nothing whose name only begins alike."""
    get = step(
        "F", True, outputs={"a": 1, "ab": 2, "list": [{"x": 1}]}, volatile=["outputs.a", "outputs.list"]
    )
    assert (
        judged({"ret": True, "outputs": {"a": 7, "ab": 2, "list": [{"x": 9}]}}, get).outcome is Outcome.PASSED
    )
    assert judged({"ret": True, "outputs": {"a": 1, "ab": 7, "list": []}}, get).outcome is Outcome.FAILED
    assert judged({"ret": False, "outputs": {"a": 1, "ab": 2}}, get).outcome is Outcome.FAILED


def test_windows_replaces_what_was_observed_except_for_wine() -> None:
    """Fields that `windows` leaves out stay as observed; a new return value alone leaves the error open."""
    windows = {"ret": False, "error": "ERROR_NOT_FOUND", "outputs": {}}
    call = step("CancelIoEx", True, outputs={"n": 1}, windows=windows)
    on_windows, on_wine = {"ret": False, "error": "ERROR_NOT_FOUND"}, {"ret": True, "outputs": {"n": 1}}
    assert judged(on_windows, call).outcome is Outcome.PASSED
    assert judged(on_wine, call).outcome is Outcome.FAILED
    assert judged(on_windows, call, profile="wine_old").outcome is Outcome.FAILED
    assert judged(on_wine, call, profile="wine_old").outcome is Outcome.PASSED
    outputs_only = step("F", False, "ERROR_NOT_FOUND", outputs={"n": 1}, windows={"outputs": {"n": 2}})
    assert judged({**on_windows, "outputs": {"n": 2}}, outputs_only).outcome is Outcome.PASSED
    assert judged({"ret": False, "error": None, "outputs": {"n": 2}}, outputs_only).outcome is Outcome.FAILED
    ret_only = step("F", True, None, windows={"ret": False})
    assert judged({"ret": False, "error": "ERROR_NOT_FOUND"}, ret_only).outcome is Outcome.PASSED


def test_any_of_accepts_each_alternative_and_nothing_mixed() -> None:
    """One alternative must fit as a whole; the report is about the nearest."""
    windows = {"any_of": [{"error": "ERROR_BROKEN_PIPE", "outputs": {"n": 1}}, {"error": "ERROR_NO_DATA"}]}
    call = step("F", False, "ERROR_BUSY", outputs={"n": 0}, windows=windows)
    good = [("ERROR_BROKEN_PIPE", 1), ("ERROR_NO_DATA", 0)]
    for error, n in [*good, ("ERROR_BROKEN_PIPE", 0), ("ERROR_NO_DATA", 1), ("ERROR_BUSY", 0)]:
        verdict = judged({"ret": False, "error": error, "outputs": {"n": n}}, call)
        assert (verdict.outcome is Outcome.PASSED) is ((error, n) in good)
        assert all(text.endswith("(nearest alternative)") for text in texts(verdict))


def test_differences_in_unverified_steps_only_are_a_verdict_of_their_own() -> None:
    """One difference elsewhere makes the vector a plain failure; for wine nothing is unverified."""
    doubtful = step("F", True, windows={"ret": "WAIT_OBJECT_0", "unverified": True})
    assert judged(False, doubtful).outcome is Outcome.FAILED_UNVERIFIED
    assert judged(False, doubtful, step("G", True)).outcome is Outcome.FAILED
    assert judged(False, doubtful, profile="wine_old").outcome is Outcome.FAILED


def test_record_only_vectors_are_replayed_and_never_judged() -> None:
    """Their differences and what the adapter raised are kept."""
    assert texts(judged(False, step("F", "CRASH"), judge=False)) == [
        "step 0 F: ret: expected 'CRASH', got False"
    ]
    assert judged(False, step("F", "CRASH"), judge=False).outcome is Outcome.RECORDED
    assert judged(raises(TypeError("x")), step("F", "CRASH"), judge=False).outcome is Outcome.RECORDED


def raises(error: Exception) -> Answer:
    """An answer that raises."""

    def answer(*_: Any) -> Any:
        raise error

    return answer


def test_unsupported_is_not_passed_and_hides_no_difference_before_it() -> None:
    """The reason names the step; the steps after it are not made."""

    def answer(_thread: SymbolicThread, name: str, _args: dict[str, Any]) -> Any:
        if name == "CreateNamedPipeW":
            raise Unsupported("no pipes yet")
        return True

    pipe = step("CreateNamedPipeW", "$p", as_="p")
    verdict = judged(answer, step("F", True), pipe, step("F", False))
    assert (verdict.outcome, verdict.differences) == (Outcome.UNSUPPORTED, ())
    assert verdict.reason == "step 1 CreateNamedPipeW: CreateNamedPipeW on main: no pipes yet"
    assert judged(answer, step("F", False, None), pipe).outcome is Outcome.FAILED

    def no_adapter() -> Scripted:
        raise Unsupported("not on this system")

    assert replay(vector_of(), no_adapter).outcome is Outcome.UNSUPPORTED


def test_unsupported_in_a_started_call_is_seen_wherever_it_surfaces() -> None:
    """At @wait, at @blocked, and at the end of the vector."""
    start = step("CreateNamedPipeW", "STARTED", thread="A", mode="start")
    wait = step("@wait", True, args={"of": "A", "timeout": 1000})
    blocked = step("@blocked", True, args={"of": "A", "after_ms": 20_000})
    settle = step("@sleep", args={"ms": 50})
    for steps in ((start, wait), (start, blocked), (start, settle)):
        assert judged(raises(Unsupported("no")), *steps).outcome is Outcome.UNSUPPORTED


def test_whatever_else_the_adapter_raises_fails_the_vector() -> None:
    """In a call, in idle, in close, in its constructor; an answer without a return value counts as well."""
    assert (
        "F on main raised TypeError: x (test_replay.py:"
        in judged(raises(TypeError("x")), step("F", True)).report()
    )
    assert "has no ret" in replay(vector_of(step("F", True)), making(Broken("call"))).report()
    for method in ("idle", "busy", "thread_exit", "close"):
        verdict = replay(vector_of(step("F", True)), making(Broken(method)))
        assert verdict.outcome is Outcome.FAILED, method
        assert f"broken {method}" in verdict.report()

    def no_adapter() -> Scripted:
        raise OSError("out of adapters")

    assert "no adapter: OSError: out of adapters" in replay(vector_of(), no_adapter).report()


class Broken(Scripted):
    """An adapter of which one method is broken: it raises, or `call` answers with nothing."""

    def __init__(self, method: str) -> None:
        super().__init__(lambda *_: True)
        setattr(self, method, self._answer_nothing if method == "call" else self._raise(method))

    def _answer_nothing(self, *_: Any) -> Any:
        return None

    def _raise(self, method: str) -> Callable[..., None]:
        def broken(*_: Any) -> None:
            raise OSError(f"broken {method}")

        return broken


# --- Threads ------------------------------------------------------------------------------------------------


class Gate:
    """An answer whose "Get" on a thread returns when somebody calls "Post" for that thread, or at close."""

    def __init__(self) -> None:
        self.adapter = Scripted(self._answer)
        self._open: dict[str, threading.Event] = defaultdict(threading.Event)

    def _answer(self, thread: SymbolicThread, name: str, args: dict[str, Any]) -> Any:
        if name == "Post":
            self._open[args["to"]].set()
            return True
        if name == "@gqcs_spin":
            thread.dequeued = True
        while not self._open[thread.name].wait(0.005):
            if self.adapter.closed.is_set():
                return False
        return {"ret": True, "outputs": {"lpNumberOfBytesTransferred": 0}}


def started(name: str, call: str = "GetQueuedCompletionStatus") -> dict[str, Any]:
    """A step that starts a removal on a thread."""
    return step(call, "STARTED", thread=name, mode="start")


def post(name: str) -> dict[str, Any]:
    """A step that lets the removal on a thread return."""
    return step("Post", True, args={"to": name})


def of(call: str, name: str, ret: Any, **args: Any) -> dict[str, Any]:
    """A step of the replayer's own that is about a thread."""
    return step(call, ret, args={"of": name, **args})


def test_blocked_and_wait_tell_a_blocked_call_from_one_that_returned() -> None:
    """True until the call has returned, then False; @wait gives BLOCKED, or the started call's result."""
    gate = Gate()
    verdict = replay(
        vector_of(
            started("A"),
            of("@blocked", "A", True, after_ms=20),
            of("@wait", "A", "BLOCKED", timeout=20),
            post("A"),
            of("@blocked", "A", False, after_ms=20_000),
            of("@wait", "A", True, timeout=1000),
        ),
        making(gate.adapter),
    )
    assert verdict.outcome is Outcome.PASSED, verdict.report()
    for call, more in (("@blocked", {"after_ms": 20_000}), ("@wait", {"timeout": 10_000})):
        gate = Gate()
        look = of(call, "A", True if call == "@blocked" else "BLOCKED", **more)
        verdict = replay(vector_of(started("A"), post("A"), look), making(gate.adapter))
        assert verdict.outcome is Outcome.FAILED, call


def test_a_wait_that_may_succeed_gets_more_time_than_was_recorded() -> None:
    """20 ms were recorded; on a machine that takes 300 ms the call is still waited for."""

    def slow(*_: Any) -> Any:
        time.sleep(0.3)
        return True

    assert judged(slow, started("A"), of("@wait", "A", True, timeout=20)).outcome is Outcome.PASSED


def test_a_wait_for_a_thread_that_stays_blocked_takes_the_recorded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More patience would change nothing but the time that the vectors take."""
    monkeypatch.setattr("tests.conformance.replay.WAIT_FLOOR_MS", 20_000)
    gate = Gate()
    begun = time.monotonic()
    verdict = replay(vector_of(started("A"), of("@wait", "A", "BLOCKED", timeout=20)), making(gate.adapter))
    assert verdict.outcome is Outcome.PASSED
    assert time.monotonic() - begun < 10


def test_a_thread_is_idle_between_its_steps_and_busy_in_them() -> None:
    """Also before its first step; an exiting thread is busy again before it is told to exit."""
    adapter = Scripted(lambda *_: True)
    vector = vector_of(
        step("F", True, thread="A"),
        step("G", True, thread="A"),
        of("@exit_thread", "A", True),
        step("H", True),
    )
    verdict = replay(vector, making(adapter))
    assert verdict.outcome is Outcome.PASSED, verdict.report()
    assert [text for text in adapter.told if text.endswith("A")] == [
        *("idle A", "busy A", "F on A", "idle A", "busy A", "G on A", "idle A", "busy A", "exit A")
    ]
    assert adapter.told[9:] == [
        "idle main",
        "busy main",
        "H on main",
        "idle main",
        "busy main",
        "exit main",
        "close",
    ]


def test_the_next_step_comes_after_a_thread_was_told_what_it_is() -> None:
    """However long that takes: idle before the answer counts, busy before a start is over."""

    class Slow(Scripted):
        def idle(self, thread: SymbolicThread, /) -> None:
            time.sleep(0.1 if thread.name == "A" else 0)
            super().idle(thread)

        def busy(self, thread: SymbolicThread, /) -> None:
            time.sleep(0.1 if thread.name == "A" else 0)
            super().busy(thread)

    adapter = Slow(lambda *_: True)
    steps = [step("F", True, thread="A"), step("G", True), started("A", "H"), step("I", True)]
    assert replay(vector_of(*steps), making(adapter)).outcome is Outcome.PASSED
    second_idle = [i for i, text in enumerate(adapter.told) if text == "idle A"][1]
    second_busy = [i for i, text in enumerate(adapter.told) if text == "busy A"][1]
    assert second_idle < adapter.told.index("busy main")
    assert second_busy < [i for i, text in enumerate(adapter.told) if text == "busy main"][1]


def test_exit_thread_ends_the_os_thread_and_a_later_step_gets_a_new_one() -> None:
    """The symbol keeps naming the thread that ended, until the name is used for another."""
    seen: list[tuple[SymbolicThread, int, list[str]]] = []
    named: list[SymbolicThread] = []

    def answer(thread: SymbolicThread, name: str, args: dict[str, Any]) -> Any:
        if name == "Look":
            named.append(args["thread"])
        else:
            seen.append((thread, threading.get_ident(), [t.name for t in threading.enumerate()]))
        return True

    look = step("Look", True, args={"thread": "$A"})
    verdict = judged(
        answer,
        step("F", True, thread="A"),
        of("@exit_thread", "A", True),
        look,
        step("F", True, thread="A"),
        look,
    )
    assert verdict.outcome is Outcome.PASSED, verdict.report()
    assert [named[0], named[1]] == [seen[0][0], seen[1][0]]
    assert seen[0][0] is not seen[1][0]
    assert seen[1][2].count("vector-A") == 1


def test_order_tells_in_which_order_removals_returned() -> None:
    """Only calls that took a packet count, a spinning one once it holds it; @reset_order forgets."""
    gate = Gate()
    order = step("@order", outputs={"threads": ["B", "A", "C"]}, args={"after_ms": 20})
    verdict = replay(
        vector_of(
            *(started("A"), started("B"), post("B"), of("@wait", "B", True, timeout=1000)),
            *(post("A"), of("@wait", "A", True, timeout=1000)),
            *(started("C", "@gqcs_spin"), step("@sleep", args={"ms": 50})),
            *(started("D", "WaitForSingleObject"), post("D"), of("@wait", "D", True, timeout=1000), order),
            step("@dequeued", outputs={"threads": ["C"]}, args={"after_ms": 1}),
            *(post("C"), of("@wait", "C", True, timeout=1000)),
            step("@dequeued", outputs={"threads": []}, args={"after_ms": 1}),
            *(order, step("@reset_order"), step("@order", outputs={"threads": []})),
        ),
        making(gate.adapter),
    )
    assert verdict.outcome is Outcome.PASSED, verdict.report()


@pytest.mark.parametrize(
    ("ret", "outputs", "counts"),
    [
        (False, {"lpNumberOfBytesTransferred": UNTOUCHED}, False),
        (False, {"lpNumberOfBytesTransferred": 3}, True),
        ("STATUS_SUCCESS", {}, True),
        ("STATUS_TIMEOUT", {}, False),
    ],
)
def test_a_removal_counts_for_the_order_if_it_took_a_packet(
    ret: Any, outputs: dict[str, Any], *, counts: bool
) -> None:
    """The packet of a failed operation is one too; a timeout is none."""
    verdict = judged(
        {"ret": ret, "outputs": outputs},
        step("GetQueuedCompletionStatus", ret, None, outputs=outputs),
        step("@order", outputs={"threads": ["main"] if counts else []}),
    )
    assert verdict.outcome is Outcome.PASSED, verdict.report()


def test_threads_left_blocked_are_released_by_close_and_told_of_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The adapter's close is what ends them; one that does not come back is named in the verdict."""
    gate = Gate()
    verdict = replay(vector_of(started("A"), of("@wait", "A", "BLOCKED", timeout=5)), making(gate.adapter))
    assert (verdict.outcome, verdict.left_blocked) == (Outcome.PASSED, ())
    assert gate.adapter.told[-1] == "close"  # a closed adapter hears nothing more
    assert CLOSE_DEADLINE_S >= 5
    monkeypatch.setattr("tests.conformance.replay.CLOSE_DEADLINE_S", 0.1)
    forever = threading.Event()
    verdict = judged(lambda *_: forever.wait(), started("A"), of("@wait", "A", "BLOCKED", timeout=5))
    forever.set()
    assert verdict.left_blocked == ("A",)
    assert "thread A was still in a call after close()" in verdict.report()


def test_a_call_that_never_returns_fails_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is not meant to block has a deadline, so that a hang is a verdict."""
    assert STEP_DEADLINE_S >= 10
    monkeypatch.setattr("tests.conformance.replay.STEP_DEADLINE_S", 0.2)
    gate = Gate()
    verdict = replay(vector_of(step("GetQueuedCompletionStatus", True)), making(gate.adapter))
    assert verdict.outcome is Outcome.FAILED
    assert "did not return within 0.2 s" in verdict.report()


# --- The command --------------------------------------------------------------------------------------------


def test_needs_tells_pipes_and_sockets_by_calls_and_names() -> None:
    """By call, by the path of a pipe, by a harness call; a file needs neither."""
    assert needs(vector_of(step("CreateFileW", args={"lpFileName": "tmp:f1"}))) == frozenset()
    assert needs(vector_of(step("CreateFileW", args={"lpFileName": "pipe:p1"}))) == {"pipe"}
    assert needs(vector_of(step("DeviceIoControl", args={"dwIoControlCode": "FSCTL_PIPE_LISTEN"}))) == {
        "pipe"
    }
    assert needs(vector_of(step("DisconnectNamedPipe"), step("@udp_socket"))) == {"pipe", "socket"}
    for call in ("WSARecv", "AcceptEx", "closesocket", "@tcp_pair", "send"):
        assert needs(vector_of(step(call))) == {"socket"}


def test_the_summary_ends_with_the_totals() -> None:
    """Failures in unverified steps are shown apart, and counted among the failed."""
    doubtful = step("F", True, windows={"ret": "WAIT_OBJECT_0", "unverified": True})
    verdicts = [
        judged(True, step("F", True), id="good"),
        judged(False, step("F", True), id="bad", category="other"),
        judged(False, doubtful, id="doubtful"),
        judged(raises(Unsupported("no")), step("F", True), id="none"),
        judged(False, step("F", True), judge=False, id="recorded"),
    ]
    lines = summary(verdicts).splitlines()
    assert lines[0] == "bad: failed"
    assert lines[2] == "doubtful: failed, in unverified steps only"
    assert [line.split() for line in lines[4:7]] == [
        ["category", "passed", "failed", "unverified", "unsupported", "recorded"],
        ["test", "1", "0", "1", "1", "1"],
        ["other", "0", "1", "0", "0", "0"],
    ]
    assert lines[7:] == [
        "of the failed, 1 differ in unverified steps only",
        "1 passed, 2 failed, 1 unsupported",
    ]


def test_the_command_selects_replays_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options, a file of one's own, the closing line, the exit status, and the profile for the adapter."""
    profiles: list[str] = []

    def make_adapter(profile: str = "default") -> Scripted:
        profiles.append(profile)
        return Scripted(lambda *_: True)

    module = ModuleType("tests.conformance.adapter")
    module.Adapter = make_adapter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests.conformance.adapter", module)
    file = tmp_path / "vectors.json"
    vectors = [
        vector_of(step("F", True), id="a-1", category="a"),
        vector_of(step("F", False, None), id="b-1", category="b"),
        vector_of(step("F", True), id="b-2", category="b"),
    ]
    file.write_text(json.dumps(vectors), encoding="utf-8")
    for options, status, last in (
        ([], 1, "2 passed, 1 failed, 0 unsupported"),
        (["--category", "a,b", "--id", "a-1,b-2"], 0, "2 passed, 0 failed, 0 unsupported"),
        (["--category", "a", "--profile", "wine_old"], 0, "1 passed, 0 failed, 0 unsupported"),
    ):
        assert main([*options, str(file)]) == status
        assert capsys.readouterr().out.splitlines()[-1] == last
    assert profiles == ["default"] * 5 + ["wine_old"]
    assert main(["-v", "--id", "b-1", str(file)]) == 1
    assert capsys.readouterr().out.count("step 0 F: ret: expected False, got True") == 2
    assert main(["--id", "none", str(file)]) == 2
