"""`iocp-emu trace`: record a script, and turn recordings into text, a page or Chrome's format."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ..trace.chrome import write_chrome
from ..trace.html import write_html
from ..trace.jsonl import TraceFileError, read_trace, write_trace
from ..trace.model import Trace
from ..trace.text import Charset, text_timeline
from .arguments import whole

MOST_PROCESSORS = 1024
MOST_SEEDS = 1 << 63
SCRIPT_FAILED = 1

FORMATS: dict[str, tuple[str, Callable[[Trace, str], None]]] = {
    "html": ("one page that can be stepped through, for a browser", write_html),
    "chrome": ("Chrome's JSON, for ui.perfetto.dev and chrome://tracing", write_chrome),
    "jsonl": ("JSON lines, for `iocp-emu explain` and `iocp-emu trace convert`", write_trace),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two commands below `trace`."""
    parser.description = "Record what the ports and threads of a script do, and look at recordings."
    parser.epilog = "Example: iocp-emu trace run server.py --html server.html"
    commands = parser.add_subparsers(title="commands", required=True, metavar="run|convert")
    _configure_run(commands.add_parser("run", help="record a script"))
    _configure_convert(commands.add_parser("convert", help="show a recording in another form"))


def _configure_run(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run a Python script that uses iocp_emu and record what its ports and threads do.  A script that makes a "
        "Simulation of its own is recorded there; with --simulation, all of it runs in one."
    )
    parser.epilog = (
        "Example: iocp-emu trace run server.py --simulation --html server.html.  "
        "Exit status: that of the script; the recording is written even when the script fails."
    )
    parser.add_argument("--simulation", action="store_true", help="run it on virtual threads, in virtual time")
    parser.add_argument(
        "--processors", type=whole(1, MOST_PROCESSORS), default=2, metavar="N", help="of the simulation (default: 2)"
    )
    parser.add_argument(
        "--seed", type=whole(0, MOST_SEEDS), default=0, metavar="N", help="of the simulation (default: 0)"
    )
    _add_outputs(parser)
    parser.add_argument("script", metavar="SCRIPT.py", help="what to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="what the script is given")
    parser.set_defaults(run=_run)


def _configure_convert(parser: argparse.ArgumentParser) -> None:
    parser.description = "Read a recording and write it in other forms."
    parser.epilog = (
        "Example: iocp-emu trace convert server.jsonl --html server.html.  "
        "Exit status: 0, or 1 when a file cannot be read or written."
    )
    parser.add_argument("file", metavar="FILE.jsonl", help="a recording, as `iocp-emu trace run --jsonl` writes it")
    _add_outputs(parser)
    parser.set_defaults(run=_convert)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    for name, (summary, _) in FORMATS.items():
        parser.add_argument(f"--{name}", metavar="OUT", help=f"write {summary}")
    parser.add_argument("--text", metavar="OUT", help="write the timeline as text; - is the terminal (the default)")
    parser.add_argument("--ascii", action="store_true", help="in the text, nothing but ASCII")


def _run(arguments: argparse.Namespace) -> int:
    from .trace_script import run_script

    run = run_script(
        arguments.script,
        arguments.arguments,
        (arguments.processors, arguments.seed) if arguments.simulation else None,
    )
    if run.trace is None:
        print(f"iocp-emu trace run: {run.message}", file=sys.stderr)
        return run.status
    sys.stdout.flush()
    if run.message:
        print(run.message, file=sys.stderr)
    if not run.trace.ports:
        print("iocp-emu trace run: the script has used no completion port", file=sys.stderr)
    return _write(run.trace, arguments, "trace run") or run.status


def _convert(arguments: argparse.Namespace) -> int:
    try:
        trace = read_trace(arguments.file)
    except (OSError, TraceFileError) as error:
        print(f"iocp-emu trace convert: {error}", file=sys.stderr)
        return 1
    return _write(trace, arguments, "trace convert")


def _write(trace: Trace, arguments: argparse.Namespace, command: str) -> int:
    """Write every form that was asked for, and text to the terminal if none was."""
    outputs = {name: getattr(arguments, name) for name in (*FORMATS, "text") if getattr(arguments, name) is not None}
    if not outputs:
        outputs = {"text": "-"}
    for name, path in outputs.items():
        try:
            if name == "text":
                _write_text(trace, path, Charset.ASCII if arguments.ascii else Charset.UNICODE)
            else:
                FORMATS[name][1](trace, path)
        except OSError as error:
            print(f"iocp-emu {command}: {error}", file=sys.stderr)
            return 1
    return 0


def _write_text(trace: Trace, path: str, charset: Charset) -> None:
    if path != "-":
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text_timeline(trace, charset))
        return
    text = text_timeline(trace, charset)
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text_timeline(trace, Charset.ASCII)
    sys.stdout.write(text)
