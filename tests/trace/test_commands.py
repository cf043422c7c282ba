"""`iocp-emu trace` and `iocp-emu explain`: what they write, and what they say when they cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import iocp_emu
from iocp_emu.cli import main
from iocp_emu.runtime.ambient import current_system
from iocp_emu.trace import Engine, read_trace, write_trace

from .exports import GOLDEN
from .traces import blocked_worker, closed_port

SCRIPT = """
import sys
import threading
from iocp_emu import CompletionPort, sleep, spawn

def worker(port):
    while (packet := port.get()).key != "stop":
        sleep(0.001)

def main():
    with CompletionPort(2) as port:
        threads = [spawn(worker, port, name=f"worker {n}") for n in (1, 2, 3)]
        for key in ("a", "b", "c", "stop", "stop", "stop"):
            port.post(key=key)
        for thread in threads:
            thread.join()

if __name__ == "__main__":
    main()
    print("arguments", sys.argv[1:])
    if "fail" in sys.argv:
        raise ValueError("on purpose")
    if "exit" in sys.argv:
        sys.exit(7)
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    """A script with three workers."""
    path = tmp_path / "server.py"
    path.write_text(SCRIPT)
    return str(path)


@pytest.mark.parametrize("options", [[], ["--simulation", "--processors", "3"]], ids=["threads", "simulation"])
def test_a_script_is_recorded(
    script: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All forms at once; the script has its arguments and its output."""
    argv, path, system, simulation = list(sys.argv), list(sys.path), current_system(), iocp_emu.Simulation
    outputs = [f"--{form}={tmp_path / form}" for form in ("html", "chrome", "jsonl", "text")]
    assert main(["trace", "run", *options, *outputs, script, "x", "--y"]) == 0
    output, errors = capsys.readouterr()
    assert output == "arguments ['x', '--y']\n"
    assert errors == ""
    trace = read_trace(tmp_path / "jsonl")
    assert trace.title == "server.py"
    assert trace.engine is (Engine.SIMULATION if options else Engine.THREADS)
    assert trace.processors == (3 if options else None)
    assert {"worker 1", "worker 2", "worker 3"} < set(trace.threads)
    assert [packet.key for packet in trace.packets] == ["'a'", "'b'", "'c'", "'stop'", "'stop'", "'stop'"]
    for form, beginning in (("html", "<!DOCTYPE html>"), ("chrome", '{"displayTimeUnit"'), ("text", "server.py\n")):
        assert (tmp_path / form).read_text(encoding="utf-8").startswith(beginning)
    assert (sys.argv, sys.path) == (argv, path)
    assert current_system() is system
    assert iocp_emu.Simulation is simulation


@pytest.mark.parametrize("options", [[], ["--simulation"]], ids=["threads", "simulation"])
def test_a_script_that_fails(script: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Its traceback is shown without frames of ours, its status is returned, and the recording is there."""
    assert main(["trace", "run", *options, script, "fail"]) == 1
    output, errors = capsys.readouterr()
    assert "Lanes:" in output
    assert errors.startswith(f'Traceback (most recent call last):\n  File "{script}"')
    assert errors.endswith("ValueError: on purpose\n")
    assert "iocp_emu" not in errors
    assert main(["trace", "run", *options, script, "exit"]) == 7


def test_a_simulation_of_the_script_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that makes its own simulation is recorded there."""
    path = tmp_path / "own.py"
    path.write_text(
        "from iocp_emu import CompletionPort, Simulation\n"
        "with Simulation(processors=3) as simulation:\n"
        "    port = CompletionPort(1)\n"
        "    simulation.spawn(port.get, name='ann')\n"
        "    port.post(key=1)\n"
        "    simulation.run()\n"
    )
    assert main(["trace", "run", str(path), "--ascii"]) == 0  # after the script, so it is the script's
    assert "simulation, 3 processors" in capsys.readouterr().out


def test_threads_of_any_origin_are_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is made and used in threads of `threading` is recorded as well."""
    path = tmp_path / "plain_threads.py"
    path.write_text(
        "import threading\n"
        "from iocp_emu import CompletionPort\n"
        "def work():\n"
        "    with CompletionPort() as port:\n"
        "        port.post(key='mine')\n"
        "        port.get()\n"
        "thread = threading.Thread(target=work, name='plain')\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    assert main(["trace", "run", str(path)]) == 0
    assert "plain takes #1 'mine'" in capsys.readouterr().out


def test_a_deadlock_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that gets stuck in the simulation is status 1, with who waits for what, and the recording."""
    path = tmp_path / "stuck.py"
    path.write_text("from iocp_emu import CompletionPort\nCompletionPort(1).get()\n")
    assert main(["trace", "run", "--simulation", str(path)]) == 1
    output, errors = capsys.readouterr()
    assert "main parked" in output
    assert "SimulationDeadlock" in errors


def test_a_script_without_a_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to record is said."""
    path = tmp_path / "plain.py"
    path.write_text("print('hello')\n")
    assert main(["trace", "run", str(path)]) == 0
    assert "used no completion port" in capsys.readouterr().err
    assert main(["trace", "run", str(tmp_path / "missing.py")]) == 2
    assert "missing.py" in capsys.readouterr().err


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recording becomes text, on the terminal unless a file is given, and the other forms."""
    recording = str(tmp_path / "trace.jsonl")
    write_trace(blocked_worker(), recording)
    assert main(["trace", "convert", recording]) == 0
    assert capsys.readouterr().out == (GOLDEN / "blocked_worker.txt").read_text(encoding="utf-8")
    assert main(["trace", "convert", recording, "--jsonl", str(tmp_path / "again.jsonl")]) == 0
    assert (tmp_path / "again.jsonl").read_bytes() == Path(recording).read_bytes()
    assert main(["trace", "convert", recording, "--text", "-", "--ascii"]) == 0
    assert capsys.readouterr().out.isascii()
    assert main(["trace", "convert", recording, "--html", str(tmp_path / "no" / "where")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every step in words with its rules, or one event; the rules with their sentences below."""
    recording = str(tmp_path / "trace.jsonl")
    write_trace(closed_port(), recording)
    assert main(["explain", recording]) == 0
    output = capsys.readouterr().out
    assert output == (GOLDEN / "closed_port.explained.txt").read_text(encoding="utf-8")
    assert max(map(len, output.splitlines())) <= 80
    assert main(["explain", recording, "--event", "13"]) == 0
    output = capsys.readouterr().out
    assert "wanderer has waited as long as it wanted" in output
    assert "\n  Q-24  " in output
    assert main(["explain", recording, "--threads", "--ascii"]) == 0
    assert "closer could run, and waits for a processor." in capsys.readouterr().out
    assert main(["explain", recording, "--event", "1000"]) == 1
    assert "the last is 3" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["explain"], ["trace", "convert"]])
def test_damaged_files_are_told(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no recording is status 1 and one line with the place."""
    path = tmp_path / "damaged.jsonl"
    path.write_text('{"iocp_emu_trace": 1, "title": "t", "engine": "threads", "processors": null}\n{"event": 1}\n')
    assert main([*command, str(path)]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors == f'iocp-emu {" ".join(command)}: {path}, line 2, column 1: the field "time" is missing\n'
    assert main([*command, str(tmp_path / "missing")]) == 1


@pytest.mark.parametrize("command", [["trace"], ["trace", "run"], ["trace", "convert"], ["explain"]])
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself with an example."""
    assert main([*command, "--help"]) == 0
    assert "Example: iocp-emu trace" in " ".join(capsys.readouterr().out.split())
