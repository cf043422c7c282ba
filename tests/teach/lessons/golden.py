"""What each lesson prints, kept in a file each, and the command that renews them.

`python -m tests.teach.lessons.golden` writes the files anew: after a change of a lesson, of a rule's sentence or of the
timeline; then read the difference (`git diff tests/teach/lessons`) before you keep it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from iocp_emu.runtime.carriers import Carrier
from iocp_emu.teach.lessons.catalogue import all_lessons
from iocp_emu.teach.lessons.lesson import Lesson
from iocp_emu.teach.lessons.presentation import Line, happened, page
from iocp_emu.teach.lessons.showing import show
from iocp_emu.trace.text import Charset

HERE = Path(__file__).parent


def golden_path(lesson: Lesson) -> Path:
    """Where the output of a lesson is kept."""
    return HERE / f"{lesson.id}_{lesson.name}.txt"


def printed(lesson: Lesson, carrier: Carrier = Carrier.AUTO) -> str:
    """The whole page of a lesson, then what its variation shows."""
    return "".join(f"{line.text}\n" for line in _lines(lesson, carrier))


def _lines(lesson: Lesson, carrier: Carrier) -> Iterator[Line]:
    yield from page(lesson, show(lesson, carrier=carrier), Charset.UNICODE)
    varied = show(lesson, settings=lesson.variation.settings, carrier=carrier)
    yield from happened(lesson, varied, Charset.UNICODE)


if __name__ == "__main__":
    for each in all_lessons():
        golden_path(each).write_text(printed(each), encoding="utf-8", newline="\n")
