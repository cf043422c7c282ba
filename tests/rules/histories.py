"""Random histories of kernel verbs on two ports, and what is to be seen on both sides of every verb.

Theory.  A history is a list of moves, drawn as one choice each, so that it shrinks well.  `Machine.play` performs every
move that is legal at its turn and yields a `Moment` for it: the ports before and after, who got what, how the acting
thread's own call ended.  The properties of chapter P (`test_properties.py`) are statements about moments.

Own rules.  What a glimpse shows is derived from threads and lists, not from the kernel's own count, wherever both
exist.  Packets are numbers in the order of their posting.  An exited thread is replaced by a new one of its place, so
the number of threads stays.  A thread that is to call while it is blocked or suspended goes on first instead; other
illegal moves are left out, since refusals have tests of their own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st

from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, Timeout
from iocp_emu.profiles import WIN10, Profile
from tests.rules.world import posted

MAXIMUM_THREADS = 8


class Verb(enum.Enum):
    """What a move does."""

    GET = "dequeue"
    POST = "post"
    BLOCK = "block elsewhere"
    UNBLOCK = "end of that"
    EXPIRE = "timeout"
    USER_APC = "queue a user APC"
    SUSPEND = "suspend"
    RESUME = "resume"
    KERNEL_APC = "kernel APC in a waiter"
    KERNEL_APC_INSERTS = "kernel APC in a waiter that inserts (Q-18)"
    EXIT = "exit"
    CLOSE = "close the last handle"


class Move(NamedTuple):
    """One verb with its arguments; `thread` is a place, taken modulo the number of threads."""

    verb: Verb
    thread: int = 0
    port: str = "P"
    maximum: int = 1
    timeout: Timeout = Timeout.LATER
    alertability: Alertability = Alertability.PLAIN


def _moves_of(thread: int) -> list[Move]:
    """The choices for one thread, as often as they should come up, simple ones first."""
    get = Move(Verb.GET, thread)
    return [
        get,
        get,
        get,
        get._replace(timeout=Timeout.DUE),
        get._replace(maximum=3),
        get._replace(alertability=Alertability.ALERTABLE),
        get._replace(port="R"),
        get._replace(port="R", timeout=Timeout.DUE, alertability=Alertability.ALERTABLE),
        *(Move(verb, thread) for verb in (Verb.BLOCK, Verb.BLOCK, Verb.EXPIRE)),
        *(Move(verb, thread) for verb in (Verb.KERNEL_APC, Verb.KERNEL_APC_INSERTS)),
        *(Move(verb, thread) for verb in (Verb.USER_APC, Verb.SUSPEND) if thread % 2),
        *(Move(verb, thread) for verb in (Verb.EXIT,) if thread % 4 == 0),
    ]


MOVES: tuple[Move, ...] = (
    *(Move(Verb.POST) for _ in range(26)),
    *(Move(Verb.POST, port="R") for _ in range(10)),
    *(move for thread in range(MAXIMUM_THREADS) for move in _moves_of(thread)),
    Move(Verb.CLOSE, port="R"),
)


@dataclass(frozen=True)
class History:
    """What a machine is to do."""

    limits: tuple[int, int]
    threads: int
    moves: tuple[Move, ...]


@st.composite
def histories(draw: st.DrawFn, limits: st.SearchStrategy[int] | None = None) -> History:
    """Histories on ports P and R with limits 1 to 3 and 1 to 8 threads."""
    limit = st.sampled_from([1, 1, 2, 3]) if limits is None else limits
    length = draw(st.integers(0, 100))
    moves = draw(st.lists(st.sampled_from(MOVES), min_size=length, max_size=length))
    return History((draw(limit), draw(limit)), draw(st.sampled_from([3, 2, 1, 4, 6, 8])), tuple(moves))


@dataclass(frozen=True)
class Glimpse:
    """One port at one moment; threads are named, packets numbered."""

    count: int
    limit: int
    runnable: tuple[str, ...]
    waiters: tuple[str, ...]
    members: tuple[str, ...]
    packets: tuple[int, ...]
    dropped: int

    @property
    def depth(self) -> int:
        """Queued packets."""
        return len(self.packets)

    @property
    def is_empty(self) -> bool:
        """Nobody waits, belongs or is counted, and nothing is queued."""
        return not (self.count or self.waiters or self.members or self.packets)


class Delivery(NamedTuple):
    """Packets that one thread got from one port."""

    port: str
    thread: str
    packets: tuple[int, ...]


@dataclass
class Moment:
    """One verb and both its sides.

    `subject` is the thread that the move names; `result` how its own call ended at once (None: it parked, or the move
    was no call); `others` are the threads that the verb readied besides it; `was_home` is whether the subject belonged
    to the port of the move before.
    """

    move: Move
    subject: str
    was_home: bool
    before: dict[str, Glimpse]
    after: dict[str, Glimpse] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    result: Any = None
    refused_with: int | None = None
    readied: list[str] = field(default_factory=list)
    posted: int | None = None

    @property
    def others(self) -> list[str]:
        """Who else was made ready."""
        return [name for name in self.readied if name != self.subject]


class Machine:
    """One kernel that performs a history."""

    def __init__(self, history: History, profile: Profile = WIN10) -> None:
        self.history = history
        self.kernel = Kernel(profile)
        self.process = self.kernel.create_process()
        self.ports: dict[str, IoCompletion] = {}
        self.handles: dict[str, int] = {}
        for name, limit in zip("PR", history.limits, strict=True):
            self.ports[name] = self.kernel.create_port(limit)
            self.handles[name] = self.process.handles.open(self.ports[name], Access.ALL)
        self.threads: list[KernelThread] = []
        self.generation = 0
        for _ in range(history.threads):
            self.threads.append(self._new_thread())
        self.next_packet = dict.fromkeys(self.ports, 0)
        self.called: dict[KernelThread, str] = {}

    def play(self) -> Iterator[Moment]:
        """Perform the history; after each legal move all invariants of the state are checked."""
        for choice in self.history.moves:
            move, thread = choice, self.threads[choice.thread % len(self.threads)]
            if move.verb in (Verb.GET, Verb.BLOCK) and thread.suspend_count:
                move = move._replace(verb=Verb.RESUME)
            elif move.verb in (Verb.GET, Verb.BLOCK) and thread.state is ThreadState.BLOCKED:
                move = move._replace(verb=Verb.UNBLOCK)
            if self._is_legal(move, thread):
                yield self._perform(move, thread)

    def run(self) -> list[tuple[Moment, Any]]:
        """Every moment with the picture of the whole state after it."""
        return [(moment, snapshot(self.kernel)) for moment in self.play()]

    def glimpse(self) -> dict[str, Glimpse]:
        """Both ports, as they are now."""
        return {name: self._glimpse(port) for name, port in self.ports.items()}

    # -- one move ----------------------------------------------------------------------------------------------

    def _new_thread(self) -> KernelThread:
        self.generation += 1
        return self.kernel.create_thread(self.process, f"T{self.generation}")

    def _is_legal(self, move: Move, thread: KernelThread) -> bool:
        """Whether the kernel would accept the move; a closed handle is legal and refused (P-13)."""
        state = thread.state
        if move.verb in (Verb.GET, Verb.BLOCK):
            return state is ThreadState.RUNNABLE
        if move.verb in (Verb.KERNEL_APC, Verb.KERNEL_APC_INSERTS):
            return state is ThreadState.PARKED
        return True

    def _perform(self, move: Move, thread: KernelThread) -> Moment:
        queue = thread.queue
        moment = Moment(move, thread.name or "", queue is self.ports[move.port].queue, self.glimpse())
        try:
            moment.result = self._do(move, thread, moment)
        except NtError as refusal:
            moment.refused_with = refusal.status
        if isinstance(moment.result, list):
            self._deliver(moment, thread, moment.result)
        readied, self.kernel.readied = self.kernel.readied, []
        for woken in readied:
            moment.readied.append(woken.name or "")
            result = self.kernel.collect(woken)
            if isinstance(result, list):
                self._deliver(moment, woken, result)
            self._run_user_apcs(woken, result)
        self._run_user_apcs(thread, moment.result)
        if thread.state is ThreadState.EXITED:
            self.threads[self.threads.index(thread)] = self._new_thread()
        check(self.kernel)
        moment.after = self.glimpse()
        return moment

    def _do(self, move: Move, thread: KernelThread, moment: Moment) -> Any:
        kernel = self.kernel
        if move.verb is Verb.GET:
            port = self._by_handle(move.port)
            self.called[thread] = move.port
            if port.profile.batch_removal:
                return kernel.remove(thread, port, move.maximum, move.timeout, move.alertability)
            return kernel.remove(thread, port, 1, move.timeout)
        if move.verb is Verb.POST:
            port = self._by_handle(move.port)
            moment.posted = self._number(move.port)
            kernel.post(port, posted_number(moment.posted))
        elif move.verb is Verb.KERNEL_APC_INSERTS:
            name = self.called[thread]
            moment.posted = self._number(name)
            port, number = self.ports[name], moment.posted
            kernel.kernel_apc(thread, lambda: self._insert(port, number, thread))
        elif move.verb is Verb.CLOSE:
            self.process.handles.close(self.handles[move.port])
        elif move.verb is Verb.USER_APC:
            kernel.queue_user_apc(thread, lambda: None)
        elif move.verb is Verb.KERNEL_APC:
            kernel.kernel_apc(thread, lambda: None)
        else:
            plain = {
                Verb.BLOCK: kernel.block,
                Verb.UNBLOCK: kernel.unblock,
                Verb.EXPIRE: kernel.expire,
                Verb.SUSPEND: kernel.suspend,
                Verb.RESUME: kernel.resume,
                Verb.EXIT: kernel.exit_thread,
            }
            plain[move.verb](thread)
        return None

    def _insert(self, port: IoCompletion, number: int, interrupted: KernelThread) -> None:
        port.set(posted_number(number), interrupted)

    def _by_handle(self, name: str) -> IoCompletion:
        return self.process.handles.lookup(self.handles[name], IoCompletion, Access.MODIFY_STATE)

    def _number(self, port: str) -> int:
        self.next_packet[port] += 1
        return self.next_packet[port]

    def _deliver(self, moment: Moment, thread: KernelThread, packets: list[Any]) -> None:
        numbers = tuple(packet.information for packet in packets)
        moment.deliveries.append(Delivery(self.called[thread], thread.name or "", numbers))

    def _run_user_apcs(self, thread: KernelThread, result: Any) -> None:
        if result is RemoveOutcome.USER_APC:
            while thread.next_user_apc() is not None:
                pass

    def _glimpse(self, port: IoCompletion) -> Glimpse:
        queue = port.queue
        runnable = [
            thread.name or ""
            for thread in self.threads
            if thread.queue is queue and thread.state is ThreadState.RUNNABLE
        ]
        return Glimpse(
            queue.current_count,
            queue.maximum_count,
            tuple(runnable),
            tuple(thread.name or "" for thread in queue.waiters),
            tuple(thread.name or "" for thread in queue.members),
            tuple(packet.information for packet in queue.packets),
            port.dropped,
        )


def posted_number(number: int) -> Any:
    """The packet of this number."""
    return posted(f"p{number}", information=number)
