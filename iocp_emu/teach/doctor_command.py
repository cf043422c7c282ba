"""`iocp-emu doctor` on the command line."""

from __future__ import annotations

import argparse
import sys

from .doctor import show_doctor


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command says, and what it runs."""
    parser.description = "Run each blocking call on a worker of a port and look whether another worker is released."
    parser.epilog = (
        "Example: iocp-emu doctor.  "
        "Exit status: 0 when all is as documented, 1 when something is not, 130 after Ctrl-C."
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    return show_doctor(sys.stdout)
