"""The page in headless Chromium: clicked and keyed through, for ten to a hundred thousand events."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from iocp_emu import CompletionPort
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.trace import Cursor, PortStep, Trace, TracedSimulation, write_html
from iocp_emu.trace.model import Activity, brief, explain

from .test_page import HOSTILE, hostile_trace
from .traces import SMALL, blocked_worker, busy, repeated

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no headless Chromium here: apt install chromium chromium-driver"
)
selenium = pytest.importorskip("selenium", reason="selenium is not installed: pip install 'iocp-emu[dev]'")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
SCRIPT_SECONDS = 120


class Browser:
    """A window of Chromium; `open` shows a trace in it."""

    def __init__(self, driver: Any, directory: Path) -> None:
        self.driver = driver
        self.directory = directory
        self.trace: Trace

    def open(self, trace: Trace) -> None:
        """Write the trace as a page and open it from disk."""
        path = self.directory / "page.html"
        write_html(trace, path)
        self.trace = trace
        self.driver.get(path.as_uri())
        self.painted()

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body in JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def find(self, name: str) -> Any:
        """The element with this id."""
        return self.driver.find_element("id", name)

    def text(self, name: str) -> str:
        """The text of the element with this id."""
        return str(self.find(name).text)

    def click(self, name: str) -> None:
        """Click the element with this id."""
        self.find(name).click()

    def press(self, *keys: str) -> None:
        """Type on the page."""
        self.driver.find_element("tag name", "body").send_keys(*keys)

    def choose(self, name: str, value: str) -> None:
        """Choose an option of a list."""
        self.find(name).find_element("css selector", f'option[value="{value}"]').click()

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until the condition holds, up to two minutes."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, SCRIPT_SECONDS, poll_frequency=0.02).until(lambda _: condition())

    def painted(self) -> None:
        """Wait until what was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    @property
    def position(self) -> int:
        """Which stop the page is at."""
        return int(self.run("return app.position"))

    @property
    def event(self) -> int:
        """The number of the event that the page tells of; 0 before the first."""
        return int(self.run("return app.stops[app.position].event + 1"))

    @property
    def view(self) -> tuple[float, float]:
        """The part of the trace that is shown."""
        low, high = self.run("return app.chart.view")
        return low, high

    def check_quiet(self) -> None:
        """No message in the console, nothing loaded, nothing refused."""
        assert self.driver.get_log("browser") == []
        assert self.run("return performance.getEntriesByType('resource').length") == 0


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One Chromium for the module, with a profile of its own."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(DRIVER))
    driver.set_script_timeout(SCRIPT_SECONDS)
    driver.set_page_load_timeout(SCRIPT_SECONDS)
    yield driver
    driver.quit()


@pytest.fixture
def browser(driver: Any, tmp_path: Path) -> Iterator[Browser]:
    """A window of 1280 by 800 in light colours; afterwards the console must be empty."""
    _emulate(driver, 1280, 800, "light")
    shown = Browser(driver, tmp_path)
    yield shown
    shown.check_quiet()


def _emulate(driver: Any, width: int, height: int, colours: str) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": colours}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _keys() -> Any:
    from selenium.webdriver.common.keys import Keys

    return Keys


@pytest.mark.parametrize("name", SMALL)
def test_every_step_is_told_as_python_tells_it(browser: Browser, name: str) -> None:
    """Text and state of each step on the page are those of the trace in Python, both ways."""
    trace = SMALL[name](Carrier.AUTO)
    browser.open(trace)
    browser.choose("stops", "events")
    there = list(range(len(trace.events) + 1))
    for order in (there, there[::-1]):
        shown = browser.run(f"return arguments[0].map((number) => {{ app.seek(number); {TOLD} }});", order)
        for number, (told, words, why, state) in zip(order, shown, strict=True):
            assert told == number
            assert state == _state(trace, number)
            if number:
                event = trace.events[number - 1]
                assert words == brief(trace, event)
                assert why in ("", explain(trace, event))


TOLD = """
const shown = (name) => byId(name).textContent;
const state = app.trace.state;
const names = (list) => [...list].map((each) => app.trace.name(each));
const seen = new Set(app.trace.events.slice(0, state.number).filter((raw) => raw.length > 4).map((raw) => raw[2]));
return [app.stops[app.position].event + 1, shown("brief"), shown("sentence"), {
  ports: Object.fromEntries([...state.ports].filter(([port]) => seen.has(port)).map(([number, port]) =>
    [number, [[...port.packets], names(port.waiters), names(port.counted)]])),
  threads: Object.fromEntries([...state.threads].map(([thread, each]) =>
    [app.trace.name(thread), [each.activity, each.processor, each.port, [...each.held]]])),
}];
"""


def _state(trace: Trace, number: int) -> Any:
    state = Cursor(trace).seek(number)
    activities = list(Activity)
    return {
        "ports": {
            str(port): [list(each.packets), list(each.waiters), list(each.counted)]
            for port, each in state.ports.items()
        },
        "threads": {
            name: [
                activities.index(each.activity),
                -1 if each.processor is None else each.processor,
                each.port or 0,
                list(each.packets),
            ]
            for name, each in state.threads.items()
        },
    }


def test_buttons(browser: Browser) -> None:
    """Step, back, first, last, by mouse; buttons that lead nowhere are off."""
    browser.open(blocked_worker())
    assert "Nothing has happened yet." in browser.text("brief")
    assert not browser.find("back").is_enabled()
    browser.click("next")
    assert browser.text("brief") == "ann parks: nothing queued"
    assert "Q-11" in browser.text("rules")
    browser.click("next")
    browser.click("back")
    assert browser.position == 1
    browser.click("last")
    assert browser.position == len(browser.trace.steps)
    assert not browser.find("next").is_enabled()
    browser.click("first")
    assert browser.position == 0


def test_keys(browser: Browser) -> None:
    """Everything can be done from the keyboard."""
    keys = _keys()
    browser.open(blocked_worker())
    last = len(browser.trace.steps)
    for key, position in (
        (keys.ARROW_RIGHT, 1),
        (keys.SHIFT + keys.ARROW_RIGHT, 11),
        (keys.ARROW_LEFT, 10),
        (keys.SHIFT + keys.ARROW_LEFT, 0),
        (keys.END, last),
        (keys.HOME, 0),
    ):
        browser.press(key)
        assert browser.position == position
    whole = browser.view
    browser.press("+")
    assert browser.view[1] - browser.view[0] == pytest.approx((whole[1] - whole[0]) / 2)
    browser.press("d")
    assert browser.view[0] > whole[0]
    browser.press("a", "-")
    assert browser.view == tuple(whole)
    browser.press("+", "+", "0")
    assert browser.view == tuple(whole)
    browser.find("seek").send_keys(keys.ARROW_RIGHT)
    assert browser.position == 1


def test_focus_reaches_every_control(browser: Browser) -> None:
    """With the tabulator every control is reached, and each has a name."""
    keys = _keys()
    browser.open(blocked_worker())
    browser.press(keys.ARROW_RIGHT)
    found: list[str] = []
    for _ in range(14):
        browser.driver.switch_to.active_element.send_keys(keys.TAB)
        found.append(browser.run("return document.activeElement.id || document.activeElement.tagName"))
    assert [*found[:2]] == ["SUMMARY", "first"]
    assert {"back", "play", "next", "last", "speed", "stops", "scale", "in", "fit", "seek"} <= set(found)
    for name in ("first", "back", "play", "next", "last", "speed", "stops", "scale", "in", "out", "fit", "seek"):
        assert browser.find(name).accessible_name


def test_screen_readers(browser: Browser) -> None:
    """The text of the step is announced, except while it plays; picture and slider say what they show."""
    browser.open(blocked_worker())
    said = browser.find("said")
    assert (said.get_attribute("role"), said.get_attribute("aria-live")) == ("status", "polite")
    browser.click("next")
    assert browser.find("canvas").aria_role in ("image", "img")
    assert "events have happened" in browser.find("canvas").accessible_name
    assert browser.find("seek").get_attribute("aria-valuetext") == "step 1: ann parks: nothing queued"
    browser.click("play")
    assert said.get_attribute("aria-live") == "off"
    browser.click("play")
    assert said.get_attribute("aria-live") == "polite"
    browser.click("next")
    assert browser.run("return document.documentElement.lang") == "en"


def test_play(browser: Browser) -> None:
    """Play goes on by itself to the end, stops there, and begins anew; any move stops it."""
    browser.open(blocked_worker())
    browser.choose("speed", "200")
    browser.press(" ")
    browser.wait(lambda: browser.position == len(browser.trace.steps))
    browser.wait(lambda: browser.find("play").get_attribute("aria-pressed") == "false")
    browser.choose("speed", "20")
    browser.click("play")
    browser.wait(lambda: browser.position >= 2)
    browser.click("back")
    assert browser.find("play").get_attribute("aria-pressed") == "false"
    assert browser.run("return app.timer") is None


def test_seek_by_mouse(browser: Browser) -> None:
    """A click into the picture goes there, dragging goes along, the wheel zooms and moves."""
    from selenium.webdriver import ActionChains

    browser.open(blocked_worker())
    canvas = browser.find("canvas")
    ActionChains(browser.driver).move_to_element_with_offset(canvas, 100, 0).click().perform()
    clicked = browser.position
    assert 1 < clicked < len(browser.trace.steps)
    ActionChains(browser.driver).move_to_element(canvas).click_and_hold().move_by_offset(300, 0).release().perform()
    assert browser.position > clicked
    assert browser.text("under")
    whole = browser.view
    browser.run(
        "byId('canvas').dispatchEvent(new WheelEvent('wheel', "
        "{deltaY: -100, ctrlKey: true, clientX: 700, clientY: 400, cancelable: true}))"
    )
    assert browser.view[1] - browser.view[0] < whole[1] - whole[0]
    before = browser.view
    browser.run("byId('canvas').dispatchEvent(new WheelEvent('wheel', {deltaX: 60, cancelable: true}))")
    assert browser.view[0] > before[0]


def test_scale_and_stops(browser: Browser) -> None:
    """The axis can be time; stops can be every change; the place stays the same."""
    browser.open(blocked_worker())
    browser.run("app.go(8)")
    event = browser.event
    browser.choose("scale", "time")
    assert browser.view[1] == pytest.approx(browser.trace.seconds * 1.02)
    browser.choose("stops", "events")
    assert browser.event >= event
    browser.choose("stops", "steps")
    assert browser.event == event
    browser.painted()


def test_a_cause_is_a_link(browser: Browser) -> None:
    """From a release one gets to what freed the slot."""
    browser.open(blocked_worker())
    step = next(step for step in browser.trace.steps if step.cause)
    browser.run("app.seek(arguments[0])", step.number)
    browser.find("rules").find_element("tag name", "button").click()
    assert browser.event == step.cause


def test_boxes(browser: Browser) -> None:
    """Queue, waiters and slots are shown, and a thread above the limit is marked in words."""
    browser.open(blocked_worker())
    step = next(each for each in browser.trace.steps if each.active > each.limit)
    browser.run("app.seek(arguments[0])", step.number)
    assert "above the limit" in browser.text("ports")
    assert "Counted: 2 of 1" in browser.text("ports")
    assert "(next)" in browser.run("return getComputedStyle(document.querySelector('.next'), '::after').content")
    assert "running on processor" in browser.text("threads")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_light_and_dark_wide_and_narrow(browser: Browser, colours: str, width: int) -> None:
    """Text can be read on its ground in both, and nothing is wider than the window."""
    _emulate(browser.driver, width, 800, colours)
    browser.open(blocked_worker())
    browser.press(_keys().ARROW_RIGHT)
    browser.painted()
    assert browser.run("return document.documentElement.scrollWidth") <= width
    for ink in ("ink", "soft", "strong"):
        for ground in ("paper", "panel"):
            assert browser.run(CONTRAST, f"--{ink}", f"--{ground}") >= 4.5
    for fill in ("running", "ready", "blocked", "suspended", "queued", "over"):
        assert browser.run(CONTRAST, f"--{fill}", "--panel") >= 2.2
    dark = browser.run(CONTRAST, "--panel", "--white") > 10
    assert dark == (colours == "dark")


CONTRAST = """
const light = (name) => {
  const hex = name === '--white' ? '#ffffff' : getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((each) => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const [low, high] = [light(arguments[0]), light(arguments[1])].sort((a, b) => a - b);
return (high + 0.05) / (low + 0.05);
"""


def test_hostile_names(browser: Browser) -> None:
    """Markup in names is shown as text, and nothing of it runs."""
    browser.open(hostile_trace())
    browser.run("window.alert = () => { window.attacked = true; }")
    for _ in range(5):
        browser.press(_keys().ARROW_RIGHT)
    assert browser.driver.title.split() == HOSTILE.split()
    assert HOSTILE.split(" ")[0] in browser.text("threads")
    assert browser.run("return window.attacked") is None
    assert len(browser.driver.find_elements("tag name", "script")) == 2


def test_nothing_is_asked_of_the_network(driver: Any, tmp_path: Path) -> None:
    """The policy of the page refuses even what a script of its own would load."""
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            browser = Browser(driver, tmp_path)
            browser.open(blocked_worker())
            address = f"http://127.0.0.1:{server.server_port}/"
            refused = driver.execute_async_script(
                """
                const [address, done] = arguments;
                const image = new Image();
                image.onerror = () => fetch(address + 'fetched').then(() => done(false), () => done(true));
                image.onload = () => done(false);
                image.src = address + 'image';
                """,
                address,
            )
        finally:
            server.shutdown()
            thread.join()
    assert refused
    assert asked == []
    assert all("Content Security Policy" in each["message"] for each in driver.get_log("browser"))


@pytest.mark.parametrize(
    ("packets", "times", "events", "seconds"),
    [(1, 1, 10, 5), (150, 1, 1_000, 5), (1_400, 10, 100_000, 30)],
    ids=["10", "1000", "100000"],
)
def test_sizes(browser: Browser, packets: int, times: int, events: int, seconds: float) -> None:
    """Ten, a thousand and a hundred thousand events: the first picture, a step and a seek come soon.

    The limits are generous, for machines that are busy; the figures are printed.
    """
    trace = _tiny() if packets == 1 else repeated(busy(packets), times)
    assert events / 1.5 < len(trace.events) < events * 1.5
    browser.open(trace)
    browser.wait(lambda: browser.run("return performance.getEntriesByName('first-contentful-paint').length"))
    browser.wait(lambda: browser.run("return performance.timing.loadEventEnd"))
    took = browser.driver.execute_async_script(
        """
        const done = arguments[0];
        const out = {paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
                     loaded: performance.timing.loadEventEnd - performance.timing.navigationStart};
        const frame = (name, action, then) => {
          const start = performance.now();
          action();
          requestAnimationFrame(() => setTimeout(() => { out[name] = performance.now() - start; then(); }));
        };
        frame('end', () => app.go(Infinity), () =>
          frame('middle', () => app.go(app.stops.length >> 1), () =>
            frame('step', () => app.go(app.position + 1), () =>
              frame('zoom', () => app.chart.zoom(0.1, app.chart.placeOf(app.stops[app.position].until)), () =>
                done(out)))));
        """
    )
    print(len(trace.events), {name: round(value) for name, value in took.items()}, "ms")
    assert max(took.values()) < seconds * 1000
    step = trace.steps[-1]
    browser.run("app.go(app.trace.stops.steps.findIndex((stop) => stop.event === arguments[0]))", step.number - 1)
    assert isinstance(step, PortStep)
    assert browser.text("brief") == brief(trace, step)
    for number in (0, len(trace.events) // 3, len(trace.events)):
        browser.run("app.trace.seek(arguments[0])", number)
        assert browser.run(TOLD)[3] == _state(trace, number)


def _tiny() -> Trace:
    with TracedSimulation(processors=1, title="ten events") as simulation:
        port = CompletionPort(1)
        simulation.spawn(port.get, name="worker")
        simulation.run(until=0.1)
        port.post(key="hello")
        simulation.run()
    return simulation.trace
