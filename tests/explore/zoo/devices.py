"""Programs that take devices for better than they are, each beside its right version."""

from __future__ import annotations

from iocp_emu import CompletionPort, SimulatedDisk
from iocp_emu.overlapped.simulated import Faults


def handled_twice() -> None:
    """A read that ends in its call is handled there, and once more when its packet comes (I-02)."""
    handled = 0
    disk = SimulatedDisk(faults=Faults(synchronous_success=0.1))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        read = file.read(4)
        if read.done:
            handled += 1
        port.get()
        handled += 1
    assert handled == 1


def handled_twice_right() -> None:
    """It is handled when its packet comes, and only then."""
    handled = 0
    disk = SimulatedDisk(faults=Faults(synchronous_success=0.1))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        file.read(4)
        port.get()
        handled += 1
    assert handled == 1


def short_read_ignored() -> None:
    """A read may bring less than was asked for."""
    disk = SimulatedDisk(faults=Faults(short=0.01))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        file.read(8)
        assert port.get().bytes == 8


def short_read_ignored_right() -> None:
    """It reads on."""
    disk = SimulatedDisk(faults=Faults(short=0.01))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        done = 0
        while done < 8:
            file.read(8 - done, done)
            done += port.get().bytes
        assert done == 8


def completion_order_assumed() -> None:
    """Two reads may end in either order."""
    disk = SimulatedDisk(queue_depth=2, faults=Faults(late=0.01))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        for tag in ("first", "second"):
            file.read(4, tag=tag)
        assert [port.get().overlapped.tag for _ in range(2)] == ["first", "second"]


def completion_order_assumed_right() -> None:
    """Who is meant is told by the packet."""
    disk = SimulatedDisk(queue_depth=2, faults=Faults(late=0.01))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        for tag in ("first", "second"):
            file.read(4, tag=tag)
        assert {port.get().overlapped.tag for _ in range(2)} == {"first", "second"}


def failure_ignored() -> None:
    """A read may fail, and then its packet says so (G-02)."""
    disk = SimulatedDisk(faults=Faults(fail=0.01))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        file.read(8)
        packet = port.get()
        assert packet.error is None, "a read failed"


def failure_ignored_right() -> None:
    """It tries again."""
    disk = SimulatedDisk(faults=Faults(fail=0.01))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        for _ in range(3):
            file.read(8)
            if port.get().error is None:
                break


def cancel_believed() -> None:
    """A cancel may come too late: then the read succeeds (I-41)."""
    disk = SimulatedDisk(latency=1, faults=Faults(uncancellable=0.01))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        read = file.read(8)
        read.cancel()
        assert port.get().error is not None, "a cancelled read has succeeded"


def cancel_believed_right() -> None:
    """Either is fine."""
    disk = SimulatedDisk(latency=1, faults=Faults(uncancellable=0.01))
    with CompletionPort() as port, disk.open("data", b"12345678") as file:
        port.associate(file)
        read = file.read(8)
        read.cancel()
        assert port.get().overlapped is read
