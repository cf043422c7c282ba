"""The live ports of this process and of others: what is shown, who may look, and what nonsense does."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import iocp_emu
from iocp_emu import CompletionPort, File, ThreadSystem, spawn, use
from iocp_emu.cli import main
from iocp_emu.inspection import NotInspectable, inspect_all, inspect_process, picture
from iocp_emu.inspection import doors as doors_module
from iocp_emu.inspection.pictures import MOST_SHOWN, from_document, to_document
from iocp_emu.overlapped.pipe_registry import HAS_UNIX_SOCKETS, Registry, file_name
from iocp_emu.runtime.key_text import key_text
from iocp_emu.teach.ps_command import show

needs_sockets = pytest.mark.skipif(not HAS_UNIX_SOCKETS, reason="no Unix sockets here")

CHILD = """
import sys
from iocp_emu import CompletionPort, spawn
port = CompletionPort(2)
workers = [spawn(port.get, name=f"worker {number}") for number in range(3)]
while port.waiting < 3:
    pass
print("ready", flush=True)
sys.stdin.read(1)
for _ in workers:
    port.post(key="stop")
for worker in workers:
    worker.join()
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Processes of this test meet in a directory of their own."""
    chosen = tmp_path / "d"
    monkeypatch.setenv("IOCP_EMU_PIPE_DIR", str(chosen))
    return Path(f"{chosen}-ps")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process with three parked workers that allows inspection."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "IOCP_EMU_INSPECT": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_picture_of_this_process(tmp_path: Path) -> None:
    """Counts, queue, waiters top first, threads, files and keys, as the port has them."""
    (tmp_path / "file").write_bytes(b"data")
    system = ThreadSystem()
    with use(system), CompletionPort(3) as port, File(tmp_path / "file") as file:
        port.associate(file, "the file")
        workers = []
        for name in ("first", "second"):
            workers.append(spawn(port.get, name=name))
            while port.waiting < len(workers):
                pass
        (shown,) = picture([system]).systems[0].ports
        assert shown.waiters == ("second", "first")
        assert (shown.concurrency, shown.active, shown.depth, shown.waiting) == (3, 0, 0, 2)
        assert [(each.name, each.state) for each in shown.threads] == [("first", "parked"), ("second", "parked")]
        assert [(each.kind, each.key, each.requests) for each in shown.files] == [("DiskFile", "'the file'", 0)]
        for _ in workers:
            port.post()
        for worker in workers:
            worker.join()
        for number in range(MOST_SHOWN + 5):
            port.post(key=number)
        (shown,) = picture([system]).systems[0].ports
        assert shown.depth == MOST_SHOWN + 5
        assert shown.packets == tuple(str(number) for number in range(MOST_SHOWN))


def test_looking_runs_no_code_of_the_program() -> None:
    """A key is shown by its type unless it is a plain value: no `__repr__` runs under the lock."""

    class Key(str):
        def __repr__(self) -> str:
            raise AssertionError("run")

    assert key_text(Key("x")) == "<Key>"
    assert len(key_text("x" * 1000)) == 40


def test_looking_changes_nothing() -> None:
    """A picture associates nobody and leaves the kernel as it was."""
    from iocp_emu.kernel.snapshot import snapshot

    system = ThreadSystem()
    with use(system), CompletionPort(1) as port:
        port.post(key="a")
        before = snapshot(system.kernel)
        picture([system])
        assert snapshot(system.kernel) == before


def test_pictures_are_taken_while_posts_are_made() -> None:
    """Fast posts and gets of other threads do not disturb, and each picture fits together (P-05)."""
    system = ThreadSystem()
    with use(system), CompletionPort(2) as port:
        stop = threading.Event()

        def busy() -> None:
            with use(system):
                while not stop.is_set():
                    port.post(key="x")
                    port.get(timeout=0)

        thread = threading.Thread(target=busy)
        thread.start()
        try:
            for _ in range(300):
                (shown,) = picture([system]).systems[0].ports
                assert len(shown.packets) <= 2
        finally:
            stop.set()
            thread.join()


@needs_sockets
def test_another_process_is_seen(child: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With all of its threads parked it still answers; the command shows it, in text and as JSON."""
    (port,) = inspect_process(child.pid).systems[0].ports
    assert port.waiting == 3
    assert set(port.waiters) == {"worker 0", "worker 1", "worker 2"}
    assert [each.pid for each in inspect_all()] == [child.pid]
    assert main(["ps", str(child.pid)]) == 0
    text = capsys.readouterr().out
    assert f"process {child.pid}: " in text
    assert "0 of 2 active" in text
    assert "waiters 3, top first: worker " in text
    assert max(map(len, text.splitlines())) <= 80
    assert main(["ps", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert from_document(document) == inspect_process(child.pid)


@needs_sockets
def test_only_who_allows_it_is_seen(child: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No such process, one that does not allow it, and one that has died, each have their sentence."""
    with pytest.raises(NotInspectable, match=f"process {os.getppid()} does not allow inspection: start it with"):
        inspect_process(os.getppid())
    child.kill()
    child.wait()
    with pytest.raises(NotInspectable, match=f"there is no process {child.pid}"):
        inspect_process(child.pid)
    assert inspect_all() == []
    assert main(["ps"]) == 1
    assert "no process allows inspection (start one with IOCP_EMU_INSPECT=1)" in capsys.readouterr().err


@needs_sockets
def test_the_directory_is_the_users_alone(child: subprocess.Popen[str], directory: Path) -> None:
    """It has mode 0700; one that is open to others is not used."""
    assert directory.stat().st_mode & 0o777 == 0o700
    directory.chmod(0o755)
    with pytest.warns(RuntimeWarning), pytest.raises(NotInspectable, match="cannot be asked"):
        inspect_process(child.pid)
    directory.chmod(0o700)
    assert inspect_process(child.pid).pid == child.pid


@needs_sockets
def test_a_visitor_that_takes_nothing_is_cut_off(child: subprocess.Popen[str], directory: Path) -> None:
    """Visitors that leave at once, or say something, do not keep others from looking."""
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(str(directory / file_name(str(child.pid))))
    with socket.socket(socket.AF_UNIX) as rude:
        rude.connect(str(directory / file_name(str(child.pid))))
        with contextlib.suppress(BrokenPipeError):  # it may have been cut off already
            rude.sendall(b"nonsense" * 100)
        assert inspect_process(child.pid).pid == child.pid


@needs_sockets
@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense", b"[]", b'{"pid": "x", "command": "", "systems": []}', b"[" * 100_000, b"\xff\xfe"],
)
def test_nonsense_is_not_believed(answer: bytes) -> None:
    """Whatever another process answers is checked: nonsense is an error in words, and left out of the list."""
    endpoint = Registry(f"{os.environ['IOCP_EMU_PIPE_DIR']}-ps").claim("1")
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                with endpoint.accept() as visitor:
                    visitor.sendall(answer)
            except BlockingIOError:
                stop.wait(0.005)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with pytest.raises(NotInspectable, match="process 1 answers nonsense"):
            inspect_process(1)
        assert inspect_all() == []
    finally:
        stop.set()
        thread.join()
        endpoint.close()


@needs_sockets
def test_too_long_an_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[str]) -> None:
    """An answer beyond the limit is not read to its end."""
    monkeypatch.setattr(doors_module, "LARGEST_ANSWER_BYTES", 10)
    with pytest.raises(NotInspectable, match="too much or too slowly"):
        inspect_process(child.pid)


def test_without_leave_nothing_listens(directory: Path) -> None:
    """Importing the package and using a port opens nothing."""
    code = "import iocp_emu, threading; iocp_emu.CompletionPort().close(); print(threading.active_count())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "IOCP_EMU_INSPECT": "0"},
    )
    assert done.stdout == "1\n"
    assert not directory.exists()


def test_names_are_shown_not_sent() -> None:
    """Control characters of names and keys do not reach the terminal."""
    system = ThreadSystem()
    with use(system), CompletionPort(1) as port:
        port.post(key="\x1b[2J")
        worker = spawn(port.get, name="evil\x1b[2J\n")
        worker.join()
        port.post(key="\x07")
        text = "\n".join(show([picture([system])]))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_documents_read_back() -> None:
    """A picture that went through JSON is equal to itself; anything else is refused with the place."""
    system = ThreadSystem()
    with use(system), CompletionPort(1):
        shown = picture([system])
    document = json.loads(json.dumps(to_document(shown)))
    assert from_document(document) == shown
    document["systems"][0]["ports"][0]["depth"] = True
    with pytest.raises(ValueError, match=r"the document.systems\[0\].ports\[0\].depth is bool, not int"):
        from_document(document)


def test_it_is_a_public_name() -> None:
    """`iocp_emu.allow_inspection` is what the message of the command names."""
    assert iocp_emu.allow_inspection is doors_module.allow_inspection


@pytest.mark.parametrize("arguments", [["ps", "0"], ["ps", "x"], ["ps", "--watch", "0"]])
def test_a_bad_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and what is allowed."""
    assert main(arguments) == 2
    assert "must be " in capsys.readouterr().err
