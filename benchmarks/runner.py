"""Runs workloads, interleaved: a discarded warm-up, then repeats that sample every workload once.

Guarantee: a run always ends. Each workload of a repeat runs in a thread of its own; one that hangs, or has
a thread that dies of an exception, is recorded as a problem with its name and takes no further part, the
others go on. That thread is also what joins and leaves the ports of its samples, so no sample inherits an
association from the one before.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from .measure import Effort, Sample, Workload, WrongResult

DEADLINE_SECONDS = 300.0  # far beyond the longest workload, 3 x 10,000 threads, on a slow machine
GRACE_SECONDS = 5.0

_Outcome = dict[str, Sample] | BaseException


@dataclass(slots=True)
class Run:
    """What a run has gathered: per workload the samples of each repeat, and what went wrong."""

    samples: dict[str, list[dict[str, Sample]]] = field(default_factory=dict[str, list[dict[str, Sample]]])
    problems: list[str] = field(default_factory=list[str])


def run(
    workloads: Sequence[Workload],
    effort: Effort,
    repeats: int,
    *,
    random: Random,
    deadline_seconds: float = DEADLINE_SECONDS,
    progress: Callable[[str], None] = lambda _: None,
) -> Run:
    """Sample every workload `repeats` times after one warm-up, workloads and contestants shuffled."""
    gathered = Run({workload.name: [] for workload in workloads})
    taking_part = list(workloads)
    for number in range(repeats + 1):
        warm_up = number == 0
        for workload in random.sample(taking_part, len(taking_part)):
            progress(f"{'warm-up' if warm_up else f'repeat {number} of {repeats}'}: {workload.name}")
            outcome = _attempt(workload, Effort.WARM_UP if warm_up else effort, random, deadline_seconds)
            if isinstance(outcome, dict):
                if not warm_up:
                    gathered.samples[workload.name].append(outcome)
                continue
            taking_part.remove(workload)
            kind = "" if isinstance(outcome, WrongResult) else f"{type(outcome).__name__}: "
            gathered.problems.append(f"{workload.name}: {kind}{outcome}")
    return gathered


def _attempt(workload: Workload, effort: Effort, random: Random, deadline_seconds: float) -> _Outcome:
    outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()

    def sample() -> None:
        outcomes.put(workload.repeat(effort, random))

    sampler = threading.Thread(target=sample, name=workload.name, daemon=True)
    with _deaths_reported_to(outcomes.put):
        sampler.start()
        try:
            outcome = outcomes.get(timeout=deadline_seconds)
            sampler.join(GRACE_SECONDS)  # it may yet fail of what another thread's death left undone
            return outcome
        except queue.Empty:
            return WrongResult(f"not finished after {deadline_seconds:g} s: a packet or a wake-up is lost")


@contextmanager
def _deaths_reported_to(report: Callable[[BaseException], object]) -> Generator[None, None, None]:
    """Hand the exception that ends any thread to `report` instead of printing it."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        report(args.exc_value if args.exc_value is not None else args.exc_type())

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
