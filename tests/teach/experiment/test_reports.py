"""Reports: golden files for the simulation, their form, what is escaped, pictures and notebooks."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from iocp_emu.teach.experiment import Result, run
from iocp_emu.teach.experiment.columns import columns_of, number
from iocp_emu.teach.experiment.document import CSV_COLUMNS, as_csv, as_document, as_json
from iocp_emu.teach.experiment.drawing import Chart, Line, draw_chart, ticks_to
from iocp_emu.teach.experiment.page import as_page
from iocp_emu.teach.experiment.presets import Claim, Preset
from iocp_emu.teach.experiment.text import as_text
from tests.teach.experiment.golden_results import GOLDEN, reports, results
from tests.teach.experiment.laws import made_result, made_run

HOSTILE = "<script>alert('1')</script>&\"$x$"


@pytest.fixture(scope="module")
def golden() -> dict[str, dict[str, str]]:
    """The reports of the golden results, made now."""
    return {name: reports(*made) for name, made in results().items()}


@pytest.fixture(scope="module")
def result() -> Result:
    """A small result of the simulation."""
    return run("cpu=5ms,block=5ms", threads=6, processors=2, concurrency="1..4", packets=200)


@pytest.mark.parametrize("name", ["closed", "rate", "chen-2018"])
@pytest.mark.parametrize("suffix", ["txt", "csv", "json", "html"])
def test_golden(golden: dict[str, dict[str, str]], name: str, suffix: str) -> None:
    """Byte for byte, on every system and Python: nothing in the simulation or the reports depends on either."""
    assert golden[name][suffix] == (GOLDEN / f"{name}.{suffix}").read_bytes().decode("utf-8")


def test_text_is_ascii_and_80_columns(golden: dict[str, dict[str, str]]) -> None:
    """Also with the longest figures."""
    texts = [each["txt"] for each in golden.values()]
    large = made_run(0xFFFFFFFF, 0xFFFFFFFF, 123456789.0, active=99999.0, depth=1e8, switches=1e6, most_active=100000)
    texts.append(as_text(Result.of(made_result([1]).settings, [large])))
    for text in texts:
        assert text.isascii()
        assert text.endswith("\n")
        table = [line for line in text.splitlines() if "4294967295" not in line]
        assert max(map(len, table)) <= 80


def test_json_has_everything(result: Result) -> None:
    """What the head of the module lists; it reads back as it was, and samples are lists of equal length."""
    document = json.loads(as_json(result))
    assert document == as_document(result)
    assert list(document) == [
        "experiment",
        "settings",
        "complete",
        "interpreter_lock",
        "knee",
        "notes",
        "preset",
        "points",
    ]
    for point, measured in zip(document["points"], result.points, strict=True):
        assert point["throughput"]["mean"] == pytest.approx(measured.throughput)
        (each,) = point["runs"]
        lengths = {len(values) for values in each["samples"].values()}
        assert lengths == {len(measured.runs[0].samples)}


def test_csv_has_a_line_for_each_run(result: Result) -> None:
    """With titles; what is not known is empty."""
    rows = list(csv.DictReader(io.StringIO(as_csv(result))))
    assert [row["concurrency"] for row in rows] == ["1", "2", "3", "4"]
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert float(rows[1]["throughput_per_s"]) == pytest.approx(result.at(2).throughput)
    unknown = Result.of(made_result([1]).settings, [made_run(1, 1, 5.0, switches=None)])
    (row,) = csv.DictReader(io.StringIO(as_csv(unknown)))
    assert row["switches_per_packet"] == ""
    assert next(column for column in columns_of(unknown) if column.group == "switch").text(unknown.points[0]) == "-"


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects what a page refers to."""

    VOID = frozenset({"meta", "br", "path", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID or (tag in {"path", "circle"} and self.get_starttag_text()[-2:] != "/>"):  # type: ignore[index]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_and_can_be_heard(golden: dict[str, dict[str, str]]) -> None:
    """No script, no address but names of anchors; one main, a language, labelled pictures, tables with scopes."""
    for text in (each["html"] for each in golden.values()):
        page = Page(text)
        assert page.open == []
        assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.seen)
        assert page.seen.count("main") == page.seen.count("h1") == page.seen.count("title") - text.count("<title>") + 1
        assert not [each for each in page.attributes if each[1] in {"src", "href"} or each[1].startswith("on")]
        assert "default-src 'none'" in text
        assert not re.search(r"https?:|@import|url\(", text)
        assert ("html", "lang", "en") in page.attributes
        images = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
        assert len(images) == text.count('role="img"') >= 6
        assert all(images)
        assert "prefers-color-scheme:dark" in text
        assert {value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")} == {"col", "row"}


def test_whatever_comes_in_is_escaped(result: Result) -> None:
    """Names and sentences of others are text in the page, and data in JSON."""
    preset = Preset(HOSTILE, "", "", {}, (Claim(HOSTILE, (HOSTILE,), lambda _: True),))
    page = as_page(result, preset)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&amp;&quot;$x$") == 3
    assert json.loads(as_json(result, preset))["preset"]["name"] == HOSTILE
    drawn = draw_chart(Chart(HOSTILE, HOSTILE, HOSTILE, [Line(HOSTILE, [1, 2], [3, 4])], [(1, HOSTILE)], 1))
    assert "<script" not in drawn


def test_charts_are_well_formed_and_in_scale() -> None:
    """The highest point is at the height of its tick; knee and marks stand at their places; one point is enough."""
    chart = Chart("t", "x", "y", [Line("a", [1, 2, 4], [0, 400, 800])], [(1, "1"), (4, "4")], 2.0)
    figure = ElementTree.fromstring(draw_chart(chart).strip())
    circles = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in figure.iter("circle")]
    assert circles == [(58.0, 210.0), (187.3, 112.0), (446.0, 14.0)]
    knee = next(each for each in figure.iter("path") if each.attrib["class"] == "knee")
    assert knee.attrib["d"] == "M187.3 14V210"
    logarithmic = ElementTree.fromstring(draw_chart(replace(chart, logarithmic=True)).strip())
    assert [each.attrib["cx"] for each in logarithmic.iter("circle")] == ["58.0", "252.0", "446.0"]
    assert draw_chart(Chart("t", "x", "y", [Line("a", [3], [0])], [(3, "3")])).count("<circle") == 1
    for most in (1e-9, 0.3, 1, 7, 9.99, 10, 99999):
        ticks = ticks_to(most)
        assert 3 <= len(ticks) <= 7
        assert ticks[-2] < most <= ticks[-1] * (1 + 1e-6)


def test_notebooks_show_the_page_and_consoles_the_text(result: Result) -> None:
    """`_repr_html_` is a part of a page whose style stays inside; `str` is the report."""
    fragment = result._repr_html_()
    assert fragment.startswith('<div class="iocp-experiment">')
    style = fragment[fragment.index("<style>") + 7 : fragment.index("</style>")]
    for rule in re.findall(r"([^{}]+)\{", style.replace("@media (prefers-color-scheme:dark){", "")):
        assert all(part.strip().startswith(".iocp-experiment") for part in rule.split(","))
    assert str(result) == as_text(result)
    Page(fragment)


def test_a_terminal_shows_the_same_figures(result: Result) -> None:
    """By rich: the same table, at most 80 columns, the knee in its own colour."""
    pytest.importorskip("rich")
    from iocp_emu.teach.experiment.terminal import Colours, print_result

    output = io.StringIO()
    print_result(result, None, output, Colours.NONE)
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    for point in result.points:
        cells = [column.text(point) for column in columns_of(result)]
        assert any(line.split() == cells for line in lines)
        assert any(line.split()[:1] == cells[:1] and "\u2588" in line for line in lines)
    assert any(line.endswith("< knee") for line in lines)
    assert result.knee.sentence.split(":")[0] in output.getvalue()
    coloured = io.StringIO()
    print_result(result, Preset("p", "", "", {}, (Claim("No.", ("S1",), lambda _: False),)), coloured, Colours.ANSI)
    assert "\x1b[1;32m" in coloured.getvalue()
    assert "DOES NOT HOLD" in coloured.getvalue()


def test_pictures(result: Result, tmp_path: Path) -> None:
    """PNG and SVG hold the curves; the same result gives the same SVG; a dollar in a title starts no formula."""
    pytest.importorskip("matplotlib")
    from iocp_emu.teach.experiment.figure import draw, save_figure

    figure = draw(result)
    throughput = figure.axes[0]
    (line,) = [each for each in throughput.get_lines() if each.get_marker() == "o"]
    assert list(line.get_ydata()) == [point.throughput for point in result.points]  # type: ignore[arg-type]
    low, high = throughput.get_ylim()
    assert low == 0
    assert high > max(point.throughput for point in result.points)
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        save_figure(result, tmp_path / name, name[2:])
        assert (tmp_path / name).read_bytes().startswith(start)
    save_figure(result, tmp_path / "b.svg", "svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "knee: 2" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_wide_sweeps_have_logarithmic_axes() -> None:
    """Values from 1 to the largest there is can be told apart."""
    result = run("cpu=5ms", threads=4, processors=2, concurrency="1,2,4294967295", packets=50)
    xs = re.findall(r'<circle class="dot dot0" cx="([\d.]+)"', as_page(result))[:3]
    assert [float(x) for x in xs] == [58.0, 70.1, 446.0]


def test_numbers_keep_three_digits() -> None:
    """Whatever their size, in six columns."""
    for value in (0, 0.00123, 0.9999, 1, 12.345, 999.95, 10_000, 123_456, 1e6, 9.99e9):
        assert len(number(value)) <= 6
        assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.005, abs=0.001)
