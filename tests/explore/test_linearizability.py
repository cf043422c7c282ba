"""The linearizability checker: known histories, both verdicts; histories of real threads; broken queues."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import permutations
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu import CompletionPort, ThreadSystem, blocking, spawn, use
from iocp_emu.testing.linearizability import (
    EMPTY,
    TIMED_OUT,
    FifoSpecification,
    LifoSpecification,
    Operation,
    PortSpecification,
    Recorder,
    Specification,
    check_linearizable,
)
from tests.explore.zoo.ports import FifoWaiters

ERRORS: dict[type[BaseException], Any] = {TimeoutError: TIMED_OUT, Empty: EMPTY}


def operations(*rows: tuple[str, str, Any, Any, int, int | None]) -> list[Operation]:
    """A history, written by hand."""
    return [Operation(*row) for row in rows]


def fits(specification: Specification, *rows: tuple[str, str, Any, Any, int, int | None]) -> bool:
    """Whether it can be explained."""
    return check_linearizable(operations(*rows), specification).is_linearizable


# -- known histories -----------------------------------------------------------------------------------------------


def test_q06_overlapping_puts_may_have_happened_in_either_order() -> None:
    """Q-06: what overlaps has no order of its own; what does not, has."""
    for first, second in (("a", "b"), ("b", "a")):
        gets = (("C", "get", None, first, 5, 6), ("C", "get", None, second, 7, 8))
        assert fits(FifoSpecification(), ("A", "put", "a", None, 1, 3), ("B", "put", "b", None, 2, 4), *gets)
        in_turn = fits(FifoSpecification(), ("A", "put", "a", None, 1, 2), ("B", "put", "b", None, 3, 4), *gets)
        assert in_turn == (first == "a")


def test_a_stack_is_no_queue() -> None:
    """The same history, two specifications, two verdicts."""
    rows = (
        ("A", "put", 1, None, 1, 2),
        ("A", "put", 2, None, 3, 4),
        ("A", "get", None, 2, 5, 6),
        ("A", "get", None, 1, 7, 8),
        ("A", "get", None, EMPTY, 9, 10),
    )
    assert fits(LifoSpecification(), *rows)
    assert not fits(FifoSpecification(), *rows)


def test_an_operation_that_has_not_returned_may_have_happened() -> None:
    """Or not."""
    pending = ("A", "put", 1, None, 1, None)
    assert fits(FifoSpecification(), pending, ("B", "get", None, 1, 2, 3))
    assert fits(FifoSpecification(), pending, ("B", "get", None, EMPTY, 2, 3))
    assert not fits(FifoSpecification(), pending, ("B", "get", None, 1, 2, 3), ("B", "get", None, 1, 4, 5))


def test_a_counterexample_is_small_and_readable() -> None:
    """What came after the failure, and items that have nothing to do with it, are left out."""
    rows: list[tuple[str, str, Any, Any, int, int | None]] = []
    for number in range(10):
        rows.append(("A", "put", number, None, 4 * number, 4 * number + 1))
        rows.append(("B", "get", None, number, 4 * number + 2, 4 * number + 3))
    rows[8:10] = [
        ("A", "put", "x", None, 100, 101),
        ("A", "put", "y", None, 102, 103),
        ("B", "get", None, "y", 104, 105),
        ("B", "get", None, "x", 106, 107),
    ]
    verdict = check_linearizable(operations(*rows), FifoSpecification())
    assert not verdict.is_linearizable
    assert sorted(str(each) for each in verdict.operations) == ["get() -> 'y'", "put('x')", "put('y')"]
    assert [str(each) for each in verdict.stuck] == ["get() -> 'y'"]
    text = str(verdict)
    assert "not linearizable" in text
    assert "impossible: B: get() -> 'y'" in text


def explains(history: list[Operation]) -> bool:
    """A queue, by trying every order: what the checker is compared with."""
    for order in permutations(history):
        in_time = all(
            not (later.returned is not None and later.returned < earlier.invoked)
            for place, earlier in enumerate(order)
            for later in order[place + 1 :]
        )
        items: list[Any] = []
        right = in_time
        for each in order if in_time else ():
            if each.name == "put":
                items.append(each.argument)
            else:
                right = right and (items.pop(0) if items else EMPTY) == each.result
        if right:
            return True
    return False


@st.composite
def small_histories(draw: st.DrawFn) -> list[Operation]:
    """Up to 5 operations on a queue, with whatever results."""
    history: list[Operation] = []
    for number in range(draw(st.integers(1, 5))):
        invoked = draw(st.integers(0, 8)) * 10 + number
        returned = invoked + draw(st.integers(1, 40)) * 10 + 5
        if draw(st.booleans()):
            history.append(Operation(f"T{number}", "put", draw(st.integers(0, 2)), None, invoked, returned))
        else:
            result = draw(st.sampled_from([0, 1, 2, EMPTY]))
            history.append(Operation(f"T{number}", "get", None, result, invoked, returned))
    return history


@settings(max_examples=300)
@given(small_histories())
def test_the_checker_agrees_with_trying_every_order(history: list[Operation]) -> None:
    """On small histories, right and wrong ones."""
    assert check_linearizable(history, FifoSpecification()).is_linearizable == explains(history)


# -- ports ---------------------------------------------------------------------------------------------------------


def test_q07_a_waiter_has_its_place_from_when_it_parked() -> None:
    """Q-07: the last to park is the first to go, where it can be known who was last."""
    spec = PortSpecification(2, ["T1", "T2"])
    both = (("T1", "get", None, "b", 1, 9), ("T2", "get", None, "a", 3, 8))
    posts = (("M", "post", "a", None, 5, 6), ("M", "post", "b", None, 10, 11))
    seen = ("M", "waiting", None, 1, 2, 2)
    assert not fits(spec, *both, *posts), "b was delivered before it was posted"
    posts = (posts[0], ("M", "post", "b", None, 7, 8))
    swapped = (("T1", "get", None, "a", 1, 9), ("T2", "get", None, "b", 3, 10))
    everybody = ("M", "waiting", None, 2, 4, 4)
    assert fits(spec, *both, *posts)
    assert fits(spec, *swapped, *posts), "who parked first cannot be known"
    assert fits(spec, seen, everybody, *both, *posts)
    assert not fits(spec, seen, everybody, *swapped, *posts)


def test_q10_a_packet_above_the_limit_stays_queued() -> None:
    """Q-10, Q-13: with the limit 1 a second caller gets nothing while the first one runs."""
    first = (("M", "post", "a", None, 1, 2), ("M", "post", "b", None, 3, 4), ("T1", "poll", None, "a", 5, 6))
    assert fits(PortSpecification(1, ["T1", "T2"]), *first, ("T2", "poll", None, TIMED_OUT, 7, 8))
    assert not fits(PortSpecification(1, ["T1", "T2"]), *first, ("T2", "poll", None, "b", 7, 8))
    assert fits(PortSpecification(2, ["T1", "T2"]), *first, ("T2", "poll", None, "b", 7, 8))


def test_q25_blocking_lets_another_thread_have_the_packet() -> None:
    """Q-23, Q-25: and not blocking does not."""
    rows = (
        ("M", "post", "a", None, 1, 2),
        ("T1", "poll", None, "a", 3, 4),
        ("M", "post", "b", None, 5, 6),
        ("T2", "get", None, "b", 7, 12),
    )
    block = ("T1", "block", None, None, 8, 9)
    assert fits(PortSpecification(1, ["T1", "T2"]), *rows, block, ("M", "active", None, 1, 13, 14))
    assert not fits(PortSpecification(1, ["T1", "T2"]), *rows)


@pytest.fixture(params=["fast", "locked"])
def system(request: pytest.FixtureRequest) -> Iterator[ThreadSystem]:
    """Real threads, with the lock-free path and with every call under the lock."""
    system = ThreadSystem(processors=2)
    system.has_fast_path = system.has_fast_path and request.param == "fast"
    with use(system):
        yield system


def work_with(port: CompletionPort, recorder: Recorder, name: str, seed: int, count: int, finish: Any) -> None:
    """A worker that dequeues in every way and blocks now and then; it ends, which frees its slot, after all others."""
    chance = random.Random(seed)
    for _ in range(count):
        choice = chance.random()
        if choice < 0.3:
            recorder.call(name, "poll", function=lambda: port.get(timeout=0).key, errors=ERRORS)
        else:
            recorder.call(name, "get", function=lambda: port.get(timeout=0.002).key, errors=ERRORS)
        if choice > 0.8:
            scope = blocking()
            recorder.call(name, "block", function=scope.__enter__)
            time.sleep(0.0002)
            recorder.call(name, "unblock", function=lambda: scope.__exit__(None, None, None))  # noqa: B023
    finish.wait()


def real_history(limit: int, seed: int) -> list[Operation]:
    """Three workers and two producers on one port."""
    recorder, finish = Recorder(), threading.Barrier(3, timeout=60)
    with CompletionPort(limit) as port:
        names = ["T1", "T2", "T3"]
        workers = [
            spawn(work_with, port, recorder, name, 10 * seed + number, 5, finish) for number, name in enumerate(names)
        ]

        def produce(name: str) -> None:
            for number in range(5):
                key = f"{name}{number}"
                recorder.call(name, "post", key, lambda: port.post(key=key))  # noqa: B023

        producers = [spawn(produce, name) for name in ("p", "q")]
        for producer in producers:
            producer.join(60)
        for worker in workers:
            worker.join(60)
    return recorder.operations


@pytest.mark.parametrize("limit", [1, 2])
def test_real_ports_are_linearizable(system: ThreadSystem, limit: int) -> None:
    """Q-39, Q-33: what real threads see of a port is what the kernel does, one verb after another."""
    for seed in range(4):
        verdict = check_linearizable(real_history(limit, seed), PortSpecification(limit, ["T1", "T2", "T3"]))
        assert verdict.is_linearizable, str(verdict)


def two_waiters_then_two_posts() -> list[Operation]:
    """Two threads park, one known to be after the other, and then there are two packets."""
    recorder = Recorder()
    finish = threading.Event()
    with CompletionPort(2) as port:

        def work(name: str) -> None:
            recorder.call(name, "get", function=lambda: port.get().key)
            finish.wait(60)

        workers = []
        for number, name in enumerate(("T1", "T2"), start=1):
            workers.append(spawn(work, name))
            deadline = time.monotonic() + 60
            while port.waiting < number and time.monotonic() < deadline:
                time.sleep(0.0005)
            recorder.call("M", "waiting", function=lambda: port.waiting)
        for key in ("a", "b"):
            recorder.call("M", "post", key, lambda: port.post(key=key))  # noqa: B023
        deadline = time.monotonic() + 60
        while not all(each.has_returned for each in recorder.operations) and time.monotonic() < deadline:
            time.sleep(0.0005)
        finish.set()
        for worker in workers:
            worker.join(60)
    return recorder.operations


@pytest.mark.parametrize("is_broken", [False, True])
def test_q07_real_threads_on_a_broken_port(is_broken: bool) -> None:
    """Q-07: a port that releases its waiters first in, first out is caught on real threads; the right one is not."""
    system = ThreadSystem(processors=2, queue_type=FifoWaiters) if is_broken else ThreadSystem(processors=2)
    with use(system):
        verdict = check_linearizable(two_waiters_then_two_posts(), PortSpecification(2, ["T1", "T2"]))
    assert verdict.is_linearizable != is_broken, str(verdict)


def run_queue(put: Callable[[Any], Any], get: Callable[[], Any]) -> list[Operation]:
    """Three real threads on a queue."""
    recorder, start = Recorder(), threading.Barrier(3)

    def work(name: str) -> None:
        start.wait(60)
        for number in range(6):
            recorder.call(name, "put", f"{name}{number}", lambda: put(f"{name}{number}"))  # noqa: B023
            recorder.call(name, "get", function=get, errors={**ERRORS, IndexError: EMPTY})

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return recorder.operations


def test_a_queue_of_the_standard_library_is_linearizable() -> None:
    """On real threads."""
    queue: SimpleQueue[Any] = SimpleQueue()
    for _ in range(5):
        verdict = check_linearizable(run_queue(queue.put, queue.get_nowait), FifoSpecification())
        assert verdict.is_linearizable, str(verdict)


def test_broken_queues_are_not_linearizable() -> None:
    """One that hands out the latest once it holds two, one that hands out the first item twice."""
    for spoil in ("latest", "twice"):
        items: deque[Any] = deque()
        lock = threading.Lock()
        handed: list[Any] = []

        def get(items: deque[Any] = items, lock: Any = lock, handed: list[Any] = handed, spoil: str = spoil) -> Any:
            with lock:
                if spoil == "twice" and len(handed) == 1:
                    handed.append(handed[0])
                else:
                    handed.append(items.pop() if spoil == "latest" else items.popleft())
                return handed[-1]

        put = items.append
        put("x")
        put("y")
        recorder = Recorder()
        for item in ("x", "y"):
            recorder.call("main", "put", item)
        for _ in range(2):
            recorder.call("main", "get", function=get)
        history = recorder.operations
        shift = history[-1].returned or 0
        for each in run_queue(put, get):
            history.append(Operation(each.process, each.name, each.argument, each.result, each.invoked + shift,
                                     None if each.returned is None else each.returned + shift))
        verdict = check_linearizable(history, FifoSpecification())
        assert not verdict.is_linearizable
        assert len(verdict.operations) <= 4, str(verdict)


def test_an_error_that_is_no_result_goes_through() -> None:
    """And its operation stays as one that has not returned."""
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError):
        recorder.call("T1", "get", function=lambda: 1 // 0)
    (operation,) = recorder.operations
    assert not operation.has_returned
    assert "did not return" in str(operation)
