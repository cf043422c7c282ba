"""The tour on a console: progress while it runs, then the report, and the exit status.

Theory.  The tour runs in a thread of its own.  The main thread only looks on, so Ctrl-C reaches a thread that holds
nothing and is in the middle of nothing; it asks the tour to stop, and the tour leaves in good order.

Own rules.  The report, and nothing else, goes to the output; progress and messages go to the error stream.  On a
terminal progress is one line, rewritten; elsewhere a line now and then, and only for a tour that takes long.
"""

from __future__ import annotations

import enum
import json
import os
import threading
import time
from typing import TextIO

from .. import Win32Error
from .tour import TourResult, run_tour
from .tour_document import as_document
from .tour_report import as_text
from .tour_results import Progress, TourSettings

TERMINAL_AFTER_SECONDS = 0.5
TERMINAL_EVERY_SECONDS = 0.1
LINES_EVERY_SECONDS = 10.0
STOPPING_SECONDS = 10.0

PASSED = 0
FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130


class Form(enum.Enum):
    """What the report looks like."""

    TEXT = "plain text"
    JSON = "one JSON document"


class ProgressLine:
    """Shows a `Progress` on a stream, as its kind of stream wants it."""

    def __init__(self, progress: Progress, stream: TextIO) -> None:
        self._progress = progress
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._next = time.monotonic() + (TERMINAL_AFTER_SECONDS if self._is_terminal else LINES_EVERY_SECONDS)
        self._shown = 0

    def update(self) -> None:
        """Show how far it is, if it is time for that."""
        now = time.monotonic()
        if now < self._next:
            return
        progress = self._progress
        of = "" if progress.expected is None else f" of {progress.expected:,}"
        text = f"{progress.phase}: {progress.files:,}{of} files, {progress.bytes / 1e6:,.1f} MB"
        if self._is_terminal:
            self._stream.write("\r" + text.ljust(self._shown))
            self._shown = len(text)
            self._next = now + TERMINAL_EVERY_SECONDS
        else:
            self._stream.write(text + "\n")
            self._next = now + LINES_EVERY_SECONDS
        self._stream.flush()

    def clear(self) -> None:
        """Wipe the line off a terminal."""
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0


def show_tour(settings: TourSettings, form: Form, output: TextIO, errors: TextIO) -> int:
    """Run a tour, print its report to `output`, and return the exit status.

    0 when every check holds, 1 when one does not or there is no room for the journal, 2 when the path is missing or
    neither a file nor a directory, 130 after Ctrl-C.  Blocks until the tour has ended.  Raises what the tour raised
    otherwise, which would be a defect.
    """
    if (complaint := _complaint(settings.path)) is not None:
        errors.write(f"iocp-emu tour: {complaint}\n")
        return UNUSABLE
    progress, stop = Progress(), threading.Event()
    outcome: list[TourResult | BaseException] = []

    def run() -> None:
        try:
            outcome.append(run_tour(settings, progress, stop))
        except BaseException as error:
            outcome.append(error)

    runner = threading.Thread(target=run, name="tour", daemon=True)
    line = ProgressLine(progress, errors)
    try:
        runner.start()
        while runner.is_alive():
            runner.join(TERMINAL_EVERY_SECONDS)
            line.update()
    except KeyboardInterrupt:
        stop.set()
        if runner.is_alive():
            runner.join(STOPPING_SECONDS)
    finally:
        line.clear()
    if stop.is_set():
        errors.write("iocp-emu tour: interrupted\n")
        return INTERRUPTED
    (ended,) = outcome
    if isinstance(ended, OSError) and not isinstance(ended, Win32Error):
        errors.write(f"iocp-emu tour: {ended}\n")
        return FAILED
    if isinstance(ended, BaseException):
        raise ended
    output.write(as_text(ended) if form is Form.TEXT else json.dumps(as_document(ended), indent=2) + "\n")
    output.flush()
    return PASSED if ended.ok else FAILED


def _complaint(path: str) -> str | None:
    """Why this path cannot be toured."""
    try:
        os.stat(path)
    except (OSError, ValueError) as error:
        return f"cannot tour {path!a}: {getattr(error, 'strerror', None) or error}"
    if not (os.path.isdir(path) or os.path.isfile(path)):
        return f"cannot tour {path!a}: neither a directory nor a file"
    return None
