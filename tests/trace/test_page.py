"""The page as a file: complete, closed off, escaped, and part of what is installed."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from iocp_emu import CompletionPort
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.trace import Trace, TracedSimulation, html_page, write_html
from iocp_emu.trace.html import SCRIPTS, page_data

from .traces import SMALL, blocked_worker, closed_port

PACKAGE = Path(__file__).resolve().parents[2] / "iocp_emu"
HOSTILE = "</script><script>alert(1)</script><!-- & \u2028 \"'{{data}} \\u003c"


class Page(HTMLParser):
    """What a browser would find: elements with attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": [], "title": [], "h1": []}
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag if tag in self.texts else ""
        if self.inside:
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside][-1] += data


def hostile_trace() -> Trace:
    """Everything that a program can name is named so as to break out."""
    with TracedSimulation(processors=1, title=HOSTILE) as simulation:
        port = CompletionPort(1)
        simulation.spawn(port.get, name=HOSTILE)
        port.post(key=HOSTILE)
        simulation.run()
    return simulation.trace


def test_nothing_breaks_out() -> None:
    """Names, keys and titles that look like markup stay text: the page has the same elements as any other."""
    hostile, harmless = Page(html_page(hostile_trace())), Page(html_page(blocked_worker()))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    assert hostile.texts["title"] == hostile.texts["h1"] == [HOSTILE]
    data = json.loads(hostile.texts["script"][0])
    assert HOSTILE in data["names"]
    assert not set("<>&\u2028") & set(hostile.texts["script"][0])


@pytest.mark.parametrize("name", SMALL)
def test_nothing_from_outside(name: str) -> None:
    """No address, no import, no event attribute; and a policy that would forbid them, with the right hashes."""
    page = Page(html_page(SMALL[name](Carrier.AUTO)))
    for tag, attributes in page.elements:
        assert not {"src", "href", "srcset", "action", "data", "style"} & set(attributes), tag
        assert not any(each.startswith("on") for each in attributes), tag
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
    policy = next(each["content"] for tag, each in page.elements if tag == "meta" and each.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for text in (page.texts["style"][0], page.texts["script"][1]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    code = page.texts["script"][1]
    assert not re.search(r"\b(?:eval|fetch|XMLHttpRequest|WebSocket|import|innerHTML|insertAdjacentHTML)\b", code)
    assert "http" not in code
    assert not re.search(r"url\(|@import", page.texts["style"][0])


def test_the_data_is_the_trace() -> None:
    """The page is given every event, packet and name."""
    trace = closed_port()
    data: dict[str, Any] = page_data(trace)
    assert len(data["events"]) == len(trace.events)
    assert data["ports"] == [[1, 1], [2, 2]]
    assert [each[0] for each in data["packets"]] == [each.key for each in trace.packets]
    assert data["names"][: data["threadCount"]] == trace.threads


def test_notebook() -> None:
    """A trace displays itself, in a frame that cannot reach the notebook."""
    shown = Page(hostile_trace()._repr_html_())
    ((tag, attributes),) = shown.elements
    assert tag == "iframe"
    assert attributes["sandbox"] == "allow-scripts"
    assert attributes["srcdoc"] == html_page(hostile_trace())


def test_lone_surrogates_can_be_written(tmp_path: Path) -> None:
    """A title that no encoding has is written all the same."""
    trace = blocked_worker()
    trace.title = "half \ud83d"
    write_html(trace, tmp_path / "page.html")
    assert "half" in Page((tmp_path / "page.html").read_text(encoding="utf-8")).texts["title"][0]
    assert html.unescape(trace._repr_html_())


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    """What is installed contains the files of the page."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install 'iocp-emu[dev]'")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        check=True,
        cwd=PACKAGE.parent,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"iocp_emu/trace/page/{name}" for name in ("page.html", "page.css", *SCRIPTS)} <= names


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: the scripts are checked in Chromium")
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_parse(name: str) -> None:
    """Each script is JavaScript on its own."""
    subprocess.run(["node", "--check", str(PACKAGE / "trace" / "page" / name)], check=True, capture_output=True)
