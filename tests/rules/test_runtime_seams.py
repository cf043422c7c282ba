"""What a runtime does between verbs, seen from the kernel: settling, taking, putting back, losing.

A runtime may append a packet without a verb and `settle` afterwards, take packets while the kernel looks at them, and
give back what a call could not return with.  Whatever it does, the rules of chapter 1 hold afterwards.
"""

from __future__ import annotations

from collections import deque

import pytest

from iocp_emu.kernel.completion import Packet
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.kernel.waits import ResetMode, Timeout, WaitMode
from iocp_emu.profiles import WIN7, WIN10, Profile
from iocp_emu.status import STATUS_WAIT_0
from tests.rules.devices import Bench, packet
from tests.rules.world import Listener, World, posted


class Robbed(deque[Packet]):
    """A queue that looks full and is empty by the time somebody reaches into it, as beside a fast runtime."""

    def __bool__(self) -> bool:
        return True


# -- settle ----------------------------------------------------------------------------------------------------


def test_settling_offers_the_packet_to_a_waiter_below_the_limit() -> None:
    """Q-10: append and settle together are one post."""
    for limit, outcome in ((2, [("T1", [posted("a")])]), (1, [])):
        world = World(P=limit)
        port = world.ports["P"]
        world.do_all("T1: get(P)", "T2: get(P, timeout=0)")
        port.queue.packets.append(posted("a"))
        port.settle()
        assert world.collect() == outcome
        assert port.depth == (0 if outcome else 1)


@pytest.mark.parametrize(("profile", "wakes"), [(WIN10, False), (WIN7, True)], ids=["win10", "win7"])
@pytest.mark.parametrize("parked", [True, False])
def test_settling_wakes_direct_waiters_like_a_post(profile: Profile, wakes: bool, parked: bool) -> None:
    """O-11, O-12: when the packet stays queued, all of them; when a dequeuer takes it, by profile."""
    world = World(profile=profile)
    port = world.ports["P"]
    assert world.kernel.wait(world["direct"], [port]) is None
    if parked:
        world.do("T1: get(P)")
    port.queue.packets.append(posted("a"))
    port.settle()
    dequeued = [("T1", [posted("a")])] if parked else []
    woken = [("direct", STATUS_WAIT_0)] if wakes or not parked else []
    assert world.collect() == [*dequeued, *woken]


def test_a_hand_off_and_waits_for_several_objects() -> None:
    """O-12: before 1607 a wait for any of several ended like one for the handle alone; ALL needs the others too."""
    world = World(profile=WIN7)
    port, kernel = world.ports["P"], world.kernel
    event = world.keep(kernel.create_event(ResetMode.MANUAL))
    assert kernel.wait(world["any"], [event, port], WaitMode.ANY) is None
    assert kernel.wait(world["all"], [event, port], WaitMode.ALL) is None
    assert kernel.wait(world["alone"], [port]) is None
    world.do("T1: get(P)")
    kernel.post(port, posted("a"))
    assert world.collect() == [("T1", [posted("a")]), ("any", STATUS_WAIT_0 + 1), ("alone", STATUS_WAIT_0)]


def test_settling_after_the_rundown_drops() -> None:
    """H-06: a packet that was appended just as the last handle closed is counted as dropped, and its source told."""
    bench = Bench()
    port, handle = bench.port(1)
    port.reference()
    bench.close(handle)
    source = Listener()
    port.queue.packets.extend([packet("a"), Packet("b", None, 0, 0, source)])
    port.settle()
    assert (port.depth, port.dropped, source.heard) == (0, 2, ["dropped"])
    bench.check()


# -- taking ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", Timeout)
def test_a_packet_that_was_taken_meanwhile_is_no_packet(timeout: Timeout) -> None:
    """Q-33: between the look and the reach somebody took it: the call goes on as with an empty queue."""
    world = World()
    port = world.ports["P"]
    world.do("T1: get(P, timeout=0)")
    port.queue.packets = Robbed()
    result = world.kernel.remove(world["T1"], port, 1, timeout)
    assert result is (RemoveOutcome.TIMEOUT if timeout is Timeout.DUE else None)
    port.queue.packets = deque()
    assert world.columns().counts == ("1/1" if timeout is Timeout.DUE else "0/1")


def test_a_release_that_finds_nothing_releases_nobody() -> None:
    """Q-25: the packet was taken meanwhile, so the waiter stays."""
    world = World()
    world.do_all("T1: get(P)", "T2: get(P, timeout=0)")
    world.ports["P"].queue.packets = Robbed()
    world.kernel.block(world["T2"])
    world.ports["P"].queue.packets = deque()
    assert world.collect() == []
    assert world.columns() == ("0/1", "-", "T1", "-")


# -- takers ----------------------------------------------------------------------------------------------------


def taker(world: World, thread: str, number: int, port: str = "P") -> set[int]:
    """Give `thread` a packet of `port` and let it take more by itself, under this number; the port's takers."""
    world.do_all(f"post a to {port}", f"{thread}: get({port}, timeout=0)")
    world.ports[port].admit(number)
    return world.ports[port].queue.takers


@pytest.mark.parametrize(
    "action",
    [
        "T2: get(P)",
        "T1 blocks on something else",
        "SuspendThread(T1)",
        "T1 exits",
        "W's other wait is satisfied",
        "last handle of P closed",
    ],
)
def test_whoever_has_to_ask_again_takes_nothing_by_itself(action: str) -> None:
    """Q-11, Q-23, Q-25, Q-26, Q-32: parked, stopped, one too many or run down: the next get has to be a verb."""
    world = World()
    world.do_all("post w", "W: get(P, timeout=0)", "W blocks on something else")
    takers = taker(world, "T1", 1)
    assert takers == {1}
    world.do(action)
    assert takers == set()


def test_a_runtime_may_change_its_mind_about_who_takes_by_itself() -> None:
    """Q-11: once forgotten, no thread takes from any port without a verb, until it has been given a packet again."""
    world = World(P=1, Q=1)
    takers = [taker(world, "T1", 1), taker(world, "T2", 2, "Q")]
    assert takers == [{1}, {2}]
    world.kernel.forget_takers()
    assert takers == [set(), set()]
    assert world.columns().counts == "P: 1/1 ; Q: 1/1"
    assert taker(world, "T1", 1) == {1}


# -- putting back and losing -----------------------------------------------------------------------------------


def test_what_is_put_back_wakes_direct_waiters() -> None:
    """Q-35: the packet is queued again, so the handle is signalled again (O-11)."""
    world = World()
    port, kernel = world.ports["P"], world.kernel
    world.do("post a")
    taken = kernel.remove(world["T1"], port)
    assert isinstance(taken, list)
    assert kernel.wait(world["direct"], [port]) is None
    kernel.put_back(port, taken)
    assert world.collect() == [("direct", STATUS_WAIT_0)]
    assert world.columns().queue == "a"


@pytest.mark.parametrize(("profile", "wakes"), [(WIN10, False), (WIN7, True)], ids=["win10", "win7"])
def test_what_is_put_back_goes_to_a_waiter_first(profile: Profile, wakes: bool) -> None:
    """Q-35, O-12: handed over like a new packet; direct waiters hear of that by profile."""
    world = World(P=2, profile=profile)
    port, kernel = world.ports["P"], world.kernel
    world.do("post a")
    taken = kernel.remove(world["T1"], port)
    assert isinstance(taken, list)
    assert kernel.wait(world["direct"], [port]) is None
    world.do("T2: get(P)")
    kernel.put_back(port, taken)
    assert world.collect() == [("T2", taken), *([("direct", STATUS_WAIT_0)] if wakes else [])]


def test_what_is_put_back_too_late_is_dropped() -> None:
    """O-22: after the rundown nobody can dequeue it."""
    bench = Bench()
    port, handle = bench.port(1)
    port.reference()
    source = Listener()
    bench.kernel.post(port, Packet("a", None, 0, 0, source))
    taken = bench.kernel.remove(bench.main, port)
    assert isinstance(taken, list)
    bench.close(handle)
    bench.kernel.put_back(port, [*taken, packet("b")])
    assert (port.depth, port.dropped, source.heard) == (0, 2, ["delivered", "dropped"])


def test_a_lost_delivery_tells_its_sources() -> None:
    """Q-35: the thread ends with packets in its hands; posted ones have nobody to be told."""
    bench = Bench()
    source = Listener()
    bench.kernel.lose([packet("posted"), Packet("a", None, 0, 0, source)])
    bench.kernel.lose(RemoveOutcome.TIMEOUT)
    bench.kernel.lose(None)
    assert source.heard == ["dropped"]


# -- verbs inside a kernel APC ---------------------------------------------------------------------------------


def test_a_kernel_apc_that_closes_the_port() -> None:
    """Q-17, O-21: the interrupted call ends with ABANDONED like all others, and nobody is counted any more."""
    world = World()
    port = world.ports["P"]
    world.do_all("T1: get(P)", "T2: get(P)")
    outcome = world.kernel_apc("T1", lambda: world.process.handles.close(world.handles["P"]))
    assert outcome == "T1 returns ABANDONED; side effect: T2 returns ABANDONED"
    assert (world["T1"].state, port.freed) == (ThreadState.RUNNABLE, True)
    assert world.columns() == ("0/1", "-", "-", "-")


def test_a_kernel_apc_that_ends_its_thread() -> None:
    """Q-17, Q-28: the interrupted call is given up, its reference too, and the slot is free."""
    world = World()
    port = world.ports["P"]
    world.do_all("T2: get(P)", "T1: get(P)")
    world.kernel.kernel_apc(world["T1"], lambda: world.kernel.exit_thread(world["T1"]))
    assert world.collect() == []
    assert world.columns() == ("0/1", "-", "T2", "-")
    assert port.references == 2
    assert world.do("post a") == "handed straight to T2 (previous depth 0)"


def test_a_kernel_apc_that_suspends_its_thread() -> None:
    """Q-17, Q-23: it waits suspended, on no list and uncounted, until it is resumed and parks on top (Q-08)."""
    world = World()

    def suspend() -> None:
        assert world.kernel.suspend(world["T1"]) == 0

    world.do_all("T1: get(P)", "T2: get(P)")
    world.kernel.kernel_apc(world["T1"], suspend)
    assert world.collect() == []
    assert world["T1"].state is ThreadState.SUSPENDED
    assert world.columns() == ("0/1", "-", "T2", "-")
    world.step("ResumeThread(T1)", "T1 re-parks on top", "0/1", "-", "T2 T1")


def test_a_kernel_apc_that_alerts_its_thread() -> None:
    """Q-17, Q-24: an alertable call looks again and finds the APC; a plain one parks again."""
    world = World()

    def alert() -> None:
        world.kernel.queue_user_apc(world["T1"], lambda: None)

    world.do("T1: get(P, alertable)")
    assert world.kernel_apc("T1", alert) == "T1 returns USER_APC"
    world.do("T1: get(P)")
    assert world.kernel_apc("T1", alert) == "T1 re-parks"
