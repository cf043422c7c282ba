"""Pipes between real processes: servers, clients, those that are killed, and those that fork."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from iocp_emu.overlapped.pipe_names import pipe_table
from iocp_emu.overlapped.pipe_registry import file_name
from iocp_emu.overlapped.pipe_states import PipeState
from iocp_emu.status import (
    STATUS_ACCESS_DENIED,
    STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_PIPE_BROKEN,
    STATUS_SUCCESS,
)
from tests.overlapped.pipe_ends import NAME, open_, refused, serve
from tests.overlapped.pipe_hosts import (
    Script,
    can_read,
    hosts,
    meeting_place,
    needs_unix_sockets,
    quick_reactor,
    scripts,
)
from tests.overlapped.support import MakeRig, Rig, eventually

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
    server = scripts(ECHO_SERVER, kind, "2")
    assert server.says() == "ready"
    clients = [scripts(FLAT_CLIENT) for _ in range(2)]
    assert [int(client.end()) for client in clients] == [server.popen.pid] * 2
    assert server.end() == "done\n"


def test_call_named_pipe_in_another_process(scripts: Scripts) -> None:
    """CallNamedPipeW opens, asks, hears and closes."""
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
