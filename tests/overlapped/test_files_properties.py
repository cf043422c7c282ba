"""A real file against a plain model: any sequence of reads, writes, cancels and closes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu import Caching, CompletionPort, File, Overlapped
from iocp_emu.kernel.invariants import check
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem

BLOCK_BYTES = 1024
BLOCKS = 8
DEADLINE = 60.0

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, BLOCKS)),
        st.tuples(st.just("write"), st.integers(0, BLOCKS - 1)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
        st.tuples(st.just("cancel all"), st.just(0)),
        st.tuples(st.just("dequeue"), st.integers(1, 4)),
        st.tuples(st.just("close"), st.just(0)),
    ),
    max_size=30,
)


class History:
    """One file, what was done with it, and what must have come of that.

    Operations on one block never overlap in time, so that their order is known; those on different blocks do.
    """

    def __init__(self, path: Path, caching: Caching) -> None:
        path.write_bytes(b"")
        self.path = path
        self.content = bytearray()
        self.port = CompletionPort()
        self.file = File(path, "r+", caching=caching)
        self.port.associate(self.file, "file")
        self.under_way: dict[Overlapped, int] = {}
        self.written: dict[Overlapped, bytes] = {}
        self.count = 0

    def act(self, action: str, number: int) -> None:
        """Do one thing; whatever the file is asked for when it is closed is refused."""
        if self.file.closed and action != "dequeue":
            with pytest.raises(ValueError, match="closed"):
                self.file.read(1)
        elif action == "dequeue":
            self.dequeue(min(number, len(self.under_way)))
        elif action == "close":
            self.file.close()
        elif action == "cancel all":
            self.file.cancel()
        elif action == "cancel":
            for overlapped in list(self.under_way)[number : number + 1]:
                overlapped.cancel()
        elif number not in self.under_way.values():
            self.start(action, number)

    def start(self, action: str, block: int) -> None:
        """Begin a read or a write of one block; it always pends, and brings a packet (I-05)."""
        if action == "read":
            overlapped = self.file.read(BLOCK_BYTES, block * BLOCK_BYTES)
        else:
            self.count += 1
            data = bytes([self.count % 251]) * BLOCK_BYTES
            overlapped = self.file.write(data, block * BLOCK_BYTES)
            self.written[overlapped] = data
        self.under_way[overlapped] = block

    def dequeue(self, count: int) -> None:
        """Take packets: one for each operation, with what the model says."""
        for _ in range(count):
            packet = self.port.get(DEADLINE)
            overlapped = packet.overlapped
            block = self.under_way.pop(overlapped)  # a second packet of one operation is not there
            is_cancelled = packet.error is not None and packet.error.winerror == 995
            if overlapped in self.written:
                data = self.written.pop(overlapped)
                assert is_cancelled or packet.bytes == BLOCK_BYTES
                if not is_cancelled:
                    start = block * BLOCK_BYTES
                    self.content.extend(bytes(max(0, start - len(self.content))))
                    self.content[start : start + BLOCK_BYTES] = data
            elif not is_cancelled:
                self.check_read(overlapped, block)

    def check_read(self, overlapped: Overlapped, block: int) -> None:
        """What a read has brought: its block, or the end of the file.

        Blocks before the end may meanwhile have been made by a write behind them, which the model learns of later.
        """
        expected = bytes(self.content[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES])
        if overlapped.error is not None:
            assert (overlapped.error.winerror, expected) == (38, b"")
        else:
            assert bytes(overlapped.data) == (expected or bytes(overlapped.bytes))

    def end(self) -> None:
        """Every request has had its packet, none has two, and the file holds what the model holds (P-15)."""
        self.file.close()
        self.dequeue(len(self.under_way))
        with pytest.raises(TimeoutError):
            self.port.get(0)
        assert self.path.read_bytes() == bytes(self.content)
        self.port.close()


@pytest.mark.parametrize("caching", Caching)
def test_p15_any_sequence_of_operations_on_a_file(caching: Caching) -> None:
    """P-15, I-05, I-41, I-43: one packet for each request that pended, and the data of a plain model."""

    @settings(max_examples=120, deadline=None, database=None)
    @given(ACTIONS)
    def run(actions: list[tuple[str, int]]) -> None:
        system = ThreadSystem()
        with use(system), tempfile.TemporaryDirectory() as directory:
            history = History(Path(directory) / "file", caching)
            for action, number in actions:
                history.act(action, number)
                system.perform(check, system.kernel)
            history.end()
            system.perform(check, system.kernel)

    run()
