"""The one way in for other people's harnesses: `provide()`, in fresh processes, under every interpreter that is here.

A harness knows nothing of this package but three names.  It calls one in a new process, and then runs Windows code with
an `import` of its own, which finds what the call has returned.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import typing_extensions

from tests.clients.run_asyncio import has_module, interpreters

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 120

OVERLAPPED_NAMES = """
    CreateIoCompletionPort GetQueuedCompletionStatus PostQueuedCompletionStatus RegisterWaitWithQueue UnregisterWait
    UnregisterWaitEx CreateEvent SetEvent ResetEvent BindLocal WSAConnect ConnectPipe FormatMessage ERROR_IO_PENDING
    ERROR_NETNAME_DELETED ERROR_OPERATION_ABORTED ERROR_SEM_TIMEOUT ERROR_PIPE_BUSY ERROR_PORT_UNREACHABLE INFINITE
    INVALID_HANDLE_VALUE NULL SO_UPDATE_ACCEPT_CONTEXT SO_UPDATE_CONNECT_CONTEXT TF_REUSE_SOCKET Overlapped
"""
METHODS = """
    address event error pending ReadFile ReadFileInto WSARecv WSARecvInto WSARecvFrom WSARecvFromInto WriteFile WSASend
    WSASendTo AcceptEx ConnectEx DisconnectEx TransmitFile ConnectNamedPipe getresult cancel
"""
WINAPI_NAMES = """
    CloseHandle CreateNamedPipe CreateFile ConnectNamedPipe WaitForSingleObject WaitForMultipleObjects NULL INFINITE
    WAIT_OBJECT_0 WAIT_TIMEOUT ERROR_IO_PENDING PIPE_ACCESS_INBOUND PIPE_ACCESS_DUPLEX FILE_FLAG_OVERLAPPED
    FILE_FLAG_FIRST_PIPE_INSTANCE PIPE_TYPE_MESSAGE PIPE_READMODE_MESSAGE PIPE_WAIT PIPE_UNLIMITED_INSTANCES
    NMPWAIT_WAIT_FOREVER GENERIC_READ GENERIC_WRITE OPEN_EXISTING
"""

HARNESS = """
import builtins, importlib, importlib.util, sys, types

def way_in(name):
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)()

def windows_import(provided):
    def find(name, globals=None, locals=None, fromlist=(), level=0):
        if level == 0 and name in provided and (fromlist or "." not in name):
            return provided[name]
        return builtins.__import__(name, globals, locals, fromlist, level)
    return find

def load(path, name, provided):
    module = types.ModuleType(name)
    module.__file__ = path
    if name.startswith("test."):
        module.__package__ = name.rpartition(".")[0]
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": windows_import(provided)}
    sys.modules[name] = module
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec", dont_inherit=True), module.__dict__)
    return module
"""


# Other interpreters than the running one are the same again: a long run.
PYTHONS = [
    pytest.param(path, id=Path(path).resolve().name, marks=[] if path == sys.executable else [pytest.mark.slow])
    for path in interpreters()
]


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    """Each interpreter in turn."""
    return str(request.param)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Where a bare interpreter finds the package and what it needs."""
    shutil.copy(str(typing_extensions.__file__), tmp_path)
    (tmp_path / "harness.py").write_text(HARNESS)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(tmp_path)])}


def run(python: str, environment: dict[str, str], code: str) -> str:
    """What a program in a new process prints; warnings are errors, and it must say nothing else."""
    done = subprocess.run(
        [python, "-W", "error", "-c", textwrap.dedent(code)],
        env=environment, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    assert not done.stderr
    return done.stdout


CHECK_OF_ASYNCIO = f"""
import sys
import asyncio, os, warnings

def codes(code):
    yield code
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            yield from codes(constant)

def check(modules, platform):
    assert sys.platform == platform, sys.platform
    assert not {{"msvcrt", "_winapi", "_overlapped"}} & set(sys.modules)
    for name in ("asyncio.windows_events", "asyncio.windows_utils"):
        module = sys.modules[name]
        assert modules[name] is module is getattr(asyncio, name.partition(".")[2])
        assert os.path.dirname(module.__file__) == os.path.dirname(asyncio.__file__)
        with open(module.__file__, "rb") as file:
            compiled = set(codes(compile(file.read(), module.__file__, "exec", dont_inherit=True)))
        functions = 0
        for value in vars(module).values():
            for function in [value, *getattr(value, "__dict__", {{}}).values()]:
                function = getattr(function, "__func__", function)
                if getattr(function, "__module__", "") == name and hasattr(function, "__code__"):
                    assert function.__code__ in compiled, function
                    functions += 1
        assert functions > 2
    for name in {OVERLAPPED_NAMES.split()!r}:
        assert hasattr(modules["_overlapped"], name), name
    for name in {METHODS.split()!r}:
        assert hasattr(modules["_overlapped"].Overlapped, name), name
    for name in {WINAPI_NAMES.split()!r}:
        assert hasattr(modules["_winapi"], name), name
    for name in "open_osfhandle get_osfhandle".split():
        assert hasattr(modules["msvcrt"], name), name
    assert modules["sys"].platform == "win32" and modules["errno"].WSAEINVAL == 10022
    for name in "ProactorEventLoop IocpProactor WindowsProactorEventLoopPolicy WindowsSelectorEventLoopPolicy".split():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # policies end with Python 3.16
            own = [getattr(asyncio.windows_events, each, None) for each in (name, f"_{{name}}")]
            assert getattr(asyncio, name) in own, name
    async def main():
        server = await asyncio.start_server(lambda r, w: (w.write(b"done"), w.close()), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        text = await reader.read()
        writer.close()
        server.close()
        await server.wait_closed()
        return text.decode()
    loop = asyncio.ProactorEventLoop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()
"""

WAYS_TO_CALL = {
    "first of all": "modules = way_in('iocp_emu.compat.asyncio:provide')",
    "asyncio before": "import asyncio; modules = way_in('iocp_emu.compat.asyncio:provide')",
    "much before": "import asyncio, socket, subprocess, ssl, multiprocessing, unittest; asyncio.run(asyncio.sleep(0)); "
    "modules = way_in('iocp_emu.compat.asyncio:provide')",
    "twice": "modules = way_in('iocp_emu.compat.asyncio:provide'); "
    "assert way_in('iocp_emu.compat.asyncio:provide') == modules",
    "in a thread": "import threading; found = []; "
    "thread = threading.Thread(target=lambda: found.append(way_in('iocp_emu.compat.asyncio:provide'))); "
    "thread.start(); thread.join(); modules, = found",
    "after pywin32": "way_in('iocp_emu.compat.pywin32:provide'); modules = way_in('iocp_emu.compat.asyncio:provide')",
}


@pytest.mark.parametrize("how", WAYS_TO_CALL)
def test_asyncio(python: str, environment: dict[str, str], tmp_path: Path, how: str) -> None:
    """clients issue, 5: own files, unchanged code objects, all names of clients.md 2 to 4, the host as it was."""
    (tmp_path / "checks.py").write_text(CHECK_OF_ASYNCIO)
    out = run(
        python,
        environment,
        f"""
        import sys
        platform = sys.platform
        from harness import way_in
        {WAYS_TO_CALL[how]}
        from checks import check
        print(check(modules, platform))
        """,
    )
    assert out == "done\n"


@pytest.mark.parametrize("name", ["test_windows_utils", "test_windows_events"])
def test_tests_of_the_standard_library(python: str, environment: dict[str, str], name: str) -> None:
    """clients issue, 5: a harness with nothing but the mapping runs CPython's own tests of the two modules."""
    if not has_module(python, name):
        pytest.skip(f"this interpreter has no tests of its own (test.test_asyncio.{name})")
    out = run(
        python,
        environment,
        f"""
        import warnings
        warnings.simplefilter("default")
        from harness import load, way_in
        provided = way_in("iocp_emu.compat.asyncio:provide")
        import asyncio, importlib.util, io, unittest
        # The default is left to the harness: these two are what asyncio has under these names on Windows.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # policies end with Python 3.16
            asyncio.set_event_loop_policy(asyncio.WindowsProactorEventLoopPolicy())
        asyncio.SelectorEventLoop = asyncio.windows_events.SelectorEventLoop
        import test.test_asyncio
        name = "test.test_asyncio.{name}"
        module = load(importlib.util.find_spec(name).origin, name, provided)
        # One looks at the clock only after its wait has begun, and so finds it short on a machine that is busy.
        if {name!r} == "test_windows_events":
            del module.ProactorTests.test_wait_for_handle
        suite = unittest.defaultTestLoader.loadTestsFromModule(module)
        result = unittest.TextTestRunner(io.StringIO()).run(suite)
        for test, trace in result.failures + result.errors:
            print(test.id(), trace)
        print(result.testsRun > 2, len(result.failures), len(result.errors))
        """,
    )
    assert out == "True 0 0\n"


PYWIN32_PROGRAM = r"""
import pywintypes, win32api, win32con, win32event, win32file, win32pipe, winerror, ntsecuritycon
port = win32file.CreateIoCompletionPort(win32file.INVALID_HANDLE_VALUE, None, 0, 0)
name = r"\\.\pipe\provided-%d" % win32api.GetCurrentProcessId()
server = win32pipe.CreateNamedPipe(
    name, win32pipe.PIPE_ACCESS_DUPLEX | win32file.FILE_FLAG_OVERLAPPED, 0, 1, 100, 100, 0, None)
assert win32file.CreateIoCompletionPort(server, port, 5, 0) is port
connecting = pywintypes.OVERLAPPED()
connecting.object = "connected"
assert win32pipe.ConnectNamedPipe(server, connecting) == winerror.ERROR_IO_PENDING
access = win32con.GENERIC_READ | win32con.GENERIC_WRITE
client = win32file.CreateFile(name, access, 0, None, win32con.OPEN_EXISTING, 0, None)
rc, count, key, overlapped = win32file.GetQueuedCompletionStatus(port, win32event.INFINITE)
assert (rc, count, key, overlapped.object) == (0, 0, 5, "connected")
try:
    win32file.CreateIoCompletionPort(server, port, 5, 0)
except pywintypes.error as error:
    text = (error.winerror, error.funcname)
for handle in (client, server, port):
    handle.Close()
"""


def test_pywin32(python: str, environment: dict[str, str], tmp_path: Path) -> None:
    """clients issue, 5: the mapping has pywin32's names, and a program on them runs; nobody else finds them."""
    (tmp_path / "program.py").write_text(PYWIN32_PROGRAM)
    out = run(
        python,
        environment,
        f"""
        import sys
        platform = sys.platform
        from harness import load, way_in
        provided = way_in("iocp_emu.compat.pywin32:provide")
        assert way_in("iocp_emu.compat.pywin32:provide") == provided
        program = load({str(tmp_path / "program.py")!r}, "program", provided)
        assert sys.platform == platform and "win32file" not in sys.modules
        print(*program.text)
        """,
    )
    assert out == "87 CreateIoCompletionPort\n"


@pytest.fixture
def twisted_environment(environment: dict[str, str]) -> dict[str, str]:
    """With this interpreter's packages."""
    if importlib.util.find_spec("twisted") is None:
        pytest.skip("Twisted is not installed (the extra `dev` has it)")
    return environment


@pytest.mark.parametrize("order", ["way_in('iocp_emu.compat.asyncio:provide')", "pass", "import twisted.internet"])
def test_twisted(twisted_environment: dict[str, str], order: str) -> None:
    """clients issue, 5: afterwards `import twisted.internet.iocpreactor` works, from Twisted's own files."""
    out = run(
        sys.executable,
        twisted_environment,
        f"""
        import os, sys
        platform = sys.platform
        from harness import way_in
        {order}
        provided = way_in("iocp_emu.compat.twisted:provide")
        import twisted
        import twisted.internet.iocpreactor
        from twisted.internet.iocpreactor import reactor, tcp
        assert os.path.dirname(twisted.__file__) == os.path.dirname(tcp.__file__).partition("/internet")[0]
        with open(reactor.__file__, "rb") as file:
            whole = compile(file.read(), reactor.__file__, "exec", dont_inherit=True)
        assert reactor.__spec__.loader.get_code(reactor.__name__) == whole
        assert sys.platform == platform and "twisted.internet.reactor" not in sys.modules
        assert hasattr(provided["twisted_iocpsupport.iocpsupport"], "CompletionPort")
        made = reactor.IOCPReactor()
        made.callWhenRunning(made.stop)
        made.run()
        print(type(made).__name__)
        """,
    )
    assert out == "IOCPReactor\n"
