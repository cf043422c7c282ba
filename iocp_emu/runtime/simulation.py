"""The simulation: plain blocking functions on virtual threads, virtual processors and virtual time.

Theory.  A `Simulation` is a system like the one of real threads, and drives the same kernel; what differs is who runs.
Every kernel verb that a virtual thread calls is a *scheduling point*: before it, the scheduler is asked which of the
threads that could make a step makes the next one.  A thread that waits gives its processor away.  Time stands still
while anybody can make a step, and jumps to the next alarm when nobody can.  When there is no alarm either, and threads
still wait, nothing can ever run again: that is a deadlock, and is told with who waits for what, by which rule.

The *hub* is whoever called `run`: it picks the next thread and enters its strand, until the strand comes back.  While a
thread is the only one that could go on, its verbs run without a detour through the hub; and where strands can pass to
each other, a thread that pauses picks the next one itself.  Who picks makes no difference: nobody is the running thread
meanwhile.

Rules of this file: P-17 (one history, one trace).

Own rules.  Exactly one strand runs at any moment, so there is no lock.  Nothing is left open but what `ChoicePoint`s
ask and what is drawn from the seed.  Code outside of the simulation's threads (before, between and after runs) may call
everything that does not wait; it is a thread of its own, named "outside".
"""

from __future__ import annotations

import contextvars
import enum
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from threading import get_ident
from typing import Any, TypeVar, cast

from typing_extensions import ParamSpec, Self

from ..kernel.objects import HANDLE_STEP
from ..kernel.queue import KernelQueue
from ..kernel.thread import KernelThread, ThreadState
from ..profiles import Profile
from . import misuse
from .ambient import bind, system_in_use, unbind
from .carriers import Carrier, GreenletStrand, Strand, choose_carrier
from .deadlock import SimulationDeadlock, report_deadlock
from .processors import Processors
from .results import EndReason, RunResult, SimulationStall, result_of
from .schedulers import CLOCK, ChoiceKind, ChoicePoint, Scheduler, SeededScheduler, SteadyScheduler
from .threads import OsThread
from .virtual_calls import VirtualCalls
from .virtual_threads import READY, RUNNING, WAITING, Place, SimulationMisuse, VirtualThread, VirtualThreadExit
from .virtual_time import VirtualClock, to_nanoseconds, to_seconds

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

TIME_SLICE_SECONDS = 0.02
STALL_STEPS = 1_000_000
EXIT_ATTEMPTS = 100


class Preemption(enum.Enum):
    """When a thread can lose its processor to another although it does not wait."""

    AT_SLICES = "when its time slice is over, as on a machine"
    ANYWHERE = "before every step: every runnable thread is an option, whatever the number of processors"


class Simulation(VirtualCalls):
    """A machine in virtual time that runs plain blocking functions, the same way for the same seed.

    `processors` (1 or more) run threads; the number is also what concurrency value 0 means (Q-03).  `seed` (a whole
    number) decides everything that is open, unless a `scheduler` answers; latencies of devices come from it in any
    case. `profile` is a name or a `Profile`.  `time_slice` and `context_switch_cost` are in virtual seconds: 0.02 and 0
    unless given; the cost is paid by a processor that begins to run another thread than its last one.  `carrier`:
    "auto" takes greenlets where they are installed, "greenlet", "thread"; the results are the same to the letter.
    `preemption` is for explorers; `queue_type` serves observers; `stall_steps` is how many steps in one instant are
    taken for a program that polls for ever.

    >>> from iocp_emu import CompletionPort, Simulation, sleep, spawn
    >>> def worker(port):
    ...     packet = port.get()
    ...     sleep(3600)
    ...     return packet.key
    >>> with Simulation() as sim:
    ...     port = CompletionPort()
    ...     thread = sim.spawn(worker, port)
    ...     port.post(key="hello")
    ...     result = sim.run()
    >>> thread.result, sim.now
    ('hello', 3600.0)
    """

    thread_type: type[VirtualThread] = VirtualThread
    """What its threads are made of; serves observers, as `queue_type` does."""

    def __init__(
        self,
        processors: int = 2,
        seed: int = 0,
        profile: str | Profile | None = None,
        *,
        time_slice: float = TIME_SLICE_SECONDS,
        context_switch_cost: float = 0.0,
        scheduler: Scheduler | None = None,
        carrier: str | Carrier = Carrier.AUTO,
        preemption: Preemption = Preemption.AT_SLICES,
        queue_type: type[KernelQueue[Any]] = KernelQueue,
        stall_steps: int = STALL_STEPS,
    ) -> None:
        _check_whole("processors", processors, 1)
        _check_whole("seed", seed, 0)
        _check_whole("stall_steps", stall_steps, 1)
        if not 0 < time_slice < float("inf"):
            raise ValueError(f"time_slice must be above 0 seconds and finite, not {time_slice}")
        if not 0 <= context_switch_cost < float("inf"):
            raise ValueError(f"context_switch_cost must be 0 or more seconds and finite, not {context_switch_cost}")
        self.carrier, self._new_strand = choose_carrier(carrier)
        super().__init__(profile, processors, queue_type)
        self.process.pid = HANDLE_STEP
        self.has_fast_path = False
        self.is_observed = queue_type is not KernelQueue
        self.seed = seed
        self.random = Random(seed)
        self.preemption = preemption
        self._is_anywhere = preemption is Preemption.ANYWHERE
        self.clock = VirtualClock()
        self.processors = Processors(
            processors, self.clock, to_nanoseconds(time_slice), to_nanoseconds(context_switch_cost)
        )
        self.scheduler: Scheduler = scheduler or SeededScheduler(seed)
        self._is_steady = isinstance(scheduler, SteadyScheduler)
        self.scheduler.begin(self)
        self.schedule: list[int] = []
        self.virtual_threads: list[VirtualThread] = []
        self.steps = 0
        self._names: dict[str, int] = {}
        self._outside: OsThread | None = None
        self._running: VirtualThread | None = None
        self._next: VirtualThread | None = None
        self._failure: BaseException | None = None
        self._in_run = False
        self._hub_ident = 0
        self._is_busy = False
        self.closed = False
        self._limit: int | None = None
        self._awaited: KernelThread | None = None
        self._stall_steps = stall_steps
        self._instant = 0
        self._instant_began = 0
        self._bindings: list[Any] = []

    # -- what users do -----------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return to_seconds(self.clock.now)

    @property
    def switches(self) -> int:
        """Context switches so far."""
        return self.processors.switches

    def spawn(self, function: Callable[..., object], *args: Any, name: str | None = None) -> VirtualThread:
        """A virtual thread that will run `function(*args)`.  `name` is made unique.  Does not block; O(1).

        Inside the simulation, `iocp_emu.spawn` gives a thread that can be joined.
        """
        thread = self.create_thread(str(name or getattr(function, "__name__", "spawned")))
        context = contextvars.copy_context()
        context.run(bind, self)
        self.start(thread, context, partial(function, *args))
        return thread

    def run(self, until: float | VirtualThread | None = None) -> RunResult:
        """Let the threads run until all have ended, or until virtual time `until` (seconds), or until that thread ends.

        What happens at the time `until` itself still happens.  Raises the first exception that ended a thread and that
        nobody has received by a join; `SimulationDeadlock` when threads wait that nothing can ever wake;
        `SimulationMisuse`; `SimulationStall`; whatever the scheduler raises.  After an exception the simulation is
        closed.
        """
        if self._in_run or self.is_virtual(get_ident()):
            raise SimulationMisuse("run is called while the simulation runs: use iocp_emu.spawn and join inside of it")
        if self.closed:
            raise RuntimeError("this simulation is closed")
        self._limit, self._awaited = self._as_limit(until)
        self._in_run = True
        self._hub_ident = get_ident()
        misuse.install(self)
        binding = bind(self)
        try:
            self._run_threads()
            reason = self._why_ended()
            self._raise_unseen_error()
        except BaseException:
            self._end_threads()
            raise
        finally:
            unbind(binding)
            misuse.remove(self)
            self._in_run = False
            self._hub_ident = 0
        return result_of(self, reason)

    def close(self) -> None:
        """End every thread that is left, through its `finally` blocks.  Closing again does nothing."""
        if self.is_virtual(get_ident()):
            raise SimulationMisuse("close is called by a thread of the simulation: return from it instead")
        self._end_threads()

    def __enter__(self) -> Self:
        misuse.install(self)
        self._bindings.append(bind(self))
        return self

    def __exit__(self, *_: object) -> None:
        unbind(self._bindings.pop())
        misuse.remove(self)
        self._end_threads()

    def draw(self, subject: str, outcomes: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of `outcomes`, as the scheduler decides: a device asks what shall happen to its operation."""
        if len(outcomes) == 1:
            return outcomes[0]
        return outcomes[self._ask(ChoicePoint(ChoiceKind.OUTCOME, outcomes, self._running, weights, subject))]

    # -- verbs -------------------------------------------------------------------------------------------------

    def perform(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """A scheduling point, then one kernel verb."""
        thread = self.caller()
        if thread is None:
            return self.do(verb, *args, **kwargs)
        self.point(thread, verb, args)
        return self.act(verb, *args, **kwargs)

    def act(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """One kernel verb behind a scheduling point; a caller that has lost its processor pauses."""
        result = self.do(verb, *args, **kwargs)
        thread = self._running
        if thread is not None and thread.place is not RUNNING and not self.closed:
            self.pause(thread)
        return result

    def do(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """One kernel verb without a scheduling point: for devices and alarms, and for verbs inside of verbs."""
        if self._is_busy:
            return verb(*args, **kwargs)
        self._is_busy = True
        kernel = self.kernel
        try:
            return verb(*args, **kwargs)
        finally:
            self._is_busy = False
            if kernel.readied:
                readied, kernel.readied = kernel.readied, []
                for thread in readied:
                    if isinstance(thread, VirtualThread) and thread.place is WAITING:
                        self.processors.make_ready(thread)
            if self._deferred:
                self._run_deferred()

    def defer(self, action: Callable[[], object]) -> None:
        """Run `action` soon: with the next verb, or at once between runs; never while the interpreter ends.

        Never blocks: for finalizers, which may come in the middle of anything.
        """
        if self._is_finalizing():
            return
        self._deferred.append(action)
        if not self._in_run:
            self._run_deferred()

    def _run_deferred(self) -> None:
        while self._deferred and not self._is_busy:
            self.do(self._deferred.popleft())

    # -- threads -----------------------------------------------------------------------------------------------

    def current(self) -> OsThread:
        """The calling virtual thread; for code outside of the simulation, one thread that stands for all of it."""
        thread = self.caller()
        if thread is not None:
            return thread
        if self._outside is None:
            self._outside = OsThread(self.kernel, self.process, "outside")
        return self._outside

    def caller(self) -> VirtualThread | None:
        """The calling virtual thread, None for code outside; `SimulationMisuse` for a strange OS thread."""
        thread = self._running
        if thread is None or thread.ident == get_ident():
            return thread
        raise SimulationMisuse(
            "an OS thread that is not of the simulation calls into it while it runs: "
            "use iocp_emu.spawn for threads, and simulated devices for files"
        )

    def create_thread(self, name: str) -> VirtualThread:
        """A virtual thread that `start` will start; its name is made unique."""
        return self.perform(self._new_thread, name)

    def _new_thread(self, name: str) -> VirtualThread:
        self._names[name] = count = self._names.get(name, 0) + 1
        thread = self.thread_type(self, len(self.virtual_threads) + 1, name if count == 1 else f"{name}-{count}")
        self.virtual_threads.append(thread)
        return thread

    def start(self, thread: KernelThread, context: contextvars.Context, function: Callable[[], Any]) -> None:
        """Let `function()` run in `context` as `thread`: it waits for a processor from now on."""
        assert isinstance(thread, VirtualThread)
        if self.closed:
            raise VirtualThreadExit if self._running else RuntimeError("this simulation is closed")
        thread.function = function
        thread.strand = self._new_strand(context, partial(self._live, thread), self._interrupt, thread.title)
        self.processors.make_ready(thread)

    def adopt(self, thread: OsThread) -> None:
        """Virtual threads are what they are."""
        raise SimulationMisuse("an OS thread cannot become a virtual thread: use iocp_emu.spawn")

    def end_current_thread(self, exit_code: int = 0) -> None:
        """End the calling thread at once: ExitThread."""
        self.perform(self.current().exit, exit_code)

    def _live(self, thread: VirtualThread) -> None:
        """The life of a virtual thread, on its strand."""
        thread.ident = get_ident()
        try:
            if not self.closed:
                thread.result = cast(Callable[[], Any], thread.function)()
                self.point(thread, thread.exit, ())
        except (VirtualThreadExit, SystemExit):
            pass
        except KeyboardInterrupt as interrupt:
            self._failure = interrupt
        except BaseException as error:
            thread.error = error
        thread.function = None
        if thread.state is not ThreadState.EXITED:
            self.do(thread.exit, 0)
        thread.has_unwound = True

    def on_suspended(self, thread: VirtualThread) -> None:
        """Under a verb: a thread that is suspended has no processor."""
        if thread.place not in (Place.NEW, Place.WAITING, Place.ENDED):
            self.processors.take_off(thread, Place.WAITING)

    def on_exit(self, thread: VirtualThread) -> None:
        """Under a verb: the thread makes no further step."""
        self.processors.take_off(thread, Place.ENDED)

    def error_was_seen(self, thread: KernelThread) -> None:
        """A join has received it."""
        if isinstance(thread, VirtualThread):
            thread.error_was_seen = True

    # -- scheduling --------------------------------------------------------------------------------------------

    def point(self, thread: VirtualThread, verb: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """A scheduling point before the step `verb(*args)` of the running `thread`."""
        if self.closed:
            return
        if self._failure is not None:
            self.pause(thread)
        self.steps = steps = self.steps + 1
        clock, processors = self.clock, self.processors
        now = clock.now
        if now != self._instant:
            self._instant, self._instant_began = now, steps
        elif steps - self._instant_began > self._stall_steps:
            self._fail(SimulationStall(self.now, self._stall_steps, processors.running))
        running = processors.running
        if len(running) == 1 and clock.next_time != now and not (self._is_anywhere and processors.ready):
            return
        if self._is_steady:  # its answer is known
            self.schedule.append([*running].index(thread))
            return
        thread.announce(verb, args)
        try:
            chosen = self._pick(thread)
        except BaseException as error:
            self._failure = error
            chosen = None
        if chosen is not thread:
            self._give_way(thread, chosen)

    def pause(self, thread: VirtualThread) -> None:
        """Let somebody else go on; back when this thread has been chosen."""
        if self.closed:
            raise VirtualThreadExit
        strand = thread.strand
        if self._failure is not None or not isinstance(strand, GreenletStrand):
            self._give_way(thread, None)
            return
        self._running = chosen = None
        try:
            chosen = self._pick(None)
        except BaseException as error:
            self._failure = error
        if chosen is thread:
            self._running = thread
        elif chosen is None or not chosen.ident:
            self._give_way(thread, chosen)
        else:
            self._running = chosen
            strand.pass_to(cast(GreenletStrand, chosen.strand))
            if self.closed:
                raise VirtualThreadExit

    def _give_way(self, thread: VirtualThread, chosen: VirtualThread | None) -> None:
        """Let `chosen` go on, None: the hub, which picks; back when `thread` has been chosen."""
        strand = thread.strand
        # A greenlet begins as deep in the stack as it is first entered: that is for the hub to do.
        if chosen is not None and chosen.ident and isinstance(strand, GreenletStrand):
            self._running = chosen
            strand.pass_to(cast(GreenletStrand, chosen.strand))
        else:
            self._next = chosen
            cast(Strand, strand).leave()
        if self.closed:
            raise VirtualThreadExit

    def _pick(self, current: VirtualThread | None) -> VirtualThread | None:
        """The thread that makes the next step; time passes only when there is none.  None: nothing is left to do."""
        clock, processors = self.clock, self.processors
        running = processors.running
        while self._awaited is None or self._awaited.state is not ThreadState.EXITED:
            due = clock.next_time
            if not running:
                if due is None or (self._limit is not None and due > self._limit):
                    return None
                clock.ring()
                continue
            if self._is_steady:  # its answer is known
                if len(running) > 1 or due == clock.now or (self._is_anywhere and processors.ready):
                    self.schedule.append(0)
                return next(iter(running))
            options: list[Any] = [*running]
            if self._is_anywhere:
                options += processors.ready
            if due == clock.now:
                options.append(CLOCK)
            if len(options) == 1:
                return cast(VirtualThread, options[0])
            point = ChoicePoint(ChoiceKind.STEP, options, current if current in running else None)
            chosen = options[self._ask(point)]
            if chosen is CLOCK:
                clock.ring()
                continue
            if chosen.place is READY:
                processors.preempt(point.current or options[0], chosen)
            if chosen.place is RUNNING:
                return cast(VirtualThread, chosen)
        return None

    def _ask(self, point: ChoicePoint) -> int:
        try:
            answer = self.scheduler.choose(point)
            if not 0 <= answer < len(point.options):
                raise IndexError(f"the scheduler answered {answer} where there are {len(point.options)} options")
        except BaseException as error:
            # The run ends with it, also when the question was asked in the middle of a program's call.
            self._failure = error
            raise
        self.schedule.append(answer)
        return answer

    # -- the hub -----------------------------------------------------------------------------------------------

    def _run_threads(self) -> None:
        while True:
            thread, self._next = self._next or self._pick(None), None
            if thread is None:
                return
            self._enter(thread)
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure

    def _enter(self, thread: VirtualThread) -> None:
        self._running = thread
        try:
            cast(Strand, thread.strand).enter()
        finally:
            self._running = None

    def _as_limit(self, until: float | VirtualThread | None) -> tuple[int | None, KernelThread | None]:
        if until is None or isinstance(until, KernelThread):
            return None, until
        limit = to_nanoseconds(until)
        if limit < self.clock.now:
            raise ValueError(f"until is {until} seconds, but it is {self.now} already")
        return limit, None

    def _why_ended(self) -> EndReason:
        """Nobody can go on within the limits: say why, or raise the deadlock."""
        if self._awaited is not None and self._awaited.state is ThreadState.EXITED:
            return EndReason.THREAD_ENDED
        if self._limit is not None:
            self.clock.now = self._limit
            if self.clock.next_time is not None:
                return EndReason.TIME_REACHED
        if any(thread.place not in (Place.NEW, Place.ENDED) for thread in self.virtual_threads):
            if self._limit is not None:
                return EndReason.TIME_REACHED
            first = next((thread.error for thread in self.virtual_threads if thread.error is not None), None)
            raise SimulationDeadlock(report_deadlock(self)) from first
        return EndReason.FINISHED

    def _raise_unseen_error(self) -> None:
        for thread in self.virtual_threads:
            if thread.error is not None and not thread.error_was_seen and thread.place is Place.ENDED:
                thread.error_was_seen = True
                raise thread.error

    def _fail(self, error: BaseException) -> None:
        """In a strand: the run ends with `error`, and this strand goes no further."""
        self._failure = error
        if self._running is not None:
            self.pause(self._running)

    def _interrupt(self) -> None:
        """The hub was interrupted while a strand runs: it shall come back at its next step."""
        self.closed = True

    def _end_threads(self) -> None:
        """Close: every strand that was entered unwinds; the others are forgotten."""
        self.closed = True
        self._next = None
        for thread in self.virtual_threads:
            for _ in range(EXIT_ATTEMPTS):
                if thread.has_unwound or not thread.ident:
                    break
                self._enter(thread)
            thread.strand = thread.function = None
            if thread.state is not ThreadState.EXITED:
                self.do(thread.exit, 0)
        failure, self._failure = self._failure, None
        if isinstance(failure, KeyboardInterrupt):
            raise failure

    # -- for `misuse` ------------------------------------------------------------------------------------------

    def is_virtual(self, ident: int) -> bool:
        """Whether the OS thread with this ident runs one of the virtual threads at this moment."""
        thread = self._running
        return thread is not None and thread.ident == ident

    def is_hub(self, ident: int) -> bool:
        """Whether that OS thread has called `run` and is not in a virtual thread at this moment."""
        return ident == self._hub_ident and not self.is_virtual(ident)

    def is_ambient(self) -> bool:
        """Whether it is the system in use for the caller."""
        return system_in_use() is self

    def misuse(self, message: str) -> SimulationMisuse:
        """The exception to raise; the run ends with it even if the program catches it."""
        thread = self._running
        error = SimulationMisuse(f"{message} (thread {thread.title if thread else 'outside'})")
        self._failure = error
        return error


def _check_whole(name: str, value: object, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    if value < low:
        raise ValueError(f"{name} must be {low} or more, not {value}")

