"""A schedule as a pytest file: it plays the same choices and says what they are expected to bring.

Own rules.  The file is ordinary code of the reader: it takes the program from its file, or from the lesson, and needs
nothing of the stepper.  Nothing is overwritten.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from .programs import Opened
from .session import MAIN, Session, StepperError


def save_as_test(session: Session, opened: Opened, target: Path) -> str:
    """Write a test of the current branch to `target`; what the test shows, in a sentence.

    The file of the program is named relative to the target.  The test passes when the program does not fail on the
    schedule: after a failure it fails until that is mended.  Raises `StepperError` when the target exists or cannot be
    written.
    """
    end = session.finished()
    assert end.run is not None
    failure = end.run.failure
    if failure is None:
        shows = "this schedule ends without a failure"
    else:
        shows = f"this schedule must not end in: {failure.kind.value}: {failure.message.partition(chr(10))[0]}"
    name = re.sub(r"\W", "_", session.branch if session.branch != MAIN else session.plan.name)
    schedule = textwrap.wrap(str(session.schedule), 100, break_long_words=False)
    pieces = "\n".join(f"    {piece + ' '!r}" for piece in schedule)
    text = _TEST.format(
        program=session.plan.name,
        shows=_plain(shows),
        imports="\n".join(_imports(opened)),
        source=_source(opened, session.plan.name, target),
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


def _imports(opened: Opened) -> list[str]:
    if opened.file is None:
        return ["from iocp_emu.teach.lessons.catalogue import find", "from iocp_emu.testing import replay"]
    return ["from pathlib import Path", "from runpy import run_path", "", "from iocp_emu.testing import replay"]


def _source(opened: Opened, name: str, target: Path) -> str:
    """How the test finds the program: its file relative to itself where that is possible."""
    if opened.file is None:
        return f"find({opened.lesson!r}).program"
    file, folder = opened.file.resolve(), target.resolve().parent
    try:
        place = f"Path(__file__).parent / {file.relative_to(folder).as_posix()!r}"
    except ValueError:
        place = repr(str(file))
    return f"run_path(str({place}))[{name!r}]"


def _plain(text: str) -> str:
    """Text that can stand in a docstring."""
    return text.replace("\\", "/").replace('"', "'")


_TEST = '''"""A schedule of the program {program}, chosen step by step."""

{imports}

PROGRAM = {source}

SCHEDULE = {schedule}


def test_{name}():
    """Shows: {shows}."""
    failure = replay(PROGRAM, SCHEDULE)
    assert failure is None, str(failure)
'''
