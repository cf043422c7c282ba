"""Runs trio's own tests on its Windows backend on the emulated port, and counts.

    python -m tests.clients.run_trio [--python PATH]... [--module NAME]... [--only REGEX] [--repeat N] [--verbose]

`--python`: interpreters that have trio, cffi and pytest installed (and trustme with pyOpenSSL for what uses TLS), by
default the running one.  Prints for each `N passed, M failed, K skipped` and the ids that failed; the exit status is 1
when one failed that is not among KNOWN.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.clients.children import Known, run, show

CHILD = Path(__file__).with_name("trio_child.py")

# Test modules, and which of their tests.
SUITES: dict[str, str] = dict.fromkeys(
    (
        "trio._core._tests.test_windows",
        "trio._tests.test_windows_pipes",
        "trio._tests.test_wait_for_object",
        "trio._core._tests.test_io",
        "trio._core._tests.test_run",
        "trio._tests.test_socket",
        "trio._tests.test_highlevel_socket",
        "trio._tests.test_highlevel_open_tcp_stream",
        "trio._tests.test_highlevel_open_tcp_listeners",
        "trio._tests.test_highlevel_serve_listeners",
        "trio._tests.test_highlevel_ssl_helpers",
        "trio._tests.test_ssl",
        "trio._tests.test_threads",
        "trio._tests.test_timeouts",
        "trio._tests.test_sync",
        "trio._core._tests.test_guest_mode",
        "trio._core._tests.test_ki",
        "trio._core._tests.test_instrumentation",
        "trio._tests.test_signals",
    ),
    "",
)

# Tests that fail for a reason of their own, and the reason: (regular expression for the id, why).
KNOWN: Known = (
    (
        r"test_lsp_that_completely_hides_base_socket_gives_good_error$",
        "the test raises OSErrors of its own, which have a `winerror` on Windows only",
    ),
    (r"test_fromshare$", "the host's sockets have no method `share`"),
    (
        r"test_open_tcp_listeners_rebind$",
        "a port with connections that are not quite closed can be bound again on Windows, and not on the host",
    ),
    (
        r"test_windows_pipes\.py::test_close_during_write$",
        "closing an end with a write under way: 109 by rule I-43, where the test wants 995",
    ),
)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.run_trio")
    parser.add_argument("--python", action="append", help="an interpreter that has trio; repeatable")
    parser.add_argument("--module", action="append", help="a test module of trio's; repeatable")
    parser.add_argument("--only", default="", help="a regular expression for ids")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="show each module, and why tests fail")
    options = parser.parse_args()
    names: list[str] = options.module or list(SUITES)
    only: str = options.only
    modules = dict.fromkeys(names, only)
    is_good = True
    for python in options.python or [sys.executable]:
        ask = "import platform, importlib.metadata as m; print(platform.python_version(), m.version('trio'))"
        answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(options.repeat):
            report = run(CHILD, modules, python=python, verbose=options.verbose)
            is_good &= show("Python {}, trio {}".format(*answer), report, KNOWN, verbose=options.verbose)
    return int(not is_good)


if __name__ == "__main__":
    sys.exit(main())
