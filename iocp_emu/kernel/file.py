"""File objects, their association with a port, and overlapped requests from issue to packet.

Theory.  An association belongs to the file object, so that every duplicate handle shares it (C-12).  A request knows
from its issue what it is: whether it carries a completion context, an event or an APC routine, and so whether it is
bound to its thread (I-30).  What happens when it ends depends on three things only: whether it pended, whether the
call that issued it has returned, and what its file object is associated with *at that moment* (C-15):

    never pended, error      nothing at all: no packet, no event, status block untouched           (I-03)
    never pended, else       status block and event now; packet unless the file skips it           (I-02, I-04, I-15)
    pended                   exactly one packet if associated, with context, without APC           (I-05)
      ... after the call had returned, thread-agnostic: status block written at the dequeue        (I-27)

Rules of this file: C-05, C-06, C-11 to C-18, I-01 to I-18, I-25 to I-34, I-40 to I-45, H-03, H-06.

Own rules.  The kernel decides what becomes of a request; what the operation does, only its `Device` knows.  Devices are
called under the runtime's lock and never block there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .. import status
from ..profiles import IssuerAffinity
from .completion import IoCompletion, Packet, PacketSource
from .objects import Access, NtError
from .thread import KernelThread, ThreadState
from .waits import Event, Waitable

if TYPE_CHECKING:
    from ..profiles import Profile
    from .jobs import Process
    from .machine import Kernel


class StatusBlock:
    """Where the result of a request is written: `status` (NTSTATUS, `Internal`) and `information` (`InternalHigh`)."""

    __slots__ = ("information", "status")

    def __init__(self, status: int = 0, information: int = 0) -> None:
        self.status = status
        self.information = information

    def begin(self) -> None:
        """Mark as pending before the request is issued (I-25); the count stays as it was."""
        self.status = status.STATUS_PENDING

    @property
    def is_pending(self) -> bool:
        """Whether the final status has not been written yet (I-25, I-27)."""
        return self.status == status.STATUS_PENDING


class NotificationMode(enum.IntFlag):
    """Sticky bits of a file object (I-15, I-17, I-18)."""

    NONE = 0
    SKIP_COMPLETION_PORT_ON_SUCCESS = 1
    SKIP_SET_EVENT_ON_HANDLE = 2
    SKIP_SET_USER_EVENT_ON_FAST_IO = 4


KNOWN_MODES = 7
# Tested at every completion, where an operation on flags would cost as much as all the rest.
_SKIP_PORT = int(NotificationMode.SKIP_COMPLETION_PORT_ON_SUCCESS)
_SKIP_EVENT = int(NotificationMode.SKIP_SET_EVENT_ON_HANDLE)


class IoMode(enum.Enum):
    """How a file object was opened."""

    OVERLAPPED = "requests may pend; the file can be associated"
    SYNCHRONOUS = "every call waits; the file cannot be associated (C-05)"


class Association(NamedTuple):
    """The port and the completion key of a file object (C-11)."""

    port: IoCompletion
    key: Any


class Device(Protocol):
    """What stands behind a file object.  Called under the runtime's lock: must not block."""

    def cancel(self, request: IoRequest) -> None:
        """Try to end `request` early; it may also complete in any other way, or later (I-41)."""

    def cleanup(self, file: FileObject) -> None:
        """The last handle is closed; end what only a handle could end (I-43)."""

    def close(self, file: FileObject) -> None:
        """The last reference is gone; give back the resources."""


class HostFile(Protocol):
    """What the host knows of a file that processes share: whether any of them has associated it (C-12)."""

    @property
    def is_associated(self) -> bool:
        """Whether some process has associated it."""
        ...

    @is_associated.setter
    def is_associated(self, value: bool) -> None: ...


class FileObject(Waitable):
    """An open file, pipe end, socket or directory (C-18): what handles refer to and associations belong to.

    Lives while it has handles or outstanding requests (H-03).  Signalled when fresh, cleared by a request, signalled
    again by completions that carry no event of their own.
    """

    type_name = "File"
    all_access = Access.FILE_ALL
    __slots__ = (
        *("association", "device", "host_file", "io_mode", "modes", "port_excludes_apc", "profile", "requests"),
        "signalled",
    )

    def __init__(self, kernel: Kernel, device: Device, io_mode: IoMode, profile: Profile) -> None:
        super().__init__(kernel)
        self.device = device
        # Whoever makes a file that other processes may have, by inheritance, says how they know of each other.
        self.host_file: HostFile | None = None
        self.io_mode = io_mode
        self.profile = profile
        # As disk files have it; whoever makes a pipe or socket says that it always does (fact ntfile-apc-invalid).
        self.port_excludes_apc = profile.port_excludes_apc
        self.association: Association | None = None
        self.modes = 0
        self.signalled = True
        self.requests: dict[IoRequest, None] = {}

    # -- association -------------------------------------------------------------------------------------------

    def associate(self, port: IoCompletion, key: Any) -> None:
        """Bind to `port` with `key`, until the file object goes away (C-04, C-13, C-15).  O(1).

        STATUS_INVALID_PARAMETER for a synchronous file (C-05) and for one that has an association (C-06), be it by
        another process (C-12).
        """
        is_taken = self.association is not None or (self.host_file is not None and self.host_file.is_associated)
        if self.io_mode is IoMode.SYNCHRONOUS or is_taken:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        self._bind(port, key)

    def replace_association(self, port: IoCompletion | None, key: Any) -> None:
        """Replace port and key, or remove them when `port` is None (C-14).

        STATUS_INVALID_INFO_CLASS before 8.1 (by profile), STATUS_INVALID_PARAMETER for a synchronous file.
        """
        if not self.profile.association_replaceable:
            raise NtError(status.STATUS_INVALID_INFO_CLASS)
        if self.io_mode is IoMode.SYNCHRONOUS:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        old = self.association
        self.association = None
        if port is not None:
            self._bind(port, key)
        elif self.host_file is not None:
            self.host_file.is_associated = False
        if old is not None:
            old.port.dereference()

    def _bind(self, port: IoCompletion, key: Any) -> None:
        port.reference()
        self.association = Association(port, key)
        if self.host_file is not None:
            self.host_file.is_associated = True
        if self.profile.association_signals_file:
            self.signal()

    def add_modes(self, flags: int) -> None:
        """Add notification modes; none is ever removed, unknown bits are accepted and ignored (I-18).

        STATUS_INVALID_PARAMETER for a synchronous file (I-19); STATUS_NOT_IMPLEMENTED before Vista.
        """
        if not self.profile.notification_modes:
            raise NtError(status.STATUS_NOT_IMPLEMENTED)
        if self.io_mode is IoMode.SYNCHRONOUS:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        self.modes |= int(flags) & KNOWN_MODES

    # -- the file object's own event ---------------------------------------------------------------------------

    def signal(self) -> None:
        """Signal the file object, unless its modes forbid it (C-17, I-17)."""
        if not self.modes & _SKIP_EVENT:
            self.signalled = True
            self.wake_waits()

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """The state of the file object's own event."""
        return self.signalled

    # -- requests ----------------------------------------------------------------------------------------------

    def start_request(
        self,
        thread: KernelThread,
        block: StatusBlock,
        *,
        context: Any = None,
        event: Event | None = None,
        apc: Callable[[int, int, StatusBlock], None] | None = None,
        operation: Any = None,
    ) -> IoRequest:
        """Issue a request: the event and the file's own are cleared, the file is kept alive (H-03).  O(1).

        `context` None means that no packet is wanted (I-07, I-09); `operation` is the device's business.
        STATUS_INVALID_PARAMETER for an APC routine on an associated file (C-16; on disk files by profile).
        """
        if apc is not None and self.association is not None and self.port_excludes_apc:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        return IoRequest(self, thread, block, context, event, apc, operation)

    def cancel_requests(
        self,
        *,
        thread: KernelThread | None = None,
        process: Process | None = None,
        block: StatusBlock | None = None,
    ) -> int:
        """Ask the device to cancel matching requests; how many there were (I-40 to I-42).  O(requests of the file).

        None matches everything.  A request that has already completed is no longer there to be found.
        """
        found = [
            request
            for request in self.requests
            if thread in (None, request.thread)
            and process in (None, request.thread.process)
            and block in (None, request.block)
        ]
        # The newest first: the lists of outstanding requests are stacks, in Windows as in Wine.
        for request in reversed(found):
            request.cancel()
        return len(found)

    def cancel_all_or_one(self, process: Process, block: StatusBlock | None) -> None:
        """CancelIoEx: the process's requests, all or those that use `block` (I-40).

        STATUS_NOT_FOUND when there are none (by profile only for a given `block`).
        """
        found = self.cancel_requests(process=process, block=block)
        if not found and (block is not None or self.profile.cancel_all_reports_not_found):
            raise NtError(status.STATUS_NOT_FOUND)

    # -- the end -----------------------------------------------------------------------------------------------

    def on_process_handles_closed(self, process: Process) -> None:
        """I-33: handles live on in another process, but this one's thread-agnostic requests are cancelled."""
        if self.handle_count:
            for request in reversed(list(self.requests)):
                if request.thread.process is process and request.is_agnostic:
                    request.cancel()

    def on_last_handle_closed(self) -> None:
        """I-43, I-44: the device ends what is outstanding; the packets still arrive."""
        self.device.cleanup(self)

    def on_freed(self) -> None:
        """The association ends with the file object (C-13)."""
        self.device.close(self)
        if self.association is not None:
            port = self.association.port
            self.association = None
            port.dereference()


class RequestState(enum.Enum):
    """How far a request has come."""

    ISSUED = "the device has it"
    COMPLETED = "the device is done; the status block waits for the dequeue (I-27)"
    FINISHED = "nothing more will happen"


class IoRequest(PacketSource):
    """One overlapped operation, from issue to its final status."""

    __slots__ = (
        "apc",
        "block",
        "context",
        "event",
        "file",
        "has_pended",
        "has_returned",
        "information",
        "is_agnostic",
        "is_cancelling",
        "operation",
        "state",
        "status",
        "thread",
    )

    def __init__(
        self,
        file: FileObject,
        thread: KernelThread,
        block: StatusBlock,
        context: Any,
        event: Event | None,
        apc: Callable[[int, int, StatusBlock], None] | None,
        operation: Any,
    ) -> None:
        self.file = file
        self.thread = thread
        self.block = block
        self.context = context
        self.event = event
        self.apc = apc
        self.operation = operation
        self.state = RequestState.ISSUED
        self.status = status.STATUS_PENDING
        self.information = 0
        self.has_pended = False
        self.has_returned = False
        self.is_cancelling = False
        self.is_agnostic = (
            file.profile.thread_agnostic_requests
            and file.association is not None
            and context is not None
            and event is None
            and apc is None
        )
        file.signalled = False
        if event is not None:
            event.reference()
            event.reset()
        file.reference()
        file.requests[self] = None
        thread.requests[self] = None

    def pend(self) -> None:
        """The device will answer later, or says so: the call reports pending, and a packet will follow (I-05, I-06)."""
        self.has_pended = True

    def return_to_caller(self) -> int:
        """The issuing call returns now: what it reports, STATUS_PENDING or the immediate status (I-26, I-27)."""
        self.has_returned = True
        return status.STATUS_PENDING if self.has_pended else self.status

    def complete(self, code: int, information: int) -> None:
        """The device is done with NTSTATUS `code` and `information` (bytes, as a rule).  O(1) plus whom it wakes.

        A device that neither pends nor completes before the call returns is broken; completing twice is refused.
        """
        if self.state is not RequestState.ISSUED:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        if self.has_returned and not self.has_pended:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        self.status = code
        self.information = information
        file = self.file
        del file.requests[self]
        self.thread.requests.pop(self, None)
        if not self.has_pended and status.is_error(code):
            self.state = RequestState.FINISHED
        else:
            self._report_in_context()
        if self.event is not None:
            self.event.dereference()
        file.dereference()

    def cancel(self) -> None:
        """Ask the device to end the request early (I-41)."""
        if self.state is RequestState.ISSUED:
            self.is_cancelling = True
            self.file.device.cancel(self)

    def on_thread_exit(self) -> None:
        """I-31: a thread-agnostic request outlives its thread; any other is cancelled, and its APC never runs."""
        self.thread.requests.pop(self, None)
        if not self.is_agnostic:
            self.cancel()

    # -- how it is reported ------------------------------------------------------------------------------------

    def _report_in_context(self) -> None:
        """Where completion is a kernel APC of the issuer, a parked issuer is interrupted and looks first (I-34)."""
        affinity = self.file.profile.issuer_affinity
        bound = affinity is IssuerAffinity.ALL or (
            affinity is IssuerAffinity.WITH_EVENT and not self.is_agnostic
        )
        issuer = self.thread
        if bound and issuer.state is ThreadState.PARKED:
            issuer.run_kernel_apc(lambda: self._report(issuer))
        else:
            self._report(None)

    def _report(self, interrupted: KernelThread | None) -> None:
        association = self.file.association
        wants_packet = (
            association is not None
            and self.context is not None
            and self.apc is None
            and (self.has_pended or not self.file.modes & _SKIP_PORT)
        )
        late = (
            wants_packet
            and self.has_returned
            and self.is_agnostic
            and self.file.profile.late_status_block
            # From a port that is run down nobody can dequeue: the result is written at once (H-06, vector close-12).
            and association is not None
            and not association.port.running_down
        )
        self.state = RequestState.COMPLETED
        if not late:
            self._publish()
        if self.apc is not None and self.thread.state is not ThreadState.EXITED:
            apc, code, information, block = self.apc, self.status, self.information, self.block
            self.thread.queue_user_apc(lambda: apc(code, information, block))
        if wants_packet:
            assert association is not None
            packet = Packet(association.key, self.context, self.status, self.information, self)
            association.port.set(packet, interrupted)

    def _publish(self) -> None:
        """Write the status block, then signal the event or, without one, the file object (I-08, I-17, I-26, I-28)."""
        self.state = RequestState.FINISHED
        self.block.information = self.information
        self.block.status = self.status
        if self.event is not None:
            self.event.set()
        else:
            self.file.signal()

    def on_delivered(self) -> None:
        """I-27: the dequeuing thread writes the late status block."""
        if self.state is RequestState.COMPLETED:
            self._publish()

