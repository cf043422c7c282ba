"""Every export of the small traces, as it is kept in `golden/`.

`python -m tests.trace.exports` writes the files anew: look at the difference before you keep it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from iocp_emu.runtime.carriers import Carrier
from iocp_emu.teach.explain_command import explanation
from iocp_emu.trace import Charset, Trace, chrome_trace, text_timeline
from iocp_emu.trace.jsonl import write_lines

from .traces import SMALL

GOLDEN = Path(__file__).parent / "golden"


def _chrome(trace: Trace) -> str:
    document = chrome_trace(trace)
    events = ",\n".join(json.dumps(event) for event in document.pop("traceEvents"))
    return f'{json.dumps(document)[:-1]}, "traceEvents": [\n{events}\n]}}\n'


EXPORTS: dict[str, Callable[[Trace], str]] = {
    "txt": text_timeline,
    "ascii.txt": lambda trace: text_timeline(trace, Charset.ASCII, most_rows=8),
    "explained.txt": lambda trace: "\n".join([*explanation(trace, [*trace.steps], Charset.UNICODE), ""]),
    "jsonl": lambda trace: "".join(write_lines(trace)),
    "chrome.json": _chrome,
}

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for title, make in SMALL.items():
        for ending, export in EXPORTS.items():
            (GOLDEN / f"{title}.{ending}").write_text(export(make(Carrier.AUTO)), encoding="utf-8", newline="\n")
