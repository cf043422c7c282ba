"""Q-35 for a whole verb: Ctrl-C comes before it or after it; in a wait, which is at rest, it comes at once."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from iocp_emu.compat.whole_calls import make_whole
from iocp_emu.runtime.ambient import use
from iocp_emu.runtime.interrupts import MOMENT_SECONDS, ONE_CALL
from iocp_emu.runtime.threads import ThreadSystem

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 30

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


class Interrupted(BaseException):
    """What this module's handler raises."""


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """A handler of SIGINT that raises, and says here that it ran."""
    said: list[str] = []

    def handler(number: int, frame: Any) -> None:
        said.append("asked")
        raise Interrupted

    before = signal.signal(signal.SIGINT, handler)
    yield said
    signal.signal(signal.SIGINT, before)


def in_one_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one verb."""

    def verb(*arguments: Any) -> Any:
        with ONE_CALL:
            return function(*arguments)

    return verb


def wait_for_the_exception() -> None:
    """Compute until the handler raises."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.001)
    pytest.fail("the interrupt was lost")


def test_interrupt_waits_for_the_end_of_a_verb(calls: list[str]) -> None:
    """Q-35: an interrupt inside a verb, also inside one that it is part of, comes out when the outermost is over."""
    with ONE_CALL:
        with ONE_CALL:
            signal.raise_signal(signal.SIGINT)
        result = "returned"
    assert (result, calls) == ("returned", [])
    with pytest.raises(Interrupted):
        wait_for_the_exception()
    assert calls == ["asked"]


def test_verb_leaves_the_program_its_handler(calls: list[str]) -> None:
    """Q-35: who looks for the handler finds the program's own, before and after a verb."""
    before = signal.getsignal(signal.SIGINT)
    with ONE_CALL:
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_handler_set_during_a_verb_stays(calls: list[str]) -> None:
    """Q-35: a callback inside a verb may set another handler."""
    with ONE_CALL:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_handler_that_is_no_function_is_left_alone(calls: list[str], handler: Any) -> None:
    """Q-35: what the host does by itself needs no help."""
    signal.signal(signal.SIGINT, handler)
    with ONE_CALL:
        assert signal.getsignal(signal.SIGINT) is handler
    assert signal.getsignal(signal.SIGINT) is handler


def test_second_request_during_one_verb_is_obeyed_at_once(calls: list[str]) -> None:
    """Q-35: a verb that hangs in the host can be left."""

    @in_one_call
    def insist() -> None:
        signal.raise_signal(signal.SIGINT)
        assert calls == []
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        insist()
    assert calls == ["asked"]


def test_other_threads_change_nothing(calls: list[str]) -> None:
    """Q-35: Python runs handlers on the main thread alone, so that a verb elsewhere is not concerned."""
    before = signal.getsignal(signal.SIGINT)
    seen: list[Any] = []

    def verb() -> None:
        with ONE_CALL:
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=verb)
    thread.start()
    thread.join()
    assert seen == [before]


def test_interrupt_before_a_wait_ends_it(calls: list[str]) -> None:
    """Q-35: noted on the way into a wait, the interrupt is not put off until something comes."""
    system = ThreadSystem()
    port = system.perform(system.kernel.create_port, 1)

    @in_one_call
    def wait() -> None:
        signal.raise_signal(signal.SIGINT)
        system.remove_one(port, None)

    with pytest.raises(Interrupted):
        wait()
    assert not port.queue.waiters


def test_interrupt_ends_a_wait_inside_a_verb(calls: list[str]) -> None:
    """Q-35: a thread that is parked is at rest."""
    system = ThreadSystem()
    port = system.perform(system.kernel.create_port, 1)

    def interrupt() -> None:
        while not port.queue.waiters:
            time.sleep(0.001)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted), ONE_CALL:
        system.remove_one(port, None)
    thread.join()
    assert not port.queue.waiters


@pytest.mark.parametrize("noted", [False, True])
def test_handler_that_raises_at_the_last_moment_is_asked_again(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    """Q-35: between the switch of the handler and the verb's return, nothing is lost: neither result nor interrupt."""
    from iocp_emu.runtime import interrupts

    switch = interrupts.set_handler
    switches: list[Any] = []

    def switch_and_interrupt(number: int, handler: Any) -> Any:
        switches.append(switch(number, handler))
        if len(switches) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(interrupts, "set_handler", switch_and_interrupt)
    with ONE_CALL:
        if noted:
            signal.raise_signal(signal.SIGINT)
        result = "returned"
    assert (result, calls) == ("returned", ["asked"])
    with pytest.raises(Interrupted):
        wait_for_the_exception()
    assert calls == ["asked"] * 2


def verb_with(event_at_step: Callable[[], None], step: int, verb: Callable[[], None]) -> bool:
    """A verb, and at the `step`th byte code of its beginning and end something else; whether there are so many."""
    one_call: Any = ONE_CALL
    codes = (one_call.__enter__.__func__.__code__, one_call.__exit__.__func__.__code__)
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if frame.f_code not in codes:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps += 1
            if steps == step:
                event_at_step()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with ONE_CALL:
            verb()
    finally:
        sys.settrace(before)
    return steps >= step


@pytest.mark.parametrize("noted", [False, True])
def test_a_finalizer_calls_a_verb_at_any_step(calls: list[str], noted: bool) -> None:
    """Q-35: the program's handler is back afterwards, and an interrupt that came is told once."""
    before = signal.getsignal(signal.SIGINT)
    another_verb = in_one_call(lambda: None)

    def verb() -> None:
        if noted:
            signal.raise_signal(signal.SIGINT)

    verb_with(another_verb, 1, lambda: None)  # the first time, Python 3.12 tells of no steps
    step, has_more = 0, [True]
    while has_more[0]:
        step += 1
        calls.clear()
        with pytest.raises(Interrupted) if noted else nullcontext():
            has_more[0] = verb_with(another_verb, step, verb)
            if noted:
                wait_for_the_exception()
        if noted:
            time.sleep(3 * MOMENT_SECONDS)  # it would come again here
        assert signal.getsignal(signal.SIGINT) is before
        assert calls == ["asked"] * noted
    assert step > 50


def test_interrupt_at_any_step(calls: list[str]) -> None:
    """Q-35: at the beginning or the end of a verb, Ctrl-C is told, and the next verb is whole again.

    Twice where the exception would else have cost the verb's result.
    """
    before = signal.getsignal(signal.SIGINT)
    verb_with(lambda: None, 1, lambda: None)
    step, told = 0, 1
    while told:
        step += 1
        calls.clear()
        with suppress(Interrupted):
            if verb_with(lambda: signal.raise_signal(signal.SIGINT), step, lambda: None):
                wait_for_the_exception()
        told = len(calls)
        assert told <= 2
        assert signal.getsignal(signal.SIGINT) is before
        with ONE_CALL:
            assert signal.getsignal(signal.SIGINT) is not before
    assert step > 50


def test_interrupt_comes_also_where_no_thread_can_be_had(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-35: the moment's delay is dropped rather than the interrupt."""
    from iocp_emu.runtime import interrupts

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(interrupts, "start_new_thread", refuse)

    def interrupted() -> None:
        in_one_call(signal.raise_signal)(signal.SIGINT)
        wait_for_the_exception()

    with pytest.raises(Interrupted):
        interrupted()


def test_whole_calls_of_a_module(calls: list[str]) -> None:
    """clients issue: a guest's function or method is one call; what a module has from elsewhere, or hides, stays."""

    def interrupted() -> str:
        signal.raise_signal(signal.SIGINT)
        return "returned"

    class Kind:
        method: Callable[[Any], str] = lambda self: interrupted()

    interrupted.__module__ = Kind.__module__ = "of_guests"
    namespace: dict[str, Any] = {"__name__": "of_guests", "call": interrupted, "_call": interrupted, "Kind": Kind}
    namespace |= {"wait": time.sleep, "text": textwrap.dedent}
    make_whole(namespace)
    assert (namespace["wait"], namespace["text"]) == (time.sleep, textwrap.dedent)
    for call in (namespace["call"], namespace["Kind"]().method):
        assert call() == "returned"
        with pytest.raises(Interrupted):
            wait_for_the_exception()
    with pytest.raises(Interrupted):
        namespace["_call"]()


def test_whole_call_in_a_simulation_is_interrupted(calls: list[str]) -> None:
    """clients issue: who runs the simulation leaves it at once."""
    system = ThreadSystem()
    system.one_call = nullcontext()

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    interrupted.__module__ = "of_guests"
    namespace: dict[str, Any] = {"__name__": "of_guests", "call": interrupted}
    make_whole(namespace)
    with use(system), pytest.raises(Interrupted):
        namespace["call"]()


STORM = """
    import os, signal, sys, tempfile
    import iocp_emu
    from iocp_emu import win32

    signal.signal(signal.SIGINT, signal.default_int_handler)
    path = tempfile.mkstemp()[1]
    os.truncate(path, 4096)
    port = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, win32.NULL, 0, 1)
    interrupts = reads = 0
    while interrupts < int(sys.argv[1]):
        try:
            print("ready", flush=True)
            while True:
                file = win32.CreateFileW(path, win32.GENERIC_READ, 1, win32.OPEN_EXISTING, win32.FILE_FLAG_OVERLAPPED)
                assert file != win32.INVALID_HANDLE_VALUE, win32.GetLastError()
                win32.CreateIoCompletionPort(file, port, 1, 0)
                overlapped = win32.OVERLAPPED()
                win32.ReadFile(file, bytearray(64), 64, overlapped)
                win32.CancelIoEx(file, overlapped)
                win32.GetOverlappedResult(file, overlapped, True)
                win32.CloseHandle(file)
                reads += 1
        except KeyboardInterrupt:
            interrupts += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.unlink(path)
    # Nothing is half done: every request that was begun ends, and has one packet.
    from iocp_emu.runtime.ambient import current_system
    system = current_system()
    packets = 0
    while win32.GetQueuedCompletionStatus(port, 100).lpOverlapped is not None:
        packets += 1
    assert reads <= packets <= reads + interrupts, (reads, packets, interrupts)
    win32.CloseHandle(port)
    print("sound", flush=True)
"""


def storm(interrupts: int) -> None:
    """Interrupt a program that starts, cancels and ends requests, in the middle of whatever it does."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(STORM), str(interrupts)],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        for number in range(interrupts):
            while not select.select([child.stdout], [], [], 5)[0]:
                child.send_signal(signal.SIGINT)  # the last one came in a finalizer, where Python drops exceptions
            assert child.stdout.readline() == "ready\n", child.communicate()[1]
            time.sleep(0.0005 * (number % 7))  # anywhere in the loop; no outcome depends on where
            child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=SECONDS)
        assert (out, child.returncode) == ("sound\n", 0)
        assert "Error" not in errors, errors
    finally:
        child.kill()
        child.wait()


def test_interrupts_leave_every_request_whole() -> None:
    """Q-35, P-15: after 100 interrupts in the middle of anything, each request that was started has its one packet."""
    storm(100)
