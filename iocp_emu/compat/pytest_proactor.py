"""A pytest option: `--proactor` runs a test suite with asyncio's ProactorEventLoop as the default loop.

Own rule.  Without the option this file imports nothing more of the package and changes nothing.
"""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """The option."""
    group = parser.getgroup("iocp_emu")
    group.addoption(
        "--proactor",
        action="store_true",
        help="run asyncio on Windows' ProactorEventLoop, on an emulated completion port",
    )


def pytest_configure(config: Any) -> None:
    """With the option, before any test module is imported: the proactor event loop is the default."""
    if config.getoption("--proactor"):
        from .asyncio import make_default

        default = make_default()
        default.__enter__()
        config.add_cleanup(lambda: default.__exit__(None, None, None))


def pytest_report_header(config: Any) -> str | None:
    """A line at the top of the report."""
    return "asyncio: ProactorEventLoop on iocp_emu" if config.getoption("--proactor") else None
