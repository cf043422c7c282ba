"""The lean simulation: virtual workers as generators, for experiments with a million packets or 100,000 workers.

Theory.  A worker is a generator that yields *operations* and is sent their results; it is a kernel thread like any
other, and its operations are the kernel's verbs, so ports behave here as everywhere.  What is left out is choice: ready
workers run first come, first served, events of one instant in the order in which they were set, and there is no
scheduler, no deadlock report, no carrier.  What is left out is saved: a packet costs about a microsecond.

    def worker(get, service):                 simulation = GeneratorSimulation(processors=2)
        while True:                           port = simulation.create_port(concurrency=2)
            packet = yield get                simulation.spawn(worker(Get(port), Compute(0.001)))
            yield service                     simulation.post(port, key=1)
                                              simulation.run()

A worker has a processor from the moment that it is taken off the queue of ready workers until it waits or ends; time
slices and context switches are those of `Processors`, except that a slice is only looked at when a computation begins
or its end is reached.

Rules of this file: Q-11 and Q-14 (the fast path of a counted thread, decided on the model's own fields), Q-23, Q-26.

Own rules.  Operations are values: make one and yield it a million times.  All times inside are nanoseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, TypeAlias

from ..kernel.completion import IoCompletion, posted_packet
from ..kernel.machine import Kernel
from ..kernel.objects import Access
from ..kernel.thread import EXITED, RUNNABLE, KernelThread
from ..kernel.waits import NO_WAITS, Alertability, Event, ResetMode, Timeout, Waitable
from ..profiles import Profile, get_profile
from .virtual_time import to_nanoseconds, to_seconds


class _Pending:
    """What an operation answers that has not ended yet."""


_PENDING: Final = _Pending()


class Worker(KernelThread):
    """One virtual worker: a thread that no handle can name, which is most of what a thread weighs."""

    __slots__ = ("generator", "operation", "processor")

    def __init__(self, kernel: Kernel, name: str, generator: Operations) -> None:
        # Not registered with the machine: nobody opens a handle to a worker, and ports know their members.
        self.kernel = kernel
        self.name = name
        self.references = 1
        self.handle_count = 0
        self.freed = False
        self.waits = NO_WAITS
        self.state = RUNNABLE
        self.queue = None
        self.dequeue = None
        self.wait = None
        self.wait_result = None
        self.suspend_count = 0
        self.generator = generator
        self.operation: Operation | None = None
        self.processor: _Processor | None = None

    def exit(self, exit_code: int) -> None:
        """Leave the port (Q-28); a worker has no handles, mutexes or requests to give back."""
        if self.queue is not None:
            self.queue.leave(self)
        self.state = EXITED
        self.exit_code = exit_code
        self.freed = True


class _Processor:
    """One processor: the `last` worker that it ran, the end of its slice, and what is left to compute."""

    __slots__ = ("last", "remaining", "slice_end", "starting")

    def __init__(self) -> None:
        self.last: Worker | None = None
        self.remaining = 0
        self.slice_end = 0
        self.starting = False


class Operation:
    """What a worker can yield."""

    __slots__ = ()

    def begin(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """Do it for the running `worker`: the result, or `_PENDING` when the worker goes on later."""
        raise NotImplementedError

    def end(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """The result of a wait that the kernel has ended; `_PENDING` when the worker goes on later still."""
        return worker.kernel.collect(worker)


Operations: TypeAlias = Generator[Operation, Any, None]
"""The generator of a worker."""


class Get(Operation):
    """Dequeue one packet of `port`: a `Packet`, or a `RemoveOutcome` when `timeout` (seconds) is over or it was closed.

    With `maximum` above 1: a list of up to that many packets (Q-19).
    """

    __slots__ = ("_maximum", "_port", "_queue", "_timeout")

    def __init__(self, port: IoCompletion, timeout: float | None = None, maximum: int = 1) -> None:
        self._port = port
        self._queue = port.queue
        self._timeout = None if timeout is None else to_nanoseconds(timeout)
        self._maximum = maximum

    def begin(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """A counted worker within the limit takes a packet at once; everything else is the kernel's business."""
        queue = self._queue
        if (
            worker.queue is queue
            and queue.packets
            and queue.current_count <= queue.maximum_count
            and self._maximum == 1
        ):
            packet = queue.packets.popleft()
            if self._port.has_sources and packet.source is not None:
                packet.source.on_delivered()
            return packet
        due = Timeout.DUE if self._timeout == 0 else Timeout.LATER
        result = self._port.remove(worker, self._maximum, due)
        if simulation.kernel.readied:
            simulation.take_readied()
        if result is not None:
            return result[0] if self._maximum == 1 and isinstance(result, list) else result
        if due is Timeout.LATER and self._timeout is None:
            # All endless gets are alike, and nothing changes one that waits: share it.
            worker.dequeue = queue.waiters[worker] = _ENDLESS.setdefault(self._maximum, queue.waiters[worker])
        simulation.wait(worker, self)
        if self._timeout is not None:
            simulation.expire_at(simulation.clock + self._timeout, worker)
        return _PENDING

    def end(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """As `begin` answers."""
        result = worker.kernel.collect(worker)
        return result[0] if self._maximum == 1 and isinstance(result, list) else result


_ENDLESS: dict[int, Any] = {}


class Compute(Operation):
    """Keep a processor busy for `seconds`; the slot on the port stays taken (Q-29)."""

    __slots__ = ("duration",)

    def __init__(self, seconds: float) -> None:
        self.duration = to_nanoseconds(seconds)

    def begin(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """An event at the end, or when the slice is over."""
        processor = worker.processor
        assert processor is not None
        time = simulation.clock + self.duration
        if time > processor.slice_end:
            processor.remaining = self.duration
            simulation.compute_on(worker, processor)
            return _PENDING
        events = simulation.events
        if time in events:
            events[time].append(worker)
        else:
            events[time] = [worker]
            heappush(simulation.instants, time)
        return _PENDING


class Sleep(Operation):
    """Wait for `seconds`; the slot on the port is free meanwhile (Q-23, Q-26)."""

    __slots__ = ("duration",)

    def __init__(self, seconds: float) -> None:
        self.duration = to_nanoseconds(seconds)

    def begin(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """A worker of no port has no slot: the kernel has nothing to do."""
        if worker.queue is not None:
            worker.begin_block(None)
            if simulation.kernel.readied:
                simulation.take_readied()
        simulation.idle.append(worker.processor)  # type: ignore[arg-type]
        worker.processor = None
        time = simulation.clock + self.duration
        events = simulation.events
        if time in events:
            events[time].append(worker)
        else:
            events[time] = [worker]
            heappush(simulation.instants, time)
        return _PENDING


class HiddenSleep(Operation):
    """Wait for `seconds` with nobody reporting it: no processor is needed, and the slot stays taken."""

    __slots__ = ("duration",)

    def __init__(self, seconds: float) -> None:
        self.duration = to_nanoseconds(seconds)

    def begin(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """To the kernel the worker is runnable throughout, so there is nothing to tell it."""
        simulation.wait(worker, self)
        simulation.at(simulation.clock + self.duration, lambda: simulation.ready.append(worker))
        return _PENDING

    def end(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """None."""


class Wait(Operation):
    """Wait until one of `objects` is signalled: the NTSTATUS (Q-23)."""

    __slots__ = ("_objects", "_timeout")

    def __init__(self, *objects: Waitable, timeout: float | None = None) -> None:
        self._objects = objects
        self._timeout = None if timeout is None else to_nanoseconds(timeout)

    def begin(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """The kernel's wait."""
        due = Timeout.DUE if self._timeout == 0 else Timeout.LATER
        result = simulation.kernel.wait(worker, self._objects, timeout=due, alertability=Alertability.PLAIN)
        if simulation.kernel.readied:
            simulation.take_readied()
        if result is not None:
            return result
        simulation.wait(worker, self)
        if self._timeout is not None:
            simulation.expire_at(simulation.clock + self._timeout, worker)
        return _PENDING


class GeneratorSimulation:
    """A machine in virtual time for workers that are generators.

    `processors` (1 or more) run workers, and are what concurrency value 0 means (Q-03).  `random` is drawn from by who
    wants chance; it comes from `seed`.  `time_slice` and `context_switch_cost` are in virtual seconds.
    """

    def __init__(
        self,
        processors: int = 2,
        seed: int = 0,
        profile: str | Profile | None = None,
        *,
        time_slice: float = 0.02,
        context_switch_cost: float = 0.0,
    ) -> None:
        self.kernel = Kernel(get_profile(profile), processors)
        self.process = self.kernel.create_process()
        self.random = Random(seed)
        self.clock = 0
        self.events: dict[int, list[Any]] = {}
        self.instants: list[int] = []
        self.ready: deque[Worker] = deque()
        self.idle: list[_Processor] = [_Processor() for _ in range(processors)]
        self.switches = 0
        self.alive = 0
        self._time_slice = to_nanoseconds(time_slice)
        self._switch_cost = to_nanoseconds(context_switch_cost)

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return to_seconds(self.clock)

    # -- setting up, and what workers call without waiting -----------------------------------------------------

    def create_port(self, concurrency: int = 0) -> IoCompletion:
        """A port, for `Get` and `post`."""
        port = self.kernel.create_port(concurrency)
        self.process.handles.open(port, Access.ALL)
        return port

    def create_event(self, reset_mode: ResetMode = ResetMode.MANUAL) -> Event:
        """An event, for `Wait` and `set_event`."""
        event = self.kernel.create_event(reset_mode)
        event.reference()
        return event

    def spawn(self, generator: Operations, name: str = "worker") -> Worker:
        """A worker that runs `generator`, after those that are ready already."""
        worker = Worker(self.kernel, name, generator)
        self.alive += 1
        self.ready.append(worker)
        return worker

    def post(self, port: IoCompletion, bytes: int = 0, key: Any = 0, overlapped: Any = None) -> None:
        """Queue a packet or hand it to a waiter (Q-10)."""
        queue = port.queue
        packet = posted_packet(key, overlapped, bytes)
        if (queue.waiters and queue.current_count < queue.maximum_count) or port.waits or port.running_down:
            port.set(packet)
            if self.kernel.readied:
                self.take_readied()
        else:
            queue.packets.append(packet)

    def set_event(self, event: Event) -> None:
        """Signal it."""
        event.set()
        self.take_readied()

    # -- running -----------------------------------------------------------------------------------------------

    def run(self, until: float | None = None) -> float:
        """Run until nothing is left to do, or until virtual time `until` (seconds); the time.

        Workers may be left waiting: `alive` tells how many have not ended.  Exceptions of a worker come out here.
        """
        limit = None if until is None else to_nanoseconds(until)
        instants, ready, idle = self.instants, self.ready, self.idle
        while True:
            while ready and idle:
                self._begin(ready.popleft())
            if not instants or (limit is not None and instants[0] > limit):
                break
            self._happen(heappop(instants))
        if limit is not None:
            self.clock = max(self.clock, limit)
        return self.now

    def _happen(self, time: int) -> None:
        """Everything that is due at `time`: sleeps that end, computations that pause or end, timeouts."""
        self.clock = time
        ready, idle, time_slice = self.ready, self.idle, self._time_slice
        for event in self.events.pop(time):
            if type(event) is not Worker:
                event()
                continue
            processor = event.processor
            if processor is None:
                if event.queue is not None:
                    event.end_block()
                if ready or not idle:
                    ready.append(event)
                    continue
                if self._switch_cost:
                    self._begin(event)
                    continue
                event.processor = processor = idle.pop()
                processor.slice_end = time + time_slice
                if processor.last is not event:
                    processor.last = event
                    self.switches += 1
            elif processor.remaining or processor.starting:
                self._go_on_computing(event, processor)
                continue
            # As `_run_worker`, which is not called: this is where a simulation spends its life.
            send = event.generator.send
            value: Any = None
            try:
                while value is not _PENDING:
                    value = send(value).begin(self, event)
            except StopIteration:
                self._end(event)

    def _run_worker(self, worker: Worker, value: Any) -> None:
        """Let a worker that has a processor run until it waits, computes or ends."""
        send = worker.generator.send
        try:
            while value is not _PENDING:
                value = send(value).begin(self, worker)
        except StopIteration:
            self._end(worker)

    def _end(self, worker: Worker) -> None:
        self.alive -= 1
        processor = worker.processor
        assert processor is not None
        self.idle.append(processor)
        worker.processor = processor.last = None
        worker.exit(0)
        if self.kernel.readied:
            self.take_readied()

    def _begin(self, worker: Worker) -> None:
        """Give a ready worker a processor, the one that it had last if that is idle and on top."""
        processor = self.idle.pop()
        worker.processor = processor
        processor.slice_end = self.clock + self._time_slice
        if processor.last is not worker:
            processor.last = worker
            self.switches += 1
            if self._switch_cost:
                processor.starting = True
                self.at(self.clock + self._switch_cost, worker)
                return
        self._start(worker, processor)

    def _start(self, worker: Worker, processor: _Processor) -> None:
        if processor.remaining:
            self.compute_on(worker, processor)
            return
        operation, worker.operation = worker.operation, None
        self._run_worker(worker, None if operation is None else operation.end(self, worker))

    # -- for operations ----------------------------------------------------------------------------------------

    def at(self, time: int, event: Worker | Callable[[], None]) -> None:
        """Let a worker go on, or do something, at `time`."""
        if time in self.events:
            self.events[time].append(event)
        else:
            self.events[time] = [event]
            heappush(self.instants, time)

    def expire_at(self, time: int, worker: Worker) -> None:
        """End the wait that `worker` is in now at `time`, unless it has ended by then."""
        waiting_for = worker.dequeue if worker.wait is None else worker.wait

        def expire() -> None:
            if (worker.dequeue if worker.wait is None else worker.wait) is waiting_for and waiting_for is not None:
                self.kernel.expire(worker)
                self.take_readied()

        self.at(time, expire)

    def wait(self, worker: Worker, operation: Operation) -> None:
        """The kernel has parked or blocked the worker: its processor is free."""
        worker.operation = operation
        processor = worker.processor
        assert processor is not None
        self.idle.append(processor)
        worker.processor = None

    def take_readied(self) -> None:
        """What the kernel has readied goes to the end of the queue."""
        kernel = self.kernel
        self.ready.extend(kernel.readied)  # type: ignore[arg-type]
        kernel.readied.clear()

    def compute_on(self, worker: Worker, processor: _Processor) -> None:
        """Compute what is left, as far as the slice goes; a slice that nobody waits for is renewed."""
        now = self.clock
        if processor.slice_end <= now:
            if self.ready:
                self._to_the_end(worker, processor)
                return
            processor.slice_end = now + self._time_slice
        span = min(processor.remaining, processor.slice_end - now)
        processor.remaining -= span
        self.at(now + span, worker)

    def _go_on_computing(self, worker: Worker, processor: _Processor) -> None:
        if processor.starting:
            processor.starting = False
            processor.slice_end = self.clock + self._time_slice
            self._start(worker, processor)
        else:
            self.compute_on(worker, processor)

    def _to_the_end(self, worker: Worker, processor: _Processor) -> None:
        """The slice is over and others wait: what is left is computed later, on whatever processor is idle then."""
        worker.operation = _Rest(processor.remaining)
        processor.remaining = 0
        worker.processor = None
        self.idle.append(processor)
        self.ready.append(worker)
        self._begin(self.ready.popleft())


class _Rest(Operation):
    """The rest of an interrupted computation."""

    __slots__ = ("duration",)

    def __init__(self, duration: int) -> None:
        self.duration = duration

    def end(self, simulation: GeneratorSimulation, worker: Worker) -> Any:
        """Compute on, before the worker goes on."""
        processor = worker.processor
        assert processor is not None
        processor.remaining = self.duration
        simulation.compute_on(worker, processor)
        return _PENDING
