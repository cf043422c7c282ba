"""The page: one HTML file that shows a trace, needs nothing else and asks nobody for anything.

Theory.  The files under `page/` are put together with the trace as data.  The page draws and steps by itself; the
texts, the rules and what each step does to which list are given to it, so that nothing is said twice.

Own rules.  Everything that comes from a trace is escaped: as text in HTML, and in the data so that no `<` is left in
it.  A content security policy allows the page's own script and style, by their hashes, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from ..kernel.queue import UNLIMITED
from ..rules import sentence
from .model import (
    ACTIVITY_SENTENCES,
    BRIEF_KEY,
    BRIEF_PACKETS,
    ON_PROCESSOR_SENTENCE,
    Activity,
    PortStep,
    Trace,
    TraceEvent,
)
from .reasons import Reason
from .state import EFFECTS
from .text import describe

SCRIPTS = ("trace.js", "chart.js", "app.js")
NOTEBOOK_HEIGHT_PIXELS = 760

_REASON_NUMBERS = {reason: number for number, reason in enumerate(Reason)}
_ACTIVITY_NUMBERS = {activity: number for number, activity in enumerate(Activity)}


def html_page(trace: Trace) -> str:
    """The page as text.  O(events)."""
    style, script = _page_file("page.css"), "".join(map(_page_file, SCRIPTS))
    parts = {
        "title": escape(trace.title or "Trace of a completion port"),
        "recorded": escape(describe(trace)),
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "data": _as_data(page_data(trace)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _page_file("page.html"))


def write_html(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write the page to `path`, over what is there.  Raises `OSError`."""
    page = html_page(trace)
    with open(path, "w", encoding="utf-8", errors="xmlcharrefreplace", newline="\n") as file:
        file.write(page)


def notebook_html(trace: Trace) -> str:
    """The page in a frame of its own, for a notebook: it can neither see nor change anything around it."""
    page = escape(html_page(trace).encode("utf-8", "xmlcharrefreplace").decode("utf-8"))
    return (
        f'<iframe sandbox="allow-scripts" width="100%" height="{NOTEBOOK_HEIGHT_PIXELS}" frameborder="0" '
        f'title="{escape(trace.title or "Trace of a completion port")}" srcdoc="{page}"></iframe>'
    )


def page_data(trace: Trace) -> dict[str, Any]:
    """What the page is given: events as short arrays, and all that is needed to tell and to apply them."""
    names = {name: number for number, name in enumerate(trace.threads)}
    for step in trace.steps:
        if step.by is not None:
            names.setdefault(step.by, len(names))
    return {
        "processors": trace.processors,
        "names": list(names),
        "threadCount": len(trace.threads),
        "ports": [[port, None if limit >= UNLIMITED else limit] for port, limit in sorted(trace.ports.items())],
        "packets": [[each.key, each.bytes, each.error, each.origin] for each in trace.packets],
        "reasons": [
            {
                "rules": reason.rules,
                "brief": reason.brief,
                "sentence": reason.sentence,
                "effect": {name: move.value for name, move in asdict(EFFECTS[reason.kind]).items()},
                "ends": reason is Reason.RUN_DOWN,
            }
            for reason in Reason
        ],
        "activitySentences": list(ACTIVITY_SENTENCES.values()),
        "onProcessor": ON_PROCESSOR_SENTENCE,
        "briefKey": BRIEF_KEY,
        "briefPackets": BRIEF_PACKETS,
        "ruleTexts": {rule: sentence(rule) for reason in Reason for rule in reason.rules},
        "events": [_event(event, names) for event in trace.events],
    }


def _event(event: TraceEvent, names: Mapping[str, int]) -> list[Any]:
    if isinstance(event, PortStep):
        return [
            event.time_seconds,
            _REASON_NUMBERS[event.reason],
            event.port,
            -1 if event.thread is None else names[event.thread],
            -1 if event.by is None else names[event.by],
            event.packets,
            event.active,
            event.depth,
            event.waiting,
            event.cause or 0,
        ]
    processor = -1 if event.processor is None else event.processor
    return [event.time_seconds, names[event.thread], _ACTIVITY_NUMBERS[event.activity], processor]


def _as_data(value: Any) -> str:
    """JSON that can stand in a `<script>` element: no tag, comment or line separator begins in it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _page_file(name: str) -> str:
    return (files("iocp_emu.trace") / "page" / name).read_text(encoding="utf-8")
