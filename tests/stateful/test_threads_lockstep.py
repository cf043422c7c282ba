"""The same lockstep on real threads: each verb is carried out by the OS thread that it belongs to, one at a time.

Theory.  Every thread of the naive model is an OS thread that waits for orders.  A call that may wait is over, for now,
when its thread has come back or when the kernel, asked under its lock, says that it is parked or blocked.  After each
verb exactly those threads must come back that the naive model has released, with what it gave them; then everything
visible is compared.  So the runtime is shown to add nothing to the kernel and to leave nothing out, on its lock-free
path as well as under the lock.

Own rules.  Nothing depends on speed: every wait is for a condition, with a deadline that only a hang can reach.
Timeouts do not run by the clock; the machine lets them expire.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, ClassVar

import pytest
from hypothesis.stateful import precondition, rule

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion, Packet
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.kernel.waits import Waitable, WaitMode
from iocp_emu.runtime.threads import OsThread, ThreadSystem
from tests.stateful.driver import Driver, Outcome, alertability, plain
from tests.stateful.lockstep import Lockstep, is_refusal
from tests.stateful.records import Thread
from tests.stateful.rules import PICK, FileRules, HandleRules, QueueRules, WaitRules
from tests.stateful.test_machine import run

LONGEST_SECONDS = 120.0
ALERTED = ("USER_APC", status.STATUS_USER_APC)


class Actor:
    """An OS thread that carries out one order after another."""

    def __init__(self, system: ThreadSystem, kernel_thread: OsThread) -> None:
        self.system = system
        self.kernel_thread = kernel_thread
        self.orders: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self.answers: SimpleQueue[Any] = SimpleQueue()
        self.is_in_a_call = False
        self.os_thread = threading.Thread(target=self._work, name=str(kernel_thread.name), daemon=True)
        self.os_thread.start()

    def _work(self) -> None:
        self.system.adopt(self.kernel_thread)
        while (order := self.orders.get()) is not None:
            try:
                self.answers.put(order())
            except BaseException as error:
                self.answers.put(error)

    def perform(self, order: Callable[[], Any], when_waiting: Outcome = None) -> Outcome:
        """Let the thread carry out `order`; `when_waiting` if it is parked or blocked in it."""
        self.orders.put(order)
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            try:
                return self._take(self.answers.get(timeout=0.0002))
            except Empty:
                if self.system.perform(lambda: self.kernel_thread.state) is not ThreadState.RUNNABLE:
                    break
        # The thread is waiting, or has just answered after having stopped by order (`block`).
        if when_waiting is None:
            return self.answer()
        self.is_in_a_call = True
        return when_waiting

    def answer(self) -> Any:
        """What the thread comes back with; it has been released."""
        self.is_in_a_call = False
        try:
            return self._take(self.answers.get(timeout=LONGEST_SECONDS))
        except Empty:
            raise AssertionError(f"{self.os_thread.name} was released and never came back") from None

    @staticmethod
    def _take(answer: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def end(self) -> None:
        """The thread returns, and with that it leaves its port."""
        self.orders.put(None)
        self.os_thread.join(LONGEST_SECONDS)
        assert not self.os_thread.is_alive(), f"{self.os_thread.name} did not end"


class ThreadDriver(Driver):
    """The kernel inside a `ThreadSystem`, its threads real."""

    def __init__(self, profile: str, *, has_fast_path: bool) -> None:
        self.system = ThreadSystem(profile, processors=2)
        self.system.has_fast_path = self.system.has_fast_path and has_fast_path
        super().__init__(profile, self.system.kernel)
        self.actors: list[Actor] = []

    def do(self, verb: str, *arguments: Any) -> Outcome:
        """Calls that belong to a thread are made by it, all others here, under the lock."""
        method = getattr(self, verb)
        try:
            if verb in ("create_thread", "remove", "wait", "block", "unblock", "collect", "exit", "post"):
                return method(*arguments)
            if verb in ("issue", "cancel_io"):
                return self.actors[arguments[0]].perform(lambda: self.system.perform(method, *arguments))
            return self.system.perform(method, *arguments)
        except NtError as refusal:
            return ("refused", refusal.status)

    def create_thread(self, process: int) -> int:
        """An OS thread."""
        name = f"T{len(self.threads)}"
        thread = self.system.perform(OsThread, self.kernel, self.processes[process], name)
        self.threads.append(thread)
        self.actors.append(Actor(self.system, thread))
        return len(self.threads) - 1

    def post(self, process: int, handle: int, key: str) -> int:
        """By a thread that is free to call, else here; the runtime answers nothing, so the depth is looked up."""
        port: IoCompletion = self.find(process, handle, IoCompletion, Access.MODIFY_STATE)
        depth = port.depth
        packet = self.packet(port, key)
        free = [
            actor
            for actor in self.actors
            if actor.kernel_thread.state is ThreadState.RUNNABLE and not actor.is_in_a_call
        ]
        if free:
            free[self.stamp % len(free)].perform(lambda: self.system.post(port, packet))
        else:
            self.system.post(port, packet)
        return depth

    def remove(self, thread: int, handle: int, maximum: int, due: bool, alertable: bool) -> Outcome:
        """Through the call for one packet or the call for many."""
        port = self.find_for(thread, handle, IoCompletion, Access.MODIFY_STATE)
        timeout = 0.0 if due else None

        def call() -> Outcome:
            if maximum == 1 and not alertable:
                packet = self.system.remove_one(port, timeout)
                return plain([packet] if isinstance(packet, Packet) else packet)
            return plain(self.system.remove_many(port, maximum, timeout, alertability(alertable)))

        return self.actors[thread].perform(call, when_waiting="parked")

    def wait(self, thread: int, handles: list[int], every: bool, due: bool, alertable: bool) -> Outcome:
        """Wait."""
        objects = [self.find_for(thread, handle, Waitable, Access.SYNCHRONIZE) for handle in handles]
        mode = WaitMode.ALL if every else WaitMode.ANY
        timeout = 0.0 if due else None
        return self.actors[thread].perform(
            lambda: self.system.wait(objects, mode, timeout, alertability(alertable)), when_waiting="blocked"
        )

    def collect(self, thread: int) -> Outcome:
        """The thread comes back from its call."""
        return self.actors[thread].answer()

    def block(self, thread: int) -> None:
        """As `blocking()` does."""
        self.actors[thread].perform(lambda: self.system.block(self.threads[thread]))

    def unblock(self, thread: int) -> None:
        """As the end of `blocking()` does."""
        self.actors[thread].perform(lambda: self.system.unblock(self.threads[thread]))

    def exit(self, thread: int) -> None:
        """The OS thread ends; nobody tells the kernel but the thread's own end."""
        self.actors[thread].end()

    def view(self) -> dict[str, list[Any]]:
        """Under the lock."""
        return self.system.perform(super().view)

    def check_takers(self) -> None:
        """Q-11: whoever may take packets without a verb would get one now: counted here, not above the limit."""
        for obj in self.kernel.objects:
            if isinstance(obj, IoCompletion):
                for ident in obj.queue.takers:
                    thread = self.system.threads_by_ident[ident]
                    assert thread.queue is obj.queue, f"{thread.name} may take here, but belongs elsewhere"
                    assert thread.state is ThreadState.RUNNABLE, f"{thread.name} may take, but is {thread.state.value}"
                    assert obj.queue.current_count <= obj.queue.maximum_count, "above the limit somebody may take"

    def early_answers(self) -> list[str]:
        """Who has come back although nobody released it."""
        return [str(actor.kernel_thread.name) for actor in self.actors if not actor.answers.empty()]

    def close_all(self) -> None:
        """End every thread, whatever it is doing."""
        for actor in self.actors:
            thread = actor.kernel_thread
            while thread.suspend_count:
                self.system.perform(self.kernel.resume, thread)
            if actor.is_in_a_call:
                self.system.perform(self.kernel.expire, thread)
                actor.answer()
            if actor.os_thread.is_alive():
                actor.end()


class ThreadMachine(QueueRules, WaitRules, FileRules, HandleRules):
    """Random histories on real threads."""

    has_fast_path: ClassVar[bool] = True
    kernel: ThreadDriver

    def new_kernel(self) -> ThreadDriver:
        """Real threads."""
        return ThreadDriver(self.profile, has_fast_path=self.has_fast_path)

    def _do(self, verb: str, arguments: tuple[Any, ...]) -> Outcome:
        """One verb; then whoever it released comes back, runs its user APCs, and everything is compared."""
        expected = self.naive.do(verb, *arguments)
        outcome = self.kernel.do(verb, *arguments)
        self.record(verb, arguments, outcome)
        any_status = is_refusal(expected) and expected[1] is None and is_refusal(outcome)
        assert outcome == expected or any_status, f"{verb}{arguments} answered {outcome}, expected {expected}"
        if outcome in ALERTED and verb in ("remove", "wait"):
            self.naive.do("run_apcs", arguments[0])
        pending = list(self.naive.readied)
        while pending:
            number = pending.pop(0)
            if self.naive.threads[number].result is not None:
                brought, returned = self.naive.do("collect", number), self.kernel.do("collect", number)
                assert returned == brought, (
                    f"after {verb}{arguments} T{number} came back with {returned}, not {brought}"
                )
                pending += self.naive.readied
                if returned in ALERTED:
                    self.naive.do("run_apcs", number)
        self.kernel.system.perform(check, self.kernel.kernel)
        self.kernel.system.perform(self.kernel.check_takers)
        early = self.kernel.early_answers()
        assert not early, f"{early} came back after {verb}{arguments}, unreleased"
        self.compare(self.kernel.view(), f"after {verb}{arguments}")
        return outcome

    def teardown(self) -> None:
        """No thread is left behind."""
        self.kernel.close_all()

    @precondition(lambda self: self.idle())
    @rule(thread=PICK)
    def exit(self, thread: int) -> None:
        """A thread that is not inside a call returns; nothing else ends an OS thread."""
        victim = self.idle()[thread % len(self.idle())]
        self.do("exit", victim.number)
        if len(self.alive()) < 4:
            self.do("create_thread", victim.process)

    def idle(self) -> list[Thread]:
        """Threads that are not inside a call, be they blocked or suspended."""
        return [thread for thread in self.alive() if thread.doing in ("running", "outside") and thread.result is None]


class FastMachine(ThreadMachine):
    """With the lock-free fast path, where the build of Python has it."""

    has_fast_path = True


class LockedMachine(ThreadMachine):
    """Every call under the lock."""

    has_fast_path = False


@pytest.mark.parametrize("machine", [FastMachine, LockedMachine])
@pytest.mark.parametrize("profile", ["win10", "xp"])
def test_q02_real_threads_as_the_naive_model_has_them(machine: type[Lockstep], profile: str) -> None:
    """Q-02, Q-07, Q-10, Q-11, Q-25: what the kernel decides is what real threads do, with or without the fast path."""
    run(machine, profile, examples=60, steps=40)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [FastMachine, LockedMachine])
@pytest.mark.parametrize("profile", ["win10", "win7", "xp", "classic", "wine"])
def test_q02_long_histories_on_real_threads(machine: type[Lockstep], profile: str) -> None:
    """Q-02, Q-07, Q-10, Q-11, Q-25: many more and longer histories, in every system."""
    run(machine, profile, examples=200, steps=80)
