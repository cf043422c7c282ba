"""A bounded world on the real kernel that can be put into any state, at little cost, and says which state it is in.

Theory.  A state is a tuple of integers (`codes.py`) with everything that a verb can observe or change.  Codes are read
from the kernel's own objects and written back into them, so that exploring needs no second model and no copy of a
kernel: after a verb, only what it has changed is put back.

Threads differ in nothing but their codes, and so do ports of one concurrency value.  A state is *canonical* when its
thread codes are sorted and its like ports are named so that the result is least; two states are equal up to renaming
exactly if their canonical states are equal.  Packets are named by their place: what they carry is opaque to a queue.

Own rule.  A queue type of somebody else may keep state of its own in slots or attributes; it becomes part of its
port's code and has to be hashable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations
from math import factorial, prod
from typing import Any, NamedTuple, TypeAlias

from ..kernel.completion import IoCompletion, Packet
from ..kernel.invariants import InvariantViolation, check
from ..kernel.machine import Kernel
from ..kernel.objects import Access, NtError
from ..kernel.queue import Dequeue, KernelQueue, RemoveOutcome
from ..kernel.thread import KernelThread, ThreadState, WaitResult
from ..kernel.waits import Alertability, Timeout
from .bounds import Bounds, Move, Verb
from .codes import (
    APCS,
    CLOSED,
    DEPTH,
    FREED,
    HANDLES,
    HOME,
    IN_CALL,
    IS_ALERTABLE,
    IS_DUE,
    MAXIMUM,
    MEMBER,
    NO_SUCH_PORT,
    OTHER_RESULT,
    PLACE_BITS,
    PLACES,
    REFERENCES,
    RESULT,
    RESULTS,
    RUN_DOWN,
    SHIFT,
    STATES,
    SUSPENSIONS,
    WAITERS,
    Codes,
    Renaming,
    ThreadImage,
    decode_thread,
)
from .properties import PortView, ThreadView


class Refused(NamedTuple):
    """A verb was refused with this NTSTATUS."""

    status: int


Outcome: TypeAlias = "list[Any] | RemoveOutcome | Refused | int | None"
"""What a verb answered: packets, how a removal ended without any, a depth or a count, or nothing."""


class Action(NamedTuple):
    """A move, ready to be made: `kind` numbers what it does, whoever does it."""

    move: Move
    kind: int
    perform: Callable[[], Any]


class World:
    """A kernel with the threads and ports of `bounds`, over queues of `queue_type`; nobody has done anything yet."""

    def __init__(self, bounds: Bounds, queue_type: type[KernelQueue[Any]] = KernelQueue) -> None:
        self.bounds = bounds
        self.kernel = kernel = Kernel(bounds.system, queue_type=queue_type)
        self.process = kernel.create_process()
        self.ports = [kernel.create_port(limit) for limit in bounds.limits]
        self.handles = [self.process.handles.open(port, Access.ALL) for port in self.ports]
        self.threads = [kernel.create_thread(self.process, f"T{number + 1}") for number in range(bounds.threads)]
        self.queues = [port.queue for port in self.ports]
        for queue in self.queues:
            queue.is_watched = True  # which may be so for longer than needed, as it is said in no code
        self.packets = [
            [Packet(port, None, 0, number, None) for number in range(bounds.packets + 2)]
            for port in range(len(self.ports))
        ]
        self.queued = [[row[:depth] for depth in range(len(row) + 1)] for row in self.packets]
        self._number = {thread: number for number, thread in enumerate(self.threads)}
        self._home: dict[Any, int] = {port.queue: (number + 1) << HOME for number, port in enumerate(self.ports)}
        self._home[None] = 0
        self._state = {id(state): number for number, state in enumerate(STATES)}
        self._images: dict[int, ThreadImage] = {}
        self._actions: dict[tuple[int, int], list[Action]] = {}
        self._port_actions: list[tuple[Action | None, Action | None]] = []
        self._own_slots = _own_slots(queue_type)
        self._compile_port_actions()
        self.has_own_state = bool(self._own_slots) or hasattr(self.ports[0].queue, "__dict__")
        limits = bounds.limits
        self._identity = Renaming(tuple(range(len(limits))))
        self._renamings = [
            Renaming(order)
            for order in permutations(range(len(limits)))
            if order != self._identity.order and all(limits[a] == limits[b] for a, b in enumerate(order))
            if not self.has_own_state
        ]
        self.codes, self.port_codes = self.read()

    # -- reading and writing states ----------------------------------------------------------------------------

    def read(self) -> tuple[list[int], list[Any]]:
        """The codes of the threads and of the ports as they are now.  O(threads + ports)."""
        codes: list[int] = []
        state_of, home_of = self._state, self._home
        for thread in self.threads:
            code = state_of[id(thread.state)] | home_of.get(thread.queue, NO_SUCH_PORT << HOME)
            dequeue = thread.dequeue
            if dequeue is not None:
                code |= IN_CALL | dequeue.maximum << MAXIMUM
                if dequeue.timeout is Timeout.DUE:
                    code |= IS_DUE
                if dequeue.alertability is Alertability.ALERTABLE:
                    code |= IS_ALERTABLE
            if thread.suspend_count:
                code |= thread.suspend_count << SUSPENSIONS
            if thread.user_apcs:
                code |= len(thread.user_apcs) << APCS
            if thread.wait_result is not None:
                code |= self._result_code(thread) << RESULT
            codes.append(code)
        port_codes: list[Any] = []
        number_of = self._number
        shift = PLACES
        for port in self.ports:
            queue = port.queue
            place = 0
            for thread in queue.waiters:
                place += 1
                codes[number_of[thread]] += place << shift
            for thread in queue.members:
                codes[number_of[thread]] += MEMBER << shift
            shift += PLACE_BITS
            code = (
                (queue.current_count + SHIFT)
                | len(queue.packets) << DEPTH
                | (port.references + SHIFT) << REFERENCES
                | port.handle_count << HANDLES
                | place << WAITERS
            )
            if port.is_closed:
                code |= port.is_closed << CLOSED | port.running_down << RUN_DOWN | port.freed << FREED
            port_codes.append((code, self._own_state(queue)) if self.has_own_state else code)
        return codes, port_codes

    @staticmethod
    def _result_code(thread: KernelThread) -> int:
        """What a thread has not collected yet."""
        return RESULTS.index(thread.wait_result) if thread.wait_result in RESULTS else OTHER_RESULT

    def _own_state(self, queue: KernelQueue[Any]) -> tuple[Any, ...]:
        """What a queue type of somebody else keeps besides."""
        own = tuple((name, getattr(queue, name, None)) for name in self._own_slots)
        return (*own, *sorted(getattr(queue, "__dict__", {}).items()))

    def load(self, state: Codes) -> None:
        """Put the world into a state, from the one that it was in when it was last loaded or read.  O(what differs)."""
        codes, port_codes = list(state[: len(self.threads)]), list(state[len(self.threads) :])
        if self.port_codes != port_codes:
            self._restore_handles(port_codes)
        touched: set[int] = set()
        for number, (old, new) in enumerate(zip(self.codes, codes, strict=True)):
            if old != new:
                self._write_thread(self.threads[number], new)
                touched |= self.image(old).ports | self.image(new).ports
        for number, (old, new) in enumerate(zip(self.port_codes, port_codes, strict=True)):
            if old != new or number in touched:
                self._write_port(number, new, codes)
        self.codes, self.port_codes = codes, port_codes
        self._saved_threads = [
            (t, t.state, t.queue, t.dequeue, t.suspend_count, t.wait_result, len(t.user_apcs), t.freed)
            for t in self.threads
        ]
        self._saved_ports = [
            (p, p.queue, p.queue.current_count, dict(p.queue.waiters), dict(p.queue.members), len(p.queue.packets))
            for p in self.ports
        ]

    def refresh(self) -> tuple[list[int], list[Any]]:
        """Read the state anew, as that before the next verb: packets are named, and drops counted, from here on."""
        for number, port in enumerate(self.ports):
            port.dropped = 0
            depth = len(port.queue.packets)
            port.queue.packets.clear()
            port.queue.packets.extend(self.queued[number][depth])
        self.codes, self.port_codes = self.read()
        return self.codes, self.port_codes

    def undo(self, after: tuple[list[int], list[Any]]) -> None:
        """From the codes read after a verb back to the state that was loaded.  O(what differs).

        What is saved is the content of the kernel's own objects, its calls among them, so that nothing is decoded.
        """
        codes, port_codes = after
        differing = 0
        for saved, old, new in zip(self._saved_threads, self.codes, codes, strict=True):
            if old != new:
                differing |= old ^ new
                thread, state, queue, dequeue, suspensions, result, apcs, freed = saved
                thread.state = state
                thread.queue = queue
                thread.dequeue = dequeue
                thread.suspend_count = suspensions
                thread.wait_result = result
                if dequeue is not None and (old ^ new) & IS_DUE:
                    dequeue.timeout = Timeout.DUE if old & IS_DUE else Timeout.LATER
                if len(thread.user_apcs) != apcs:
                    thread.user_apcs.clear()
                    thread.user_apcs.extend([_nothing] * apcs)
                if thread.freed != freed:
                    self._revive(thread)
        differing >>= PLACES
        for number, saved_port in enumerate(self._saved_ports):
            code = self.port_codes[number]
            if code != port_codes[number] or differing & (1 << PLACE_BITS) - 1:
                port, queue, count, waiters, members, depth = saved_port
                if self.has_own_state:
                    code = self._write_own_state(number, code)
                queue.current_count = count
                if queue.packets or depth:
                    queue.packets.clear()
                    queue.packets.extend(self.queued[number][depth])
                queue.waiters.clear()
                queue.waiters.update(waiters)
                queue.members.clear()
                queue.members.update(members)
                if port.is_closed:
                    self._reopen(number, code)
                port.references = (code >> REFERENCES & 63) - SHIFT
            differing >>= PLACE_BITS

    def _restore_handles(self, port_codes: list[Any]) -> None:
        """Open or close handles, which may ready threads and free ports; all of that is overwritten afterwards."""
        changed = False
        for number, code in enumerate(port_codes):
            wanted, port = self._plain(code) >> HANDLES & 3, self.ports[number]
            if wanted != port.handle_count:
                changed = True
                if wanted:
                    self.handles[number] = self.process.handles.open(port, Access.ALL)
                else:
                    self.process.handles.close(self.handles[number])
        if changed:
            self.kernel.readied.clear()
            self.refresh()

    def _reopen(self, number: int, code: int) -> None:
        """A port that may have been closed is again as its code says."""
        port = self.ports[number]
        if (code >> HANDLES & 3) > port.handle_count:
            self.handles[number] = self.process.handles.open(port, Access.ALL)
        self._write_ends(port, code)

    def _write_ends(self, port: IoCompletion, code: int) -> None:
        port.dropped = 0
        port.is_closed = bool(code >> CLOSED & 1)
        port.running_down = bool(code >> RUN_DOWN & 1)
        freed = bool(code >> FREED & 1)
        port.freed = freed
        if freed:
            self.kernel.objects.pop(port, None)
        else:
            self.kernel.objects[port] = None

    def _write_thread(self, thread: KernelThread, code: int) -> None:
        image = self.image(code)
        thread.state = image.state
        thread.queue = None if image.home is None else self.ports[image.home].queue
        thread.dequeue = None if image.call is None else Dequeue(*image.call)
        thread.suspend_count = image.suspensions
        thread.wait_result = image.result
        if len(thread.user_apcs) != image.apcs:
            thread.user_apcs.clear()
            thread.user_apcs.extend([_nothing] * image.apcs)
        is_gone = image.state is ThreadState.EXITED
        if thread.freed != is_gone:
            self._bury(thread) if is_gone else self._revive(thread)

    def _bury(self, thread: KernelThread) -> None:
        thread.freed, thread.references, thread.exit_code = True, 0, 0
        del self.kernel.objects[thread]
        self.process.references -= 1

    def _revive(self, thread: KernelThread) -> None:
        thread.freed, thread.references, thread.exit_code = False, 1, None
        self.kernel.objects[thread] = None
        self.process.references += 1

    def _write_port(self, number: int, port_code: Any, codes: list[int]) -> None:
        code: int = self._write_own_state(number, port_code) if self.has_own_state else port_code
        port = self.ports[number]
        queue = port.queue
        queue.current_count = (code & 63) - SHIFT
        depth = code >> DEPTH & 63
        if queue.packets or depth:
            queue.packets.clear()
            queue.packets.extend(self.queued[number][depth])
        queue.members.clear()
        queue.waiters.clear()
        waiters: list[tuple[int, KernelThread]] = []
        shift = PLACES + PLACE_BITS * number
        for thread, thread_code in zip(self.threads, codes, strict=True):
            place = thread_code >> shift & (1 << PLACE_BITS) - 1
            if place:
                if place & MEMBER:
                    queue.members[thread] = None
                if place != MEMBER:
                    waiters.append((place, thread))
        if len(waiters) > 1:
            waiters.sort(key=_place)
        for _, thread in waiters:
            assert thread.dequeue is not None
            queue.waiters[thread] = thread.dequeue
        self._write_ends(port, code)
        port.references = (code >> REFERENCES & 63) - SHIFT

    def _write_own_state(self, number: int, code: tuple[int, tuple[tuple[str, Any], ...]]) -> int:
        plain, own = code
        queue = self.ports[number].queue
        for name, value in own:
            setattr(queue, name, value)
        return plain

    def _plain(self, code: Any) -> int:
        plain: int = code[0] if self.has_own_state else code
        return plain

    def depth(self, code: Any) -> int:
        """The depth in a port's code."""
        return self._plain(code) >> DEPTH & 63

    # -- canonical states --------------------------------------------------------------------------------------

    def canonical(self, codes: Sequence[int], port_codes: Sequence[Any]) -> Codes:
        """The state up to renaming of threads and of like ports.  O(threads log threads), times like ports' namings."""
        best: Codes = (*sorted(codes), *port_codes)
        for renaming in self._renamings:
            other = renaming.state(codes, port_codes)
            best = min(best, other)
        return best

    def naming(self, codes: Sequence[int], port_codes: Sequence[Any]) -> tuple[list[int], tuple[int, ...]]:
        """Which threads and ports of this world stand at the places of its canonical state."""
        best = min([self._identity, *self._renamings], key=lambda renaming: renaming.state(codes, port_codes))
        return sorted(range(len(codes)), key=lambda number: best.thread(codes[number])), best.order

    def orbit(self, state: Codes) -> int:
        """How many states become this canonical one."""
        codes, port_codes = state[: len(self.threads)], state[len(self.threads) :]
        images = {renaming.state(codes, port_codes) for renaming in [self._identity, *self._renamings]}
        alike = prod(factorial(codes.count(code)) for code in set(codes))
        return len(images) * factorial(len(codes)) // alike

    # -- what can be seen --------------------------------------------------------------------------------------

    def image(self, code: int) -> ThreadImage:
        """A thread's code, decoded; each only once."""
        found = self._images.get(code)
        if found is None:
            found = self._images[code] = decode_thread(code, len(self.ports))
        return found

    def views(
        self, codes: Sequence[int], port_codes: Sequence[Any], packets: Sequence[Sequence[Packet]] | None = None
    ) -> tuple[list[ThreadView], list[PortView]]:
        """Threads and ports for a reader; `packets` are those now queued, by default in perfect order."""
        images = [self.image(code) for code in codes]
        ports: list[PortView] = []
        for number, port_code in enumerate(port_codes):
            code = self._plain(port_code)
            waiting = sorted((place, t) for t, image in enumerate(images) for p, place in image.places if p == number)
            queued = self.queued[number][code >> DEPTH & 63] if packets is None else packets[number]
            ports.append(
                PortView(
                    (code & 63) - SHIFT,
                    self.ports[number].queue.maximum_count,
                    tuple(t for _, t in waiting),
                    tuple(t for t, image in enumerate(images) if number in image.memberships),
                    tuple(packet.information if packet.key == number else -1 for packet in queued),
                    0 if packets is None else self.ports[number].dropped,
                    bool(code >> CLOSED & 1),
                    bool(code >> RUN_DOWN & 1),
                )
            )
        return [ThreadView(image.state, image.home) for image in images], ports

    def check(self) -> None:
        """The properties of the state (P-01, P-02, P-07, P-08, P-13, P-14), in the world as it is now."""
        check(self.kernel)
        for number, port in enumerate(self.ports):
            calls = sum(t.dequeue is not None and t.queue is port.queue for t in self.threads)
            if port.references != port.handle_count + calls or port.freed != (port.references == 0):
                raise InvariantViolation(
                    "P-14",
                    f"P{number + 1} has {port.references} references, {port.handle_count} handles and {calls} calls",
                )

    # -- moves -------------------------------------------------------------------------------------------------

    def actions(self, codes: Sequence[int], port_codes: Sequence[Any]) -> list[Action]:
        """Everything that can happen now, but for what like threads would do alike.  O(what can happen)."""
        found: list[Action] = []
        room = self.bounds.packets
        for code in port_codes:
            room -= self._plain(code) >> DEPTH & 63
        for number, (post, close) in enumerate(self._port_actions):
            code = self._plain(port_codes[number])
            if post is not None and room > 0:
                found.append(post)
            if close is not None and not code >> CLOSED & 1:
                found.append(close)
        last = -1
        for number, code in enumerate(codes):
            if code != last:
                last = code
                actions = self._actions.get((number, code))
                if actions is None:
                    actions = self._actions[number, code] = self._compile(number, code)
                found += actions
        return found if room > 0 else self._that_fit(found)

    def every_action(self) -> list[Action]:
        """Everything that can happen in the state last read, like threads told apart.  O(what can happen)."""
        found = self.actions((), self.port_codes)
        for number, code in enumerate(self.codes):
            found += self._compile(number, code)
        return self._that_fit(found)

    def _that_fit(self, found: list[Action]) -> list[Action]:
        """Without those that would insert a packet more than there may be."""
        if sum(len(queue.packets) for queue in self.queues) < self.bounds.packets:
            return found
        return [action for action in found if action.move.verb is not Verb.KERNEL_APC]

    def _compile_port_actions(self) -> None:
        verbs = self.bounds.usable_verbs
        for number in range(len(self.ports)):
            post = Action(Move(Verb.POST, None, number), number, partial(self._post, number))
            close = Action(Move(Verb.CLOSE, None, number), 16 + number, partial(self._close, number))
            self._port_actions.append((post if Verb.POST in verbs else None, close if Verb.CLOSE in verbs else None))

    def _compile(self, number: int, code: int) -> list[Action]:
        """What one thread can do, or suffer, in the state that its code tells."""
        image, thread, kernel = self.image(code), self.threads[number], self.kernel
        is_running, is_parked = image.state is ThreadState.RUNNABLE, image.state is ThreadState.PARKED
        is_alive = image.state is not ThreadState.EXITED
        found: list[Action] = []
        for order, verb in enumerate(self.bounds.usable_verbs):
            call = self._dequeue_options(verb)
            if call is not None:
                if is_running:
                    for place, port in enumerate(self.ports):
                        perform = partial(kernel.remove, thread, port, *call)
                        found.append(Action(Move(verb, number, place), 16 * (order + 2) + place, perform))
                continue
            possible: dict[Verb, tuple[bool, Callable[..., Any]]] = {
                Verb.EXPIRE: (image.call is not None and not code & IS_DUE, kernel.expire),
                Verb.BLOCK: (is_running, kernel.block),
                Verb.UNBLOCK: (image.state is ThreadState.BLOCKED, kernel.unblock),
                Verb.EXIT: (is_alive, kernel.exit_thread),
                Verb.SUSPEND: (is_alive and not image.suspensions, kernel.suspend),
                Verb.RESUME: (image.suspensions > 0 and is_alive, kernel.resume),
                Verb.USER_APC: (is_alive and not image.apcs, self._user_apc),
                Verb.KERNEL_APC: (is_parked, self._kernel_apc),
            }
            if verb in possible and possible[verb][0]:
                perform = partial(possible[verb][1], thread)
                found.append(Action(Move(verb, number, None), 16 * (order + 2), perform))
        return found

    def _dequeue_options(self, verb: Verb) -> tuple[int, Timeout, Alertability] | None:
        options = {
            Verb.GET: (1, Timeout.LATER, Alertability.PLAIN),
            Verb.POLL: (1, Timeout.DUE, Alertability.PLAIN),
            Verb.BATCH: (self.bounds.batch, Timeout.LATER, Alertability.PLAIN),
            Verb.ALERTABLE_GET: (1, Timeout.LATER, Alertability.ALERTABLE),
        }
        return options.get(verb)

    def _fresh(self, number: int) -> Packet:
        """The packet after those that are queued."""
        return self.packets[number][len(self.ports[number].queue.packets)]

    def _post(self, number: int) -> Any:
        port = self.ports[number]
        if not port.handle_count:
            self.process.handles.entry(self.handles[number])  # refuses
        return self.kernel.post(port, self._fresh(number))

    def _close(self, number: int) -> None:
        self.process.handles.close(self.handles[number])

    def _user_apc(self, thread: KernelThread) -> None:
        self.kernel.queue_user_apc(thread, _nothing)

    def _kernel_apc(self, thread: KernelThread) -> None:
        """A kernel APC in a waiter that inserts into the queue on which it waits (Q-18)."""
        number = self.image(self.codes[self._number[thread]]).home
        assert number is not None
        port, packet = self.ports[number], self._fresh(number)

        def insert() -> None:
            port.set(packet, thread)

        self.kernel.kernel_apc(thread, insert)

    def find_action(self, move: Move) -> Action | None:
        """This very move, if it can be made now."""
        return next((action for action in self.every_action() if action.move == move), None)

    def perform(self, action: Action) -> tuple[Outcome, list[tuple[int, WaitResult]]]:
        """Make a move: what it answered, and whom it readied with what.  Whoever is alerted runs its APCs."""
        kernel = self.kernel
        try:
            outcome: Outcome = action.perform()
        except NtError as refusal:
            outcome = Refused(refusal.status)
        woken: list[tuple[int, WaitResult]] = []
        if outcome is RemoveOutcome.USER_APC:
            thread = self.threads[action.move.thread or 0]
            while thread.next_user_apc() is not None:
                pass
        if kernel.readied:
            readied, kernel.readied = kernel.readied, []
            for thread in readied:
                result = kernel.collect(thread)
                woken.append((self._number[thread], result))
                if result is RemoveOutcome.USER_APC:
                    while thread.next_user_apc() is not None:
                        pass
        return outcome, woken


def _place(waiter: tuple[int, KernelThread]) -> int:
    return waiter[0]


def _nothing() -> None:
    """A user APC that does nothing."""


def _own_slots(queue_type: type[KernelQueue[Any]]) -> tuple[str, ...]:
    """The slots that a queue type adds to those of the kernel's."""
    added = [kind.__dict__.get("__slots__", ()) for kind in queue_type.__mro__ if not issubclass(KernelQueue, kind)]
    names = [name for slots in added for name in ((slots,) if isinstance(slots, str) else slots)]
    return tuple(sorted(names))
