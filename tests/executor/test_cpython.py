"""CPython's own tests of executors, run unchanged against `CompletionPortExecutor`.

They come with the interpreter, in `test.test_concurrent_futures`; where that is missing there is nothing to run.  Each
test class of the thread pool is taken as it is, with one attribute replaced: the executor's type.  What cannot be run
so is named in `NOT_OURS`, with the reason; nothing else is left out.  Tests that sleep for seconds are marked slow.
"""

from __future__ import annotations

import importlib
import unittest
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from iocp_emu import CompletionPortExecutor

CHECKOUT = Path(__file__).resolve().parents[2]

THREADS = "looks at the private set `_threads` of ThreadPoolExecutor; test_workers.py shows the same by stats()"
THE_POOL = "makes a ThreadPoolExecutor by name, not the executor under test; test_lifetime.py shows the same"

NOT_OURS = {
    "test_default_workers": "looks at the private `_max_workers`; test_executor.py shows the default",
    "test_saturation": THREADS,
    "test_idle_thread_reuse": THREADS,
    "test_threads_terminate": THREADS,
    "test_context_manager_shutdown": THE_POOL,
    "test_del_shutdown": THE_POOL,
    "test_shutdown_no_wait": THE_POOL,
    "test_thread_names_assigned": THE_POOL,
    "test_thread_names_default": THE_POOL,
    "test_cancel_futures_wait_false": THE_POOL,
    "test_hang_global_shutdown_lock": THE_POOL,
}
NOT_OURS_IN = {
    ("FailingInitializerMixin", "test_initializer"): "looks at the private `_broken`; test_executor.py shows the same"
}

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


def with_our_executor(test_module: ModuleType) -> None:
    """Let the programs that the module's tests start find our executor where they import theirs from."""
    run: Any = getattr(test_module, "assert_python_ok", None)
    if run is None or hasattr(run, "is_ours"):
        return

    def assert_python_ok(*args: str, **environment: str) -> Any:
        preamble = "import concurrent.futures, iocp_emu\n"
        preamble += "concurrent.futures.CompletionPortExecutor = iocp_emu.CompletionPortExecutor\n"
        arguments = [preamble + arg if before == "-c" else arg for before, arg in zip(("", *args), args, strict=False)]
        return run(*arguments, __isolated=False, PYTHONPATH=str(CHECKOUT), **environment)

    assert_python_ok.is_ours = True  # type: ignore[attr-defined]
    test_module.assert_python_ok = assert_python_ok  # type: ignore[attr-defined]


for _module in modules():
    with_our_executor(_module)


def adapted(name: str) -> type[unittest.TestCase]:
    """CPython's test class of that name with our executor, its unsuitable tests skipped, its slow ones marked."""
    original = FOUND[name]
    bases = (original,) if name in CLASSES else (original, FOUND["ThreadPoolMixin"], FOUND["BaseTestCase"])
    body: dict[str, Any] = {"executor_type": CompletionPortExecutor, "__module__": __name__}
    for test in unittest.TestLoader().getTestCaseNames(type(name, bases, {})):
        reason = NOT_OURS.get(test) or NOT_OURS_IN.get((name, test))
        function = getattr(original, test)

        def run(self: Any, _function: Any = function) -> None:
            _function(self)

        run.__name__ = test
        run.__doc__ = f"CPython's own {name}.{test}."
        if reason is not None:
            body[test] = pytest.mark.skip(reason=reason)(run)
        elif test in SLOW:
            body[test] = pytest.mark.slow(run)
        else:
            body[test] = run
    return type(f"Test{name}", bases, body)


for _name in (*CLASSES, *MIXINS):
    if _name in FOUND:
        globals()[f"Test{_name}"] = adapted(_name)


@pytest.mark.skipif(not FOUND, reason="this interpreter came without its tests")
def test_what_is_run() -> None:
    """Every class was found, every exception above is needed, and the list is printed (`-rP` shows it)."""
    assert FOUND.keys() == {*CLASSES, *MIXINS, "BaseTestCase", "ThreadPoolMixin"}
    assert not issubclass(CompletionPortExecutor, futures.ThreadPoolExecutor)
    for name in (*CLASSES, *MIXINS):
        for test in unittest.TestLoader().getTestCaseNames(globals()[f"Test{name}"]):
            reason = NOT_OURS.get(test) or NOT_OURS_IN.get((name, test))
            print(f"{name}.{test}: {'slow' if test in SLOW else 'run' if reason is None else 'skipped, ' + reason}")
