"""`iocp-emu lesson`: reading, the quiz, exercises; what is printed where, and the exit statuses."""

from __future__ import annotations

import builtins
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iocp_emu.cli import main
from iocp_emu.teach.lessons.catalogue import all_lessons, find
from iocp_emu.teach.lessons.presentation import Kind, Line, page
from iocp_emu.teach.lessons.printing import STYLES, Colours, Printer, charset_of
from iocp_emu.teach.lessons.showing import show
from iocp_emu.trace.text import Charset

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of `iocp-emu lesson`."""
    status = main(["lesson", *arguments])
    output, errors = capsys.readouterr()
    return status, output, errors


# -- reading -------------------------------------------------------------------------------------------------------


def test_a_newcomer_gets_the_first_lesson_and_the_way_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name: L01, whole, and at its end what to type next."""
    status, output, errors = run(capsys)
    assert (status, errors) == (0, "")
    assert output.startswith("L01  A port and its files")
    assert "iocp-emu lesson L02     When a packet is queued\n" in output
    assert "Decide before you read on" in output


@pytest.mark.parametrize("words", [["L05"], ["5"], ["lifo"], ["LIFO"], ["last", "in"], ["l05"]])
def test_a_lesson_has_many_names(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Its id, its number, its name, words of its title."""
    status, output, _ = run(capsys, *words)
    assert status == 0
    assert output.startswith("L05  Last in, first out")


def test_the_list_names_every_lesson(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, in order, within 80 columns."""
    status, output, _ = run(capsys, "--list")
    assert status == 0
    assert re.findall(r"^(L\d\d)  ", output, re.MULTILINE) == [each.id for each in all_lessons()]
    assert max(map(len, output.splitlines())) <= 80


def test_numbers_can_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """--set runs the program with other numbers, and shows what that does."""
    status, output, _ = run(capsys, "limit", "--set", "concurrency=3")
    assert status == 0
    assert "What happened (simulation, 4 processors, concurrency 3)" in output
    assert "after three packets: 3 run, 0 queued, 1 wait" in output


def test_real_threads_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """--real runs the program on threads of the operating system."""
    status, output, _ = run(capsys, "lifo", "--real", "--ascii")
    assert status == 0
    assert "What happened (real threads)" in output
    assert "who got the first packet: C" in output
    assert output.isascii()


def test_the_timeline_as_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--html writes what a browser shows, and says where."""
    path = tmp_path / "lifo.html"
    status, output, _ = run(capsys, "lifo", "--html", str(path))
    assert status == 0
    assert output.endswith(f"The timeline as a page: {path}\n")
    text = path.read_text(encoding="utf-8")
    assert text.lower().startswith("<!doctype html>")
    assert "L05 Last in, first out" in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["lifu"], "there is no lesson 'lifu': did you mean 'lifo' (L05)?"),
        (["worker"], "'worker' fits several lessons: L11 blocking, L13 telling-workers"),
        (["L09", "--real"], "L09 is shown in the simulation only. CPython's threads share"),
        (["L05", "--set", "worker=3"], "there is no number to set in L05 'worker': did you mean 'workers'?"),
        (["L05", "--set", "workers=11"], "--set workers=N takes a whole number from 1 to 10, not '11'"),
        (["L05", "--set", "workers=many"], "takes a whole number from 1 to 10, not 'many'"),
        (["L05", "--set", "workers"], "takes a whole number from 1 to 10, not ''"),
        (["--exercise"], "say which lesson the exercise is of"),
        (["L05", "--quiz", "--set", "workers=3"], "--set goes with reading a lesson"),
        (["L05", "--list", "--html", "x"], "--html goes with reading a lesson"),
    ],
)
def test_a_command_line_without_sense(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, one sentence on the error stream, nothing on the output."""
    status, output, errors = run(capsys, *arguments)
    assert (status, output) == (2, "")
    assert errors.startswith("iocp-emu lesson: ")
    assert complaint in errors


def test_a_page_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Status 1 and the reason; the lesson itself has been shown."""
    status, _, errors = run(capsys, "lifo", "--html", str(tmp_path / "no" / "such" / "place.html"))
    assert status == 1
    assert "No such file or directory" in errors


# -- the quiz ------------------------------------------------------------------------------------------------------


def quiz(typed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """The lines that a quiz prints when this is typed into a pipe."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    status, output, errors = run(capsys, *arguments, "--quiz")
    assert (status, errors) == (0, "")
    return output.splitlines()


def test_the_answer_is_hidden_until_a_choice_is_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was printed before the prompt does not give it away; what comes after says right or not."""
    lines = quiz("3\n", capsys, monkeypatch, "lifo")
    at = next(number for number, line in enumerate(lines) if line.startswith("Your choice, 1 to 3 (q ends): 3"))
    before, after = lines[:at], lines[at + 1 :]
    assert not any("Answer" in line or "Q-07" in line or "released last in" in line for line in before)
    assert "Right" in after
    assert "Not so" not in after
    assert lines[-1] == "1 of 1 question answered rightly."


def test_a_wrong_choice_is_told_beside_the_right_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learner sees both, and why."""
    lines = quiz("1\n", capsys, monkeypatch, "lifo")
    at = lines.index("Not so")
    assert lines[at + 1 : at + 4] == [
        "  1)  A, which has waited longest.",
        "  The run says:",
        "  3)  C, which came last.",
    ]
    assert lines[-1] == "0 of 1 question answered rightly."


def test_all_lessons_are_asked_in_turn_and_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name; whoever knows everything gets 23 of 23."""
    right = [each.question.right(show(each).facts) + 1 for each in all_lessons()]
    lines = quiz("".join(f"{number}\n" for number in right), capsys, monkeypatch)
    assert lines[-1] == f"{len(right)} of {len(right)} questions answered rightly."
    assert sum(line.startswith("So far: ") for line in lines) == len(right)


def test_what_is_no_choice_is_asked_again_and_the_end_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nonsense, an end of input, and q."""
    lines = quiz("\nx\n0\n4\n3.\n2\nq\n", capsys, monkeypatch)
    assert sum(line == "Type a number from 1 to 3, or q." for line in lines) == 4
    assert lines[-1] == "2 of 2 questions answered rightly."
    assert quiz("", capsys, monkeypatch)[-1] == "No question was answered."


def test_the_quiz_on_real_threads_leaves_out_what_they_do_not_show(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """L09 and L10 are not asked."""
    lines = quiz("1\n" * 30, capsys, monkeypatch, "--real")
    asked = [line[:3] for line in lines if re.match(r"L\d\d  .* of 23$", line)]
    assert asked == [each.id for each in all_lessons() if not each.simulation_only]


# -- exercises -----------------------------------------------------------------------------------------------------


def test_from_the_exercise_to_the_verdict(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, checked without a change, not written over, solved, checked again."""
    monkeypatch.chdir(tmp_path)
    status, output, _ = run(capsys, "L06", "--exercise")
    assert status == 0
    command = output.splitlines()[-1]
    assert command == "iocp-emu lesson L06 --check l06_concurrency_value.py"
    status, output, _ = run(capsys, *command.split()[2:])
    assert status == 1
    assert output.startswith("Not yet, L06: on 2 processors 4 threads run")
    status, _, errors = run(capsys, "L06", "--exercise")
    assert status == 2
    assert "is there already, and is left as it is" in errors
    status, solution, _ = run(capsys, "L06", "--solution")
    assert status == 0
    (tmp_path / "l06_concurrency_value.py").write_text(f"print('hello')\n{solution}", encoding="utf-8")
    status, output, _ = run(capsys, *command.split()[2:])
    assert status == 0
    assert output == "Your file printed:\n  hello\nPassed, L06: It does what the task asks for.\n"


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Status 1 and the reason."""
    status, output, errors = run(capsys, "L06", "--check", str(tmp_path / "nothing.py"))
    assert (status, output) == (1, "")
    assert "No such file" in errors


def test_control_characters_of_a_file_stay_off_the_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What a file prints is shown with its control characters escaped."""
    path = tmp_path / "answer.py"
    path.write_text("print('\\x1b[31mred')\nCONCURRENCY = 0\n", encoding="utf-8")
    _, output, _ = run(capsys, "L06", "--check", str(path))
    assert "\x1b" not in output
    assert "\\x1b[31mred" in output


# -- colours -------------------------------------------------------------------------------------------------------


def printed(stream: io.StringIO, colours: Colours = Colours.AUTO) -> str:
    """L01 as it is printed on a stream."""
    each = find("L01")
    Printer(stream, colours).print(page(each, show(each), Charset.UNICODE))
    return stream.getvalue()


def test_colours_change_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """With rich on a terminal there are escapes; without them it is the plain text, to the letter."""
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = printed(Terminal()), printed(io.StringIO())
    assert "\x1b[" in coloured
    assert ESCAPE.sub("", coloured) == plain


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_that_are_not_wanted(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment, by the option, and without a terminal."""
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" not in printed(Terminal(), Colours.NEVER)
    assert "\x1b" not in printed(io.StringIO())
    monkeypatch.setenv(name, value)
    assert "\x1b" not in printed(Terminal())


def test_without_rich_the_text_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words, and no complaint."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    real_import = builtins.__import__

    def no_rich(name: str, *rest: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "rich":
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_rich)
    assert printed(Terminal()) == printed(io.StringIO())


def test_each_kind_of_line_has_a_style() -> None:
    """None is forgotten."""
    assert STYLES.keys() == set(Kind)


def test_a_stream_says_which_characters_it_takes() -> None:
    """An old code page gets ASCII."""
    assert charset_of(io.TextIOWrapper(io.BytesIO(), encoding="ascii")) is Charset.ASCII
    assert charset_of(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) is Charset.UNICODE


def test_lines_are_lines() -> None:
    """Printed as they are, each with its end."""
    stream = io.StringIO()
    Printer(stream).print([Line(Kind.TEXT, "[bold]a"), Line(Kind.TEXT)])
    assert stream.getvalue() == "[bold]a\n\n"


def test_as_a_command_of_its_own() -> None:
    """`python -m iocp_emu lesson`, with an output that takes ASCII only."""
    command = [sys.executable, "-B", "-m", "iocp_emu", "lesson", "L05"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    root = Path(__file__).resolve().parents[3]
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=False, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"Lanes: R running" in ended.stdout


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_a_reader_that_goes_away() -> None:
    """Nothing is said, and the status is that of a broken pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-B", "-m", "iocp_emu", "lesson", "L08"]
    root = Path(__file__).resolve().parents[3]
    with open(writing, "wb") as output:
        ended = subprocess.run(
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, check=False, timeout=120
        )
    assert (ended.returncode, ended.stderr) == (141, b"")


README = Path(__file__).resolve().parents[3] / "README.md"
LINES = re.findall(r"^iocp-emu (lesson\b[^#\n]*)", README.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_the_lines_of_the_readme(
    line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each runs as it stands there, and what the README says of them is so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("3\n"))
    assert main(line.split()) == 0
    assert capsys.readouterr().out
    assert len(LINES) == 4
    assert len(list(all_lessons())) == 23
    if "--exercise" in line:
        assert [path.name for path in tmp_path.iterdir()] == ["l05_lifo.py"]
