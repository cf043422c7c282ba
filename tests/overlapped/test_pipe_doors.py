"""Where processes meet for their pipes, who may come there, and peers that speak nonsense."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu.overlapped import pipe_doors
from iocp_emu.overlapped.pipe_names import join_host, pipe_table, wait_for_instance
from iocp_emu.overlapped.pipe_registry import (
    Endpoint,
    NameTaken,
    Registry,
    UnsafeDirectory,
    default_directory,
    file_name,
)
from iocp_emu.overlapped.pipe_remote import RemoteEnd
from iocp_emu.overlapped.pipe_states import PipeState, PipeType
from iocp_emu.overlapped.pipe_wire import (
    ANSWER_SIZE,
    Answer,
    Consumed,
    Data,
    Disconnect,
    Hello,
    Purpose,
    Withdraw,
)
from iocp_emu.status import (
    STATUS_ACCESS_DENIED,
    STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_PIPE_BROKEN,
    STATUS_PIPE_NOT_AVAILABLE,
    STATUS_SUCCESS,
)
from tests.overlapped.pipe_ends import NAME, OpenedEnd, open_, refused, serve
from tests.overlapped.pipe_hosts import (
    can_read,
    hosts,
    meeting_place,
    needs_unix_sockets,
    quick_reactor,
)
from tests.overlapped.support import DEADLINE, MakeRig, Rig, eventually

__all__ = ["hosts", "meeting_place", "quick_reactor"]

pytestmark = needs_unix_sockets
Hosts = Callable[[], Rig]


# -- where they meet -----------------------------------------------------------------------------------------------


def test_the_directory_is_the_users_alone(meeting_place: str) -> None:
    """It is made with mode 0700, and the sockets in it go with their names."""
    directory = os.path.join(meeting_place, "own")
    endpoint = Registry(directory).claim("name")
    assert stat.S_IMODE(os.lstat(directory).st_mode) == 0o700
    assert stat.S_ISSOCK(os.lstat(os.path.join(directory, file_name("name"))).st_mode)
    with pytest.raises(NameTaken):
        Registry(directory).claim("name")
    endpoint.close()
    endpoint.close()
    assert os.listdir(directory) == []
    os.rmdir(directory)


def test_nothing_but_dead_sockets_of_pipes_is_removed(meeting_place: str) -> None:
    """Other files may stand in the directory, even under names like ours; such a name cannot be served."""
    kept = ["letter", "socket", file_name("file")]
    for name in ("letter", file_name("file")):
        Path(meeting_place, name).write_text("dear")
    for name in ("socket", file_name("dead")):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.path.join(meeting_place, name))
    registry = Registry(meeting_place)
    with pytest.raises(NameTaken):
        registry.claim("file")
    registry.claim("name").close()
    assert sorted(os.listdir(meeting_place)) == sorted(kept)
    for name in kept:
        os.unlink(os.path.join(meeting_place, name))


@pytest.mark.parametrize("how", ["open to others", "a link", "a file", "somebody else's"])
def test_unsafe_directories_are_never_used(
    how: str, meeting_place: str, rigs: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning; nothing is published or looked for there; within the process all goes on."""
    directory = os.path.join(meeting_place, "unsafe")
    if how == "a link":
        os.symlink(meeting_place, directory)
    elif how == "a file":
        Path(directory).touch()
    else:
        os.mkdir(directory, 0o700)
    if how == "open to others":
        os.chmod(directory, 0o710)
    if how == "somebody else's":
        stranger = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: stranger)
    rig = rigs()
    join_host(rig.system, directory)
    with pytest.warns(RuntimeWarning, match="no pipes between processes"):
        server = serve(rig)
    open_(rig).write(b"x")
    assert server.read(1).data == b"x"
    assert refused(open_, rig, "other") == STATUS_OBJECT_NAME_NOT_FOUND
    with pytest.raises(UnsafeDirectory), pytest.warns(RuntimeWarning):
        Registry(directory).directory()
    monkeypatch.undo()
    os.rmdir(directory) if os.path.isdir(directory) and how != "a link" else os.unlink(directory)


def test_directories_that_cannot_be_used(rigs: MakeRig, meeting_place: str) -> None:
    """Too long a path, or one that cannot be made: pipes within the process, no others."""
    for directory in (os.path.join(meeting_place, "x" * 90), os.path.join(meeting_place, "no", "such")):
        rig = rigs()
        join_host(rig.system, directory)
        serve(rig)
        open_(rig)
        assert refused(open_, rig, "other") == STATUS_OBJECT_NAME_NOT_FOUND


def test_where_all_processes_meet(monkeypatch: pytest.MonkeyPatch, meeting_place: str) -> None:
    """The variable, else the user's runtime directory if there is one that fits, else the temporary files."""
    monkeypatch.setenv("IOCP_EMU_PIPE_DIR", "/somewhere")
    assert default_directory() == "/somewhere"
    monkeypatch.delenv("IOCP_EMU_PIPE_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", meeting_place)
    assert default_directory() == os.path.join(meeting_place, "iocp_emu")
    for unfit in ("", meeting_place + "/none"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", unfit)
        assert os.path.basename(default_directory()) == f"iocp_emu-{os.geteuid()}"


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the host does not tell who the peer is")
def test_strangers_are_turned_away(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's process hears nothing, and the server serves on; a client does not talk to one either."""
    there, here = hosts(), hosts()
    serve(there)
    claims = Registry.directory
    place = claims(pipe_table(there.system).registry)  # type: ignore[arg-type]
    monkeypatch.setattr(Registry, "directory", lambda self: place)
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    assert refused(open_, here) in (STATUS_OBJECT_NAME_NOT_FOUND, STATUS_ACCESS_DENIED)
    with knocked(place) as raw:
        assert raw.recv(1) == b""
    monkeypatch.undo()
    assert open_(here).end.state is PipeState.CONNECTED


# -- nonsense ------------------------------------------------------------------------------------------------------


def knocked(directory: str, words: bytes = b"") -> socket.socket:
    """A connection to whoever serves the name, with these first words said."""
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(DEADLINE)
    raw.connect(os.path.join(directory, file_name(NAME)))
    raw.sendall(words)
    return raw


def opened(directory: str) -> socket.socket:
    """A raw client that has got an instance."""
    raw = knocked(directory, Hello(Purpose.OPEN, 0, 1).encode())
    assert Answer.decode(raw.recv(ANSWER_SIZE)).status == STATUS_SUCCESS
    return raw


def hangs_up(raw: socket.socket) -> bool:
    """Whether the other side ends the connection, whatever it says before."""
    try:
        while raw.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\nHost: pipe\r\n\r\n",
        bytes(16),
        Hello(Purpose.OPEN, 7, 1).encode(),
        Hello(Purpose.OPEN, 0, 1).encode()[:8] + b"\xff\xff" + bytes(6),
        Hello(Purpose.OPEN, 0, 1).encode()[:10] + b"\x09" + bytes(5),
    ],
)
def test_guests_that_do_not_say_hello(hosts: Hosts, meeting_place: str, words: bytes) -> None:
    """They are sent away; the instance stays free."""
    server = serve(hosts())
    with knocked(meeting_place, words) as raw:
        assert hangs_up(raw)
    assert server.end.state is PipeState.LISTENING
    open_(hosts()).write(b"x")
    can_read(server, 1)


def test_guests_that_say_nothing(hosts: Hosts, meeting_place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sent away after a while, and keep nobody out, however many they are."""
    monkeypatch.setattr(pipe_doors.Door, "greeting_seconds", 0.1)
    monkeypatch.setattr(pipe_doors, "MAXIMUM_GUESTS", 4)
    server = serve(hosts())
    raws = [knocked(meeting_place, Hello(Purpose.OPEN, 0, 1).encode()[:number]) for number in range(10)]
    open_(hosts()).write(b"x")
    can_read(server, 1)
    for raw in raws:
        assert hangs_up(raw)
        raw.close()
    door = server.end.pipe.door
    assert door is not None
    eventually(lambda: not door.guests, "nobody is at the door")


def test_guests_that_wait_and_talk_or_go(hosts: Hosts, meeting_place: str) -> None:
    """Whoever waits for an instance and speaks is sent away; who goes is forgotten; the name's end sends all away."""
    server = serve(hosts())
    client = open_(hosts())
    door, waiting = server.end.pipe.door, pipe_table(server.rig.system).waiting
    assert door is not None
    raws = [knocked(meeting_place, Hello(Purpose.WAIT, 0, 1).encode()) for _ in range(3)]
    eventually(lambda: door.waiting == len(waiting.get(NAME, ())) == 3, "they wait")
    raws[0].close()
    raws[1].sendall(b"hello?")
    assert hangs_up(raws[1])
    eventually(lambda: door.waiting == len(waiting.get(NAME, ())) == 1, "one waits")
    raws[2].close()
    eventually(lambda: door.waiting == 0 and not waiting, "nobody waits")
    raws[1].close()
    client.close()


def test_more_who_wait_than_may_wait(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come again and again until there is a free instance, and see that there is one."""
    monkeypatch.setattr(pipe_doors, "MAXIMUM_WAITING", 0)
    server, here = serve(hosts()), hosts()
    client = open_(here)
    waiter = threading.Thread(target=wait_for_instance, args=(here.system, NAME, DEADLINE))
    waiter.start()
    time.sleep(0.02)
    assert waiter.is_alive()
    server.disconnect()
    server.listen()
    waiter.join(DEADLINE)
    assert open_(here).end.state is PipeState.CONNECTED
    client.close()


def test_no_descriptor_left_for_a_guest(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door rests for a moment, and then lets it in."""
    accept, refusals = Endpoint.accept, [errno.EMFILE, errno.ENFILE]

    def crowded(self: Endpoint) -> socket.socket:
        if refusals:
            raise OSError(refusals[0], os.strerror(refusals.pop()))
        return accept(self)

    monkeypatch.setattr(Endpoint, "accept", crowded)
    server = serve(hosts())
    open_(hosts()).write(b"x")
    can_read(server, 1)
    assert not refusals


def cut_off(server: OpenedEnd, raw: socket.socket) -> None:
    """The peer is cut off: its pipe is broken, and the instance can serve the next one."""
    assert hangs_up(raw)
    raw.close()
    eventually(lambda: server.end.state is PipeState.CLOSING, "the pipe is broken")
    while (read := server.read(100)).code == STATUS_SUCCESS:
        pass
    assert read.code == STATUS_PIPE_BROKEN
    server.disconnect()
    server.listen()


FAR_TOO_LONG = struct.pack("<BBHIQ", 1, 1, 0, 1 << 30, 0)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"garbage" * 10, id="garbage"),
        pytest.param(FAR_TOO_LONG, id="oversized"),
        pytest.param(Consumed(0, 1, False).encode(), id="consumed more than sent"),
        pytest.param(Data(5, b"x", True).encode(), id="out of turn"),
        pytest.param(Data(0, b"x", False).encode(), id="half a message of bytes"),
        pytest.param(Data(0, b"", True).encode(), id="no bytes"),
        pytest.param(Withdraw(0).encode(), id="withdrawn before sent"),
        pytest.param(Disconnect().encode(), id="a client disconnects"),
        pytest.param(b"".join(Data(number, bytes(60000), True).encode() for number in range(3)), id="no window"),
        pytest.param(Data(0, b"fine", True).encode() + b"\xff" * 16, id="good data, then garbage"),
    ],
)
def test_peers_that_speak_nonsense_are_cut_off(hosts: Hosts, meeting_place: str, words: bytes) -> None:
    """Their pipe is broken, 109; the others do not notice."""
    there = hosts()
    server, other_server = serve(there), serve(there)
    raw = opened(meeting_place)
    other = open_(hosts())
    raw.sendall(words)
    if b"fine" in words:
        eventually(lambda: server.end.state is PipeState.CLOSING, "the pipe is broken")
        assert server.read(99).data == b"fine"
    cut_off(server, raw)
    other.write(b"x")
    can_read(other_server, 1)


def test_a_client_is_safe_from_its_server_as_well(hosts: Hosts, meeting_place: str) -> None:
    """A server that answers nonsense or nothing, and one that goes on in nonsense."""
    here = hosts()
    answer = Answer(STATUS_SUCCESS, 1, 0, 3, 10, 10, 1, 0.05).encode()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(meeting_place, file_name(NAME)))
        listener.listen()

        def answers(words: bytes) -> threading.Thread:
            def run() -> None:
                raw, _ = listener.accept()
                with raw:
                    raw.recv(100)
                    raw.sendall(words)
                    if len(words) > ANSWER_SIZE:
                        assert hangs_up(raw)

            thread = threading.Thread(target=run)
            thread.start()
            return thread

        for words, code in [
            (b"HTTP/1.1 400 Bad Request" + bytes(16), STATUS_ACCESS_DENIED),
            (b"", STATUS_OBJECT_NAME_NOT_FOUND),
            (answer[:20], STATUS_OBJECT_NAME_NOT_FOUND),
            (Answer(STATUS_PIPE_NOT_AVAILABLE, 1).encode(), STATUS_PIPE_NOT_AVAILABLE),
        ]:
            thread = answers(words)
            assert refused(open_, here) == code
            thread.join()
        thread = answers(answer + Data(0, b"good", True).encode() + b"\xee" * 40)
        client = open_(here)
        eventually(lambda: client.end.state is PipeState.CLOSING, "the pipe is broken")
        assert (client.read(9).data, client.read(9).code) == (b"good", STATUS_PIPE_BROKEN)
        thread.join()
    os.unlink(os.path.join(meeting_place, file_name(NAME)))


def test_half_a_frame_and_silence(hosts: Hosts, meeting_place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe is broken after a while; silence between frames is nothing to complain about."""
    monkeypatch.setattr(RemoteEnd, "half_frame_seconds", 0.15)
    there = hosts()
    patient, server = serve(there), serve(there)
    quiet, raw = opened(meeting_place), opened(meeting_place)
    quiet.sendall(Data(0, b"first", True).encode()[:9])
    quiet.sendall(Data(0, b"first", True).encode()[9:])
    raw.sendall(Data(0, b"first", True).encode()[:-1])
    cut_off(server, raw)
    time.sleep(0.2)
    quiet.sendall(Data(1, b"second", True).encode())
    can_read(patient, 11)
    quiet.close()


FRAMES = st.one_of(
    st.builds(
        lambda number, payload, is_last: Data(number, payload, is_last).encode(),
        st.integers(0, 3),
        st.binary(max_size=20),
        st.booleans(),
    ),
    st.builds(
        lambda number, count, is_last: Consumed(number, count, is_last).encode(),
        st.integers(0, 2),
        st.integers(0, 20),
        st.booleans(),
    ),
    st.builds(lambda number: Withdraw(number).encode(), st.integers(0, 3)),
    st.just(Disconnect().encode()),
    st.binary(max_size=40),
)


@settings(max_examples=60)
@given(words=st.lists(FRAMES, max_size=10), kind=st.sampled_from(PipeType))
def test_whatever_a_peer_says_only_its_own_pipe_may_break(words: list[bytes], kind: PipeType) -> None:
    """Any frames and any bytes, while the server reads, writes and cancels: then it closes well and serves the next."""
    with tempfile.TemporaryDirectory(prefix="iocp") as directory:
        rig = Rig()
        join_host(rig.system, directory)
        server = serve(rig, type=kind, quota=8)
        raw = opened(directory)
        writes = [server.write(b"0123456789") for _ in range(2)]
        server.read(5)
        try:
            for each in words:
                raw.sendall(each)
        except ConnectionError:
            pass
        server.cancel(writes[1])
        raw.close()
        eventually(lambda: server.end.state is PipeState.CLOSING, "the pipe ends")
        while server.read(9).code != STATUS_PIPE_BROKEN:
            pass
        assert server.disconnect() == STATUS_SUCCESS
        server.listen()
        with opened(directory) as good:
            good.sendall(Data(0, b"x", True).encode())
            can_read(server, 1)
        rig.close()
