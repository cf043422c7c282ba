"""Runs a test module of Twisted's on its IOCP reactor, under the interpreter that runs this file.

`python tests/clients/twisted_child.py MODULE [--only REGEX] [--without FILE]`; see `children` for what it writes.

The reactor of the process is the IOCP reactor, and it is the one that Twisted's reactor-builder tests build; these see
a Windows platform.  All else of Twisted is as on this host.  The files are Twisted's own, unmodified.
"""

# Twisted's own calls are not all annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import json
import os
import re
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from iocp_emu.compat import ModuleView, guest
from iocp_emu.compat.twisted import provide

windows = provide()

from twisted.internet import iocpreactor  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

iocpreactor.install()

from twisted.python import runtime  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
from twisted.python.failure import Failure  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
from twisted.trial import reporter, runner  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

SECONDS_PER_TEST = float(os.environ.get("SECONDS_PER_TEST", "90"))
# These choose by the platform what they expect of a reactor, and shall hear that this one is Windows'.
WITH_WINDOWS = "twisted.internet.test.*"
REACTOR = "twisted.internet.iocpreactor.reactor.IOCPReactor"


class Reporter(reporter.TestResult):  # type: ignore[misc,unused-ignore]
    """Writes each outcome at once, so that a test that takes the process down is known."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._outcome: tuple[str, str] | None = None

    def _write(self, **record: str) -> None:
        self._out.write(json.dumps(record) + "\n")
        self._out.flush()

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._outcome = ("passed", "")
        self._write(start=test.id())
        faulthandler.dump_traceback_later(SECONDS_PER_TEST, exit=True)

    def stopTest(self, test: Any) -> None:
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        assert self._outcome is not None
        outcome, about = self._outcome
        self._outcome = None
        self._write(id=test.id(), outcome=outcome, about=about)

    def _note(self, test: Any, outcome: str, about: Any) -> None:
        if isinstance(about, tuple):
            about = Failure(about[1])
        text = about.getTraceback() if isinstance(about, Failure) else str(about)
        if self._outcome is None:  # outside any test
            self._write(id=test.id(), outcome=outcome, about=text)
        elif self._outcome[0] != "failed":
            self._outcome = (outcome, text)

    def addError(self, test: Any, error: Any) -> None:
        super().addError(test, error)
        self._note(test, "failed", error)

    def addFailure(self, test: Any, fail: Any) -> None:
        super().addFailure(test, fail)
        self._note(test, "failed", fail)

    def addSkip(self, test: Any, reason: Any) -> None:
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addExpectedFailure(self, test: Any, error: Any, todo: Any = None) -> None:
        super().addExpectedFailure(test, error, todo)
        self._note(test, "skipped", f"todo: {todo}")

    def addUnexpectedSuccess(self, test: Any, todo: Any = None) -> None:
        super().addUnexpectedSuccess(test, todo)
        self._note(test, "failed", f"unexpected success: {todo}")


def tests_in(suite: Any) -> Iterator[Any]:
    """The tests of a suite, in order."""
    if isinstance(suite, unittest.TestSuite):
        for test in suite:
            yield from tests_in(test)
    else:
        yield suite


def interfaces() -> ModuleType:
    """What asks Windows for its network interfaces, asking the host instead."""
    module = ModuleType("twisted.internet.test._win32ifaces")

    def addresses() -> Any:
        return importlib.import_module("twisted.internet.test._posixifaces").posixGetLinkLocalIPv6Addresses()

    vars(module)["win32GetLinkLocalIPv6Addresses"] = addresses
    return module


def let_children_be_on_windows() -> None:
    """A Python that a test starts finds the same modules: it calls `provide` before anything else."""
    place = Path("for-children").absolute()
    place.mkdir()
    (place / "sitecustomize.py").write_text("from iocp_emu.compat.twisted import provide\nprovide()\n")
    sys.path.append(str(place))  # some tests hand this on
    os.environ["PYTHONPATH"] = os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])


def without_a_time_limit_for_examples() -> None:
    """Hypothesis finds nothing wrong with a machine that is slow."""
    with contextlib.suppress(ImportError):
        from hypothesis import HealthCheck, settings

        settings.register_profile("slow machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("slow machine")


def main() -> None:
    """Run one module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("--only", default="", help="a regular expression that is searched for in ids")
    parser.add_argument("--without", type=Path, help="a file with ids that are left out")
    parser.add_argument("--defect", help="a deliberate defect, see `defects`")
    options = parser.parse_args()
    if options.defect:
        import defects  # type: ignore[import-not-found,unused-ignore]  # lies beside this file

        defects.apply(options.defect)
    faulthandler.enable()
    let_children_be_on_windows()
    without_a_time_limit_for_examples()
    out = os.fdopen(int(os.environ["RESULTS_FD"]), "w") if "RESULTS_FD" in os.environ else sys.stdout
    without = set(options.without.read_text().splitlines()) if options.without else set()
    as_on_windows = ModuleView(runtime, platform=runtime.Platform("nt", "win32"), platformType="win32")
    guest({WITH_WINDOWS: {**windows, "twisted.python.runtime": as_on_windows}})
    sys.modules["twisted.internet.test._win32ifaces"] = interfaces()
    sys.modules["resource"] = None  # type: ignore[assignment]  # no such module there
    reactormixins = importlib.import_module("twisted.internet.test.reactormixins")
    reactormixins.ReactorBuilder._reactors = [REACTOR]  # before a test module makes its classes
    loaded = runner.TestLoader().loadByName(options.module, recurse=True)
    chosen = [
        test for test in tests_in(loaded) if re.search(options.only, test.id()) and test.id() not in without
    ]
    result = Reporter(out)
    runner.TrialSuite(chosen).run(result)
    out.flush()


if __name__ == "__main__":
    main()
