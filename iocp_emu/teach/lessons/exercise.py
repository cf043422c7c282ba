"""Exercises: writing the file to edit, and checking it.

Theory.  The file is the learner's own code, on the learner's own machine.  It runs in a process of its own, with a time
limit, so that whatever it does ends in a verdict: a loop without an end, a crash, an exit.  `examiner` is what runs
there; it leaves its verdict in a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .lesson import Lesson

LIMIT_SECONDS = 20.0

_START = """\
import sys
if "" in sys.path:
    sys.path.remove("")
sys.path.insert(0, sys.argv[1])
from iocp_emu.teach.lessons.examiner import main
main(*sys.argv[2:])
"""
"""The file's directory stays off the path: a file named like a module of Python shall hide nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a file does what its task asks for, in a sentence or more; `printed` is what it printed meanwhile."""

    passed: bool
    text: str
    printed: str = ""


def default_path(lesson: Lesson) -> Path:
    """Where the file of a lesson's exercise is written if nobody says where."""
    return Path(f"{lesson.id.lower()}_{lesson.name.replace('-', '_')}.py")


def starter_text(lesson: Lesson) -> str:
    """The file to edit."""
    return f"# Exercise of lesson {lesson.id}: {lesson.title}\n#\n{lesson.exercise.starter}"


def write_starter(lesson: Lesson, path: Path) -> None:
    """Write the file to edit.  `FileExistsError` rather than writing over one; other `OSError`s of opening."""
    with open(path, "x", encoding="utf-8") as file:
        file.write(starter_text(lesson))


def check(lesson: Lesson, path: Path, limit_seconds: float = LIMIT_SECONDS) -> Verdict:
    """Run the file and judge it.  Blocks for `limit_seconds` at most.  Raises `OSError` when it cannot be read."""
    with open(path, "rb"):
        pass
    root = Path(__file__).resolve().parents[3]
    descriptor, verdict_path = tempfile.mkstemp(prefix="iocp_emu-verdict-", suffix=".json")
    os.close(descriptor)
    try:
        command = [sys.executable, "-c", _START, str(root), lesson.id, str(path.resolve()), verdict_path]
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=limit_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict(
                False,
                f"It was stopped after {limit_seconds:g} seconds: is there a loop that never ends, and never "
                "waits or computes?",
            )
        verdict = _read(verdict_path)
        if verdict is None:
            said = "".join(ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:])
            return Verdict(
                False, f"It ended before it could be judged (exit status {ended.returncode}). {said}".strip()
            )
        return verdict
    finally:
        with contextlib.suppress(OSError):
            os.unlink(verdict_path)


def _read(path: str) -> Verdict | None:
    text = Path(path).read_text(encoding="utf-8")
    if not text:
        return None
    document: dict[str, Any] = json.loads(text)
    return Verdict(document["passed"], document["text"], document["printed"])
