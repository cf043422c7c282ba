"""Real overlapped I/O beside what Python programs use today: a loopback echo, and reads of one file.

Each server is a thread of this process; the client is the same for all and a process of its own, so that it does not
share the interpreter's lock with the server that it measures.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random

from iocp_emu import Caching, CompletionPort, File, Listener, Overlapped, Packet, Socket
from iocp_emu.compat.asyncio import install

from ..measure import Comparison, Effort, OneByOne, Sample, Unavailable, WrongResult

PORT, ASYNCIO, SELECTORS, PROACTOR = "port", "asyncio", "selectors", "asyncio, proactor"
READ_BYTES = 1 << 16
DEADLINE_SECONDS = 120
MOST_CONNECTIONS_IN_A_HURRY = 100

# Connects N times, keeps one message of SIZE bytes under way on each connection until TOTAL have come back, and prints
# the seconds that took. Arguments: port N SIZE TOTAL.
CLIENT = """
import selectors, socket, sys, time
port, connections, size, total = map(int, sys.argv[1:])
message = bytes(range(256)) * (size // 256) + bytes(size % 256)
selector = selectors.DefaultSelector()
left = {}
for _ in range(connections):
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    left[made] = size
    selector.register(made, selectors.EVENT_READ)
start = time.perf_counter()
for made in left:
    made.sendall(message)
sent, back = connections, 0
while back < total:
    for key, _ in selector.select():
        made = key.fileobj
        data = made.recv(1 << 18)
        if not data:
            sys.exit("the server closed a connection")
        left[made] -= len(data)
        if not left[made]:
            back += 1
            left[made] = size
            if sent < total:
                sent += 1
                made.sendall(message)
print(time.perf_counter() - start)
"""


class _PortServer:
    """Echoes with one worker on a completion port; the key of a packet is the function that goes on."""

    def __init__(self) -> None:
        self._port = CompletionPort()
        self._listener = Listener(("127.0.0.1", 0), backlog=1024)
        self._sockets: list[Socket] = []
        self.number: int = self._listener.sock.getsockname()[1]
        self._port.associate(self._listener, self._on_accepted)
        self._listener.accept()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        get = self._port.get
        while (packet := get()).key is not None:
            go_on: Callable[[Packet], None] = packet.key
            go_on(packet)

    def _on_accepted(self, packet: Packet) -> None:
        if packet.error is None:
            accepted: Socket = packet.overlapped.socket
            self._sockets.append(accepted)
            self._listener.accept()
            self._port.associate(accepted, partial(self._on_moved, accepted))
            accepted.recv(READ_BYTES)

    def _on_moved(self, sock: Socket, packet: Packet) -> None:
        done: Overlapped = packet.overlapped
        if packet.error is None and done.tag is None and done.bytes:
            sock.send(done.data, tag="sent")
            sock.recv(READ_BYTES)

    def close(self) -> None:
        """End the worker, then everything else."""
        self._port.post(key=None)
        self._thread.join()
        self._listener.close()
        for each in self._sockets:
            each.close()
        self._port.close()


class _Echo(asyncio.Protocol):
    """Writes back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class _AsyncioServer:
    """Echoes with asyncio's protocols; without another loop, on the selector's."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.SelectorEventLoop()
        create = self._loop.create_server(_Echo, "127.0.0.1", 0, backlog=1024)
        self._server = self._loop.run_until_complete(create)
        self.number: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def close(self) -> None:
        """End the loop, then its connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _ProactorServer(_AsyncioServer):
    """The same on the standard library's own proactor loop, on an emulated port."""

    def __init__(self) -> None:
        self._installed = install()
        super().__init__(self._installed.ProactorEventLoop())

    def close(self) -> None:
        super().close()
        self._installed.uninstall()


class _SelectorServer:
    """Echoes with a bare loop over `selectors`: the limit for one thread."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.number: int = self._listening.getsockname()[1]
        self._mine, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            selector.register(self._mine, selectors.EVENT_READ)
            made: list[socket.socket] = []
            is_serving = True
            while is_serving:
                for key, _ in selector.select():
                    ready = key.fileobj
                    assert isinstance(ready, socket.socket)
                    if ready is self._listening:
                        accepted, _ = ready.accept()
                        made.append(accepted)
                        selector.register(accepted, selectors.EVENT_READ)
                    elif ready is self._mine:
                        is_serving = False
                    elif data := ready.recv(READ_BYTES):
                        ready.sendall(data)
                    else:
                        selector.unregister(ready)
            for each in made:
                each.close()

    def close(self) -> None:
        """End the loop."""
        self._end.send(b"\0")
        self._thread.join()
        for each in (self._listening, self._mine, self._end):
            each.close()


SERVERS: Mapping[str, Callable[[], _PortServer | _AsyncioServer | _SelectorServer]] = {
    PORT: _PortServer,
    ASYNCIO: _AsyncioServer,
    SELECTORS: _SelectorServer,
    PROACTOR: _ProactorServer,
}


class Echo(OneByOne):
    """A client keeps one message under way on each of N connections; one thread echoes; cost per message.

    The bare selector loop is the limit: it has no queue, no cancel and no other thread.
    """

    messages: Mapping[Effort, int] = {Effort.WARM_UP: 100, Effort.QUICK: 1_500, Effort.FULL: 6_000}

    def __init__(self, connections: int, size: int) -> None:
        self._connections = connections
        self._size = size
        shown = f"{size}b" if size < 1 << 10 else f"{size >> 10}k"
        super().__init__(
            f"echo-{connections}-{shown}",
            (Comparison(PORT, ASYNCIO), Comparison(PORT, SELECTORS), Comparison(PROACTOR, ASYNCIO)),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        if self._connections > MOST_CONNECTIONS_IN_A_HURRY and effort is Effort.QUICK:
            return ()
        return tuple(SERVERS)

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        _allow_descriptors(self._connections + 200)
        total = max(self.messages[effort], 2 * self._connections)
        server = SERVERS[contestant]()
        try:
            arguments = [str(number) for number in (server.number, self._connections, self._size, total)]
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", CLIENT, *arguments],
                capture_output=True,
                text=True,
                timeout=DEADLINE_SECONDS,
                check=False,
            )
        finally:
            server.close()
        if done.returncode:
            raise WrongResult(f"the client failed: {done.stderr.strip()}")
        return Sample(float(done.stdout) / total)


def _allow_descriptors(count: int) -> None:
    """Have room for `count` descriptors, or be `Unavailable`."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise Unavailable
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


CACHED, UNBUFFERED, POOL = "port, cached", "port, unbuffered", "ThreadPoolExecutor"
CHUNK_BYTES = 4096
DEPTH = 64
FILE_BYTES = 16 << 20
POOL_THREADS = 8


class FileReads(OneByOne):
    """One thread keeps 64 reads of 4 KiB of a file in memory under way and takes the results; cost per read.

    Cached reads are copied within the call; unbuffered ones go through the I/O threads, as all reads of
    `ThreadPoolExecutor.submit(os.pread, ...)` go through its threads.
    """

    reads: Mapping[Effort, int] = {Effort.WARM_UP: 128, Effort.QUICK: 2_000, Effort.FULL: 8_000}

    def __init__(self) -> None:
        super().__init__("file-reads", (Comparison(CACHED, POOL), Comparison(UNBUFFERED, POOL)))

    def contestants(self, effort: Effort) -> Sequence[str]:
        return CACHED, UNBUFFERED, POOL

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        count = self.reads[effort]
        offsets = [random.randrange(FILE_BYTES // CHUNK_BYTES) * CHUNK_BYTES for _ in range(count)]
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "data")
            with open(path, "wb") as file:
                for number in range(FILE_BYTES // CHUNK_BYTES):
                    file.write(number.to_bytes(4, "little") * (CHUNK_BYTES // 4))
            if contestant == POOL:
                return Sample(_read_with_pool(path, offsets) / count)
            caching = Caching.CACHED if contestant == CACHED else Caching.UNBUFFERED
            return Sample(_read_with_port(path, offsets, caching) / count)


def _read_with_port(path: str, offsets: Sequence[int], caching: Caching) -> float:
    with CompletionPort() as port, File(path, caching=caching) as file:
        port.associate(file, file)
        start = time.perf_counter()
        for offset in offsets[:DEPTH]:
            file.read(CHUNK_BYTES, offset)
        for offset in offsets[DEPTH:]:
            _check(port.get().overlapped)
            file.read(CHUNK_BYTES, offset)
        for _ in offsets[-DEPTH:]:
            _check(port.get().overlapped)
        return time.perf_counter() - start


def _check(done: Overlapped) -> None:
    if done.error is not None or bytes(done.data[:4]) != (done.offset // CHUNK_BYTES).to_bytes(4, "little"):
        raise WrongResult(f"a read at {done.offset} brought something else: {done.error}")


def _read_with_pool(path: str, offsets: Sequence[int]) -> float:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with ThreadPoolExecutor(POOL_THREADS) as pool:
            start = time.perf_counter()
            under_way = [(at, pool.submit(os.pread, descriptor, CHUNK_BYTES, at)) for at in offsets[:DEPTH]]
            for number, next_offset in enumerate([*offsets[DEPTH:], *[None] * DEPTH]):
                offset, future = under_way[number]
                if future.result()[:4] != (offset // CHUNK_BYTES).to_bytes(4, "little"):
                    raise WrongResult(f"a read at {offset} brought something else")
                if next_offset is not None:
                    under_way.append((next_offset, pool.submit(os.pread, descriptor, CHUNK_BYTES, next_offset)))
            return time.perf_counter() - start
    finally:
        os.close(descriptor)
