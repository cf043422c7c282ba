"""The page in a real browser: it lays out, is heard by assistive technology, and follows light and dark."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.teach.experiment.golden_results import GOLDEN

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=2000",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")


def browse(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the browser with a profile of its own."""
    assert CHROMIUM is not None
    return subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


@pytest.mark.parametrize(("scheme", "paper"), [("1", (255, 255, 255)), ("0", (13, 17, 23))], ids=["light", "dark"])
def test_light_and_dark(tmp_path: Path, scheme: str, paper: tuple[int, int, int]) -> None:
    """The paper, text and lines have the colours of the reader's choice."""
    image = pytest.importorskip("PIL.Image")  # comes with matplotlib
    shot = tmp_path / "shot.png"
    browse(
        tmp_path / "profile",
        f"--blink-settings=preferredColorScheme={scheme}",
        "--window-size=700,700",
        f"--screenshot={shot}",
        (GOLDEN / "closed.html").as_uri(),
    )
    picture = image.open(shot).convert("RGB")
    colours = [picture.getpixel((x, y)) for y in range(picture.height) for x in range(picture.width)]
    assert colours[0] == paper
    assert colours.count(paper) > len(colours) / 2
    first_line = {"1": (5, 80, 174), "0": (121, 192, 255)}[scheme]
    assert colours.count(first_line) > 50


def test_the_page_is_laid_out_as_it_is_written(tmp_path: Path) -> None:
    """The browser's own document has every figure: nothing was dropped, and nothing runs."""
    page = GOLDEN / "rate.html"
    dumped = browse(tmp_path / "profile", "--dump-dom", page.as_uri()).stdout
    written = page.read_text(encoding="utf-8")
    for element in ("<figure", "<circle", "<td", "<dt", "<details"):
        assert dumped.count(element) == written.count(element) > 0
    assert "<script" not in dumped
    texts = [
        re.sub(r"\s+", "", re.sub("<style.*?</style>|<[^>]*>", "", each, flags=re.DOTALL)) for each in (dumped, written)
    ]
    assert texts[0] == texts[1]


def test_nothing_sticks_out_of_a_phone(tmp_path: Path) -> None:
    """In 360 pixels only the table's own frame scrolls: measured by a copy of the page that is allowed one script."""
    text = (
        (GOLDEN / "closed.html")
        .read_text(encoding="utf-8")
        .replace("default-src 'none';", "script-src 'unsafe-inline';")
    )
    frame = (
        '<iframe id="f" style="width:360px;height:800px;border:0" srcdoc="{}"></iframe><script>f.onload=()=>{{'
        "document.title=f.contentDocument.documentElement.scrollWidth+' '+f.contentDocument.images.length+' '+"
        "f.contentDocument.querySelectorAll('svg[role=img]').length}}</script>"
    )
    copy = tmp_path / "copy.html"
    copy.write_text(frame.format(text.replace("&", "&amp;").replace('"', "&quot;")), encoding="utf-8")
    dumped = browse(tmp_path / "profile", "--dump-dom", copy.as_uri()).stdout
    found = re.search(r"<title>(\d+) 0 (\d+)</title>", dumped)
    assert found is not None
    assert int(found.group(1)) <= 360
    assert int(found.group(2)) >= 6
