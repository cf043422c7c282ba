"""Virtual time: a clock that only moves when it is told to, and what is to happen on it.

Theory.  Time is a whole number of nanoseconds, so that ten sleeps of a tenth of a second end at one second, on every
machine.  Alarms of one instant ring in the order in which they were set.  The clock never decides to move: whoever
runs the machine asks for the next alarm, and only when nobody can run now.

Own rules.  An alarm costs O(log alarms) to set and O(1), amortised, to cancel.  Actions do not raise.  Nothing here
reads a clock of the host.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from heapq import heapify, heappop, heappush

NANOSECONDS = 1_000_000_000

TIDY_FROM = 64
"""So many cancelled alarms may lie about before the clock looks whether they are most of all."""


@lru_cache(maxsize=1024)  # programs wait for the same few durations, over and over
def to_nanoseconds(seconds: float) -> int:
    """A duration as a whole number of nanoseconds; one that is not 0 never becomes 0.

    >>> to_nanoseconds(0.1), to_nanoseconds(1e-12), to_nanoseconds(0)
    (100000000, 1, 0)
    """
    return max(round(seconds * NANOSECONDS), 1) if seconds > 0 else 0


def to_seconds(nanoseconds: int) -> float:
    """The nearest number of seconds."""
    return nanoseconds / NANOSECONDS


class Alarm:
    """An action that is due at `time` (nanoseconds) while it is set: while `order` is not 0.

    May be set again once it has rung or was cancelled.  `order` counts what has been set, from 1.
    """

    __slots__ = ("action", "order", "time")

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.order = 0
        self.time = 0


class VirtualClock:
    """The time `now`, in nanoseconds from 0, and the alarms that are set.

    `next_time` is when the next one is due, in nanoseconds; None when there is none.
    """

    __slots__ = ("_alarms", "_cancelled", "_order", "next_time", "now")

    def __init__(self) -> None:
        self.now = 0
        self.next_time: int | None = None
        # A cancelled alarm stays on the heap; it is out when its order is not that of its entry.
        self._alarms: list[tuple[int, int, Alarm]] = []
        self._cancelled = 0
        self._order = 0

    def __len__(self) -> int:
        """Alarms that are set.  O(1)."""
        return len(self._alarms) - self._cancelled

    def set(self, delay: int, action: Callable[[], object]) -> Alarm:
        """Have `action` done after `delay` nanoseconds (0 or more)."""
        alarm = Alarm(action)
        self.start(alarm, delay)
        return alarm

    def start(self, alarm: Alarm, delay: int) -> None:
        """Set an alarm that is not set, for after `delay` nanoseconds (0 or more)."""
        alarm.time = time = self.now + delay
        self._order = alarm.order = order = self._order + 1
        heappush(self._alarms, (time, order, alarm))
        next_time = self.next_time
        if next_time is None or time < next_time:
            self.next_time = time

    def cancel(self, alarm: Alarm) -> None:
        """Do not ring; one that has rung, or is cancelled already, stays as it is."""
        if alarm.order == 0:
            return
        alarm.order = 0
        self._cancelled += 1
        if self._cancelled > TIDY_FROM and self._cancelled * 2 > len(self._alarms):
            self._alarms = [entry for entry in self._alarms if entry[2].order == entry[1]]
            self._cancelled = 0
            heapify(self._alarms)
        if alarm.time == self.next_time:
            self._look_ahead()

    def pending(self) -> list[Alarm]:
        """The alarms that are set, in the order in which they will ring.  O(alarms log alarms)."""
        return [alarm for _, order, alarm in sorted(self._alarms) if alarm.order == order]

    def ring(self) -> None:
        """Go to the next alarm's time and do its action; the caller knows that there is one."""
        alarms = self._alarms
        self.now, _, alarm = heappop(alarms)
        alarm.order = 0
        if alarms and alarms[0][2].order == alarms[0][1]:
            self.next_time = alarms[0][0]
        else:
            self._look_ahead()
        alarm.action()

    def _look_ahead(self) -> None:
        """The first of the heap is one that is set."""
        alarms = self._alarms
        while alarms:
            time, order, alarm = alarms[0]
            if alarm.order == order:
                self.next_time = time
                return
            heappop(alarms)
            self._cancelled -= 1
        self.next_time = None
