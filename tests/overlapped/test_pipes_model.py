"""A pipe against a plain model of it: any sequence of operations on both ends, every outcome and every byte compared.

The model knows lists and loops: after each step it does whatever can be done, from the front, until nothing more can.
It shares no code with the product.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from iocp_emu import status
from iocp_emu.kernel.invariants import check
from iocp_emu.overlapped.pipe_names import PipeOptions, create_instance, open_client
from iocp_emu.overlapped.pipe_queues import ReadMode
from iocp_emu.overlapped.pipe_states import BufferSizes, PipeType, WaitMode
from tests.overlapped.pipe_ends import NAME, OpenedEnd, drain, refused
from tests.overlapped.support import Operation, Rig

SERVER, CLIENT = 0, 1
SIDES = st.sampled_from([SERVER, CLIENT])

CONNECTED, CLOSING, DISCONNECTED, LISTENING, CLOSED = "connected", "closing", "disconnected", "listening", "closed"
READ_ERRORS = {
    CLOSING: status.STATUS_PIPE_BROKEN,
    DISCONNECTED: status.STATUS_PIPE_DISCONNECTED,
    LISTENING: status.STATUS_PIPE_LISTENING,
}
WRITE_ERRORS = {**READ_ERRORS, CLOSING: status.STATUS_PIPE_CLOSING}


@dataclass
class Written:
    """A write, as it stands in the other end's queue."""

    name: int | None
    data: bytes
    size: int


@dataclass
class Side:
    """One end of the model: what it can read, what waits there, and its state."""

    state: str
    reads_messages: bool
    queue: list[Written] = field(default_factory=list[Written])
    reads: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    listens: list[int] = field(default_factory=list[int])


@dataclass
class Model:
    """Both ends; `ended`: what each operation came to, NTSTATUS and data or count, in this step."""

    has_messages: bool
    quota: int
    sides: list[Side]
    ended: dict[int, tuple[int, bytes | int]] = field(default_factory=dict[int, "tuple[int, bytes | int]"])

    def settle(self) -> None:
        """Do whatever can be done."""
        for reader in self.sides:
            while reader.reads and reader.queue:
                name, size = reader.reads.pop(0)
                self.ended[name] = self.take(reader, size)
            total = 0
            for written in reader.queue:
                total += len(written.data)
                if total <= self.quota and written.name is not None:
                    self.ended[written.name] = (status.STATUS_SUCCESS, written.size)
                    written.name = None

    def take(self, reader: Side, size: int) -> tuple[int, bytes]:
        """One read from a queue that is not empty."""
        taken = b""
        while reader.queue:
            first = reader.queue[0]
            room = size - len(taken)
            taken += first.data[:room]
            first.data = first.data[room:]
            if first.data:
                return status.STATUS_BUFFER_OVERFLOW if reader.reads_messages else status.STATUS_SUCCESS, taken
            reader.queue.pop(0)
            if first.name is not None:
                self.ended[first.name] = (status.STATUS_SUCCESS, first.size)
            if reader.reads_messages:
                break
        return status.STATUS_SUCCESS, taken

    def end_all(self, code: int) -> None:
        """Every read and write of both ends ends; what belongs to a write that had not ended is gone."""
        for side in self.sides:
            for name, _ in side.reads:
                self.ended[name] = (code, b"")
            side.reads.clear()
            for written in side.queue:
                if written.name is not None:
                    self.ended[written.name] = (code, 0)
            side.queue[:] = [written for written in side.queue if written.name is None]


class PipeMachine(RuleBasedStateMachine):
    """Steps on a real pipe and on the model."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.names = 0
        self.operations: dict[int, tuple[int, Operation, bool]] = {}
        self.pending: set[int] = set()

    @initialize(
        has_messages=st.booleans(), server=st.booleans(), client=st.booleans(), quota=st.sampled_from([0, 1, 4, 8, 99])
    )
    def begin(self, has_messages: bool, server: bool, client: bool, quota: int) -> None:
        """Connect a pipe."""
        server, client = server and has_messages, client and has_messages
        options = PipeOptions(
            type=PipeType.MESSAGE if has_messages else PipeType.BYTE,
            read_mode=ReadMode.MESSAGE if server else ReadMode.BYTE,
            sizes=BufferSizes(quota, quota),
        )
        self.client_reads_messages = client
        self.server = OpenedEnd(self.rig, create_instance(self.rig.system, NAME, options))
        self.rig.adopt(self.server.bind())
        self.ends = [self.server, self.open_client()]
        self.model = Model(has_messages, quota, [Side(CONNECTED, server), Side(CONNECTED, client)])

    def open_client(self) -> OpenedEnd:
        """A client that reads as it should."""
        client = OpenedEnd(self.rig, open_client(self.rig.system, NAME, None, self.server.file.io_mode))
        self.rig.adopt(client.bind())
        if self.client_reads_messages:
            client.set_modes(ReadMode.MESSAGE, WaitMode.WAIT)
        return client

    def alive(self, side: int) -> bool:
        """Whether that end is open."""
        return self.model.sides[side].state != CLOSED

    def issued(self, side: int, operation: Operation, is_read: bool, error: int | None) -> None:
        """Compare what the call said with what the model says of it, and then everything that has ended."""
        name = self.names
        if error is not None:
            assert operation.code == error
            assert operation.block.is_pending, "an immediate error leaves the status block alone"
        else:
            self.operations[name] = (side, operation, is_read)
            self.pending.add(name)
            self.model.settle()
            expected = self.model.ended[name][0] if name in self.model.ended else status.STATUS_PENDING
            assert operation.code == expected
        self.compare()

    def compare(self) -> None:
        """Exactly one packet for each operation that has ended in this step, with its outcome (P-15)."""
        ended, self.model.ended = self.model.ended, {}
        packets = {id(packet.overlapped): packet for packet in drain(self.rig)}
        assert len(packets) == len(ended)
        for name, (code, data) in ended.items():
            _, operation, is_read = self.operations.pop(name)
            self.pending.remove(name)
            packet = packets[id(operation.block)]
            count = data if isinstance(data, int) else len(data)
            assert (packet.status, packet.information) == (code, count)
            assert (operation.block.status, operation.block.information) == (code, count)
            if is_read:
                assert operation.data == data
        assert all(self.operations[name][1].block.is_pending for name in self.pending)

    # -- steps -------------------------------------------------------------------------------------------------

    @rule(side=SIDES, size=st.integers(0, 9))
    def read(self, side: int, size: int) -> None:
        """Start a read."""
        if not self.alive(side):
            return
        self.names += 1
        model = self.model.sides[side]
        operation = self.ends[side].read(size)
        error = None
        if model.queue or model.state == CONNECTED:
            model.reads.append((self.names, size))
        else:
            error = READ_ERRORS[model.state]
        self.issued(side, operation, True, error)

    @rule(side=SIDES, data=st.binary(max_size=12))
    def write_more(self, side: int, data: bytes) -> None:
        """Writes are the commonest step: something shall wait."""
        self.write(side=side, data=data)

    @rule(side=SIDES, data=st.binary(max_size=12))
    def write(self, side: int, data: bytes) -> None:
        """Start a write."""
        if not self.alive(side):
            return
        self.names += 1
        state = self.model.sides[side].state
        operation = self.ends[side].write(data)
        if state == CONNECTED:
            if data:
                self.model.sides[1 - side].queue.append(Written(self.names, data, len(data)))
            else:
                # It never waits, not even behind others.
                self.model.ended[self.names] = (status.STATUS_SUCCESS, 0)
                if self.model.has_messages:
                    self.model.sides[1 - side].queue.append(Written(None, b"", 0))
        self.issued(side, operation, False, WRITE_ERRORS.get(state))

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel one operation."""
        name = data.draw(st.sampled_from(sorted(self.pending)))
        side, operation, is_read = self.operations[name]
        assert self.ends[side].cancel(operation) == 1
        for each in self.model.sides:
            each.reads[:] = [read for read in each.reads if read[0] != name]
            each.queue[:] = [written for written in each.queue if written.name != name]
            each.listens[:] = [listen for listen in each.listens if listen != name]
        self.model.ended[name] = (status.STATUS_CANCELLED, b"" if is_read else 0)
        self.model.settle()
        self.compare()

    @rule(side=SIDES, seldom=st.integers(0, 9))
    def close(self, side: int, seldom: int) -> None:
        """Close an end, one time out of ten."""
        if seldom < 9 or not self.alive(side):
            return
        own, other = self.model.sides[side], self.model.sides[1 - side]
        self.ends[side].close()
        for name in own.listens:
            self.model.ended[name] = (status.STATUS_PIPE_BROKEN, 0)
        own.listens.clear()
        if own.state == CONNECTED:
            self.model.end_all(status.STATUS_PIPE_BROKEN)
            other.state = CLOSING
        own.state = CLOSED
        own.queue.clear()
        self.compare()

    @rule(seldom=st.integers(0, 9))
    def disconnect(self, seldom: int) -> None:
        """Disconnect, one time out of ten."""
        if seldom < 9 or not self.alive(SERVER):
            return
        server, client = self.model.sides
        code = self.server.disconnect()
        if server.state in (CONNECTED, CLOSING):
            assert code == status.STATUS_SUCCESS
            if server.state == CONNECTED:
                self.model.end_all(status.STATUS_PIPE_DISCONNECTED)
                client.queue.clear()
                client.state = DISCONNECTED
            server.queue.clear()
            server.state = DISCONNECTED
        else:
            assert code == WRITE_ERRORS[server.state]
        self.compare()

    @rule()
    def listen(self) -> None:
        """Start a listen."""
        if not self.alive(SERVER):
            return
        self.names += 1
        server = self.model.sides[SERVER]
        operation = self.server.listen()
        error = {CONNECTED: status.STATUS_PIPE_CONNECTED, CLOSING: status.STATUS_PIPE_CLOSING}.get(server.state)
        if error is None:
            server.state = LISTENING
            server.listens.append(self.names)
        self.issued(SERVER, operation, False, error)

    @precondition(lambda self: self.model.sides[SERVER].state == LISTENING)
    @rule()
    def connect(self) -> None:
        """Another client; the old one's end stays open until the end if it still is."""
        server, old = self.model.sides
        if old.state != CLOSED and self.pending_of(CLIENT):
            return
        self.ends[CLIENT] = self.open_client()
        for name in server.listens:
            self.model.ended[name] = (status.STATUS_SUCCESS, 0)
        server.listens.clear()
        server.state = CONNECTED
        self.model.sides[CLIENT] = Side(CONNECTED, self.client_reads_messages)
        self.compare()

    def pending_of(self, side: int) -> bool:
        """Whether an end has something under way."""
        return any(self.operations[name][0] == side for name in self.pending)

    @precondition(lambda self: hasattr(self, "model"))
    @invariant()
    def peeking_agrees(self) -> None:
        """What can be read, in all and first, is what the model has; the kernel's properties hold."""
        self.rig.system.perform(check, self.rig.system.kernel)
        for side, end in zip(self.model.sides, self.ends, strict=True):
            if side.state not in (CONNECTED, CLOSING):
                continue
            if side.state == CLOSING and not side.queue:
                assert refused(end.peek) == status.STATUS_PIPE_BROKEN
                continue
            first = side.queue[0].data if side.queue else b""
            everything = b"".join(written.data for written in side.queue)
            seen, available, parcels, length = end.peek(len(everything))
            assert (available, parcels, length) == (len(everything), len(side.queue), len(first))
            assert seen == (first if end.end.pipe.type is PipeType.MESSAGE else everything)

    def teardown(self) -> None:
        """Nothing is left, whatever was under way."""
        if hasattr(self, "model"):
            for side in (SERVER, CLIENT):
                if self.alive(side):
                    self.ends[side].close()
            packets = drain(self.rig)
            assert {id(packet.overlapped) for packet in packets} == {
                id(self.operations[name][1].block) for name in self.pending
            }
            assert len(packets) == len(self.pending)
        self.rig.close()


def run(machine: Any, **options: Any) -> None:
    """Run the machine with the settings of a test."""
    run_state_machine_as_test(machine, settings=settings(**options))


def test_p15_a_pipe_is_what_the_model_is() -> None:
    """P-15, I-05, I-11: histories on both ends of pipes of every type and quota."""
    run(PipeMachine, max_examples=80, stateful_step_count=40)


@pytest.mark.slow
def test_p15_a_pipe_is_what_the_model_is_for_long() -> None:
    """P-15, I-05, I-11: the same, with more and longer histories."""
    run(PipeMachine, max_examples=2000, stateful_step_count=60)
