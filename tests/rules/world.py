"""A driver of the kernel model in the words of the scenario tables (semantics.md 12.2).

Theory.  A table row is one action, what came of it, and the port afterwards.  `World.do` performs an action given as
the text of its cell and answers with the text of the outcome cell; `World.columns` shows the port as the remaining
four cells.  So a scenario is played and compared as text, and a failure reads like a row of the table.

Own rules.  Threads are named and exist from their first mention; lists of threads are in that order, as in the tables.
Ports are called by handle, as programs call them.  The invariants are checked after every action.  A cell that is
empty in the tables is `-` here.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from iocp_emu.kernel.completion import IoCompletion, Packet, PacketSource
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.queue import Place, RemoveOutcome
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, Event, ResetMode, Timeout, Waitable
from iocp_emu.profiles import WIN10, Profile
from iocp_emu.status import STATUS_TIMEOUT, STATUS_USER_APC, STATUS_WAIT_0, status_name

NOTHING = "-"

WaitableT = TypeVar("WaitableT", bound=Waitable)


class Columns(NamedTuple):
    """What the tables show of a port; several ports are separated by ` ; `."""

    counts: str
    runnable: str
    waiters: str
    queue: str


class Blocking(enum.Enum):
    """How "blocks on something else" is done here; the port must not see a difference (Q-23)."""

    OUTSIDE = "on something that the kernel does not know"
    EVENT = "in a wait for an event that is not signalled"


class Listener(PacketSource):
    """A source that remembers what became of its packet."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_delivered(self) -> None:
        """Remember."""
        self.heard.append("delivered")

    def on_dropped(self) -> None:
        """Remember."""
        self.heard.append("dropped")


def posted(name: str, overlapped: Any = None, status: int = 0, information: int = 0) -> Packet:
    """A packet as the tables name it: by its key."""
    return Packet(name, overlapped, status, information, None)


def tell(name: str, result: Any) -> str:
    """How the tables say that a thread goes on with `result`."""
    if isinstance(result, list):
        return f"{name} gets {'+'.join(packet.key for packet in result)}"
    if isinstance(result, RemoveOutcome):
        return f"{name} returns {result.name}"
    if result in (None, STATUS_WAIT_0):
        return f"{name} runs again"
    return f"{name} returns {status_name(result).removeprefix('STATUS_')}"


class World:
    """One kernel with one process, named ports and named threads.

    `limits` are the concurrency values of the ports, by name; P with a value of 1 when none is given.
    """

    def __init__(
        self,
        *,
        processors: int = 1,
        profile: Profile = WIN10,
        blocking: Blocking = Blocking.OUTSIDE,
        **limits: int,
    ) -> None:
        self.kernel = Kernel(profile, processors)
        self.process = self.kernel.create_process()
        self.blocking = blocking
        self.ports: dict[str, IoCompletion] = {}
        self.handles: dict[str, int] = {}
        self.threads: dict[str, KernelThread] = {}
        self.events: dict[str, Event] = {}
        self.apcs_run: list[str] = []
        for name, limit in (limits or {"P": 1}).items():
            self.ports[name] = self.kernel.create_port(limit)
            self.handles[name] = self.process.handles.open(self.ports[name], Access.ALL)

    def __getitem__(self, name: str) -> KernelThread:
        """The thread of this name, made at its first mention."""
        if name not in self.threads:
            self.threads[name] = self.kernel.create_thread(self.process, name)
        return self.threads[name]

    def by_handle(self, port: str) -> IoCompletion:
        """The port, as a call by its handle finds it (P-13)."""
        return self.process.handles.lookup(self.handles[port], IoCompletion, Access.MODIFY_STATE)

    def keep(self, obj: WaitableT) -> WaitableT:
        """Hold a reference to an object that has no handle."""
        obj.reference()
        return obj

    # -- verbs, each with the outcome in the words of the tables -----------------------------------------------

    def get(
        self,
        thread: str,
        port: str = "P",
        *,
        n: int = 1,
        timeout: Timeout = Timeout.LATER,
        alertability: Alertability = Alertability.PLAIN,
    ) -> str:
        """A dequeue call by handle."""
        caller = self[thread]
        try:
            result = self.kernel.remove(caller, self.by_handle(port), n, timeout, alertability)
        except NtError as refusal:
            return self._outcome(f"{thread} fails {status_name(refusal.status).removeprefix('STATUS_')}")
        self.run_user_apcs(caller, result)
        return self._outcome(f"{thread} parks" if result is None else tell(thread, result))

    def post(self, packet: str, port: str = "P", place: Place = Place.TAIL) -> str:
        """A post, or the insertion at the head that only the kernel can do (Q-09)."""
        target = self.by_handle(port)
        if place is Place.HEAD:
            previous = target.queue.insert(posted(packet), place)
        else:
            previous = self.kernel.post(target, posted(packet))
        receivers = [name for name, result in self.collect() if [got.key for got in result] == [packet]]
        how = f"handed straight to {', '.join(receivers)}" if receivers else "queued"
        return f"{how} (previous depth {previous})"

    def post_by(self, poster: str, packet: str, port: str = "P") -> str:
        """A post by a named thread, which has to be running; who posts makes no difference (Q-16)."""
        assert self[poster].state is ThreadState.RUNNABLE
        return self.post(packet, port)

    def block(self, thread: str) -> str:
        """The thread starts to wait for something that is not its port."""
        if self.blocking is Blocking.OUTSIDE:
            self.kernel.block(self[thread])
        else:
            event = self.events[thread] = self.keep(self.kernel.create_event(ResetMode.AUTO))
            assert self.kernel.wait(self[thread], [event]) is None
        return self._outcome(f"{thread} stops running")

    def unblock(self, thread: str) -> str:
        """That wait is satisfied."""
        if self.blocking is Blocking.OUTSIDE:
            self.kernel.unblock(self[thread])
        else:
            self.events[thread].set()
        return self._outcome(f"{thread} runs again", thread)

    def expire(self, thread: str) -> str:
        """The timeout of the thread's call has passed."""
        self.kernel.expire(self[thread])
        return self._outcome(f"{thread} is not told", thread)

    def exit(self, thread: str) -> str:
        """The thread ends."""
        self.kernel.exit_thread(self[thread])
        return self._outcome(f"{thread} is gone")

    def queue_apc(self, thread: str) -> str:
        """A user APC is queued to the thread."""
        self.kernel.queue_user_apc(self[thread], lambda: self.apcs_run.append(thread))
        return self._outcome(f"{thread} has a pending APC", thread)

    def suspend(self, thread: str) -> str:
        """The thread is suspended."""
        self.kernel.suspend(self[thread])
        return self._outcome(f"{thread} suspended")

    def resume(self, thread: str) -> str:
        """The thread is resumed; one that waited in a dequeue call looks again."""
        self.kernel.resume(self[thread])
        parked = self[thread].state is ThreadState.PARKED
        return self._outcome(f"{thread} re-parks on top" if parked else f"{thread} goes on waiting", thread)

    def kernel_apc(self, thread: str, action: Callable[[], None] = lambda: None) -> str:
        """A kernel APC runs in the thread."""
        self.kernel.kernel_apc(self[thread], action)
        parked = self[thread].state is ThreadState.PARKED
        return self._outcome(f"{thread} re-parks" if parked else f"{thread} goes on", thread)

    def insert_in_kernel_apc(self, thread: str, packet: str, port: str = "P") -> str:
        """A kernel APC in the parked thread inserts a packet (Q-18)."""
        parked, target = self[thread], self.ports[port]
        return self.kernel_apc(thread, lambda: _ignore(target.set(posted(packet), interrupted=parked)))

    def close(self, port: str = "P") -> str:
        """The port's handle, its last one, is closed."""
        lost = [packet.key for packet in self.ports[port].queue.packets]
        self.process.handles.close(self.handles[port])
        told = dict(self.collect())
        abandoned = [name for name in self.threads if told.get(name) is RemoveOutcome.ABANDONED]
        outcome = [f"{', '.join(abandoned)} return ABANDONED"] if abandoned else []
        if lost:
            outcome.append(f"queued {' '.join(lost)} can no longer be dequeued")
        return "; ".join(outcome) or "closed"

    def waits_on_a_signalled_event(self, thread: str) -> str:
        """A wait that is satisfied at once (Q-29)."""
        event = self.keep(self.kernel.create_event(ResetMode.MANUAL, signalled=True))
        return self._without_effect(lambda: self.kernel.wait(self[thread], [event]) == STATUS_WAIT_0)

    def sleeps_for_zero(self, thread: str) -> str:
        """Sleep(0), which only gives way to others (Q-29)."""
        return self._without_effect(
            lambda: self.kernel.wait(self[thread], timeout=Timeout.DUE) == STATUS_TIMEOUT
        )

    def goes_on(self, thread: str) -> str:
        """Preemption and spinning: the model has no verb for them, since they are no events to it (Q-29)."""
        return self._without_effect(lambda: self[thread].state is ThreadState.RUNNABLE)

    # -- rows of a table ---------------------------------------------------------------------------------------

    def do_all(self, *actions: str) -> list[str]:
        """Perform one action after the other; the outcomes."""
        return [self.do(action) for action in actions]

    def do(self, action: str) -> str:
        """Perform the action cell of a row; the outcome cell."""
        for pattern, perform in _GRAMMAR:
            match = re.fullmatch(pattern, action)
            if match is not None:
                return perform(self, *match.groups())
        raise ValueError(f"not in the words of the tables: {action!r}")

    def step(
        self, action: str, outcome: str, counts: str, runnable: str, waiters: str = NOTHING, queue: str = NOTHING
    ) -> None:
        """Perform one row and compare every other cell of it."""
        found = (self.do(action), *self.columns())
        expected = (outcome, counts, runnable, waiters, queue)
        if found != expected:
            cells = ("outcome", *Columns._fields)
            rows = [
                f"  {cell:9}expected {wanted!r}, found {got!r}"
                for cell, wanted, got in zip(cells, expected, found, strict=True)
            ]
            raise AssertionError("\n".join([f"{action}:", *rows]))

    def columns(self) -> Columns:
        """The ports as the tables show them.  "runnable" is derived from the threads, "count" is the kernel's."""
        shown = [self.columns_of(port) for port in self.ports.values()]
        if len(shown) == 1:
            return shown[0]
        numbers = " ; ".join(f"{name}: {of.counts}" for name, of in zip(self.ports, shown, strict=True))
        return Columns(numbers, *(" ; ".join(cells) for cells in list(zip(*shown, strict=True))[1:]))

    def columns_of(self, port: IoCompletion) -> Columns:
        """One port as the tables show it."""
        queue = port.queue
        runnable = [
            name
            for name, thread in self.threads.items()
            if thread.queue is queue and thread.state is ThreadState.RUNNABLE
        ]
        return Columns(
            f"{queue.current_count}/{queue.maximum_count}",
            _cell(",", runnable),
            _cell(" ", (thread.name or NOTHING for thread in queue.waiters)),
            _cell(" ", (packet.key for packet in queue.packets)),
        )

    # -- what the verbs share ----------------------------------------------------------------------------------

    def collect(self) -> list[tuple[str, Any]]:
        """Let every readied thread go on: who, with what, in the order in which they were readied."""
        readied, self.kernel.readied = self.kernel.readied, []
        results = [(thread.name or NOTHING, self.kernel.collect(thread)) for thread in readied]
        for thread, (_, result) in zip(readied, results, strict=True):
            self.run_user_apcs(thread, result)
        check(self.kernel)
        return results

    @staticmethod
    def run_user_apcs(thread: KernelThread, result: Any) -> None:
        """What a runtime does before a call returns USER_APC: the pending APCs run, oldest first (G-12)."""
        if result in (RemoveOutcome.USER_APC, STATUS_USER_APC):
            while (apc := thread.next_user_apc()) is not None:
                apc()

    def _outcome(self, own: str, subject: str | None = None) -> str:
        """What became of the acting thread, or of `subject`; then, as side effects, of all others."""
        effects: list[str] = []
        for name, result in self.collect():
            if name == subject:
                own = tell(name, result)
            else:
                effects.append(tell(name, result))
        return f"{own}; side effect: {', '.join(effects)}" if effects else own

    def _without_effect(self, action: Callable[[], bool]) -> str:
        before = self.columns()
        as_expected = action() and self.columns() == before and not self.collect()
        return "no effect on the port" if as_expected else f"changed {before} to {self.columns()}"


def _cell(separator: str, names: Iterable[str]) -> str:
    return separator.join(names) or NOTHING


def _ignore(_: object) -> None:
    """Make an expression a statement."""


def _get(world: World, thread: str, port: str, options: str) -> str:
    arguments: dict[str, Any] = {}
    for option in filter(None, options.split(", ")):
        name, _, value = option.partition("=")
        if name == "n":
            arguments["n"] = int(value)
        elif option == "timeout=0":
            arguments["timeout"] = Timeout.DUE
        elif option == "alertable":
            arguments["alertability"] = Alertability.ALERTABLE
        else:
            raise ValueError(f"no such option of get: {option!r}")
    return world.get(thread, port, **arguments)


def _post(world: World, poster: str | None, packet: str, head: str | None, port: str | None) -> str:
    if poster is not None:
        return world.post_by(poster, packet, port or "P")
    return world.post(packet, port or "P", Place.HEAD if head else Place.TAIL)


_GRAMMAR: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"(\w+): get\((\w)((?:, [^)]+)?)\)", _get),
    (r"(?:(\w+): )?post (\w+)( at head)?(?: to (\w))?", _post),
    (r"(\w+) blocks on something else", World.block),
    (r"(\w+)'s other wait is satisfied", World.unblock),
    (r"(\w+) exits", World.exit),
    (r"(\w+)'s timeout elapses", World.expire),
    (r"QueueUserAPC to (\w+)", World.queue_apc),
    (r"SuspendThread\((\w+)\)", World.suspend),
    (r"ResumeThread\((\w+)\)", World.resume),
    (r"a kernel APC runs in (\w+)", World.kernel_apc),
    (r"a kernel APC in parked (\w+) itself inserts (\w+) on (\w)", World.insert_in_kernel_apc),
    (r"last handle of (\w) closed", World.close),
    (r"(\w+): WaitForSingleObject on an already signalled event", World.waits_on_a_signalled_event),
    (r"(\w+): Sleep\(0\) / SwitchToThread", World.sleeps_for_zero),
    (r"(\w+) is preempted \(Ready, not Running\)", World.goes_on),
    (r"(\w+): spins for a second", World.goes_on),
)
