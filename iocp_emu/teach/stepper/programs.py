"""Finding the program to step through: a function in a Python file, or a lesson.

Theory.  Both are opened by what somebody types.  What names a file that is there, ends in `.py` or has a function
behind a colon is a file; everything else is meant as a lesson.

Own rules.  A file is run once, as a module of its own and not as `__main__`.  What is not found is said with what is
there.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..arguments import unknown
from ..lessons.catalogue import NoSuchLesson, find
from .session import StepperError

Program = Callable[..., object]

USUAL_NAMES = ("main", "program", "run")
"""The function that is taken from a file with several, in this order, when none is named."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A program, where it comes from (the file, or None for the `lesson` with that id), and processors to run it on."""

    program: Program
    file: Path | None
    lesson: str = ""
    processors: int = 2


def open_program(place: str) -> Opened:
    """The program at `FILE.py` or `FILE.py:FUNCTION`, or that of a lesson, by its id, number, name or title.

    Runs the file.  Raises `StepperError`, also for what the file itself raises.
    """
    file, colon, name = place.partition(":") if not Path(place).exists() else (place, "", "")
    if colon or file.endswith(".py") or Path(file).exists():
        return Opened(_from_file(Path(file), name), Path(file))
    try:
        lesson = find(place)
    except NoSuchLesson as error:
        raise StepperError(f"{place!r} is no file, and {error}") from None
    return Opened(lesson.program, None, lesson.id, lesson.processors)


def _from_file(path: Path, name: str) -> Program:
    """The function `name`; without one, `main`, `program`, `run`, or the only public function of the file."""
    if not path.is_file():
        raise StepperError(f"there is no file {str(path)!r}")
    functions = _functions(path)
    if name:
        if name not in functions:
            raise StepperError(f"in {path.name}, {unknown('function', name, functions) if functions else 'is none'}")
        return functions[name]
    usual = next((each for each in USUAL_NAMES if each in functions), None)
    if usual is None and len(functions) == 1:
        usual = next(iter(functions))
    if usual is None:
        known = f": {', '.join(functions)}" if functions else ""
        raise StepperError(
            f"{path.name} has {len(functions)} functions that could be the program{known}; "
            f"name one as {path.name}:FUNCTION"
        )
    return functions[usual]


def _functions(path: Path) -> dict[str, Program]:
    """The public functions that this file defines, by name."""
    spec = importlib.util.spec_from_file_location(f"iocp_emu_program_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StepperError(f"{path.name} is no Python file: its name does not end in .py")
    module = importlib.util.module_from_spec(spec)
    # Found under its name by dataclasses and pickles of the program.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise StepperError(f"{path.name} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == spec.name and not name.startswith("_")
    }
