"""The tour: the life of one completion port, on real threads and real files, and what was measured of it.

Theory.  Two passes over the same files.  In the first they go through a port (`tour_port`): opened overlapped,
associated, many reads in flight, a pool of more workers than the concurrency value.  In the second they are simply read
one after the other (`tour_checks`).  What both found must be the same, and what the recorder saw must follow the rules.

Own rule.  Nothing here is staged: every figure comes from the recorder, from counters of those who did the work, or
from the operating system.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass

from .tour_checks import Check, PlainPass, examine, read_plainly
from .tour_port import read_through_port
from .tour_results import PortPass, Progress, TourSettings, TourStopped


@dataclass(frozen=True, slots=True)
class TourResult:
    """Everything that a report can show of a tour."""

    settings: TourSettings
    first: PortPass
    second: PlainPass
    checks: list[Check]

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


def run_tour(
    settings: TourSettings, progress: Progress | None = None, stop: threading.Event | None = None
) -> TourResult:
    """Tour the files at `settings.path`: both passes, then the checks.

    `progress` is kept up to date meanwhile.  Blocks until all is read; leaves nothing behind on disk or in the process.
    Raises `TourStopped` soon after `stop` was set, `OSError` when there is no room for the journal.

    >>> result = run_tour(TourSettings(__file__, workers=3, concurrency=1))
    >>> result.ok, len(result.first.results), result.first.references[-1].freed
    (True, 1, True)
    """
    progress = progress or Progress()
    stop = stop or threading.Event()

    def go_on() -> None:
        if stop.is_set():
            raise TourStopped

    with tempfile.TemporaryDirectory(prefix="iocp_emu-tour-") as scratch:
        first = read_through_port(settings, scratch, progress, stop)
    second = read_plainly(first, settings, progress, go_on)
    return TourResult(settings, first, second, examine(first, second))
