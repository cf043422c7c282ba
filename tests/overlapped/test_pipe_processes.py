"""Pipes between real processes; where they meet, who may come there, and peers that speak nonsense."""

from __future__ import annotations

import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu.overlapped import pipe_doors, pipe_registry
from iocp_emu.overlapped.pipe_names import join_host, pipe_table
from iocp_emu.overlapped.pipe_registry import NameTaken, Registry, UnsafeDirectory, default_directory, file_name
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
    Script,
    can_read,
    hosts,
    meeting_place,
    needs_unix_sockets,
    quick_reactor,
    scripts,
)
from tests.overlapped.support import DEADLINE, MakeRig, Rig, eventually

__all__ = ["hosts", "meeting_place", "quick_reactor", "scripts"]

pytestmark = needs_unix_sockets
Hosts = Callable[[], Rig]
Scripts = Callable[..., Script]


# -- real processes ------------------------------------------------------------------------------------------------

ECHO_SERVER = r"""
import sys
from iocp_emu import CompletionPort, Pipe, PipeType
kind, clients = PipeType[sys.argv[1]], int(sys.argv[2])
with CompletionPort() as port:
    pipes = [Pipe.listen("echo", type=kind, buffer_size=1000) for _ in range(clients)]
    for pipe in pipes:
        port.associate(pipe, pipe)
        pipe.accept(tag="accept")
    print("ready", flush=True)
    while clients:
        packet = port.get(60)
        pipe, tag = packet.key, packet.overlapped.tag
        if packet.error is not None:
            assert packet.error.winerror == 109, packet.error
            clients -= 1
        elif tag == "read":
            pipe.write(bytes(packet.overlapped.data).upper(), tag="write")
        else:
            try:
                pipe.read(70_000, tag="read")
            except BrokenPipeError:
                clients -= 1
    for pipe in pipes:
        pipe.close()
print("done")
"""

FLAT_CLIENT = r"""
import sys
from iocp_emu import win32
from iocp_emu.win32 import OVERLAPPED
NAME = r"\\.\pipe\ECHO"
port = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, None, 0, 0)
pipe = win32.CreateFileW(NAME, win32.GENERIC_READ | win32.GENERIC_WRITE, 0, win32.OPEN_EXISTING,
                         win32.FILE_FLAG_OVERLAPPED)
assert pipe != win32.INVALID_HANDLE_VALUE, win32.GetLastError()
win32.CreateIoCompletionPort(pipe, port, 1, 0)
for number in range(50):
    question, answer = f"question {number}".encode(), bytearray(100)
    reading, writing = OVERLAPPED(), OVERLAPPED()
    win32.ReadFile(pipe, answer, 100, reading)
    win32.WriteFile(pipe, question, len(question), writing)
    counts = {}
    for _ in range(2):
        got = win32.GetQueuedCompletionStatus(port, 60000)
        assert got.ret, win32.GetLastError()
        counts[got.lpOverlapped] = got.lpNumberOfBytesTransferred
    assert counts == {reading: len(question), writing: len(question)}, counts
    assert answer[:len(question)] == question.upper()
print(win32.GetNamedPipeServerProcessId(pipe).ServerProcessId)
"""

CALLER = r"""
from iocp_emu import win32
answer = bytearray(100)
called = win32.CallNamedPipeW(r"\\.\pipe\echo", b"call", 4, answer, 100, 30000)
print(called.ret, bytes(answer[:called.lpBytesRead]).decode(), win32.GetLastError())
"""


@pytest.mark.parametrize("kind", ["BYTE", "MESSAGE"])
def test_several_clients_of_an_overlapped_server(scripts: Scripts, kind: str) -> None:
    """A server with a port on the object face, clients on the flat one: each a process of its own."""
    server = scripts(ECHO_SERVER, kind, "3")
    assert server.says() == "ready"
    clients = [scripts(FLAT_CLIENT) for _ in range(3)]
    assert [int(client.end()) for client in clients] == [server.popen.pid] * 3
    assert server.end() == "done\n"


def test_call_named_pipe_in_another_process(scripts: Scripts) -> None:
    """CallNamedPipeW opens, asks, hears and closes; when all instances are busy it waits for one."""
    server = scripts(ECHO_SERVER, "MESSAGE", "1")
    assert server.says() == "ready"
    assert scripts(CALLER).end() == "True CALL 0\n"
    assert server.end() == "done\n"


READER = r"""
import hashlib, sys
from iocp_emu import CompletionPort, Pipe
with CompletionPort() as port, Pipe.connect("bulk", timeout=60) as pipe:
    port.associate(pipe)
    digest, total = hashlib.sha256(), 0
    while True:
        try:
            pipe.read(30_000)
        except BrokenPipeError:
            break
        packet = port.get(60)
        if packet.error is not None:
            assert packet.error.winerror == 109
            break
        digest.update(packet.overlapped.data)
        total += packet.bytes
print(total, digest.hexdigest())
"""

WRITER = r"""
import hashlib, random
from iocp_emu import CompletionPort, Pipe
pipe = Pipe.listen("bulk", buffer_size=100)
port = CompletionPort()
port.associate(pipe)
pipe.accept()
print("ready", flush=True)
port.get(60)
digest, chance, left = hashlib.sha256(), random.Random(1), 8 << 20
while left:
    data = chance.randbytes(min(left, 300_000))
    digest.update(data)
    left -= len(data)
    pipe.write(data)
    assert port.get(60).bytes == len(data)
print(digest.hexdigest())
"""


def test_much_data_through_small_buffers_and_the_end_of_the_writer(scripts: Scripts) -> None:
    """Flow control: 8 MiB through a buffer of 100 bytes; the writer ends without closing, and nothing is lost."""
    writer = scripts(WRITER)
    assert writer.says() == "ready"
    reader = scripts(READER)
    digest = writer.end().strip()
    assert reader.end() == f"{8 << 20} {digest}\n"


LAST_WORDS = r"""
from iocp_emu import win32
pipe = win32.CreateFileW(r"\\.\pipe\test", win32.GENERIC_WRITE, 0, win32.OPEN_EXISTING, 0)
for number in range(200):
    assert win32.WriteFile(pipe, bytes(1000), 1000, None).ret
"""


def test_what_was_written_outlives_its_process(hosts: Hosts, scripts: Scripts) -> None:
    """k32pipe-procexit: a process that writes and ends; then everything is read, then 109."""
    server = serve(hosts(), quota=200_000)
    assert scripts(LAST_WORDS).end() == ""
    eventually(lambda: server.end.state is PipeState.CLOSING, "its end is known")
    assert (server.peek()[1], server.read(300_000).block.information) == (200_000, 200_000)
    assert server.read(1).code == STATUS_PIPE_BROKEN


VICTIM = r"""
import time
from iocp_emu import Pipe
pipe = Pipe.connect("test")
pipe.write(b"arrived")
pipe.write(bytes(3 << 20))
pipe.read(1)
print("writing", flush=True)
time.sleep(600)
"""


def test_a_peer_that_is_killed_in_the_middle_of_a_write(hosts: Hosts, scripts: Scripts) -> None:
    """What had arrived can be read, then 109; pending operations end with 109."""
    server = serve(hosts(), quota=10)
    victim = scripts(VICTIM)
    assert victim.says() == "writing"
    server.bind()
    write = server.write(bytes(1 << 20))
    eventually(lambda: server.peek()[1] > 7, "something is there")
    assert server.read(7).data == b"arrived"
    assert server.rig.packet().status == STATUS_SUCCESS
    victim.kill()
    packet = server.rig.packet()
    assert (packet.overlapped, packet.status) == (write.block, STATUS_PIPE_BROKEN)
    while (read := server.read(1 << 20)).code == STATUS_SUCCESS:
        assert read.block.information
    assert read.code == STATUS_PIPE_BROKEN


SERVE_AND_SLEEP = r"""
import time
from iocp_emu import Pipe
pipes = [Pipe.listen("test") for _ in range(2)]
print("ready", flush=True)
time.sleep(600)
"""


def test_the_endpoint_of_a_dead_process_is_taken_over(hosts: Hosts, scripts: Scripts, meeting_place: str) -> None:
    """While it lives the name is taken; dead, nobody is there, and the next one serves."""
    there, here = hosts(), hosts()
    victim = scripts(SERVE_AND_SLEEP)
    assert victim.says() == "ready"
    assert refused(serve, there) == STATUS_ACCESS_DENIED
    client = open_(here)
    victim.kill()
    eventually(lambda: client.end.state is PipeState.CLOSING, "its end is known")
    assert os.listdir(meeting_place) == [file_name(NAME)]
    assert refused(open_, here) == STATUS_OBJECT_NAME_NOT_FOUND
    server = serve(there)
    open_(here).write(b"x")
    can_read(server, 1)


def test_what_the_dead_have_left_is_swept_away(hosts: Hosts, scripts: Scripts, meeting_place: str) -> None:
    """Also names that nobody claims again."""
    victim = scripts(SERVE_AND_SLEEP)
    assert victim.says() == "ready"
    victim.kill()
    serve(hosts(), "other")
    assert os.listdir(meeting_place) == [file_name("other")]


RACER = r"""
import sys
from iocp_emu import Pipe
print("ready", flush=True)
sys.stdin.readline()
try:
    pipe = Pipe.listen("race")
except PermissionError as error:
    print(error.winerror, flush=True)
else:
    print("serves", flush=True)
    sys.stdin.readline()
"""


def test_of_those_who_claim_a_name_at_once_one_gets_it(scripts: Scripts, meeting_place: str) -> None:
    """A stale endpoint and three processes: one serves, the others hear 5."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(os.path.join(meeting_place, file_name("race")))
    racers = [scripts(RACER) for _ in range(3)]
    assert [racer.says() for racer in racers] == ["ready"] * 3
    for racer in racers:
        racer.tell("go")
    assert sorted(racer.says() for racer in racers) == ["5", "5", "serves"]
    for racer in racers:
        racer.popen.communicate("")


FORKER = r"""
import os, sys
from iocp_emu import Pipe
server, client = Pipe.listen("fork"), Pipe.connect("fork")
other = Pipe.connect("test")
done, doing = os.pipe()
child = os.fork()
if child == 0:
    try:
        Pipe.listen("fork")
    except PermissionError:
        pass
    else:
        os._exit(2)
    os.write(doing, b"x")
    sys.stdin.readline()
    os._exit(0)
assert os.read(done, 1) == b"x"
other.close()
server.close()
client.close()
print("closed", flush=True)
os.waitpid(child, 0)
print("end")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a host without fork")
def test_a_forked_child_forgets_what_its_parent_serves(hosts: Hosts, scripts: Scripts, meeting_place: str) -> None:
    """The name stays the parent's; what the parent closes is closed, though the child lives."""
    server = serve(hosts())
    forker = scripts(FORKER)
    assert forker.says() == "closed"
    eventually(lambda: server.end.state is PipeState.CLOSING, "the parent's close is known")
    assert os.listdir(meeting_place) == [file_name(NAME)]
    assert forker.popen.communicate("\n")[0] == "end\n"


def test_only_the_machine_that_a_process_shares_meets_others(rigs: MakeRig) -> None:
    """A machine of one's own has names of its own."""
    assert pipe_table(rigs().system).registry is None


def test_private_names_of_the_standard_library_are_not_published(hosts: Hosts, meeting_place: str) -> None:
    """The pipes that asyncio opens itself cost nothing more."""
    serve(hosts(), f"python-pipe-{os.getpid()}-1-")
    assert os.listdir(meeting_place) == []


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
        monkeypatch.setattr(pipe_registry.os, "geteuid", lambda: stranger)
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
    monkeypatch.setattr(pipe_registry.os, "geteuid", lambda: stranger)
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
    answer = Answer(STATUS_SUCCESS, 1, int(PipeType.MESSAGE is PipeType.BYTE), 3, 10, 10, 1, 0.05).encode()
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
    import tempfile

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
