"""The static file server: what stock clients get from it, and that nothing of it is left."""

from __future__ import annotations

import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

from iocp_emu.overlapped.reactor import REACTOR
from iocp_emu.teach.serve import StaticServer
from tests.overlapped.support import eventually, open_descriptors

TEXT = bytes(range(256)) * 900  # several chunks


def make_root(parent: Path) -> Path:
    """Some files, and one beside them that must not be served."""
    root = parent / "root"
    (root / "below").mkdir(parents=True)
    (root / "index.html").write_text("<h1>index</h1>")
    (root / "below" / "data.bin").write_bytes(TEXT)
    (root / "empty").write_bytes(b"")
    (root / "a b+c").write_bytes(b"spaces")
    (root / ".hidden").write_bytes(b"hidden")
    (parent / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(parent / "secret")
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[StaticServer]:
    """One server for all."""
    with StaticServer(make_root(tmp_path_factory.mktemp("served")), ("127.0.0.1", 0), workers=3) as server:
        yield server


def url(server: StaticServer, path: str) -> str:
    """The address of a file."""
    return f"http://{server.address[0]}:{server.address[1]}{path}"


def raw(server: StaticServer, request: bytes) -> bytes:
    """What comes back on a connection of its own, up to the end."""
    with socket.create_connection(server.address) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        parts: list[bytes] = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/", b"<h1>index</h1>"),
        ("/index.html?x=1", b"<h1>index</h1>"),
        ("/below/data.bin", TEXT),
        ("/empty", b""),
        ("/a%20b+c", b"spaces"),
    ],
)
def test_files_are_served(server: StaticServer, path: str, content: bytes) -> None:
    """I-02, I-05, I-52: what the file holds is what a client gets."""
    with urllib.request.urlopen(url(server, path)) as answer:
        assert answer.read() == content


@pytest.mark.parametrize("path", ["/nothing", "/below/", "/.hidden", "/../secret", "/%2e%2e/secret", "/link", "/a%00b"])
def test_nothing_else_is(server: StaticServer, path: str) -> None:
    """Outside of the root, hidden or not there: 404."""
    assert raw(server, f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()).startswith(b"HTTP/1.1 404 ")


def test_connections_are_kept(server: StaticServer) -> None:
    """Several requests of one client, GET and HEAD, one connection."""
    client = http.client.HTTPConnection(*server.address)
    for method, content in (("GET", TEXT), ("HEAD", b""), ("GET", TEXT)):
        client.request(method, "/below/data.bin")
        answer = client.getresponse()
        assert (answer.status, answer.getheader("Content-Length")) == (200, str(len(TEXT)))
        assert answer.read() == content
    assert len(server.connections) == 1
    client.close()
    eventually(lambda: not server.connections, "the connection has ended")


def test_requests_that_come_at_once_are_answered_in_order(server: StaticServer) -> None:
    """Pipelined requests, cut anywhere."""
    answers = raw(server, b"GET / HTTP/1.1\r\n\r\nGET /empty HTTP/1.1\r\n\r\nHEAD / HTTP/1.0\r\n\r\n")
    assert answers.count(b"200 OK") == 3
    assert answers.index(b"<h1>") < answers.index(b"Content-Length: 0")
    with socket.create_connection(server.address) as slow:
        for byte in b"GET /empty HTTP/1.1\r\nConnection: close\r\n\r\n":
            slow.sendall(bytes([byte]))
        assert slow.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"\x00\xff" * 20_000, b"431"),
    ],
)
def test_nonsense_is_answered_and_cut_off(server: StaticServer, request_: bytes, status: bytes) -> None:
    """A bad request has an answer, and others are not harmed."""
    assert raw(server, request_).split(b" ", 2)[1] == status
    assert raw(server, b"GET /empty HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_peers_that_vanish_do_no_harm(server: StaticServer) -> None:
    """I-43, table 6.6: resets and half requests end their own connection only."""
    for data in (b"", b"GET /below/da", b"GET /below/data.bin HTTP/1.1\r\n\r\n"):
        peer = socket.create_connection(server.address)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.sendall(data)
        peer.close()
    eventually(lambda: not server.connections, "all connections have ended")
    assert raw(server, b"GET / HTTP/1.0\r\n\r\n").endswith(b"<h1>index</h1>")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_gets_what_the_file_holds(server: StaticServer) -> None:
    """A stock client."""
    done = subprocess.run(["curl", "-sS", url(server, "/below/data.bin")], capture_output=True, check=True)
    assert done.stdout == TEXT


def test_a_root_that_is_none_is_refused(tmp_path: Path) -> None:
    """Bad input: a clear error, and nothing is open."""
    with pytest.raises(NotADirectoryError, match="not a directory"):
        StaticServer(tmp_path / "nowhere")


def test_nothing_is_left_of_a_server(tmp_path: Path) -> None:
    """H-05, I-43: closed with connections open, it gives back descriptors, threads and the port."""
    eventually(lambda: REACTOR.watched > 0 or not REACTOR.is_running, "the reactor is at rest or in use")
    before = open_descriptors()
    server = StaticServer(make_root(tmp_path), ("127.0.0.1", 0), workers=3)
    with server, socket.create_connection(server.address) as idle:
        assert raw(server, b"GET /below/data.bin HTTP/1.0\r\n\r\n").endswith(TEXT)
        eventually(lambda: bool(server.connections), "the idle one is accepted")
        threads = threading.active_count()
        server.close()
        assert idle.recv(1) == b""
        assert server.port.freed
        assert not server.connections
    # A worker that has been waited for is out of its function, and leaves Python a moment later.
    eventually(lambda: threading.active_count() <= threads - 3, "the workers are gone")
    eventually(lambda: open_descriptors() <= before, "all descriptors are closed")


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """`iocp-emu serve`: says where, serves, ends at Ctrl-C."""
    command = [sys.executable, "-m", "iocp_emu", "serve", str(make_root(tmp_path)), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        with urllib.request.urlopen(address) as answer:
            assert answer.read() == b"<h1>index</h1>"
        with pytest.raises(urllib.error.HTTPError, match="404") as refusal:
            urllib.request.urlopen(address + "nothing")
        refusal.value.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def _resident_kilobytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _load(server: StaticServer, connections: int, requests: int) -> None:
    """Ask from another process, so that only the server is in this one."""
    arguments = [*map(str, server.address), str(connections), str(requests)]
    subprocess.run([sys.executable, str(Path(__file__).with_name("http_load.py")), *arguments], check=True)
    eventually(lambda: not server.connections, "all connections have ended")


def test_many_connections_at_once(server: StaticServer) -> None:
    """I-05: 200 connections, 1,000 requests, each answered once."""
    served = server.served
    _load(server, 200, 1_000)
    assert server.served == served + 1_000


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_thousand_connections_and_flat_memory(server: StaticServer) -> None:
    """I-05: 1,000 connections open at once; over 100,000 requests no error, and memory stays as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        _load(server, 1_000, 10_000)
        before = _resident_kilobytes()
        _load(server, 1_000, 100_000)
        assert _resident_kilobytes() < before * 1.1 + 2_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
