"""Chapter 1, when the count goes up and down: Q-20 to Q-29, and Q-17 on kernel APCs, rule by rule.

A row of `World.step` is a row of the scenario tables: action, outcome, Count/Max, runnable, waiters (bottom to top),
queue (oldest to newest), where the last two may be left out when empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iocp_emu.kernel.file import IoMode
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, ResetMode, Timeout, WaitMode
from iocp_emu.status import STATUS_PENDING, STATUS_TIMEOUT, STATUS_USER_APC, STATUS_WAIT_0
from tests.rules.devices import ByHand, Overlapped
from tests.rules.world import World, posted

ALERTABLE = Alertability.ALERTABLE
DUE = Timeout.DUE


# -- when the count goes down, when it goes up -----------------------------------------------------------------


def test_q20_the_first_association_counts_nothing() -> None:
    """Q-20: an associated but parked thread is a member and not counted."""
    world = World(P=1)
    world.step("T1: get(P)", "T1 parks", "0/1", "-", "T1")
    assert list(world.ports["P"].queue.members) == [world["T1"]]


def test_q21_a_dequeue_satisfied_without_waiting_counts_the_caller() -> None:
    """Q-21: plus one for a stranger, plus nothing in sum for a caller that was counted."""
    world = World(P=2)
    world.do("post a")
    world.do("post b")
    world.step("T1: get(P)", "T1 gets a", "1/2", "T1", "-", "b")
    world.step("T1: get(P)", "T1 gets b", "1/2", "T1")


def test_q22_a_released_waiter_is_counted_before_it_runs() -> None:
    """Q-22: at the insert itself: the second post finds the slot taken although nobody has run yet."""
    world = World(P=1)
    kernel, port = world.kernel, world.ports["P"]
    world.do("T1: get(P)")
    world.do("T2: get(P)")
    kernel.post(port, posted("a"))
    assert kernel.readied == [world["T2"]]
    assert port.queue.current_count == 1
    kernel.post(port, posted("b"))
    assert kernel.readied == [world["T2"]]
    assert port.depth == 1


def on_a_busy_file(world: World, thread: KernelThread) -> int | None:
    """A file is not signalled while a request is outstanding on it."""
    file = world.keep(world.kernel.create_file(ByHand(), IoMode.OVERLAPPED))
    file.start_request(thread, Overlapped()).pend()
    return world.kernel.wait(thread, [file])


def on_a_signalled_and_another(world: World, thread: KernelThread) -> int | None:
    """All objects are meant, and one is missing."""
    signalled = world.keep(world.kernel.create_event(ResetMode.MANUAL, signalled=True))
    return world.kernel.wait(thread, [signalled, world.keep(world.kernel.create_semaphore(0, 1))], WaitMode.ALL)


def by_suspension(world: World, thread: KernelThread) -> None:
    """The suspended thread waits inside the kernel."""
    assert world.kernel.suspend(thread) == 0


BLOCKERS: dict[str, Callable[[World, KernelThread], int | None]] = {
    "event": lambda world, thread: world.kernel.wait(
        thread, [world.keep(world.kernel.create_event(ResetMode.AUTO))]
    ),
    "any-of-two": lambda world, thread: world.kernel.wait(
        thread, [world.keep(world.kernel.create_event(ResetMode.MANUAL)), world.process]
    ),
    "all-of-two": on_a_signalled_and_another,
    "mutex": lambda world, thread: world.kernel.wait(
        thread, [world.keep(world.kernel.create_mutant(world["owner"]))]
    ),
    "timer": lambda world, thread: world.kernel.wait(
        thread, [world.keep(world.kernel.create_timer(ResetMode.MANUAL))]
    ),
    "thread": lambda world, thread: world.kernel.wait(thread, [world["another"]]),
    "process": lambda world, thread: world.kernel.wait(thread, [world.process]),
    "file": on_a_busy_file,
    "port-handle": lambda world, thread: world.kernel.wait(thread, [world.ports["R"]]),
    "sleep": lambda world, thread: world.kernel.wait(thread),
    "alertable-sleep": lambda world, thread: world.kernel.wait(thread, alertability=ALERTABLE),
    "outside": lambda world, thread: world.kernel.block(thread),
    "suspension": by_suspension,
}


@pytest.mark.parametrize("how", BLOCKERS)
def test_q23_whatever_a_thread_waits_for_frees_its_slot(how: str) -> None:
    """Q-23: minus one, and the release step: the waiter on P gets the oldest packet."""
    world = World(P=1, R=1)
    world.do_all("T1: get(P)", "T2: get(P)", "post a", "post b", "post c")
    assert BLOCKERS[how](world, world["T2"]) is None
    assert world["T2"].state in (ThreadState.BLOCKED, ThreadState.SUSPENDED)
    assert [(name, [got.key for got in result]) for name, result in world.collect()] == [("T1", ["b"])]
    assert world.columns().counts == "P: 1/1 ; R: 0/1"
    assert world["T2"].queue is world.ports["P"].queue


@pytest.mark.parametrize("how", BLOCKERS)
def test_q23_a_thread_of_no_port_frees_nothing(how: str) -> None:
    """Q-23: only an associated thread has a slot to give up."""
    world = World(P=1, R=1)
    world.do_all("T1: get(P)", "T2: get(P)", "post a", "post b")
    assert BLOCKERS[how](world, world["stranger"]) is None
    assert world.collect() == []
    assert world.columns().counts == "P: 1/1 ; R: 0/1"


def test_q24_a_timed_out_waiter_is_counted_without_a_look_at_the_limit() -> None:
    """Q-24: a thread that gave up waiting is as active as one that holds a packet."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "post a")
    world.step("T1's timeout elapses", "T1 returns TIMEOUT", "2/1", "T1,T2")


def test_q24_an_alerted_waiter_is_counted_without_a_look_at_the_limit() -> None:
    """Q-24: the same for a user APC that ends an alertable dequeue."""
    world = World(P=1)
    world.do_all("T1: get(P, alertable)", "T2: get(P)", "post a")
    world.step("QueueUserAPC to T1", "T1 returns USER_APC", "2/1", "T1,T2")


@pytest.mark.parametrize(
    ("preparation", "outcome"), [("T1: get(P)", "TIMEOUT"), ("QueueUserAPC to T1", "USER_APC")]
)
def test_q24_a_return_without_parking_is_counted_too(preparation: str, outcome: str) -> None:
    """Q-24: zero poll and pending APC at the limit: one more than the limit, for a caller already associated."""
    world = World(P=1)
    world.do("T1: get(P, timeout=0)")
    world.do("T2: get(P, timeout=0)")
    if preparation.startswith("Queue"):
        world.do(preparation)
    world.step("T1: get(P, timeout=0, alertable)", f"T1 returns {outcome}", "2/1", "T1,T2")


def test_q25_the_oldest_packet_goes_to_the_top_waiter_one_per_event() -> None:
    """Q-25: with several packets and several waiters, one event releases one."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "T3: get(P)", "post a", "post b", "post c")
    world.step(
        "T3 blocks on something else", "T3 stops running; side effect: T2 gets b", "1/1", "T2", "T1", "c"
    )
    world.step("T2 exits", "T2 is gone; side effect: T1 gets c", "1/1", "T1")


@pytest.mark.parametrize("missing", ["packet", "waiter", "slot"])
def test_q25_nothing_is_released_unless_all_three_are_there(missing: str) -> None:
    """Q-25: a queued packet, a parked waiter and a free slot."""
    world = World(P=1)
    if missing != "waiter":
        world.do("T1: get(P)")
    world.do("T2: get(P, timeout=0)")
    if missing == "slot":
        world.do("T3: get(P, timeout=0)")
    if missing != "packet":
        world.do("post a")
    before = world.columns()
    assert world.do("T2 blocks on something else") == "T2 stops running"
    assert world.columns()[2:] == before[2:]


def test_q26_unblocking_is_never_refused_and_overshoots_by_many() -> None:
    """Q-26: four threads blocked and replaced come back: five run under a limit of one."""
    world = World(P=1)
    for number in range(5, 0, -1):
        world.do(f"T{number}: get(P)")
    for number in range(1, 5):
        world.do(f"post p{number}")
        world.do(f"T{number} blocks on something else")
    world.do("post p5")
    assert world.columns().counts == "1/1"
    for number in range(1, 5):
        assert world.do(f"T{number}'s other wait is satisfied") == f"T{number} runs again"
        assert world.columns().counts == f"{number + 1}/1"


@pytest.mark.parametrize("end", ["satisfied", "timeout", "apc", "resume"])
def test_q26_however_the_other_wait_ends(end: str) -> None:
    """Q-26: satisfied, timed out, alerted or resumed: plus one at once, above the limit."""
    world = World(P=1)
    kernel, thread = world.kernel, world["T2"]
    world.do_all("T1: get(P)", "T2: get(P)", "post a", "post b")
    event = world.keep(kernel.create_event(ResetMode.MANUAL))
    if end == "resume":
        kernel.suspend(thread)
    else:
        kernel.wait(thread, [event], alertability=ALERTABLE)
    world.collect()
    assert world.columns() == ("1/1", "T1", "-", "-")
    if end == "satisfied":
        event.set()
    elif end == "timeout":
        assert kernel.expire(thread)
    elif end == "apc":
        kernel.queue_user_apc(thread, lambda: None)
    else:
        assert kernel.resume(thread) == 1
    result = {"satisfied": STATUS_WAIT_0, "timeout": STATUS_TIMEOUT, "apc": STATUS_USER_APC, "resume": None}
    assert world.collect() == [("T2", result[end])]
    assert world.columns().counts == "2/1"


def test_q26_a_wait_that_ends_while_suspended_counts_at_the_resume() -> None:
    """Q-26: a suspended thread is not runnable, whatever it has been given meanwhile."""
    world = World(P=1)
    kernel, thread = world.kernel, world["T1"]
    world.do("T1: get(P, timeout=0)")
    event = world.keep(kernel.create_event(ResetMode.MANUAL))
    kernel.wait(thread, [event])
    kernel.suspend(thread)
    event.set()
    assert world.collect() == []
    assert (thread.state, world.columns().counts) == (ThreadState.SUSPENDED, "0/1")
    assert kernel.resume(thread) == 1
    assert world.collect() == [("T1", STATUS_WAIT_0)]
    assert world.columns().counts == "1/1"


def test_q26_the_own_wait_of_a_suspended_thread_may_end_too() -> None:
    """Q-26: the same when the thread blocked outside the kernel: it stays suspended, uncounted."""
    world = World(P=1)
    kernel, thread = world.kernel, world["T1"]
    world.do("T1: get(P, timeout=0)")
    world.do("T1 blocks on something else")
    world.do("SuspendThread(T1)")
    kernel.unblock(thread)
    assert (thread.state, world.columns().counts) == (ThreadState.SUSPENDED, "0/1")
    world.step("ResumeThread(T1)", "T1 runs again", "1/1", "T1")


def test_q27_nothing_but_giving_up_slots_repairs_an_excess() -> None:
    """Q-27: posts, polls, timeouts and resumptions leave it; while it lasts no waiter is released."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P, timeout=0)", "T3: get(P, timeout=0)", "T4: get(P, timeout=0)")
    world.step("post a", "queued (previous depth 0)", "3/1", "T2,T3,T4", "T1", "a")
    world.step("T2: Sleep(0) / SwitchToThread", "no effect on the port", "3/1", "T2,T3,T4", "T1", "a")
    world.step("T2 blocks on something else", "T2 stops running", "2/1", "T3,T4", "T1", "a")
    world.step("T3: get(P)", "T3 parks", "1/1", "T4", "T1 T3", "a")
    world.step("T4 exits", "T4 is gone; side effect: T3 gets a", "1/1", "T3", "T1")


def test_q28_exit_and_another_port_free_the_slot_and_release() -> None:
    """Q-28: minus one with a release step, both for the end of a thread and for its move to another port."""
    for action, outcome in (("T2 exits", "T2 is gone"), ("T2: get(R, timeout=0)", "T2 returns TIMEOUT")):
        world = World(P=1, R=1)
        world.do_all("T1: get(P)", "T2: get(P)", "post a to P", "post b to P")
        assert world.do(action) == f"{outcome}; side effect: T1 gets b"


@pytest.mark.parametrize(
    "state", ["T1: get(P)", "T1 blocks on something else", "SuspendThread(T1)"], ids=["parked", "blocked", "suspended"]
)
def test_q28_a_thread_that_does_not_run_frees_nothing_when_it_ends(state: str) -> None:
    """Q-28: its slot was free already; it only leaves the lists."""
    world = World(P=1)
    world.do_all("T1: get(P, timeout=0)", state, "T2: get(P, timeout=0)", "T3: get(P)", "post a")
    waiters = [name for name in world.columns().waiters.split() if name != "T1"]
    assert world.do("T1 exits") == "T1 is gone"
    assert world.columns() == ("1/1", "T2", " ".join(waiters), "a")
    assert world["T1"] not in world.ports["P"].queue.members


def test_q28_a_suspended_waiter_that_ends_gives_its_call_up() -> None:
    """Q-28: a parked thread, suspended and then ended, leaves nothing behind, the call's reference included."""
    world = World(P=1)
    port = world.ports["P"]
    world.do("T1: get(P)")
    world.do("SuspendThread(T1)")
    assert port.references == 2
    world.step("T1 exits", "T1 is gone", "0/1", "-")
    assert port.references == 1
    assert not port.queue.members


def a_free_mutex(world: World) -> int | None:
    """A lock that is taken without contention."""
    return world.kernel.wait(world["T2"], [world.keep(world.kernel.create_mutant())])


def an_alertable_sleep_with_an_apc(world: World) -> int | None:
    """The APC is there already."""
    world.kernel.queue_user_apc(world["T2"], lambda: None)
    return world.kernel.wait(world["T2"], alertability=ALERTABLE)


def io_that_pends(world: World) -> int | None:
    """An overlapped request on a file of this very port."""
    file = world.keep(world.kernel.create_file(ByHand(), IoMode.OVERLAPPED))
    file.associate(world.ports["P"], "key")
    block = Overlapped()
    request = file.start_request(world["T2"], block, context=block)
    request.pend()
    return request.return_to_caller()


NOT_A_WAIT: dict[str, tuple[Callable[[World], int | None], int]] = {
    "satisfied-wait": (
        lambda world: world.kernel.wait(
            world["T2"], [world.keep(world.kernel.create_event(ResetMode.AUTO, signalled=True))]
        ),
        STATUS_WAIT_0,
    ),
    "zero-timeout-wait": (
        lambda world: world.kernel.wait(
            world["T2"], [world.keep(world.kernel.create_event(ResetMode.AUTO))], timeout=DUE
        ),
        STATUS_TIMEOUT,
    ),
    "sleep-zero": (lambda world: world.kernel.wait(world["T2"], timeout=DUE), STATUS_TIMEOUT),
    "free-mutex": (a_free_mutex, STATUS_WAIT_0),
    "pending-apc": (an_alertable_sleep_with_an_apc, STATUS_USER_APC),
    "pending-io": (io_that_pends, STATUS_PENDING),
    "post-elsewhere": (lambda world: world.kernel.post(world.ports["R"], posted("r")), 0),
}


@pytest.mark.parametrize("what", NOT_A_WAIT)
def test_q29_what_does_not_put_the_thread_into_a_wait_changes_nothing(what: str) -> None:
    """Q-29: count, waiters and queue stay, at the limit with a packet and a waiter ready to go."""
    action, result = NOT_A_WAIT[what]
    world = World(P=1, R=1)
    world.do_all("T1: get(P)", "T2: get(P)", "post a to P", "post b to P")
    before = world.columns_of(world.ports["P"])
    assert before == ("1/1", "T2", "T1", "b")
    assert action(world) == result
    assert world.collect() == []
    assert world.columns_of(world.ports["P"]) == before


# -- kernel APCs ----------------------------------------------------------------------------------------------


def test_q17_during_a_kernel_apc_the_waiter_is_counted_and_off_the_list() -> None:
    """Q-17: out of the wait and counted, above the limit if need be; then back in, uncounted, on top."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "T3: get(P)", "post a")
    seen: list[Any] = []
    assert world.kernel_apc("T1", lambda: seen.append(world.columns())) == "T1 re-parks"
    assert seen == [("2/1", "T1,T3", "T2", "-")]
    assert world.columns() == ("1/1", "T3", "T2 T1", "-")


def test_q17_the_wait_as_a_whole_survives() -> None:
    """Q-17: batch size, alertability and timeout are still those of the call, and it holds its reference once."""
    world = World(P=1)
    port = world.ports["P"]
    world.do("T1: get(P, n=2, alertable)")
    for _ in range(3):
        world.do("a kernel APC runs in T1")
    assert port.references == 2
    assert world.do("QueueUserAPC to T1") == "T1 returns USER_APC"
    assert port.references == 1
    world.do("T1: get(P)")
    world.do("a kernel APC runs in T1")
    assert world.do("QueueUserAPC to T1") == "T1 has a pending APC"
    assert world.do("T1's timeout elapses") == "T1 returns TIMEOUT"


def test_q17_a_timeout_that_passes_during_the_apc_ends_the_call() -> None:
    """Q-17: the remaining time is recomputed: none is left when the thread looks again."""
    world = World(P=1)

    def too_late() -> None:
        assert world.kernel.expire(world["T1"]) is False

    world.do("T1: get(P)")
    assert world.kernel_apc("T1", too_late) == "T1 returns TIMEOUT"
    assert world.columns() == ("1/1", "T1", "-", "-")


def test_q17_a_timeout_that_passes_while_suspended_ends_the_call_at_the_resume() -> None:
    """Q-17: a packet that can be taken then still comes first (Q-31)."""
    for packet, outcome in ((False, "T1 returns TIMEOUT"), (True, "T1 gets a")):
        world = World(P=1)
        world.do_all("T1: get(P)", "SuspendThread(T1)", "T1's timeout elapses")
        if packet:
            world.do("post a")
        assert world.do("ResumeThread(T1)") == outcome


def test_q17_a_kernel_apc_in_a_blocked_thread() -> None:
    """Q-17: a thread that waits elsewhere waits on; what the APC inserts goes to the top waiter, as ever."""
    world = World(P=1)
    world.do_all("T1: get(P, timeout=0)", "T1 blocks on something else", "T2: get(P)", "T3: get(P)")
    ran: list[int] = []
    outcome = world.kernel_apc("T1", lambda: ran.append(world.ports["P"].set(posted("a"))))
    assert (ran, outcome) == ([0], "T1 goes on; side effect: T3 gets a")
    assert world["T1"].state is ThreadState.BLOCKED
    assert world.columns() == ("1/1", "T3", "T2", "-")
    world.step("T1's other wait is satisfied", "T1 runs again", "2/1", "T1,T3", "T2")


def test_q17_a_kernel_apc_that_ends_the_wait_it_interrupted() -> None:
    """Q-17: a thread waits for an event, the APC in its context sets it: the thread goes on, counted once."""
    world = World(P=1)
    kernel, thread = world.kernel, world["T1"]
    world.do("T1: get(P, timeout=0)")
    event = world.keep(kernel.create_event(ResetMode.MANUAL))
    assert kernel.wait(thread, [event]) is None
    kernel.kernel_apc(thread, event.set)
    assert world.collect() == [("T1", STATUS_WAIT_0)]
    assert thread.state is ThreadState.RUNNABLE
    assert world.columns().counts == "1/1"


@pytest.mark.parametrize("state", ["running", "suspended", "exited"])
def test_q17_a_kernel_apc_elsewhere_interrupts_no_wait(state: str) -> None:
    """Q-17: only a waiter is taken out of its wait; in any other state the action runs and nothing else changes."""
    world = World(P=1)
    world.do("T1: get(P, timeout=0)")
    if state == "suspended":
        world.do("SuspendThread(T1)")
    elif state == "exited":
        world.do("T1 exits")
    before, ran = world.columns(), []
    world.kernel_apc("T1", lambda: ran.append(True))
    assert ran == [True]
    assert world.columns() == before


