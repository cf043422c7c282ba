"""The tour: what it reads, what it measures, what it says, and that each of its checks can fail."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu import File, Overlapped
from iocp_emu.status import STATUS_END_OF_FILE, STATUS_IO_DEVICE_ERROR, STATUS_SUCCESS
from iocp_emu.teach import tour_console, tour_document
from iocp_emu.teach.tour import TourResult, run_tour
from iocp_emu.teach.tour_checks import examine
from iocp_emu.teach.tour_console import Form, ProgressLine, show_tour
from iocp_emu.teach.tour_document import as_document
from iocp_emu.teach.tour_figures import PortFigures, Timeline
from iocp_emu.teach.tour_files import FileReading, FoundFile, ReadFile, Unread
from iocp_emu.teach.tour_report import as_text, printable, shortened
from iocp_emu.teach.tour_results import ContextSwitches, Progress, TourSettings, TourStopped
from iocp_emu.trace.recorder import EventKind, QueueEvent

CHECKOUT = Path(__file__).resolve().parents[2]
CHUNK = 1000

needs_links = pytest.mark.skipif(os.name != "posix", reason="makes links, pipes and sockets as POSIX does")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with an empty file, one of exactly two chunks, one of many and a rest, and a few small ones."""
    root = tmp_path / "tree"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "empty").touch()
    (root / "exact").write_bytes(b"0123456789\n" * 181 + b"123456789")
    (root / "deep" / "large.bin").write_bytes(random.Random(1).randbytes(37 * CHUNK + 123))
    for number in range(20):
        (root / "deep" / "er" / f"{number}.txt").write_text("line\n" * number + "rest")
    assert (root / "exact").stat().st_size == 2 * CHUNK
    return root


def plainly(root: Path) -> dict[str, Any]:
    """The totals of a tree of regular files, by nothing but `read_bytes`."""
    contents = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    digests = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    return {
        "files": len(contents),
        "bytes": sum(map(len, contents)),
        "lines": sum(content.count(b"\n") for content in contents),
        "digest": hashlib.sha256("".join(digests).encode()).hexdigest(),
    }


def tour(path: Path, **settings: Any) -> dict[str, Any]:
    """The document of a tour, as a machine reads it."""
    settings.setdefault("chunk_bytes", CHUNK)
    result = run_tour(TourSettings(str(path), **settings))
    return cast(dict[str, Any], json.loads(json.dumps(as_document(result))))


def failed(document: dict[str, Any]) -> list[str]:
    """The names of the checks that do not hold."""
    return [check["name"] for check in document["checks"] if not check["ok"]]


# -- what it reads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "concurrency", "chunk_bytes"), [(6, 2, CHUNK), (1, 1, 64), (3, 8, 1 << 16), (12, 0, 7 * CHUNK)]
)
def test_totals_are_those_of_a_sequential_pass(tree: Path, workers: int, concurrency: int, chunk_bytes: int) -> None:
    """I-05, Q-35: with any pool, limit and size of reads, each file is read whole and counted once."""
    document = tour(tree, workers=workers, concurrency=concurrency, chunk_bytes=chunk_bytes)
    assert document["ok"], failed(document)
    assert document["totals"] == plainly(tree)
    requests = document["requests"]
    assert requests["started"] == requests["data"] + requests["end_of_file"] + requests["failed"]
    assert requests["end_of_file"] >= 1  # the empty file
    assert requests["failed"] == 0
    workers_found = document["workers"]
    assert [each["name"] for each in workers_found] == [f"worker-{number + 1}" for number in range(workers)]
    assert sum(each["packets"] for each in workers_found) == requests["started"] + requests["posted"]
    assert sum(each["bytes"] for each in workers_found) == document["totals"]["bytes"]
    deliveries = document["deliveries"]
    assert deliveries["handed_over"] + deliveries["released"] + deliveries["taken"] == (
        requests["started"] + requests["posted"]
    )
    assert deliveries["switches_avoided"] <= deliveries["taken"]
    assert document["blocking"]["times"] == document["totals"]["files"]
    assert document["active"]["highest"] <= workers


def test_h02_references_go_to_zero_step_by_step(tree: Path) -> None:
    """H-01, H-02, H-05: handle, files and parked calls hold the port; it is freed with the last file, not before."""
    steps = tour(tree)["references"]
    assert [(each["handles"], each["files"], each["calls"]) for each in steps] == [
        (1, 0, 0),
        (1, 0, 6),
        (1, 3, 6),
        (1, 3, 0),
        (0, 3, 0),
        (0, 2, 0),
        (0, 1, 0),
        (0, 0, 0),
    ]
    assert [each["references"] for each in steps] == [1, 7, 10, 4, 3, 2, 1, 0]
    assert [each["freed"] for each in steps] == [False] * 7 + [True]


def test_many_reads_of_one_large_file_are_in_flight(tmp_path: Path) -> None:
    """I-11: a single file is read in many pieces at once, and yet hashed in order."""
    path = tmp_path / "large"
    path.write_bytes(random.Random(2).randbytes(3_000_001))
    document = tour(path, chunk_bytes=4096)
    assert document["ok"], failed(document)
    assert document["totals"]["bytes"] == 3_000_001
    assert 2 <= document["requests"]["most_in_flight"] <= 2 * document["settings"]["in_flight_limit"]
    assert document["requests"]["most_open"] == 1


def test_many_files_keep_to_the_bounds(tmp_path: Path) -> None:
    """However many files there are, few are open and few reads in flight at a time."""
    for number in range(1500):
        (tmp_path / f"{number}").write_bytes(b"x" * (number % 7))
    document = tour(tmp_path)
    assert document["ok"], failed(document)
    assert document["totals"] == plainly(tmp_path)
    assert document["requests"]["most_open"] <= document["settings"]["open_limit"]
    assert document["requests"]["most_in_flight"] <= 2 * document["settings"]["in_flight_limit"]


def test_large_chunks_mean_few_reads_in_flight() -> None:
    """Memory is bounded: reads of 16 MiB are at most four at a time."""
    settings = TourSettings("x", chunk_bytes=1 << 24)
    assert (settings.in_flight_limit, settings.open_limit) == (4, 4)


@pytest.mark.parametrize("settings", [{"workers": 0}, {"chunk_bytes": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, int]) -> None:
    """No worker, or no bytes to read, is no tour."""
    with pytest.raises(ValueError, match="1 or more"):
        TourSettings("x", **cast(Any, settings))


def test_an_empty_directory_is_a_tour_too(tmp_path: Path) -> None:
    """No files: all figures are zero, the port lives and dies, and every check holds."""
    result = run_tour(TourSettings(str(tmp_path)))
    assert result.ok
    assert as_document(result)["totals"]["files"] == 0
    assert "0 files" in " ".join(as_text(result).split())


# -- what it cannot read ---------------------------------------------------------------------------------------------


@needs_links
def test_what_is_not_a_file_is_named_or_counted(tree: Path) -> None:
    """Dangling and circular links are named; pipes, sockets and links to directories are counted; the rest goes on."""
    expected = plainly(tree)
    (tree / "dangling").symlink_to("nowhere")
    (tree / "circular").symlink_to("circular")
    (tree / "up").symlink_to(tree, target_is_directory=True)
    (tree / "device").symlink_to(os.devnull)
    os.mkfifo(tree / "pipe")
    document = tour(tree)
    assert document["ok"], failed(document)
    assert document["totals"] == expected
    assert {Path(each["path"]).name for each in document["not_read"]["unread"]} == {"dangling", "circular"}
    assert all("errno" in each["reason"] for each in document["not_read"]["unread"])
    assert document["not_read"]["special"] == 2
    assert document["not_read"]["linked_directories"] == 1
    assert document["not_read"]["directories"] == 3


@needs_links
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may read everything")
def test_files_and_directories_without_permission_are_named(tree: Path) -> None:
    """What may not be opened is named with the Win32 error, or the host's for a directory."""
    (tree / "exact").chmod(0)
    (tree / "deep" / "er").chmod(0)
    try:
        document = tour(tree)
    finally:
        (tree / "deep" / "er").chmod(0o755)
    assert document["ok"], failed(document)
    reasons = {Path(each["path"]).name: each["reason"] for each in document["not_read"]["unread"]}
    assert set(reasons) == {"exact", "er"}
    assert reasons["exact"].endswith("(error 5)")


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that opens but cannot be read")
def test_i05_a_read_that_fails_is_a_packet_and_the_file_is_named(tree: Path) -> None:
    """I-05: the error of a read comes as a packet; the file is named with it, and the rest goes on."""
    expected = plainly(tree)
    (tree / "memory").symlink_to("/proc/self/mem")
    document = tour(tree)
    assert document["ok"], failed(document)
    assert document["totals"] == expected
    assert document["requests"]["failed"] == 1
    (unread,) = document["not_read"]["unread"]
    assert Path(unread["path"]).name == "memory"
    assert "(error " in unread["reason"]


def test_the_journal_is_no_part_of_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tour's own temporary directory is left out, and gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").write_text("content\n")
    document = tour(tmp_path)
    assert document["ok"], failed(document)
    assert (document["totals"]["files"], document["not_read"]["directories"]) == (1, 1)
    assert os.listdir(tmp_path) == ["file"]


@needs_links
def test_names_that_cannot_be_printed_do_no_harm(tmp_path: Path) -> None:
    """A name may be any bytes: the text shows it escaped, the document is plain ASCII."""
    name = os.fsdecode(b"new\nline\xff\x1b[1m")
    (tmp_path / name).symlink_to("nowhere")
    (tmp_path / (name + "2")).write_text("content")
    result = run_tour(TourSettings(str(tmp_path)))
    assert result.ok
    text = as_text(result)
    assert text.isascii()
    assert "new\\nline\\udcff\\x1b[1m" in text
    assert json.dumps(as_document(result)).isascii()


class MeddlingDigest:
    """SHA-256, but when it is first updated it does something to a file."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self._digest = hashlib.sha256()
        self._meddle = meddle

    def update(self, data: memoryview, /) -> None:
        """Meddle, then digest."""
        self._meddle()
        self._digest.update(data)

    def hexdigest(self) -> str:
        """The digest."""
        return self._digest.hexdigest()


def test_a_file_that_changes_meanwhile_is_named_and_not_compared(tmp_path: Path) -> None:
    """A file written to after it was read proves nothing, and is no failure."""
    path = tmp_path / "log"
    path.write_bytes(b"line\n" * 10)

    def append() -> None:
        with path.open("ab") as file:
            file.write(b"one more\n")

    result = run_tour(TourSettings(str(tmp_path), new_digest=lambda: MeddlingDigest(append)))
    assert result.ok
    document = as_document(result)
    assert [each["path"] for each in document["not_read"]["changed"]] == [str(path)]
    assert "1 path changed meanwhile" in " ".join(as_text(result).split())


@needs_links
@pytest.mark.parametrize("successor", [None, os.mkfifo if os.name == "posix" else None])
def test_a_file_that_vanishes_meanwhile_is_named_and_not_compared(
    tmp_path: Path, successor: Callable[[Path], None] | None
) -> None:
    """So is one that is gone when it shall be read plainly, or whose place a pipe has taken."""
    path = tmp_path / "short-lived"
    path.write_bytes(b"content")

    def replace() -> None:
        path.unlink()
        if successor is not None:
            successor(path)

    result = run_tour(TourSettings(str(tmp_path), new_digest=lambda: MeddlingDigest(replace)))
    assert result.ok
    assert [each.path for each in result.second.changed] == [str(path)]


# -- checks that fail ----------------------------------------------------------------------------------------------


class WrongDigest(MeddlingDigest):
    """SHA-256 of something else."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self._digest.update(b"not of the file")


@pytest.mark.parametrize("form", Form)
def test_a_corrupted_result_fails_the_tour(tree: Path, form: Form) -> None:
    """A wrong digest of even one file is found, named, and the exit status is 1."""
    digests = iter([WrongDigest()])
    settings = TourSettings(str(tree), chunk_bytes=CHUNK, new_digest=lambda: next(digests, None) or hashlib.sha256())
    output, errors = io.StringIO(), io.StringIO()
    assert show_tour(settings, form, output, errors) == tour_console.FAILED
    if form is Form.JSON:
        document = json.loads(output.getvalue())
        assert not document["ok"]
        assert set(failed(document)) == {"files", "totals"}
    else:
        assert "FAILED  files: 1 differ" in output.getvalue()
    assert errors.getvalue() == ""


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> TourResult:
    """A tour that passed, with enough in it to break."""
    root = tmp_path_factory.mktemp("tree")
    for number in range(12):
        (root / f"{number}").write_bytes(b"some line\n" * 700 * number)
    (root / "gone").touch()
    result = run_tour(TourSettings(str(root), chunk_bytes=CHUNK, new_digest=lambda: MeddlingDigest(lambda: None)))
    assert result.ok
    return result


def break_file(result: TourResult) -> None:
    """The plain pass found another digest."""
    result.second.differing.append("3")


def break_totals(result: TourResult) -> None:
    """The workers lost a line."""
    first = result.second.first_results
    first[-1] = first[-1]._replace(lines=first[-1].lines + 1)


def break_unread(result: TourResult) -> None:
    """A file was unreadable through the port only."""
    result.second.readable.append("3")


def break_journal(result: TourResult) -> None:
    """A result never reached the disk."""
    result.first.journal.pop()


def break_requests(result: TourResult) -> None:
    """A read brought no packet."""
    result.first.requests += 1
    result.first.posted -= 1


def break_deliveries(result: TourResult) -> None:
    """A worker saw a packet that the recorder did not."""
    result.first.workers[0].packets += 1
    result.first.workers[1].packets -= 1


def break_limit(result: TourResult) -> None:
    """A packet was handed out above the limit."""
    result.first.figures.limit_faults.append("worker-1: TAKEN at 3 of 2")


def break_packet_order(result: TourResult) -> None:
    """A packet overtook another."""
    result.first.figures.fifo_faults.append("out of order")


def break_waiter_order(result: TourResult) -> None:
    """The wrong waiter was released."""
    result.first.figures.lifo_faults.append("the first to park")


def break_blocks(result: TourResult) -> None:
    """A worker never came back from blocking."""
    result.first.figures.unblocked -= 1


def break_invariants(result: TourResult) -> None:
    """A property was violated."""
    result.first.violations.append("P-01: 2 runnable members but count 1/2")


def break_emptiness(result: TourResult) -> None:
    """A packet was left in the queue."""
    result.first.depth_left = 1


def break_references(result: TourResult) -> None:
    """A reference leaked."""
    step = result.first.references[1]
    result.first.references[1] = step._replace(references=step.references + 1)


def break_freeing(result: TourResult) -> None:
    """The port was never freed."""
    step = result.first.references[-1]
    result.first.references[-1] = step._replace(freed=False)


@pytest.mark.parametrize(
    ("break_it", "name"),
    [
        (break_file, "files"),
        (break_totals, "totals"),
        (break_unread, "unread"),
        (break_journal, "journal"),
        (break_requests, "one packet each"),
        (break_deliveries, "delivered once"),
        (break_limit, "limit"),
        (break_packet_order, "packets in order"),
        (break_waiter_order, "waiters in order"),
        (break_blocks, "blocks ended"),
        (break_invariants, "invariants"),
        (break_emptiness, "nothing left"),
        (break_references, "references"),
        (break_freeing, "freed"),
    ],
)
def test_each_check_can_fail(passed: TourResult, break_it: Callable[[TourResult], None], name: str) -> None:
    """Exactly the check that is there for it sees each kind of damage."""
    broken = copy.deepcopy(passed)
    break_it(broken)
    assert [check.name for check in examine(broken.first, broken.second) if not check.ok] == [name]
    names = [check.name for check in passed.checks]
    assert name in names
    assert len(names) == len(set(names)) == 14


def event(
    kind: EventKind, thread: str | None = None, packets: tuple[Any, ...] = (), active: int = 1, waiting: int = 0
) -> QueueEvent:
    """An event of a port with the limit 1, at no particular time."""
    return QueueEvent(0.0, kind, 1, thread, packets, active, 1, 0, waiting)


def test_the_figures_see_what_is_out_of_order() -> None:
    """Q-06, Q-07, Q-10: a packet above the limit, one that overtakes, and a waiter that does, are noticed."""
    figures = PortFigures()
    first, second, third = object(), object(), object()
    for each in (first, second):
        figures.observe(event(EventKind.QUEUED, packets=(each,)))
    for name in ("a", "b"):
        figures.observe(event(EventKind.PARKED, name))
    figures.observe(event(EventKind.HANDED_OVER, "b", (third,)))
    assert (figures.limit_faults, figures.fifo_faults, figures.lifo_faults) == ([], [], [])
    figures.observe(event(EventKind.PARKED, "b"))
    figures.observe(event(EventKind.RELEASED, "a", (second,), active=2))
    assert list(map(len, (figures.limit_faults, figures.fifo_faults, figures.lifo_faults))) == [1, 1, 1]


# -- what it says --------------------------------------------------------------------------------------------------


def test_the_text_reads_well(tree: Path) -> None:
    """ASCII, at most 80 columns, every section in order, rules next to figures, every check with its verdict."""
    text = as_text(run_tour(TourSettings(str(tree), chunk_bytes=CHUNK)))
    assert text.isascii()
    assert text.endswith("\n")
    assert max(map(len, text.splitlines())) <= 80
    assert not any(line != line.rstrip() for line in text.splitlines())
    headings = [
        "The life of a completion port",
        "What was read",
        "Who did the work",
        "How the packets reached them",
        "How many workers were runnable",
        "What blocking gave away",
        "What kept the port alive",
        "Checks: 14 of 14 hold",
    ]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    for rule in ("Q-02", "Q-07", "Q-10", "Q-14", "Q-23", "Q-25", "A-05", "H-01", "H-02", "H-05", "P-01"):
        assert rule in text
    assert text.count("\n  ok      ") == 14
    flat = " ".join(text.split())
    assert "23 files" in flat
    assert "freed (H-05)" in flat


def with_figures(result: TourResult, **changes: Any) -> str:
    """The text of a tour with some of its figures changed."""
    changed = copy.deepcopy(result)
    for name, value in changes.items():
        setattr(changed.first.figures, name, value)
    return " ".join(as_text(changed).split())


def test_q26_the_overshoot_is_explained_when_there_was_one(passed: TourResult) -> None:
    """Q-26: the highest count is shown with the step that led to it; without an overshoot the text says so."""
    peak = passed.first.figures.peak
    high = with_figures(passed, peak=peak._replace(active=5, seconds=0.5, kind=EventKind.UNBLOCKED, thread="worker-4"))
    assert "At most 5, after 500.0 ms: worker-4 stopped blocking" in high
    assert "(Q-26)" in high
    low = with_figures(passed, peak=peak._replace(active=2, kind=EventKind.TAKEN, thread="worker-4"))
    assert "Never above the limit; 2 at most." in low


def test_the_chart_shows_each_count_over_time(passed: TourResult) -> None:
    """Q-02: a row for each count with its share of the time; the limit is marked."""
    timeline = Timeline()
    timeline.add(0.0, 0.002, 0)
    timeline.add(0.002, 0.004, 2)
    timeline.add(0.004, 0.0045, 3)
    timeline.add(0.0045, 0.005, 1)
    lines = with_timeline(passed, timeline)
    assert lines[:4] == [
        "        3        10.0% |" + " " * 40 + "#####",
        "        2 limit  40.0% |" + " " * 20 + "#" * 25,
        "        1        10.0% |" + " " * 20 + "#" * 30,
        "        0        40.0% |",
    ]


def test_the_chart_puts_many_counts_together(passed: TourResult) -> None:
    """However many workers there are, the chart stays small."""
    timeline = Timeline()
    for count in range(100):
        timeline.add(count / 1000, (count + 1) / 1000, count)
    lines = with_timeline(passed, timeline)
    assert lines[0].split()[:2] == ["90-99", "10.0%"]
    assert lines[9].split()[:3] == ["0-9", "limit", "10.0%"]
    assert max(map(len, lines)) <= 80


def with_timeline(result: TourResult, timeline: Timeline) -> list[str]:
    """The lines of the text from the chart on."""
    changed = copy.deepcopy(result)
    changed.first.figures.timeline = timeline
    lines = as_text(changed).splitlines()
    return lines[lines.index("How many workers were runnable, over time (Q-02)") + 1 :]


def test_a_large_pool_and_many_unread_files_are_shortened(passed: TourResult) -> None:
    """The text names the first few; long paths keep their end; the document has them all."""
    changed = copy.deepcopy(passed)
    worker = changed.first.workers[0]
    changed.first.workers[:] = [copy.copy(worker) for _ in range(40)]
    changed.first.census.unread[:] = [Unread("d/" * 60 + str(number), "why " * 30) for number in range(15)]
    text = as_text(changed)
    assert max(map(len, text.splitlines())) <= 80
    assert "... and 30 more, with" in text
    assert "... and 5 more" in text
    assert "d/d/9:" in text
    assert len(as_document(changed)["not_read"]["unread"]) == 15


def test_where_the_system_does_not_count_context_switches(passed: TourResult) -> None:
    """The document says null, and the text leaves the sentence out."""
    changed = copy.deepcopy(passed)
    changed.first.switches = None
    assert as_document(changed)["context_switches"] is None
    assert "voluntary" not in as_text(changed)
    changed.first.switches = ContextSwitches(3, 4)
    assert as_document(changed)["context_switches"] == {"voluntary": 3, "involuntary": 4}
    assert "3 voluntary and 4 involuntary" in " ".join(as_text(changed).split())


def test_the_documented_keys_are_the_keys(passed: TourResult) -> None:
    """Every key of the document is described at the head of its module, and nothing else is."""
    assert tour_document.__doc__ is not None
    described = [
        line.split()[0].rstrip(",")
        for line in tour_document.__doc__.splitlines()
        if line.startswith("    ") and not line.startswith("     ")
    ]
    keys = list(as_document(passed))
    assert [key for key in keys if key not in ("python", "platform", "path")] == described


@pytest.mark.parametrize(
    ("text", "shown"), [("plain/path", "plain/path"), ("tab\there", "tab\\there"), ("caf\xe9", "caf\\xe9")]
)
def test_printable(text: str, shown: str) -> None:
    """Paths are shown in ASCII."""
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"), [("short", "short"), ("exactly-10", "exactly-10"), ("longer-than-10", "...than-10")]
)
def test_shortened(text: str, shown: str) -> None:
    """Long paths keep their end."""
    assert shortened(text, 10) == shown


# -- its parts -------------------------------------------------------------------------------------------------------


@given(
    st.binary(max_size=300),
    st.integers(1, 40),
    st.integers(1, 8),
    st.integers(0, 8),
    st.integers(-40, 40),
    st.randoms(use_true_random=False),
)
def test_i11_a_file_is_hashed_in_order_whatever_the_order_of_its_packets(
    content: bytes, chunk_bytes: int, window: int, spare: int, growth: int, chance: random.Random
) -> None:
    """I-11: packets come in any order; also when the file is shorter or longer than it was when it was found."""
    found = FoundFile("path", max(0, len(content) + growth), (0, 0, 0, 0))
    digest = hashlib.sha256()
    reading = FileReading(0, found, cast(File, None), digest, chunk_bytes)
    in_flight: list[int] = []
    offsets = reading.advance(window, spare)
    while offsets is not None:
        assert len(in_flight) + len(offsets) <= max(1, window)
        in_flight += offsets
        assert in_flight
        offset = in_flight.pop(chance.randrange(len(in_flight)))
        overlapped = Overlapped(cast(File, None), offset, memoryview(bytearray(chunk_bytes)), None)
        piece = content[offset : offset + chunk_bytes]
        overlapped._data[: len(piece)] = piece  # pyright: ignore[reportPrivateUsage]
        overlapped.status = STATUS_SUCCESS if piece else STATUS_END_OF_FILE
        overlapped.information = len(piece)
        assert reading.put_down(overlapped)
        offsets = reading.advance(window, spare)
    assert in_flight == []
    assert reading.failure is None
    assert reading.result() == ReadFile(hashlib.sha256(content).hexdigest(), content.count(b"\n"), len(content))


def test_a_failed_read_ends_the_file_when_the_last_packet_has_come() -> None:
    """I-05: a file whose read fails asks for nothing more, and is finished with its last packet."""
    found = FoundFile("path", 30, (0, 0, 0, 0))
    reading = FileReading(0, found, cast(File, None), hashlib.sha256(), 10)
    assert reading.advance(3, 3) == [0, 10, 20]
    for offset, code in ((10, STATUS_IO_DEVICE_ERROR), (0, STATUS_SUCCESS)):
        overlapped = Overlapped(cast(File, None), offset, memoryview(bytearray(10)), None)
        overlapped.status, overlapped.information = code, 10
        assert reading.put_down(overlapped)
        assert reading.advance(3, 3) == []
    assert reading.refuse(20, PermissionError(13, "no"))
    assert reading.advance(3, 3) is None
    assert reading.failure == "no (errno 13)"


def test_a_packet_for_a_file_that_is_being_hashed_is_put_down() -> None:
    """Who finds the turn taken leaves the data and goes on."""
    found = FoundFile("path", 20, (0, 0, 0, 0))
    reading = FileReading(0, found, cast(File, None), hashlib.sha256(), 10)
    assert reading.advance(2, 2) == [0, 10]
    first, second = (Overlapped(cast(File, None), offset, memoryview(b"x" * 10), None) for offset in (0, 10))
    for overlapped in (first, second):
        overlapped.information = 10
    assert reading.put_down(second)
    assert not reading.put_down(first)
    assert reading.advance(2, 2) == [20]


@given(
    st.lists(
        st.tuples(st.floats(0, 0.01) | st.integers(0, 20).map(lambda each: each / 10_000), st.integers(0, 4)),
        max_size=60,
    ),
    st.integers(1, 16),
)
def test_q02_the_timeline_loses_no_time(spans: list[tuple[float, int]], columns: int) -> None:
    """Q-02: whatever is merged, the seconds at each count stay what they were, and the slices in their bounds."""
    timeline = Timeline(columns, 0.0005)
    expected: dict[int, float] = {}
    now = 0.0
    for seconds, count in spans:
        timeline.add(now, now + seconds, count)
        expected[count] = expected.get(count, 0.0) + seconds
        now += seconds
    for count, seconds in expected.items():
        assert timeline.seconds_at().get(count, 0.0) == pytest.approx(seconds, abs=1e-9)
    assert len(timeline.slices) <= columns
    for part in timeline.slices:
        assert sum(part.values()) <= timeline.slice_seconds * (1 + 1e-9) + 1e-12


# -- when it cannot go on ------------------------------------------------------------------------------------------


def test_a_tour_that_is_asked_to_stop_stops(tree: Path) -> None:
    """Whenever it is asked: the workers end, and nothing is left behind."""
    stop = threading.Event()

    def meddle() -> None:
        stop.set()

    with pytest.raises(TourStopped):
        run_tour(TourSettings(str(tree), chunk_bytes=CHUNK, new_digest=lambda: MeddlingDigest(meddle)), stop=stop)
    assert not worker_threads()
    with pytest.raises(TourStopped):
        run_tour(TourSettings(str(tree)), stop=stop)
    assert not worker_threads()


def test_what_a_worker_raises_ends_the_tour(tree: Path) -> None:
    """A defect in a worker is raised by the tour; nothing hangs, and the other workers end."""

    def fail() -> None:
        raise ZeroDivisionError("in a worker")

    with pytest.raises(ZeroDivisionError, match="in a worker"):
        run_tour(TourSettings(str(tree), new_digest=lambda: MeddlingDigest(fail)))
    assert not worker_threads()
    with pytest.raises(ZeroDivisionError, match="in a worker"):
        show_tour(
            TourSettings(str(tree), new_digest=lambda: MeddlingDigest(fail)), Form.TEXT, io.StringIO(), io.StringIO()
        )


def worker_threads() -> list[str]:
    """The tour's threads that are still there."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("worker-")]


def test_no_room_for_the_journal_is_said_and_fails(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a temporary directory there is no tour: one sentence, exit status 1."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    output, errors = io.StringIO(), io.StringIO()
    assert show_tour(TourSettings(str(tree)), Form.TEXT, output, errors) == tour_console.FAILED
    assert errors.getvalue().startswith("iocp-emu tour: ")
    assert output.getvalue() == ""


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_ctrl_c_ends_a_tour_cleanly(tmp_path: Path) -> None:
    """Ctrl-C: exit status 130, nothing on the output, one sentence, nothing left on disk."""
    scratch, huge = tmp_path / "scratch", tmp_path / "huge"
    scratch.mkdir()
    with huge.open("wb") as file:
        file.truncate(1 << 36)
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from iocp_emu.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "tour", str(huge)],
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not any(scratch.glob("*/*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert output == ""
    assert errors == "iocp-emu tour: interrupted\n"
    assert os.listdir(scratch) == []


# -- progress ------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_progress_on_a_terminal_is_one_line_and_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the line is rewritten in place, and nothing of it stays."""
    monkeypatch.setattr(tour_console, "TERMINAL_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(tour_console, "TERMINAL_EVERY_SECONDS", 0.0)
    stream, progress = Terminal(), Progress(files=1234, bytes=5_600_000)
    line = ProgressLine(progress, stream)
    line.update()
    progress.phase, progress.files, progress.expected = "reading again", 5, 1234
    line.update()
    line.clear()
    line.clear()
    assert stream.getvalue().split("\r") == [
        "",
        "reading through the port: 1,234 files, 5.6 MB",
        "reading again: 5 of 1,234 files, 5.6 MB".ljust(45),
        " " * 39,
        "",
    ]


def test_progress_elsewhere_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on a terminal: nothing at first, then whole lines."""
    stream = io.StringIO()
    line = ProgressLine(Progress(), stream)
    line.update()
    assert stream.getvalue() == ""
    monkeypatch.setattr(tour_console, "LINES_EVERY_SECONDS", 0.0)
    line = ProgressLine(Progress(files=7), stream)
    line.update()
    line.update()
    line.clear()
    assert stream.getvalue() == "reading through the port: 7 files, 0.0 MB\n" * 2
