"""Rules of semantics.md without a test, each with the reason: nothing observable, or part of a later issue.

`test_coverage_of_rules.py` fails when a rule is neither tested nor listed here, and when one is both.
"""

from __future__ import annotations

DEFERRED: dict[str, str] = {
    "Q-37": "why LIFO: caches and kernel stacks; the rule itself says that it has no semantic effect",
    "Q-40": "three slips of the WDK's documentation; the meaning that is right is Q-02 and is tested there",
    "I-20": "layered Winsock providers that are no file systems: there are none here; the sockets' issue decides",
    "X-01": "thread-pool I/O: a later issue",
    "X-02": "binding for thread-pool I/O: goes with X-01; the refusal itself is C-06",
    "X-03": "worker factories: a later issue",
    "X-07": "ProcessSocketNotifications: the sockets' issue",
    "X-08": "registered I/O: the sockets' issue",
    "X-11": "the shape of CPython's own module: the compatibility issue",
}
