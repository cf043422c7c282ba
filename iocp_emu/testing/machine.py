"""`PortMachine`: a hypothesis state machine that runs *your* worker pool under every interleaving it can think of.

Theory.  Workers are generators that yield calls (`calls.py`).  hypothesis decides, step by step, which worker makes its
next call, whose time is over, who stops being blocked, and when a job comes in; the calls are verbs of the kernel, so
the port behaves as everywhere.  A failure is the shortest list of such decisions that hypothesis can find.

A subclass says what its workers do, what a job is and how the pool is stopped:

    class MyPool(PortMachine):
        workers, limit = 3, 2

        def worker(self, number):
            while (packet := (yield Get())).key != "stop":
                self.handled(packet.key)

        def stop(self):
            for _ in range(self.workers):
                self.post("stop")

    TestMyPool = MyPool.TestCase

At the end of each example the pool is stopped and everybody runs until nobody can.  Then every worker must have ended
and every job must have been handled once.

Own rules.  After each step the invariants of the kernel are checked.  A worker is told of a timeout by None.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ..kernel.completion import Packet
from ..kernel.invariants import check, describe
from ..kernel.machine import Kernel
from ..kernel.objects import Access
from ..kernel.queue import RemoveOutcome
from ..kernel.thread import KernelThread, ThreadState
from ..kernel.waits import Timeout
from ..profiles import get_profile
from .calls import Block, Call, Compute, Get, Post, Worker


class PoolFailure(AssertionError):
    """The pool under test did something wrong, or left something undone."""


class _Running:
    """One worker: its generator, its thread, and the call that it waits in."""

    def __init__(self, generator: Worker, thread: KernelThread) -> None:
        self.generator = generator
        self.thread = thread
        self.call: Call | None = None
        self.answer: Any = None
        self.has_ended = False

    @property
    def can_go_on(self) -> bool:
        """Whether it is its turn to make a call."""
        return not self.has_ended and self.thread.state is ThreadState.RUNNABLE

    @property
    def may_time_out(self) -> bool:
        """Whether it waits in a call that has a timeout."""
        waits = self.thread.state is ThreadState.PARKED
        return waits and isinstance(self.call, Get) and self.call.timeout is not None


class PortMachine(RuleBasedStateMachine):
    """Subclass this; see the module.  `workers` (1 or more) on a port with the concurrency value `limit`."""

    workers: ClassVar[int] = 3
    limit: ClassVar[int] = 2
    profile: ClassVar[str] = "win10"
    steps_to_stop: ClassVar[int] = 10_000
    """How many calls the stopped pool may make before it counts as running for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel(get_profile(self.profile), processors=2)
        process = self.kernel.create_process()
        self.port = self.kernel.create_port(self.limit)
        process.handles.open(self.port, Access.ALL)
        self.jobs: dict[Any, int] = {}
        self.failed = False
        self.pool = [
            _Running(self.worker(number), self.kernel.create_thread(process, f"worker {number}"))
            for number in range(self.workers)
        ]

    # -- what a subclass says ----------------------------------------------------------------------------------

    def worker(self, number: int) -> Worker:
        """What worker `number` does: a generator of calls.  To be overridden."""
        raise NotImplementedError("a PortMachine needs a worker(self, number) that yields calls")

    def new_job(self, number: int) -> Any:
        """The key of the packet that brings the job of this number, from 0."""
        return f"job {number}"

    def stop(self) -> None:
        """Ask the pool to end, once all jobs have been posted.  Does nothing unless overridden."""

    def check_end(self) -> None:
        """What must hold when nobody can go on any more: all workers have ended, and each job was handled once."""
        stuck = [worker.thread for worker in self.pool if not worker.has_ended]
        if stuck:
            names = ", ".join(f"{thread.name} ({thread.state.value})" for thread in stuck)
            raise PoolFailure(f"never ended: {names}; {describe(self.port)}")
        undone = [job for job, times in self.jobs.items() if times == 0]
        if undone:
            raise PoolFailure(f"never handled: {undone}; {describe(self.port)}")

    # -- what a subclass calls ---------------------------------------------------------------------------------

    def post(self, key: Any) -> None:
        """Post a packet."""
        self.kernel.post(self.port, Packet(key, None, 0, 0, None))
        self._settle()

    def handled(self, job: Any) -> None:
        """A worker has done a job: `PoolFailure` for one that nobody has posted, and for the second time."""
        if job not in self.jobs:
            raise PoolFailure(f"{job!r} was handled and is no job")
        self.jobs[job] += 1
        if self.jobs[job] > 1:
            raise PoolFailure(f"{job!r} was handled {self.jobs[job]} times")

    # -- what hypothesis decides -------------------------------------------------------------------------------

    @rule(choice=st.integers(0, 63))
    @precondition(lambda self: any(worker.can_go_on for worker in self.pool))
    def let_a_worker_go_on(self, choice: int) -> None:
        """One call of one worker."""
        able = [worker for worker in self.pool if worker.can_go_on]
        self._guarded(able[choice % len(able)])

    @rule()
    def bring_a_job(self) -> None:
        """One job more."""
        job = self.new_job(len(self.jobs))
        self.jobs[job] = 0
        self.post(job)

    @rule(choice=st.integers(0, 63))
    @precondition(lambda self: any(worker.may_time_out for worker in self.pool))
    def let_a_wait_time_out(self, choice: int) -> None:
        """The time of a waiting call is over."""
        waiting = [worker for worker in self.pool if worker.may_time_out]
        self.kernel.expire(waiting[choice % len(waiting)].thread)
        self._settle()

    @rule(choice=st.integers(0, 63))
    @precondition(lambda self: any(worker.thread.state is ThreadState.BLOCKED for worker in self.pool))
    def let_a_blocked_worker_return(self, choice: int) -> None:
        """What a worker has blocked on is over."""
        blocked = [worker for worker in self.pool if worker.thread.state is ThreadState.BLOCKED]
        self.kernel.unblock(blocked[choice % len(blocked)].thread)
        self._settle()

    def teardown(self) -> None:
        """Stop the pool and let everybody run, in turn, until nobody can; then `check_end`."""
        if self.failed:
            return
        self.stop()
        for _ in range(self.steps_to_stop):
            if not self._let_somebody_go_on():
                break
        else:
            raise PoolFailure(f"the pool still runs {self.steps_to_stop} calls after it was stopped")
        self.check_end()

    # -- how it is done ----------------------------------------------------------------------------------------

    def _let_somebody_go_on(self) -> bool:
        """Everybody who can makes one call; who cannot is unblocked or timed out only if nobody else can go on."""
        able = [worker for worker in self.pool if worker.can_go_on]
        for worker in able:
            if worker.can_go_on:
                self._guarded(worker)
        if able:
            return True
        for worker in self.pool:
            if worker.thread.state is ThreadState.BLOCKED:
                self.kernel.unblock(worker.thread)
            elif worker.may_time_out:
                self.kernel.expire(worker.thread)
            else:
                continue
            self._settle()
            return True
        return False

    def _guarded(self, worker: _Running) -> None:
        try:
            self._go_on(worker)
        except BaseException:
            self.failed = True
            note(describe(self.port))
            raise

    def _go_on(self, worker: _Running) -> None:
        """Tell the worker what its call has brought, and make its next one."""
        answer, worker.answer, worker.call = worker.answer, None, None
        try:
            call = worker.generator.send(answer)
        except StopIteration:
            worker.has_ended = True
            self.kernel.exit_thread(worker.thread)
            note(f"    {worker.thread.name} ends")
            self._settle()
            return
        worker.call = call
        note(f"    {worker.thread.name}: {call}")
        if isinstance(call, Get):
            timeout = Timeout.DUE if call.timeout == 0 else Timeout.LATER
            worker.answer = self._packet(self.kernel.remove(worker.thread, self.port, 1, timeout))
        elif isinstance(call, Post):
            self.post(call.key)
        elif isinstance(call, Block):
            self.kernel.block(worker.thread)
        elif not isinstance(call, Compute):
            raise TypeError(f"a worker yields calls, not {call!r}")
        self._settle()

    def _settle(self) -> None:
        """Whoever was made ready learns what it got; the state must be sound."""
        readied, self.kernel.readied = self.kernel.readied, []
        for worker in self.pool:
            if worker.thread in readied:
                worker.answer = self._packet(self.kernel.collect(worker.thread))
        check(self.kernel)

    @staticmethod
    def _packet(result: list[Packet] | RemoveOutcome | int | None) -> Packet | None:
        return result[0] if isinstance(result, list) else None
