"""Printing lines on a stream: plain, or in colours where there is a terminal and rich is installed.

Own rules.  The words are the same either way.  Nothing but the lines is printed, and no escape sequence without a
terminal.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from ...trace.text import Charset
from .presentation import Kind, Line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class Colours(enum.Enum):
    """Whether colours are wanted."""

    AUTO = "on a terminal that can show them, if rich is installed"
    NEVER = "never"


STYLES = {
    Kind.TITLE: "bold",
    Kind.HEADING: "bold cyan",
    Kind.TEXT: "",
    Kind.NOTE: "dim",
    Kind.CODE: "",
    Kind.TIMELINE: "",
    Kind.FACT: "yellow",
    Kind.RIGHT: "bold green",
    Kind.WRONG: "red",
    Kind.RULE: "",
    Kind.COMMAND: "magenta",
}


class Printer:
    """Prints lines on `stream`.  What the stream is decides whether there are colours, unless they are not wanted."""

    def __init__(self, stream: TextIO, colours: Colours = Colours.AUTO) -> None:
        self.stream = stream
        self._console = _console(stream) if colours is Colours.AUTO else None

    def print(self, lines: Iterable[Line]) -> None:
        """Print each line, with its end."""
        if self._console is None:
            for line in lines:
                self.stream.write(f"{line.text}\n")
            return
        for line in lines:
            self._console.print(_styled(line), soft_wrap=True)

    def prompt(self, text: str) -> None:
        """Print the beginning of a line on which somebody will type."""
        self.stream.write(text)
        self.stream.flush()


def _console(stream: TextIO) -> Console | None:
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _styled(line: Line) -> Text:
    from rich.syntax import Syntax
    from rich.text import Text

    if line.kind is not Kind.CODE:
        return Text(line.text, style=STYLES[line.kind])
    text = Syntax("", "python", theme="ansi_dark").highlight(line.text)
    text.rstrip()
    return text


def charset_of(stream: TextIO) -> Charset:
    """The characters that a stream can take: unicode if its encoding has those of a timeline."""
    try:
        "█▒·▂¦…─◂".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return Charset.ASCII
    return Charset.UNICODE
