"""The completion port as a thread pool: `concurrent.futures` on top, one port below."""

from __future__ import annotations

from .crew import BrokenCompletionPortExecutor
from .pool import CompletionPortExecutor, ExecutorStats
from .room import Overflow, TooManyPending
from .waits import WaitDeadlock, WorkersExhausted

__all__ = [
    "BrokenCompletionPortExecutor",
    "CompletionPortExecutor",
    "ExecutorStats",
    "Overflow",
    "TooManyPending",
    "WaitDeadlock",
    "WorkersExhausted",
]
