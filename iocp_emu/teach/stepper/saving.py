"""A schedule as a pytest file: it plays the same choices and says what they are expected to bring.

Own rules.  The file is ordinary code of the reader: it imports the program from the file beside it, or from the lesson
that it is of, and nothing of the stepper.  Nothing is overwritten.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

from .session import Session, StepperError


def save_as_test(session: Session, source: Path, target: Path) -> str:
    """Write a test of the current branch to `target`; what the test shows, in a sentence.

    `source` is the file of the program; it is named relative to the target.  The test passes when the program does not
    fail on the schedule: after a failure it fails until that is mended.  Raises `StepperError` when the target exists
    or cannot be written.
    """
    end = session.finished()
    assert end.run is not None
    failure = end.run.failure
    if failure is None:
        shows = "this schedule ends without a failure"
    else:
        shows = f"this schedule must not end in: {failure.kind.value}: {failure.message.partition(chr(10))[0]}"
    name = re.sub(r"\W", "_", session.branch if session.branch != "main" else session.plan.name)
    schedule = textwrap.wrap(str(session.schedule), 100, break_long_words=False)
    pieces = "\n".join(f"    {piece + ' '!r}" for piece in schedule)
    text = _TEST.format(
        program=session.plan.name,
        shows=_plain(shows),
        load=_load(session.plan.program, source, target),
        name=name,
        schedule=f"(\n{pieces}\n)",
    )
    try:
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise StepperError(f"{target} exists already: choose another name") from None
    except OSError as error:
        raise StepperError(f"{target} cannot be written: {error.strerror}") from error
    return shows


def _load(program: Callable[..., object], source: Path, target: Path) -> str:
    """Lines of the test that bring the program."""
    name = program.__name__
    if program.__module__.startswith("iocp_emu."):
        return f"from iocp_emu.testing import replay\nfrom {program.__module__} import {name} as PROGRAM"
    return _RUN_FILE.format(source=_way(source, target), program=name)


def _way(source: Path, target: Path) -> str:
    """How the test finds the program: relative to itself where that is possible."""
    source, folder = source.resolve(), target.resolve().parent
    try:
        return f"Path(__file__).parent / {source.relative_to(folder).as_posix()!r}"
    except ValueError:
        return f"Path({str(source)!r})"


def _plain(text: str) -> str:
    """Text that can stand in a docstring."""
    return text.replace("\\", "/").replace('"', "'")


_RUN_FILE = """\
from pathlib import Path
from runpy import run_path

from iocp_emu.testing import replay

PROGRAM = run_path(str({source}))[{program!r}]"""

_TEST = '''"""A schedule of the program {program}, chosen step by step."""

{load}

SCHEDULE = {schedule}


def test_{name}():
    """Shows: {shows}."""
    failure = replay(PROGRAM, SCHEDULE)
    assert failure is None, str(failure)
'''
