"""Runs test modules of the standard library as guests, under the interpreter that runs this file.

`python tests/clients/asyncio_child.py MODULE [--only REGEX] [--without ID ...] [--defect NAME]` writes a JSON object a
line to the descriptor in the environment variable RESULTS_FD (or to stdout): `{"start": id}` before a test,
`{"id": id, "outcome": "passed" | "failed" | "skipped", "about": text}` after it.

The modules see `sys.platform == 'win32'` and Windows' modules; `asyncio` has the proactor event loop as its default, as
on Windows; everything else in the process is the host's.  The test files are those of the interpreter, unmodified.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import re
import signal
import sys
import unittest
from collections.abc import Iterator
from typing import Any, TextIO

SECONDS_PER_TEST = float(os.environ.get("SECONDS_PER_TEST", "60"))


class Reporter(unittest.TestResult):
    """Writes each outcome at once, so that a test that takes the process down is known."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._outcome: tuple[str, str] | None = None

    def _write(self, **record: str) -> None:
        self._out.write(json.dumps(record) + "\n")
        self._out.flush()

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._outcome = ("passed", "")
        self._write(start=test.id())
        faulthandler.dump_traceback_later(SECONDS_PER_TEST, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        if self._outcome is None:  # Python 3.12.1 does not start what it skips
            return
        outcome, about = self._outcome
        self._outcome = None
        self._write(id=test.id(), outcome=outcome, about=about)

    def _note(self, test: Any, outcome: str, about: str) -> None:
        if self._outcome is None:  # a class or a module, outside any test
            self._write(id=test.id(), outcome=outcome, about=about)
        elif self._outcome[0] != "failed":
            self._outcome = (outcome, about)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._note(test, "failed", self._exc_info_to_string(err, test))  # type: ignore[attr-defined]

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._note(test, "failed", self._exc_info_to_string(err, test))  # type: ignore[attr-defined]

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            about = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]
            self._note(test, "failed", f"{subtest.id()}\n{about}")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._note(test, "failed", "unexpected success")


def tests_in(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests of a suite, in order."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_in(test)
        else:
            yield test


def main() -> None:
    """Run one module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("--only", default="", help="a regular expression that is searched for in ids")
    parser.add_argument("--without", nargs="*", default=[], help="ids that are left out")
    parser.add_argument("--defect", help="a deliberate defect, see `defects`")
    options = parser.parse_args()
    if options.defect:
        import defects  # type: ignore[import-not-found,unused-ignore]  # lies beside this file

        defects.apply(options.defect)
    faulthandler.enable()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as it is for what a shell has put into the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    out = os.fdopen(int(os.environ["RESULTS_FD"]), "w") if "RESULTS_FD" in os.environ else sys.stdout

    from iocp_emu.compat import guest
    from iocp_emu.compat.asyncio import make_default

    # What asks a helper of the tests whether a host can do something shall hear what Windows can.
    patterns = ("test.test_asyncio.test_*", "test.support.socket_helper")
    with make_default() as installed, guest(dict.fromkeys(patterns, installed.modules)):
        try:
            loaded = unittest.defaultTestLoader.loadTestsFromName(options.module)
        except unittest.SkipTest as skip:
            out.write(json.dumps({"id": options.module, "outcome": "skipped", "about": str(skip)}) + "\n")
            return
        suite = unittest.TestSuite(
            test
            for test in tests_in(loaded)
            if re.search(options.only, test.id()) and test.id() not in options.without
        )
        suite.run(Reporter(out))
    out.flush()


if __name__ == "__main__":
    main()
