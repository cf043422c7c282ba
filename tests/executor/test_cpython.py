"""CPython's own tests of executors, run unchanged against `CompletionPortExecutor`.

They come with the interpreter, in `test.test_concurrent_futures`; where that is missing there is nothing to run.  Each
test class of the thread pool is taken as it is.  Some of these tests name `ThreadPoolExecutor` instead of the executor
under test, or look at its private `_threads`, `_max_workers` and `_broken`; so what they get under that name is
`CompletionPortAsThreadPoolExecutor`, which has views of these for the tests' sake and lets as many threads run as
exist.  Nothing is left out; tests that sleep for seconds are marked slow.
"""

from __future__ import annotations

import importlib
import os
import unittest
from collections.abc import Iterator
from concurrent import futures
from types import ModuleType
from typing import Any

import pytest

from .support import CHECKOUT, CompletionPortAsThreadPoolExecutor

SLOW = frozenset(
    {
        "test_20369",
        "test_duplicate_futures",
        "test_first_completed",
        "test_first_completed_some_already_completed",
        "test_first_exception",
        "test_first_exception_one_already_failed",
        "test_first_exception_some_already_complete",
        "test_future_times_out",
        "test_hang_gh83386",
        "test_hang_issue12364",
        "test_interpreter_shutdown",
        "test_map_timeout",
        "test_submit_after_interpreter_shutdown",
        "test_timeout",
        "test_zero_timeout",
    }
)

# Where a class stands depends on the version: one module up to 3.11, a package since 3.12.
MODULES = ("", ".test_thread_pool", ".test_shutdown", ".test_wait", ".test_as_completed", ".test_init", ".util")
CLASSES = ("ThreadPoolExecutorTest", "ThreadPoolShutdownTest", "ThreadPoolWaitTests")
MIXINS = ("AsCompletedTests", "InitializerMixin", "FailingInitializerMixin")


def modules() -> Iterator[ModuleType]:
    """The modules of CPython's tests that this interpreter has."""
    for suffix in MODULES:
        try:
            yield importlib.import_module(f"test.test_concurrent_futures{suffix}")
        except (ImportError, unittest.SkipTest):
            continue


FOUND: dict[str, Any] = {}
for _module in modules():
    for _name in (*CLASSES, *MIXINS, "BaseTestCase", "ThreadPoolMixin"):
        FOUND.setdefault(_name, getattr(_module, _name, None) or FOUND.get(_name))
        if FOUND[_name] is None:
            del FOUND[_name]


class Futures:
    """`concurrent.futures` as the test modules see it."""

    ThreadPoolExecutor = CompletionPortAsThreadPoolExecutor

    def __getattr__(self, name: str) -> Any:
        return getattr(futures, name)


PREAMBLE = f"""\
import concurrent.futures
from tests.executor.support import {CompletionPortAsThreadPoolExecutor.__name__} as executor_type
concurrent.futures.ThreadPoolExecutor = concurrent.futures.{CompletionPortAsThreadPoolExecutor.__name__} = executor_type
"""
"""What the programs that the tests start do first."""


def with_our_executor(test_module: ModuleType) -> None:
    """Let the module's tests, and the programs that they start, find our executor where they expect theirs."""
    names: dict[str, Any] = vars(test_module)
    if names.get("futures") is futures:
        names["futures"] = Futures()
    run = names.get("assert_python_ok")
    if run is None:
        return

    def assert_python_ok(*args: str, **environment: str) -> Any:
        arguments = [PREAMBLE + arg if before == "-c" else arg for before, arg in zip(("", *args), args, strict=False)]
        return run(*arguments, __isolated=False, PYTHONPATH=os.pathsep.join(paths), **environment)

    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    names["assert_python_ok"] = assert_python_ok


for _module in modules():
    with_our_executor(_module)


def adapted(name: str) -> type[unittest.TestCase]:
    """CPython's test class of that name with our executor, its unsuitable tests skipped, its slow ones marked."""
    original = FOUND[name]
    bases = (original,) if name in CLASSES else (original, FOUND["ThreadPoolMixin"], FOUND["BaseTestCase"])
    body: dict[str, Any] = {"executor_type": CompletionPortAsThreadPoolExecutor, "__module__": __name__}
    for test in unittest.TestLoader().getTestCaseNames(type(name, bases, {})):
        function = getattr(original, test)

        def run(self: Any, _function: Any = function) -> None:
            _function(self)

        run.__name__ = test
        run.__doc__ = f"CPython's own {name}.{test}."
        body[test] = pytest.mark.slow(run) if test in SLOW else run
    return type(f"Test{name}", bases, body)


for _name in (*CLASSES, *MIXINS):
    if _name in FOUND:
        globals()[f"Test{_name}"] = adapted(_name)


@pytest.mark.skipif(not FOUND, reason="this interpreter came without its tests")
def test_what_is_run() -> None:
    """Every class was found; the list is printed (`-rP` shows it)."""
    assert FOUND.keys() == {*CLASSES, *MIXINS, "BaseTestCase", "ThreadPoolMixin"}
    assert not issubclass(CompletionPortAsThreadPoolExecutor, futures.ThreadPoolExecutor)
    for name in (*CLASSES, *MIXINS):
        for test in unittest.TestLoader().getTestCaseNames(globals()[f"Test{name}"]):
            print(f"{name}.{test}: {'slow' if test in SLOW else 'run'}")
