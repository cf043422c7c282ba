"""The host below disk files, with and without positional calls, and a model of reading and writing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu.overlapped.descriptors import HOST_DESCRIPTOR, PositionalDescriptor, SeekingDescriptor
from iocp_emu.overlapped.files import WRITE_TO_END_OF_FILE
from iocp_emu.overlapped.opening import Caching
from iocp_emu.status import (
    STATUS_END_OF_FILE,
    STATUS_SUCCESS,
)
from tests.overlapped.support import (
    UNBUFFERED,
    Rig,
)


@pytest.mark.skipif(HOST_DESCRIPTOR is SeekingDescriptor, reason="the host has no positional calls")
def test_file_systems_that_cannot_refuse_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without RWF_NOWAIT is asked once and then simply read; other errors are errors."""
    monkeypatch.setattr("iocp_emu.overlapped.descriptors.RWF_NOWAIT", 1 << 30)
    descriptor = PositionalDescriptor(os.open(path, os.O_RDONLY), at_end=False)
    target = bytearray(4)
    assert descriptor.read_cached(memoryview(target), 2) == 4
    assert bytes(target) == b"2345"
    assert descriptor.read_cached(memoryview(target), 9) == 1
    descriptor.close()
    with pytest.raises(OSError, match="descriptor"):
        PositionalDescriptor(descriptor.number, at_end=False).read_cached(memoryview(target), 0)


def test_reads_that_the_host_would_wait_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RWF_NOWAIT: neither a refusal nor a part that is not the end is an answer."""
    if HOST_DESCRIPTOR is SeekingDescriptor:
        pytest.skip("the host has no positional calls")
    descriptor = PositionalDescriptor(os.open(path, os.O_RDONLY), at_end=False)
    answers: list[int | OSError] = [BlockingIOError(11, "not in memory"), 3, 3, 4]

    def preadv(number: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr("iocp_emu.overlapped.descriptors.RWF_NOWAIT", 8)
    monkeypatch.setattr(descriptor, "_can_refuse", True)
    target = memoryview(bytearray(4))
    assert descriptor.read_cached(target, 0) is None
    assert descriptor.read_cached(target, 0) is None
    assert descriptor.read_cached(target, 7) == 3
    assert descriptor.read_cached(target, 0) == 4
    descriptor.close()


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["read", "write", "append"]), st.integers(0, 40), st.integers(0, 30)), max_size=25
)


@pytest.mark.parametrize("kind", [HOST_DESCRIPTOR, SeekingDescriptor])
@pytest.mark.parametrize("profile", ["win10", "xp"])
@given(steps=STEPS, unbuffered=st.booleans())
def test_p15_files_behave_as_a_bytearray(
    tmp_path_factory: pytest.TempPathFactory, kind: Any, profile: str, steps: list[Step], unbuffered: bool
) -> None:
    """P-15: any sequence of reads and writes acts on the file as on a bytearray; one packet per accepted request."""
    path = tmp_path_factory.mktemp("model") / "file"
    path.write_bytes(b"")
    model = bytearray()
    rig = Rig(profile)
    number = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    caching = UNBUFFERED if unbuffered else Caching.CACHED
    file = rig.open_on(kind(number, at_end=False), path, caching=caching).bind()
    for count, (action, offset, size) in enumerate(steps):
        if action == "read":
            operation = file.read(size, offset)
            expected = bytes(model[offset : offset + size])
            outcome = STATUS_END_OF_FILE if size and not expected else STATUS_SUCCESS
        else:
            expected = bytes([count + 1]) * size
            operation = file.write(expected, WRITE_TO_END_OF_FILE if action == "append" else offset)
            outcome = STATUS_SUCCESS
            where = len(model) if action == "append" else offset
            if size:
                model.extend(bytes(max(0, where - len(model))))
                model[where : where + size] = expected
        if operation.code == STATUS_END_OF_FILE:
            assert (profile, outcome) == ("xp", STATUS_END_OF_FILE)
            continue
        packet = rig.packet()
        assert (packet.overlapped, packet.status, packet.bytes) == (operation.block, outcome, len(expected))
        assert operation.data == expected
    assert rig.no_packet()
    assert path.read_bytes() == model
    assert file.device.size() == len(model)
    rig.close()
