"""Any mix of submits, cancels, nested tasks, blocking and a shutdown: every future ends, the count is exact."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, Future
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocp_emu import CompletionPortExecutor, WorkersExhausted, blocking
from iocp_emu.kernel.thread import ThreadState

from .support import until

STEPS = st.lists(
    st.sampled_from(["plain", "block", "nest", "nest twice", "fail", "cancel last", "wait for first", "yield"]),
    min_size=1,
    max_size=40,
)


class Overshoot:
    """Looks at a port whenever a task begins: how many of its threads run, and how many may."""

    def __init__(self, executor: CompletionPortExecutor) -> None:
        self._executor = executor
        self.came_back = 0
        self.broken: list[str] = []
        self._guard = threading.Lock()

    def back(self, step: int) -> None:
        """A task comes back from blocking (1), or one that did has ended (-1)."""
        with self._guard:
            self.came_back += step

    def look(self) -> None:
        """Q-02, Q-26: what is counted is runnable members, and only returned ones can be above the value."""
        port = self._executor.port.waitable

        def count() -> tuple[int, int]:
            members = port.queue.members
            return port.queue.current_count, sum(1 for each in members if each.state is ThreadState.RUNNABLE)

        counted, runnable = self._executor._crew.system.perform(count)
        if counted != runnable:
            self.broken.append(f"count is {counted}, but {runnable} members are runnable")
        if counted > self._executor.port.concurrency + self._executor.max_workers:
            self.broken.append(f"count is {counted}")


def ended(task: Future[Any]) -> bool:
    """Whether it ended in one of the ways that it may."""
    try:
        task.result(60)
    except (CancelledError, LookupError, WorkersExhausted):
        pass
    return task.done()


@given(
    steps=STEPS,
    max_workers=st.integers(1, 6),
    concurrency=st.integers(1, 3),
    shutdown=st.sampled_from(["wait", "cancel", "drop"]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_every_future_ends(steps: list[str], max_workers: int, concurrency: int, shutdown: str) -> None:
    executor: CompletionPortExecutor = CompletionPortExecutor(max_workers, concurrency)
    overshoot = Overshoot(executor)
    tasks: list[Future[Any]] = []
    nested: list[Future[Any]] = []

    def plain() -> None:
        overshoot.look()

    def block() -> None:
        with blocking():
            time.sleep(0.0005)
        overshoot.look()

    def nest(depth: int, executor: CompletionPortExecutor = executor) -> None:
        overshoot.look()
        if depth:
            try:
                inner = executor.submit(nest, depth - 1)
            except RuntimeError:
                return  # after shutdown
            nested.append(inner)
            inner.result()

    def fail() -> None:
        raise LookupError

    for step in steps:
        if step == "plain":
            tasks.append(executor.submit(plain))
        elif step == "block":
            tasks.append(executor.submit(block))
        elif step.startswith("nest"):
            tasks.append(executor.submit(nest, 1 + step.count("twice")))
        elif step == "fail":
            tasks.append(executor.submit(fail))
        elif step == "cancel last" and tasks:
            tasks[-1].cancel()
        elif step == "wait for first" and tasks:
            assert ended(tasks[0])
        elif step == "yield":
            time.sleep(0)
    port = executor.port.waitable
    if shutdown == "drop":
        overshoot_problems = overshoot.broken
        until(lambda: all(task.done() for task in tasks))
    else:
        executor.shutdown(cancel_futures=shutdown == "cancel")
        overshoot_problems = overshoot.broken
    assert all(ended(task) for task in [*tasks, *nested])
    assert overshoot_problems == []
    if shutdown != "drop":
        assert executor.stats().workers == 0
        assert port.queue.current_count == 0
        assert not port.queue.members
    executor.shutdown()


@given(order=st.permutations(range(6)), concurrency=st.integers(1, 6))
@settings(max_examples=20)
def test_hand_out_never_exceeds_the_value(order: list[int], concurrency: int) -> None:
    """Q-13: tasks that do not block run `concurrency` at a time, never more, whatever order they end in."""
    with CompletionPortExecutor(6, concurrency) as executor:
        gates = [threading.Event() for _ in range(6)]
        tasks = [executor.submit(gate.wait) for gate in gates]
        for ending in order:
            left = sum(not task.done() for task in tasks)
            until(lambda left=left: sum(task.running() for task in tasks) == min(left, concurrency))  # type: ignore[misc]
            until(lambda left=left: executor.port.active == min(left, concurrency))  # type: ignore[misc]
            assert executor.stats().runnable <= concurrency
            gates[ending].set()
            if tasks[ending].running():
                until(tasks[ending].done)
