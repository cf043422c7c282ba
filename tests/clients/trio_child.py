"""Runs tests of trio's on its Windows backend, under the interpreter that runs this file.

`python tests/clients/trio_child.py MODULE [--only REGEX] [--without FILE]`; see `children` for what it writes.

All of trio, and with it the tests, see a Windows `sys`, `os`, `socket` and so on; pytest does not.  The files are
trio's own, unmodified.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, TextIO

import pytest

from iocp_emu.compat.asyncio import provide as provide_asyncio
from iocp_emu.compat.trio import provide

SECONDS_PER_TEST = float(os.environ.get("SECONDS_PER_TEST", "90"))


class Reporter:
    """Chooses tests, and writes each outcome at once."""

    def __init__(self, out: TextIO, only: str, without: set[str]) -> None:
        self._out = out
        self._only = only
        self._without = without
        self._outcome = ("passed", "")

    def _write(self, **record: str) -> None:
        self._out.write(json.dumps(record) + "\n")
        self._out.flush()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep what is asked for."""
        named = [(name_of(item.nodeid), item) for item in items]
        items[:] = [item for name, item in named if re.search(self._only, name) and name not in self._without]

    def pytest_collectreport(self, report: Any) -> None:
        """A module that cannot be imported, or does not want to."""
        if report.outcome != "passed":
            self._write(id=name_of(report.nodeid), outcome=report.outcome, about=str(report.longrepr))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Before a test."""
        self._outcome = ("passed", "")
        self._write(start=name_of(nodeid))
        faulthandler.dump_traceback_later(SECONDS_PER_TEST, exit=True)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """After each phase of a test."""
        if report.outcome != "passed" and self._outcome[0] != "failed":
            self._outcome = (report.outcome, str(report.longrepr))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """After a test."""
        faulthandler.cancel_dump_traceback_later()
        outcome, about = self._outcome
        self._write(id=name_of(nodeid), outcome=outcome, about=about)


def name_of(nodeid: str) -> str:
    """The id of a test, from the package on."""
    return nodeid[nodeid.find("trio/") :]


def main() -> int:
    """Run one module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("--only", default="", help="a regular expression that is searched for in ids")
    parser.add_argument("--without", type=Path, help="a file with ids that are left out")
    parser.add_argument("--defect", help="a deliberate defect, see `defects`")
    options = parser.parse_args()
    out = os.fdopen(int(os.environ["RESULTS_FD"]), "w") if "RESULTS_FD" in os.environ else sys.stdout
    without = set(options.without.read_text().splitlines()) if options.without else set[str]()
    provide_asyncio()
    provide()
    if options.defect:
        import defects  # type: ignore[import-not-found,unused-ignore]

        defects.apply(options.defect)
    spec = importlib.util.find_spec(options.module)
    package = importlib.util.find_spec("trio")
    assert spec is not None
    assert package is not None
    root = Path(str(package.origin)).parents[1]
    code = pytest.main(
        [
            *("-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:terminal"),
            *("-p", "trio._tests.pytest_plugin", "--import-mode=importlib", "--assert=plain"),
            *("--rootdir", str(root), "-c", os.devnull, str(spec.origin)),
        ],
        plugins=[Reporter(out, options.only, without)],
    )
    out.flush()
    return 0 if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED) else 1


if __name__ == "__main__":
    sys.exit(main())
