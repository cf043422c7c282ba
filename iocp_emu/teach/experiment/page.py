"""A result as one HTML file that needs nothing else: no network, no script; and as a part of a notebook.

Theory.  The page says first what was found, then shows it, then has every figure in a table.  It follows the reader's
choice of light or dark, is all text and labelled pictures for a screen reader, and prints.

Own rules.  Whatever comes from the command line is escaped.  Style rules reach no further than the report's own
element, so that a notebook keeps its looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from .columns import Column, columns_of, description, title_of, unit_of, wants_logarithms
from .drawing import Chart, Line, draw_chart, ticks_to
from .measures import Point, Run
from .presets import Preset
from .results import Result
from .text import chart_points, decisive, knee_run

STYLE = """
.iocp-experiment{--ink:#1b1f24;--dim:#57606a;--paper:#fff;--edge:#d0d7de;--knee:#1a7f37;--wash:#eaf6ec;
--c0:#0550ae;--c1:#a40e26;--c2:#7d4e00;--c3:#6639ba;color:var(--ink);background:var(--paper);
font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem}
@media (prefers-color-scheme:dark){.iocp-experiment{--ink:#e6edf3;--dim:#9ea7b3;--paper:#0d1117;--edge:#3d444d;
--knee:#56d364;--wash:#12261e;--c0:#79c0ff;--c1:#ff9492;--c2:#e3b341;--c3:#d2a8ff}}
.iocp-experiment h1{font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}
.iocp-experiment h2{font-size:1.15rem;margin:1.6rem 0 .4rem}
.iocp-experiment p{margin:.5rem 0}
.iocp-experiment .dim{color:var(--dim)}
.iocp-experiment .verdict{border-left:4px solid var(--knee);background:var(--wash);padding:.6rem .9rem;font-size:1.1rem}
.iocp-experiment .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem}
.iocp-experiment figure{margin:0;border:1px solid var(--edge);border-radius:6px;padding:.5rem}
.iocp-experiment figcaption{font-size:.85rem}
.iocp-experiment .key{white-space:nowrap;margin-right:.5rem}
.iocp-experiment figure>svg{width:100%;height:auto;display:block}
.iocp-experiment svg text{fill:var(--dim);font:11px system-ui,sans-serif}
.iocp-experiment .grid{stroke:var(--edge);stroke-width:1;fill:none}
.iocp-experiment .knee{stroke:var(--knee);stroke-width:2;stroke-dasharray:2 3;fill:none}
.iocp-experiment .line{fill:none;stroke-width:2;stroke-linejoin:round}
.iocp-experiment .line0{stroke:var(--c0)}.iocp-experiment .dot0{fill:var(--c0)}
.iocp-experiment .line1{stroke:var(--c1);stroke-dasharray:7 3}.iocp-experiment .dot1{fill:var(--c1)}
.iocp-experiment .line2{stroke:var(--c2);stroke-dasharray:2 2}.iocp-experiment .dot2{fill:var(--c2)}
.iocp-experiment .line3{stroke:var(--c3);stroke-dasharray:9 3 2 3}.iocp-experiment .dot3{fill:var(--c3)}
.iocp-experiment .scroll{overflow-x:auto}
.iocp-experiment table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;width:100%}
.iocp-experiment caption{text-align:left;color:var(--dim);padding-bottom:.3rem}
.iocp-experiment th,.iocp-experiment td{border-bottom:1px solid var(--edge);padding:.25rem .5rem;text-align:right;
background:none;color:inherit}
.iocp-experiment tr.best{background:var(--wash);font-weight:600}
.iocp-experiment dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;font-size:.9rem}
.iocp-experiment dt{font-weight:600}.iocp-experiment dd{margin:0}
"""

PAGE_STYLE = "html{color-scheme:light dark}body{margin:0;background:#fff}" + (
    "@media (prefers-color-scheme:dark){body{background:#0d1117}}"
)


def as_page(result: Result, preset: Preset | None = None) -> str:
    """The result as one HTML document.  O(points + samples)."""
    title = escape(title_of(result.settings))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{PAGE_STYLE}</style>\n</head>\n<body>\n"
        f"<main>{as_fragment(result, preset)}</main>\n</body>\n</html>\n"
    )


def as_fragment(result: Result, preset: Preset | None = None) -> str:
    """The result as one element that can stand in any page."""
    return f'<div class="iocp-experiment"><style>{STYLE}</style>\n{"".join(_sections(result, preset))}</div>\n'


def _sections(result: Result, preset: Preset | None) -> Iterator[str]:
    settings = result.settings
    yield f"<h1>The concurrency value and <code>{escape(str(settings.work))}</code></h1>\n"
    yield f'<p class="dim">{escape(" ".join(description(settings)))}</p>\n'
    yield f'<p class="verdict">Knee at {escape(result.knee.sentence)}</p>\n'
    for note in result.notes:
        yield f"<p>{escape(note)}</p>\n"
    if preset is not None:
        yield from _claims(result, preset)
    yield '<h2>Over the concurrency values</h2>\n<div class="charts">\n'
    yield from map(draw_chart, _charts(result))
    yield "</div>\n<h2>Over time</h2>\n"
    knee = knee_run(result)
    yield f'<div class="charts">\n{draw_chart(_threads_over_time(knee))}{draw_chart(_queue_over_time(knee))}</div>\n'
    others = [point.runs[0] for point in chart_points(result) if point.concurrency != knee.concurrency]
    if others:
        yield '<details><summary>Other values</summary>\n<div class="charts">\n'
        for run in others:
            yield draw_chart(_threads_over_time(run)) + draw_chart(_queue_over_time(run))
        yield "</div>\n</details>\n"
    yield "<h2>All figures</h2>\n"
    yield from _table(result)


def _claims(result: Result, preset: Preset) -> Iterator[str]:
    yield f"<h2>Preset <code>{escape(preset.name)}</code>: what it is to show</h2>\n<ul>\n"
    for claim in preset.claims:
        verdict = "Holds" if claim.holds(result) else "Does not hold"
        yield f"<li><b>{verdict}:</b> {escape(claim.sentence)} ({escape(', '.join(claim.rules))})</li>\n"
    yield "</ul>\n"


# -- charts ----------------------------------------------------------------------------------------------------


def _charts(result: Result) -> Iterator[Chart]:
    points, unit = result.points, unit_of(result)
    xs = [float(point.limit) for point in points]
    labels = [(float(point.limit), str(point.concurrency)) for point in points]

    def chart(title: str, y_title: str, lines: Iterable[tuple[str, list[float]]]) -> Chart:
        return Chart(
            title,
            "concurrency value",
            y_title,
            [Line(name, xs, ys) for name, ys in lines],
            labels,
            float(result.knee.limit),
            wants_logarithms(result),
        )

    yield chart("Throughput", "packets per second", [("packets/s", [point.throughput for point in points])])
    title, values = decisive(result)
    if not title.startswith("Throughput"):
        yield chart("Mean latency", unit.name, [("mean latency", values)])
    yield chart(
        "Latency",
        unit.name,
        [
            ("p50", [point.mean(lambda run: run.latency.p50) * unit.scale for point in points]),
            ("p95", [point.mean(lambda run: run.latency.p95) * unit.scale for point in points]),
            ("p99", [point.mean(lambda run: run.latency.p99) * unit.scale for point in points]),
            ("service p95", [point.mean(lambda run: run.service.p95) * unit.scale for point in points]),
        ],
    )
    yield chart(
        "Threads and queue",
        "threads, packets (mean)",
        [
            ("active", [point.mean(lambda run: run.active) for point in points]),
            ("blocked", [point.mean(lambda run: run.blocked) for point in points]),
            ("queue", [point.mean(lambda run: run.depth) for point in points]),
        ],
    )
    yield chart("Processor use", "%", [("use", [100 * point.mean(lambda run: run.processor_use) for point in points])])
    if all(point.switches is not None for point in points):
        yield chart(
            "Context switches", "per packet", [("switches", [float(point.switches or 0.0) for point in points])]
        )


def _threads_over_time(run: Run) -> Chart:
    return _over_time(
        run,
        "Threads",
        [
            ("active", [float(sample.active) for sample in run.samples]),
            ("blocked", [float(sample.blocked) for sample in run.samples]),
        ],
    )


def _queue_over_time(run: Run) -> Chart:
    return _over_time(run, "Packets", [("in the queue", [float(sample.depth) for sample in run.samples])])


def _over_time(run: Run, what: str, lines: list[tuple[str, list[float]]]) -> Chart:
    times = [sample.time for sample in run.samples]
    return Chart(
        f"{what} with value {run.concurrency}",
        "seconds",
        what.lower(),
        [Line(name, times, values) for name, values in lines],
        [(tick, f"{tick:g}") for tick in ticks_to(run.elapsed) if tick <= max(times)],
    )


# -- the table -------------------------------------------------------------------------------------------------


def _table(result: Result) -> Iterator[str]:
    columns = columns_of(result)
    knee = result.knee
    yield '<div class="scroll" tabindex="0" role="region" aria-label="All figures"><table>\n<caption>One line for each '
    yield "concurrency value; the highlighted one is the knee.</caption>\n<thead><tr>"
    yield "".join(
        f'<th scope="col" title="{escape(column.meaning)}">{escape(_title(column))}</th>' for column in columns
    )
    yield "</tr></thead>\n<tbody>\n"
    for point in result.points:
        yield _row(columns, point, " class=best" if point.concurrency == knee.concurrency else "")
    yield "</tbody>\n</table></div>\n<dl>\n"
    for column in columns:
        yield f"<dt>{escape(_title(column))}</dt><dd>{escape(column.meaning)}</dd>\n"
    yield "</dl>\n"


def _title(column: Column) -> str:
    return f"{column.group} {column.title}".strip()


def _row(columns: list[Column], point: Point, attribute: str) -> str:
    first, *others = [column.text(point) for column in columns]
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
    return f'<tr{attribute}><th scope="row">{escape(first)}</th>{cells}</tr>\n'
