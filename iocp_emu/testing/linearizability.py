"""Was it as if everything had happened one after another?  A checker for histories of concurrent operations.

Theory.  A history is *linearizable* if every operation can be given a moment between its invocation and its return such
that, in the order of these moments, a sequential specification allows every result.  An operation that waits has two
moments: the first, when it takes its place, and the second, when its wait ends (a dequeue parks, then it is handed a
packet).  The search goes through all orders, latest decision first, and remembers each pair of what has happened and
the state of the specification, so that it never enters one twice.  An operation that has not returned may or may not
have happened.

Specifications: a FIFO queue, a LIFO stack, and `PortSpecification`, for which the kernel itself is the sequential port:
waiters last in first out, the concurrency value, packets first in first out.

>>> recorder = Recorder()
>>> recorder.call("T1", "put", 7), recorder.call("T2", "get", returns=7)
(None, 7)
>>> check_linearizable(recorder.operations, FifoSpecification()).is_linearizable
True
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from ..kernel.completion import Packet
from ..kernel.queue import RemoveOutcome
from .bounds import MAXIMUM_PACKETS, Bounds, Move, Verb
from .world import World

NOT_RETURNED = "did not return"
EMPTY = "nothing there"
TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one process (a thread, usually): `invoked` and `returned` are moments on one clock.

    `returned` is None, and `result` means nothing, for an operation that has not returned.
    """

    process: str
    name: str
    argument: Any
    result: Any
    invoked: int
    returned: int | None

    @property
    def has_returned(self) -> bool:
        """Whether it has."""
        return self.returned is not None

    def __str__(self) -> str:
        argument = "" if self.argument is None else repr(self.argument)
        result = "" if self.result is None else f" -> {self.result!r}"
        return f"{self.name}({argument}){result if self.has_returned else f' {NOT_RETURNED}'}"


class Specification(Protocol):
    """What results operations may have when they happen one after another."""

    def initial(self) -> Hashable:
        """The state in which every history begins."""
        ...

    def phases(self, operation: Operation) -> int:
        """1, or 2 for an operation that may wait."""
        ...

    def apply(self, state: Any, operation: Operation, phase: int) -> Iterable[Hashable]:
        """The states to which this phase (0 or 1) can lead; none if it is impossible or the result is wrong."""
        ...

    def subject(self, operation: Operation) -> Hashable | None:
        """Operations of one subject can be left out together without making a right history wrong; None: never."""
        ...


# -- recording -----------------------------------------------------------------------------------------------------


class Recorder:
    """Records operations of real threads.  Safe to share between threads; a call costs two locked increments."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moment = 0
        self._operations: list[Operation] = []

    def call(
        self,
        process: str,
        name: str,
        argument: Any = None,
        function: Callable[[], Any] | None = None,
        *,
        returns: Any = None,
        errors: dict[type[BaseException], Any] | None = None,
    ) -> Any:
        """Record one operation around `function()` and return its result; without a function it returns `returns`.

        An exception of a type in `errors` counts as that result.  Any other goes through, and the operation stays as
        one that has not returned.  Blocks as long as the function does.
        """
        with self._lock:
            self._moment += 1
            place = len(self._operations)
            self._operations.append(Operation(process, name, argument, None, self._moment, None))
        try:
            result = returns if function is None else function()
        except tuple(errors or ()) as error:
            assert errors is not None
            result = next(meaning for kind, meaning in errors.items() if isinstance(error, kind))
        with self._lock:
            self._moment += 1
            self._operations[place] = replace(self._operations[place], result=result, returned=self._moment)
        return result

    @property
    def operations(self) -> list[Operation]:
        """Everything recorded so far, in the order of invocation."""
        with self._lock:
            return list(self._operations)


# -- checking ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Whether a history is linearizable.

    If so, `order` is one order of its operations that explains it.  If not, `operations` is a smallest part of the
    history that cannot be explained, and `order` the longest beginning that can.  `configurations` were searched.
    """

    is_linearizable: bool
    operations: tuple[Operation, ...]
    order: tuple[Operation, ...]
    configurations: int
    stuck: tuple[Operation, ...] = field(default=())

    def __str__(self) -> str:
        if self.is_linearizable:
            return f"linearizable: {'; '.join(f'{each.process}: {each}' for each in self.order)}"
        explained = "; ".join(f"{each.process}: {each}" for each in self.order) or "nothing"
        impossible = "; ".join(f"{each.process}: {each}" for each in self.stuck)
        return (
            f"not linearizable.\n{history_chart(self.operations)}\n"
            f"The longest order that explains a beginning: {explained}.\nAfter that, impossible: {impossible}."
        )


def check_linearizable(operations: Sequence[Operation], specification: Specification) -> Verdict:
    """Search an order that explains the history.  Exponential in the number of operations that overlap, at worst.

    A history that cannot be explained is cut after the first return that makes it so, and then every subject is left
    out that is not needed for that.
    """
    verdict = _search(operations, specification)
    if verdict.is_linearizable:
        return verdict
    small = _smallest_beginning(operations, specification)
    for subject in dict.fromkeys(map(specification.subject, small)):
        if subject is not None:
            rest = [each for each in small if specification.subject(each) != subject]
            if not _search(rest, specification).is_linearizable:
                small = rest
    found = _search(small, specification)
    return replace(found, configurations=verdict.configurations)


def _smallest_beginning(operations: Sequence[Operation], specification: Specification) -> list[Operation]:
    """The history until the first return with which it cannot be explained; by bisection."""
    moments = sorted(each.returned for each in operations if each.returned is not None)
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        if _search(_until(operations, moments[middle]), specification).is_linearizable:
            low = middle + 1
        else:
            high = middle
    return _until(operations, moments[low])


def _until(operations: Sequence[Operation], moment: int) -> list[Operation]:
    return [
        each if each.returned is not None and each.returned <= moment else replace(each, result=None, returned=None)
        for each in operations
        if each.invoked <= moment
    ]


def _search(operations: Sequence[Operation], specification: Specification) -> Verdict:
    """Depth first over what may happen next; `progress` counts, by operation, the phases that have happened."""
    history = sorted(operations, key=lambda each: each.invoked)
    phases = [specification.phases(each) for each in history]
    needed = [place for place, each in enumerate(history) if each.has_returned]
    seen: set[tuple[tuple[int, ...], Any]] = set()
    start: tuple[tuple[int, ...], Any] = (tuple(0 for _ in history), specification.initial())
    stack: list[tuple[tuple[int, ...], Any, tuple[Any, ...] | None]] = [(*start, None)]
    best: tuple[Any, ...] | None = None
    best_count = -1
    best_stuck: tuple[Operation, ...] = ()
    while stack:
        progress, state, path = stack.pop()
        if (progress, state) in seen:
            continue
        seen.add((progress, state))
        if all(progress[place] == phases[place] for place in needed):
            return Verdict(True, tuple(history), _order(history, path), len(seen))
        open_places = [place for place in range(len(history)) if progress[place] < phases[place]]
        returns = [history[place].returned for place in open_places]
        deadline = min((moment for moment in returns if moment is not None), default=None)
        impossible: list[Operation] = []
        for place in reversed(open_places):
            operation = history[place]
            if deadline is not None and operation.invoked > deadline:
                continue
            advanced = (*progress[:place], progress[place] + 1, *progress[place + 1 :])
            successors = list(specification.apply(state, operation, progress[place]))
            stack += [(advanced, successor, (place, path)) for successor in successors]
            if not successors and operation.has_returned:
                impossible.append(operation)
        count = sum(progress)
        if count > best_count:
            best_count, best, best_stuck = count, path, tuple(reversed(impossible))
    return Verdict(False, tuple(history), _order(history, best), len(seen), best_stuck)


def _order(history: Sequence[Operation], path: tuple[Any, ...] | None) -> tuple[Operation, ...]:
    """The operations in the order of their last moments."""
    places: list[int] = []
    while path is not None:
        place, path = path
        if place not in places:
            places.append(place)
    return tuple(history[place] for place in reversed(places))


def history_chart(operations: Sequence[Operation]) -> str:
    """A line for each operation: from its invocation to its return, one column for each moment."""
    history = sorted(operations, key=lambda each: each.invoked)
    moments = sorted({m for each in history for m in (each.invoked, each.returned) if m is not None})
    column = {moment: place for place, moment in enumerate(moments)}
    width = max((len(each.process) for each in history), default=0)
    lines: list[str] = []
    for each in history:
        first = column[each.invoked]
        last = len(moments) if each.returned is None else column[each.returned]
        bar = " " * first + "|" + "-" * (last - first - 1) + ("|" if each.has_returned else ">")
        lines.append(f"  {each.process:{width}}  {bar:{len(moments) + 1}}  {each}")
    return "\n".join(lines)


# -- specifications ------------------------------------------------------------------------------------------------


class FifoSpecification:
    """A queue: `put(x)`, and `get()`, whose result is the oldest item, or `EMPTY` when there is none."""

    def initial(self) -> Hashable:
        """Empty."""
        return ()

    def phases(self, operation: Operation) -> int:
        """Nothing waits: a `get` that waits happens when there is something."""
        return 1

    def apply(self, state: tuple[Any, ...], operation: Operation, phase: int) -> Iterable[Hashable]:
        """Put at the end, get from the beginning."""
        if operation.name == "put":
            return [(*state, operation.argument)]
        return self._get(operation, state[:1], state[1:])

    def _get(self, operation: Operation, item: tuple[Any, ...], rest: tuple[Any, ...]) -> list[Hashable]:
        if not operation.has_returned:
            return [rest] if item else []
        if operation.result == EMPTY:
            return [] if item else [()]
        return [rest] if item and item[0] == operation.result else []

    def subject(self, operation: Operation) -> Hashable | None:
        """An item, put and got; a `get` without one can be left out alone."""
        if operation.name == "put":
            return ("item", operation.argument)
        if operation.has_returned and operation.result != EMPTY:
            return ("item", operation.result)
        return ("call", operation.process, operation.invoked)


class LifoSpecification(FifoSpecification):
    """A stack: `put(x)`, and `get()`, whose result is the latest item, or `EMPTY`."""

    def apply(self, state: tuple[Any, ...], operation: Operation, phase: int) -> Iterable[Hashable]:
        """Put at the end, get from the end."""
        if operation.name == "put":
            return [(*state, operation.argument)]
        return self._get(operation, state[-1:], state[:-1])


class PortSpecification:
    """A completion port with the concurrency value `limit`; the kernel itself says what happens one after another.

    Operations: `post(x)`; `get()`, whose result is a packet or `TIMED_OUT`; `poll()`, the same without waiting;
    `block()` and `unblock()`, of a thread that blocks elsewhere; `exit()`; and `depth()`, `waiting()` and `active()` of
    anybody who looks, which pin down when others have parked.  `processes` are the threads that dequeue, block or exit
    (at most 12); at most 40 packets are queued at a time.
    """

    def __init__(self, limit: int, processes: Sequence[str], profile: str = "win10") -> None:
        self._world = World(Bounds(len(processes), (limit,), MAXIMUM_PACKETS, profile=profile))
        self._start = (*self._world.codes, *self._world.port_codes)
        self._number = {process: number for number, process in enumerate(processes)}

    def initial(self) -> Hashable:
        """Nobody waits, nothing is queued, nobody holds a packet."""
        return (self._start, (), frozenset[Any]())

    def phases(self, operation: Operation) -> int:
        """A `get` takes its place, and then it ends."""
        return 2 if operation.name == "get" else 1

    def apply(self, state: Any, operation: Operation, phase: int) -> Iterable[Hashable]:
        """One verb of the kernel; the end of a `get` is what it was handed, or its timeout."""
        codes, queued, held = state
        if operation.name == "post":
            return self._perform(codes, (*queued, operation.argument), held, Move(Verb.POST, None, 0))
        if operation.name in ("depth", "waiting", "active"):
            seen = self._look(state, operation.name)
            return [state] if not operation.has_returned or operation.result == seen else []
        thread = self._number[operation.process]
        if operation.name in ("block", "unblock", "exit"):
            return self._perform(codes, queued, held, Move(Verb(operation.name), thread, None))
        if operation.name == "poll":
            outcomes = self._perform(codes, queued, held, Move(Verb.POLL, thread, 0))
            return [end for after in outcomes for end in self._end(after, thread, operation)]
        if phase == 0:
            return self._perform(codes, queued, held, Move(Verb.GET, thread, 0))
        return self._end(state, thread, operation)

    def _look(self, state: Any, what: str) -> int:
        _, (port,) = self._world.views(state[0][:-1], state[0][-1:])
        return {"depth": len(port.packets), "waiting": len(port.waiters), "active": port.active}[what]

    def _end(self, state: Any, thread: int, operation: Operation) -> list[Hashable]:
        """The call returns with what the thread has been given, if that is its result."""
        codes, queued, held = state
        given = [value for holder, value in held if holder == thread]
        if given:
            fits = not operation.has_returned or operation.result == given[0]
            return [(codes, queued, held - {(thread, given[0])})] if fits else []
        is_timeout = not operation.has_returned or operation.result == TIMED_OUT
        if not is_timeout:
            return []
        return [
            (after, rest, holders - {(thread, TIMED_OUT)})
            for after, rest, holders in self._perform(codes, queued, held, Move(Verb.EXPIRE, thread, None))
        ]

    def _perform(self, codes: Any, queued: tuple[Any, ...], held: frozenset[Any], move: Move) -> list[Any]:
        world = self._world
        world.load(codes)
        action = world.find_action(move)
        if action is None:
            return []
        outcome, woken = world.perform(action)
        own: list[tuple[int, Any]] = [] if move.thread is None else [(move.thread, outcome)]
        for thread, result in [*own, *woken]:
            if isinstance(result, list):
                packets = cast("list[Packet]", result)
                held |= {(thread, queued[packet.information]) for packet in packets}
            elif result is RemoveOutcome.TIMEOUT:
                held |= {(thread, TIMED_OUT)}
        remaining = tuple(queued[packet.information] for packet in world.queues[0].packets)
        codes, port_codes = world.refresh()
        return [((*codes, *port_codes), remaining, held)]

    def subject(self, operation: Operation) -> Hashable | None:
        """Every operation of a port bears on every other through the count."""
        return None

