"""The command `iocp-emu lesson`: reading lessons, the quiz, and exercises.

Own rules.  Lessons go to the output, complaints to the error stream.  Exit status 0 when all went well, 1 when an
exercise does not pass or a file cannot be written, 2 for a command line that makes no sense.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from ...runtime.deadlock import SimulationDeadlock
from ...trace.text import Charset, clean
from ..arguments import unknown
from .catalogue import NoSuchLesson, all_lessons, find
from .exercise import Verdict, check, default_path, write_starter
from .lesson import Lesson
from .presentation import WIDTH, Kind, Line, happened, listing, page
from .printing import Colours, Printer, charset_of
from .quiz import run_quiz
from .showing import Machine, show
from .stage import StageStuck

PASSED, FAILED, UNUSABLE = 0, 1, 2


class Unusable(Exception):
    """A command line that makes no sense; the text says why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it runs."""
    parser.description = (
        "Read a lesson: a question, a program that runs on the emulated kernel, its timeline, the rules behind it, "
        "and an exercise. Without NAME, the first one."
    )
    parser.epilog = (
        "Examples: iocp-emu lesson;  iocp-emu lesson lifo;  iocp-emu lesson 7 --set concurrency=3;  "
        "iocp-emu lesson --quiz;  iocp-emu lesson L05 --exercise.  Exit status: 1 when an exercise does not pass."
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="an id, a number, a name or words of a title")
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--list", action="store_true", help="name all lessons")
    act.add_argument("--quiz", action="store_true", help="ask before showing; without NAME, through all lessons")
    act.add_argument(
        "--exercise", nargs="?", const="", metavar="FILE", help="write the file to edit (default: named as the lesson)"
    )
    act.add_argument("--check", metavar="FILE", help="run the exercise in FILE and judge it")
    act.add_argument("--solution", action="store_true", help="print one solution of the exercise")
    parser.add_argument("--real", action="store_true", help="run the program on real threads")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=N", help="change a number of the program; may be repeated"
    )
    parser.add_argument("--html", metavar="FILE", help="write the timeline as a page for a browser, too")
    parser.add_argument("--ascii", action="store_true", help="draw the timeline in plain ASCII")
    parser.add_argument("--no-color", action="store_true", help="no colours, even on a terminal")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    printer = Printer(sys.stdout, Colours.NEVER if arguments.no_color else Colours.AUTO)
    try:
        return _act(arguments, printer)
    except (NoSuchLesson, Unusable) as complaint:
        print(f"iocp-emu lesson: {complaint}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:
        raise  # the reader of the output has gone; the command line knows what to do
    except OSError as error:
        print(f"iocp-emu lesson: {error}", file=sys.stderr)
        return FAILED


def _act(arguments: argparse.Namespace, printer: Printer) -> int:
    machine = Machine.REAL_THREADS if arguments.real else Machine.SIMULATION
    charset = Charset.ASCII if arguments.ascii else charset_of(sys.stdout)
    words = " ".join(arguments.name)
    is_reading = not (
        arguments.list or arguments.quiz or arguments.exercise is not None or arguments.check or arguments.solution
    )
    for option, value in (("--set", arguments.set), ("--html", arguments.html)):
        if value and not is_reading:
            raise Unusable(f"{option} goes with reading a lesson only")
    if arguments.list:
        printer.print(listing())
        return PASSED
    if arguments.quiz:
        lessons = [find(words)] if words else [each for each in all_lessons() if machine_fits(each, machine)]
        for lesson in lessons:
            _check_machine(lesson, machine)
        run_quiz(lessons, sys.stdin, printer, machine, charset)
        return PASSED
    if (arguments.exercise is not None or arguments.check or arguments.solution) and not words:
        raise Unusable("say which lesson the exercise is of, such as: iocp-emu lesson L05 --exercise")
    lesson = find(words) if words else find("1")
    if arguments.exercise is not None:
        return _write_exercise(lesson, arguments.exercise, printer)
    if arguments.check:
        return _check_exercise(lesson, Path(arguments.check), printer)
    if arguments.solution:
        printer.print(Line(Kind.CODE, line) for line in lesson.exercise.solution.splitlines())
        return PASSED
    return _read(lesson, machine, settings_of(lesson, arguments.set), charset, arguments.html, printer)


def _read(
    lesson: Lesson,
    machine: Machine,
    settings: dict[str, int],
    charset: Charset,
    html: str | None,
    printer: Printer,
) -> int:
    _check_machine(lesson, machine)
    try:
        showing = show(lesson, machine, settings)
    except (StageStuck, SimulationDeadlock, TimeoutError) as stuck:
        raise Unusable(f"with these numbers the program is stuck: {stuck}") from stuck
    if settings:
        printer.print([Line(Kind.TITLE, f"{lesson.id}  {lesson.title}")])
        printer.print(happened(lesson, showing, charset))
    else:
        printer.print(page(lesson, showing, charset))
    if html is not None:
        from ...trace.html import write_html

        write_html(showing.trace, html)
        printer.print([Line(Kind.TEXT), Line(Kind.NOTE, f"The timeline as a page: {html}")])
    return PASSED


def machine_fits(lesson: Lesson, machine: Machine) -> bool:
    """Whether the lesson shows the same there."""
    return machine is Machine.SIMULATION or not lesson.simulation_only


def _check_machine(lesson: Lesson, machine: Machine) -> None:
    if not machine_fits(lesson, machine):
        raise Unusable(f"{lesson.id} is shown in the simulation only. {lesson.simulation_only}")


def settings_of(lesson: Lesson, texts: list[str]) -> dict[str, int]:
    """The numbers of `--set`; `Unusable` for a name that the program does not have, or a number out of range."""
    settings: dict[str, int] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in lesson.limits:
            raise Unusable(unknown(f"number to set in {lesson.id}", name, lesson.limits))
        low, high = lesson.limits[name]
        try:
            number = int(value, 0)
        except ValueError:
            number = low - 1
        if not equals or not low <= number <= high:
            raise Unusable(f"--set {name}=N takes a whole number from {low} to {high}, not {value!r}")
        settings[name] = number
    return settings


def _write_exercise(lesson: Lesson, name: str, printer: Printer) -> int:
    path = Path(name) if name else default_path(lesson)
    try:
        write_starter(lesson, path)
    except FileExistsError:
        raise Unusable(
            f"{path} is there already, and is left as it is: check it (--check {path}), or name another file"
        ) from None
    printer.print(
        [
            Line(Kind.TEXT, f"The exercise is in {path}: open it, read the task, edit it."),
            Line(Kind.COMMAND, f"iocp-emu lesson {lesson.id} --check {path}"),
        ]
    )
    return PASSED


def _check_exercise(lesson: Lesson, path: Path, printer: Printer) -> int:
    verdict = check(lesson, path)
    printer.print(_verdict(lesson, verdict))
    return PASSED if verdict.passed else FAILED


def _verdict(lesson: Lesson, verdict: Verdict) -> list[Line]:
    lines: list[Line] = []
    if verdict.printed:
        lines.append(Line(Kind.NOTE, "Your file printed:"))
        lines += [Line(Kind.NOTE, f"  {clean(line)}") for line in verdict.printed.splitlines()]
    kind, word = (Kind.RIGHT, "Passed") if verdict.passed else (Kind.WRONG, "Not yet")
    for paragraph in f"{word}, {lesson.id}: {verdict.text}".splitlines():
        lines += [Line(kind, line) for line in textwrap.wrap(clean(paragraph), WIDTH, subsequent_indent="  ") or [""]]
    return lines
