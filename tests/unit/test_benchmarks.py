"""The benchmark harness: statistics, table, checks, and that it fails when, and only when, a sample is wrong.

Nothing here looks at how long anything takes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import deque
from pathlib import Path
from random import Random

import pytest

from benchmarks import profile
from benchmarks.__main__ import main
from benchmarks.contestants import (
    BARE_LOCK,
    CHANNELS,
    PORT,
    Channel,
    Message,
    peer_channel,
    simple_queue,
)
from benchmarks.measure import (
    Comparison,
    Effort,
    Kind,
    OneByOne,
    Sample,
    Unavailable,
    Unit,
    Workload,
    WrongResult,
)
from benchmarks.report import Row, Verdict, render_figures, render_table, rows_of, spread
from benchmarks.runner import run
from benchmarks.staging import Crew, check_in_order, check_shared_out, pinned
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.imports import ImportTime
from benchmarks.workloads.one_thread import Batch, OneThread
from benchmarks.workloads.parked import ParkedMemory
from benchmarks.workloads.two_threads import Stream

PORT_WORKLOADS = (*WORKLOADS[: 1 + [type(workload) for workload in WORKLOADS].index(ParkedMemory)], ImportTime())
"""Those whose contestants are channels, and the imports; other wings measure themselves elsewhere."""


class Scripted(OneByOne):
    """Costs 2 and 1; counts its repeats; fails as told from the given repeat on (the warm-up is repeat 0)."""

    def __init__(self, name: str, fails: BaseException | None = None, from_repeat: int = 0) -> None:
        super().__init__(name, (Comparison("a", "b"),))
        self.efforts: list[Effort] = []
        self._fails = fails
        self._from_repeat = from_repeat

    def contestants(self, effort: Effort) -> list[str]:
        return ["a", "b"]

    def repeat(self, effort: Effort, random: Random) -> dict[str, Sample]:
        self.efforts.append(effort)
        return super().repeat(effort, random)

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        if self._fails is not None and contestant == "a" and len(self.efforts) > self._from_repeat:
            raise self._fails
        return Sample(2.0 if contestant == "a" else 1.0)


@pytest.fixture(autouse=True)
def no_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's time is judged here, and a suite has much that the collector would look at before every sample."""
    monkeypatch.setattr("benchmarks.measure.gc.collect", lambda: 0)


def row(
    comparison: Comparison,
    *values: float,
    unit: Unit = Unit.SECONDS,
    costs: tuple[float, float] = (1e-6, 2e-6),
) -> Row:
    """A row with the given value per repeat."""
    return Row("workload", unit, comparison, values, (costs[0],) * len(values), (costs[1],) * len(values))


class TestStatistics:
    """Medians and spread of what is computed within each repeat."""

    def test_ratio_is_the_median_of_the_ratios_of_each_repeat(self) -> None:
        """Not the ratio of the medians: a slow repeat hits both contestants and leaves its ratio alone."""
        repeats = [
            {"a": Sample(1.0), "b": Sample(2.0)},
            {"a": Sample(30.0), "b": Sample(40.0)},
            {"a": Sample(10.0), "b": Sample(100.0)},
        ]
        (found,) = rows_of(Scripted("w"), repeats)
        assert found.values == (0.5, 0.75, 0.1)
        assert found.value == 0.5  # the medians, 10 and 40, would give 0.25
        assert found.our_costs == (1.0, 30.0, 10.0)
        assert found.peer_costs == (2.0, 40.0, 100.0)

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([5.0], 0.0),
            ([1.0, 3.0], 1.0),
            ([3.0, 1.0, 2.0], 1.0),
            ([1.0, 2.0, 3.0, 4.0, 5.0], 2.0),
            ([1.0, 1.0, 1.0, 1.0, 1000.0], 0.0),
            ([1.0, 2.0, 3.0, 4.0], 1.5),
        ],
    )
    def test_spread_is_the_interquartile_range(self, values: list[float], expected: float) -> None:
        """Quartiles by linear interpolation, whatever the order of the repeats."""
        assert spread(values) == pytest.approx(expected)

    def test_difference_and_figure_are_taken_within_each_repeat(self) -> None:
        """A difference subtracts the peer's cost; a figure is read from ours alone."""

        class Other(Scripted):
            """With the two other kinds of comparison."""

            def __init__(self) -> None:
                super().__init__("other")
                self.comparisons = (
                    Comparison("a", "b", kind=Kind.DIFFERENCE),
                    Comparison("a", "touched", kind=Kind.FIGURE),
                )

        repeats = [
            {"a": Sample(900.0, {"touched": 2}), "b": Sample(300.0)},
            {"a": Sample(700.0, {"touched": 4}), "b": Sample(200.0)},
        ]
        difference, figure = rows_of(Other(), repeats)
        assert difference.values == (600.0, 500.0)
        assert figure.values == (2, 4)
        assert figure.value == 3

    def test_a_repeat_without_one_contestant_gives_no_ratio(self) -> None:
        """What a machine could not stage leaves the row's other repeats as they are, or the row empty."""
        partly = rows_of(Scripted("w"), [{"a": Sample(1.0)}, {"a": Sample(1.0), "b": Sample(4.0)}])
        assert partly[0].values == (0.25,)
        (empty,) = rows_of(Scripted("w"), [{"a": Sample(1.0)}, {"b": Sample(1.0)}])
        assert empty.value is None
        assert empty.verdict is Verdict.NONE

    @pytest.mark.parametrize(
        ("goal", "verdict"), [(0.5, Verdict.MET), (0.49, Verdict.MISSED), (None, Verdict.NONE)]
    )
    def test_verdict_compares_the_median_with_the_goal(self, goal: float | None, verdict: Verdict) -> None:
        """At most the goal is met; the spread plays no part."""
        assert row(Comparison("a", "b", goal), 0.1, 0.5, 9.0).verdict is verdict

    @pytest.mark.parametrize(("goal", "verdict"), [(50, Verdict.MET), (51, Verdict.MISSED)])
    def test_of_a_rate_more_is_better(self, goal: float, verdict: Verdict) -> None:
        """At least the goal is met, and the table says so."""
        rate = row(Comparison("a", "per second", goal, Kind.RATE), 50.0)
        assert rate.verdict is verdict
        assert f">={goal}" in render_table([rate], 100)


def widest_rows() -> list[Row]:
    """A row for every comparison of every workload, with values as wide as they get."""
    rows: list[Row] = []
    for workload in WORKLOADS:
        for comparison in workload.comparisons:
            values = (1234.5,) * 3 if comparison.kind is Kind.DIFFERENCE else (0.00123,) * 3
            costs = (1234.5, 1234.5) if workload.unit is Unit.BYTES else (123.4e-6, 0.0123e-6)
            rows.append(Row(workload.name, workload.unit, comparison, values, costs[:1] * 3, costs[1:] * 3))
    return rows


class TestTable:
    """The rendered table."""

    @pytest.mark.parametrize("columns", [20, 84, 90, 100, 200])
    def test_every_row_fits_the_width_clipped_to_84_to_100(self, columns: int) -> None:
        """For every comparison of every registered workload; no line ends in blanks."""
        lines = render_table(widest_rows(), columns).splitlines()
        assert len(lines) == 1 + sum(len(workload.comparisons) for workload in WORKLOADS)
        assert max(map(len, lines)) <= min(max(columns, 84), 100)
        assert all(line == line.rstrip() for line in lines)

    def test_about_is_left_out_where_it_does_not_fit(self) -> None:
        """Every other column stays."""
        assert render_table(widest_rows(), 100).splitlines()[0].split()[-2:] == ["verdict", "about"]
        assert render_table(widest_rows(), 84).splitlines()[0].split()[-2:] == ["goal", "verdict"]

    def test_cells_of_each_kind_of_row(self) -> None:
        """Ratios carry an x, bytes a B, counts nothing; goals and verdicts stand where there are any."""
        table = render_table(
            [
                row(Comparison("port", "queue.Queue", 0.2), 0.1234, 0.1234, 0.2),
                row(Comparison("port", "deque"), 12.34),
                row(Comparison("port", "workers touched", 2, Kind.FIGURE), 3.0, 3.0),
                row(
                    Comparison("port", "lock", 1024, Kind.DIFFERENCE),
                    600.0,
                    unit=Unit.BYTES,
                    costs=(1500.0, 900.0),
                ),
                row(Comparison("port", "absent", 0.8)),
            ],
            100,
        )
        assert [line.split()[1:] for line in table.splitlines()[1:]] == [
            ["port", "queue.Queue", "0.123x", "0.0383", "<=0.20x", "met", "1/2", "us"],
            ["port", "deque", "12.3x", "0", "-", "-", "1/2", "us"],
            ["port", "workers", "touched", "3", "0", "<=2", "missed"],
            ["port", "lock", "600", "B", "0", "<=1024", "B", "met", "1500/900", "B"],
            ["port", "absent", "-", "-", "<=0.80x", "-"],
        ]

    def test_columns_line_up(self) -> None:
        """Each heading of a number ends where its numbers end."""
        heading, first, second = render_table(
            [row(Comparison("port", "queue.Queue", 0.2), 0.1234), row(Comparison("port", "d"), 12.0)], 100
        ).splitlines()
        assert heading.index("verdict") + len("verdict") == first.index("met") + len("met")
        assert heading.index("ratio") + len("ratio") == first.index("0.123x") + len("0.123x")
        assert second.index("12x") + len("12x") == first.index("0.123x") + len("0.123x")

    def test_figures_table_has_a_column_per_contestant(self) -> None:
        """Medians over the repeats; a dash where a contestant has no such figure."""
        repeats = [{"a": Sample(1.0, {"touched": value}), "b": Sample(1.0)} for value in (1, 9, 2)]
        assert render_figures([Scripted("w")], {"w": repeats}).split() == [
            *("workload", "figure", "a"),
            *("w", "touched", "2"),
        ]
        repeats[0]["b"] = Sample(1.0, {"switches": 0.5})
        assert render_figures([Scripted("w")], {"w": repeats}).splitlines()[1].split() == [
            "w",
            "touched",
            "2",
            "-",
        ]
        assert render_figures([Scripted("w")], {"w": []}) == ""


class TestRegistry:
    """What stands in the table."""

    @pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
    def test_every_workload_says_what_it_measures(self, workload: Workload) -> None:
        """Its own class has a docstring whose first line is a whole sentence; the help prints it."""
        text = type(workload).__dict__["__doc__"]
        assert text
        assert text.splitlines()[0].endswith(".")

    def test_names_are_unique(self) -> None:
        """`--only` and the JSON form go by name."""
        assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)

    def test_goals_are_those_of_the_performance_page(self) -> None:
        """Each goal of the port and of the import, and no other."""
        assert {
            (workload.name, comparison.ours, comparison.peer, comparison.goal)
            for workload in PORT_WORKLOADS
            for comparison in workload.comparisons
            if comparison.goal is not None
        } == {
            ("one-thread", "port", "queue.Queue", 0.20),
            ("one-thread", "port", "Wine's port", 1 / 25),
            ("depth", "port @1k", "port @10", 1.03),
            ("depth", "port @1M", "port @10", 1.10),
            ("batch-64", "port", "queue.Queue", 0.07),
            ("stream", "port", "queue.Queue", 0.10),
            ("ping-pong", "port", "bare lock", 1.75),
            ("burst-8", "port", "queue.Queue", 0.12),
            ("burst-8", "port", "workers touched", 2),
            ("burst-8", "port", "switches/packet", 0.005),
            ("burst-64", "port", "queue.Queue", 0.12),
            ("burst-64", "port", "workers touched", 2),
            ("burst-64", "port", "switches/packet", 0.005),
            ("burst-64-20us", "port", "queue.Queue", 0.30),
            ("burst-64-20us", "port", "workers touched", 2),
            ("paced-8", "port", "workers touched", 1),
            ("paced-64", "port", "queue.Queue", 0.70),
            ("paced-64", "port", "workers touched", 1),
            ("one-wake", "port @10k", "SimpleQueue @10k", 0.8),
            ("parked-memory", "port", "SimpleQueue", 1024),
            ("import", "iocp_emu", "import queue", 4.0),
        }

    @pytest.mark.parametrize("workload", PORT_WORKLOADS[:-1], ids=lambda workload: workload.name)
    def test_every_workload_runs_to_its_end_and_samples_whom_it_compares(
        self, workload: Workload, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With SimpleQueue in the place of the port; the last workload, imports, has no place for it."""
        monkeypatch.setitem(CHANNELS, PORT, simple_queue)
        samples = workload.repeat(Effort.WARM_UP, Random(1))
        for comparison in workload.comparisons:
            if comparison.kind is Kind.FIGURE:
                figures = samples[comparison.ours].figures
                assert comparison.peer in figures or sys.platform == "win32"
            elif "@10k" not in comparison.ours:
                assert {comparison.ours, comparison.peer} <= samples.keys()
        assert all(sample.cost != 0 for sample in samples.values())


class TestChecks:
    """No wrong delivery passes."""

    @pytest.mark.parametrize(
        "numbers",
        [[5, 6], [5, 6, 7, 8], [6, 5, 7], [5, 6, 6], [5, 7, 8], []],
        ids=["last lost", "one too many", "swapped", "repeated", "middle lost", "all lost"],
    )
    def test_in_order_refuses(self, numbers: list[int]) -> None:
        """Anything but 5, 6, 7."""
        with pytest.raises(WrongResult):
            check_in_order(numbers, 5, 3)

    def test_in_order_accepts(self) -> None:
        """The packets from the start number on, or none of none."""
        check_in_order([5, 6, 7], 5, 3)
        check_in_order([], 5, 0)

    @pytest.mark.parametrize(
        "logs",
        [[[0, 1], [3]], [[0, 1], [1, 2, 3]], [[1, 0], [2, 3]], [[0, 0], [1, 2, 3]], [[0, 1, 2, 3, 4]]],
        ids=["lost", "twice, two workers", "out of order", "twice, one worker", "one too many"],
    )
    def test_shared_out_refuses(self, logs: list[list[int]]) -> None:
        """Anything but 0 to 3 once each, ascending for each worker."""
        with pytest.raises(WrongResult):
            check_shared_out(logs, 4)

    def test_shared_out_accepts(self) -> None:
        """Any distribution over the workers."""
        check_shared_out([[1, 2], [], [0, 3]], 4)


class TestRunner:
    """Interleaving, and what becomes of a workload that is wrong."""

    def test_warm_up_is_discarded_and_each_repeat_gives_one_sample_of_each(self) -> None:
        """The first pass has its own effort and leaves no sample."""
        workload = Scripted("w")
        gathered = run([workload], Effort.QUICK, 3, random=Random(1))
        assert workload.efforts == [Effort.WARM_UP, Effort.QUICK, Effort.QUICK, Effort.QUICK]
        assert gathered.samples == {"w": [{"a": Sample(2.0), "b": Sample(1.0)}] * 3}
        assert gathered.problems == []

    def test_repeats_are_interleaved(self) -> None:
        """No workload starts a repeat before all have finished the one before; the order varies."""
        steps: list[str] = []
        run([Scripted("v"), Scripted("w")], Effort.QUICK, 7, random=Random(1), progress=steps.append)
        pairs = [(steps[i].split(": "), steps[i + 1].split(": ")) for i in range(0, len(steps), 2)]
        assert all(first[0] == second[0] and {first[1], second[1]} == {"v", "w"} for first, second in pairs)
        assert {first[1] for first, _ in pairs} == {"v", "w"}

    @pytest.mark.parametrize(
        ("failure", "text"),
        [
            (WrongResult("packet 3 is lost"), "bad: a: packet 3 is lost"),
            (ZeroDivisionError("division"), "bad: ZeroDivisionError: division"),
        ],
    )
    def test_a_wrong_workload_is_named_and_the_others_go_on(self, failure: Exception, text: str) -> None:
        """Its earlier repeats stay; it takes no further part."""
        bad, good = Scripted("bad", failure, from_repeat=2), Scripted("good")
        gathered = run([bad, good], Effort.QUICK, 4, random=Random(1))
        assert gathered.problems == [text]
        assert len(gathered.samples["bad"]) == 1
        assert len(bad.efforts) == 3
        assert len(gathered.samples["good"]) == 4

    def test_what_the_machine_cannot_stage_is_no_problem(self) -> None:
        """The contestant is missing from the sample, nothing more."""
        gathered = run([Scripted("w", Unavailable("no room"))], Effort.QUICK, 2, random=Random(1))
        assert gathered.problems == []
        assert gathered.samples == {"w": [{"b": Sample(1.0)}] * 2}

    def test_a_lost_packet_ends_the_sample(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The consumer waits for ever; the run does not."""
        monkeypatch.setitem(CHANNELS, PORT, lambda: losing(simple_queue(), every=100))
        gathered = run([Stream()], Effort.QUICK, 1, random=Random(1), deadline_seconds=0.5)
        assert gathered.samples == {"stream": []}
        assert gathered.problems == ["stream: not finished after 0.5 s: a packet or a wake-up is lost"]

    def test_a_worker_that_dies_ends_the_sample(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its exception is the problem, found at once and not by the deadline."""

        def take() -> Message:
            raise LookupError("no packet")

        monkeypatch.setitem(CHANNELS, PORT, lambda: peer_channel(deque[Message]().append, take))
        gathered = run([Stream()], Effort.QUICK, 1, random=Random(1))
        assert gathered.problems == ["stream: LookupError: no packet"]


def losing(channel: Channel, every: int) -> Channel:
    """A peer's channel that drops each `every`-th packet."""
    puts: list[object] = []

    def put(payload: object) -> None:
        puts.append(payload)
        if len(puts) % every:
            channel.put(payload)

    return peer_channel(put, channel.take)


def newest_first() -> Channel:
    """A stack in the place of a queue."""
    stack: list[Message] = []
    return peer_channel(stack.append, stack.pop)


class TestStaging:
    """Threads and processors around a sample."""

    def test_crew_starts_in_steps_and_ends_whole(self) -> None:
        """Two of three parked, then all; each packet is handled once; no thread is left."""
        before = threading.active_count()
        handled: list[int] = []
        channel = simple_queue()
        crew = Crew(channel, [handled.append] * 3)
        crew.start(2)
        assert threading.active_count() == before + 2
        crew.start()
        assert threading.active_count() == before + 3
        for number in range(10):
            channel.put(channel.payload(number))
        crew.dismiss()
        assert threading.active_count() == before
        assert sorted(handled) == list(range(10))

    def test_crew_without_room_is_dismissed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The threads that did start are ended and joined, and the sample is unavailable."""
        before = threading.active_count()
        start = threading.Thread.start
        room = [None] * 2

        def start_while_there_is_room(thread: threading.Thread) -> None:
            if not room:
                raise RuntimeError("can't start new thread")
            room.pop()
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_while_there_is_room)
        with pytest.raises(Unavailable, match="no room for more than 2 threads"):
            Crew(simple_queue(), [print] * 3).start()
        assert threading.active_count() == before

    @pytest.mark.skipif(sys.platform != "linux", reason="affinity of a thread is Linux's")
    def test_pinned_restores_the_affinity(self) -> None:
        """One processor inside, also for threads started there; all of them again after an exception."""
        if sys.platform == "linux":
            allowed = os.sched_getaffinity(0)
            inside: list[set[int]] = []

            def look() -> None:
                inside.append(os.sched_getaffinity(0))

            def look_twice_and_fail() -> None:
                with pinned(Random(1)):
                    look()
                    thread = threading.Thread(target=look)
                    thread.start()
                    thread.join()
                    raise KeyError

            with pytest.raises(KeyError):
                look_twice_and_fail()
            assert len(inside[0]) == 1
            assert inside == [inside[0]] * 2
            assert os.sched_getaffinity(0) == allowed


class TestCommand:
    """`python -m benchmarks`."""

    def test_port_against_its_peers(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The real port in a short run: status 0 whatever the verdicts, the table, and the same in JSON."""
        file = tmp_path / "report.json"
        names = [OneThread().name, Batch().name]
        assert main(["--quick", "--repeats", "2", "--only", ",".join(names), "--json", str(file)]) == 0
        out = capsys.readouterr().out
        assert all(name in out for name in names)
        report = json.loads(file.read_text(encoding="utf-8"))
        assert report["problems"] == []
        assert report["surroundings"]["repeats"] == 2
        assert [(row["workload"], row["peer"]) for row in report["rows"]] == [
            (workload.name, comparison.peer)
            for workload in (OneThread(), Batch())
            for comparison in workload.comparisons
        ]
        assert all(len(row["values"]) == 2 and row["value"] > 0 for row in report["rows"])

    def test_wrong_order_is_an_error_exit(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Status 1 and the workload, the contestant and the packet by name."""
        monkeypatch.setitem(CHANNELS, PORT, newest_first)
        assert main(["--quick", "--repeats", "1", "--only", "batch-64"]) == 1
        captured = capsys.readouterr()
        assert "WRONG batch-64: port: packet 0 has number 63, expected 0" in captured.err

    @pytest.mark.parametrize(
        "arguments",
        [["--only", "no-such"], ["--repeats", "0"], ["--repeats", "x"], ["--json", "no/such/folder/file"]],
    )
    def test_bad_command_line(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        """Status 2 and the argument by name, before anything is measured."""
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 2
        assert arguments[0] in capsys.readouterr().err

    def test_benefit_and_its_picture(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The group's name stands for its workloads; nested tasks get stuck in the one and end in the other; the
        picture is that of the run."""
        pytest.importorskip("matplotlib")
        file, picture = tmp_path / "report.json", tmp_path / "benefit.svg"
        assert main(["benefit", "--quick", "--repeats", "1", "--json", str(file), "--plot", str(picture)]) == 0
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        assert {row["workload"] for row in rows} == {"block-sleep", "block-socket", "block-lock", "nested"}
        stuck = {row["ours"]: row["value"] for row in rows if row["workload"] == "nested"}
        assert stuck == {"executor": 0, "pool(2)": 1}
        drawn = picture.read_text(encoding="utf-8")
        assert all(text in drawn for text in ("ThreadPoolExecutor(8)", "context switches", "tasks runnable at once"))

    def test_what_cannot_be_drawn_is_said_before_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Other workloads have no picture; without matplotlib the extra is named."""
        for has_library, complaint in ((True, "block-lock, block-sleep, block-socket is missing"), (False, "[plot]")):
            monkeypatch.setattr("benchmarks.plot.find_spec", lambda name, found=has_library: found or None)
            with pytest.raises(SystemExit) as exit_:
                main(["one-thread", "--plot", str(tmp_path / "picture.svg")])
            assert exit_.value.code == 2
            assert complaint in capsys.readouterr().err

    def test_profile_explains_a_post_and_a_get(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each step is a row; with what lies between them they make the whole."""
        monkeypatch.setattr(profile, "LOOPS", 50)
        monkeypatch.setattr(profile, "ROUNDS", 3)
        found = profile.fast_path()
        assert list(found) == [*profile.FAST_STEPS, profile.WHOLE, profile.BETWEEN]
        parts = sum(found[name] for name in (*profile.FAST_STEPS, profile.BETWEEN))
        assert parts == pytest.approx(found[profile.WHOLE])
        assert set(profile.hand_over()) >= {"post to a parked thread", "collect what it got"}

    def test_profile_is_a_command(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`python -m benchmarks profile` prints it."""
        monkeypatch.setattr(profile, "LOOPS", 50)
        monkeypatch.setattr(profile, "ROUNDS", 3)
        assert main(["profile"]) == 0
        assert "make the packet" in capsys.readouterr().out

    def test_a_name_alone_selects(self, capsys: pytest.CaptureFixture[str]) -> None:
        """As `--only` does; unknown names are refused alike."""
        assert main(["batch-64", "--quick", "--repeats", "1"]) == 0
        assert {line.split()[0] for line in capsys.readouterr().out.splitlines() if " port " in line} == {"batch-64"}
        with pytest.raises(SystemExit):
            main(["no-such"])

    def test_unknown_workload_names_the_known_ones(self, capsys: pytest.CaptureFixture[str]) -> None:
        """All of them."""
        with pytest.raises(SystemExit):
            main(["--only", BARE_LOCK])
        message = capsys.readouterr().err
        assert all(workload.name in message for workload in WORKLOADS)
