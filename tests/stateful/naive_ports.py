"""The first half of the naive model: handles, queues, waits and threads (semantics.md chapters 1, 2, 4, 5 and 8).

The theory and the rules of the whole stand in `naive.py`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from iocp_emu import status
from tests.stateful.records import (
    EVERYTHING,
    MODIFY,
    PROFILES,
    QUERY,
    SYNCHRONIZE,
    Call,
    Event,
    File,
    Handle,
    Object,
    Packet,
    Port,
    Request,
    Thread,
    Wait,
)

Outcome: TypeAlias = Any
"""What a verb answers: a number, a short word, None, or a tuple that begins with `got` or `refused`."""

TIMEOUT, USER_APC, ABANDONED, PARKED, BLOCKED = "TIMEOUT", "USER_APC", "ABANDONED", "parked", "blocked"


class Refusal(Exception):
    """The verb is illegal here; nothing was changed."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


class NaivePorts:
    """Ports, events and threads; the verbs are the methods without an underscore."""

    def __init__(self, profile: str) -> None:
        self.switches = PROFILES[profile]
        self.ports: list[Port] = []
        self.threads: list[Thread] = []
        self.events: list[Event] = []
        self.files: list[File] = []
        self.requests: list[Request] = []
        self.handles: list[Handle] = []
        self.waiting: list[Thread] = []
        self.readied: list[int] = []
        self.stamp = 0

    # -- what is looked up, never counted ----------------------------------------------------------------------

    def _count(self, port: Port) -> int:
        """P-01: the associated runnable threads."""
        return len([thread for thread in self.threads if thread.port is port and thread.runnable])

    def _has_free_slot(self, port: Port) -> bool:
        return not self.switches.limit or self._count(port) < port.limit

    def _references(self, obj: Object) -> int:
        """H-02, H-03: handles, associated file objects, requests in flight, and calls in progress."""
        handles = [handle for handle in self.handles if handle.is_open and handle.object is obj]
        files = [file for file in self.files if not file.freed and file.association and file.association[0] is obj]
        requests = [r for r in self.requests if r.outstanding and (r.file is obj or r.event is obj)]
        dequeues = [thread for thread in self.threads if thread.doing == "parked" and thread.port is obj]
        waits = [thread for thread in self.waiting if thread.wait and obj in thread.wait.objects]
        return len(handles) + len(files) + len(requests) + len(dequeues) + len(waits)

    def _is_signalled(self, obj: Object) -> bool:
        """O-10, O-21: a port is signalled while packets are queued, and for good once run down."""
        if isinstance(obj, Port):
            return obj.run_down or bool(obj.packets)
        return obj.signalled

    def _find(self, process: int, number: int, kind: type[Any], access: int = 0) -> Any:
        """What a handle means to a process (C-07 to C-10, O-03)."""
        handle = self._entry(process, number)
        if not isinstance(handle.object, kind):
            raise Refusal(status.STATUS_OBJECT_TYPE_MISMATCH)
        if access & ~handle.access:
            raise Refusal(status.STATUS_ACCESS_DENIED)
        return handle.object

    def _entry(self, process: int, number: int) -> Handle:
        handle = self.handles[number]
        if not handle.is_open or handle.process != process:
            raise Refusal(status.STATUS_INVALID_HANDLE)
        return handle

    def _open(self, process: int, obj: Object, access: int = EVERYTHING) -> int:
        self.handles.append(Handle(process, obj, access))
        return len(self.handles) - 1

    def _acting(self, number: int) -> Thread:
        """The thread that makes the call; only a running thread can."""
        thread = self.threads[number]
        if not thread.runnable:
            raise Refusal
        return thread

    # -- making things -----------------------------------------------------------------------------------------

    def create_thread(self, process: int) -> int:
        """Q-20: it belongs to no port yet."""
        self.threads.append(Thread(len(self.threads), process))
        return len(self.threads) - 1

    def create_port(self, process: int, limit: int) -> int:
        """O-01, Q-04."""
        self.ports.append(Port(len(self.ports), limit))
        return self._open(process, self.ports[-1])

    def create_event(self, process: int, auto: bool, signalled: bool) -> int:
        """An event."""
        self.events.append(Event(len(self.events), auto, signalled))
        return self._open(process, self.events[-1])

    def create_file(self, process: int, overlapped: bool, eager: bool) -> int:
        """A file in front of a device."""
        self.files.append(File(len(self.files), overlapped, eager))
        return self._open(process, self.files[-1])

    # -- the three procedures of the queue ---------------------------------------------------------------------

    def _insert(self, port: Port, packet: Packet, interrupted: Thread | None = None) -> int:
        """Q-10; `interrupted` is the thread whose parking the current kernel APC has interrupted (Q-18)."""
        if port.run_down:
            port.dropped += 1  # H-06
            return 0
        depth = len(port.packets)
        exempt = interrupted is not None and interrupted.port is port
        if self._has_free_slot(port) and port.waiters and not exempt:
            self._ready(port.waiters[-1], [packet])
            if self.switches.hand_off_wakes_direct_waiters:
                self._pulse(port)
        else:
            port.packets.append(packet)
            self._signal(port)  # O-11
        return depth

    def _release(self, port: Port | None) -> None:
        """Q-25: the oldest packet to the top waiter, if a slot is free."""
        if port is not None and port.packets and port.waiters and self._has_free_slot(port):
            self._ready(port.waiters[-1], [port.packets.pop(0)])

    def _look(self, thread: Thread, call: Call) -> Outcome:
        """Q-11 steps 2 to 6, for a thread that is associated and does not count at this moment."""
        port = thread.port
        assert port is not None
        thread.doing = "looking"
        if port.packets and self._has_free_slot(port):
            taken, port.packets = port.packets[: call.maximum], port.packets[call.maximum :]
            outcome: Outcome = taken
        elif call.alertable and thread.apcs:
            outcome = USER_APC
        elif call.due:
            outcome = TIMEOUT
        else:
            thread.doing, thread.call = "parked", call
            port.waiters.append(thread)
            return PARKED
        thread.doing, thread.call = "running", None
        return outcome

    def _ready(self, thread: Thread, result: Any) -> None:
        """The thread's wait of any kind is over: it is runnable at once, unless suspended (Q-22, Q-24, Q-26)."""
        if thread.port is not None and thread in thread.port.waiters:
            thread.port.waiters.remove(thread)
        if thread in self.waiting:
            self.waiting.remove(thread)
        thread.doing, thread.call, thread.wait, thread.result = "running", None, None, result
        if not thread.suspensions:
            self.readied.append(thread.number)

    def _in_kernel_apc(self, thread: Thread, action: Any) -> None:
        """Q-17, Q-18: a parked thread leaves its wait, counted, and looks again as a fresh arrival, on top (Q-08).

        Elsewhere nothing is interrupted.  P-02 may be false meanwhile and is restored at the end.
        """
        if thread.doing != "parked" or thread.suspensions:
            action(None)
            return
        port, call = thread.port, thread.call
        assert port is not None
        assert call is not None
        port.waiters.remove(thread)
        thread.doing = "running"
        action(thread)
        result = self._look(thread, call)
        if result != PARKED:
            self._ready(thread, result)
        for _ in range(len(port.waiters)):
            self._release(port)

    # -- signals and waits -------------------------------------------------------------------------------------

    def _signal(self, obj: Object) -> None:
        """Every wait that can be satisfied now is, in the order in which they began [CHOICE]."""
        for thread in list(self.waiting):
            if thread.wait is not None and obj in thread.wait.objects:
                result = self._satisfy(thread.wait)
                if result is not None:
                    self._ready(thread, result)

    def _pulse(self, port: Port) -> None:
        """O-12, before 1607: a packet that goes straight to a dequeuer is seen by the direct waiters all the same."""
        for thread in list(self.waiting):
            if thread.wait is not None and port in thread.wait.objects:
                result = self._satisfy(thread.wait, pulsed=port)
                if result is not None:
                    self._ready(thread, result)

    def _satisfy(self, wait: Wait, pulsed: Port | None = None) -> int | None:
        """What a wait returns now, having taken what it takes; None when it goes on."""
        signalled = [obj is pulsed or self._is_signalled(obj) for obj in wait.objects]
        if wait.every and all(signalled):
            taken = wait.objects
        elif not wait.every and any(signalled):
            taken = [wait.objects[signalled.index(True)]]
        else:
            return None
        for obj in taken:
            if isinstance(obj, Event) and obj.auto:
                obj.signalled = False
        return status.STATUS_WAIT_0 + (0 if wait.every else signalled.index(True))

    def _set(self, event: Event) -> None:
        event.signalled = True
        self._signal(event)

    def _signal_file(self, file: File) -> None:
        """I-17."""
        if not file.modes & 2 and not file.freed:
            file.signalled = True
            self._signal(file)

    def _write(self, request: Request) -> None:
        """The block first, then the event or, without one, the file (I-08, I-17, I-28)."""
        request.block = request.result
        if request.event is not None:
            self._set(request.event)
        else:
            self._signal_file(request.file)

    def set_event(self, process: int, handle: int) -> None:
        """Signal an event."""
        self._set(self._find(process, handle, Event, MODIFY))

    def reset_event(self, process: int, handle: int) -> None:
        """Reset an event."""
        self._find(process, handle, Event, MODIFY).signalled = False

    def wait(self, number: int, handles: list[int], every: bool, due: bool, alertable: bool) -> Outcome:
        """Wait for objects, or sleep: blocking frees the slot, anything else touches no port (Q-23, Q-29, O-13)."""
        thread = self.threads[number]
        objects = [self._find(thread.process, handle, (Port, Event, File), SYNCHRONIZE) for handle in handles]  # type: ignore[arg-type]
        self._acting(number)
        if len(objects) != len({id(obj) for obj in objects}):
            raise Refusal(status.STATUS_INVALID_PARAMETER)
        if not self.switches.port_waitable and any(isinstance(obj, Port) for obj in objects):
            raise Refusal
        wait = Wait(objects, every, alertable)
        result = self._satisfy(wait) if objects else None
        if result is not None:
            return result
        if alertable and thread.apcs:
            return status.STATUS_USER_APC
        if due:
            return status.STATUS_TIMEOUT
        thread.doing, thread.wait = "waiting", wait
        self.waiting.append(thread)
        self._release(thread.port)
        return BLOCKED

    # -- post and remove ---------------------------------------------------------------------------------------

    def query(self, process: int, handle: int) -> int:
        """O-04."""
        return len(self._find(process, handle, Port, QUERY).packets)

    def post(self, process: int, handle: int, key: str) -> int:
        """N-01 to N-08; the packets of a history carry its stamps, in the order in which they come into being."""
        port = self._find(process, handle, Port, MODIFY)
        self.stamp += 1
        return self._insert(port, Packet(key, None, status.STATUS_SUCCESS, self.stamp))

    def remove(self, number: int, handle: int, maximum: int, due: bool, alertable: bool) -> Outcome:
        """Q-11, O-07, O-08, G-14."""
        thread = self.threads[number]
        port = self._find(thread.process, handle, Port, MODIFY)
        if not self.switches.batch_and_alertable and (maximum > 1 or alertable):
            raise Refusal
        if maximum < 1:
            raise Refusal(status.STATUS_INVALID_PARAMETER)
        self._acting(number)
        stranger = thread.port is not port
        if alertable and thread.apcs and stranger and self.switches.apc_first_for_strangers:
            return USER_APC
        if stranger:
            old, thread.port = thread.port, None
            self._release(old)  # before the new port is looked at
            thread.port = port
        outcome = self._look(thread, Call(maximum, due, alertable))
        return self._deliver(outcome)

    def collect(self, number: int) -> Outcome:
        """A thread that was made ready returns from its call."""
        thread = self.threads[number]
        result, thread.result = thread.result, None
        return self._deliver(result)

    def _deliver(self, outcome: Outcome) -> Outcome:
        """I-27: the dequeuing thread writes late status blocks."""
        if not isinstance(outcome, list):
            return outcome
        for packet in outcome:
            if packet.request is not None:
                request = self.requests[packet.request]
                if request.block != request.result:
                    self._write(request)
        return ("got", [packet.plain for packet in outcome])

    # -- threads -----------------------------------------------------------------------------------------------

    def block(self, number: int) -> None:
        """Q-23: on something that only the caller knows of."""
        thread = self._acting(number)
        thread.doing = "outside"
        self._release(thread.port)

    def unblock(self, number: int) -> None:
        """Q-26: counted, whatever the limit says."""
        thread = self.threads[number]
        if thread.doing != "outside":
            raise Refusal
        thread.doing = "running"

    def expire(self, number: int) -> bool:
        """The time of a wait is over (Q-24).  A suspended caller learns it when it looks again (Q-17).

        A wait for objects goes on, and ends, while its thread is suspended [CHOICE].
        """
        thread = self.threads[number]
        if thread.doing == "waiting":
            self._ready(thread, status.STATUS_TIMEOUT)
        elif thread.doing == "parked" and not thread.suspensions:
            self._ready(thread, TIMEOUT)
        else:
            if thread.call is not None:
                thread.call.due = True
            return False
        return True

    def suspend(self, number: int) -> int:
        """Q-23, K-24, K-25; the previous suspend count."""
        thread = self.threads[number]
        if thread.doing == "gone":
            raise Refusal
        was_runnable = thread.runnable
        if thread.doing == "parked" and not thread.suspensions:
            assert thread.port is not None
            thread.port.waiters.remove(thread)
        thread.suspensions += 1
        if was_runnable:
            self._release(thread.port)
        return thread.suspensions - 1

    def resume(self, number: int) -> int:
        """Q-08, Q-26; the previous suspend count."""
        thread = self.threads[number]
        if not thread.suspensions:
            return 0
        thread.suspensions -= 1
        if not thread.suspensions and thread.doing == "parked":
            assert thread.call is not None
            result = self._look(thread, thread.call)
            if result != PARKED:
                self._ready(thread, result)
        elif not thread.suspensions and thread.doing == "running":
            self.readied.append(thread.number)
        return thread.suspensions + 1

    def user_apc(self, number: int) -> None:
        """G-12: ends an alertable wait."""
        thread = self.threads[number]
        if thread.doing == "gone":
            raise Refusal
        thread.apcs += 1
        if thread.wait is not None and thread.wait.alertable:
            self._ready(thread, status.STATUS_USER_APC)
        elif thread.call is not None and thread.call.alertable and thread.doing == "parked" and not thread.suspensions:
            self._ready(thread, USER_APC)

    def run_apcs(self, number: int) -> int:
        """The thread runs its pending user APCs; how many there were."""
        thread = self.threads[number]
        count, thread.apcs = thread.apcs, 0
        return count

    def kernel_apc(self, number: int, handles: list[int]) -> None:
        """A kernel APC in the thread, which posts one packet to each port (Q-08, Q-17, Q-18)."""
        thread = self.threads[number]
        ports: list[Port] = [self._find(thread.process, handle, Port, MODIFY) for handle in handles]

        def action(interrupted: Thread | None) -> None:
            for port in ports:
                self.stamp += 1
                self._insert(port, Packet("apc", None, status.STATUS_SUCCESS, self.stamp), interrupted)

        self._in_kernel_apc(thread, action)
