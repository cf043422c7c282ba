"""The command `iocp-emu`, also `python -m iocp_emu`.

Own rules.  A command stands here with its name, one line and the module that knows the rest; that module is imported
when the command is asked for, and its `configure(parser)` adds arguments and the function that runs.  `main` returns
the exit status and lets nothing else out: 2 for a command line that makes no sense, 130 after Ctrl-C, 141 when the
reader of the output has gone.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

from . import __version__

INTERRUPTED = 130
BROKEN_PIPE = 141


@dataclass(frozen=True, slots=True)
class Command:
    """One command: a line for the overview, and the module below `iocp_emu` that has its `configure`."""

    summary: str
    module: str


COMMANDS = {
    "tour": Command("show the life of a completion port, measured on a tree of files", "teach.tour_command"),
    "lesson": Command("learn how completion ports work, one question at a time", "teach.lessons.command"),
    "step": Command("be the scheduler of a program: choose, go back, fork, compare", "teach.step_command"),
    "ps": Command("show the live ports of running processes", "teach.ps_command"),
    "rules": Command("look up the rules of completion ports", "teach.rules_command"),
    "trace": Command("record a script, and show recordings as text or as a page", "teach.trace_command"),
    "explain": Command("say step by step what a recording shows, and why", "teach.explain_command"),
    "experiment": Command(
        "try one concurrency value after the other, and say which to choose", "teach.experiment.command"
    ),
    "doctor": Command("show which blocking calls detect_blocking() sees here", "teach.doctor_command"),
    "serve": Command("serve the files of a directory over HTTP from one completion port", "teach.serve_command"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return the exit status."""
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes the standard output once more when it ends; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return status


def _run(argv: Sequence[str]) -> int:
    try:
        parser = _parser(argv)
        arguments, rest = parser.parse_known_args(argv)
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}{_meant(rest, arguments.options)}")
    except SystemExit as end:  # how argparse ends after --help, --version and errors
        return end.code if isinstance(end.code, int) else 0
    status: int = arguments.run(arguments)
    return status


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for this command line: every command by name, the one that is asked for with its arguments."""
    parser = argparse.ArgumentParser(
        prog="iocp-emu",
        description="Windows I/O completion ports, emulated: see one at work, and learn its rules.",
        epilog="Example: iocp-emu tour.  Each command has its own --help.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    asked = next((word for word in argv if not word.startswith("-")), None)
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.summary)
        if name == asked:
            import_module(f".{command.module}", __package__).configure(subparser)
            subparser.set_defaults(options=re.findall(r"(?m)^ +(?:-\w, )?(--[\w-]+)", subparser.format_help()))
    if asked is not None and asked not in COMMANDS:
        from .teach.arguments import unknown

        parser.error(unknown("command", asked, COMMANDS))
    return parser


def _meant(rest: Sequence[str], options: Sequence[str]) -> str:
    """The option that the first unknown one was likely meant to be, or nothing."""
    word = next((each.partition("=")[0] for each in rest if each.startswith("--")), None)
    close = get_close_matches(word, options, n=1) if word is not None else []
    return f" (did you mean {close[0]!r}?)" if close else ""
