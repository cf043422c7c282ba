"""Virtual time: a clock that only moves when it is told to, and what is to happen on it.

Theory.  Time is a whole number of nanoseconds, so that ten sleeps of a tenth of a second end at one second, on every
machine.  Alarms of one instant ring in the order in which they were set.  The clock never decides to move: whoever
runs the machine asks for the next alarm, and only when nobody can run now.

Own rules.  Setting and cancelling an alarm costs O(1), and O(log instants) for an instant that has no alarm yet.
Actions do not raise.  Nothing here reads a clock of the host.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

NANOSECONDS = 1_000_000_000


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
    """An action that is due at `time` (nanoseconds)."""

    __slots__ = ("action", "time")

    def __init__(self, time: int, action: Callable[[], object]) -> None:
        self.time = time
        self.action = action


class VirtualClock:
    """The time `now`, in nanoseconds from 0, and the alarms that are set."""

    __slots__ = ("_alarms", "_instants", "now")

    def __init__(self) -> None:
        self.now = 0
        self._alarms: dict[int, dict[Alarm, None]] = {}
        self._instants: list[int] = []

    def __len__(self) -> int:
        """Alarms that are set.  O(instants)."""
        return sum(map(len, self._alarms.values()))

    def set(self, delay: int, action: Callable[[], object]) -> Alarm:
        """Have `action` done after `delay` nanoseconds (0 or more)."""
        alarm = Alarm(self.now + delay, action)
        at_once = self._alarms.get(alarm.time)
        if at_once is None:
            self._alarms[alarm.time] = {alarm: None}
            heappush(self._instants, alarm.time)
        else:
            at_once[alarm] = None
        return alarm

    def cancel(self, alarm: Alarm) -> None:
        """Do not ring; one that has rung, or is cancelled already, stays as it is."""
        at_once = self._alarms.get(alarm.time)
        if at_once is not None and at_once.pop(alarm, alarm) is None and not at_once:
            # The instant stays on the heap until its turn comes, and is then skipped.
            del self._alarms[alarm.time]

    @property
    def next_time(self) -> int | None:
        """When the next alarm is due, in nanoseconds; None when there is none."""
        instants = self._instants
        while instants and instants[0] not in self._alarms:
            heappop(instants)
        return instants[0] if instants else None

    def ring(self) -> None:
        """Go to the next alarm's time and do its action; the caller knows that there is one."""
        time = self.next_time
        assert time is not None
        self.now = time
        at_once = self._alarms[time]
        alarm = next(iter(at_once))
        self.cancel(alarm)
        alarm.action()
