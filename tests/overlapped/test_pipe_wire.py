"""The words between two processes: what is said is understood, however it is cut up, and nonsense is told as such."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu.overlapped.pipe_wire import (
    ANSWER_SIZE,
    HEADER_SIZE,
    HELLO_SIZE,
    LARGEST_PAYLOAD,
    MAGIC,
    VERSION,
    Answer,
    Consumed,
    Data,
    Decoder,
    Disconnect,
    Frame,
    Hello,
    Purpose,
    VersionError,
    WireError,
    Withdraw,
)

DWORDS = st.integers(0, 2**32 - 1)
NUMBERS = st.integers(0, 2**64 - 1)
FRAMES = st.one_of(
    st.builds(Data, NUMBERS, st.binary(max_size=300), st.booleans()),
    st.builds(Consumed, NUMBERS, DWORDS, st.booleans()),
    st.builds(Withdraw, NUMBERS),
    st.just(Disconnect()),
)


def feed(decoder: Decoder, pieces: list[bytes]) -> list[Frame]:
    """All frames of these pieces."""
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 5000), max_size=12))
def test_frames_come_as_they_went_however_they_are_cut(frames: list[Frame], places: list[int]) -> None:
    """Decoding what was encoded, in any pieces."""
    decoder = Decoder()
    assert feed(decoder, cut(b"".join(frame.encode() for frame in frames), places)) == frames
    assert not decoder.is_in_frame


@given(FRAMES, st.data())
def test_half_a_frame_is_known_as_such(frame: Frame, data: st.DataObject) -> None:
    """Nothing comes of it, and nothing is lost."""
    encoded = frame.encode()
    place = data.draw(st.integers(1, len(encoded) - 1))
    decoder = Decoder()
    assert feed(decoder, [encoded[:place]]) == []
    assert decoder.is_in_frame
    assert feed(decoder, [encoded[place:]]) == [frame]
    assert not decoder.is_in_frame


@given(st.lists(FRAMES, max_size=3), st.binary(max_size=200), st.lists(st.integers(0, 900), max_size=6))
def test_anything_is_frames_or_an_error_and_never_much_memory(
    frames: list[Frame], garbage: bytes, places: list[int]
) -> None:
    """Whatever comes behind good frames: these come, then more frames, an error, or less than one frame is held."""
    decoder = Decoder()
    found: list[Frame] = []
    data = b"".join(frame.encode() for frame in frames) + garbage
    try:
        for piece in cut(data, places):
            for frame in decoder.feed(piece):
                found.append(frame)
    except WireError:
        assert len(found) >= len(frames)
    else:
        rest = data[sum(len(frame.encode()) for frame in found) :]
        assert len(rest) < HEADER_SIZE + LARGEST_PAYLOAD
        assert decoder.is_in_frame == bool(rest)
    assert found[: len(frames)] == frames


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((1, 0, 0, LARGEST_PAYLOAD + 1, 0), id="too long"),
        pytest.param((1, 2, 0, 0, 0), id="unknown flag"),
        pytest.param((2, 0, 7, 0, 0), id="reserved bits"),
        pytest.param((3, 1, 0, 0, 0), id="a flag too many"),
        pytest.param((3, 0, 0, 5, 0), id="a count too many"),
        pytest.param((4, 0, 0, 0, 5), id="a number too many"),
        pytest.param((0, 0, 0, 0, 0), id="nothing"),
        pytest.param((5, 0, 0, 0, 0), id="unknown frame"),
    ],
)
def test_headers_that_mean_nothing(header: tuple[int, ...]) -> None:
    """An error at the header already, whatever would follow."""
    with pytest.raises(WireError):
        feed(Decoder(), [struct.pack("<BBHIQ", *header)])


@given(st.sampled_from(Purpose), st.integers(0, 3), DWORDS)
def test_hello(purpose: Purpose, access: int, process_id: int) -> None:
    """Decoding what was encoded."""
    hello = Hello(purpose, access, process_id)
    assert len(hello.encode()) == HELLO_SIZE
    assert Hello.decode(hello.encode()) == hello


@given(DWORDS, DWORDS, st.integers(0, 1), st.integers(0, 3), DWORDS, DWORDS, st.integers(1, 255), st.floats(0, 1e6))
def test_answer(
    code: int,
    process_id: int,
    kind: int,
    direction: int,
    outbound: int,
    inbound: int,
    instances: int,
    timeout: float,
) -> None:
    """Decoding what was encoded."""
    answer = Answer(code, process_id, kind, direction, outbound, inbound, instances, timeout)
    assert len(answer.encode()) == ANSWER_SIZE
    assert Answer.decode(answer.encode()) == answer


@given(st.binary(min_size=ANSWER_SIZE, max_size=ANSWER_SIZE))
def test_greetings_from_nowhere(data: bytes) -> None:
    """Whatever does not begin as it should is refused; what does is refused or is all right."""
    for decode, size in ((Hello.decode, HELLO_SIZE), (Answer.decode, ANSWER_SIZE)):
        with pytest.raises(WireError):
            decode(b"\0" + data[1:size])
        try:
            decode((MAGIC + struct.pack("<H", VERSION) + data)[:size])
        except WireError:
            pass


def test_other_versions_are_told_apart() -> None:
    """Magic and version mean the same in all of them."""
    for greeting in (Hello(Purpose.OPEN, 0, 1), Answer(0, 1)):
        encoded = bytearray(greeting.encode())
        encoded[len(MAGIC)] ^= 0xFF
        with pytest.raises(VersionError):
            type(greeting).decode(bytes(encoded))


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), -1.0])
def test_answers_that_nobody_gives(timeout: float) -> None:
    """Times that are none, ways and types that do not exist."""
    for answer in (Answer(0, 1, default_timeout=timeout), Answer(0, 1, type=2), Answer(0, 1, direction=4)):
        with pytest.raises(WireError):
            Answer.decode(answer.encode())
