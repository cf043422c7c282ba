"""Where the time of one post and one get goes: `python -m benchmarks profile`.

Theory.  A profiler costs more than what it would measure here.  So each step is timed alone, in the same loop, less the
empty loop: the byte code that the port executes for it, on objects of the same kind.  What the steps do not explain of
the whole, which is timed too, is the row "between the steps": byte code between them, colder caches, or noise.

The second table is for what is off the fast path: the parts of a hand-over to a parked thread, without the wake-up of
that thread, which only the system can make faster.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from random import Random
from typing import Any

from .staging import undisturbed

LOOPS = 1_000
ROUNDS = 300

# The steps of `post` and `get` as `iocp_emu.CompletionPort` has them, in their order.
FAST_STEPS: Mapping[str, str] = {
    "call post": "empty_post(number)",
    "check `bytes`": "type(number) is not int or number < 0 or number > ONE_DIGIT",
    "make the packet, free it": "blank = PostedPacket(); blank.key = 0; blank.overlapped = None; "
    "blank.information = number",
    "publish it (append)": "sink.append(number)",
    "does anybody wait": "queue.is_watched",
    "call get": "empty_get()",
    "who calls, may it take": "get_ident() in takers",
    "take it (popleft)": "spare.popleft()",
    "has it a source": "port.has_sources and packet.source is not None",
    "read `bytes`": "packet.bytes",
}
WHOLE = "post(number); get().bytes"
BETWEEN = "between the steps"


def _timed(statement: str, names: dict[str, Any]) -> Callable[[], float]:
    """A function that times one turn of `statement`, in seconds."""
    text = (
        "def turns(turns):\n  number = 77\n  start = now()\n"
        f"  for _ in turns:\n    {statement}\n  return now() - start\n"
    )
    exec(text, names)  # text of this module
    turns = names["turns"]
    return lambda: turns(repeat(None, LOOPS)) / LOOPS


def _fast_names() -> dict[str, Any]:
    """What the steps work on: a real port, and this thread counted on it."""
    from _thread import get_ident

    from iocp_emu import CompletionPort, ThreadSystem, use
    from iocp_emu.kernel.completion import PostedPacket
    from iocp_emu.port import ONE_DIGIT

    with use(ThreadSystem(processors=2)):
        port = CompletionPort(2)
        port.post()
        packet = port.get()

    def empty_post(bytes: int = 0, key: Any = 0, overlapped: Any = None) -> None:
        pass

    def empty_get(timeout: float | None = None) -> None:
        pass

    spare: deque[Any] = deque(repeat(None, (ROUNDS + 1) * LOOPS))
    return {
        "now": time.perf_counter,
        "ONE_DIGIT": ONE_DIGIT,
        "PostedPacket": PostedPacket,
        "sink": deque[Any](maxlen=64),
        "empty_get": empty_get,
        "empty_post": empty_post,
        "get": port.get,
        "get_ident": get_ident,
        "packet": packet,
        "spare": spare,
        "port": port.waitable,
        "post": port.post,
        "queue": port.waitable.queue,
        "takers": port.waitable.queue.takers,
    }


def _measure(statements: Mapping[str, str], names: dict[str, Any]) -> dict[str, float]:
    """Seconds per turn of each statement, less the empty loop: lower quartiles of interleaved rounds."""
    timers = {name: _timed(statement, dict(names)) for name, statement in {"": "pass", **statements}.items()}
    samples: dict[str, list[float]] = {name: [] for name in timers}
    random = Random()
    for _ in range(ROUNDS):
        for name in random.sample(list(timers), len(timers)):
            samples[name].append(timers[name]())
    empty = undisturbed(samples.pop(""))
    return {name: undisturbed(values) - empty for name, values in samples.items()}


def fast_path() -> dict[str, float]:
    """Seconds of each step of one post and one get, of the whole, and of what lies between."""
    found = _measure({**FAST_STEPS, WHOLE: WHOLE}, _fast_names())
    found[BETWEEN] = found[WHOLE] - sum(found[name] for name in FAST_STEPS)
    return found


def hand_over() -> dict[str, float]:
    """Seconds of each part of a hand-over to a parked thread; the parked one is moved by hand."""
    from iocp_emu import CompletionPort, ThreadSystem, use
    from iocp_emu.kernel.waits import Timeout

    samples: dict[str, list[float]] = {}
    now = time.perf_counter
    with use(ThreadSystem(processors=2)) as system, CompletionPort(2) as port:
        kernel_port = port.waitable
        other = system.create_thread("parked by hand")

        def note(name: str, call: Callable[..., object], *arguments: object) -> None:
            start = now()
            call(*arguments)
            samples.setdefault(name, []).append(now() - start)

        def nothing() -> None:
            pass

        for _ in range(3_000):
            note("", nothing)
            note("the lock around nothing", system.perform, nothing)
            note("park: a get that finds nothing", system.perform, kernel_port.remove, other, 1, Timeout.LATER)
            note("post to a parked thread", port.post)
            note("the token of its parker", other.parker.acquire, False)
            note("collect what it got", system.kernel.collect, other)
        system.end_thread(other)
    empty = undisturbed(samples.pop(""))
    return {name: undisturbed(values) - empty for name, values in samples.items()}


def _table(title: str, rows: Sequence[tuple[str, float]], whole: float | None) -> str:
    lines = [title]
    for name, seconds in rows:
        share = "" if whole is None else f"{seconds / whole:6.0%}"
        lines.append(f"  {name:32}{seconds * 1e9:8.0f} ns{share}")
    return "\n".join(lines)


def render() -> str:
    """Both tables.  Takes some seconds."""
    fast = fast_path()
    whole = fast.pop(WHOLE)
    parts = [*fast.items(), (f"all: {WHOLE}", whole)]
    return "\n\n".join(
        [
            _table("One post and one get of a counted thread, no lock taken", parts, whole),
            _table("Off the fast path, without the wake-up itself", list(hand_over().items()), None),
            "Each step timed alone, less an empty loop; lower quartiles.  Absolute times give a feeling only.",
        ]
    )
