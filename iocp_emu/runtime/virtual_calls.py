"""The calls of virtual threads that may wait: dequeuing, waiting for objects, computing.

Theory.  Each is a scheduling point and one verb.  If the verb says that the thread waits, its processor goes to
somebody else, an alarm is set for the timeout, and whoever is chosen goes on; when the thread is chosen again, the
kernel has its result.

Posts and gets of single packets have the fast path of `runtime.threads`, behind their scheduling point and decided on
the same fields of the model, unless somebody observes the queues.  Nothing runs beside a step, so there is nothing to
be settled.

Rules of this file: none of its own; it obeys Q-11, Q-23, Q-24, Q-29, Q-33 and Q-35 as the runtime of real threads does.

Own rule.  An exception that comes out of a wait leaves the kernel as if the call had timed out, and no packet is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from typing_extensions import ParamSpec

from ..kernel.completion import IoCompletion, Packet
from ..kernel.queue import RemoveOutcome
from ..kernel.thread import BLOCKED, EXITED, RUNNABLE
from ..kernel.waits import Alertability, Timeout, Waitable, WaitMode
from ..status import STATUS_USER_APC
from .processors import Processors
from .threads import DUE, LATER, OsThread, return_delivery
from .virtual_system import VirtualSystem
from .virtual_threads import RUNNING, WAITING, SimulationMisuse, VirtualThread, VirtualThreadExit
from .virtual_time import VirtualClock, to_nanoseconds

P = ParamSpec("P")
R = TypeVar("R")


class VirtualCalls(VirtualSystem):
    """The waiting half of a simulation; the other half says who runs."""

    clock: VirtualClock
    processors: Processors
    closed: bool
    """Whether `close` has been called, or a run has failed: threads only unwind then."""
    is_observed: bool
    """Whether the queues are of a type that wants to see every verb."""

    # -- what the other half does ------------------------------------------------------------------------------

    def do(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """One kernel verb without a scheduling point: for devices and alarms, and for verbs inside of verbs."""
        raise NotImplementedError

    def act(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """One kernel verb behind a scheduling point; a caller that has lost its processor pauses."""
        raise NotImplementedError

    def caller(self) -> VirtualThread | None:
        """The calling virtual thread, None for code outside; `SimulationMisuse` for a strange OS thread."""
        raise NotImplementedError

    def point(self, thread: VirtualThread, verb: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """A scheduling point before the step `verb(*args)` of the running `thread`."""
        raise NotImplementedError

    def pause(self, thread: VirtualThread) -> None:
        """Let somebody else go on; back when this thread has been chosen."""
        raise NotImplementedError

    # -- ports and waits ---------------------------------------------------------------------------------------

    def post(self, port: IoCompletion, packet: Packet) -> None:
        """Queue a packet, or hand it to a waiter (Q-10).  Never blocks."""
        if self.is_observed:
            self.perform(port.set, packet)
            return
        thread = self.caller()
        if thread is not None:
            self.point(thread, port.set, (packet,))
        queue = port.queue
        if (
            (queue.waiters and queue.current_count < queue.maximum_count)
            or port.waits
            or port.running_down
            or packet.source is not None
        ):
            self.act(port.set, packet)
        else:
            queue.packets.append(packet)

    def remove_one(self, port: IoCompletion, timeout: float | None) -> Packet | RemoveOutcome:
        """Dequeue one packet, waiting up to `timeout` virtual seconds (None: for ever) (Q-11)."""
        thread = None if self.is_observed else self.caller()
        if thread is None:
            result = self.remove_many(port, 1, timeout)
            return result[0] if isinstance(result, list) else result
        due = DUE if timeout is not None and timeout <= 0 else LATER
        queue = port.queue
        packets = queue.packets
        try:
            self.point(thread, port.remove, (thread, 1, due))
            if (
                packets
                and thread.queue is queue
                and queue.current_count <= queue.maximum_count
                and thread.state is RUNNABLE
                and packets[0].source is None
                and not port.is_closed
            ):
                return packets.popleft()
            taken: Any = self.act(port.remove, thread, 1, due)
            if taken is None:
                taken = self._await(thread, timeout)
        except BaseException:
            self._give_up(thread)
            raise
        return cast("Packet | RemoveOutcome", taken[0] if isinstance(taken, list) else taken)

    def remove_many(
        self,
        port: IoCompletion,
        maximum: int,
        timeout: float | None,
        alertability: Alertability = Alertability.PLAIN,
    ) -> list[Packet] | RemoveOutcome:
        """Dequeue up to `maximum` packets, waiting up to `timeout` virtual seconds for the first (Q-19, O-08)."""
        thread = self.current()
        due = DUE if timeout is not None and timeout <= 0 else LATER
        try:
            result: Any = self.perform(port.remove, thread, maximum, due, alertability)
            if result is None:
                result = self._await(thread, timeout)
        except BaseException:
            self._give_up(thread)
            raise
        if result is RemoveOutcome.USER_APC:
            self.run_user_apcs(thread)
        return cast("list[Packet] | RemoveOutcome", result)

    def wait(
        self,
        objects: Sequence[Waitable],
        mode: WaitMode = WaitMode.ANY,
        timeout: float | None = None,
        alertability: Alertability = Alertability.PLAIN,
    ) -> int:
        """Wait for kernel objects, or sleep when there are none; the NTSTATUS (Q-23, Q-29)."""
        thread = self.current()
        due = DUE if timeout is not None and timeout <= 0 else LATER
        was_blocked = thread.state is BLOCKED
        try:
            result: Any = self.perform(self._begin_wait, thread, objects, mode, due, alertability)
            if result is None:
                result = self._await(thread, timeout)
        except BaseException:
            self._give_up(thread)
            raise
        finally:
            if was_blocked and thread.state is RUNNABLE:
                self.do(self.kernel.block, thread)
        if result == STATUS_USER_APC:
            self.run_user_apcs(thread)
        return cast(int, result)

    def _begin_wait(
        self, thread: OsThread, objects: Sequence[Waitable], mode: WaitMode, due: Timeout, alertability: Alertability
    ) -> int | None:
        if thread.state is BLOCKED:
            self.kernel.unblock(thread)
        return self.kernel.wait(thread, objects, mode, due, alertability)

    def _await(self, thread: OsThread, timeout: float | None) -> Any:
        """Wait, in virtual time, until the kernel has readied the thread; what its wait has brought."""
        if not isinstance(thread, VirtualThread):
            raise SimulationMisuse(
                "a call outside of run() would wait, but nobody runs there: wait in a thread of the simulation"
            )
        if thread.state is not RUNNABLE:
            if self.closed:
                raise VirtualThreadExit
            self.processors.take_off(thread, WAITING)
            alarm = None
            if timeout is not None:
                alarm = self.clock.set(to_nanoseconds(timeout), lambda: self.do(self.kernel.expire, thread))
            thread.announce(None)
            try:
                self.pause(thread)
            finally:
                if alarm is not None:
                    self.clock.cancel(alarm)
        return self.do(self.kernel.collect, thread)

    def _give_up(self, thread: OsThread) -> None:
        """An exception came out of a wait: leave it consistently, and lose no packet (Q-35)."""
        if thread.state is EXITED:
            return
        self.do(self.kernel.expire, thread)
        self.do(return_delivery, thread)

    def compute(self, seconds: float) -> None:
        """Keep a processor busy for that many virtual seconds; the slot on the port stays taken (Q-29)."""
        thread = self.caller()
        if thread is None:
            raise SimulationMisuse("compute outside of run(): no processor runs there")
        if self.closed:
            raise VirtualThreadExit
        if seconds > 0:
            self.processors.compute(thread, to_nanoseconds(seconds))
            thread.announce(None)
            self.pause(thread)

    def yield_processor(self) -> None:
        """Sleep(0): who waits for a processor comes first (Q-29)."""
        thread = self.caller()
        if thread is not None and not self.closed:
            self.point(thread, self.yield_processor, ())
            self.processors.yield_to_others(thread)
            if thread.place is not RUNNING:
                self.pause(thread)
