"""`iocp-emu tour` on the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .arguments import MOST_CONCURRENCY, MOST_WORKERS, whole
from .tour_console import Form, show_tour
from .tour_results import TourSettings

MOST_CHUNK_BYTES = 1 << 24


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it runs."""
    parser.description = (
        "Read every file of a tree through one completion port with a pool of workers, compare the result with a plain "
        "reading, and show what the port did."
    )
    parser.epilog = (
        "Example: iocp-emu tour docs --concurrency 1.  "
        "Exit status: 0 when every check holds, 1 when one does not, 2 for a bad command line, 130 after Ctrl-C. "
        "The keys of the JSON document are described in iocp_emu/teach/tour_document.py."
    )
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="a directory or a file (default: the source of this package)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    parser.add_argument(
        "--workers", type=whole(1, MOST_WORKERS), default=6, metavar="N", help="threads in the pool (default: 6)"
    )
    parser.add_argument(
        "--concurrency",
        type=whole(0, MOST_CONCURRENCY),
        default=2,
        metavar="N",
        help="the port's concurrency value; 0 means the number of processors (default: 2)",
    )
    parser.add_argument(
        "--chunk",
        type=whole(1, MOST_CHUNK_BYTES),
        default=1 << 16,
        metavar="BYTES",
        help="bytes asked for by one read (default: 65536)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    settings = TourSettings(
        path=str(Path(__file__).resolve().parents[1]) if arguments.path is None else arguments.path,
        workers=arguments.workers,
        concurrency=arguments.concurrency,
        chunk_bytes=arguments.chunk,
    )
    return show_tour(settings, Form.JSON if arguments.json else Form.TEXT, sys.stdout, sys.stderr)
