"""Pipes by name: creating instances, opening them, listening, and waiting for a free one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from iocp_emu.kernel.file import IoMode
from iocp_emu.kernel.objects import Access
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.overlapped.pipe_names import (
    Instance,
    PipeDirection,
    create_pair,
    name_in,
    open_client,
    pipe_table,
    wait_for_instance,
)
from iocp_emu.overlapped.pipe_names import PipeOptions as Options
from iocp_emu.overlapped.pipe_queues import ReadMode
from iocp_emu.overlapped.pipe_states import Connected, PipeState, PipeType, WaitMode
from iocp_emu.status import (
    STATUS_ACCESS_DENIED,
    STATUS_CANCELLED,
    STATUS_ILLEGAL_FUNCTION,
    STATUS_INSTANCE_NOT_AVAILABLE,
    STATUS_INVALID_PARAMETER,
    STATUS_IO_TIMEOUT,
    STATUS_OBJECT_NAME_INVALID,
    STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_PENDING,
    STATUS_PIPE_BROKEN,
    STATUS_PIPE_CLOSING,
    STATUS_PIPE_CONNECTED,
    STATUS_PIPE_LISTENING,
    STATUS_PIPE_NOT_AVAILABLE,
    STATUS_SUCCESS,
)
from tests.overlapped.pipe_ends import NAME, OpenedEnd, adopt, connected, drain, open_, refused, serve
from tests.overlapped.support import DEADLINE, MakeRig, Rig, eventually

READ, WRITE = Access.FILE_READ_DATA, Access.FILE_WRITE_DATA


@pytest.fixture(autouse=True)
def names_are_given_back(rigs: MakeRig, rig: Rig) -> object:
    """At the end no name is taken and nobody is left on a list."""
    yield
    for opened in rig.opened:
        if opened.handle is not None:
            opened.close()
    table = pipe_table(rig.system)
    assert (table.pipes, table.waiting) == ({}, {})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (r"\\.\pipe\Name", "name"),
        (r"\\.\PIPE\a\B", "a\\b"),
        ("//./pipe/a/b", "a\\b"),
        (r"\\?\pipe\x", "x"),
        (r"\\.\pipe" "\\", ""),
        (r"\\.\pip\x", None),
        ("pipe", None),
        (r"\\server\pipe\x", None),
    ],
)
def test_names(path: str, name: str | None) -> None:
    """Any case, either slash; only this machine's pipes."""
    assert name_in(path) == name


def test_the_name_lives_as_long_as_an_instance(rig: Rig) -> None:
    """No instance: the name is not found, whether or not a client still has its end open."""
    assert refused(open_, rig) == STATUS_OBJECT_NAME_NOT_FOUND
    first, second = serve(rig), serve(rig)
    client = open_(rig)
    first.close()
    assert open_(rig).end.state is PipeState.CONNECTED
    second.close()
    assert refused(open_, rig) == STATUS_OBJECT_NAME_NOT_FOUND
    assert client.end.state is PipeState.CLOSING
    assert serve(rig, direction=PipeDirection.INBOUND).end.state is PipeState.LISTENING


def test_names_of_the_wrong_length(rig: Rig) -> None:
    """256 characters with the prefix, and at least one without it."""
    assert refused(serve, rig, "") == refused(serve, rig, "x" * 248) == STATUS_OBJECT_NAME_INVALID
    serve(rig, "x" * 247)


def test_only_so_many_instances(rig: Rig) -> None:
    """231: the first instance says how many there may be; 255 is no limit; a closed one makes room."""
    first = serve(rig, maximum_instances=2)
    serve(rig, maximum_instances=255)
    assert refused(serve, rig) == STATUS_INSTANCE_NOT_AVAILABLE
    first.close()
    serve(rig)
    for _ in range(300):
        serve(rig, "many", maximum_instances=255)


def test_instances_are_of_one_kind(rig: Rig) -> None:
    """5: another direction or type; buffers and read modes are each instance's own."""
    serve(rig, type=PipeType.MESSAGE)
    assert refused(serve, rig) == STATUS_ACCESS_DENIED
    assert refused(serve, rig, type=PipeType.MESSAGE, direction=PipeDirection.INBOUND) == STATUS_ACCESS_DENIED
    other = serve(rig, type=PipeType.MESSAGE, read_mode=ReadMode.MESSAGE, quota=7)
    open_(rig)
    assert open_(rig).end.sizes == other.end.sizes == (7, 7)
    assert refused(serve, rig, "bytes", read_mode=ReadMode.MESSAGE) == STATUS_INVALID_PARAMETER


def test_the_first_instance(rig: Rig) -> None:
    """FILE_FLAG_FIRST_PIPE_INSTANCE: 5 when there is one."""
    serve(rig, instance=Instance.FIRST)
    assert refused(serve, rig, instance=Instance.FIRST) == STATUS_ACCESS_DENIED
    serve(rig)


def test_clients_take_free_instances_in_turn(rig: Rig) -> None:
    """231 when none is free; the one that has been free for longest is taken."""
    servers = [serve(rig) for _ in range(3)]
    clients = [open_(rig) for _ in range(3)]
    assert [client.end.far for client in clients] == [server.end for server in servers]
    assert refused(open_, rig) == STATUS_PIPE_NOT_AVAILABLE
    for server in (servers[1], servers[0]):
        server.disconnect()
        assert refused(open_, rig) == STATUS_PIPE_NOT_AVAILABLE
        server.listen()
        assert open_(rig).end.far is server.end
    clients[2].close()
    assert refused(open_, rig) == STATUS_PIPE_NOT_AVAILABLE


@pytest.mark.parametrize(
    ("direction", "client_access"), [(PipeDirection.INBOUND, WRITE), (PipeDirection.OUTBOUND, READ)]
)
def test_one_way_pipes(rig: Rig, direction: PipeDirection, client_access: int) -> None:
    """5 when a client asks for a way that data may not go; the instance stays free."""
    serve(rig, direction=direction)
    assert refused(open_, rig, access=READ | WRITE) == STATUS_ACCESS_DENIED
    assert refused(open_, rig, access=(READ | WRITE) ^ client_access) == STATUS_ACCESS_DENIED
    assert open_(rig, access=client_access).end.pipe.client_access == client_access


def test_pairs_have_no_name(rig: Rig) -> None:
    """An anonymous pipe: connected at once, and nobody else can find it."""
    server, client = (
        adopt(rig, file) for file in create_pair(rig.system, Options(direction=PipeDirection.INBOUND))
    )
    assert client.write(b"x").code == STATUS_SUCCESS
    assert server.read(4).data == b"x"
    assert pipe_table(rig.system).pipes == {}
    server.close()
    assert client.write(b"x").code == STATUS_PIPE_CLOSING


def test_machines_have_names_of_their_own(rigs: MakeRig, rig: Rig) -> None:
    """The same name on two machines means two pipes."""
    other = rigs("win10")
    serve(rig)
    assert refused(open_, other) == STATUS_OBJECT_NAME_NOT_FOUND


# -- listening -----------------------------------------------------------------------------------------------------


def test_a_client_ends_the_listens(rig: Rig) -> None:
    """ntpipe-listen: pending, then success with 0 bytes, all there are; status untouched until the dequeue (I-27)."""
    server = serve(rig).bind()
    listens = [server.listen(), server.listen()]
    assert [listen.code for listen in listens] == [STATUS_PENDING] * 2
    assert rig.no_packet()
    open_(rig)
    assert [listen.block.is_pending for listen in listens] == [True, True]
    assert [(packet.overlapped, packet.status, packet.information) for packet in drain(rig)] == [
        (listen.block, STATUS_SUCCESS, 0) for listen in listens
    ]


def test_listening_when_a_client_is_there_or_was(rig: Rig) -> None:
    """ntpipe-connected: 535 and no packet, event reset and not set; 232 when it has gone; 1 on a client end."""
    server, client = connected(rig)
    server.bind()
    event = rig.event()
    event.set()
    listen = server.listen(server.ask(event=event))
    assert (listen.code, listen.block.status, event.signalled) == (STATUS_PIPE_CONNECTED, STATUS_PENDING, False)
    assert client.listen().code == STATUS_ILLEGAL_FUNCTION
    client.close()
    assert server.listen().code == STATUS_PIPE_CLOSING
    assert rig.no_packet()
    assert server.disconnect() == STATUS_SUCCESS
    assert server.listen().code == STATUS_PENDING


def test_a_listen_may_succeed_where_a_client_is(rig: Rig) -> None:
    """I-02: asked so, a listen with a client already there is a success within the call, with a packet."""
    server, _ = connected(rig)
    server.bind()
    listen = server.listen(connected=Connected.SUCCEED)
    assert (listen.code, listen.block.status) == (STATUS_SUCCESS, STATUS_SUCCESS)
    assert [packet.overlapped for packet in drain(rig)] == [listen.block]


def test_a_listen_is_cancelled_and_closed(rig: Rig) -> None:
    """ntpipe-cancel: 995, the instance stays free; I-43: closed with the end, 109."""
    server = serve(rig).bind()
    listen = server.listen()
    server.cancel(listen)
    assert [packet.status for packet in drain(rig)] == [STATUS_CANCELLED]
    open_(rig)
    server.disconnect()
    server.listen()
    server.close()
    assert [packet.status for packet in drain(rig)] == [STATUS_PIPE_BROKEN]


def test_listening_without_waiting(rig: Rig) -> None:
    """PIPE_NOWAIT: 536 while nobody is there, 535 when somebody is; a disconnected end becomes free, with success."""
    server = serve(rig, wait_mode=WaitMode.NOWAIT)
    assert server.listen().code == STATUS_PIPE_LISTENING
    open_(rig)
    assert server.listen().code == STATUS_PIPE_CONNECTED
    server.disconnect()
    assert [server.listen().code, server.listen().code] == [STATUS_SUCCESS, STATUS_PIPE_LISTENING]
    open_(rig)


# -- waiting for an instance ---------------------------------------------------------------------------------------


def waiter(rig: Rig, timeout: float | None) -> tuple[threading.Thread, list[int]]:
    """A thread that waits for an instance, and then how that ended; it waits already."""
    results: list[int] = []

    def wait() -> None:
        try:
            wait_for_instance(rig.system, NAME, timeout)
            results.append(STATUS_SUCCESS)
        except BaseException as error:
            results.append(getattr(error, "status", -1))

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: bool(results or pipe_table(rig.system).waiting.get(NAME)), "the thread waits")
    return thread, results


@pytest.mark.parametrize(
    "offer",
    [
        pytest.param(lambda rig, server: serve(rig), id="another instance"),
        pytest.param(lambda rig, server: (server.disconnect(), server.listen()), id="the next client"),
        pytest.param(lambda rig, server: (server.close(), serve(rig)), id="the name comes again"),
    ],
)
def test_q23_waiting_for_an_instance(rig: Rig, offer: Callable[[Rig, OpenedEnd], object]) -> None:
    """Q-23: WaitNamedPipe ends when an instance becomes free; meanwhile the thread is blocked for the kernel."""
    server, _ = connected(rig)
    threads = [waiter(rig, DEADLINE), waiter(rig, float("inf"))]
    eventually(
        lambda: sum(each.state is ThreadState.BLOCKED for each in rig.system.process.threads) == 2, "both blocked"
    )
    offer(rig, server)
    for thread, results in threads:
        thread.join(DEADLINE)
        assert results == [STATUS_SUCCESS]


def test_waiting_takes_its_time_and_no_more(rig: Rig) -> None:
    """121 when the time is up, the pipe's own time if none is given; 2 at once when there is no such pipe."""
    assert refused(wait_for_instance, rig.system, NAME, None) == STATUS_OBJECT_NAME_NOT_FOUND
    serve(rig, default_timeout=0.02)
    wait_for_instance(rig.system, NAME, 0)
    open_client_end = open_(rig)
    for timeout, least in ((None, 0.02), (0.03, 0.03), (0, 0)):
        began = time.monotonic()
        assert refused(wait_for_instance, rig.system, NAME, timeout) == STATUS_IO_TIMEOUT
        assert time.monotonic() - began >= least
    assert open_client_end.end.state is PipeState.CONNECTED


def test_synchronous_ends_are_asked_for(rig: Rig) -> None:
    """The mode of a file object is that of its opening."""
    server = serve(rig, io_mode=IoMode.SYNCHRONOUS)
    client = adopt(rig, open_client(rig.system, NAME, None, IoMode.SYNCHRONOUS))
    assert server.file.io_mode is client.file.io_mode is IoMode.SYNCHRONOUS
    assert refused(server.bind) == STATUS_INVALID_PARAMETER
