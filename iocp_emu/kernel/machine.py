"""The kernel: all objects of one emulated machine, and the verbs through which everything is done to them.

Theory.  A `Kernel` is a value with methods: it never blocks, keeps no time and knows no thread of the host.  A runtime
holds a lock around each verb, then lets every thread in `readied` go on.  Verbs that take a thread act for it; a verb
that answers None has parked or blocked that thread, and `collect` has the answer once it is readied.

The verbs are the only door: the real-thread runtime, simulations, tests and recordings use nothing else to change the
state, so a trace is a list of verbs with their outcomes.  A refused verb raises `NtError` and has changed nothing.

Rules of this file: O-01, O-02, Q-03 (processors), H-08; all others are implemented by the objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import status
from ..profiles import WIN10, Profile
from .completion import IoCompletion, Packet, finish_delivery, lose_delivery
from .file import Device, FileObject, IoMode, IoRequest
from .jobs import Job, Process
from .objects import FIRST_HANDLE, HANDLE_STEP, KernelObject, NtError
from .queue import KernelQueue, RemoveOutcome
from .thread import Apc, KernelThread, WaitResult
from .waitpackets import Removal, ReserveObject, WaitCompletionPacket
from .waits import (
    MAXIMUM_WAIT_OBJECTS,
    Alertability,
    Event,
    Mutant,
    ResetMode,
    Semaphore,
    Timeout,
    Timer,
    Waitable,
    WaitMode,
    begin_wait,
)


class Kernel:
    """One emulated machine.

    `processors` (1 or more) is the number of logical processors, read when a port with concurrency value 0 is made
    (Q-03).  `queue_type` lets an observer put its own recording subclass under every port.
    """

    __slots__ = ("_next_handle", "_next_pid", "names", "objects", "processors", "profile", "queue_type", "readied")

    def __init__(
        self,
        profile: Profile = WIN10,
        processors: int = 1,
        queue_type: type[KernelQueue[Any]] = KernelQueue,
    ) -> None:
        if processors < 1:
            raise ValueError("processors must be 1 or more")
        self.profile = profile
        self.processors = processors
        self.queue_type = queue_type
        self.objects: dict[KernelObject, None] = {}
        self.names: dict[str, KernelObject] = {}
        self.readied: list[KernelThread] = []
        self._next_handle = FIRST_HANDLE
        self._next_pid = HANDLE_STEP

    # -- objects and names -------------------------------------------------------------------------------------

    def new_handle_value(self) -> int:
        """A handle value that was never used before in this kernel (H-08)."""
        value = self._next_handle
        self._next_handle += HANDLE_STEP
        return value

    def forget_name(self, obj: KernelObject) -> None:
        """A named object is found by its name until its last handle is closed (O-02)."""
        if obj.name is not None and self.names.get(obj.name) is obj:
            del self.names[obj.name]

    def find_name(self, name: str, *, ignore_case: bool = False) -> KernelObject | None:
        """The object of this name, or None (O-02).  O(1); O(names) when the case is ignored."""
        found = self.names.get(name)
        if found is None and ignore_case:
            folded = name.casefold()
            found = next((obj for key, obj in self.names.items() if key.casefold() == folded), None)
        return found

    def set_name(self, obj: KernelObject, name: str) -> None:
        """Give a fresh object a name; STATUS_OBJECT_NAME_COLLISION when it is taken (O-02)."""
        if name in self.names:
            raise NtError(status.STATUS_OBJECT_NAME_COLLISION)
        self.names[name] = obj
        obj.name = name

    # -- processes and threads ---------------------------------------------------------------------------------

    def create_process(self, pid: int | None = None) -> Process:
        """A process with an empty handle table; `pid` None takes the next free multiple of four."""
        if pid is None:
            pid = self._next_pid
            self._next_pid += HANDLE_STEP
        return Process(self, pid)

    def create_thread(self, process: Process, name: str) -> KernelThread:
        """A runnable thread that belongs to no port yet (Q-20)."""
        return KernelThread(self, process, name)

    def exit_thread(self, thread: KernelThread, exit_code: int = 0) -> None:
        """End a thread, as its return or TerminateThread does (Q-28, I-31)."""
        thread.exit(exit_code)

    def lose(self, result: WaitResult) -> None:
        """A thread ends with this result in its hands: packets in it are lost, as they are on Windows."""
        if isinstance(result, list):
            lose_delivery(result)

    def exit_process(self, process: Process, exit_code: int = 0) -> None:
        """End a process with all its threads and handles (X-04)."""
        process.exit(exit_code)

    def block(self, thread: KernelThread) -> None:
        """The running thread blocks on something outside the kernel (Q-23)."""
        thread.begin_block(None)

    def unblock(self, thread: KernelThread) -> None:
        """That is over (Q-26)."""
        thread.end_block()

    def suspend(self, thread: KernelThread) -> int:
        """Suspend once more; the previous count (Q-23, K-24, K-25)."""
        return thread.suspend()

    def resume(self, thread: KernelThread) -> int:
        """Undo one suspension; the previous count (Q-26)."""
        return thread.resume()

    def queue_user_apc(self, thread: KernelThread, apc: Apc) -> None:
        """Queue a user APC (G-12 to G-14)."""
        thread.queue_user_apc(apc)

    def kernel_apc(self, thread: KernelThread, action: Callable[[], None]) -> None:
        """Run a kernel APC in a thread (Q-08, Q-17, Q-18)."""
        thread.run_kernel_apc(action)

    # -- ports -------------------------------------------------------------------------------------------------

    def create_port(self, concurrency: int = 0, profile: Profile | None = None) -> IoCompletion:
        """A port (O-01, Q-03, Q-04); without a handle or another reference it is the caller's to keep."""
        return IoCompletion(self, concurrency, profile or self.profile)

    def post(self, port: IoCompletion, packet: Packet) -> int:
        """Queue a packet or hand it over; the depth before (Q-10, N-01 to N-08)."""
        return port.set(packet)

    def remove(
        self,
        thread: KernelThread,
        port: IoCompletion,
        maximum: int = 1,
        timeout: Timeout = Timeout.LATER,
        alertability: Alertability = Alertability.PLAIN,
    ) -> list[Packet] | RemoveOutcome | None:
        """Dequeue; None: parked (Q-11, O-07, O-08)."""
        return port.remove(thread, maximum, timeout, alertability)

    def collect(self, thread: KernelThread) -> WaitResult:
        """What the readied thread's wait has brought: packets, a `RemoveOutcome`, or an NTSTATUS (I-27)."""
        result, thread.wait_result = thread.wait_result, None
        if isinstance(result, list):
            finish_delivery(result)
        return result

    def expire(self, thread: KernelThread) -> bool:
        """The timeout of the thread's wait has passed; False when it had already ended (Q-24, Q-33)."""
        return thread.expire()

    def put_back(self, port: IoCompletion, packets: list[Packet]) -> None:
        """A delivery could not be returned to its caller: queue the packets again, oldest first (Q-35)."""
        port.put_back(packets)

    def forget_takers(self) -> None:
        """No thread takes packets by itself until it has asked once more.  O(objects)."""
        for obj in self.objects:
            if isinstance(obj, IoCompletion):
                obj.queue.takers.clear()

    # -- waits -------------------------------------------------------------------------------------------------

    def wait(
        self,
        thread: KernelThread,
        objects: Sequence[Waitable] = (),
        mode: WaitMode = WaitMode.ANY,
        timeout: Timeout = Timeout.LATER,
        alertability: Alertability = Alertability.PLAIN,
    ) -> int | None:
        """Wait for up to 64 objects, or sleep when there are none; None: blocked (Q-23, Q-29, O-13).

        STATUS_INVALID_PARAMETER for more objects, or one object twice.
        """
        if len(objects) > MAXIMUM_WAIT_OBJECTS or len(set(objects)) < len(objects):
            raise NtError(status.STATUS_INVALID_PARAMETER)
        return begin_wait(thread, objects, mode, timeout, alertability)

    def create_event(self, reset_mode: ResetMode, *, signalled: bool = False) -> Event:
        """An event."""
        return Event(self, reset_mode, signalled=signalled)

    def create_semaphore(self, count: int, maximum: int) -> Semaphore:
        """A semaphore; STATUS_INVALID_PARAMETER unless 0 <= count <= maximum and maximum > 0."""
        return Semaphore(self, count, maximum)

    def create_mutant(self, owner: KernelThread | None = None) -> Mutant:
        """A mutex, owned by `owner` from the start."""
        return Mutant(self, owner)

    def create_timer(self, reset_mode: ResetMode) -> Timer:
        """A waitable timer; the runtime calls its `fire`."""
        return Timer(self, reset_mode)

    # -- files and requests ------------------------------------------------------------------------------------

    def create_file(self, device: Device, io_mode: IoMode, profile: Profile | None = None) -> FileObject:
        """A file object in front of `device`."""
        return FileObject(self, device, io_mode, profile or self.profile)

    def complete(self, request: IoRequest, code: int, information: int) -> None:
        """The device is done with a request (I-01 to I-09, I-25 to I-28)."""
        request.complete(code, information)

    # -- jobs, wait packets, reserves --------------------------------------------------------------------------

    def create_job(self) -> Job:
        """A job object without processes (X-04)."""
        return Job(self)

    def create_wait_packet(self) -> WaitCompletionPacket:
        """A wait completion packet (X-05); STATUS_NOT_IMPLEMENTED before Windows 8."""
        if not self.profile.wait_completion_packets:
            raise NtError(status.STATUS_NOT_IMPLEMENTED)
        return WaitCompletionPacket(self)

    def cancel_wait_packet(self, packet: WaitCompletionPacket, removal: Removal) -> int:
        """Stop a wait completion packet (X-06)."""
        return packet.cancel(removal)

    def create_reserve(self) -> ReserveObject:
        """A reserved completion packet (O-06)."""
        return ReserveObject(self)


