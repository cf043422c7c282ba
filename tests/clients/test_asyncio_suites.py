"""The standard library's own asyncio tests on the emulated port.

A quick choice runs by default, under the interpreter of this run.  `python -m pytest -m slow tests/clients` runs all
suites under every interpreter that is found, as `python -m tests.clients.run_asyncio` does.
"""

from __future__ import annotations

import sys

import pytest

from tests.clients import defects
from tests.clients.run_asyncio import SUITES, Report, interpreters, reason_for, run

QUICK = ("test_windows_utils", "test_proactor_events", "test_sock_lowlevel", "test_buffered_proto")


SENSITIVE = {
    "test_sock_lowlevel": SUITES["test_sock_lowlevel"],
    "test_windows_events": "Proactor",
    "test_streams": "",
    "test_events": r"\.ProactorEventLoopTests\.test_(sock|create|dupl|sub|internal|call_soon_t)",
}


def check(report: Report) -> None:
    """Every test passes but those whose failure has a known cause elsewhere."""
    assert report.counts["passed"]
    assert not report.unexpected, "\n".join(f"{test}\n{report.failures[test]}" for test in report.unexpected)


def test_quick_suites() -> None:
    """clients issue: transports, low-level sockets, pipes and Popen, by CPython's tests."""
    check(run(sys.executable, {name: SUITES[name] for name in QUICK}))


@pytest.mark.slow
@pytest.mark.parametrize("python", interpreters())
def test_all_suites(python: str) -> None:
    """clients issue: every test but those whose cause lies in the test or in the absence of Windows."""
    check(run(python, SUITES))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, clients) in defects.DEFECTS.items() if "asyncio" in clients])
def test_defects_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """clients issue: CPython's tests notice a defect of the port."""
    monkeypatch.setenv("SECONDS_PER_TEST", "5")
    report = run(sys.executable, SENSITIVE, arguments=["--defect", name], until_unexpected=True)
    assert report.unexpected


def test_known_failures_name_a_cause() -> None:
    """An id is known by its end; anything else is unexpected."""
    assert reason_for("test.test_asyncio.test_ssl.TestSSL.test_start_tls_client_corrupted_ssl")
    report = Report()
    report.failures["test.test_asyncio.test_ssl.TestSSL.test_other"] = "because"
    assert report.unexpected == ["test.test_asyncio.test_ssl.TestSSL.test_other"]
    with pytest.raises(AssertionError):
        check(report)
