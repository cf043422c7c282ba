"""A result on a terminal, by `rich`: the same figures as in the plain text, with rules, colours and bars.

Own rules.  Nothing here is measured or decided anew.  The extra `cli` brings `rich`; without it the plain text does.
"""

from __future__ import annotations

import enum
from typing import TextIO

from rich.bar import Bar
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .columns import WIDTH, columns_of, description, number, title_of
from .presets import Preset
from .results import Result
from .text import chart_points, decisive, group_titles, over_time

KNEE = "bold green"
BAR = 44


class Colours(enum.Enum):
    """Which colours to use; the value is what `rich` calls a colour system."""

    AUTO = "auto"
    ANSI = "standard"
    NONE = None


def print_result(result: Result, preset: Preset | None, output: TextIO, colours: Colours = Colours.AUTO) -> None:
    """Print the result for people, 80 columns wide.

    `colours`: AUTO takes what the terminal has, ANSI are the sixteen that all have.
    """
    console = Console(
        file=output,
        width=WIDTH,
        color_system=colours.value,
        force_terminal=True if colours is Colours.ANSI else None,
        highlight=False,
    )
    console.print(Text(title_of(result.settings), style="bold"))
    console.print(Text(" ".join(description(result.settings)), style="dim"))
    console.print(Text(f"\n{group_titles(columns_of(result))}", style="bold"))
    console.print(_table(result))
    console.print(_chart(result))
    for line in over_time(result):
        console.print(Text(line), no_wrap=True, overflow="crop")
    console.print()
    console.print(Text.assemble(("Knee at ", KNEE), (result.knee.sentence, KNEE)))
    for note in result.notes:
        console.print(Padding(Text(note), (1, 0, 0, 0)))
    if preset is not None:
        console.print(Padding(Text(f"Preset {preset.name}: what it is to show", style="bold"), (1, 0, 0, 0)))
        for claim in preset.claims:
            verdict = ("holds: ", "green") if claim.holds(result) else ("DOES NOT HOLD: ", "bold red")
            text = Text.assemble(verdict, claim.sentence, (f" ({', '.join(claim.rules)})", "dim"))
            console.print(Padding(text, (0, 0, 0, 2)))


def _table(result: Result) -> Table:
    """The table below the line of group titles."""
    columns = columns_of(result)
    table = Table(box=None, padding=0, pad_edge=False, header_style="bold")
    knee = result.knee
    for column in columns:
        table.add_column(column.title, justify="right", width=column.width, no_wrap=True)
    for point in result.points:
        style = KNEE if point.concurrency == knee.concurrency else None
        table.add_row(*(column.text(point) for column in columns), style=style)
    return table


def _chart(result: Result) -> Group:
    """Bars of the figure that decides."""
    title, values = decisive(result)
    by_value = dict(zip((point.concurrency for point in result.points), values, strict=True))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", min_width=6)
    grid.add_column(width=BAR)
    grid.add_column(justify="right")
    grid.add_column()
    for point in chart_points(result):
        value, at_knee = by_value[point.concurrency], point.concurrency == result.knee.concurrency
        bar = Bar(max(values), 0, value, width=BAR, color="green" if at_knee else "cyan")
        grid.add_row(str(point.concurrency), bar, number(value), Text("< knee" if at_knee else "", style=KNEE))
    return Group("", Text(title, style="bold"), grid, "")
