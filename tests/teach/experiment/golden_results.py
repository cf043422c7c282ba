"""The results whose reports are kept as golden files, and how to write those anew.

`python -m tests.teach.experiment.golden_results` from the checkout's root writes them; look at the difference before
committing it: a golden file changes only when what it shows was meant to change.
"""

from __future__ import annotations

from pathlib import Path

from iocp_emu.teach.experiment import Result, run
from iocp_emu.teach.experiment.document import as_csv, as_json
from iocp_emu.teach.experiment.page import as_page
from iocp_emu.teach.experiment.presets import Preset, find_preset
from iocp_emu.teach.experiment.text import as_text

GOLDEN = Path(__file__).parent / "golden"


def results() -> dict[str, tuple[Result, Preset | None]]:
    """Name to result and preset: every kind of burst, arrival and distribution is among them."""
    chen = find_preset("chen-2018")
    return {
        "closed": (
            run(
                "cpu=5ms,block=exp(20ms):p=.3,(cpu=1ms,hidden=uniform(1ms,3ms))*2:p=.1",
                threads=8,
                processors=2,
                concurrency="0..5",
                packets=300,
                repeat=2,
            ),
            None,
        ),
        "rate": (
            run(
                "cpu=lognormal(2ms,1)",
                threads=16,
                processors=2,
                concurrency="1,2,4,8",
                packets=400,
                arrivals="rate=400",
                seed=11,
            ),
            None,
        ),
        "chen-2018": (run(chen.work, **chen.options), chen),
    }


def reports(result: Result, preset: Preset | None) -> dict[str, str]:
    """The reports of a result, by the suffix of their files."""
    return {
        "txt": as_text(result, preset),
        "csv": as_csv(result),
        "json": as_json(result, preset),
        "html": as_page(result, preset),
    }


if __name__ == "__main__":
    for name, (result, preset) in results().items():
        for suffix, text in reports(result, preset).items():
            (GOLDEN / f"{name}.{suffix}").write_text(text, encoding="utf-8", newline="\n")
