"""The suite on every CPython of this machine: `python -m tests.every_python [--python FILE]... [PYTEST ARGUMENT...]`.

Theory.  An interpreter is what its executable says it is when asked: implementation, version, build.  Candidates come
from the folders of PATH, from pyenv and from `--python`; of each version and build, free-threaded ones among them, the
first that works is used.  Each gets a virtual environment of its own in a temporary folder, with the package and its
`testing` extra, and runs pytest with the given arguments, one after the other.  No arguments: all but the slow tests.

Own rules.  Nothing of the caller's Python setup but where packages come from is handed on.  An interpreter that cannot
be asked, or is none for this package, is passed over; one named by `--python` that cannot be used is an error.

Exit status: 0 when the suite passed on every one, 1 when it failed on one, 2 when there is nothing to run on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

OLDEST = (3, 10)
ASK_SECONDS = 30
CHECKOUT = Path(__file__).resolve().parents[1]

_QUESTION = """\
import json, platform, sys, sysconfig
is_free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps([platform.python_implementation(), sys.version_info[:3], is_free_threaded]))
"""
_NOT_HANDED_ON = ("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "VIRTUAL_ENV")


class Build(Enum):
    """How an interpreter was built."""

    USUAL = ""
    FREE_THREADED = "t"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython that can run the suite."""

    executable: Path
    version: tuple[int, int, int]
    build: Build

    @property
    def name(self) -> str:
        """As it is usually called: 3.13.1, or 3.13.1t when it is free-threaded."""
        return ".".join(map(str, self.version)) + self.build.value


class Outcome(Enum):
    """What became of the suite on one interpreter."""

    PASSED = "passed"
    FAILED = "FAILED"
    NOT_INSTALLED = "FAILED: the package and its testing extra could not be installed"


def candidates() -> Iterator[Path]:
    """Executables that may be a Python: this one, then those on PATH, then those of pyenv."""
    yield Path(sys.executable)
    for folder in os.get_exec_path():
        yield from sorted(Path(folder).glob("python3*"))
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob("versions/*/bin/python3"))


def ask(executable: Path) -> Interpreter | None:
    """What the executable says it is; None when it says nothing, is no CPython, or is too old.  Blocks up to 30 s."""
    try:
        answer = subprocess.run(
            [executable, "-I", "-c", _QUESTION], capture_output=True, check=True, timeout=ASK_SECONDS
        ).stdout
        implementation, version, is_free_threaded = json.loads(answer)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if implementation != "CPython" or tuple(version) < OLDEST:
        return None
    build = Build.FREE_THREADED if is_free_threaded else Build.USUAL
    return Interpreter(executable, tuple(version), build)


def find(executables: Iterable[Path]) -> list[Interpreter]:
    """One interpreter of each minor version and build, the first that answers, oldest version first."""
    found: dict[tuple[int, int, str], Interpreter] = {}
    asked: set[Path] = set()
    for executable in executables:
        if executable.name.endswith("-config") or (real := executable.resolve()) in asked:
            continue
        asked.add(real)
        interpreter = ask(executable)
        if interpreter is not None:
            found.setdefault((*interpreter.version[:2], interpreter.build.value), interpreter)
    return [found[key] for key in sorted(found)]


def run_suite(interpreter: Interpreter, arguments: Sequence[str], scratch: Path) -> Outcome:
    """Install into a fresh environment under `scratch` and run pytest there.  Blocks until it has ended."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    home = scratch / interpreter.name
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    # An older wheel rather than a newest source that needs compilers: builds that are rare have few wheels.
    install = ["install", "--quiet", "--disable-pip-version-check", "--prefer-binary", "--editable", ".[testing]"]
    setup: tuple[list[str | Path], ...] = (
        [interpreter.executable, "-m", "venv", home],
        [python, "-m", "pip", *install],
    )
    for command in setup:
        if subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode:
            return Outcome.NOT_INSTALLED
    done = subprocess.run([python, "-m", "pytest", *arguments], cwd=CHECKOUT, env=environment, check=False)
    return Outcome.FAILED if done.returncode else Outcome.PASSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.every_python",
        description="Run the suite on every CPython of this machine that the package supports.",
        epilog="All other arguments are pytest's.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--python", type=Path, action="append", default=[], metavar="FILE", help="this interpreter, too"
    )
    parser.add_argument("--list", action="store_true", help="name the interpreters, run nothing")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Find, run, sum up; returns the exit status.  Blocks for as long as the suite takes on all of them."""
    parser = _parser()
    options, for_pytest = parser.parse_known_args(arguments)
    for named in options.python:
        if ask(named) is None:
            parser.error(f"{named} is no CPython from {'.'.join(map(str, OLDEST))} on that can be started")
    interpreters = find([*options.python, *candidates()])
    if not interpreters:
        print("no CPython found to run on", file=sys.stderr)
        return 2
    for interpreter in interpreters:
        print(f"{interpreter.name:10}{interpreter.executable}", flush=True)
    if options.list:
        return 0
    outcomes: list[tuple[str, Outcome, float]] = []
    with tempfile.TemporaryDirectory(prefix="iocp") as scratch:
        for interpreter in interpreters:
            print(f"\n== {interpreter.name}", flush=True)
            start = time.monotonic()
            outcome = run_suite(interpreter, for_pytest, Path(scratch))
            outcomes.append((interpreter.name, outcome, time.monotonic() - start))
    print()
    for name, outcome, seconds in outcomes:
        print(f"{name:10}{seconds:6.0f} s  {outcome.value}")
    return 0 if all(outcome is Outcome.PASSED for _, outcome, _ in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
