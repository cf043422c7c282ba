"""Chapter 1: the kernel queue under a port, rule by rule: state, inserting, removing, the end.

Q-17 and Q-20 to Q-29 are in `test_queue_count_rules.py`.  A row of `World.step` is a row of the scenario tables:
action, outcome, Count/Max, runnable, waiters (bottom to top), queue (oldest to newest), where the last two may be
left out when empty.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iocp_emu.kernel.completion import IoCompletion, Packet, PacketSource
from iocp_emu.kernel.machine import Kernel
from iocp_emu.kernel.objects import Access, NtError
from iocp_emu.kernel.queue import KernelQueue, Place, RemoveOutcome
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Alertability, Timeout
from iocp_emu.profiles import CLASSIC, WIN7, WIN10, WINE, WINE_OLD, XP, Profile
from tests.rules.world import World, posted

ALERTABLE = Alertability.ALERTABLE
DUE = Timeout.DUE
LATER = Timeout.LATER


def runnable_members(port: IoCompletion) -> int:
    """The count as vocabulary 0.5 defines it, from the threads alone."""
    kernel = port.kernel
    threads = [obj for obj in kernel.objects if isinstance(obj, KernelThread)]
    return sum(thread.queue is port.queue and thread.state is ThreadState.RUNNABLE for thread in threads)


# -- state -----------------------------------------------------------------------------------------------------


def test_q01_a_fresh_queue_is_empty() -> None:
    """Q-01: no packets, waiters, associated threads or count; only the concurrency value; and not signalled."""
    port = Kernel().create_port(3)
    queue = port.queue
    assert (list(queue.packets), list(queue.waiters), list(queue.members)) == ([], [], [])
    assert (queue.current_count, queue.maximum_count) == (0, 3)
    assert port.depth == 0
    assert not port.is_signalled_for(None)


def test_q01_the_signal_state_is_the_number_of_packets() -> None:
    """Q-01: each queued packet raises it by one, each dequeued one lowers it."""
    world = World(P=9)
    depths = []
    for action in ("post a", "post b", "T1: get(P)", "post c", "T1: get(P)", "T1: get(P)"):
        world.do(action)
        depths.append(world.ports["P"].depth)
    assert depths == [1, 2, 1, 2, 1, 0]


def test_q02_the_count_is_the_number_of_associated_runnable_threads() -> None:
    """Q-02: through every kind of change, the count equals what the thread states say."""
    world = World(P=2, R=1)
    history = """T1: get(P)|T2: get(P)|T3: get(P, alertable)|post a|QueueUserAPC to T3|T3 blocks on something else
        |T1's timeout elapses|post b|post c|T1: get(P)|T3's other wait is satisfied|SuspendThread(T1)
        |T2: get(R, timeout=0)|ResumeThread(T1)|T3: get(P)|T4: get(P)|a kernel APC runs in T4|T1 exits|T2: get(P)
        |post d|T5: get(P, timeout=0)|last handle of P closed|T2: get(R)"""
    for action in history.split("|"):
        world.do(action.strip())
        for port in world.ports.values():
            assert port.queue.current_count == runnable_members(port), action


def test_q03_zero_means_the_processors_at_the_moment_of_creation() -> None:
    """Q-03: concurrency 0 is the number of logical processors, read once."""
    kernel = Kernel(processors=6)
    port = kernel.create_port(0)
    assert port.queue.maximum_count == port.concurrency == 6
    kernel.processors = 12
    assert port.queue.maximum_count == port.concurrency == 6
    assert kernel.create_port(0).queue.maximum_count == 12


@pytest.mark.parametrize("value", [1, 2, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_q04_any_other_value_is_taken_as_it_is(value: int) -> None:
    """Q-04: no upper bound, whatever the number of processors."""
    port = Kernel(processors=2).create_port(value)
    assert port.queue.maximum_count == port.concurrency == value


def test_q04_the_value_never_changes_and_belongs_to_the_port() -> None:
    """Q-04: neither use nor further handles, in this process or another, change it; another port has its own."""
    world = World(P=2, R=5)
    port, kernel = world.ports["P"], world.kernel
    other_process = kernel.create_process()
    duplicate = world.process.handles.duplicate(world.handles["P"], other_process.handles, None)
    world.do_all("T1: get(P)", "post a", "T1 blocks on something else", "T2: get(P)", "post b", "T2 exits")
    assert other_process.handles.lookup(duplicate, IoCompletion).queue.maximum_count == 2
    assert port.queue.maximum_count == 2
    assert world.ports["R"].queue.maximum_count == 5


def test_q05_a_handed_over_packet_never_enters_the_depth() -> None:
    """Q-05: with a waiter and a free slot, the depth stays 0 all the time, as a later post reports too."""
    world = World(P=2)
    world.step("T1: get(P)", "T1 parks", "0/2", "-", "T1")
    world.step("post a", "handed straight to T1 (previous depth 0)", "1/2", "T1")
    assert world.ports["P"].depth == 0
    world.step("post b", "queued (previous depth 0)", "1/2", "T1", "-", "b")


def test_q06_packets_leave_in_the_order_of_queueing() -> None:
    """Q-06: first in, first out, whoever takes them and however they are interleaved."""
    world = World(P=4)
    for name in "abcde":
        world.do(f"post {name}")
    taken = [world.do("T1: get(P)"), world.do("T2: get(P)")]
    world.do("post f")
    taken += [world.do("T1: get(P, n=3)"), world.do("T2: get(P)")]
    assert taken == ["T1 gets a", "T2 gets b", "T1 gets c+d+e", "T2 gets f"]


def test_q07_the_last_to_park_is_released_first() -> None:
    """Q-07: by the time of parking, not of association: T1 is associated first but parks last."""
    world = World(P=3)
    world.step("T1: get(P)", "T1 parks", "0/3", "-", "T1")
    world.step("T2: get(P)", "T2 parks", "0/3", "-", "T1 T2")
    world.step("T1's timeout elapses", "T1 returns TIMEOUT", "1/3", "T1", "T2")
    world.step("T1: get(P)", "T1 parks", "0/3", "-", "T2 T1")
    world.step("post a", "handed straight to T1 (previous depth 0)", "1/3", "T1", "T2")
    world.step("post b", "handed straight to T2 (previous depth 0)", "2/3", "T1,T2")


def test_q07_first_in_first_out_where_old_wine_is_meant() -> None:
    """Q-07: the one profile that differs releases the waiter that has waited longest."""
    world = World(P=3, profile=WINE_OLD)
    for thread in ("T1", "T2", "T3"):
        world.do(f"{thread}: get(P)")
    outcomes = [world.do(f"post {name}") for name in "abc"]
    assert outcomes == [f"handed straight to {thread} (previous depth 0)" for thread in ("T1", "T2", "T3")]


@pytest.mark.parametrize(
    "interruption", [("SuspendThread(T1)", "ResumeThread(T1)"), ("a kernel APC runs in T1",)], ids=["suspend", "apc"]
)
def test_q08_a_waiter_that_re_enters_goes_to_the_top(interruption: tuple[str, ...]) -> None:
    """Q-08: out of the wait and back into it counts as the latest parking."""
    world = World(P=3)
    for thread in ("T1", "T2", "T3"):
        world.do(f"{thread}: get(P)")
    for action in interruption:
        world.do(action)
    assert world.columns().waiters == "T2 T3 T1"
    assert world.do("post a") == "handed straight to T1 (previous depth 0)"


def test_q09_a_packet_at_the_head_leaves_first() -> None:
    """Q-09: inserted at the head it goes before all others; with a waiter and a free slot it is a hand-off."""
    world = World(P=2)
    world.do("post a")
    world.step("post z at head", "queued (previous depth 1)", "0/2", "-", "-", "z a")
    assert world.do("T1: get(P, n=2)") == "T1 gets z+a"
    world.step("T2: get(P)", "T2 parks", "1/2", "T1", "T2")
    world.step("post y at head", "handed straight to T2 (previous depth 0)", "2/2", "T1,T2")


# -- inserting -------------------------------------------------------------------------------------------------


def test_q10_below_the_limit_the_top_waiter_gets_this_packet() -> None:
    """Q-10: a waiter and a free slot: the inserted packet itself goes to the top waiter, who is counted."""
    world = World(P=2)
    world.do("T1: get(P)")
    world.do("T2: get(P)")
    world.step("post a", "handed straight to T2 (previous depth 0)", "1/2", "T2", "T1")
    assert world["T2"].state is ThreadState.RUNNABLE


def test_q10_at_the_limit_a_waiter_is_left_alone() -> None:
    """Q-10: a post does not always wake a waiter: only below the limit."""
    world = World(P=1)
    world.do("T1: get(P)")
    world.do("T2: get(P)")
    world.do("post a")
    world.step("post b", "queued (previous depth 0)", "1/1", "T2", "T1", "b")
    world.step("post c", "queued (previous depth 1)", "1/1", "T2", "T1", "b c")


def test_q10_without_a_waiter_the_packet_is_queued() -> None:
    """Q-10: with slots free but nobody parked it is appended, and prepended where the head is meant."""
    world = World(P=2)
    world.step("post a", "queued (previous depth 0)", "0/2", "-", "-", "a")
    world.step("post b", "queued (previous depth 1)", "0/2", "-", "-", "a b")
    world.step("post c at head", "queued (previous depth 2)", "0/2", "-", "-", "c a b")


def test_q10_a_hand_off_stops_the_timer() -> None:
    """Q-10: the waiter that got the packet no longer has a timeout to pass."""
    world = World()
    port = world.ports["P"]
    world.do("T1: get(P)")
    world.kernel.post(port, posted("a"))
    assert not world.kernel.expire(world["T1"])
    assert world.collect() == [("T1", [posted("a")])]


@pytest.mark.parametrize("profile", [WIN10, WIN7, XP, CLASSIC], ids=lambda profile: profile.name)
def test_q10_every_windows_enforces_the_limit(profile: Profile) -> None:
    """Q-10: K-05's decisive row in each profile that counts."""
    world = World(profile=profile)
    world.do_all("T1: get(P)", "T2: get(P)", "post a")
    world.step("post b", "queued (previous depth 0)", "1/1", "T2", "T1", "b")


@pytest.mark.parametrize("profile", [WINE, WINE_OLD], ids=lambda profile: profile.name)
def test_q10_wine_ignores_the_limit(profile: Profile) -> None:
    """Q-10: in Wine every post wakes a waiter while there is one; the value given is still what is reported."""
    world = World(profile=profile)
    world.do_all("T1: get(P)", "T2: get(P)", "post a")
    assert world.do("post b").startswith("handed straight to")
    assert world.ports["P"].concurrency == 1


def test_q16_who_posts_makes_no_difference() -> None:
    """Q-16: the same state, the same post by a stranger, a member, nobody: the same outcome."""
    outcomes = set()
    for action in ("post a", "T2: post a", "T9: post a"):
        world = World(P=2)
        world.do_all("T2: get(P)", "post x", "T1: get(P)")
        outcomes.add((world.do(action), world.columns()))
    assert outcomes == {("handed straight to T1 (previous depth 0)", ("2/2", "T2,T1", "-", "-"))}


def test_q16_at_limit_one_own_posts_always_queue() -> None:
    """Q-16: the poster itself occupies the only slot."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "post x")
    world.step("T2: post a", "queued (previous depth 0)", "1/1", "T2", "T1", "a")
    world.step("T2: get(P)", "T2 gets a", "1/1", "T2", "T1")


def test_q16_a_dequeue_without_waiting_leaves_no_trace_on_later_posts() -> None:
    """Q-16: the stale wait reason of ReactOS is not emulated: the own post goes to the idle waiter at once."""
    world = World(P=2)
    world.step("post x", "queued (previous depth 0)", "0/2", "-", "-", "x")
    world.step("T2: get(P)", "T2 gets x", "1/2", "T2")
    world.step("T1: get(P)", "T1 parks", "1/2", "T2", "T1")
    world.step("T2: post a", "handed straight to T1 (previous depth 0)", "2/2", "T2,T1")


def test_q18_what_a_kernel_apc_inserts_is_left_for_its_thread() -> None:
    """Q-18: not the top waiter but the interrupted thread takes it, though both wait and slots are free."""
    world = World(P=3)
    for thread in ("T1", "T2", "T3"):
        world.do(f"{thread}: get(P)")
    world.step("a kernel APC in parked T1 itself inserts a on P", "T1 gets a", "1/3", "T1", "T2 T3")


def test_q18_the_packet_is_always_queued_and_the_depth_before_is_returned() -> None:
    """Q-18: during the APC the packet is in the queue, the thread counted and off the waiters."""
    world = World(P=3)
    port = world.ports["P"]
    for thread in ("T1", "T2"):
        world.do(f"{thread}: get(P)")
    seen: list[Any] = []

    def insert_two() -> None:
        seen.extend(port.set(posted(name), interrupted=world["T1"]) for name in "ab")
        seen.append(world.columns())

    assert world.kernel_apc("T1", insert_two) == "T1 gets a; side effect: T2 gets b"
    assert seen == [0, 1, ("1/3", "T1", "T2", "a b")]
    assert world.columns() == ("2/3", "T1,T2", "-", "-")


def test_q18_the_thread_takes_the_oldest_packet() -> None:
    """Q-18: normally its own; but one that was already queued at the limit comes first when a slot is free by then."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P, timeout=0)", "post x")

    def insert_and_free_the_slot() -> None:
        assert world.ports["P"].set(posted("a"), interrupted=world["T1"]) == 1
        world.kernel.block(world["T2"])

    assert world.kernel_apc("T1", insert_and_free_the_slot) == "T1 gets x"
    assert world.columns() == ("1/1", "T1", "-", "a")


def test_q18_at_the_limit_the_thread_parks_again_and_the_packet_stays() -> None:
    """Q-18: the exemption takes nothing beyond the limit."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "post x")
    world.step("a kernel APC in parked T1 itself inserts a on P", "T1 re-parks", "1/1", "T2", "T1", "a")


def test_q18_only_the_own_queue_is_exempt() -> None:
    """Q-18: a kernel APC that interrupts parking on R and inserts on P hands over as any other insert."""
    world = World(P=1, R=1)
    world.do("T1: get(R)")
    world.do("T2: get(P)")
    outcome = world.do("a kernel APC in parked T1 itself inserts a on P")
    assert outcome == "T1 re-parks; side effect: T2 gets a"


def test_q38_the_insert_returns_the_depth_before() -> None:
    """Q-38: 0 both for the first queued packet and for a hand-off, then the number already queued."""
    kernel = Kernel()
    port = kernel.create_port(1)
    port.reference()
    assert [kernel.post(port, posted(name)) for name in "abc"] == [0, 1, 2]
    assert port.queue.insert(posted("z"), Place.HEAD) == 3
    world = World()
    world.do("T1: get(P)")
    assert world.do("post a") == "handed straight to T1 (previous depth 0)"


# -- removing --------------------------------------------------------------------------------------------------


def test_q11_the_old_port_is_left_before_the_new_one_is_looked_at() -> None:
    """Q-11: step 1: whatever the call on R brings, the slot on P is free, and a waiter there is released."""
    for action, outcome in (
        ("T1: get(R, timeout=0)", "T1 returns TIMEOUT"),
        ("T1: get(R)", "T1 parks"),
    ):
        world = World(P=1, R=1)
        world.do_all("T2: get(P)", "T1: get(P)", "post a to P", "post b to P")
        assert world.do(action) == f"{outcome}; side effect: T2 gets b"


def test_q11_a_returning_caller_gives_up_its_slot_without_a_release() -> None:
    """Q-11: step 1: at the limit with a packet and a waiter, the returning caller frees the slot for itself."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "post a", "post b")
    world.step("T2: get(P)", "T2 gets b", "1/1", "T2", "T1")


@pytest.mark.parametrize(
    ("queued", "pending_apc", "timeout", "outcome"),
    [
        (True, True, DUE, "T1 gets a"),
        (True, False, LATER, "T1 gets a"),
        (False, True, DUE, "T1 returns USER_APC"),
        (False, True, LATER, "T1 returns USER_APC"),
        (False, False, DUE, "T1 returns TIMEOUT"),
        (False, False, LATER, "T1 parks"),
    ],
)
def test_q11_packet_then_apc_then_timeout_then_park(
    queued: bool, pending_apc: bool, timeout: Timeout, outcome: str
) -> None:
    """Q-11: steps 2, 4, 5 and 6 in this order, for an alertable caller that is associated already."""
    world = World(P=1)
    world.do("T1: get(P, timeout=0)")
    if queued:
        world.do("post a")
    if pending_apc:
        world.do("QueueUserAPC to T1")
    assert world.get("T1", timeout=timeout, alertability=ALERTABLE) == outcome
    assert world.columns().counts == ("0/1" if outcome == "T1 parks" else "1/1")


def test_q11_a_parked_caller_is_on_top() -> None:
    """Q-11: step 6."""
    world = World(P=3)
    world.do("T1: get(P)")
    world.step("T2: get(P)", "T2 parks", "0/3", "-", "T1 T2")


def test_q12_parking_for_the_first_time_changes_no_count() -> None:
    """Q-12: the thread was never counted, so nothing is taken from the count, at the limit or not."""
    world = World(P=2)
    world.step("T1: get(P)", "T1 parks", "0/2", "-", "T1")
    world.do("post a")
    world.step("T2: get(P)", "T2 parks", "1/2", "T1", "T2")


@pytest.mark.parametrize(
    ("call", "outcome", "after"),
    [
        ("T2: get(P)", "T2 parks", ("1/1", "T1", "T2", "b")),
        ("T2: get(P, timeout=0)", "T2 returns TIMEOUT", ("2/1", "T1,T2", "-", "b")),
        ("T2: get(P, n=8)", "T2 parks", ("1/1", "T1", "T2", "b")),
    ],
)
def test_q13_a_stranger_gets_nothing_at_the_limit(call: str, outcome: str, after: tuple[str, ...]) -> None:
    """Q-13: though a packet is queued, the uncounted caller parks or times out."""
    world = World(P=1)
    world.do_all("post a", "T1: get(P)", "post b")
    assert (world.do(call), world.columns()) == (outcome, after)


def test_q14_a_returning_worker_has_first_refusal() -> None:
    """Q-14: it takes every queued packet before any of the parked waiters is looked at."""
    world = World(P=1)
    world.do_all("T1: get(P)", "T2: get(P)", "post a", "post b", "post c", "post d")
    assert [world.do("T2: get(P)") for _ in "bcd"] == ["T2 gets b", "T2 gets c", "T2 gets d"]
    assert world.columns() == ("1/1", "T2", "T1", "-")


def test_q15_dequeuing_elsewhere_leaves_the_old_port_at_once() -> None:
    """Q-15: off its list, count down, one waiter released there with the oldest packet."""
    world = World(P=1, R=1)
    world.do_all("T2: get(P)", "T1: get(P)", "post a to P", "post b to P", "post c to P")
    world.step(
        "T1: get(R)", "T1 parks; side effect: T2 gets b", "P: 1/1 ; R: 0/1", "T2 ; -", "- ; T1", "c ; -"
    )
    assert world["T1"] not in world.ports["P"].queue.members
    assert world["T1"].queue is world.ports["R"].queue


def test_q15_at_the_limit_nobody_is_released_on_the_old_port() -> None:
    """Q-15: the release step obeys the limit there too."""
    world = World(P=1, R=1)
    world.do_all("T2: get(P)", "T1: get(P)", "post a to P", "T3: get(P, timeout=0)", "post b to P")
    world.step("T1: get(R)", "T1 parks", "P: 1/1 ; R: 0/1", "T3 ; -", "T2 ; T1", "b ; -")


@pytest.mark.parametrize(("n", "taken"), [(1, "a"), (2, "a+b"), (3, "a+b+c"), (8, "a+b+c")])
def test_q19_a_batch_takes_what_is_there_and_counts_once(n: int, taken: str) -> None:
    """Q-19: min(n, depth) packets in one go, one thread counted."""
    world = World(P=2)
    for name in "abc":
        world.do(f"post {name}")
    assert world.get("T1", n=n) == f"T1 gets {taken}"
    assert world.columns().counts == "1/2"


def test_q19_a_parked_batch_caller_is_woken_by_one_packet() -> None:
    """Q-19: the packet that releases it is enough."""
    world = World(P=2)
    world.step("T1: get(P, n=8)", "T1 parks", "0/2", "-", "T1")
    world.step("post a", "handed straight to T1 (previous depth 0)", "1/2", "T1")


def batch_caller_behind_three_packets(profile: Profile, n: int) -> World:
    """T1 is parked with room for `n` at limit 1, three packets are queued, and T2 is about to block."""
    world = World(P=1, profile=profile)
    world.do("T2: get(P, timeout=0)")
    world.do(f"T1: get(P, n={n})")
    for name in "abc":
        world.do(f"post {name}")
    return world


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("n", [1, 2, 8])
def test_q19_a_parked_batch_caller_gets_one_to_n(n: int, sweep: bool) -> None:
    """Q-19: whether it sweeps up more than the packet that released it is a switch; never more than n, in order."""
    world = batch_caller_behind_three_packets(replace(WIN10, name="swept", sweep_on_wake=sweep), n)
    taken = min(n, 3) if sweep else 1
    assert world.do("T2 blocks on something else").endswith(f"T1 gets {'+'.join('abc'[:taken])}")
    assert world.columns() == ("1/1", "T1", "-", " ".join("abc"[taken:]) or "-")


def test_q19_by_default_there_is_no_sweep() -> None:
    """Q-19: one packet is the default of every preset."""
    assert not any(profile.sweep_on_wake for profile in (WIN10, WIN7, XP, CLASSIC, WINE, WINE_OLD))


def test_q30_a_zero_timeout_never_parks_but_associates_and_counts() -> None:
    """Q-30: the poller is runnable and associated from then on, and occupies a slot."""
    world = World(P=1)
    world.step("T1: get(P, timeout=0)", "T1 returns TIMEOUT", "1/1", "T1")
    assert world["T1"].queue is world.ports["P"].queue
    world.step("T2: get(P)", "T2 parks", "1/1", "T1", "T2")
    world.step("post a", "queued (previous depth 0)", "1/1", "T1", "T2", "a")


def test_q31_for_an_associated_caller_a_packet_wins_over_the_apc() -> None:
    """Q-31: and over a timeout that has already passed; the APC stays pending for the next call."""
    world = World(P=2)
    world.do_all("T1: get(P, timeout=0)", "QueueUserAPC to T1", "post a")
    assert world.do("T1: get(P, timeout=0, alertable)") == "T1 gets a"
    assert world.apcs_run == []
    assert world.do("T1: get(P, timeout=0, alertable)") == "T1 returns USER_APC"
    assert world.apcs_run == ["T1"]
    assert world.do("T1: get(P, timeout=0, alertable)") == "T1 returns TIMEOUT"


def test_q31_a_packet_that_cannot_be_taken_does_not_win() -> None:
    """Q-31: at the limit the packet is not takeable, so the APC ends the call."""
    world = World(P=1)
    world.do_all("T1: get(P, timeout=0)", "T2: get(P, timeout=0)", "QueueUserAPC to T1", "post a")
    world.step("T1: get(P, timeout=0, alertable)", "T1 returns USER_APC", "2/1", "T1,T2", "-", "a")


def test_q32_an_excess_drains_by_parking_on_a_non_empty_queue() -> None:
    """Q-32: a caller whose own departure still leaves the count at the limit parks, packets or not."""
    world = World(P=1)
    world.do_all("T1: get(P, timeout=0)", "T2: get(P, timeout=0)", "T3: get(P, timeout=0)", "post a")
    assert world.columns() == ("3/1", "T1,T2,T3", "-", "a")
    world.step("T1: get(P)", "T1 parks", "2/1", "T2,T3", "T1", "a")
    world.step("T2: get(P)", "T2 parks", "1/1", "T3", "T1 T2", "a")
    world.step("T3: get(P)", "T3 gets a", "1/1", "T3", "T1 T2")


def test_q33_the_timer_first() -> None:
    """Q-33: the waiter is gone and counted, so the later insert queues its packet."""
    world = World(P=1)
    world.do("T1: get(P)")
    world.step("T1's timeout elapses", "T1 returns TIMEOUT", "1/1", "T1")
    world.step("post a", "queued (previous depth 0)", "1/1", "T1", "-", "a")


def test_q33_the_insert_first() -> None:
    """Q-33: the packet is the result; the timer that comes too late changes nothing, and nothing comes twice."""
    world = World(P=1)
    kernel, thread = world.kernel, world["T1"]
    world.do("T1: get(P)")
    kernel.post(world.ports["P"], posted("a"))
    assert kernel.expire(thread) is False
    assert world.collect() == [("T1", [posted("a")])]
    assert kernel.expire(thread) is False
    assert world.ports["P"].queue.expire(thread) is False
    assert world.collect() == []
    assert world.columns() == ("1/1", "T1", "-", "-")


# -- other kernel rules ----------------------------------------------------------------------------------------


def test_q34_rundown_empties_the_queue_and_clears_every_association() -> None:
    """Q-34: packets gone, waiters abandoned, members' pointers cleared, nobody counted."""
    world = World(P=1)
    port = world.ports["P"]
    world.do_all("T1: get(P)", "T2: get(P)", "post a", "post b", "T3: get(P, timeout=0)")
    world.do("T3 blocks on something else")
    assert world.do("last handle of P closed") == "T1 return ABANDONED; queued b can no longer be dequeued"
    assert (list(port.queue.packets), list(port.queue.waiters), list(port.queue.members)) == ([], [], [])
    assert port.queue.current_count == 0
    assert [world[name].queue for name in ("T1", "T2", "T3")] == [None] * 3
    world.do("T3's other wait is satisfied")
    assert port.queue.current_count == 0


def test_q34_the_waiters_are_abandoned_top_first() -> None:
    """Q-34: in which order is not specified (O-21); here the latest to park goes on first [CHOICE]."""
    world = World(P=3)
    world.do_all("T1: get(P)", "T2: get(P)", "T3: get(P)")
    world.process.handles.close(world.handles["P"])
    assert world.collect() == [(name, RemoveOutcome.ABANDONED) for name in ("T3", "T2", "T1")]


def test_q34_a_suspended_waiter_learns_of_the_rundown_when_it_is_resumed() -> None:
    """Q-34: its call ends with ABANDONED like that of every other waiter, but not before it may run."""
    world = World(P=1)
    world.do("T1: get(P)")
    world.do("SuspendThread(T1)")
    assert world.do("last handle of P closed") == "closed"
    assert world["T1"].queue is None
    assert world.do("ResumeThread(T1)") == "T1 returns ABANDONED"


def test_q35_every_packet_is_delivered_once_or_dropped() -> None:
    """Q-35: by hand-off, release, pick-up, batch or not at all: each of the seven packets ends in one place."""
    world = World(P=1)
    outcomes = [
        world.do(action)
        for action in (
            "T1: get(P)", "T2: get(P)", "post a", "post b", "T2 blocks on something else", "post c", "post d",
            "post e", "T1: get(P)", "T1: get(P, n=2)", "post f", "post g", "T2's other wait is satisfied",
            "T2: get(P)", "T1: get(P, timeout=0)", "last handle of P closed",
        )
    ]  # fmt: skip
    assert outcomes[2] == "handed straight to T2 (previous depth 0)"
    assert outcomes[4].endswith("T1 gets b")
    assert outcomes[8:10] == ["T1 gets c", "T1 gets d+e"]
    assert outcomes[13:] == ["T2 parks", "T1 gets f", "T2 return ABANDONED; queued g can no longer be dequeued"]
    assert world.ports["P"].dropped == 1


def test_q35_an_undone_delivery_comes_back_in_its_place() -> None:
    """Q-35: packets of a call that could not return are the oldest again, in order, and offered to a waiter."""
    world = World(P=2)
    kernel, port = world.kernel, world.ports["P"]
    for name in "abc":
        world.do(f"post {name}")
    taken = kernel.remove(world["T1"], port, 2)
    assert isinstance(taken, list)
    kernel.put_back(port, taken)
    assert world.columns() == ("1/2", "T1", "-", "a b c")
    world.do("T1: get(P, n=3)")
    world.do("T2: get(P)")
    kernel.put_back(port, [posted("a"), posted("b")])
    assert world.collect() == [("T2", [posted("a")])]
    assert world.columns() == ("2/2", "T1,T2", "-", "b")


class PriorityThread(KernelThread):
    """A thread with a priority, which the kernel has no use for."""

    __slots__ = ("priority",)
    priority: int


def test_q36_priority_plays_no_part() -> None:
    """Q-36: the thread that parked last is released first though its priority is the lowest."""
    world = World(P=3)
    for name, priority in (("high", 15), ("normal", 8), ("low", 1)):
        thread = PriorityThread(world.kernel, world.process, name)
        thread.priority = priority
        world.threads[name] = thread
        world.do(f"{name}: get(P)")
    assert [world.do(f"post {name}") for name in "abc"] == [
        f"handed straight to {name} (previous depth 0)" for name in ("low", "normal", "high")
    ]


# -- the queue without an object around it ---------------------------------------------------------------------


def test_a_queue_needs_no_owner() -> None:
    """H-02: without an owner there is nothing to keep alive; parking, exit and rundown work all the same."""
    kernel = Kernel()
    process = kernel.create_process()
    first, second, third, fourth = (kernel.create_thread(process, name) for name in ("T1", "T2", "T3", "T4"))
    queue: KernelQueue[Packet] = KernelQueue(1)
    for thread in (first, second, third, fourth):
        assert queue.remove(thread) is None
        with pytest.raises(NtError):
            queue.remove(thread)
    assert queue.insert(posted("a")) == 0
    assert kernel.collect(fourth) == [posted("a")]
    kernel.exit_thread(third)
    kernel.suspend(second)
    assert queue.run_down() == []
    assert kernel.collect(first) is RemoveOutcome.ABANDONED
    kernel.resume(second)
    assert kernel.collect(second) is RemoveOutcome.ABANDONED


def test_discard_takes_one_packet_out_of_the_middle() -> None:
    """X-06: the packet of this source and no other; False when it is not queued."""
    kernel = Kernel()
    port = kernel.create_port(1)
    port.reference()
    packets = [Packet("k", None, 0, 0, PacketSource()) for _ in range(4)]
    for packet in packets:
        kernel.post(port, packet)
    assert port.queue.holds(packets[2])
    assert port.queue.discard(packets[2])
    assert not port.queue.holds(packets[2])
    assert not port.queue.discard(packets[2])
    assert [packet.source for packet in port.queue.packets] == [packets[n].source for n in (0, 1, 3)]


class Incomparable:
    """A key that must not be looked at."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("an opaque value was compared")

    __hash__ = None  # type: ignore[assignment]


def test_n01_nothing_ever_compares_the_opaque_values() -> None:
    """N-01: not even the removal from the middle of the queue (X-06) interprets key or overlapped of any packet."""
    kernel = Kernel()
    port = kernel.create_port(1)
    port.reference()
    mine = Packet(Incomparable(), Incomparable(), 0, 0, PacketSource())
    for packet in (Packet(Incomparable(), Incomparable(), 0, 0, None), mine):
        kernel.post(port, packet)
    assert port.queue.holds(mine)
    assert port.queue.discard(mine)
    assert not port.queue.discard(mine)
    assert port.depth == 1


def test_o03_the_verbs_of_the_driver_need_only_modify_state() -> None:
    """O-03: a handle with MODIFY_STATE alone is enough to post and to dequeue."""
    world = World()
    world.handles["P"] = world.process.handles.open(world.ports["P"], Access.MODIFY_STATE)
    world.do("post a")
    assert world.do("T1: get(P)") == "T1 gets a"
