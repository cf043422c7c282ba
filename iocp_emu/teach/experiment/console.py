"""The experiment on a console: progress while it runs, the report, files, and the exit status.

Theory.  Runs come one by one, so Ctrl-C ends the experiment between or within them, and what was measured until then is
reported as any other result, with a note.  Everything that can be wrong with the files to be written, but for a full
disk, is looked for before the first run.

Own rules.  The report, and nothing else, goes to the output; progress and messages go to the error stream, and progress
to a terminal only.
"""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TextIO

from .document import as_csv, as_json
from .measures import Run
from .page import as_page
from .presets import Preset
from .results import Result
from .settings import Settings
from .sweep import Progress, interpreter_lock, runs_of
from .text import as_text

TERMINAL_AFTER_SECONDS = 0.5
TERMINAL_EVERY_SECONDS = 0.1

DONE = 0
FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130

STANDARD_OUTPUT = "-"


class Form(enum.Enum):
    """What can be written to a file; the value is the name of the option."""

    CSV = "csv"
    JSON = "json"
    PNG = "png"
    SVG = "svg"
    HTML = "html"

    @property
    def is_picture(self) -> bool:
        """Whether matplotlib draws it."""
        return self in {Form.PNG, Form.SVG}


class Look(enum.Enum):
    """What the report looks like."""

    BEST = "by rich on a terminal, if it is installed; else plain"
    PLAIN = "plain ASCII"


Files = Mapping[Form, str]
"""Where to write what; `-` is the standard output, in place of the report."""


def show_experiment(
    settings: Settings, preset: Preset | None, files: Files, look: Look, output: TextIO, errors: TextIO
) -> int:
    """Do an experiment, report on `output`, write `files`, and return the exit status.

    0 when all is done, 1 when a preset's claim does not hold or a file could not be written, 2 when a file cannot be
    written for a reason that is there before, 130 after Ctrl-C, with what was measured until then reported.  Blocks.
    """
    if (complaint := _complaint(files)) is not None:
        errors.write(f"iocp-emu experiment: {complaint}\n")
        return UNUSABLE
    runs: list[Run] = []
    line = _ProgressLine(errors)
    interrupted = False
    try:
        for run in runs_of(settings, line.update):
            runs.append(run)
    except KeyboardInterrupt:
        interrupted = True
    except RuntimeError as error:  # the operating system has no more threads
        line.clear()
        errors.write(f"iocp-emu experiment: {error}\n")
        return FAILED
    finally:
        line.clear()
    if not runs:
        errors.write("iocp-emu experiment: interrupted before the first run was over\n")
        return INTERRUPTED
    result = Result.of(settings, runs, interpreter_lock(settings))
    if STANDARD_OUTPUT not in files.values():
        _report(result, preset, look, output)
    try:
        for form, path in files.items():
            _write(result, preset, form, path, output)
    except OSError as error:
        errors.write(f"iocp-emu experiment: {error}\n")
        return INTERRUPTED if interrupted else FAILED
    if interrupted:
        errors.write("iocp-emu experiment: interrupted\n")
        return INTERRUPTED
    failed = preset is not None and not all(claim.holds(result) for claim in preset.claims)
    return FAILED if failed else DONE


def _complaint(files: Files) -> str | None:
    """Why these files cannot be written."""
    if sum(path == STANDARD_OUTPUT for path in files.values()) > 1:
        return "only one file can go to the standard output"
    for form, path in files.items():
        if path == STANDARD_OUTPUT:
            if form.is_picture:
                return f"--{form.value} needs the name of a file"
            continue
        directory = os.path.dirname(path) or "."
        if os.path.isdir(path):
            return f"cannot write {path!a}: it is a directory"
        if not os.path.isdir(directory):
            return f"cannot write {path!a}: there is no directory {directory!a}"
    pictures = [form for form in files if form.is_picture]
    if pictures and find_spec("matplotlib") is None:
        return f"--{pictures[0].value} needs matplotlib, of the extra plot: pip install 'iocp-emu[plot]'"
    return None


def _report(result: Result, preset: Preset | None, look: Look, output: TextIO) -> None:
    if look is Look.BEST and output.isatty() and find_spec("rich") is not None:
        from .terminal import print_result

        print_result(result, preset, output)
    else:
        output.write(as_text(result, preset))


def _write(result: Result, preset: Preset | None, form: Form, path: str, output: TextIO) -> None:
    if form.is_picture:
        from .figure import save_figure

        save_figure(result, path, form.value)
        return
    match form:
        case Form.CSV:
            text = as_csv(result)
        case Form.JSON:
            text = as_json(result, preset)
        case _:
            text = as_page(result, preset)
    if path == STANDARD_OUTPUT:
        output.write(text)
        return
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


class _ProgressLine:
    """One line on a terminal, rewritten; nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._next = time.monotonic() + TERMINAL_AFTER_SECONDS
        self._shown = 0

    def update(self, progress: Progress) -> None:
        """Show how far it is, if it is time for that."""
        if not self._is_terminal or time.monotonic() < self._next:
            return
        whole = (progress.run + progress.share) / progress.runs
        text = (
            f"{whole:4.0%} done: run {progress.run + 1:,} of {progress.runs:,}, concurrency value "
            f"{progress.concurrency}, {progress.share:.0%} of it"
        )
        self._stream.write("\r" + text.ljust(self._shown))
        self._stream.flush()
        self._shown = len(text)
        self._next = time.monotonic() + TERMINAL_EVERY_SECONDS

    def clear(self) -> None:
        """Wipe the line off the terminal."""
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0
