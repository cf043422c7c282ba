"""asyncio on the emulated port: installing, leaving nothing behind, and the three ways to use it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from iocp_emu.compat import asyncio as compat
from iocp_emu.compat.asyncio import install, make_default

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 60


def python(*arguments: str, **rest: Any) -> subprocess.CompletedProcess[str]:
    """Run this interpreter with the checkout on its path; warnings are errors there too."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=environment, capture_output=True, text=True, timeout=SECONDS, check=False, **rest,
    )  # fmt: skip


def run(code: str) -> str:
    """What this program prints; it must end well and say nothing else."""
    done = python("-c", textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


FINGERPRINT = """
import asyncio, socket, sys, threading
def fingerprint():
    return (
        sys.platform, sorted(vars(socket.socket)), [vars(socket.socket)[n] for n in ("close", "_real_close")],
        {n: v for n, v in vars(asyncio).items() if "Loop" in n or n[:7] in ("windows", "IocpPro", "__getat")},
        asyncio.events._event_loop_policy, sorted(n for n in sys.modules if "windows_" in n), list(sys.meta_path),
        [n for n in ("msvcrt", "_winapi", "_overlapped") if n in sys.modules],
        sorted(t.name for t in threading.enumerate()),
    )
"""


def test_without_install_nothing_is_changed() -> None:
    """Importing the package changes nothing; install and uninstall leave nothing behind."""
    run(
        FINGERPRINT
        + """
import time
before = fingerprint()
import iocp_emu, iocp_emu.compat, iocp_emu.compat.asyncio, iocp_emu.compat.pytest_proactor
from iocp_emu.overlapped.reactor import REACTOR
assert fingerprint() == before
with iocp_emu.compat.asyncio.install() as installed:
    loop = installed.ProactorEventLoop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert fingerprint() != before
deadline = time.monotonic() + 30
while REACTOR.is_running and time.monotonic() < deadline:
    time.sleep(0.01)
for thread in threading.enumerate():
    if thread.name in ("iocp_emu reactor", "iocp_emu timers"):
        thread.join()
assert fingerprint() == before, (fingerprint(), before)
"""
    )


@pytest.mark.parametrize("first", ["import asyncio", "import iocp_emu.compat.asyncio", "import socket, subprocess"])
def test_provide(first: str) -> None:
    """clients issue, point 5: whatever was imported first; own files, unchanged code objects; the host stays."""
    out = run(
        f"""
        {first}
        from iocp_emu.compat.asyncio import provide
        modules = provide()
        assert provide() == modules
        import asyncio, os, sys
        assert sys.platform == {sys.platform!r} and "msvcrt" not in sys.modules and "_winapi" not in sys.modules
        for module in (asyncio.windows_events, asyncio.windows_utils):
            assert modules[module.__name__] is module is sys.modules[module.__name__]
            assert os.path.dirname(module.__file__) == os.path.dirname(asyncio.__file__)
            with open(module.__file__, "rb") as file:
                whole = compile(file.read(), module.__file__, "exec", dont_inherit=True)
            assert module.__spec__.loader.get_code(module.__name__) == whole
            def codes(code):
                yield code
                for constant in code.co_consts:
                    if hasattr(constant, "co_code"):
                        yield from codes(constant)
            compiled = set(codes(whole))
            for value in vars(module).values():
                for function in [value, *getattr(value, "__dict__", {{}}).values()]:
                    if getattr(function, "__module__", "") == module.__name__ and hasattr(function, "__code__"):
                        assert function.__code__ in compiled
        for name in ("_overlapped", "_winapi", "msvcrt", "sys", "errno", "signal", "socket", "subprocess"):
            assert name in modules
        assert modules["sys"].platform == "win32"
        assert asyncio.ProactorEventLoop is asyncio.windows_events.ProactorEventLoop
        loop = asyncio.ProactorEventLoop()
        print(loop.run_until_complete(asyncio.sleep(0, "done")))
        loop.close()
        default = asyncio.new_event_loop()
        assert type(default).__name__ != "ProactorEventLoop"
        default.close()
        """
    )
    assert out == "done\n"


def test_installing_twice_gives_the_same_classes() -> None:
    """The last uninstall counts; uninstalling one's own twice is harmless."""
    first = install()
    second = install()
    loop_class = first.ProactorEventLoop
    assert second.ProactorEventLoop is loop_class
    assert first.IocpProactor is asyncio.IocpProactor  # type: ignore[attr-defined]
    first.uninstall()
    first.uninstall()
    assert asyncio.ProactorEventLoop is loop_class  # type: ignore[attr-defined]
    second.uninstall()
    assert not hasattr(asyncio, "windows_events")


def test_an_interpreter_without_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear error, and nothing is installed."""
    meta_path = list(sys.meta_path)
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"this Python has no asyncio/windows_utils\.py"):
            install()
    assert sys.meta_path == meta_path
    assert not hasattr(asyncio, "ProactorEventLoop")


def test_names_on_windows_alone() -> None:
    """What asyncio has on Windows and not here: with the warning of Pythons that will do without it."""
    asynchronous: Any = asyncio
    with install() as installed:
        for name in ("WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                policy = getattr(asynchronous, name)
            assert policy.__module__ == "asyncio.windows_events"
            assert [each.category for each in caught] == [DeprecationWarning] * (sys.version_info >= (3, 14))
        assert asynchronous.IocpProactor is installed.IocpProactor
        with pytest.raises(AttributeError, match="nonsense"):
            _ = asynchronous.nonsense
    assert not hasattr(asyncio, "WindowsProactorEventLoopPolicy")
    assert not hasattr(asyncio, "IocpProactor")


def test_make_default_and_back() -> None:
    """Inside, new loops are proactor event loops, after a reset of the policy too; afterwards all is as before."""

    async def kind() -> str:
        return type(asyncio.get_running_loop()).__name__

    before = asyncio.run(kind())
    events: Any = asyncio.events  # its public names warn of the end of policies
    policy = events._event_loop_policy
    with make_default():
        assert asyncio.run(kind()) == "ProactorEventLoop"
        events._event_loop_policy = None
        assert asyncio.run(kind()) == "ProactorEventLoop"
    assert events._event_loop_policy is policy
    assert asyncio.run(kind()) == before


def test_loop_factory() -> None:
    """`loop_factory` for whoever takes one."""
    out = run(
        """
        import asyncio
        from iocp_emu.compat.asyncio import loop_factory
        loop = loop_factory()
        print(type(loop).__name__, loop.run_until_complete(asyncio.sleep(0, 5)))
        loop.close()
        """
    )
    assert out == "ProactorEventLoop 5\n"


def test_command_runs_a_script(tmp_path: Path) -> None:
    """`python -m iocp_emu.compat.asyncio script.py args`: proactor loops, the script's own argv and directory."""
    (tmp_path / "neighbour.py").write_text("NAME = 'neighbour'\n")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, sys, neighbour
            async def main():
                return type(asyncio.get_running_loop()).__name__
            if __name__ == "__main__":
                print(asyncio.run(main()), sys.argv[1:], neighbour.NAME, sys.platform)
                sys.exit(3)
            """
        )
    )
    done = python("-m", "iocp_emu.compat.asyncio", str(script), "-x", "--windows")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == f"ProactorEventLoop ['-x', '--windows'] neighbour {sys.platform}\n"
    as_guest = python("-m", "iocp_emu.compat.asyncio", "--windows", str(script), "y")
    assert (as_guest.returncode, as_guest.stdout) == (3, "ProactorEventLoop ['y'] neighbour win32\n")
    as_module = python("-m", "iocp_emu.compat.asyncio", "-m", "script", "z", cwd=tmp_path)
    assert as_module.stdout == f"ProactorEventLoop ['z'] neighbour {sys.platform}\n"


SUITE = """
import asyncio, sys, unittest
class Test(unittest.IsolatedAsyncioTestCase):
    async def test(self):
        print(type(asyncio.get_running_loop()).__name__, "iocp_emu" in sys.modules)
"""


@pytest.mark.parametrize(("option", "expected"), [("--proactor", "ProactorEventLoop True"), ("-q", "Unix")])
def test_pytest_option(tmp_path: Path, option: str, expected: str) -> None:
    """`pytest --proactor` runs anybody's suite on proactor loops; without the option nothing happens."""
    suite = tmp_path / "test_sample.py"
    suite.write_text(SUITE)
    module = "iocp_emu.compat.pytest_proactor"
    is_registered = any(each.value == module for each in importlib.metadata.entry_points(group="pytest11"))
    plugin = [] if is_registered else ["-p", module]
    done = python("-m", "pytest", "-s", "-p", "no:cacheprovider", *plugin, option, str(suite), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in done.stdout
    assert ("ProactorEventLoop on iocp_emu" in done.stdout) == (option == "--proactor")


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C while the loop waits on the port ends `asyncio.run` with KeyboardInterrupt, after its cleanup."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio
            async def main():
                try:
                    print("ready", flush=True)
                    await asyncio.sleep(1000)
                finally:
                    print("cleaned up", flush=True)
            try:
                asyncio.run(main())
            except KeyboardInterrupt:
                print("interrupted")
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    command = [sys.executable, "-m", "iocp_emu.compat.asyncio", str(script)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=SECONDS)
    assert (out, err, child.returncode) == ("cleaned up\ninterrupted\n", "", 0)


def test_echo_with_a_plain_client() -> None:
    """A server on the emulated port serves a client of the host that knows nothing of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
        writer.close()

    def client(address: Any) -> bytes:
        data = bytes(range(256)) * 1000
        received = b""
        with socket.create_connection(address, timeout=SECONDS) as sock:
            for start in range(0, len(data), 10_000):
                sock.sendall(data[start : start + 10_000])
                part = b""
                while len(part) < len(data[start : start + 10_000]):
                    part += sock.recv(100_000)
                received += part
        assert received == data
        return received

    async def main() -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        clients = [asyncio.to_thread(client, address) for _ in range(4)]
        sizes = [len(received) for received in await asyncio.gather(*clients)]
        server.close()
        await server.wait_closed()
        return sum(sizes)

    with install() as installed:
        loop = installed.ProactorEventLoop()
        try:
            assert loop.run_until_complete(main()) == 4 * 256_000
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()


def test_a_second_port_is_refused() -> None:
    """uvicorn#529: a socket that two loops accept on is WinError 87, as on Windows."""
    with install() as installed, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        first, second = installed.ProactorEventLoop(), installed.ProactorEventLoop()
        try:
            first._proactor._register_with_iocp(listener)
            with pytest.raises(OSError, match=r"\[WinError 87\] The parameter is incorrect") as caught:
                second._proactor._register_with_iocp(listener)
            assert getattr(caught.value, "winerror", None) == 87
        finally:
            first.close()
            second.close()


def test_module_names_are_one() -> None:
    """The command's file under its own name keeps no second state."""
    assert compat.view is compat.provide
