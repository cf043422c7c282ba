"""Runs Twisted's own tests on its IOCP reactor on the emulated port, and counts.

    python -m tests.clients.run_twisted [--python PATH]... [--module NAME]... [--only REGEX] [--repeat N] [--verbose]

`--python`: interpreters that have Twisted installed (and pyOpenSSL with service-identity for what uses TLS), by default
the running one.  Prints for each `N passed, M failed, K skipped` and the ids that failed; the exit status is 1 when one
failed that is not among KNOWN.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.clients.children import Known, run, show

CHILD = Path(__file__).with_name("twisted_child.py")

# Test modules, and which of their tests.
SUITES: dict[str, str] = dict.fromkeys(
    (
        # Reactor-builder tests.
        "twisted.internet.test.test_iocp",
        "twisted.internet.test.test_tcp",
        "twisted.internet.test.test_udp",
        "twisted.internet.test.test_time",
        "twisted.internet.test.test_threads",
        "twisted.internet.test.test_core",
        "twisted.internet.test.test_base",
        "twisted.internet.test.test_endpoints",
        "twisted.internet.test.test_tls",
        "twisted.internet.test.test_fdset",
        "twisted.internet.test.test_unix",
        "twisted.internet.test.test_win32events",
        # What runs on the reactor of the process.
        "twisted.test.test_internet",
        "twisted.test.test_tcp",
        "twisted.test.test_udp",
        "twisted.test.test_ssl",
        "twisted.test.test_sslverify",
        "twisted.protocols.test.test_tls",
        "twisted.test.test_ftp",
        "twisted.test.test_loopback",
        "twisted.test.test_policies",
        "twisted.protocols.test.test_basic",
        "twisted.test.test_amp",
        "twisted.spread.test.test_pb",
        "twisted.names.test",
        "twisted.web.test.test_http",
        "twisted.web.test.test_web",
        "twisted.web.test.test_webclient",
        "twisted.web.test.test_agent",
        "twisted.web.test.test_wsgi",
        "twisted.web.test.test_xmlrpc",
        "twisted.test.test_threads",
    ),
    "",
)

# Tests that fail for a reason of their own, and the reason: (regular expression for the id, why).
KNOWN: Known = (
    (
        r"test_getaddrinfo_negative_port$|TCP6ClientTests\w*\.test_connectPortUnderflow$",
        "the host's getaddrinfo refuses a negative port, and Windows' does not",
    ),
    (
        r"IPv6\w*ScopeID$|test_serverAddressTCP6$",
        "the host's sockets name a scope by its interface, and Windows' by its number",
    ),
)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.run_twisted")
    parser.add_argument("--python", action="append", help="an interpreter that has Twisted; repeatable")
    parser.add_argument("--module", action="append", help="a test module of Twisted's; repeatable")
    parser.add_argument("--only", default="", help="a regular expression for ids")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="show each module, and why tests fail")
    options = parser.parse_args()
    names: list[str] = options.module or list(SUITES)
    only: str = options.only
    modules = dict.fromkeys(names, only)
    is_good = True
    for python in options.python or [sys.executable]:
        ask = "import platform, twisted; print(f'Python {platform.python_version()}, Twisted {twisted.__version__}')"
        title = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(options.repeat):
            report = run(CHILD, modules, python=python, verbose=options.verbose)
            is_good &= show(title, report, KNOWN, verbose=options.verbose)
    return int(not is_good)


if __name__ == "__main__":
    sys.exit(main())
