"""`iocp-emu step`: the conversation, on a pipe and on a terminal; schedules saved as tests."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from iocp_emu.cli import main
from iocp_emu.teach.lessons.catalogue import all_lessons
from iocp_emu.teach.stepper.session import Session
from iocp_emu.testing.runs import Plan
from tests.teach.stepper.programs import lost_update

PROGRAMS = Path(__file__).with_name("programs.py")
needs_pty = pytest.mark.skipif(os.name != "posix", reason="POSIX terminals")


@cache
def lose_it() -> str:
    """A line that runs on to the lost update."""
    for seed in range(100):
        session = Session(Plan(lost_update))
        session.run_on("pos", seed)
        if session.moment.run is not None and session.moment.run.failure is not None:
            return f"r pos {seed}"
    raise AssertionError("nothing found")


def step(*arguments: str, typed: str = "", monkeypatch: pytest.MonkeyPatch) -> int:
    """The command with this input, in this process."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return main(["step", *arguments])


def test_choices_and_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Choices are done first, then lines of the input; the views follow each other; the end of the input ends it."""
    assert step(f"{PROGRAMS}:pool", "--choices", "1 2", typed="1\n\nb\nr\nt\n", monkeypatch=monkeypatch) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    heads = [line for line in output.splitlines() if line.startswith("pool, branch main, choice ")]
    assert [int(line.split()[4].rstrip(",")) for line in heads[:6]] == [0, 1, 2, 3, 4, 3]
    assert "port 1: 0 of 1 active" in output
    assert "  waiters, top first:    one" in output
    assert "Q-12  The first parking of a thread changes no count" in output
    assert "The run has ended without a failure." in output
    assert output.rstrip().splitlines()[-1].endswith("end")
    assert max(map(len, output[: output.index("    main  ")].splitlines())) <= 80


def test_fork_and_difference(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two branches are shown side by side, with a mark where they part."""
    typed = "1\nf other\n2\no main\n1\n1\nd other\nl\n"
    assert step(f"{PROGRAMS}:pool", typed=typed, monkeypatch=monkeypatch) == 0
    output = capsys.readouterr().out
    assert "they part at step " in output
    marked = [line for line in output.splitlines() if line.startswith(">")]
    assert len(marked) == 1
    assert "* main: 3 choices 1 1 1" in output
    assert "  other: 2 choices 1 2" in output


def run_pytest(file: Path) -> subprocess.CompletedProcess[str]:
    """Run one test file, with no configuration of a project."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(file.parent), str(file)],
        check=False,
        cwd=file.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_saved_schedule_is_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ends well is saved as a test that passes; what fails as one that fails in the same way, until mended."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert step("program.py:pool", typed="2\n1\ns test_good.py\n", monkeypatch=monkeypatch) == 0
    assert "saved as test_good.py: this schedule ends without a failure" in capsys.readouterr().out
    typed = f"{lose_it()}\ns test_bad.py\n"
    assert step("program.py:lost_update", "--memory", typed=typed, monkeypatch=monkeypatch) == 1
    assert "this schedule must not end in: failed assertion: AssertionError" in capsys.readouterr().out
    good, bad = run_pytest(tmp_path / "test_good.py"), run_pytest(tmp_path / "test_bad.py")
    assert good.returncode == 0, good.stdout
    assert bad.returncode == 1
    assert "failed assertion of main: AssertionError" in bad.stdout
    program.write_text(program.read_text(encoding="utf-8").replace("seen = total\n", "seen = 0\n"), encoding="utf-8")
    mended = program.read_text(encoding="utf-8").replace("total = seen + 1", "total += 1")
    program.write_text(mended, encoding="utf-8")
    assert run_pytest(tmp_path / "test_bad.py").returncode == 0
    assert step("program.py:pool", typed="s test_good.py\n", monkeypatch=monkeypatch) == 0
    assert "test_good.py exists already: choose another name" in capsys.readouterr().out


def test_a_lesson_is_stepped_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program of a lesson by its name; a test of it takes the program from the lesson."""
    monkeypatch.chdir(tmp_path)
    assert step("lifo", "--set", "workers=2", typed="2\ns test_lifo.py\nr\n", monkeypatch=monkeypatch) == 0
    output = capsys.readouterr().out
    assert "saved as test_lifo.py: this schedule ends without a failure" in output
    assert "The run has ended without a failure." in output
    done = run_pytest(tmp_path / "test_lifo.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("lesson", [each.id for each in all_lessons()])
def test_every_lesson_comes_to_an_end(lesson: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lesson's program can be stepped, and run on to its end; with a short queue where it posts thousands."""
    settings = ["--set", "packets=50"] if lesson == "L22" else []
    assert step(lesson, *settings, typed="r\n", monkeypatch=monkeypatch) == 0


def test_a_schedule_is_taken_up_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`x` prints the text, `--schedule` begins with it."""
    step(f"{PROGRAMS}:lost_update", "--memory", typed=f"{lose_it()}\nx\n", monkeypatch=monkeypatch)
    text = capsys.readouterr().out.splitlines()[-1]
    assert text.startswith("iocp-schedule ")
    assert step(f"{PROGRAMS}:lost_update", "--schedule", text, typed="r\n", monkeypatch=monkeypatch) == 1
    assert "failed assertion of main" in capsys.readouterr().out


def test_names_do_not_reach_the_terminal_raw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters in names and keys are shown, not sent."""
    step(f"{PROGRAMS}:rude_name", typed="1\n1\n1\nr\nt\nx\n", monkeypatch=monkeypatch)
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "evil\\x1b[2J" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "there is no file 'nowhere.py'"),
        (["lfio"], "'lfio' is no file, and there is no lesson 'lfio': did you mean 'lifo' (L05)?"),
        ([str(PROGRAMS)], "programs.py has 4 functions that could be the program: lost_update, pool, stuck, rude_name"),
        ([f"{PROGRAMS}:pol"], "there is no function 'pol': did you mean 'pool'?"),
        ([f"{PROGRAMS}:pool", "--schedule", "nonsense"], "this is no schedule"),
        ([f"{PROGRAMS}:pool", "--profile", "win11"], "win11"),
    ],
)
def test_what_cannot_be_opened(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and one sentence on the error output."""
    assert step(*arguments, monkeypatch=monkeypatch) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("iocp-emu step: ")
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_a_schedule_of_another_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged text and one of another program are refused with the reason."""
    step(f"{PROGRAMS}:pool", typed="x\n", monkeypatch=monkeypatch)
    text = capsys.readouterr().out.splitlines()[-1]
    assert step(f"{PROGRAMS}:stuck", "--schedule", text, monkeypatch=monkeypatch) == 2
    assert "a schedule of the program pool, not of stuck" in capsys.readouterr().err
    assert step(f"{PROGRAMS}:pool", "--schedule", text.replace("seed=0", "seed=1"), monkeypatch=monkeypatch) == 2
    assert "the text is damaged" in capsys.readouterr().err


def test_a_file_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the file raises is told in a sentence."""
    (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    assert step(str(tmp_path / "broken.py"), monkeypatch=monkeypatch) == 2
    assert "broken.py cannot be run: ZeroDivisionError: division by zero" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("zz", "there is no command 'zz'"),
        ("g", "this wants a number, not nothing"),
        ("g x", "this wants a number, not x"),
        ("f", "this wants a name for the branch"),
        ("99", "choose a number from 1 to "),
        ("s", "this wants a file to save to"),
    ],
)
def test_what_is_mistyped(
    typed: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the session goes on."""
    assert step(f"{PROGRAMS}:pool", typed=f"{typed}\nl\n", monkeypatch=monkeypatch) == 0
    output = capsys.readouterr().out
    assert message in output
    assert "* main: 0 choices" in output


@needs_pty
def test_on_a_terminal() -> None:
    """On a real terminal there is a prompt, each view begins on a clear screen, and the end of the input ends it."""
    import pty

    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "iocp_emu", "step", f"{PROGRAMS}:pool"],
        stdin=child,
        stdout=child,
        stderr=child,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(child)

    def until(wanted: bytes) -> bytes:
        seen = b""
        while wanted not in seen:
            seen += os.read(parent, 4096)
        return seen

    try:
        assert b"\x1b[2J" in until(b"> ")
        os.write(parent, b"2\n")
        assert b"choice 1" in until(b"> ")[-4000:]
        os.write(parent, b"q\n")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(parent)
