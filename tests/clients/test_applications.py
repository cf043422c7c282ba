"""Real applications on the emulated proactor event loop, and stock clients that know nothing of it.

Each server is a process of its own, as people start it; each client is another program, or one on the host's own loop.
What is not installed is skipped, and said.

The story of uvicorn's issues 477, 509, 514, 529, 1317 is told at the end: a listener that two processes accept from.
On Windows the second of them is refused (`CreateIoCompletionPort` gives 87), because the association belongs to the
file object that both share (C-06, C-12).  uvicorn goes round it by the selector's loop wherever it has several
processes; with a loop of one's own choice it is still there.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 60
LOOP = "iocp_emu.compat.asyncio:loop_factory"


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skips where one of these packages is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (the extra `dev` has it)")


def needs_command(name: str) -> pytest.MarkDecorator:
    """Skips where this program is not on PATH."""
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"the program {name} is not installed")


# -- servers and clients -------------------------------------------------------------------------------------------


class Server:
    """A running server; `said()` is what it has written so far."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self.url = ""

    def said(self) -> str:
        """Its standard output and its standard error."""
        return self._log.read_text()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until it has said something that matches."""
        deadline = time.monotonic() + SECONDS
        while (found := re.search(pattern, self.said())) is None:
            assert time.monotonic() < deadline, f"no {pattern!r}:\n{self.said()}"
            assert self.process.poll() is None, f"ended before {pattern!r}:\n{self.said()}"
            time.sleep(0.02)
        return found

    def get(self) -> bytes:
        """What it answers at its root."""
        with urllib.request.urlopen(self.url, timeout=SECONDS) as answer:
            data: bytes = answer.read()
        return data

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS)


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `python ARGUMENTS` in the test's directory; each group of processes is gone at the end."""
    started: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(tmp_path)])}
    environment |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*arguments: str, pattern: str = r"(http://127\.0\.0\.1:\d+)") -> Server:
        log = tmp_path / f"log{len(started)}"
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        server = Server(process, log)
        server.url = server.wait_for(pattern)[1]
        return server

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(SECONDS)


def script(directory: Path, name: str, code: str) -> str:
    """Write a script; its path."""
    path = directory / name
    path.write_text(textwrap.dedent(code))
    return str(path)


AIOHTTP_SERVER = """
    import asyncio, socket, sys
    from aiohttp import WSMsgType, web

    async def hello(request):
        return web.Response(text=type(asyncio.get_running_loop()).__name__)

    async def echo(request):
        return web.Response(body=await request.read())

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(64):
            await response.write(bytes([number]) * 16384)
        await response.write_eof()
        return response

    async def talk(request):
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                await connection.send_str(message.data[::-1])
        return connection

    app = web.Application(client_max_size=1 << 24)
    app.add_routes([web.get("/", hello), web.post("/echo", echo), web.get("/stream", stream), web.get("/talk", talk)])
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    web.run_app(app, sock=listener, print=None, access_log=None)
"""

ASGI_APPLICATION = """
    import asyncio, os, socket

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = body or f"{type(asyncio.get_running_loop()).__name__} {os.getpid()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-loop", b"here")]})
        await send({"type": "http.response.body", "body": body})
"""

STREAM = b"".join(bytes([number]) * 16384 for number in range(64))


@pytest.fixture
def aiohttp_server(start: Start, tmp_path: Path) -> Server:
    """A web server of aiohttp on the proactor event loop."""
    return start("-m", "iocp_emu.compat.asyncio", script(tmp_path, "server.py", AIOHTTP_SERVER))


@pytest.fixture
def uvicorn_server(start: Start, tmp_path: Path) -> Server:
    """uvicorn by its own command, with our loop."""
    script(tmp_path, "application.py", ASGI_APPLICATION)
    return start("-m", "uvicorn", "application:app", "--port", "0", "--loop", LOOP, "--no-access-log")


def check_load_of_ab(url: str) -> None:
    """ApacheBench: 2,000 requests over 50 connections that are kept, and 300 over new ones; none fails."""
    for options in (["-k", "-n", "2000", "-c", "50"], ["-n", "300", "-c", "20"]):
        done = subprocess.run(
            ["ab", "-q", *options, f"{url}/"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        assert re.search(rf"Complete requests: +{options[-3]}\n", done.stdout), done.stdout
        assert re.search(r"Failed requests: +0\n", done.stdout), done.stdout
        assert "Non-2xx" not in done.stdout


def check_load_of_wrk(url: str) -> None:
    """wrk: as many requests as go into two seconds over 40 connections; no error."""
    done = subprocess.run(
        ["wrk", "-t", "1", "-c", "40", "-d", "2s", "--timeout", "30s", f"{url}/"],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    requests = re.search(r"(\d+) requests in", done.stdout)
    assert requests is not None, done.stdout
    assert int(requests[1]) > 100, done.stdout
    assert not re.search("Socket errors|Non-2xx", done.stdout), done.stdout


async def load_of_httpx(url: str) -> None:
    """40 clients at once with 10 requests each, bodies from nothing to 200 KB; what is sent comes back."""
    import httpx

    async with httpx.AsyncClient(base_url=url, timeout=SECONDS, limits=httpx.Limits(max_connections=40)) as client:

        async def one(number: int) -> None:
            for step in range(10):
                body = bytes([number, step]) * (step * 10_000 + 1)
                answer = await client.post("/echo", content=body)
                assert (answer.status_code, answer.content) == (200, body)

        await asyncio.gather(*map(one, range(40)))


# -- servers -------------------------------------------------------------------------------------------------------


@needs("aiohttp", "httpx")
def test_aiohttp_server_under_load_from_httpx(aiohttp_server: Server) -> None:
    """clients issue: 400 requests from a stock client on the host's own loop, then a clean end by Ctrl-C."""
    assert aiohttp_server.get() == b"ProactorEventLoop"
    asyncio.run(load_of_httpx(aiohttp_server.url))
    assert (aiohttp_server.stop(), aiohttp_server.said()) == (0, f"{aiohttp_server.url}\n")


@needs("aiohttp")
@needs_command("ab")
def test_aiohttp_server_under_load_from_ab(aiohttp_server: Server) -> None:
    """clients issue: ApacheBench finds no failed request."""
    check_load_of_ab(aiohttp_server.url)
    assert (aiohttp_server.stop(), aiohttp_server.said()) == (0, f"{aiohttp_server.url}\n")


@needs("aiohttp")
@needs_command("wrk")
def test_aiohttp_server_under_load_from_wrk(aiohttp_server: Server) -> None:
    """clients issue: wrk finds no socket error."""
    check_load_of_wrk(aiohttp_server.url)
    assert aiohttp_server.get() == b"ProactorEventLoop"


@needs("aiohttp")
@needs_command("curl")
def test_aiohttp_server_streams_to_curl(aiohttp_server: Server) -> None:
    """A megabyte in chunks arrives whole, and so does one that is sent."""
    for path, options, data in (("/stream", [], b""), ("/echo", ["--data-binary", "@-"], STREAM)):
        command = ["curl", "-sS", *options, aiohttp_server.url + path]
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=False)
        assert (done.stdout == STREAM, done.stderr) == (True, b"")


@needs("uvicorn", "httpx")
def test_uvicorn_under_load_from_httpx(uvicorn_server: Server) -> None:
    """clients issue: 400 requests from a stock client; then a clean end by Ctrl-C."""
    assert uvicorn_server.get().startswith(b"ProactorEventLoop ")
    asyncio.run(load_of_httpx(uvicorn_server.url))
    uvicorn_server.stop()
    assert "Application shutdown complete." in uvicorn_server.said()
    assert not re.search("ERROR|Traceback", uvicorn_server.said()), uvicorn_server.said()


@needs("uvicorn")
@needs_command("ab")
def test_uvicorn_under_load_from_ab(uvicorn_server: Server) -> None:
    """clients issue: ApacheBench finds no failed request."""
    check_load_of_ab(uvicorn_server.url)
    assert "ERROR" not in uvicorn_server.said()


# -- clients -------------------------------------------------------------------------------------------------------


class Echo(http.server.BaseHTTPRequestHandler):
    """A stock server of the standard library that sends back what it gets."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """The body again."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class EchoServer(http.server.ThreadingHTTPServer):
    """Room for many connections at once."""

    request_queue_size = 128


@pytest.fixture
def plain_server() -> Iterator[str]:
    """The URL of a server that has nothing to do with completion ports."""
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


CLIENTS = {
    "aiohttp": """
        import aiohttp, asyncio, sys

        async def main():
            connector = aiohttp.TCPConnector(limit=30)
            async with aiohttp.ClientSession(connector=connector) as session:
                async def one(number):
                    for step in range(10):
                        body = bytes([number, step]) * (step * 10_000 + 1)
                        async with session.post(sys.argv[1], data=body) as answer:
                            assert (answer.status, await answer.read()) == (200, body)
                await asyncio.gather(*map(one, range(30)))
            return type(asyncio.get_running_loop()).__name__

        print(asyncio.run(main()))
    """,
    "httpx": """
        import asyncio, httpx, sys

        async def main():
            async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=30)) as client:
                async def one(number):
                    for step in range(10):
                        body = bytes([number, step]) * (step * 10_000 + 1)
                        answer = await client.post(sys.argv[1], content=body)
                        assert (answer.status_code, answer.content) == (200, body)
                await asyncio.gather(*map(one, range(30)))
            return type(asyncio.get_running_loop()).__name__

        print(asyncio.run(main()))
    """,
}

CONVERSATION = """
    import aiohttp, asyncio, sys

    async def main():
        async with aiohttp.ClientSession(sys.argv[1]) as session:
            async with session.ws_connect("/talk") as connection:
                for size in (1, 100, 100_000, 1_000_000):
                    await connection.send_str("ab" * size)
                    assert await connection.receive_str(timeout=30) == "ba" * size
            async with session.get("/stream") as answer:
                return len(await answer.read())

    print(asyncio.run(main()))
"""


def output_of(path: str, url: str) -> str:
    """What a client on the proactor event loop prints; it must end well and say nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "iocp_emu.compat.asyncio", path, url],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("client", [pytest.param(name, marks=needs(name)) for name in CLIENTS])
def test_clients_on_the_loop(client: str, plain_server: str, tmp_path: Path) -> None:
    """clients issue: aiohttp and httpx as clients, 300 requests over 30 connections to a stock server."""
    assert output_of(script(tmp_path, "client.py", CLIENTS[client]), plain_server) == "ProactorEventLoop\n"


@needs("aiohttp")
def test_aiohttp_with_itself(aiohttp_server: Server, tmp_path: Path) -> None:
    """clients issue: both ends on the emulated loop: a conversation by websocket, and a stream."""
    assert output_of(script(tmp_path, "client.py", CONVERSATION), aiohttp_server.url) == f"{len(STREAM)}\n"


# -- a bug of Windows on any host ----------------------------------------------------------------------------------

ACCEPT_FAILED = r"Accept failed on a socket\n(?:.*\n)+?.*\[WinError 87\] The parameter is incorrect"
can_share = pytest.mark.skipif(sys.platform != "linux", reason="processes hear of each other's associations on Linux")


def workers_of(server: Server, count: int) -> None:
    """Wait until so many processes have started in all."""
    server.wait_for(rf"(?:(?:.*\n)*?.*Application startup complete\.){{{count}}}")


@can_share
@needs("uvicorn")
def test_uvicorn_529_workers(start: Start, tmp_path: Path) -> None:
    """uvicorn issues 514 and 1317: of two workers on one listener, the second cannot accept (C-06, C-12)."""
    script(tmp_path, "application.py", ASGI_APPLICATION)
    server = start("-m", "uvicorn", "application:app", "--port", "0", "--workers", "2", "--loop", LOOP)
    workers_of(server, 2)
    server.wait_for(ACCEPT_FAILED)
    assert len(re.findall("Accept failed on a socket", server.said())) == 1
    answers = {server.get().split()[1] for _ in range(6)}
    assert len(answers) == 1


@can_share
@needs("uvicorn")
def test_uvicorn_529_reload(start: Start, tmp_path: Path) -> None:
    """uvicorn issues 477, 509, 529: after a reload nobody accepts; the parent has kept the listener (C-13)."""
    script(tmp_path, "application.py", ASGI_APPLICATION)
    server = start("-m", "uvicorn", "application:app", "--port", "0", "--reload", "--loop", LOOP)
    workers_of(server, 1)
    assert server.get().startswith(b"ProactorEventLoop")
    script(tmp_path, "application.py", ASGI_APPLICATION.replace("here", "there"))
    server.wait_for(r"Reloading\.\.\.")
    server.wait_for(ACCEPT_FAILED)
    with pytest.raises((TimeoutError, urllib.error.URLError)):
        urllib.request.urlopen(server.url, timeout=1)


@can_share
@needs("uvicorn")
def test_uvicorn_workers_on_the_selector_loop(start: Start, tmp_path: Path) -> None:
    """What uvicorn does about it, seen from here: the other loop associates nothing, and both workers live."""
    script(tmp_path, "application.py", ASGI_APPLICATION)
    server = start("-m", "uvicorn", "application:app", "--port", "0", "--workers", "2", "--loop", "asyncio")
    workers_of(server, 2)
    assert server.get().startswith(b"_UnixSelectorEventLoop")
    assert "Accept failed" not in server.said()
