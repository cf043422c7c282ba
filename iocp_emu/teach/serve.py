"""A static file server on one completion port: accepts, file reads and sends, each an overlapped operation.

Theory.  The completion key says who goes on: it is a function, and a worker calls it with the packet.  Whatever a
connection does next, it starts one operation and returns, so a handful of threads serves any number of connections, and
no two threads ever work for one connection at the same time.

Own rules.  Only GET and HEAD of regular files below the root, no hidden ones; connections are kept open as HTTP/1.1 has
it.  A peer that speaks nonsense gets an answer and is cut off; one that says nothing keeps its connection.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from typing_extensions import Self

from .. import CompletionPort, File, Listener, Overlapped, Packet, Socket, SpawnedThread, Win32Error, spawn

CHUNK_BYTES = 1 << 16
MOST_HEAD_BYTES = 1 << 14
ACCEPTS_AHEAD = 16

Handler = Callable[[Packet], None]


def work(port: CompletionPort) -> None:
    """A worker: takes packets until one has no key."""
    while (packet := port.get()).key is not None:
        handler: Handler = packet.key
        handler(packet)


class StaticServer:
    """Serves the files below `root` at `address` (port 0: any) from `workers` threads, 1 or more, until it is closed.

    `address` is the real one afterwards, `served` counts the answers.  Raises `NotADirectoryError`, the host's
    `OSError` for an address that cannot be had.
    """

    def __init__(self, root: str | Path, address: tuple[str, int] = ("127.0.0.1", 8000), workers: int = 4) -> None:
        self.root = Path(root).resolve()
        if not self.root.is_dir():
            raise NotADirectoryError(f"not a directory: {root}")
        self.served = 0
        self.connections: set[Connection] = set()
        self._listener = Listener(address)
        self.address: tuple[str, int] = self._listener.sock.getsockname()
        self.port = CompletionPort()
        self.port.associate(self._listener, self._accepted)
        self._workers: list[SpawnedThread[None]] = [spawn(work, self.port) for _ in range(workers)]
        for _ in range(ACCEPTS_AHEAD):
            self._listener.accept()

    def _accepted(self, packet: Packet) -> None:
        """An accept has ended: begin the next one, and serve this connection."""
        try:
            self._listener.accept()
        except (ValueError, OSError):  # closed, or no descriptors left: one accept fewer
            pass
        if packet.error is None:
            connection = Connection(self, packet.overlapped.socket)
            self.connections.add(connection)
            connection.receive()

    def wait(self) -> None:
        """Wait for the workers, which only end when the server is closed.  Blocks; Ctrl-C ends it."""
        for worker in self._workers:
            worker.join()

    def close(self) -> None:
        """Stop: end the accepts, the workers and the connections; once more does nothing.  Waits for the workers."""
        if self.port.closed:
            return
        self._listener.close()
        for _ in self._workers:
            self.port.post(key=None)
        for worker in self._workers:
            worker.join()
        for connection in list(self.connections):
            connection.close()
        self.port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Connection:
    """One client.  At any time one operation is under way, and the method named there takes its packet."""

    def __init__(self, server: StaticServer, sock: Socket) -> None:
        self._server = server
        self._socket = sock
        self._received = bytearray()
        self._file: File | None = None
        self._offset = 0
        self._left = 0
        self._keeps_open = True
        self._next: Callable[[Overlapped], None] = self._on_received
        server.port.associate(sock, self._go_on)

    def receive(self) -> None:
        """Start to receive (more of) a request."""
        self._begin(self._on_received, lambda: self._socket.recv(CHUNK_BYTES))

    def close(self) -> None:
        """End the connection; what was sent still goes out."""
        self._server.connections.discard(self)
        self._socket.close()
        if self._file is not None:
            self._file.close()

    def _begin(self, then: Callable[[Overlapped], None], start: Callable[[], Overlapped]) -> None:
        self._next = then
        try:
            start()
        except (OSError, ValueError):  # the peer is gone, or the server is being closed
            self.close()

    def _go_on(self, packet: Packet) -> None:
        if packet.error is not None:
            self.close()
        else:
            self._next(packet.overlapped)

    def _on_received(self, done: Overlapped) -> None:
        if not done.bytes:
            self.close()
            return
        self._received += done.data
        self._answer_if_complete()

    def _answer_if_complete(self) -> None:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if end:
            self._received = rest
            self._answer(head.decode("latin-1"))
        elif len(head) > MOST_HEAD_BYTES:
            self._keeps_open = False
            self._send_error("431 Request Header Fields Too Large", with_body=True)
        else:
            self.receive()

    def _answer(self, head: str) -> None:
        line, *fields = head.split("\r\n")
        method, target, version = (*line.split(" "), "", "")[:3]
        options = {name.strip().lower(): value.strip().lower() for name, _, value in (f.partition(":") for f in fields)}
        default = "keep-alive" if version == "HTTP/1.1" else "close"
        has_body = options.get("content-length", "0") != "0" or "transfer-encoding" in options
        self._keeps_open = options.get("connection", default) == "keep-alive" and not has_body
        if not version.startswith("HTTP/1."):
            self._keeps_open = False
            self._send_error("400 Bad Request", with_body=True)
        elif method not in ("GET", "HEAD"):
            self._send_error("405 Method Not Allowed", with_body=True, extra="Allow: GET, HEAD\r\n")
        else:
            self._send_file(target, with_body=method == "GET")

    def _send_file(self, target: str, *, with_body: bool) -> None:
        path = self._find(target)
        try:
            if path is None:
                raise FileNotFoundError
            self._file = File(path)
        except (Win32Error, OSError):
            self._send_error("404 Not Found", with_body=with_body)
            return
        self._server.port.associate(self._file, self._go_on)
        size = path.stat().st_size
        self._offset, self._left = 0, size if with_body else 0
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._send_head("200 OK", kind, size)

    def _find(self, target: str) -> Path | None:
        """The regular file that the target of a request names, or None; nothing outside of the root."""
        root = self._server.root
        try:
            path = (root / unquote(urlsplit(target).path).lstrip("/")).resolve()
            if path.is_dir():
                path /= "index.html"
            below = path.relative_to(root).parts
            is_served = path.is_file() and not any(part.startswith(".") for part in below)
        except (ValueError, OSError):
            return None
        return path if is_served else None

    def _send_error(self, status: str, *, with_body: bool, extra: str = "") -> None:
        body = f"{status}\n".encode()
        self._left = 0
        self._send_head(status, "text/plain", len(body), extra, body if with_body else b"")

    def _send_head(self, status: str, kind: str, size: int, extra: str = "", body: bytes = b"") -> None:
        self._server.served += 1
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n"
            f"Connection: {'keep-alive' if self._keeps_open else 'close'}\r\n{extra}\r\n"
        )
        self._begin(self._on_sent, lambda: self._socket.send(head.encode("latin-1") + body))

    def _on_sent(self, done: Overlapped) -> None:
        file = self._file
        if file is not None and self._left:
            size = min(self._left, CHUNK_BYTES)
            self._begin(self._on_read, lambda: file.read(size, self._offset))
            return
        if file is not None:
            self._file = None
            file.close()
        if self._keeps_open:
            self._answer_if_complete()
        else:
            self.close()

    def _on_read(self, done: Overlapped) -> None:
        self._offset += done.bytes
        self._left -= done.bytes
        self._begin(self._on_sent, lambda: self._socket.send(done.data))
