"""The process in which an exercise is judged: runs the learner's file, asks the judge, leaves a verdict.

Own rules.  Nothing that the learner's code does ends in a traceback of ours: what it raises is told with its line.
What it prints is kept up to a limit.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from .attempt import Attempt, NotYet
from .catalogue import find
from .exercise import Verdict

MOST_PRINTED = 4000


class BoundedText(io.StringIO):
    """Keeps the first `MOST_PRINTED` characters, and forgets the rest."""

    def write(self, text: str) -> int:
        """Keep what there is room for."""
        super().write(text[: max(0, MOST_PRINTED - self.tell())])
        return len(text)


def main(lesson_id: str, path: str, verdict_path: str) -> None:
    """Judge the file at `path` and write the verdict, as JSON, to `verdict_path`."""
    verdict = examine(lesson_id, path)
    document = {"passed": verdict.passed, "text": verdict.text, "printed": verdict.printed}
    Path(verdict_path).write_text(json.dumps(document), encoding="utf-8")


def examine(lesson_id: str, path: str) -> Verdict:
    """Run the file, then the judge of the lesson."""
    printed = BoundedText()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            names = run_file(path)
            find(lesson_id).exercise.judge(Attempt(names))
            verdict = Verdict(True, "It does what the task asks for.")
        except NotYet as missing:
            verdict = Verdict(False, str(missing))
        except BaseException as error:
            verdict = Verdict(False, describe(error, path))
    return Verdict(verdict.passed, verdict.text, printed.getvalue())


def run_file(path: str) -> dict[str, Any]:
    """The file's names after running it as a module of its own; what it raises comes out.

    The module has a file and no loader: tracebacks then read the file, which from Python 3.15 on they warn of doing
    for the modules that `runpy` makes.
    """
    module = ModuleType("exercise")
    del module.__spec__, module.__loader__
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), vars(module))
    return vars(module)


def describe(error: BaseException, path: str) -> str:
    """An exception of the learner's code, with the place in the learner's file."""
    what = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"Line {error.lineno} is not Python: {(error.text or '').strip()}\n{what}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SystemExit):
        what = "it ends the program (SystemExit): return instead"
    if not lines:
        return f"The judge could not use what your file returned or holds: {what}"
    return f"Line {lines[-1]}: {linecache.getline(path, lines[-1] or 0).strip()}\n{what}"
