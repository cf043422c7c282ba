"""`iocp-emu serve` on the command line."""

from __future__ import annotations

import argparse
import sys

from .arguments import MOST_WORKERS, whole
from .serve import StaticServer

MOST_PORT = 0xFFFF


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it runs."""
    parser.description = "A static file server: accepts, file reads and sends are overlapped operations on one port."
    parser.epilog = "Example: iocp-emu serve docs --port 8080.  Ends at Ctrl-C."
    parser.add_argument(
        "directory", nargs="?", default=".", metavar="DIRECTORY", help="what to serve (default: this directory)"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="in digits (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=whole(0, MOST_PORT), default=8000, metavar="N", help="0: any that is free (default: 8000)"
    )
    parser.add_argument(
        "--workers", type=whole(1, MOST_WORKERS), default=4, metavar="N", help="threads in the pool (default: 4)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        server = StaticServer(arguments.directory, (arguments.host, arguments.port), arguments.workers)
    except OSError as error:
        print(f"iocp-emu serve: {error}", file=sys.stderr)
        return 1
    with server:
        print(f"serving {server.root} at http://{server.address[0]}:{server.address[1]}/ (Ctrl-C ends)", flush=True)
        server.wait()
    return 0
