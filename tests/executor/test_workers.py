"""Who runs a task: workers come when they are needed, the warmest is used, a blocked one is replaced, idle ones go."""

from __future__ import annotations

import threading
import time
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import iocp_emu
from iocp_emu import CompletionPortExecutor, Overflow, WaitDeadlock, WorkersExhausted, blocking

from .support import run_program, until


def test_workers_come_one_by_one() -> None:
    with CompletionPortExecutor(8, 4) as executor:
        assert executor.stats().workers == 0
        executor.submit(pow, 2, 5).result(10)
        assert executor.stats().workers == 1
        go_on = threading.Event()
        tasks = [executor.submit(go_on.wait) for _ in range(10)]
        until(lambda: sum(task.running() for task in tasks) == 4)
        stats = executor.stats()
        assert stats.workers == stats.runnable == 4  # the concurrency value, and none that could only park
        assert stats.queued == 6
        go_on.set()
    assert executor.stats().completed == 11
    assert executor.stats().workers == 0


def test_a_trickle_touches_one_worker() -> None:
    """Q-07: last in, first out.  Ten workers exist, and only the one that parked last is used."""
    with CompletionPortExecutor(10, 10) as executor:
        meet = threading.Barrier(10)
        futures.wait([executor.submit(meet.wait) for _ in range(10)])
        until(lambda: executor.stats().parked == 10)
        touched = set()
        for _ in range(100):
            touched.add(executor.submit(threading.get_ident).result(10))
            until(lambda: executor.stats().parked == 10)
        assert len(touched) == 1


@pytest.mark.parametrize(
    "wait",
    ["blocking()", "iocp_emu.sleep"],
)
def test_a_blocked_worker_is_replaced_lazily(wait: str) -> None:
    """Q-23, Q-25: while workers block, others are started for the queue, up to max_workers."""
    with CompletionPortExecutor(5, 1) as executor:
        go_on = threading.Event()
        waiting = blocking()(go_on.wait) if wait == "blocking()" else partial(until_set, go_on)
        tasks = [executor.submit(waiting) for _ in range(7)]
        until(lambda: executor.stats().blocked == 5)
        assert executor.stats().workers == 5
        assert executor.stats().queued == 2
        go_on.set()
        futures.wait(tasks)
        assert executor.stats().peak_workers == 5


def until_set(event: threading.Event) -> None:
    while not event.is_set():
        iocp_emu.sleep(0.005)


def test_the_coldest_workers_end_when_idle() -> None:
    with CompletionPortExecutor(4, 4, idle_timeout=0.05) as executor:
        meet = threading.Barrier(4)
        futures.wait([executor.submit(meet.wait) for _ in range(4)])
        until(lambda: executor.stats().workers == 0)
        assert executor.submit(pow, 2, 5).result(10) == 32
        assert executor.stats().completed == 5


def test_names_daemons_and_prefix() -> None:
    for daemon in (False, True):
        with CompletionPortExecutor(1, 1, "special", daemon=daemon) as executor:
            thread = executor.submit(threading.current_thread).result(10)
            assert thread.name == "special_0"
            assert thread.daemon is daemon
    with CompletionPortExecutor(1) as executor:
        assert executor.submit(threading.current_thread).result(10).name.startswith("CompletionPortExecutor-")


# -- nested tasks ------------------------------------------------------------------------------------------------------


def by_result(executor: CompletionPortExecutor, task: Future[int]) -> int:
    return task.result()


def by_exception(executor: CompletionPortExecutor, task: Future[int]) -> int:
    error = task.exception()
    if error is not None:
        raise error
    return task.result()


def by_wait(executor: CompletionPortExecutor, task: Future[int]) -> int:
    futures.wait([task])
    return task.result()


def by_first_completed(executor: CompletionPortExecutor, task: Future[int]) -> int:
    futures.wait([task], return_when=futures.FIRST_COMPLETED)
    return task.result()


def by_as_completed(executor: CompletionPortExecutor, task: Future[int]) -> int:
    return next(futures.as_completed([task])).result()


WAYS = [by_result, by_exception, by_wait, by_first_completed, by_as_completed]


def nest(executor: CompletionPortExecutor, depth: int, way: Any) -> int:
    """`depth` levels of tasks, each waiting for the next."""
    return 0 if depth == 0 else 1 + way(executor, executor.submit(nest, executor, depth - 1, way))


@pytest.mark.parametrize("way", WAYS)
def test_waiting_inside_the_pool_gives_the_slot_away(way: Any) -> None:
    """Q-23: with room for one running thread, five levels of nesting finish in six workers."""
    with CompletionPortExecutor(6, 1) as executor:
        assert executor.submit(nest, executor, 5, way).result(30) == 5
        assert executor.stats().peak_workers == 6


@pytest.mark.parametrize("way", WAYS)
def test_exhaustion_is_diagnosed_and_named(way: Any) -> None:
    with CompletionPortExecutor(3, 1, "pool") as executor:
        with pytest.raises(WorkersExhausted) as caught:
            executor.submit(nest, executor, 3, way).result(30)
        chain = caught.value.chain
        assert len(chain) == 3
        assert [step.partition(" waits ")[0] for step in chain] == [f"nest in pool_{n}" for n in range(3)]
        assert "which runs in pool_1" in chain[0]
        assert "which is queued" in chain[2]
        assert "all 3 workers" in str(caught.value)
        assert executor.submit(pow, 2, 5).result(30) == 32


def test_what_may_succeed_is_not_refused() -> None:
    """A wait with a timeout, for somebody else's future, or beside somebody else's future, can end."""
    with CompletionPortExecutor(1, 1) as executor:
        foreign: Future[int] = Future()

        def timed() -> str:
            try:
                executor.submit(pow, 2, 5).result(0.05)
            except futures.TimeoutError:
                return "timed out"
            return "ran"

        assert executor.submit(timed).result(30) == "timed out"
        waiting = executor.submit(foreign.result)
        until(lambda: executor.stats().runnable or executor.stats().blocked)
        foreign.set_result(3)
        assert waiting.result(30) == 3
        foreign = Future()

        def beside() -> int:
            queued = executor.submit(pow, 2, 5)
            done, _ = futures.wait([queued, foreign], return_when=futures.FIRST_COMPLETED)
            return done.pop().result()

        waiting = executor.submit(beside)
        until(lambda: executor.stats().blocked)
        foreign.set_result(4)
        assert waiting.result(30) == 4


def test_a_circle_of_tasks_is_named_though_workers_remain() -> None:
    with CompletionPortExecutor(8, 2) as executor:
        tasks: list[Future[int]] = []
        ready = threading.Event()

        def wait_for_the_other(other: int) -> int:
            ready.wait()
            return tasks[other].result()

        tasks += [executor.submit(wait_for_the_other, other) for other in (1, 0)]
        ready.set()
        errors = [task.exception(30) for task in tasks]
        assert all(type(error) is WaitDeadlock for error in errors)
        assert len(errors[0].chain) == 2  # type: ignore[union-attr]
        own: list[Future[Any]] = []
        ready.clear()
        own.append(executor.submit(lambda: ready.wait() and own[0].result()))
        ready.set()
        with pytest.raises(WaitDeadlock, match="in a circle"):
            own[0].result(30)


def test_waiting_for_room_can_close_a_deadlock_too() -> None:
    with CompletionPortExecutor(1, 1, max_pending=1, overflow=Overflow.BLOCK) as executor:

        def submit_two() -> None:
            executor.submit(pow, 2, 5)
            executor.submit(pow, 2, 6)

        with pytest.raises(WorkersExhausted, match="room in the queue"):
            executor.submit(submit_two).result(30)
        assert executor.submit(pow, 2, 5).result(30) == 32


NESTED = """
    import iocp_emu
    from concurrent.futures import ThreadPoolExecutor

    def outer():
        return executor.submit(inner).result()

    def inner():
        return executor.submit(pow, 2, 5).result()

    with {executor} as executor:
        tasks = [executor.submit(outer) for _ in range(8)]
        print([task.result() for task in tasks])
"""


def test_what_deadlocks_a_thread_pool_of_n_finishes_in_ours() -> None:
    """The same program: with two threads it hangs, with two *running* threads it ends."""
    import subprocess

    with pytest.raises(subprocess.TimeoutExpired):
        run_program(NESTED.format(executor="ThreadPoolExecutor(2)"), timeout=2)
    ended = run_program(NESTED.format(executor="iocp_emu.CompletionPortExecutor(24, 2)"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == str([32] * 8).split()


def test_count_stays_exact() -> None:
    """Q-02, Q-26: runnable workers exceed the concurrency value by those that came back from blocking at most."""
    with CompletionPortExecutor(16, 2) as executor:
        inside = 0
        most_at_hand_out = 0
        guard = threading.Lock()

        def work() -> None:
            nonlocal inside, most_at_hand_out
            with guard:
                inside += 1
                most_at_hand_out = max(most_at_hand_out, inside)
                inside -= 1
            with blocking():
                time.sleep(0.001)

        futures.wait([executor.submit(work) for _ in range(300)])
        until(lambda: executor.stats().parked == executor.stats().workers)
        assert executor.port.active == 0
        assert most_at_hand_out >= 1


@pytest.mark.slow
def test_200k_tasks_leave_nothing_behind() -> None:
    """Nothing grows: neither objects nor memory."""
    import gc
    import resource

    def round_of(tasks: int) -> None:
        futures.wait([executor.submit(pow, 2, 5) for _ in range(tasks)])

    with CompletionPortExecutor(8, 2) as executor:
        for _ in range(4):
            round_of(5_000)
        gc.collect()
        objects, memory = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(40):
            round_of(5_000)
        gc.collect()
        assert len(gc.get_objects()) < objects + 200
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < memory * 1.2
        assert executor.stats().completed == 220_000


def test_as_thread_pool_is_only_a_face() -> None:
    with CompletionPortExecutor(1) as executor:
        pool = executor.as_thread_pool()
        assert isinstance(pool, ThreadPoolExecutor)
        assert pool.submit(pow, 2, 5).result(10) == 32
        assert list(pool.map(abs, [-1, 2])) == [1, 2]
        pool.shutdown()
        with pytest.raises(RuntimeError):
            executor.submit(pow, 2, 5)
