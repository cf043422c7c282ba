"""What stands behind a file object: the operations that a device may offer, and how one is asked for.

Theory.  A face turns a call into an `Ask` (where the result goes, what shall be told) and hands it to the device.  The
device issues a kernel request, does the work or has it done, and completes the request; the kernel decides what becomes
of that.  Every operation answers with the NTSTATUS that the call reports: STATUS_PENDING or an immediate status.

Own rule.  An operation that a device does not have is STATUS_INVALID_DEVICE_REQUEST, as on Windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import status
from ..kernel.file import FileObject, IoRequest, StatusBlock
from ..kernel.waits import Event

if TYPE_CHECKING:
    from ..runtime.threads import ThreadSystem


@dataclass(slots=True)
class Ask:
    """How one overlapped call wants to be answered.

    `context` None: no completion packet.  `event`: set when the operation ends.  `apc`: queued to the issuing thread
    with (NTSTATUS, information, block).
    """

    block: StatusBlock
    context: Any = None
    event: Event | None = None
    apc: Callable[[int, int, StatusBlock], None] | None = None


@dataclass(slots=True)
class Transferred:
    """The outcome of a synchronous operation: its NTSTATUS and the bytes moved."""

    status: int
    count: int = 0


class IoDevice:
    """A device whose every operation is missing.  `offset` is in bytes from the start; None: where the file stands.

    The overlapped operations (`read`, `write`, `control`, `lock`, `watch`) never block beyond a copy; `read_now`,
    `write_now` and `flush` may block and say so to the kernel (Q-23).  All are called without the kernel lock.
    """

    def read(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None, ask: Ask) -> int:
        """Start to read up to `len(target)` bytes into `target`."""
        return status.STATUS_INVALID_DEVICE_REQUEST

    def write(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None, ask: Ask) -> int:
        """Start to write all of `data`."""
        return status.STATUS_INVALID_DEVICE_REQUEST

    def read_now(self, system: ThreadSystem, file: FileObject, target: memoryview, offset: int | None) -> Transferred:
        """Read and wait for it (synchronous file objects)."""
        return Transferred(status.STATUS_INVALID_DEVICE_REQUEST)

    def write_now(self, system: ThreadSystem, file: FileObject, data: memoryview, offset: int | None) -> Transferred:
        """Write and wait for it (synchronous file objects)."""
        return Transferred(status.STATUS_INVALID_DEVICE_REQUEST)

    def flush(self, system: ThreadSystem, file: FileObject) -> int:
        """Bring what was written to the medium."""
        return status.STATUS_INVALID_DEVICE_REQUEST

    def control(
        self,
        system: ThreadSystem,
        file: FileObject,
        code: int,
        data: memoryview,
        target: memoryview,
        ask: Ask,
    ) -> int:
        """Start what the control code says, with `data` as its input and `target` for its output."""
        return status.STATUS_INVALID_DEVICE_REQUEST

    def cancel(self, request: IoRequest) -> None:
        """Under the kernel lock: end `request` early if that is still possible (I-41)."""

    def cleanup(self, file: FileObject) -> None:
        """Under the kernel lock: the last handle is closed (I-43)."""

    def close(self, file: FileObject) -> None:
        """Under the kernel lock: the last reference is gone."""
