"""P-15 and P-16 in every history of overlapped requests; and kernels that break them are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.file import FileObject, IoRequest, NotificationMode
from iocp_emu.profiles import PROFILES
from iocp_emu.testing.__main__ import main
from iocp_emu.testing.histories import Stop
from iocp_emu.testing.requests import (
    Cancelling,
    RequestBounds,
    RequestReport,
    explore_requests,
    replay_requests,
)

Patch = Callable[[pytest.MonkeyPatch], None]


def proved(report: RequestReport) -> bool:
    """Whether everything within the bounds has been covered and is right."""
    return report.stop is Stop.COMPLETE and report.violation is None


# -- the right kernel ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cancelling", Cancelling)
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_p15_and_p16_hold_in_every_history_of_one_request(profile: str, cancelling: Cancelling) -> None:
    """P-15, P-16: 2 threads, 1 request at a time, every emulated system, both kinds of device."""
    report = explore_requests(RequestBounds(cancelling=cancelling, profile=profile))
    assert proved(report), report


def test_p15_and_p16_hold_in_every_history_of_two_requests() -> None:
    """P-15, P-16: two requests at a time; the numbers are facts about the rules."""
    report = explore_requests(RequestBounds(threads=1, requests=2))
    assert proved(report), report
    assert (report.states, report.transitions, report.depth) == (1_815, 5_449, 7)


def test_p15_and_p16_hold_where_success_at_once_is_skipped() -> None:
    """P-15, I-15: a second file reports no success at once, but whatever has pended."""
    report = explore_requests(RequestBounds(threads=1, files=2))
    assert proved(report), report


@pytest.mark.slow
@pytest.mark.parametrize(
    "bounds",
    [
        RequestBounds(threads=2, requests=2),
        RequestBounds(threads=2, requests=2, cancelling=Cancelling.LATER),
        RequestBounds(threads=3, requests=1, concurrency=2),
        RequestBounds(threads=1, files=2, requests=2),
        RequestBounds(threads=1, requests=3),
    ],
    ids=str,
)
def test_p15_and_p16_hold_in_every_larger_history(bounds: RequestBounds) -> None:
    """P-15, P-16: up to 3 threads, 2 files, 3 requests at a time."""
    report = explore_requests(bounds)
    assert proved(report), report
    print(report)


# -- kernels that are wrong ----------------------------------------------------------------------------------------


def posts_errors(patch: pytest.MonkeyPatch) -> None:
    """An immediate error posts a packet (against I-03)."""
    right = IoRequest.complete

    def complete(self: IoRequest, code: int, information: int) -> None:
        pended, self.has_pended = self.has_pended, True
        right(self, code, information)
        self.has_pended = pended

    patch.setattr(IoRequest, "complete", complete)


def loses_cancelled(patch: pytest.MonkeyPatch) -> None:
    """A cancelled request has no packet (against I-41)."""
    right = IoCompletion.set

    def set_packet(self: IoCompletion, packet: Any, interrupted: Any = None) -> int:
        return 0 if packet.status == status.STATUS_CANCELLED else right(self, packet, interrupted)

    patch.setattr(IoCompletion, "set", set_packet)


def skips_pended(patch: pytest.MonkeyPatch) -> None:
    """The skip mode takes the packets of what has pended as well (against I-15)."""
    right = IoRequest._report  # pyright: ignore[reportPrivateUsage]

    def report(self: IoRequest, interrupted: Any) -> None:
        self.has_pended = self.has_pended and not self.file.modes & NotificationMode.SKIP_COMPLETION_PORT_ON_SUCCESS
        right(self, interrupted)

    patch.setattr(IoRequest, "_report", report)


def posts_twice(patch: pytest.MonkeyPatch) -> None:
    """A file that is closed posts its packets once more (against I-43)."""
    right = FileObject.on_last_handle_closed

    def closed(self: FileObject) -> None:
        association = self.association
        packets = [] if association is None else list(association.port.queue.packets)
        right(self)
        for packet in packets:
            if association is not None:
                association.port.set(packet)

    patch.setattr(FileObject, "on_last_handle_closed", closed)


def loses_with_the_thread(patch: pytest.MonkeyPatch) -> None:
    """What a thread has begun ends with it, unseen (against I-31)."""
    right = IoRequest.on_thread_exit

    def exited(self: IoRequest) -> None:
        right(self)
        self.context = None

    patch.setattr(IoRequest, "on_thread_exit", exited)


def writes_early(patch: pytest.MonkeyPatch) -> None:
    """The status block is written at the completion (against I-27)."""
    right = IoRequest._report  # pyright: ignore[reportPrivateUsage]

    def report(self: IoRequest, interrupted: Any) -> None:
        right(self, interrupted)
        self.on_delivered()

    patch.setattr(IoRequest, "_report", report)


def never_writes(patch: pytest.MonkeyPatch) -> None:
    """The dequeue leaves the status block pending (against I-27)."""
    patch.setattr(IoRequest, "on_delivered", lambda self: None)  # pyright: ignore[reportUnknownLambdaType]


def completes_twice(patch: pytest.MonkeyPatch) -> None:
    """What is cancelled is completed, and completed again (against I-41)."""
    right = IoRequest.cancel

    def cancel(self: IoRequest) -> None:
        right(self)
        self.complete(status.STATUS_CANCELLED, 0)

    patch.setattr(IoRequest, "cancel", cancel)


def writes_again(patch: pytest.MonkeyPatch) -> None:
    """The end of its file writes a status block that was final (against I-25)."""
    start, closed = FileObject.start_request, FileObject.on_last_handle_closed
    blocks: dict[FileObject, Any] = {}

    def start_request(self: FileObject, thread: Any, block: Any, **named: Any) -> IoRequest:
        blocks[self] = block
        return start(self, thread, block, **named)

    def on_last_handle_closed(self: FileObject) -> None:
        closed(self)
        if self in blocks:
            blocks[self].status = status.STATUS_PENDING

    patch.setattr(FileObject, "start_request", start_request)
    patch.setattr(FileObject, "on_last_handle_closed", on_last_handle_closed)


@pytest.mark.parametrize(
    ("defect", "rule", "moves"),
    [
        (posts_errors, "P-15", 1),
        (loses_cancelled, "P-15", 2),
        (completes_twice, "P-15", 2),
        (skips_pended, "P-15", 1),
        (posts_twice, "P-15", 2),
        (loses_with_the_thread, "P-15", 3),
        (writes_early, "P-16", 2),
        (never_writes, "P-16", 3),
        (writes_again, "P-16", 2),
    ],
)
def test_a_kernel_that_is_wrong_is_found(defect: Patch, rule: str, moves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-15, P-16: each defect is found by a shortest history, and seen again when that is replayed."""
    defect(monkeypatch)
    bounds = RequestBounds(threads=2, files=2)
    report = explore_requests(bounds)
    assert report.stop is Stop.VIOLATION
    violation = report.violation
    assert violation is not None
    assert (violation.rule, len(violation.history)) == (rule, moves), violation
    assert replay_requests(bounds, violation.history) == violation
    assert str(violation).endswith(f"after {' '.join(violation.history)}")
    assert str(violation) in str(report)


# -- bounds, budgets, replays, the command -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"threads": 0}, "threads must be 1 to 4, not 0"),
        ({"files": 4}, "files must be 1 to 3, not 4"),
        ({"requests": 7}, "requests must be 0 to 6, not 7"),
        ({"concurrency": 0}, "concurrency must be 1 to 4294967295, not 0"),
    ],
)
def test_bounds_out_of_range_are_refused(given: dict[str, Any], reason: str) -> None:
    """P-15: a bad bound is named, with its range."""
    with pytest.raises(ValueError, match=reason):
        RequestBounds(**given)


def test_unknown_system_is_refused() -> None:
    """P-15: a system is one that is emulated."""
    with pytest.raises(ValueError, match="unknown profile 'win12'"):
        RequestBounds(profile="win12")


def test_budget_ends_the_exploration() -> None:
    """P-15: what was not covered is told."""
    report = explore_requests(RequestBounds(), budget_states=50)
    assert report.stop is Stop.BUDGET
    assert report.headline.startswith("budget spent: ")


def test_replay_refuses_what_cannot_be_done() -> None:
    """P-15: a history that is none is refused at the first move that is not legal."""
    with pytest.raises(ValueError, match=r"'R1.ends' cannot be done after nothing"):
        replay_requests(RequestBounds(), ("R1.ends",))
    with pytest.raises(ValueError, match=r"'T1.polls' cannot be done after T1.exits"):
        replay_requests(RequestBounds(), ("T1.exits", "T1.polls"))


def test_command_explores_requests(capsys: pytest.CaptureFixture[str]) -> None:
    """P-15, P-16: `python -m iocp_emu.testing` ends with them."""
    assert main(["--threads", "1", "--ports", "1", "--packets", "1", "--requests", "1"]) == 0
    assert capsys.readouterr().out.endswith("2 threads with up to 1 requests under way: P-15 and P-16 hold\n")


def test_command_names_what_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """P-15: the exit code is 1, and the history is printed."""
    posts_errors(monkeypatch)
    assert main(["--threads", "1", "--ports", "1", "--packets", "1"]) == 1
    assert "after T1.issues.F1.fails" in capsys.readouterr().out
