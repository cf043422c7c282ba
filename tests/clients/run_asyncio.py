"""Runs the standard library's own asyncio tests on the emulated port, for each interpreter, and counts.

    python -m tests.clients.run_asyncio [--python PATH]... [--module NAME]... [--only REGEX] [--repeat N] [--verbose]

Without `--python` every CPython from 3.10 on that is found is taken: on PATH, and of pyenv.  Prints for each
interpreter `N passed, M failed, K skipped` and the ids that failed; the exit status is 1 when one failed that is not
among KNOWN.  The suites need nothing but the interpreter and `typing_extensions`, which is taken from the running one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typing_extensions

CHECKOUT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("asyncio_child.py")
SECONDS_PER_MODULE = 400

# Test modules, and which of their tests: what runs on the selector's loop alone is no business of ours.
SUITES: dict[str, str] = {
    "test_windows_utils": "",
    "test_windows_events": "",
    "test_proactor_events": "",
    "test_events": r"\.ProactorEventLoopTests\.",
    "test_sock_lowlevel": r"\.Proactor",
    "test_sendfile": r"\.Proactor",
    "test_server": r"",
    "test_buffered_proto": r"\.BufferedProtocolProactorTests|\.Proactor",
    "test_sslproto": "",
    "test_subprocess": "",
    "test_streams": "",
    "test_ssl": "",
    "test_runners": "",
    "test_taskgroups": "",
    "test_timeouts": "",
    "test_waitfor": "",
    "test_queues": "",
    "test_locks": "",
    "test_threads": "",
    "test_context": "",
    "test_base_events": "",
}

# Tests that fail for a reason of their own, and the reason: (regular expression for the id, why).
KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"test_start_tls_client_corrupted_ssl$",
        "a race in the test: it wants the bad bytes to be seen before the end of the stream that follows them",
    ),
    (
        r"test_sendfile_close_peer_in_the_middle_of_receiving$",
        "the test of 3.10 wants the file's position to move; later versions know that TransmitFile does not do that",
    ),
    (
        r"test_subprocess_close_client_stream$",
        "a real child of this host writes to a broken pipe: EPIPE, where the test wants the EINVAL of Windows",
    ),
    (
        r"test_datagram_recvfrom_connection_reset_recovers$",
        "a call of this host sends before asyncio has the socket; for such a socket the host drops what ICMP answers",
    ),
)


@dataclass
class Report:
    """What one interpreter's runs came to."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def unexpected(self) -> list[str]:
        """Failures that no entry of KNOWN explains."""
        return [test for test in self.failures if reason_for(test) is None]

    def __str__(self) -> str:
        counts = self.counts
        return f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"


def reason_for(test: str) -> str | None:
    """Why it is no fault of ours that `test` fails; None when it is."""
    return next((reason for pattern, reason in KNOWN if re.search(pattern, test)), None)


def interpreters() -> list[str]:
    """Every CPython from 3.10 on that is found, one of each minor version."""
    found: dict[tuple[int, int], str] = {sys.version_info[:2]: sys.executable}
    candidates = [shutil.which(f"python3.{minor}") for minor in range(10, 20)]
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
        candidates += [str(path) for path in sorted(Path(root, "versions").glob("3.*/bin/python3"))]
    ask = "import sys; print(*sys.version_info[:2], sys.implementation.name)"
    for candidate in filter(None, candidates):
        answer = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False).stdout.split()
        if len(answer) == 3 and answer[2] == "cpython":
            version = int(answer[0]), int(answer[1])
            if version >= (3, 10):
                found.setdefault(version, candidate)
    return [found[version] for version in sorted(found)]


def has_module(python: str, module: str) -> bool:
    """Whether the interpreter ships this test module."""
    ask = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('test.test_asyncio.{module}') is None)"
    return subprocess.run([python, "-c", ask], capture_output=True, check=False).returncode == 0


def run_module(
    python: str, module: str, only: str, libraries: str, arguments: Sequence[str] = ()
) -> Iterator[tuple[str, str, str]]:
    """Run one module; (id, outcome, about) of each test.  A test that takes the process down has failed."""
    done: list[str] = []
    while True:
        records, log = _run_once(python, module, ["--only", only, *arguments], libraries, done)
        running = None
        for record in records:
            if "start" in record:
                running = record["start"]
            else:
                if record["id"] == running:
                    running = None
                done.append(record["id"])
                yield record["id"], record["outcome"], record["about"]
        if running is None:
            if log is not None:
                yield f"test.test_asyncio.{module}", "failed", log
            return
        done.append(running)
        yield running, "failed", f"the process ended in this test\n{log}"


def _run_once(
    python: str, module: str, arguments: Sequence[str], libraries: str, without: list[str]
) -> tuple[list[dict[str, str]], str | None]:
    """The records of one process, and what it said if it ended badly."""
    command = [python, "-X", "faulthandler", str(CHILD), f"test.test_asyncio.{module}", *arguments]
    if without:
        command += ["--without", *without]
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as results:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), libraries])}
        environment["RESULTS_FD"] = str(results.fileno())
        log: str | None = None
        try:
            process = subprocess.run(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=SECONDS_PER_MODULE,
                pass_fds=[results.fileno()],
                check=False,
            )
            if process.returncode:
                log = f"exit status {process.returncode}\n{process.stdout[-6000:]}"
        except subprocess.TimeoutExpired as expired:
            output = expired.stdout or b""
            text = output.decode(errors="replace") if isinstance(output, bytes) else output
            log = f"no end after {SECONDS_PER_MODULE} s\n{text[-6000:]}"
        results.seek(0)
        return [json.loads(line) for line in results if line.endswith("\n")], log


def run(
    python: str,
    modules: dict[str, str],
    *,
    arguments: Sequence[str] = (),
    until_unexpected: bool = False,
    verbose: bool = False,
) -> Report:
    """Run these modules under one interpreter; `until_unexpected`: no more once a test has failed that is not known."""
    report = Report()
    with tempfile.TemporaryDirectory() as libraries:
        shutil.copy(str(typing_extensions.__file__), libraries)
        for module, only in modules.items():
            if not has_module(python, module):
                continue
            start = time.monotonic()
            counts: Counter[str] = Counter()
            for test, outcome, about in run_module(python, module, only, libraries, arguments):
                counts[outcome] += 1
                if outcome == "failed":
                    report.failures[test] = about
                    if until_unexpected and report.unexpected:
                        return report
            report.counts.update(counts)
            if verbose:
                print(f"  {module:24} {dict(counts)} {time.monotonic() - start:.1f} s", flush=True)
    return report


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.run_asyncio")
    parser.add_argument("--python", action="append", help="an interpreter; repeatable")
    parser.add_argument("--module", action="append", choices=SUITES, help="a test module; repeatable")
    parser.add_argument("--only", help="a regular expression for ids, instead of the usual choice")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="show each module, and why tests fail")
    options = parser.parse_args()
    modules = {name: options.only or SUITES[name] for name in options.module or SUITES}
    is_bad = False
    for python in options.python or interpreters():
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(options.repeat):
            report = run(python, modules, verbose=options.verbose)
            print(f"{version}: {report}", flush=True)
            for test, about in report.failures.items():
                reason = reason_for(test)
                print(f"  FAILED {test}" + (f" (known: {reason})" if reason else ""), flush=True)
                if options.verbose and reason is None:
                    print("    " + about.replace("\n", "\n    "), flush=True)
            is_bad |= bool(report.unexpected)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
