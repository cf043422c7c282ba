"""The command `iocp-emu`, also `python -m iocp_emu`.

Own rules.  Each subcommand is imported when it is asked for.  `main` returns the exit status and lets nothing else out:
2 for a command line that makes no sense, 130 after Ctrl-C, 141 when the reader of the output has gone.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from . import __version__

INTERRUPTED = 130
BROKEN_PIPE = 141
MOST_WORKERS = 256
MOST_CHUNK_BYTES = 1 << 24
MOST_CONCURRENCY = 0xFFFFFFFF
MOST_PORT = 0xFFFF


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return the exit status."""
    try:
        status = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes the standard output once more when it ends; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # how argparse ends after --help, --version and errors
        return end.code if isinstance(end.code, int) else 0
    status: int = arguments.run(arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iocp-emu", description="Windows I/O completion ports, emulated on real threads and files."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_tour(commands.add_parser)
    _add_doctor(commands.add_parser)
    _add_serve(commands.add_parser)
    return parser


def _add_tour(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    tour = add_parser(
        "tour",
        help="show the life of a completion port, measured on a tree of files",
        description="Read every file of a tree through one completion port with a pool of workers, compare the result "
        "with a plain reading, and show what the port did.",
        epilog="Exit status: 0 when every check holds, 1 when one does not, 2 for a bad command line, 130 after "
        "Ctrl-C. The keys of the JSON document are described in iocp_emu/teach/tour_document.py.",
    )
    tour.add_argument(
        "path", nargs="?", metavar="PATH", help="a directory or a file (default: the source of this package)"
    )
    tour.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    tour.add_argument(
        "--workers", type=_whole(1, MOST_WORKERS), default=6, metavar="N", help="threads in the pool (default: 6)"
    )
    tour.add_argument(
        "--concurrency",
        type=_whole(0, MOST_CONCURRENCY),
        default=2,
        metavar="N",
        help="the port's concurrency value; 0 means the number of processors (default: 2)",
    )
    tour.add_argument(
        "--chunk",
        type=_whole(1, MOST_CHUNK_BYTES),
        default=1 << 16,
        metavar="BYTES",
        help="bytes asked for by one read (default: 65536)",
    )
    tour.set_defaults(run=_run_tour)


def _add_doctor(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    doctor = add_parser(
        "doctor",
        help="show which blocking calls detect_blocking() sees here",
        description="Run each blocking call on a worker of a port and look whether another worker is released.",
        epilog="Exit status: 0 when all is as documented, 1 when something is not, 130 after Ctrl-C.",
    )
    doctor.set_defaults(run=_run_doctor)


def _add_serve(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    serve = add_parser(
        "serve",
        help="serve the files of a directory over HTTP from one completion port",
        description="A static file server: accepts, file reads and sends are overlapped operations on one port.",
        epilog="Example: iocp-emu serve docs --port 8080.  Ends at Ctrl-C.",
    )
    serve.add_argument(
        "directory", nargs="?", default=".", metavar="DIRECTORY", help="what to serve (default: this directory)"
    )
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="in digits (default: 127.0.0.1)")
    serve.add_argument(
        "--port", type=_whole(0, MOST_PORT), default=8000, metavar="N", help="0: any that is free (default: 8000)"
    )
    serve.add_argument(
        "--workers", type=_whole(1, MOST_WORKERS), default=4, metavar="N", help="threads in the pool (default: 4)"
    )
    serve.set_defaults(run=_run_serve)


def _whole(low: int, high: int) -> Callable[[str], int]:
    """A type for `add_argument`: a whole number from `low` to `high`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low:,} to {high:,}, not {text!r}")
        return value

    return number


def _run_tour(arguments: argparse.Namespace) -> int:
    from .teach.tour_console import Form, show_tour
    from .teach.tour_results import TourSettings

    settings = TourSettings(
        path=os.path.dirname(os.path.abspath(__file__)) if arguments.path is None else arguments.path,
        workers=arguments.workers,
        concurrency=arguments.concurrency,
        chunk_bytes=arguments.chunk,
    )
    return show_tour(settings, Form.JSON if arguments.json else Form.TEXT, sys.stdout, sys.stderr)


def _run_doctor(arguments: argparse.Namespace) -> int:
    from .teach.doctor import show_doctor

    return show_doctor(sys.stdout)


def _run_serve(arguments: argparse.Namespace) -> int:
    from .teach.serve import StaticServer

    try:
        server = StaticServer(arguments.directory, (arguments.host, arguments.port), arguments.workers)
    except OSError as error:
        print(f"iocp-emu serve: {error}", file=sys.stderr)
        return 1
    with server:
        print(f"serving {server.root} at http://{server.address[0]}:{server.address[1]}/ (Ctrl-C ends)", flush=True)
        server.wait()
    return 0
