"""The object face of pipes."""

from __future__ import annotations

import doctest
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import iocp_emu
from iocp_emu import CompletionPort, Pipe, PipeDirection, PipeType, pipes, win32
from iocp_emu.kernel.file import FileObject
from iocp_emu.kernel.invariants import check
from iocp_emu.overlapped.pipe_names import pipe_table
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.threads import ThreadSystem
from tests.faces.helpers import DEADLINE_SECONDS, eventually, until_parked

MESSAGE = PipeType.MESSAGE


@pytest.fixture
def machine() -> Iterator[ThreadSystem]:
    """A machine of its own for one test; when all that the test had is dropped, nothing is left of it."""
    with use(ThreadSystem(processors=2)) as system:
        yield system
        gc.collect()
        eventually(lambda: not files(system), "no file object is left")
        assert not pipe_table(system).pipes
        system.perform(check, system.kernel)


@pytest.fixture
def port(machine: ThreadSystem) -> Iterator[CompletionPort]:
    """A port."""
    with CompletionPort() as port:
        yield port


def error_of(call: Any, *args: Any, **kwargs: Any) -> int:
    """The Win32 code of the OSError that a call raises."""
    with pytest.raises(iocp_emu.Win32Error) as caught:
        call(*args, **kwargs)
    return caught.value.winerror


def files(system: ThreadSystem) -> list[FileObject]:
    """The file objects that there are."""
    return [each for each in system.kernel.objects if isinstance(each, FileObject)]


def test_a_server_and_a_client(port: CompletionPort) -> None:
    """listen, accept, connect, read, write: one packet for each operation, with what it brought."""
    with Pipe.listen("demo") as server:
        port.associate(server, "server")
        accept = server.accept(tag="first")
        assert (accept.done, server.connected, port.depth) == (False, False, 0)
        with Pipe.connect(r"\\.\pipe\DEMO") as client:
            packet = port.get(0)
            assert (packet.key, packet.overlapped, packet.error, accept.tag) == ("server", accept, None, "first")
            assert (server.connected, client.connected) == (True, True)
            read = server.read(100)
            write = client.write(b"hello")
            assert (write.done, bytes(write.data)) == (True, b"hello")
            assert not read.done
            assert port.get(0).overlapped is read
            assert (read.done, read.bytes, bytes(read.data)) == (True, 5, b"hello")
            assert (server.name, client.name, server.outstanding) == ("demo", "demo", 0)
        assert error_of(server.read, 1) == 109
        assert error_of(server.write, b"x") == 232
        assert error_of(server.accept) == 232
        server.disconnect()
        assert not server.accept().done


def test_i02_an_accept_whose_client_is_there_brings_its_packet(port: CompletionPort) -> None:
    """I-02, I-15: `accept` is done at once and leaves nobody without a packet, unless the SKIP mode says so."""
    server = Pipe.listen("demo")
    port.associate(server, 5)
    client = Pipe.connect("demo")
    accept = server.accept()
    assert accept.done
    assert [(packet.key, packet.overlapped, packet.bytes) for packet in port.get_many(9, 0)] == [(5, accept, 0)]
    assert win32.SetFileCompletionNotificationModes(server.handle, win32.FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)
    assert server.accept().done
    assert port.depth == 0
    assert client.connected


def test_messages(port: CompletionPort) -> None:
    """A message pipe keeps bounds both ways; what does not fit is error 234 and comes next (I-04)."""
    server, client = Pipe.pair(type=MESSAGE)
    port.associate(server)
    client.write(b"one")
    client.write(b"")
    client.write(b"three")
    reads = [server.read(10), server.read(10), server.read(2), server.read(10)]
    assert [bytes(read.data) for read in reads] == [b"one", b"", b"th", b"ree"]
    assert [packet.error and packet.error.winerror for packet in port.get_many(9, 0)] == [None, None, 234, None]
    server.write(b"ab")
    server.write(b"cd")
    assert bytes(client.read(10).data) == b"ab"


def test_transactions(port: CompletionPort) -> None:
    """transact: the answer is the data of the operation; 231 and 230."""
    server, client = Pipe.pair(type=MESSAGE)
    port.associate(client)
    call = client.transact(b"question", 10)
    assert bytes(server.read(10).data) == b"question"
    server.write(b"answer")
    assert port.get(0).overlapped is call
    assert bytes(call.data) == b"answer"
    server.write(b"unread")
    call = client.transact(b"question", 10)
    packet = port.get(0)
    assert packet.overlapped is call
    assert packet.error is not None
    assert packet.error.winerror == 231
    both = Pipe.pair()
    assert error_of(both[0].transact, b"", 1) == 230


def test_peeking_and_disconnecting(port: CompletionPort) -> None:
    """peek takes nothing; disconnect ends both ends' operations with 233 and loses what was unread."""
    server, client = Pipe.pair(type=MESSAGE)
    port.associate(client)
    client.write(b"hello")
    port.get(0)
    assert server.peek() == (b"", 5, 5)
    assert server.peek(3) == (b"hel", 5, 5)
    pending = client.read(1)
    server.disconnect()
    packet = port.get(0)
    assert packet.overlapped is pending
    assert packet.error is not None
    assert packet.error.winerror == 233
    assert error_of(client.peek) == error_of(client.read, 1) == error_of(client.write, b"") == 233
    assert error_of(server.peek) == 230
    assert error_of(server.disconnect) == 233
    assert error_of(client.disconnect) == error_of(client.accept) == 1


def test_cancelling(port: CompletionPort) -> None:
    """I-41: an operation, or all of them; each brings its packet."""
    server, client = Pipe.pair(buffer_size=2)
    port.associate(server)
    reads = [server.read(1), server.read(1)]
    write = server.write(b"too much")
    assert (reads[1].cancel(), reads[1].cancel()) == (True, False)
    assert server.cancel()
    found = {id(packet.overlapped): packet.error for packet in port.get_many(9, 0)}
    assert {id(each) for each in (*reads, write)} == found.keys()
    assert all(error is not None and error.winerror == 995 for error in found.values())
    assert client.peek().available == 0


def test_one_way_pipes(machine: ThreadSystem) -> None:
    """5 for the way that data may not go; the client opens what there is."""
    server = Pipe.listen("in", direction=PipeDirection.INBOUND)
    client = Pipe.connect("in")
    assert error_of(server.write, b"x") == error_of(client.read, 1) == error_of(client.peek) == 5
    client.write(b"x")
    assert bytes(server.read(1).data) == b"x"
    assert error_of(client.transact, b"x", 1) == 5


def test_what_cannot_be_made(machine: ThreadSystem) -> None:
    """2 no such pipe, 231 no instance free or to be had, 5 another kind, 123 no name, 121 time is up."""
    assert error_of(Pipe.connect, "demo") == 2
    first = Pipe.listen("demo", max_instances=1)
    assert error_of(Pipe.listen, "demo") == 231
    client = Pipe.connect("demo")
    assert error_of(Pipe.connect, "demo") == 231
    assert error_of(Pipe.connect, "demo", timeout=0.01) == 121
    other = Pipe.listen("other")
    with pytest.raises(PermissionError):
        Pipe.listen("OTHER", type=MESSAGE)
    other.close()
    assert error_of(Pipe.listen, "") == 123
    client.close()
    first.close()
    with pytest.raises(FileNotFoundError):
        Pipe.connect("demo")


def test_connecting_waits_for_a_free_instance(machine: ThreadSystem) -> None:
    """With a timeout the client waits, visibly (Q-23), until the server is there for it."""
    server = Pipe.listen("demo")
    Pipe.connect("demo").close()
    worker = iocp_emu.spawn(lambda: Pipe.connect("demo", timeout=None))
    until_parked(worker.waitable)
    server.disconnect()
    server.accept()
    client = worker.join()
    assert client.connected
    assert server.connected


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: Pipe.listen(5), TypeError),  # type: ignore[arg-type]
        (lambda: Pipe.connect(b"demo"), TypeError),  # type: ignore[arg-type]
        (lambda: Pipe.listen("x", max_instances=0), ValueError),
        (lambda: Pipe.listen("x", max_instances=256), ValueError),
        (lambda: Pipe.listen("x", buffer_size=-1), ValueError),
        (lambda: Pipe.listen("x", type="message"), TypeError),  # type: ignore[arg-type]
        (lambda: Pipe.pair(direction=3), TypeError),  # type: ignore[arg-type]
        (lambda: Pipe.connect("x", timeout=-1), ValueError),
        (lambda: Pipe.pair()[0].read(-1), ValueError),
        (lambda: Pipe.pair()[0].read("1"), TypeError),  # type: ignore[arg-type]
        (lambda: Pipe.pair()[0].write("text"), TypeError),  # type: ignore[arg-type]
    ],
)
def test_arguments(machine: ThreadSystem, call: Any, error: type[Exception]) -> None:
    """Wrong types are TypeError, wrong ranges ValueError, before anything happens."""
    with pytest.raises(error):
        call()
    gc.collect()
    eventually(lambda: not files(machine), "no file is left")


def test_closed_ends(port: CompletionPort) -> None:
    """A closed end refuses everything with ValueError; closing again is harmless; a dropped one is closed."""
    server, client = Pipe.pair()
    assert repr(server) == "<Pipe server None connected>"
    server.close()
    server.close()
    assert (repr(server), repr(client)) == ("<Pipe server None closed>", "<Pipe client None closing>")
    for call in (lambda: server.read(1), lambda: server.write(b""), server.accept, server.disconnect, server.peek):
        with pytest.raises(ValueError, match="closed"):
            call()
    assert error_of(client.write, b"x") == 232
    client = Pipe.pair()[1]
    gc.collect()
    eventually(lambda: not client.connected, "the dropped end is closed")


def test_i43_packets_come_after_the_close(port: CompletionPort) -> None:
    """I-43, H-03: 109 and nothing else; then nothing is left."""
    server, client = Pipe.pair()
    port.associate(server, "server")
    read = server.read(9)
    server.close()
    packet = port.get(0)
    assert (packet.key, packet.overlapped, packet.bytes) == ("server", read, 0)
    assert packet.error is not None
    assert packet.error.winerror == 109
    client.close()
    with pytest.raises(TimeoutError):
        port.get(0)


def test_nothing_is_left(machine: ThreadSystem) -> None:
    """No handle, file object or request after many pipes that were closed in every way."""
    port = CompletionPort()
    before = len(machine.process.handles)
    for round_ in range(50):
        server, client = Pipe.pair(buffer_size=round_ % 5)
        port.associate(server)
        server.read(3)
        client.write(b"12345")
        server.write(b"12345")
        if round_ % 2:
            server.disconnect()
        (client if round_ % 3 else server).close()
        del server, client
    # An operation keeps its pipe until its packet has been taken.
    assert len({packet.overlapped for packet in port.get_many(1000, 0)}) == 100
    gc.collect()
    eventually(lambda: not files(machine), "files are freed")
    assert len(machine.process.handles) == before
    assert not [thread for thread in machine.process.threads if thread.requests]


def test_an_echo_server_on_real_threads(machine: ThreadSystem) -> None:
    """Workers on one port serve clients on many instances; every client gets back what it sent."""
    port = CompletionPort()
    instances, rounds = 8, 20
    servers = [Pipe.listen("echo", type=MESSAGE) for _ in range(instances)]
    for server in servers:
        port.associate(server, server)
        server.accept(tag="accept")

    def work() -> None:
        while (packet := port.get(DEADLINE_SECONDS)).key is not None:
            server, operation = packet.key, packet.overlapped
            try:
                if packet.error is not None:
                    server.close()
                elif operation.tag in ("write", "accept"):
                    server.read(64, tag="read")
                else:
                    server.write(bytes(operation.data), tag="write")
            except BrokenPipeError:
                server.close()

    failures: list[Any] = []

    def talk(client: int) -> None:
        with Pipe.connect("echo") as pipe, CompletionPort() as own:
            own.associate(pipe)
            for round_ in range(rounds):
                message = f"{client} {round_}".encode()
                pipe.write(message)
                read = pipe.read(64)
                while (packet := own.get(DEADLINE_SECONDS)).overlapped is not read:
                    pass
                if packet.error is not None or bytes(read.data) != message:
                    failures.append((client, round_, packet))

    def in_machine(call: Any, *args: Any) -> threading.Thread:
        def run() -> None:
            with use(machine):
                call(*args)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    workers = [in_machine(work) for _ in range(3)]
    clients = [in_machine(talk, client) for client in range(instances)]
    for thread in clients:
        thread.join(DEADLINE_SECONDS)
    eventually(lambda: all(server.closed or not server.connected for server in servers), "the clients are gone")
    for _ in workers:
        port.post(key=None)
    for thread in workers:
        thread.join(DEADLINE_SECONDS)
    assert not failures
    assert not any(thread.is_alive() for thread in (*workers, *clients))


def test_pipes_are_waitable(machine: ThreadSystem) -> None:
    """A pipe end can be waited on: signalled when an operation without a port has ended."""
    server, client = Pipe.pair()
    server.read(1)
    assert iocp_emu.wait([server], timeout=0) is None
    client.write(b"x")
    assert iocp_emu.wait([server], timeout=0) is server


def test_examples_in_the_documentation() -> None:
    """The example in the docstring runs and is right."""
    outcome = doctest.testmod(pipes)
    assert outcome.attempted
    assert not outcome.failed
