"""The object face of simulated devices: files on a simulated disk, connections of a simulated network.

Theory.  They are used like `File`: associate them with a port, start operations, take packets, whose `Overlapped` has
the result.  Only where the bytes and the time come from differs: nothing here touches the host.

Own rules.  Those of `iocp_emu.port`.  A device belongs to the simulation in which it was made; outside of one, making
it is `RuntimeError`.
"""

from __future__ import annotations

from typing import Any

from .kernel.file import FileObject, IoMode
from .kernel.objects import Access
from .overlapped.device import Ask, IoDevice
from .overlapped.simulated import ConnectionEnd, DiskFile, Faults, Service, Wire
from .port import MAXIMUM_DWORD, Overlapped, OverlappedHandle, check_integer
from .runtime.ambient import current_system
from .runtime.chance import Distribution
from .runtime.simulation import Simulation
from .status import STATUS_CONNECTION_RESET, STATUS_IO_DEVICE_ERROR

MAXIMUM_OFFSET = (1 << 63) - 1


def _simulation() -> Simulation:
    system = current_system()
    if not isinstance(system, Simulation):
        raise RuntimeError("simulated devices are made inside `with Simulation()`")
    return system


class _SimulatedHandle(OverlappedHandle):
    """A handle to a file object in front of a simulated device."""

    __slots__ = ("_device",)

    def __init__(self, simulation: Simulation, device: IoDevice) -> None:
        self._device = device
        file, handle = simulation.perform(_open, simulation, device)
        super().__init__(simulation, handle, file)

    def _read(self, size: int, offset: int, tag: Any) -> Overlapped:
        check_integer("size", size, 0, MAXIMUM_DWORD)
        target = memoryview(bytearray(size))

        def start(file: FileObject, ask: Ask) -> int:
            return self._device.read(self._system, file, target, offset, ask)

        return self._issue(start, Overlapped(self, offset, target, tag))

    def _write(self, data: bytes | bytearray | memoryview, offset: int, tag: Any) -> Overlapped:
        view = memoryview(data).cast("B")

        def start(file: FileObject, ask: Ask) -> int:
            return self._device.write(self._system, file, view, offset, ask)

        return self._issue(start, Overlapped(self, offset, view, tag))


class SimulatedFile(_SimulatedHandle):
    """A file on a `SimulatedDisk`, which opens it.  Used like `File`."""

    __slots__ = ("name",)

    def __init__(self, simulation: Simulation, device: DiskFile) -> None:
        self.name = device.name
        super().__init__(simulation, device)

    def read(self, size: int, offset: int = 0, *, tag: Any = None) -> Overlapped:
        """Start to read up to `size` bytes at `offset`.  Returns at once.

        The end of the file is a packet with error 38.  Raises `OSError` when it fails within the call (I-03),
        `ValueError`, `TypeError`.
        """
        check_integer("offset", offset, 0, MAXIMUM_OFFSET)
        return self._read(size, offset, tag)

    def write(self, data: bytes | bytearray | memoryview, offset: int = 0, *, tag: Any = None) -> Overlapped:
        """Start to write `data` at `offset`; `data` must not change until the packet has come.  Returns at once.

        Raises `OSError` when the operation fails within the call (I-03), `ValueError`, `TypeError`.
        """
        check_integer("offset", offset, 0, MAXIMUM_OFFSET)
        return self._write(data, offset, tag)


class SimulatedDisk:
    """A disk of the current simulation.

    `latency` is what one operation takes, in seconds: a number, or a distribution (`Constant`, `Uniform`,
    `Exponential`, `LogNormal` of `iocp_emu.runtime.chance`).  `queue_depth` operations are served at once.  `faults`
    says what may go wrong.

    >>> from iocp_emu import CompletionPort, Simulation
    >>> with Simulation() as sim:
    ...     port, file = CompletionPort(), SimulatedDisk(latency=0.005).open("data", b"hello")
    ...     port.associate(file, "disk")
    ...     _ = file.read(100)
    ...     thread = sim.spawn(port.get)
    ...     _ = sim.run()
    >>> bytes(thread.result.overlapped.data), sim.now
    (b'hello', 0.005)
    """

    def __init__(
        self, latency: Distribution | float = 0.001, queue_depth: int = 1, faults: Faults | None = None
    ) -> None:
        self._simulation = _simulation()
        self._service = Service(latency, queue_depth, faults, STATUS_IO_DEVICE_ERROR)
        self._files: dict[str, bytearray] = {}

    def open(self, name: str, contents: bytes | None = None) -> SimulatedFile:
        """Open the file of that name, making an empty one if there is none; `contents`, if given, replaces what it has.

        Never blocks; O(contents).
        """
        stored = self._files.setdefault(name, bytearray())
        if contents is not None:
            stored[:] = contents
        return SimulatedFile(self._simulation, DiskFile(self._simulation, self._service, name, stored))

    def contents(self, name: str) -> bytes:
        """The bytes of a file now; `KeyError` when there is none of that name."""
        return bytes(self._files[name])

    @property
    def outstanding(self) -> int:
        """Operations that wait or are being served."""
        return self._service.outstanding


class SimulatedConnection(_SimulatedHandle):
    """One end of a connection of a `SimulatedNetwork`."""

    __slots__ = ("name",)

    def __init__(self, simulation: Simulation, device: ConnectionEnd) -> None:
        self.name = device.name
        super().__init__(simulation, device)

    def send(self, data: bytes | bytearray | memoryview, *, tag: Any = None) -> Overlapped:
        """Start to send `data`; its packet comes when the bytes have arrived.  Returns at once.

        A packet with error 64 when the other end is closed.  Raises `OSError` when it fails within the call (I-03).
        """
        return self._write(data, 0, tag)

    def receive(self, size: int, *, tag: Any = None) -> Overlapped:
        """Start to receive 1 to `size` bytes; 0 bytes when the other end is closed.  Returns at once.

        Raises `OSError` when it fails within the call (I-03), `ValueError`, `TypeError`.
        """
        return self._read(size, 0, tag)


class SimulatedNetwork:
    """A network of the current simulation.

    `latency` is what bytes need from end to end, in seconds, as for `SimulatedDisk`; `queue_depth` sends of one end are
    on the way at once (with 1, the default, a send waits until the one before it has arrived).
    """

    def __init__(
        self, latency: Distribution | float = 0.001, queue_depth: int = 1, faults: Faults | None = None
    ) -> None:
        self._simulation = _simulation()
        self._latency = latency
        self._queue_depth = queue_depth
        self._faults = faults or Faults()
        self._connections = 0

    def connect(self, name: str | None = None) -> tuple[SimulatedConnection, SimulatedConnection]:
        """The two ends of a new connection.  Never blocks; O(1)."""
        self._connections += 1
        title = name or f"connection {self._connections}"
        ends = [self._end(f"{title} {side}") for side in ("a", "b")]
        ends[0].join(ends[1])
        return SimulatedConnection(self._simulation, ends[0]), SimulatedConnection(self._simulation, ends[1])

    def _end(self, name: str) -> ConnectionEnd:
        service = Wire(self._latency, self._queue_depth, self._faults, STATUS_CONNECTION_RESET)
        return ConnectionEnd(self._simulation, service, name, self._faults)


def _open(simulation: Simulation, device: IoDevice) -> tuple[FileObject, int]:
    file = simulation.kernel.create_file(device, IoMode.OVERLAPPED)
    return file, simulation.process.handles.open(file, Access.FILE_ALL)
