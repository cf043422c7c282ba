"""Twisted on its IOCP reactor on the emulated port, by Twisted's own tests.

A quick choice runs by default where Twisted is installed.  `python -m pytest -m slow tests/clients/test_twisted.py`
runs all suites, as `python -m tests.clients.run_twisted` does, and puts deliberate defects into the port.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.clients import defects
from tests.clients.children import CHECKOUT, Report, run
from tests.clients.run_twisted import CHILD, KNOWN, SUITES

QUICK = {
    "twisted.internet.test.test_iocp": "",
    "twisted.internet.test.test_core": "",
    "twisted.internet.test.test_tcp": "",
    "twisted.internet.test.test_udp": "",
    "twisted.test.test_tcp": "",
}
SENSITIVE = {
    "twisted.internet.test.test_iocp": "",
    "twisted.internet.test.test_tcp": "TCP4ClientTests|TCPTransport|StopStart|[Aa]bort|Half|WriteSeq",
    "twisted.internet.test.test_udp": "",
    "twisted.test.test_tcp": "",
}

needs_twisted = pytest.mark.skipif(
    importlib.util.find_spec("twisted") is None or importlib.util.find_spec("hamcrest") is None,
    reason="needs Twisted, and PyHamcrest for its tests",
)

PROGRAM = """
import sys
from iocp_emu.compat.twisted import provide
modules = provide()
assert provide() == modules and "twisted_iocpsupport.iocpsupport" in modules
assert not {"msvcrt", "win32file", "twisted_iocpsupport"} & set(sys.modules) and sys.platform == PLATFORM
from twisted.internet import iocpreactor
iocpreactor.install()
from twisted.internet import protocol, reactor
assert type(reactor).__name__ == "IOCPReactor"

class Echo(protocol.Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

class Client(protocol.Protocol):
    count = 0
    def connectionMade(self):
        self.transport.write(bytes(SIZE))
    def dataReceived(self, data):
        self.count += len(data)
        if self.count == SIZE:
            self.transport.loseConnection()
    def connectionLost(self, reason):
        print(self.count, reason.type.__name__)
        reactor.stop()

SIZE = 1_000_000
port = reactor.listenTCP(0, protocol.Factory.forProtocol(Echo), interface="127.0.0.1")
reactor.connectTCP("127.0.0.1", port.getHost().port, protocol.ClientFactory.forProtocol(Client))
reactor.run()
"""


def check(report: Report) -> None:
    """Every test passes but those whose failure has a known cause elsewhere."""
    assert report.counts["passed"]
    unexpected = report.unexpected(KNOWN)
    assert not unexpected, "\n".join(f"{test}\n{report.failures[test]}" for test in unexpected)


@needs_twisted
def test_a_program_on_the_reactor() -> None:
    """clients.md 9: provide(), Twisted's own reactor, an echo of a million bytes; nothing else sees Windows."""
    program = PROGRAM.replace("PLATFORM", repr(sys.platform))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("1000000 ConnectionDone\n", 0), done.stderr


@needs_twisted
def test_quick_suites() -> None:
    """clients issue: TCP, UDP and the reactor's core, by Twisted's tests."""
    check(run(CHILD, QUICK))


@needs_twisted
@pytest.mark.slow
def test_all_suites() -> None:
    """clients issue: every test but those whose cause lies in the test or in the host."""
    check(run(CHILD, SUITES))


@needs_twisted
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, clients) in defects.DEFECTS.items() if "twisted" in clients])
def test_defects_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """clients issue: Twisted's tests notice a defect of the port."""
    monkeypatch.setenv("SECONDS_PER_TEST", "4")
    report = run(CHILD, SENSITIVE, arguments=["--defect", name], seconds=30, until_other_than=KNOWN)
    assert report.unexpected(KNOWN)
