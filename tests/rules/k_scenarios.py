"""The queue scenarios K-01 to K-36 of semantics.md 12.2 as data: 37 tables, with every column of every row.

A line is a row: action | outcome | Count/Max | runnable | waiters, bottom to top | queue, oldest to newest.  An empty
cell is `-`; two ports stand as `of the first ; of the second`.  `tests/rules/world.py` knows the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Step(NamedTuple):
    """One row of a table."""

    action: str
    outcome: str
    counts: str
    runnable: str
    waiters: str
    queue: str


@dataclass(frozen=True)
class Scenario:
    """One scenario: `rules` are the ids that it shows, `limits` the concurrency values that its ports are made with."""

    id: str
    title: str
    rules: str
    table: str
    limits: Mapping[str, int]
    processors: int = 1

    @property
    def steps(self) -> tuple[Step, ...]:
        """The rows of the table."""
        lines = self.table.strip().splitlines()
        return tuple(Step(*(cell.strip() for cell in line.split("|"))) for line in lines)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "K-01",
        "first call on an empty port parks and is never counted",
        "Q-12, Q-20, Q-21",
        limits={"P": 1},
        table="""
    T1: get(P) | T1 parks | 0/1 | - | T1 | -
        """,
    ),
    Scenario(
        "K-02",
        "post to a parked waiter is a direct hand-off; depth never rises",
        "Q-10, Q-22",
        limits={"P": 1},
        table="""
    T1: get(P) | T1 parks                                 | 0/1 | -  | T1 | -
    post a     | handed straight to T1 (previous depth 0) | 1/1 | T1 | -  | -
        """,
    ),
    Scenario(
        "K-03",
        "post with nobody waiting queues; a first call then takes it without parking",
        "Q-10, Q-11, Q-21",
        limits={"P": 1},
        table="""
    post a     | queued (previous depth 0) | 0/1 | -  | - | a
    T1: get(P) | T1 gets a                 | 1/1 | T1 | - | -
        """,
    ),
    Scenario(
        "K-04",
        "LIFO waiters, FIFO packets, limit not in play",
        "Q-06, Q-07, Q-10",
        limits={"P": 3},
        table="""
    T1: get(P) | T1 parks                                 | 0/3 | -        | T1       | -
    T2: get(P) | T2 parks                                 | 0/3 | -        | T1 T2    | -
    T3: get(P) | T3 parks                                 | 0/3 | -        | T1 T2 T3 | -
    post a     | handed straight to T3 (previous depth 0) | 1/3 | T3       | T1 T2    | -
    post b     | handed straight to T2 (previous depth 0) | 2/3 | T2,T3    | T1       | -
    post c     | handed straight to T1 (previous depth 0) | 3/3 | T1,T2,T3 | -        | -
        """,
    ),
    Scenario(
        "K-05",
        "the seed document's scenario without a context switch",
        "Q-10, Q-11, Q-14, A-05",
        limits={"P": 1},
        table="""
    T1: get(P) | T1 parks                                 | 0/1 | -  | T1       | -
    T2: get(P) | T2 parks                                 | 0/1 | -  | T1 T2    | -
    T3: get(P) | T3 parks                                 | 0/1 | -  | T1 T2 T3 | -
    post a     | handed straight to T3 (previous depth 0) | 1/1 | T3 | T1 T2    | -
    post b     | queued (previous depth 0)                | 1/1 | T3 | T1 T2    | b
    post c     | queued (previous depth 1)                | 1/1 | T3 | T1 T2    | b c
    T3: get(P) | T3 gets b                                | 1/1 | T3 | T1 T2    | c
    T3: get(P) | T3 gets c                                | 1/1 | T3 | T1 T2    | -
        """,
    ),
    Scenario(
        "K-06",
        "a first-time caller parks although packets are queued (limit reached)",
        "Q-11, Q-13",
        limits={"P": 1},
        table="""
    post a     | queued (previous depth 0) | 0/1 | -  | -  | a
    post b     | queued (previous depth 1) | 0/1 | -  | -  | a b
    T1: get(P) | T1 gets a                 | 1/1 | T1 | -  | b
    T2: get(P) | T2 parks                  | 1/1 | T1 | T2 | b
    T1: get(P) | T1 gets b                 | 1/1 | T1 | T2 | -
        """,
    ),
    Scenario(
        "K-07",
        "zero timeout at the limit: TIMEOUT with a non-empty queue, and the poller is now counted",
        "Q-13, Q-24, Q-30",
        limits={"P": 1},
        table="""
    post a                | queued (previous depth 0) | 0/1 | -     | - | a
    post b                | queued (previous depth 1) | 0/1 | -     | - | a b
    T1: get(P)            | T1 gets a                 | 1/1 | T1    | - | b
    T2: get(P, timeout=0) | T2 returns TIMEOUT        | 2/1 | T1,T2 | - | b
        """,
    ),
    Scenario(
        "K-08",
        "a stranger's poll can make the regular worker park on a non-empty queue",
        "Q-24, Q-30, Q-32",
        limits={"P": 1},
        table="""
    post a                      | queued (previous depth 0)                | 0/1 | -     | -  | a
    post b                      | queued (previous depth 1)                | 0/1 | -     | -  | a b
    T1: get(P)                  | T1 gets a                                | 1/1 | T1    | -  | b
    T2: get(P, timeout=0)       | T2 returns TIMEOUT                       | 2/1 | T1,T2 | -  | b
    T1: get(P)                  | T1 parks                                 | 1/1 | T2    | T1 | b
    T2 blocks on something else | T2 stops running; side effect: T1 gets b | 1/1 | T1    | -  | -
        """,
    ),
    Scenario(
        "K-09",
        "blocking elsewhere releases exactly one waiter with the oldest packet",
        "Q-23, Q-25",
        limits={"P": 1},
        table="""
    T1: get(P)                  | T1 parks                                 | 0/1 | -  | T1       | -
    T2: get(P)                  | T2 parks                                 | 0/1 | -  | T1 T2    | -
    T3: get(P)                  | T3 parks                                 | 0/1 | -  | T1 T2 T3 | -
    post a                      | handed straight to T3 (previous depth 0) | 1/1 | T3 | T1 T2    | -
    post b                      | queued (previous depth 0)                | 1/1 | T3 | T1 T2    | b
    post c                      | queued (previous depth 1)                | 1/1 | T3 | T1 T2    | b c
    T3 blocks on something else | T3 stops running; side effect: T2 gets b | 1/1 | T2 | T1       | c
        """,
    ),
    Scenario(
        "K-10",
        "the count exceeds the limit on unblock and drains by parking",
        "Q-26, Q-27, Q-32",
        limits={"P": 1},
        table="""
    T1: get(P)                   | T1 parks                                 | 0/1 | -     | T1    | -
    T2: get(P)                   | T2 parks                                 | 0/1 | -     | T1 T2 | -
    post a                       | handed straight to T2 (previous depth 0) | 1/1 | T2    | T1    | -
    post b                       | queued (previous depth 0)                | 1/1 | T2    | T1    | b
    post c                       | queued (previous depth 1)                | 1/1 | T2    | T1    | b c
    T2 blocks on something else  | T2 stops running; side effect: T1 gets b | 1/1 | T1    | -     | c
    T2's other wait is satisfied | T2 runs again                            | 2/1 | T1,T2 | -     | c
    T1: get(P)                   | T1 parks                                 | 1/1 | T2    | T1    | c
    T2: get(P)                   | T2 gets c                                | 1/1 | T2    | T1    | -
        """,
    ),
    Scenario(
        "K-11",
        "while above the limit, blocking or exiting releases nobody",
        "Q-25, Q-26, Q-28",
        limits={"P": 1},
        table="""
    T1: get(P)                   | T1 parks                                 | 0/1 | -     | T1       | -
    T2: get(P)                   | T2 parks                                 | 0/1 | -     | T1 T2    | -
    T3: get(P)                   | T3 parks                                 | 0/1 | -     | T1 T2 T3 | -
    post a                       | handed straight to T3 (previous depth 0) | 1/1 | T3    | T1 T2    | -
    post b                       | queued (previous depth 0)                | 1/1 | T3    | T1 T2    | b
    post c                       | queued (previous depth 1)                | 1/1 | T3    | T1 T2    | b c
    T3 blocks on something else  | T3 stops running; side effect: T2 gets b | 1/1 | T2    | T1       | c
    T3's other wait is satisfied | T3 runs again                            | 2/1 | T2,T3 | T1       | c
    T3 blocks on something else  | T3 stops running                         | 1/1 | T2    | T1       | c
    T3's other wait is satisfied | T3 runs again                            | 2/1 | T2,T3 | T1       | c
    T2 exits                     | T2 is gone                               | 1/1 | T3    | T1       | c
    T3: get(P)                   | T3 gets c                                | 1/1 | T3    | T1       | -
        """,
    ),
    Scenario(
        "K-12",
        "excess of two drains one thread at a time",
        "Q-26, Q-27",
        limits={"P": 1},
        table="""
    T1: get(P)                   | T1 parks                                 | 0/1 | -        | T1       | -
    T2: get(P)                   | T2 parks                                 | 0/1 | -        | T1 T2    | -
    T3: get(P)                   | T3 parks                                 | 0/1 | -        | T1 T2 T3 | -
    post a                       | handed straight to T3 (previous depth 0) | 1/1 | T3       | T1 T2    | -
    T3 blocks on something else  | T3 stops running                         | 0/1 | -        | T1 T2    | -
    post b                       | handed straight to T2 (previous depth 0) | 1/1 | T2       | T1       | -
    T2 blocks on something else  | T2 stops running                         | 0/1 | -        | T1       | -
    post c                       | handed straight to T1 (previous depth 0) | 1/1 | T1       | -        | -
    T3's other wait is satisfied | T3 runs again                            | 2/1 | T1,T3    | -        | -
    T2's other wait is satisfied | T2 runs again                            | 3/1 | T1,T2,T3 | -        | -
    post d                       | queued (previous depth 0)                | 3/1 | T1,T2,T3 | -        | d
    T1: get(P)                   | T1 parks                                 | 2/1 | T2,T3    | T1       | d
    T2: get(P)                   | T2 parks                                 | 1/1 | T3       | T1 T2    | d
    T3: get(P)                   | T3 gets d                                | 1/1 | T3       | T1 T2    | -
        """,
    ),
    Scenario(
        "K-13",
        "block with an empty queue releases nobody; the freed slot is used by the next post",
        "Q-23, Q-25, Q-10",
        limits={"P": 1},
        table="""
    T1: get(P)                  | T1 parks                                 | 0/1 | -  | T1    | -
    T2: get(P)                  | T2 parks                                 | 0/1 | -  | T1 T2 | -
    post a                      | handed straight to T2 (previous depth 0) | 1/1 | T2 | T1    | -
    T2 blocks on something else | T2 stops running                         | 0/1 | -  | T1    | -
    post b                      | handed straight to T1 (previous depth 0) | 1/1 | T1 | -     | -
        """,
    ),
    Scenario(
        "K-14",
        "operations that do not park do not move the count",
        "Q-29",
        limits={"P": 1},
        table="""
    T2: get(P)                           | T2 parks                  | 0/1 | -     | T2 | -
    post a                               | handed straight to T2 (previous depth 0) | 1/1 | T2    | -  | -
    T1: get(P, timeout=0)                | T1 returns TIMEOUT        | 2/1 | T2,T1 | -  | -
    T2: WaitForSingleObject on an already signalled event | no effect on the port     | 2/1 | T2,T1 | -  | -
    T2: Sleep(0) / SwitchToThread        | no effect on the port     | 2/1 | T2,T1 | -  | -
    T2 is preempted (Ready, not Running) | no effect on the port     | 2/1 | T2,T1 | -  | -
    T2: spins for a second               | no effect on the port     | 2/1 | T2,T1 | -  | -
    post b                               | queued (previous depth 0) | 2/1 | T2,T1 | -  | b
        """,
    ),
    Scenario(
        "K-15",
        "a timed-out waiter counts as active and can push the count over the limit",
        "Q-24, Q-26, Q-30",
        limits={"P": 1},
        table="""
    T1: get(P)           | T1 parks                                 | 0/1 | -     | T1    | -
    T2: get(P)           | T2 parks                                 | 0/1 | -     | T1 T2 | -
    post a               | handed straight to T2 (previous depth 0) | 1/1 | T2    | T1    | -
    T1's timeout elapses | T1 returns TIMEOUT                       | 2/1 | T1,T2 | -     | -
    post b               | queued (previous depth 0)                | 2/1 | T1,T2 | -     | b
    T1 exits             | T1 is gone                               | 1/1 | T2    | -     | b
    T2: get(P)           | T2 gets b                                | 1/1 | T2    | -     | -
        """,
    ),
    Scenario(
        "K-16",
        "a timed-out thread that holds no packet still occupies the only slot",
        "Q-24, Q-30",
        limits={"P": 1},
        table="""
    T1: get(P)                  | T1 parks                                 | 0/1 | -  | T1 | -
    T1's timeout elapses        | T1 returns TIMEOUT                       | 1/1 | T1 | -  | -
    T2: get(P)                  | T2 parks                                 | 1/1 | T1 | T2 | -
    post a                      | queued (previous depth 0)                | 1/1 | T1 | T2 | a
    T1 blocks on something else | T1 stops running; side effect: T2 gets a | 1/1 | T2 | -  | -
        """,
    ),
    Scenario(
        "K-17",
        "user APC wakes an alertable waiter; it is counted like a timeout",
        "Q-24, Q-31, G-12",
        limits={"P": 1},
        table="""
    T1: get(P)            | T1 parks                  | 0/1 | -  | T1    | -
    T2: get(P, alertable) | T2 parks                  | 0/1 | -  | T1 T2 | -
    QueueUserAPC to T2    | T2 returns USER_APC       | 1/1 | T2 | T1    | -
    post a                | queued (previous depth 0) | 1/1 | T2 | T1    | a
    T2: get(P, timeout=0) | T2 gets a                 | 1/1 | T2 | T1    | -
        """,
    ),
    Scenario(
        "K-18",
        "thread already associated: a queued packet beats a pending user APC",
        "Q-31, G-13",
        limits={"P": 2},
        table="""
    post x                           | queued (previous depth 0) | 0/2 | -  | - | x
    T1: get(P)                       | T1 gets x                 | 1/2 | T1 | - | -
    QueueUserAPC to T1               | T1 has a pending APC      | 1/2 | T1 | - | -
    post a                           | queued (previous depth 0) | 1/2 | T1 | - | a
    T1: get(P, timeout=0, alertable) | T1 gets a                 | 1/2 | T1 | - | -
    T1: get(P, timeout=0, alertable) | T1 returns USER_APC       | 1/2 | T1 | - | -
        """,
    ),
    Scenario(
        "K-19",
        "thread not associated with this port: the APC beats the packet and the association does not change",
        "G-14",
        limits={"P": 2},
        table="""
    post a                           | queued (previous depth 0) | 0/2 | -  | - | a
    QueueUserAPC to T1               | T1 has a pending APC      | 0/2 | -  | - | a
    T1: get(P, timeout=0, alertable) | T1 returns USER_APC       | 0/2 | -  | - | a
    T1: get(P, timeout=0, alertable) | T1 gets a                 | 1/2 | T1 | - | -
        """,
    ),
    Scenario(
        "K-20",
        "changing port gives up the slot on the old port at once",
        "Q-15, Q-28, A-02",
        limits={"P": 1, "R": 1},
        table="""
    T2: get(P)  | T2 parks                                 | P: 0/1 ; R: 0/1 | - ; -   | T2 ; -    | - ; -
    T1: get(P)  | T1 parks                                 | P: 0/1 ; R: 0/1 | - ; -   | T2 T1 ; - | - ; -
    post a to P | handed straight to T1 (previous depth 0) | P: 1/1 ; R: 0/1 | T1 ; -  | T2 ; -    | - ; -
    post b to P | queued (previous depth 0)                | P: 1/1 ; R: 0/1 | T1 ; -  | T2 ; -    | b ; -
    T1: get(R)  | T1 parks; side effect: T2 gets b         | P: 1/1 ; R: 0/1 | T2 ; -  | - ; T1    | - ; -
    post c to R | handed straight to T1 (previous depth 0) | P: 1/1 ; R: 1/1 | T2 ; T1 | - ; -     | - ; -
        """,
    ),
    Scenario(
        "K-21",
        "an associated, running thread's own post is handed to a parked waiter when a slot is free",
        "Q-10, Q-16",
        limits={"P": 2},
        table="""
    T2: get(P) | T2 parks                                 | 0/2 | -     | T2 | -
    post x     | handed straight to T2 (previous depth 0) | 1/2 | T2    | -  | -
    T1: get(P) | T1 parks                                 | 1/2 | T2    | T1 | -
    T2: post a | handed straight to T1 (previous depth 0) | 2/2 | T2,T1 | -  | -
        """,
    ),
    Scenario(
        "K-22",
        "at the limit, a worker's own posts queue up and it collects them itself",
        "Q-10, Q-11, Q-16",
        limits={"P": 1},
        table="""
    T1: get(P) | T1 parks                                 | 0/1 | -  | T1    | -
    T2: get(P) | T2 parks                                 | 0/1 | -  | T1 T2 | -
    post x     | handed straight to T2 (previous depth 0) | 1/1 | T2 | T1    | -
    T2: post a | queued (previous depth 0)                | 1/1 | T2 | T1    | a
    T2: post b | queued (previous depth 1)                | 1/1 | T2 | T1    | a b
    T2: get(P) | T2 gets a                                | 1/1 | T2 | T1    | b
    T2: get(P) | T2 gets b                                | 1/1 | T2 | T1    | -
        """,
    ),
    Scenario(
        "K-23",
        "thread exit releases a waiter",
        "Q-28, A-03",
        limits={"P": 1},
        table="""
    T1: get(P) | T1 parks                                 | 0/1 | -  | T1    | -
    T2: get(P) | T2 parks                                 | 0/1 | -  | T1 T2 | -
    post a     | handed straight to T2 (previous depth 0) | 1/1 | T2 | T1    | -
    post b     | queued (previous depth 0)                | 1/1 | T2 | T1    | b
    T2 exits   | T2 is gone; side effect: T1 gets b       | 1/1 | T1 | -     | -
        """,
    ),
    Scenario(
        "K-24",
        "suspending a worker frees its slot; resuming overshoots",
        "Q-23, Q-26",
        limits={"P": 1},
        table="""
    T1: get(P)        | T1 parks                                 | 0/1 | -     | T1    | -
    T2: get(P)        | T2 parks                                 | 0/1 | -     | T1 T2 | -
    post a            | handed straight to T2 (previous depth 0) | 1/1 | T2    | T1    | -
    post b            | queued (previous depth 0)                | 1/1 | T2    | T1    | b
    SuspendThread(T2) | T2 suspended; side effect: T1 gets b     | 1/1 | T1    | -     | -
    ResumeThread(T2)  | T2 runs again                            | 2/1 | T1,T2 | -     | -
    T1: get(P)        | T1 parks                                 | 1/1 | T2    | T1    | -
        """,
    ),
    Scenario(
        "K-25",
        "suspending and resuming a parked waiter moves it to the top",
        "Q-08, Q-17",
        limits={"P": 2},
        table="""
    T1: get(P)        | T1 parks                                 | 0/2 | -  | T1    | -
    T2: get(P)        | T2 parks                                 | 0/2 | -  | T1 T2 | -
    SuspendThread(T1) | T1 suspended                             | 0/2 | -  | T2    | -
    ResumeThread(T1)  | T1 re-parks on top                       | 0/2 | -  | T2 T1 | -
    post a            | handed straight to T1 (previous depth 0) | 1/2 | T1 | T2    | -
        """,
    ),
    Scenario(
        "K-26",
        "any kernel APC in a parked waiter moves it to the top",
        "Q-08, Q-17",
        limits={"P": 2},
        table="""
    T1: get(P)              | T1 parks                                 | 0/2 | -     | T1       | -
    T2: get(P)              | T2 parks                                 | 0/2 | -     | T1 T2    | -
    T3: get(P)              | T3 parks                                 | 0/2 | -     | T1 T2 T3 | -
    a kernel APC runs in T1 | T1 re-parks                              | 0/2 | -     | T2 T3 T1 | -
    post a                  | handed straight to T1 (previous depth 0) | 1/2 | T1    | T2 T3    | -
    post b                  | handed straight to T3 (previous depth 0) | 2/2 | T1,T3 | T2       | -
        """,
    ),
    Scenario(
        "K-27",
        "an insert made by a kernel APC inside a parked waiter is not handed to another waiter",
        "Q-16, Q-18",
        limits={"P": 2},
        table="""
    T1: get(P)                                      | T1 parks  | 0/2 | -  | T1    | -
    T2: get(P)                                      | T2 parks  | 0/2 | -  | T1 T2 | -
    a kernel APC in parked T1 itself inserts a on P | T1 gets a | 1/2 | T1 | T2    | -
        """,
    ),
    Scenario(
        "K-28",
        "a batch takes what is there, up to n, and counts as one thread",
        "Q-19, G-20, G-21",
        limits={"P": 2},
        table="""
    post a          | queued (previous depth 0) | 0/2 | -     | - | a
    post b          | queued (previous depth 1) | 0/2 | -     | - | a b
    post c          | queued (previous depth 2) | 0/2 | -     | - | a b c
    T1: get(P, n=2) | T1 gets a+b               | 1/2 | T1    | - | c
    T2: get(P, n=8) | T2 gets c                 | 2/2 | T1,T2 | - | -
        """,
    ),
    Scenario(
        "K-29",
        "a parked batch caller gets the single packet handed to it",
        "Q-19, G-22",
        limits={"P": 2},
        table="""
    T1: get(P, n=8) | T1 parks                                 | 0/2 | -  | T1 | -
    post a          | handed straight to T1 (previous depth 0) | 1/2 | T1 | -  | -
    post b          | queued (previous depth 0)                | 1/2 | T1 | -  | b
        """,
    ),
    Scenario(
        "K-30",
        "head insertion reorders the queue but not a hand-off (kernel only)",
        "Q-09",
        limits={"P": 1},
        table="""
    post a         | queued (previous depth 0) | 0/1 | -  | - | a
    post b         | queued (previous depth 1) | 0/1 | -  | - | a b
    post z at head | queued (previous depth 2) | 0/1 | -  | - | z a b
    T1: get(P)     | T1 gets z                 | 1/1 | T1 | - | a b
    T1: get(P)     | T1 gets a                 | 1/1 | T1 | - | b
        """,
    ),
    Scenario(
        "K-31",
        "default concurrency on a 4-processor machine",
        "Q-03, Q-10",
        processors=4,
        limits={"P": 0},
        table="""
    T1: get(P) | T1 parks                                 | 0/4 | -           | T1                | -
    T2: get(P) | T2 parks                                 | 0/4 | -           | T1 T2             | -
    T3: get(P) | T3 parks                                 | 0/4 | -           | T1 T2 T3          | -
    T4: get(P) | T4 parks                                 | 0/4 | -           | T1 T2 T3 T4       | -
    T5: get(P) | T5 parks                                 | 0/4 | -           | T1 T2 T3 T4 T5    | -
    T6: get(P) | T6 parks                                 | 0/4 | -           | T1 T2 T3 T4 T5 T6 | -
    post a     | handed straight to T6 (previous depth 0) | 1/4 | T6          | T1 T2 T3 T4 T5    | -
    post b     | handed straight to T5 (previous depth 0) | 2/4 | T5,T6       | T1 T2 T3 T4       | -
    post c     | handed straight to T4 (previous depth 0) | 3/4 | T4,T5,T6    | T1 T2 T3          | -
    post d     | handed straight to T3 (previous depth 0) | 4/4 | T3,T4,T5,T6 | T1 T2             | -
    post e     | queued (previous depth 0)                | 4/4 | T3,T4,T5,T6 | T1 T2             | e
    post f     | queued (previous depth 1)                | 4/4 | T3,T4,T5,T6 | T1 T2             | e f
    T6: get(P) | T6 gets e                                | 4/4 | T3,T4,T5,T6 | T1 T2             | f
        """,
    ),
    Scenario(
        "K-32a",
        "Wine's LIFO test explained, 2 processors: main thread is already associated",
        "Q-10, Q-13, Q-25",
        processors=2,
        limits={"P": 0},
        table="""
    post k1                    | queued (previous depth 0)                | 0/2 | -     | -     | k1
    M: get(P)                  | M gets k1                                | 1/2 | M     | -     | -
    T1: get(P)                 | T1 parks                                 | 1/2 | M     | T1    | -
    T0: get(P)                 | T0 parks                                 | 1/2 | M     | T1 T0 | -
    M: post k3                 | handed straight to T0 (previous depth 0) | 2/2 | M,T0  | T1    | -
    M: post k4                 | queued (previous depth 0)                | 2/2 | M,T0  | T1    | k4
    M: post k5                 | queued (previous depth 1)                | 2/2 | M,T0  | T1    | k4 k5
    M: get(P)                  | M gets k4                                | 2/2 | M,T0  | T1    | k5
    M blocks on something else | M stops running; side effect: T1 gets k5 | 2/2 | T1,T0 | -     | -
        """,
    ),
    Scenario(
        "K-32b",
        "the same program with 3 processors",
        "Q-10, Q-13",
        processors=3,
        limits={"P": 0},
        table="""
    post k1    | queued (previous depth 0)                | 0/3 | -       | -     | k1
    M: get(P)  | M gets k1                                | 1/3 | M       | -     | -
    T1: get(P) | T1 parks                                 | 1/3 | M       | T1    | -
    T0: get(P) | T0 parks                                 | 1/3 | M       | T1 T0 | -
    M: post k3 | handed straight to T0 (previous depth 0) | 2/3 | M,T0    | T1    | -
    M: post k4 | handed straight to T1 (previous depth 0) | 3/3 | M,T1,T0 | -     | -
    M: post k5 | queued (previous depth 0)                | 3/3 | M,T1,T0 | -     | k5
    M: get(P)  | M gets k5                                | 3/3 | M,T1,T0 | -     | -
        """,
    ),
    Scenario(
        "K-33",
        "closing the last handle abandons every waiter and ends associations",
        "O-20, O-21, O-23",
        limits={"P": 2},
        table="""
    post x                  | queued (previous depth 0) | 0/2 | -  | -     | x
    T3: get(P)              | T3 gets x                 | 1/2 | T3 | -     | -
    T1: get(P)              | T1 parks                  | 1/2 | T3 | T1    | -
    T2: get(P)              | T2 parks                  | 1/2 | T3 | T1 T2 | -
    last handle of P closed | T1, T2 return ABANDONED   | 0/2 | -  | -     | -
    T3: get(P)              | T3 fails INVALID_HANDLE   | 0/2 | -  | -     | -
        """,
    ),
    Scenario(
        "K-34",
        "packets queued at close cannot be collected",
        "O-22, O-24",
        limits={"P": 1},
        table="""
    post a                  | queued (previous depth 0)                               | 0/1 | -  | -  | a
    T1: get(P)              | T1 gets a                                               | 1/1 | T1 | -  | -
    T2: get(P)              | T2 parks                                                | 1/1 | T1 | T2 | -
    post b                  | queued (previous depth 0)                               | 1/1 | T1 | T2 | b
    last handle of P closed | T2 return ABANDONED; queued b can no longer be dequeued | 0/1 | -  | -  | -
    T1: get(P)              | T1 fails INVALID_HANDLE                                 | 0/1 | -  | -  | -
        """,
    ),
    Scenario(
        "K-35",
        "two slots, three workers: a slot freed by blocking is given away once only",
        "Q-23, Q-25, Q-26",
        limits={"P": 2},
        table="""
    T1: get(P)                   | T1 parks                                 | 0/2 | -        | T1       | -
    T2: get(P)                   | T2 parks                                 | 0/2 | -        | T1 T2    | -
    T3: get(P)                   | T3 parks                                 | 0/2 | -        | T1 T2 T3 | -
    post a                       | handed straight to T3 (previous depth 0) | 1/2 | T3       | T1 T2    | -
    post b                       | handed straight to T2 (previous depth 0) | 2/2 | T2,T3    | T1       | -
    post c                       | queued (previous depth 0)                | 2/2 | T2,T3    | T1       | c
    post d                       | queued (previous depth 1)                | 2/2 | T2,T3    | T1       | c d
    T2 blocks on something else  | T2 stops running; side effect: T1 gets c | 2/2 | T1,T3    | -        | d
    T2's other wait is satisfied | T2 runs again                            | 3/2 | T1,T2,T3 | -        | d
    T2: get(P)                   | T2 parks                                 | 2/2 | T1,T3    | T2       | d
    T1: get(P)                   | T1 gets d                                | 2/2 | T1,T3    | T2       | -
        """,
    ),
    Scenario(
        "K-36",
        "poll loop of a counted thread always sees its packet",
        "Q-11, Q-14, Q-30",
        limits={"P": 1},
        table="""
    post x                | queued (previous depth 0) | 0/1 | -  | - | x
    T1: get(P)            | T1 gets x                 | 1/1 | T1 | - | -
    post a                | queued (previous depth 0) | 1/1 | T1 | - | a
    T1: get(P, timeout=0) | T1 gets a                 | 1/1 | T1 | - | -
    T1: get(P, timeout=0) | T1 returns TIMEOUT        | 1/1 | T1 | - | -
        """,
    ),)
