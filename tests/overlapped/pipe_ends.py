"""The bench of the pipe tests: both ends of a pipe on a rig, and the operations that only pipes have."""

from __future__ import annotations

from typing import Any

from iocp_emu.kernel.completion import Packet
from iocp_emu.kernel.file import FileObject, IoMode
from iocp_emu.kernel.objects import NtError
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.overlapped.device import Ask
from iocp_emu.overlapped.pipe_names import PipeOptions, create_instance, open_client
from iocp_emu.overlapped.pipe_queues import ReadMode
from iocp_emu.overlapped.pipe_states import BufferSizes, Connected, PipeType, WaitMode
from iocp_emu.overlapped.pipes import PipeEnd
from tests.overlapped.support import Opened, Operation, Rig

NAME = "test"
OVERLAPPED = IoMode.OVERLAPPED


class OpenedEnd(Opened):
    """One end of a pipe with one handle."""

    @property
    def end(self) -> PipeEnd:
        """The device."""
        assert isinstance(self.file.device, PipeEnd)
        return self.file.device

    def bind(self, key: Any = "key") -> OpenedEnd:
        """Associate with the rig's port."""
        super().bind(key)
        return self

    def transact(self, data: bytes, size: int, ask: Ask | None = None) -> Operation:
        """TransactNamedPipe."""
        ask = ask or self.ask()
        buffer = bytearray(size)
        code = self.end.transact(self.rig.system, self.file, memoryview(data), memoryview(buffer), ask)
        return Operation(code, ask.block, buffer)

    def listen(self, ask: Ask | None = None, connected: Connected = Connected.REFUSE) -> Operation:
        """ConnectNamedPipe."""
        ask = ask or self.ask()
        return Operation(self.end.listen(self.rig.system, self.file, ask, connected), ask.block, bytearray())

    def disconnect(self) -> int:
        """DisconnectNamedPipe."""
        return self.end.disconnect(self.rig.system, self.file, self.ask(with_packet=False))

    def flush(self) -> int:
        """FlushFileBuffers."""
        return self.end.flush(self.rig.system, self.file)

    def set_modes(self, read_mode: ReadMode, wait_mode: WaitMode = WaitMode.WAIT) -> None:
        """SetNamedPipeHandleState."""
        self.rig.system.perform(self.end.set_modes, read_mode, wait_mode)

    def peek(self, size: int = 0) -> tuple[bytes, int, int, int]:
        """PeekNamedPipe: the data, bytes that can be read, parcels, and the length of the first."""
        buffer = bytearray(size)
        peeked = self.rig.system.perform(self.end.peek, memoryview(buffer))
        return bytes(buffer[: peeked.count]), peeked.available, peeked.parcels, peeked.first


def adopt(rig: Rig, file: FileObject) -> OpenedEnd:
    """Open a handle of an end; it is closed with the rig."""
    opened = OpenedEnd(rig, file)
    rig.adopt(opened)
    return opened


def serve(rig: Rig, name: str | None = NAME, **kwargs: Any) -> OpenedEnd:
    """A new instance; options of `PipeOptions`, and `quota` for both ways."""
    quota = kwargs.pop("quota", None)
    if quota is not None:
        kwargs["sizes"] = BufferSizes(quota, quota)
    return adopt(rig, create_instance(rig.system, name, PipeOptions(**kwargs)))


def open_(rig: Rig, name: str = NAME, access: int | None = None, io_mode: IoMode = OVERLAPPED) -> OpenedEnd:
    """A client of a free instance."""
    return adopt(rig, open_client(rig.system, name, access, io_mode))


def connected(
    rig: Rig, client_mode: IoMode = OVERLAPPED, name: str = NAME, **kwargs: Any
) -> tuple[OpenedEnd, OpenedEnd]:
    """A server end and its client; options as of `serve`."""
    server = serve(rig, name, **kwargs)
    return server, open_(rig, name, io_mode=client_mode)


def messages(rig: Rig, client_mode: IoMode = OVERLAPPED, **kwargs: Any) -> tuple[OpenedEnd, OpenedEnd]:
    """Both ends of a message pipe, which both read messages."""
    server, client = connected(rig, client_mode, type=PipeType.MESSAGE, read_mode=ReadMode.MESSAGE, **kwargs)
    client.set_modes(ReadMode.MESSAGE)
    return server, client


def brought(rig: Rig, operation: Operation) -> tuple[int, int]:
    """NTSTATUS and count of the next packet, which must be that of `operation`."""
    packet = rig.packet(0)
    assert packet.overlapped is operation.block
    assert (operation.block.status, operation.block.information) == (packet.status, packet.information)
    return packet.status, packet.information


def drain(rig: Rig) -> list[Packet]:
    """Every packet that is queued."""
    packets: list[Packet] = []
    while not isinstance(packet := rig.system.remove_one(rig.port, 0), RemoveOutcome):
        packets.append(packet)
    return packets


def refused(call: Any, *args: Any, **kwargs: Any) -> int:
    """The NTSTATUS with which a call is refused."""
    try:
        call(*args, **kwargs)
    except NtError as error:
        return error.status
    raise AssertionError("not refused")

