"""`CompletionPortExecutor` as a `concurrent.futures` executor: arguments, tasks, contexts, map, bounds, packets."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
import threading
import weakref
from collections.abc import Generator
from concurrent import futures
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from iocp_emu import (
    BrokenCompletionPortExecutor,
    CompletionPortExecutor,
    Overflow,
    ThreadSystem,
    TooManyPending,
    blocking,
    current_system,
    use,
)

from .support import until


def fail() -> None:
    raise LookupError("on purpose")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"max_workers": True}, TypeError),
        ({"max_workers": "2"}, TypeError),
        ({"concurrency": -1}, ValueError),
        ({"concurrency": 1.0}, TypeError),
        ({"initializer": 3}, TypeError),
        ({"on_packet": 3}, TypeError),
        ({"max_pending": 0}, ValueError),
        ({"overflow": "block"}, TypeError),
        ({"daemon": "no"}, TypeError),
        ({"idle_timeout": -1}, ValueError),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        CompletionPortExecutor(**arguments)


def test_it_is_an_executor_and_no_thread_pool() -> None:
    with CompletionPortExecutor() as executor:
        assert isinstance(executor, Executor)
        assert not isinstance(executor, ThreadPoolExecutor)
        assert executor.max_workers >= 1


def test_futures_are_futures() -> None:
    with CompletionPortExecutor(2) as executor:
        future = executor.submit(pow, 2, 5)
        assert isinstance(future, Future)
        assert future.result(10) == 32
        assert future.exception() is None
        assert future.done()
        assert not future.cancelled()
        assert not future.running()
        assert not future.cancel()
        assert "finished returned int" in repr(future)
        failing = executor.submit(fail)
        assert isinstance(failing.exception(10), LookupError)
        with pytest.raises(LookupError, match="on purpose"):
            failing.result()
        assert "raised LookupError" in repr(failing)


def test_timeout_and_cancel() -> None:
    with CompletionPortExecutor(1, 1) as executor:
        go_on = threading.Event()
        first = executor.submit(go_on.wait)
        until(first.running)
        second = executor.submit(pow, 2, 5)
        with pytest.raises(futures.TimeoutError):
            second.result(0)
        with pytest.raises(futures.TimeoutError):
            second.exception(0.001)
        called: list[Future[int]] = []
        second.add_done_callback(called.append)
        assert second.cancel()
        assert called == [second]
        assert second.cancel()
        assert second.cancelled()
        with pytest.raises(futures.CancelledError):
            second.result()
        assert not first.cancel()
        go_on.set()


def test_callbacks_run_in_order_survive_errors_and_may_submit(caplog: pytest.LogCaptureFixture) -> None:
    with CompletionPortExecutor(2) as executor:
        seen: list[Any] = []
        go_on = threading.Event()
        future = executor.submit(go_on.wait)
        future.add_done_callback(lambda _: seen.append(1))
        future.add_done_callback(lambda _: fail())
        future.add_done_callback(lambda _: seen.append(executor.submit(pow, 2, 5)))
        go_on.set()
        until(lambda: len(seen) == 2)
        assert seen[0] == 1
        assert seen[1].result(10) == 32
        assert "on purpose" in caplog.text
        future.add_done_callback(seen.append)
        assert seen[2] is future


def test_wait_and_as_completed_see_each_outcome() -> None:
    with CompletionPortExecutor(4, 4) as executor:
        tasks = [executor.submit(pow, 2, n) for n in range(20)] + [executor.submit(fail)]
        assert futures.wait(tasks, 10).done == set(tasks)
        assert set(futures.as_completed(tasks, 10)) == set(tasks)
        with_foreign: list[Future[Any]] = [*tasks, Future()]
        assert len(futures.wait(with_foreign, 0.01).not_done) == 1


def test_cancelled_tasks_of_shutdown_are_reported_to_wait() -> None:
    executor = CompletionPortExecutor(1, 1)
    go_on = threading.Event()
    first = executor.submit(go_on.wait)
    until(first.running)
    queued = [executor.submit(pow, 2, n) for n in range(5)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(task.cancelled() for task in queued)
    threading.Timer(0.01, go_on.set).start()
    assert futures.wait([first, *queued], 30).not_done == set()
    executor.shutdown()


def test_context_is_copied_at_submit() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    with CompletionPortExecutor(1, 1) as executor:
        token = variable.set("at submit")
        future = executor.submit(variable.get)
        variable.reset(token)
        assert future.result(10) == "at submit"
        executor.submit(variable.set, "inside a task").result(10)
        assert executor.submit(variable.get).result(10) == "unset"


def test_tasks_run_in_the_system_of_the_executor() -> None:
    system = ThreadSystem()
    with use(system):
        executor = CompletionPortExecutor(1, 1)
    with executor:
        assert executor.submit(current_system).result(10) is system


def test_exceptions_keep_no_cycle() -> None:
    class Marker:
        pass

    def raise_with(marker: Marker) -> None:
        raise LookupError("on purpose")

    gc.collect()
    gc.disable()
    try:
        with CompletionPortExecutor(1, 1) as executor:
            marker = Marker()
            gone = weakref.ref(marker)
            future = executor.submit(raise_with, marker)
            del marker
            with pytest.raises(LookupError):
                future.result(10)
            del future
            until(lambda: gone() is None, "the end of the argument")
    finally:
        gc.enable()


# -- map ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("buffersize", "error"), [("1", TypeError), (1.5, TypeError), (0, ValueError), (-1, ValueError)]
)
def test_buffersize_is_checked(buffersize: Any, error: type[Exception]) -> None:
    with CompletionPortExecutor(1) as executor, pytest.raises(error):
        executor.map(str, [1], buffersize=buffersize)


def test_map_takes_no_more_than_the_buffer() -> None:
    with CompletionPortExecutor(2) as executor:
        numbers = itertools.count()
        results = executor.map(str, numbers, buffersize=3)
        assert next(numbers) == 3
        assert next(results) == "0"
        assert next(results) == "1"
        assert next(numbers) == 6
        results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("buffersize", [None, 1, 3, 100])
def test_map_keeps_the_order(buffersize: int | None) -> None:
    with CompletionPortExecutor(4) as executor:
        assert list(executor.map(pow, range(20), range(20), buffersize=buffersize)) == [n**n for n in range(20)]


def test_map_without_its_executor_yields_what_was_submitted() -> None:
    executor = CompletionPortExecutor(2)
    results = executor.map(str, itertools.count(), buffersize=3)
    del executor
    gc.collect()
    assert list(results) == ["0", "1", "2"]


def test_map_cancels_the_rest_after_an_error() -> None:
    with CompletionPortExecutor(1, 1) as executor:
        ran: list[int] = []
        go_on = threading.Event()

        def work(number: int) -> None:
            if number == 0:
                raise LookupError
            go_on.wait()
            ran.append(number)

        results = executor.map(work, range(10))
        with pytest.raises(LookupError):
            next(results)
        go_on.set()
        until(lambda: executor.stats().queued == 0)
    assert ran in ([], [1])


# -- initializer -------------------------------------------------------------------------------------------------------


def test_initializer_runs_once_in_each_worker() -> None:
    ran: list[str] = []
    with CompletionPortExecutor(
        2, 2, "named", lambda *given: ran.append(f"{threading.current_thread().name} {given}"), ("given",)
    ) as executor:
        meet = threading.Barrier(2)
        for future in [executor.submit(meet.wait) for _ in range(2)]:
            future.result(30)
    assert sorted(ran) == ["named_0 ('given',)", "named_1 ('given',)"]


def test_failing_initializer_breaks_the_executor(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()

    def initializer() -> None:
        go_on.wait()
        fail()

    with CompletionPortExecutor(2, 1, initializer=initializer) as executor:
        tasks = [executor.submit(pow, 2, n) for n in range(5)]
        go_on.set()
        for task in tasks:
            with pytest.raises(BrokenCompletionPortExecutor):
                task.result(30)
        assert executor.broken
        with pytest.raises(BrokenExecutor, match="initializer"):
            executor.submit(pow, 2, 5)
        assert "broken" in repr(executor)
    assert "Exception in initializer" in caplog.text


# -- max_pending -------------------------------------------------------------------------------------------------------


def occupied(overflow: Overflow, max_pending: int = 2) -> tuple[CompletionPortExecutor, threading.Event]:
    """An executor whose only worker is busy until the event is set, with `max_pending` tasks in the queue."""
    executor = CompletionPortExecutor(1, 1, max_pending=max_pending, overflow=overflow)
    go_on = threading.Event()
    first = executor.submit(go_on.wait)
    until(first.running)
    for _ in range(max_pending):
        executor.submit(pow, 2, 5)
    return executor, go_on


def test_overflow_raise() -> None:
    executor, go_on = occupied(Overflow.RAISE)
    with executor:
        try:
            with pytest.raises(TooManyPending, match="2 tasks"):
                executor.submit(pow, 2, 5)
        finally:
            go_on.set()
        until(lambda: executor.stats().completed == 3)
        assert executor.submit(pow, 2, 5).result(10) == 32


def test_overflow_caller_runs() -> None:
    executor, go_on = occupied(Overflow.CALLER_RUNS)
    with executor:
        future = executor.submit(threading.get_ident)
        assert future.done()
        assert future.result() == threading.get_ident()
        go_on.set()


def test_overflow_block() -> None:
    executor, go_on = occupied(Overflow.BLOCK)
    with executor:
        submitted: list[Future[int]] = []
        submitter = threading.Thread(target=lambda: submitted.append(executor.submit(pow, 2, 5)))
        submitter.start()
        submitter.join(0.05)
        assert not submitted
        assert executor.stats().queued == 2
        go_on.set()
        submitter.join(30)
        assert submitted[0].result(10) == 32


def test_shutdown_ends_a_blocked_submit() -> None:
    executor, go_on = occupied(Overflow.BLOCK, 1)
    refused: list[BaseException] = []

    def submit() -> None:
        try:
            executor.submit(pow, 2, 5)
        except RuntimeError as error:
            refused.append(error)

    submitter = threading.Thread(target=submit)
    submitter.start()
    submitter.join(0.05)
    executor.shutdown(wait=False)
    submitter.join(30)
    assert "after shutdown" in str(refused[0])
    go_on.set()
    executor.shutdown()


# -- packets of any origin ---------------------------------------------------------------------------------------------


def test_packets_of_other_origin_go_to_the_handler() -> None:
    seen: list[Any] = []
    with CompletionPortExecutor(2, on_packet=lambda packet: seen.append((packet.key, packet.bytes))) as executor:
        executor.submit(pow, 2, 5).result(10)
        executor.port.post(7, "key")
        until(lambda: seen)
    assert seen == [("key", 7)]


def test_packets_find_a_worker_though_nothing_was_submitted(tmp_path: Any) -> None:
    """Posted to an executor without workers, with only busy ones, or completed by a file: each packet is handled."""
    from iocp_emu import File

    seen: list[int] = []
    with CompletionPortExecutor(4, 2, idle_timeout=0.02, on_packet=lambda got: seen.append(got.bytes)) as executor:
        executor.port.post(1)
        until(lambda: seen == [1])
        go_on = threading.Event()
        busy = executor.submit(go_on.wait)
        until(busy.running)
        executor.port.post(2)
        until(lambda: seen == [1, 2])
        with blocked(executor, 2):
            executor.port.post(3)
            until(lambda: seen == [1, 2, 3])
        go_on.set()
        (tmp_path / "file").write_bytes(b"12345")
        with File(tmp_path / "file") as file:
            executor.port.associate(file)
            file.read(5, 0)
            until(lambda: seen == [1, 2, 3, 5])


@contextlib.contextmanager
def blocked(executor: CompletionPortExecutor, count: int) -> Generator[None, None, None]:
    """So many workers blocked, visibly."""
    go_on = threading.Event()
    tasks = [executor.submit(blocking()(go_on.wait)) for _ in range(count)]
    until(lambda: executor.stats().blocked == count)
    yield
    go_on.set()
    futures.wait(tasks)


def test_without_a_handler_the_key_is_called(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []
    with CompletionPortExecutor(1, 1) as executor:
        executor.submit(pow, 2, 5).result(10)
        executor.port.post(1, fail_with_packet)
        executor.port.post(2, "nobody")
        executor.port.post(3, lambda packet: seen.append(packet.bytes))
        until(lambda: seen)
    assert seen == [3]
    assert "exception handling" in caplog.text
    assert "nobody handles" in caplog.text


def fail_with_packet(packet: object) -> None:
    raise LookupError


def test_any_thread_can_lend_a_hand() -> None:
    """G-08: whoever calls `get` on the port is one of its threads; `handle` does what a worker would."""
    with CompletionPortExecutor(1, 2) as executor:
        go_on = threading.Event()
        first = executor.submit(go_on.wait)
        until(first.running)
        future = executor.submit(threading.get_ident)  # the only worker is busy
        helper = threading.Thread(target=lambda: executor.handle(executor.port.get(30)))
        helper.start()
        assert future.result(30) == helper.ident
        helper.join()
        go_on.set()


# -- asyncio -----------------------------------------------------------------------------------------------------------


def test_as_executor_and_default_executor_of_asyncio() -> None:
    executor = CompletionPortExecutor(4, 2)

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        explicit = await loop.run_in_executor(executor, pow, 2, 5)
        loop.set_default_executor(executor.as_thread_pool())
        default = await loop.run_in_executor(None, pow, 2, 6)
        threads = await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(8)))
        with pytest.raises(LookupError):
            await asyncio.to_thread(fail)
        return [explicit, default, *threads]

    assert asyncio.run(main()) == [32, 64, *(2**n for n in range(8))]
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(pow, 2, 5)
