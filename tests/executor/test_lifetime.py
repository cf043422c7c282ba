"""How an executor ends: shutdown, being dropped, the interpreter's exit, a fork."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import weakref
from concurrent.futures import Future
from typing import Any

import pytest

from iocp_emu import CompletionPortExecutor, ForkedSystemError, PortClosed, blocking

from .support import run_program, until


def threads_of(executor: CompletionPortExecutor, count: int) -> list[threading.Thread]:
    """The threads of `count` workers, all of them made to exist."""
    meet = threading.Barrier(count)

    def show() -> threading.Thread:
        meet.wait()
        return threading.current_thread()

    return [future.result(30) for future in [executor.submit(show) for _ in range(count)]]


def test_shutdown_runs_what_is_queued_and_is_idempotent() -> None:
    executor = CompletionPortExecutor(2, 2)
    threads = threads_of(executor, 2)
    tasks = [executor.submit(pow, 2, n) for n in range(100)]
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(pow, 2, 5)
    executor.shutdown()
    executor.shutdown(cancel_futures=True)
    assert [task.result(0) for task in tasks] == [2**n for n in range(100)]
    assert not any(thread.is_alive() for thread in threads)
    with pytest.raises(PortClosed):
        executor.port.post()
    assert "shut down" in repr(executor)
    assert executor.stats().completed == 102


def test_shutdown_of_an_unused_executor() -> None:
    executor = CompletionPortExecutor()
    executor.shutdown()
    assert executor.port.closed


def test_cancel_futures() -> None:
    executor = CompletionPortExecutor(1, 1)
    go_on = threading.Event()
    first = executor.submit(go_on.wait)
    until(first.running)
    queued = [executor.submit(pow, 2, n) for n in range(50)]
    executor.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    executor.shutdown()
    assert first.result(0)
    assert all(task.cancelled() for task in queued)


def test_shutdown_while_workers_block() -> None:
    """Parked workers end at once, blocked ones when their tasks have ended; tasks queued before still run."""
    executor = CompletionPortExecutor(8, 1)
    threads = threads_of_blocked = []  # type: ignore[var-annotated]
    go_on = threading.Event()

    @blocking()
    def wait() -> bool:
        threads.append(threading.current_thread())
        return go_on.wait()

    tasks: list[Future[Any]] = [executor.submit(wait) for _ in range(4)]
    until(lambda: executor.stats().blocked == 4)
    tasks += [executor.submit(pow, 2, 5) for _ in range(20)]
    executor.shutdown(wait=False)
    assert [task.result(30) for task in tasks[4:]] == [32] * 20
    until(lambda: executor.stats().workers == 4)
    go_on.set()
    executor.shutdown()
    assert not any(thread.is_alive() for thread in threads_of_blocked)


def test_a_task_cannot_wait_for_its_own_executor_to_end() -> None:
    executor = CompletionPortExecutor(2, 1)
    with pytest.raises(RuntimeError, match="own executor"):
        executor.submit(executor.shutdown).result(30)
    executor.shutdown()


def test_shutdown_races_with_submit() -> None:
    """A submit that does not raise leads to a future that ends."""
    for _ in range(50):
        executor = CompletionPortExecutor(2, 2)
        accepted: list[Future[int]] = []
        go = threading.Barrier(3)

        def submit(executor: CompletionPortExecutor = executor, accepted: Any = accepted, go: Any = go) -> None:
            go.wait()
            with contextlib.suppress(RuntimeError):
                while True:
                    accepted.append(executor.submit(pow, 2, 5))

        submitters = [threading.Thread(target=submit) for _ in range(2)]
        for each in submitters:
            each.start()
        go.wait()
        executor.shutdown()
        for each in submitters:
            each.join()
        assert [task.result(30) for task in accepted] == [32] * len(accepted)


def test_a_dropped_executor_runs_what_is_queued_and_its_workers_end() -> None:
    executor = CompletionPortExecutor(2, 2)
    gone = weakref.ref(executor)
    threads = threads_of(executor, 2)
    port = executor.port
    tasks = [executor.submit(pow, 2, n) for n in range(50)]
    del executor
    gc.collect()
    assert gone() is None
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert [task.result(0) for task in tasks] == [2**n for n in range(50)]
    assert port.closed


def test_dropped_inside_one_of_its_own_tasks() -> None:
    executors = [CompletionPortExecutor(1, 1)]
    executors[0].submit(executors.clear).result(30)
    gc.collect()


# -- the interpreter's exit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "executor.shutdown(wait=False)", "del executor"])
def test_exit_waits_for_queued_and_running_tasks(ending: str) -> None:
    ended = run_program(
        f"""
        import time, iocp_emu
        executor = iocp_emu.CompletionPortExecutor(4, 1)
        def work(number):
            with iocp_emu.blocking():
                time.sleep(0.05)
            print(f"{{number}}\\n", end="", flush=True)
        for number in range(6):
            executor.submit(work, number)
        {ending}
        """
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(ended.stdout.split()) == list("012345")


def test_exit_does_not_wait_for_daemons() -> None:
    ended = run_program(
        """
        import time, iocp_emu
        executor = iocp_emu.CompletionPortExecutor(4, 2, daemon=True)
        for _ in range(6):
            task = executor.submit(time.sleep, 3600)
        while executor.stats().runnable < 2:
            time.sleep(0.001)
        """
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("daemon", [False, True])
def test_submit_while_the_interpreter_ends(daemon: bool) -> None:
    ended = run_program(
        f"""
        import atexit, iocp_emu
        executor = iocp_emu.CompletionPortExecutor(2, daemon={daemon})
        executor.submit(pow, 2, 5).result()
        @atexit.register
        def late():
            for make in (lambda: executor.submit(pow, 2, 5), lambda: iocp_emu.CompletionPortExecutor()):
                try:
                    make()
                except RuntimeError as error:
                    print(error)
        """
    )
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["cannot schedule new futures after interpreter shutdown"] * 2


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
def test_interrupt_while_waiting() -> None:
    """Ctrl-C in `result` and in `shutdown` gets out, and the executor still ends."""
    ended = run_program(
        """
        import signal, threading, iocp_emu
        main = threading.get_ident()
        executor = iocp_emu.CompletionPortExecutor(2, 2)
        go_on = threading.Event()
        task = executor.submit(go_on.wait)
        for wait in (task.result, executor.shutdown):
            threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
            try:
                wait()
            except KeyboardInterrupt:
                print("interrupted")
        go_on.set()
        print(task.result())
        """
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == ["interrupted", "interrupted", "True"]


# -- fork --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork_the_child_is_told() -> None:
    with CompletionPortExecutor(2, 2) as executor:
        go_on = threading.Event()
        running = executor.submit(go_on.wait)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for call in (lambda: executor.submit(pow, 2, 5), running.result):
                    try:
                        call()
                    except ForkedSystemError:
                        status -= 0.5  # type: ignore[assignment]
                executor.shutdown()
                with CompletionPortExecutor(2) as fresh:
                    status += fresh.submit(pow, 2, 5).result(30) != 32
            finally:
                os._exit(int(status))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        go_on.set()
        assert running.result(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_exit_of_a_forked_child_does_not_hang() -> None:
    ended = run_program(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        import iocp_emu
        executor = iocp_emu.CompletionPortExecutor(2)
        executor.submit(pow, 2, 5).result()
        pid = os.fork()
        if pid == 0:
            print("child", flush=True)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    assert ended.stdout.split() == ["child", "0"]
