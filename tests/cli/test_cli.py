"""The command line: exit statuses, messages, and where they go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import iocp_emu
from iocp_emu.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]

needs_posix = pytest.mark.skipif(os.name != "posix", reason="POSIX pipes and devices")


def python(*arguments: str) -> list[str]:
    """A command that runs this Python on the checkout, without writing byte code into it."""
    return [sys.executable, "-B", *arguments]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with one file of two lines."""
    (tmp_path / "file").write_bytes(b"one\ntwo\n")
    return tmp_path


def test_tour_prints_text_and_returns_0(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tour whose checks hold is status 0; the report is on the output alone."""
    assert main(["tour", str(directory)]) == 0
    output, errors = capsys.readouterr()
    assert output.startswith("The life of a completion port, on ")
    assert output.endswith("(H-01, H-05)\n")
    assert errors == ""


def test_tour_prints_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the output is one document, with the settings that were given."""
    arguments = ["tour", "--json", "--workers", "3", "--concurrency", "1", "--chunk", "5", str(directory)]
    assert main(arguments) == 0
    output, errors = capsys.readouterr()
    document = json.loads(output)
    assert document["ok"]
    assert document["version"] == iocp_emu.__version__
    assert document["settings"] == {
        "workers": 3,
        "concurrency": 1,
        "chunk_bytes": 5,
        "in_flight_limit": 64,
        "open_limit": 32,
    }
    assert document["active"]["limit"] == 1
    assert (document["totals"]["bytes"], document["totals"]["lines"]) == (8, 2)
    assert errors == ""


def test_tour_of_a_single_file(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The path may name a file."""
    assert main(["tour", "--json", str(directory / "file")]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["files"] == 1


def test_q03_concurrency_0_is_the_number_of_processors(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Q-03: 0 is replaced by what the process may use."""
    assert main(["tour", "--json", "--concurrency", "0", str(directory)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["concurrency"] == 0
    assert document["active"]["limit"] >= 1


def test_the_default_tour_is_of_the_package_itself() -> None:
    """Without a path, in a process of its own and in another directory: the package's source, within seconds."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        python("-m", "iocp_emu", "tour", "--json"),
        cwd=CHECKOUT / "tests",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert Path(document["path"]).samefile(Path(iocp_emu.__file__).parent)
    assert document["totals"]["files"] >= 20
    assert document["seconds"]["port"] < 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["no-such-command"], "there is no command 'no-such-command': known are tour, "),
        (["tuor"], "there is no command 'tuor': did you mean 'tour'?"),
        (["tour", "--workers", "0"], "from 1 to 256, not '0'"),
        (["tour", "--workers", "257"], "from 1 to 256, not '257'"),
        (["tour", "--workers", "six"], "not 'six'"),
        (["tour", "--concurrency", "-1"], "from 0 to 4,294,967,295"),
        (["tour", "--concurrency", "4294967296"], "from 0 to 4,294,967,295"),
        (["tour", "--chunk", "0"], "from 1 to 16,777,216"),
        (["tour", "a", "b"], "unrecognized arguments: b"),
    ],
)
def test_a_bad_command_line_is_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What makes no sense is refused with a message on the error stream."""
    assert main(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert message in errors


def test_a_missing_path_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So is a path that is not there, in one sentence."""
    assert main(["tour", str(tmp_path / "missing")]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("iocp-emu tour: cannot tour '")
    assert errors.endswith("missing': No such file or directory\n")
    assert main(["tour", "nul\0character"]) == 2
    assert "cannot tour" in capsys.readouterr().err


@needs_posix
def test_a_special_path_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A device is neither a directory nor a file."""
    assert main(["tour", os.devnull]) == 2
    assert "neither a directory nor a file" in capsys.readouterr().err


def test_version_and_help_are_0(capsys: pytest.CaptureFixture[str]) -> None:
    """Both print to the output."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"iocp-emu {iocp_emu.__version__}\n"
    assert main(["tour", "--help"]) == 0
    output = capsys.readouterr().out
    for option in ("PATH", "--json", "--workers", "--concurrency", "--chunk", "Exit status"):
        assert option in output


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Wherever it strikes, `main` returns 130."""

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("iocp_emu.teach.tour_command.show_tour", interrupt)
    assert main(["tour", str(directory)]) == 130


@needs_posix
@pytest.mark.parametrize("arguments", [["tour", "--json"], ["--help"]])
def test_a_broken_pipe_is_quiet(arguments: list[str], directory: Path) -> None:
    """When the reader of the output has gone: 141, as a shell says it, and not a word."""
    if arguments[0] == "tour":
        arguments = [*arguments, str(directory)]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            python("-m", "iocp_emu", *arguments),
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # unbuffered, argparse itself passes over the error
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_command_line_is_light() -> None:
    """A subcommand is imported when it is asked for, and no sooner."""
    code = "import sys, iocp_emu.cli; print([name for name in sys.modules if name.startswith('iocp_emu.')])"
    done = subprocess.run(python("-c", code), cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "['iocp_emu.cli']\n"
