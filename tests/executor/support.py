"""What the tests of the executor share: waiting for a condition, programs in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iocp_emu import CompletionPortExecutor

CHECKOUT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60.0


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until it holds; fail after a generous deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} has not come about"
        time.sleep(0.001)


def run_program(source: str, *, timeout: float = DEADLINE_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own; raises `subprocess.TimeoutExpired` when it hangs."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class CompletionPortAsThreadPoolExecutor(CompletionPortExecutor):
    """Our executor for CPython's own tests: what they look at in `ThreadPoolExecutor`, and a thread for each wait.

    Tasks there wait where nobody sees it; so all workers may run at once.
    """

    def __init__(self, max_workers: int | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(max_workers, 0xFFFFFFFF, *args, **kwargs)

    @property
    def _max_workers(self) -> int:
        return self.max_workers

    @property
    def _threads(self) -> list[threading.Thread]:
        return list(self._crew.workers)

    @property
    def _broken(self) -> bool:
        return self.broken
