"""Virtual processors: which runnable thread has one, for how long, and what a change of thread costs.

Theory.  A runnable thread stands in one queue, first in, first out, until a processor is idle; then it has that
processor until it waits or ends, or until its time slice is over while others stand in the queue.  Kernel calls take no
time; only `compute` does, and a context switch.  A processor switches when it begins to run another thread than the
last one it ran, so a thread that waits and comes back before anybody else used its processor has cost nothing.

There are no priorities, and no boost for a thread whose wait has ended: the machine that the classic page assumes.

Own rules.  All times are nanoseconds on the simulation's clock.  Each operation is O(1), except that somebody entering
an empty queue looks at every processor once, to end time slices that have been prolonged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from .virtual_threads import COMPUTING, READY, RUNNING, Place, VirtualThread
from .virtual_time import Alarm, VirtualClock


class Processor:
    """One virtual processor: its `thread`, the `last` thread that it ran, and what it is busy with.

    `computed` rings when a computation or its slice is over, `switched` when a context switch is.
    """

    __slots__ = ("computed", "index", "last", "since", "slice_end", "switched", "thread")

    def __init__(
        self, index: int, on_computed: Callable[[Processor], None], on_switched: Callable[[Processor], None]
    ) -> None:
        self.index = index
        self.thread: VirtualThread | None = None
        self.last: VirtualThread | None = None
        self.slice_end = 0
        self.since = 0
        self.computed = Alarm(partial(on_computed, self))
        self.switched = Alarm(partial(on_switched, self))


class Processors:
    """`count` processors (1 or more), with `time_slice` and `switch_cost` in nanoseconds.

    `running` are the threads that can make a step now, `ready` those that wait for a processor, in the order of the
    queue.  `switches` counts context switches, `busy_time` the nanoseconds computed.
    """

    def __init__(self, count: int, clock: VirtualClock, time_slice: int, switch_cost: int) -> None:
        self._all = tuple(Processor(index, self._pause_computing, self._switched) for index in range(count))
        self._clock = clock
        self._time_slice = time_slice
        self._switch_cost = switch_cost
        self._idle: dict[Processor, None] = dict.fromkeys(self._all)
        self.running: dict[VirtualThread, None] = {}
        self.ready: OrderedDict[VirtualThread, None] = OrderedDict()  # quick at both ends and in the middle
        self.switches = 0
        self.busy_time = 0

    @property
    def occupied(self) -> int:
        """Processors that have a thread."""
        return len(self._all) - len(self._idle)

    # -- threads that come and go ------------------------------------------------------------------------------

    def make_ready(self, thread: VirtualThread) -> None:
        """`thread` is runnable now: it goes to the end of the queue, or straight to an idle processor."""
        thread.place = READY
        was_empty = not self.ready
        self.ready[thread] = None
        if self._idle:
            self._dispatch()
        elif was_empty:
            for processor in self._all:
                self._end_long_slice(processor)

    def take_off(self, thread: VirtualThread, place: Place) -> None:
        """`thread` does not run any more, wherever it was: its processor is free for the next in the queue."""
        if thread.place is READY:
            del self.ready[thread]
        elif thread.processor is not None:
            self._leave(thread)
        thread.place = place
        if self.ready:
            self._dispatch()

    def yield_to_others(self, thread: VirtualThread) -> None:
        """The running `thread` goes to the end of the queue if there is one (Sleep(0), Q-29)."""
        if self.ready:
            self._to_the_end(thread)

    def preempt(self, victim: VirtualThread, thread: VirtualThread) -> None:
        """Give the processor of the running `victim` to the ready `thread`; the victim goes to the end of the queue."""
        self.ready.move_to_end(thread, last=False)
        self._to_the_end(victim)

    # -- computing ---------------------------------------------------------------------------------------------

    def compute(self, thread: VirtualThread, duration: int) -> None:
        """The running `thread` keeps its processor busy for `duration`, with interruptions when its slice is over."""
        processor = thread.processor
        assert processor is not None
        del self.running[thread]
        thread.place = COMPUTING
        thread.remaining = duration
        if self.ready:
            self._go_on_computing(processor, thread)
        else:
            processor.since = self._clock.now
            self._clock.start(processor.computed, duration)

    def _go_on_computing(self, processor: Processor, thread: VirtualThread) -> None:
        clock = self._clock
        now = processor.since = clock.now
        duration = thread.remaining
        if self.ready:
            if processor.slice_end <= now:
                self._to_the_end(thread)
                return
            duration = min(duration, processor.slice_end - now)
        clock.start(processor.computed, duration)

    def _pause_computing(self, processor: Processor) -> None:
        """The computation, or the slice, is over."""
        thread = processor.thread
        assert thread is not None
        spent = self._clock.now - processor.since
        self.busy_time += spent
        if thread.remaining == spent:
            thread.remaining = 0
            thread.place = RUNNING
            self.running[thread] = None
        else:
            thread.remaining -= spent
            self._go_on_computing(processor, thread)

    def _account(self, processor: Processor, thread: VirtualThread) -> None:
        """Book what was computed since the last look."""
        spent = self._clock.now - processor.since
        self.busy_time += spent
        thread.remaining -= spent

    def _end_long_slice(self, processor: Processor) -> None:
        """Somebody waits now: a slice that went on since nobody did ends at its next multiple."""
        now = self._clock.now
        if processor.slice_end <= now:
            processor.slice_end += ((now - processor.slice_end) // self._time_slice + 1) * self._time_slice
        thread, alarm = processor.thread, processor.computed
        if thread is not None and alarm.order and alarm.time > processor.slice_end:
            self._clock.cancel(alarm)
            self._account(processor, thread)
            self._go_on_computing(processor, thread)

    # -- the queue ---------------------------------------------------------------------------------------------

    def _to_the_end(self, thread: VirtualThread) -> None:
        self._leave(thread)
        thread.place = READY
        self.ready[thread] = None
        self._dispatch()

    def _leave(self, thread: VirtualThread) -> None:
        processor = thread.processor
        assert processor is not None
        if processor.computed.order:
            self._clock.cancel(processor.computed)
            self._account(processor, thread)
        self._clock.cancel(processor.switched)
        self.running.pop(thread, None)
        processor.thread = thread.processor = None
        self._idle[processor] = None

    def _dispatch(self) -> None:
        """Every idle processor takes the next of the queue; a thread goes to the processor that it had, if idle."""
        while self.ready and self._idle:
            thread, _ = self.ready.popitem(last=False)
            processor = thread.last_processor
            if processor is None or processor not in self._idle:
                processor = next(iter(self._idle))
            del self._idle[processor]
            processor.thread = thread
            thread.processor = thread.last_processor = processor
            if processor.last is thread:
                self._begin(processor, thread)
                continue
            processor.last = thread
            self.switches += 1
            if self._switch_cost:
                thread.place = COMPUTING
                processor.slice_end = self._clock.now + self._switch_cost + self._time_slice
                self._clock.start(processor.switched, self._switch_cost)
            else:
                self._begin(processor, thread)

    def _switched(self, processor: Processor) -> None:
        assert processor.thread is not None
        self._begin(processor, processor.thread)

    def _begin(self, processor: Processor, thread: VirtualThread) -> None:
        """The thread runs from here on, with a fresh slice; one that was interrupted computes on."""
        processor.slice_end = self._clock.now + self._time_slice
        if thread.remaining:
            thread.place = COMPUTING
            self._go_on_computing(processor, thread)
        else:
            thread.place = RUNNING
            self.running[thread] = None
