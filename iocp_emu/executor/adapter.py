"""A completion port executor for callers that accept nothing but a `ThreadPoolExecutor`.

Apart, since whoever imports that class also gets what the standard library does for it at exit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class ThreadPoolAdapter(ThreadPoolExecutor):
    """Passes everything on to `executor`; has no queue and no threads of its own."""

    def __init__(self, executor: Executor) -> None:
        # The base class is not initialised: nothing of it is used.
        self._executor = executor

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """As the executor's own."""
        return self._executor.submit(fn, *args, **kwargs)

    def map(self, fn: Callable[..., T], *iterables: Iterable[Any], **options: Any) -> Iterator[T]:
        """As the executor's own."""
        return self._executor.map(fn, *iterables, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As the executor's own."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)
