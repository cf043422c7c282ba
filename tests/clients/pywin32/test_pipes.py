"""win32pipe: named pipes with overlapped connects, transactions, calls, anonymous pipes."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable

import pytest

from iocp_emu.compat.pywin32 import (
    pywintypes,
    win32api,
    win32con,
    win32event,
    win32file,
    win32pipe,
    winerror,
)

READ_WRITE = win32con.GENERIC_READ | win32con.GENERIC_WRITE
OVERLAPPED = win32con.FILE_FLAG_OVERLAPPED
_numbers = itertools.count()


def new_name() -> str:
    return rf"\\.\pipe\pywin32_tests_{next(_numbers)}"


def new_server(name: str, flags: int = 0, instances: int = win32pipe.PIPE_UNLIMITED_INSTANCES) -> pywintypes.HANDLEType:
    attributes = pywintypes.SECURITY_ATTRIBUTES()
    attributes.SetSecurityDescriptorDacl(1, None, 0)
    mode = win32pipe.PIPE_TYPE_MESSAGE | win32pipe.PIPE_READMODE_MESSAGE | win32pipe.PIPE_WAIT
    return win32pipe.CreateNamedPipe(
        name, win32pipe.PIPE_ACCESS_DUPLEX | flags, mode, instances, 512, 512, 2000, attributes
    )


def new_client(name: str, flags: int = 0) -> pywintypes.HANDLEType:
    client = win32file.CreateFile(name, READ_WRITE, 0, None, win32con.OPEN_EXISTING, flags, None)
    win32pipe.SetNamedPipeHandleState(client, win32pipe.PIPE_READMODE_MESSAGE, None, None)
    return client


class Answering:
    """A server that answers one message with its reverse, on a thread of its own."""

    def __init__(self, name: str) -> None:
        self._server = new_server(name)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        assert win32pipe.ConnectNamedPipe(self._server) in (0, winerror.ERROR_PIPE_CONNECTED)
        rc, message = win32file.ReadFile(self._server, 100)
        assert rc == 0
        win32file.WriteFile(self._server, message[::-1])
        win32file.FlushFileBuffers(self._server)
        self._server.Close()

    def join(self) -> None:
        self._thread.join()


# -- connecting ------------------------------------------------------------------------------------------------------


def test_a_connect_before_the_client_ends_as_a_packet() -> None:
    name = new_name()
    server = new_server(name, OVERLAPPED)
    port = win32file.CreateIoCompletionPort(server, None, 9, 0)
    overlapped = pywintypes.OVERLAPPED()
    overlapped.object = "connect"
    assert win32pipe.ConnectNamedPipe(server, overlapped) == winerror.ERROR_IO_PENDING
    assert win32file.GetQueuedCompletionStatus(port, 0)[0] == winerror.WAIT_TIMEOUT
    client = new_client(name)
    assert win32file.GetQueuedCompletionStatus(port, -1) == (0, 0, 9, overlapped)
    win32file.WriteFile(client, b"hello")
    rc, buffer = win32file.ReadFile(server, 100, overlapped)
    rc, count, _, same = win32file.GetQueuedCompletionStatus(port, -1)
    assert (rc, bytes(buffer[:count]), same is overlapped) == (0, b"hello", True)


def test_a_connect_after_the_client_is_535_without_a_packet() -> None:
    """Table 6.6: ERROR_PIPE_CONNECTED."""
    name = new_name()
    server = new_server(name, OVERLAPPED)
    port = win32file.CreateIoCompletionPort(server, None, 9, 0)
    client = new_client(name)
    assert win32pipe.ConnectNamedPipe(server, pywintypes.OVERLAPPED()) == winerror.ERROR_PIPE_CONNECTED
    assert win32file.GetQueuedCompletionStatus(port, 0) == (winerror.WAIT_TIMEOUT, 0, 0, None)
    assert client


def test_a_connect_after_the_client_has_gone_is_an_error() -> None:
    name = new_name()
    server = new_server(name, OVERLAPPED)
    new_client(name).Close()
    with pytest.raises(win32pipe.error) as caught:
        win32pipe.ConnectNamedPipe(server, pywintypes.OVERLAPPED())
    assert caught.value.args == (232, "ConnectNamedPipe", "The pipe is being closed.")


def test_an_overlapped_that_died_during_a_connect_is_noticed() -> None:
    name = new_name()
    server = new_server(name, OVERLAPPED)
    port = win32file.CreateIoCompletionPort(server, None, 9, 0)
    win32pipe.ConnectNamedPipe(server, pywintypes.OVERLAPPED())
    client = new_client(name)
    with pytest.raises(RuntimeError, match="lost all its references"):
        win32file.GetQueuedCompletionStatus(port, -1)
    assert client


def test_closing_a_server_ends_its_connect() -> None:
    server = new_server(new_name(), OVERLAPPED)
    port = win32file.CreateIoCompletionPort(server, None, 9, 0)
    overlapped = pywintypes.OVERLAPPED()
    win32pipe.ConnectNamedPipe(server, overlapped)
    server.Close()
    rc, _, key, same = win32file.GetQueuedCompletionStatus(port, -1)
    assert (rc, key, same is overlapped) == (winerror.ERROR_BROKEN_PIPE, 9, True)


def test_a_pipe_server_serves_clients_through_a_port() -> None:
    """Several instances, each in one state after the other: connect, read, write, disconnect."""
    name, instances, clients = new_name(), 3, 12
    port = win32file.CreateIoCompletionPort(-1, None, 0, 0)

    class Instance:
        def __init__(self) -> None:
            self.pipe = new_server(name, OVERLAPPED, instances)
            self.buffer = win32file.AllocateReadBuffer(512)
            self.overlapped = pywintypes.OVERLAPPED()
            self.overlapped.object = self
            self.next: Callable[[int], None] = self.read

        def connect(self) -> None:
            self.next = self.read
            if win32pipe.ConnectNamedPipe(self.pipe, self.overlapped) == winerror.ERROR_PIPE_CONNECTED:
                win32file.PostQueuedCompletionStatus(port, 0, 0, self.overlapped)

        def read(self, _: int) -> None:
            self.next = self.write
            win32file.ReadFile(self.pipe, self.buffer, self.overlapped)

        def write(self, count: int) -> None:
            self.next = self.flush
            win32file.WriteFile(self.pipe, bytes(self.buffer[:count])[::-1], self.overlapped)

        def flush(self, _: int) -> None:
            win32file.FlushFileBuffers(self.pipe)
            win32pipe.DisconnectNamedPipe(self.pipe)
            self.connect()

        def end(self) -> None:
            self.overlapped.object = None

    def serve() -> None:
        while True:
            rc, count, key, overlapped = win32file.GetQueuedCompletionStatus(port, -1)
            if key == 1:
                return
            assert rc == 0
            assert isinstance(overlapped, pywintypes.OVERLAPPEDType)
            overlapped.object.next(count)

    everybody = [Instance() for _ in range(instances)]
    for instance in everybody:
        win32file.CreateIoCompletionPort(instance.pipe, port, 0, 0)
        instance.connect()
    server = threading.Thread(target=serve)
    server.start()
    answers: list[bytes] = []

    def call(number: int) -> None:
        message = f"message {number}".encode()
        answer = win32pipe.CallNamedPipe(name, message, 512, win32pipe.NMPWAIT_WAIT_FOREVER)
        assert answer == message[::-1]
        answers.append(answer)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    win32file.PostQueuedCompletionStatus(port, 0, 1)
    server.join()
    assert len(answers) == clients
    for instance in everybody:
        instance.pipe.Close()
        instance.end()
    port.Close()  # free-threaded 3.13 never drops what a class's functions hold


# -- calls and transactions ------------------------------------------------------------------------------------------


def test_a_call_opens_transacts_and_closes() -> None:
    name = new_name()
    server = Answering(name)
    assert win32pipe.CallNamedPipe(name, b"foo\0bar", 1024, win32pipe.NMPWAIT_WAIT_FOREVER) == b"rab\0oof"
    server.join()
    with pytest.raises(win32pipe.error) as caught:
        win32pipe.CallNamedPipe(name, b"anybody?", 1024, 0)
    assert caught.value.args[:2] == (2, "CallNamedPipe")


@pytest.mark.parametrize("buffered", [False, True])
def test_a_transaction_waits_for_its_answer(buffered: bool) -> None:
    name = new_name()
    server = Answering(name)
    client = new_client(name)
    room = win32file.AllocateReadBuffer(1024) if buffered else 1024
    assert win32pipe.TransactNamedPipe(client, b"question", room, None) == (0, b"noitseuq")
    server.join()


def test_an_overlapped_transaction_fills_the_buffer() -> None:
    name = new_name()
    server = new_server(name)
    client = new_client(name, OVERLAPPED)
    buffer = win32file.AllocateReadBuffer(1024)
    overlapped = pywintypes.OVERLAPPED()
    overlapped.hEvent = win32event.CreateEvent(None, 0, 0, None)
    rc, same = win32pipe.TransactNamedPipe(client, b"question", buffer, overlapped)
    assert (rc, same is buffer) == (winerror.ERROR_IO_PENDING, True)
    assert win32file.ReadFile(server, 100) == (0, b"question")
    win32file.WriteFile(server, b"answer")
    count = win32pipe.GetOverlappedResult(client, overlapped, True)
    assert bytes(buffer[:count]) == b"answer"


def test_a_transaction_is_a_control_code() -> None:
    """FSCTL_PIPE_TRANSCEIVE; results are bytes for a size, and the part of a buffer that counts."""
    transceive = 0x0011C017
    for room in (100, win32file.AllocateReadBuffer(100)):
        name = new_name()
        server = Answering(name)
        client = new_client(name)
        assert bytes(win32file.DeviceIoControl(client, transceive, b"question", room)) == b"noitseuq"
        server.join()
    name = new_name()
    server_end = new_server(name)
    client = new_client(name, OVERLAPPED)
    overlapped = pywintypes.OVERLAPPED()
    overlapped.hEvent = win32event.CreateEvent(None, 0, 0, None)
    buffer = win32file.DeviceIoControl(client, transceive, b"question", 100, overlapped)
    assert win32file.ReadFile(server_end, 100) == (0, b"question")
    win32file.WriteFile(server_end, b"answer")
    assert win32file.GetOverlappedResult(client, overlapped, True) == 6
    assert bytes(buffer[:6]) == b"answer"


def test_a_message_that_is_too_long_comes_in_parts() -> None:
    """234 is a result of a read and of a transaction, not an error."""
    name = new_name()
    server = new_server(name)
    client = new_client(name)
    win32file.WriteFile(server, b"0123456789")
    assert win32pipe.PeekNamedPipe(client, 4) == (b"0123", 10, 6)
    assert win32file.ReadFile(client, 4) == (winerror.ERROR_MORE_DATA, b"0123")
    assert win32file.ReadFile(client, 100) == (0, b"456789")
    assert win32pipe.PeekNamedPipe(client, 100) == (b"", 0, 0)


# -- what is known of a pipe -----------------------------------------------------------------------------------------


def test_states_and_facts() -> None:
    name = new_name()
    server = new_server(name, instances=2)
    assert win32pipe.GetNamedPipeInfo(server) == (win32con.PIPE_SERVER_END | win32pipe.PIPE_TYPE_MESSAGE, 512, 512, 2)
    client = win32file.CreateFile(name, READ_WRITE, 0, None, win32con.OPEN_EXISTING, 0, None)
    assert win32pipe.GetNamedPipeHandleState(client) == (0, 1, None, None, "")
    win32pipe.SetNamedPipeHandleState(client, win32pipe.PIPE_READMODE_MESSAGE | win32pipe.PIPE_NOWAIT, None, None)
    assert win32pipe.GetNamedPipeHandleState(client)[0] == 3
    assert win32pipe.GetNamedPipeClientProcessId(server) == os.getpid()
    assert win32pipe.GetNamedPipeServerProcessId(client) == os.getpid()
    assert win32file.GetFileType(client) == win32file.FILE_TYPE_PIPE
    with pytest.raises(win32file.error) as caught:
        win32file.ReadFile(client, 1)
    assert caught.value.args[:2] == (winerror.ERROR_NO_DATA, "ReadFile")
    with pytest.raises(win32pipe.error) as caught:
        win32pipe.SetNamedPipeHandleState(client, None, 1, None)
    assert caught.value.args[:2] == (87, "SetNamedPipeHandleState")
    with pytest.raises(TypeError, match="mode param"):
        win32pipe.SetNamedPipeHandleState(client, "message", None, None)  # type: ignore[arg-type]


def test_all_instances_busy_and_waiting_for_one() -> None:
    name = new_name()
    server = new_server(name, instances=1)
    win32pipe.WaitNamedPipe(name, 0)
    client = new_client(name)
    with pytest.raises(win32file.error) as caught:
        new_client(name)
    assert caught.value.args == (231, "CreateFile", "All pipe instances are busy.")
    with pytest.raises(win32pipe.error) as caught:
        win32pipe.WaitNamedPipe(name, 1)
    assert caught.value.args[:2] == (winerror.ERROR_SEM_TIMEOUT, "WaitNamedPipe")
    with pytest.raises(win32pipe.error) as caught:
        new_server(name, instances=1)
    assert caught.value.args[:2] == (231, "CreateNamedPipe")
    with pytest.raises(win32pipe.error) as caught:
        new_server(name, win32pipe.FILE_FLAG_FIRST_PIPE_INSTANCE)
    assert caught.value.args[:2] == (5, "CreateNamedPipe")
    win32pipe.DisconnectNamedPipe(server)
    with pytest.raises(win32file.error) as caught:
        win32file.WriteFile(client, b"x")
    assert caught.value.args[:2] == (winerror.ERROR_PIPE_NOT_CONNECTED, "WriteFile")


# -- anonymous pipes -------------------------------------------------------------------------------------------------


def test_an_anonymous_pipe_ends_with_its_writer() -> None:
    reader, writer = win32pipe.CreatePipe(None, 0)
    assert win32file.WriteFile(writer, b"one way") == (0, 7)
    assert win32file.ReadFile(reader, 100) == (0, b"one way")
    del writer
    with pytest.raises(win32file.error) as caught:
        win32file.ReadFile(reader, 100)
    assert caught.value.args == (109, "ReadFile", "The pipe has been ended.")


def test_an_end_of_a_pipe_becomes_a_descriptor() -> None:
    reader, writer = win32pipe.CreatePipe(None, 0)
    descriptor = win32file._open_osfhandle(writer, 0)
    assert not writer
    os.write(descriptor, b"through the host")
    assert win32file._get_osfhandle(descriptor) == descriptor
    os.close(descriptor)
    received = b""
    with pytest.raises(win32file.error) as caught:  # noqa: PT012
        while True:
            received += win32file.ReadFile(reader, 5)[1]
    assert (received, caught.value.winerror) == (b"through the host", winerror.ERROR_BROKEN_PIPE)
    with pytest.raises(OSError, match="descriptor"):
        win32file._get_osfhandle(descriptor)


def test_handles_of_pipes_can_be_duplicated() -> None:
    reader, writer = win32pipe.CreatePipe(None, 0)
    me = win32api.GetCurrentProcess()
    twin = win32api.DuplicateHandle(me, writer, me, 0, 0, win32con.DUPLICATE_SAME_ACCESS)
    writer.Close()
    win32file.WriteFile(twin, b"still")
    assert win32file.ReadFile(reader, 5) == (0, b"still")
