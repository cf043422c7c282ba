"""`kernel/waits.py` and the waiting side of threads: events, semaphores, mutexes, timers, threads, any and all.

The rules behind it: Q-23, Q-26 and Q-29 (what a wait does to the port), O-10 and O-13 (ports are waited on like any
object), G-12 (alertable waits).
"""

from __future__ import annotations

import pytest

from iocp_emu import status
from iocp_emu.kernel.completion import Packet, posted_packet
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, ResetMode, Timeout, Waitable, Waiter, WaitMode
from tests.rules.devices import Bench, packet
from tests.rules.world import Listener

ALERTABLE = Alertability.ALERTABLE
ABANDONED = status.STATUS_ABANDONED
DUE = Timeout.DUE
TIMEOUT = status.STATUS_TIMEOUT
WAIT_0 = status.STATUS_WAIT_0


def threads(bench: Bench, number: int) -> list[KernelThread]:
    """T1 to T<number>."""
    return [bench.thread(f"T{index}") for index in range(1, number + 1)]


def readied(bench: Bench) -> list[tuple[str | None, object]]:
    """Who goes on, with what, in order."""
    return [(thread.name, bench.collect(thread)) for thread in list(bench.kernel.readied)]


def test_a_manual_reset_event_releases_all_and_stays() -> None:
    """Q-26: every waiter, oldest first; later waits are satisfied at once until it is reset."""
    bench = Bench()
    event = bench.event(ResetMode.MANUAL)
    first, second, third = threads(bench, 3)
    for thread in (second, first):
        assert bench.wait(thread, [event]) is None
    event.set()
    assert readied(bench) == [("T2", WAIT_0), ("T1", WAIT_0)]
    assert bench.wait(third, [event]) == WAIT_0
    event.reset()
    assert bench.wait(third, [event], timeout=DUE) == TIMEOUT


def test_an_auto_reset_event_releases_one() -> None:
    """Q-26: the oldest waiter; with nobody waiting it stays signalled for the first that comes."""
    bench = Bench()
    event = bench.event(ResetMode.AUTO)
    first, second, third = threads(bench, 3)
    for thread in (first, second):
        bench.wait(thread, [event])
    event.set()
    assert readied(bench) == [("T1", WAIT_0)]
    event.set()
    event.set()
    assert readied(bench) == [("T2", WAIT_0)]
    assert bench.wait(third, [event]) == WAIT_0
    assert bench.wait(third, [event], timeout=DUE) == TIMEOUT


def test_a_semaphore_releases_as_many_as_it_has_units() -> None:
    """Q-26: three units for two waiters leave one."""
    bench = Bench()
    semaphore = bench.kernel.create_semaphore(0, 5)
    bench.open(semaphore)
    for thread in threads(bench, 2):
        bench.wait(thread, [semaphore])
    assert semaphore.release(3) == 0
    assert readied(bench) == [("T1", WAIT_0), ("T2", WAIT_0)]
    assert semaphore.count == 1
    assert semaphore.release(2) == 1


def test_a_mutex_is_recursive_and_passes_on_when_it_is_free() -> None:
    """Q-29: the owner acquires it again at once; another waits until all acquisitions are undone."""
    bench = Bench()
    owner, other = threads(bench, 2)
    mutant = bench.kernel.create_mutant(owner)
    bench.open(mutant)
    assert bench.wait(owner, [mutant]) == WAIT_0
    assert bench.wait(other, [mutant]) is None
    mutant.release(owner)
    assert readied(bench) == []
    mutant.release(owner)
    assert readied(bench) == [("T2", WAIT_0)]
    assert mutant.owner is other
    assert other.mutants == {mutant: None}


def test_a_mutex_of_an_ended_thread_is_abandoned() -> None:
    """Q-28: an exit gives its mutexes up; the next owner is told, once."""
    bench = Bench()
    owner, other, third = threads(bench, 3)
    mutant = bench.kernel.create_mutant(owner)
    bench.open(mutant)
    assert bench.wait(owner, [mutant]) == WAIT_0
    bench.wait(other, [mutant])
    bench.exit(owner)
    assert readied(bench) == [("T2", ABANDONED)]
    mutant.release(other)
    assert bench.wait(third, [mutant]) == WAIT_0


def test_a_released_mutex_is_none_of_its_last_owner_s() -> None:
    """Q-28: who has given it back abandons nothing, and does not take it from the next owner either."""
    bench = Bench()
    first, second, third = threads(bench, 3)
    mutant = bench.kernel.create_mutant(first)
    bench.open(mutant)
    mutant.release(first)
    assert bench.wait(second, [mutant]) == WAIT_0
    bench.exit(first)
    assert (mutant.owner, mutant.abandoned) == (second, False)
    assert bench.wait(third, [mutant], timeout=DUE) == TIMEOUT


def test_a_timer_fires_only_for_its_latest_setting() -> None:
    """Q-26: a stale due time, a cancelled one and that of a freed timer change nothing."""
    bench = Bench()
    (thread,) = threads(bench, 1)
    timer = bench.kernel.create_timer(ResetMode.MANUAL)
    handle = bench.open(timer)
    stale = timer.arm()
    latest = timer.arm()
    assert bench.wait(thread, [timer]) is None
    assert not timer.fire(stale)
    assert readied(bench) == []
    assert timer.fire(latest)
    assert readied(bench) == [("T1", WAIT_0)]
    assert bench.wait(thread, [timer]) == WAIT_0
    cancelled = timer.arm()
    assert not timer.signalled
    timer.cancel()
    assert not timer.fire(cancelled)
    last = timer.arm()
    bench.close(handle)
    assert not timer.fire(last)


def test_a_periodic_timer_is_one_setting() -> None:
    """Q-26: it may fire again and again; an auto-reset one releases one thread each time."""
    bench = Bench()
    timer = bench.kernel.create_timer(ResetMode.AUTO)
    bench.open(timer)
    setting = timer.arm()
    for thread in threads(bench, 2):
        bench.wait(thread, [timer])
    assert timer.fire(setting)
    assert timer.fire(setting)
    assert readied(bench) == [("T1", WAIT_0), ("T2", WAIT_0)]


def test_threads_and_processes_are_signalled_when_they_end() -> None:
    """Q-28: and for good."""
    bench = Bench()
    ending, waiting, other = threads(bench, 3)
    ending.reference()
    child = bench.another_process()
    child.reference()
    assert bench.wait(waiting, [ending]) is None
    assert bench.wait(other, [child]) is None
    bench.exit(ending)
    assert readied(bench) == [("T2", WAIT_0)]
    bench.kernel.exit_process(child)
    assert readied(bench) == [("T3", WAIT_0)]
    assert bench.wait(waiting, [ending, child], WaitMode.ALL) == WAIT_0


def test_any_takes_the_first_by_index_and_only_that() -> None:
    """Q-29: the index tells which; the others keep what they have."""
    bench = Bench()
    events = [bench.event(ResetMode.AUTO, signalled=signalled) for signalled in (False, True, True)]
    assert bench.wait(bench.main, events) == WAIT_0 + 1
    assert [event.signalled for event in events] == [False, False, True]


def test_any_is_ended_by_whichever_comes_first() -> None:
    """Q-26: and the thread leaves the lists of all the others."""
    bench = Bench()
    (thread,) = threads(bench, 1)
    events = [bench.event() for _ in range(3)]
    bench.wait(thread, events)
    events[2].set()
    assert readied(bench) == [("T1", WAIT_0 + 2)]
    assert not any(event.waits for event in events)
    events[0].set()
    assert readied(bench) == []


def test_all_takes_everything_at_one_moment_or_nothing() -> None:
    """Q-26: an auto-reset event is not spent on a wait that is not satisfied yet."""
    bench = Bench()
    first, second = threads(bench, 2)
    event, semaphore = bench.event(ResetMode.AUTO), bench.kernel.create_semaphore(0, 1)
    bench.open(semaphore)
    assert bench.wait(first, [event, semaphore], WaitMode.ALL) is None
    event.set()
    assert event.signalled
    assert bench.wait(second, [event]) == WAIT_0
    semaphore.release(1)
    assert readied(bench) == []
    event.set()
    assert readied(bench) == [("T1", WAIT_0)]
    assert (event.signalled, semaphore.count) == (False, 0)


def test_all_tells_of_an_abandoned_mutex() -> None:
    """Q-28: among the objects of a wait for all."""
    bench = Bench()
    owner, other = threads(bench, 2)
    mutant = bench.kernel.create_mutant(owner)
    bench.open(mutant)
    bench.exit(owner)
    assert bench.wait(other, [bench.event(signalled=True), mutant], WaitMode.ALL) == ABANDONED


def test_any_tells_which_mutex_was_abandoned() -> None:
    """Q-28: ABANDONED plus the index."""
    bench = Bench()
    owner, other = threads(bench, 2)
    mutant = bench.kernel.create_mutant(owner)
    bench.open(mutant)
    bench.exit(owner)
    assert bench.wait(other, [bench.event(), mutant]) == ABANDONED + 1


def test_a_wait_that_an_earlier_wake_up_has_ended_is_left_alone() -> None:
    """X-05: the event queues a wait packet, whose arrival ends a wait for the port or the event; it ends only once."""
    bench = Bench()
    port, _ = bench.port(1)
    (thread,) = threads(bench, 1)
    event, waiting = bench.event(), bench.kernel.create_wait_packet()
    bench.open(waiting)
    assert not waiting.associate(port, event, packet("from the event"))
    bench.wait(thread, [port, event])
    event.set()
    assert readied(bench) == [("T1", WAIT_0)]
    assert port.depth == 1


@pytest.mark.parametrize("pending", [True, False])
def test_an_alertable_wait_is_ended_by_an_apc(pending: bool) -> None:
    """G-12: one that comes, and one that is there already; a satisfied wait comes first, the timeout last."""
    bench = Bench()
    (thread,) = threads(bench, 1)
    event = bench.event()
    if pending:
        bench.kernel.queue_user_apc(thread, lambda: None)
        assert bench.wait(thread, [bench.event(signalled=True)], alertability=ALERTABLE) == WAIT_0
        assert bench.wait(thread, [event], timeout=DUE, alertability=ALERTABLE) == status.STATUS_USER_APC
    else:
        assert bench.wait(thread, [event], alertability=ALERTABLE) is None
        bench.kernel.queue_user_apc(thread, lambda: None)
        assert readied(bench) == [("T1", status.STATUS_USER_APC)]
    bench.run_user_apc(thread)
    assert thread.next_user_apc() is None


def test_a_wait_that_is_over_cannot_be_alerted_any_more() -> None:
    """G-12: an APC that comes after the end of an alertable wait stays pending, and nobody is counted twice (Q-26)."""
    bench = Bench()
    port, _ = bench.port(1)
    (thread,) = threads(bench, 1)
    event = bench.event()
    bench.poll(thread, port)
    assert bench.wait(thread, [event], alertability=ALERTABLE) is None
    event.set()
    assert readied(bench) == [("T1", WAIT_0)]
    bench.kernel.queue_user_apc(thread, lambda: None)
    assert readied(bench) == []
    assert (len(thread.user_apcs), port.queue.current_count) == (1, 1)
    bench.check()


def test_a_plain_wait_leaves_the_apc_pending() -> None:
    """G-11: outside the port too."""
    bench = Bench()
    (thread,) = threads(bench, 1)
    event = bench.event()
    bench.wait(thread, [event])
    bench.kernel.queue_user_apc(thread, lambda: None)
    assert readied(bench) == []
    event.set()
    assert readied(bench) == [("T1", WAIT_0)]
    assert len(thread.user_apcs) == 1


def test_a_timeout_ends_a_wait_once() -> None:
    """Q-33: the second time there is nothing to end, nor for a thread that waits for nothing at all."""
    bench = Bench()
    (thread,) = threads(bench, 1)
    event = bench.event()
    bench.wait(thread, [event])
    assert bench.kernel.expire(thread)
    assert readied(bench) == [("T1", TIMEOUT)]
    assert not bench.kernel.expire(thread)
    assert not event.waits
    bench.kernel.block(thread)
    assert not bench.kernel.expire(thread)
    assert thread.state is ThreadState.BLOCKED


def test_a_thread_that_ends_leaves_every_list() -> None:
    """Q-28: nobody wakes a thread that is gone."""
    bench = Bench()
    (thread,) = threads(bench, 1)
    events = [bench.event(), bench.event()]
    bench.wait(thread, events)
    bench.kernel.queue_user_apc(thread, lambda: None)
    bench.kernel.exit_thread(thread, 7)
    bench.check()
    assert not any(event.waits for event in events)
    events[0].set()
    assert readied(bench) == []
    assert (thread.wait, thread.next_user_apc(), thread.exit_code) == (None, None, 7)


@pytest.mark.parametrize("suspended", [False, True])
def test_a_timeout_that_comes_after_the_end_of_its_thread(suspended: bool) -> None:
    """Q-33: the call was given up with the thread, so there is nothing left to expire."""
    bench = Bench()
    port, _ = bench.port(1)
    (thread,) = threads(bench, 1)
    bench.park(thread, port)
    if suspended:
        bench.kernel.suspend(thread)
    bench.exit(thread)
    assert not bench.kernel.expire(thread)
    assert readied(bench) == []


def test_a_thread_that_ends_loses_what_it_was_given() -> None:
    """Q-35: a packet that its thread never returned with is gone with the thread; its source hears of it once."""
    bench = Bench()
    port, _ = bench.port(1)
    thread, other = threads(bench, 2)
    source = Listener()
    bench.park(thread, port)
    bench.kernel.post(port, Packet("a", None, 0, 0, source))
    bench.exit(thread)
    assert (source.heard, thread.wait_result) == (["dropped"], None)
    assert bench.poll(other, port) is RemoveOutcome.TIMEOUT


def test_suspension_nests() -> None:
    """K-24: two suspensions take two resumptions, and a blocked thread stays blocked after them."""
    bench = Bench()
    (thread,) = threads(bench, 1)
    assert [bench.kernel.suspend(thread) for _ in range(2)] == [0, 1]
    assert (bench.kernel.resume(thread), thread.state) == (2, ThreadState.SUSPENDED)
    assert (bench.kernel.resume(thread), thread.state) == (1, ThreadState.RUNNABLE)
    assert readied(bench) == [("T1", None)]
    bench.kernel.block(thread)
    assert (bench.kernel.suspend(thread), thread.state) == (0, ThreadState.BLOCKED)
    assert (bench.kernel.resume(thread), thread.state) == (1, ThreadState.BLOCKED)
    assert readied(bench) == []


def test_a_port_handle_among_all() -> None:
    """O-13: a port is waited on like any object: for all, it must be signalled at the same moment."""
    bench = Bench()
    port, _ = bench.port(1)
    (thread,) = threads(bench, 1)
    event = bench.event()
    bench.wait(thread, [port, event], WaitMode.ALL)
    bench.post(port, "a")
    assert readied(bench) == []
    event.set()
    assert readied(bench) == [("T1", WAIT_0)]
    assert port.depth == 1


def test_the_interfaces_demand_an_answer() -> None:
    """An object or a waiter of a new kind that forgets its part is an error, not a silent never."""
    waiter = Waiter(())
    for forgotten in (waiter.try_satisfy, lambda: waiter.finish(0)):
        with pytest.raises(NotImplementedError):
            forgotten()
    waitable = Waitable(Kernel())
    waitable.check_waitable()
    with pytest.raises(NotImplementedError):
        waitable.is_signalled_for(None)
    assert waitable.consume(None) == WAIT_0


def test_a_waiter_leaves_the_lists_that_it_is_on() -> None:
    """Of an object that has let go of it already, nothing is taken away."""
    bench = Bench()
    events = (bench.event(ResetMode.MANUAL), bench.event(ResetMode.MANUAL))
    waiter = Waiter(events)
    waiter.attach()
    del events[0].waits[waiter]
    waiter.detach()
    assert [len(event.waits) for event in events] == [0, 0]


def test_packets_are_values() -> None:
    """N-01: equal by their fields, to be counted, unpacked, indexed, hashed, and copied with changes."""
    one = Packet("key", None, 0, 3)
    key, overlapped, code, information, source = one
    assert (key, overlapped, code, information, source, len(one), one[0]) == ("key", None, 0, 3, None, 5, "key")
    assert len({one, Packet("key", None, 0, 3)}) == 1
    assert one != "key"
    assert one.replace(information=4) == Packet("key", None, 0, 4)
    assert posted_packet("key", None, 3) == one
