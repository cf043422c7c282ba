"""Benchmarks of iocp_emu next to what Python programs use instead of it: `python -m benchmarks`.

Theory. On a shared machine an absolute time says little, a ratio of two times taken one right after the
other says a lot. So nothing here reports a time: in each repeat every contestant of a workload does the
same work in shuffled order, the figure of that repeat is the quotient of two costs, and a row shows the
median of these quotients and their interquartile range. All workloads of a run are interleaved, so that a
slow minute of the machine falls on every row alike.

Rules of this package:
- Same work per packet for each contestant: the same loop, calling the contestant's own bound methods
  without a wrapper; what a peer needs in order to carry a number (a message object) is made before the
  clock starts.
- Threads are started and parked before the clock starts, and joined after it has stopped.
- Every sample is checked: each packet delivered exactly once and in order. A wrong sample makes the run
  fail; a missed goal does not.
- The garbage collector, the GIL's switch interval and the process's scheduling class stay as a user has
  them.

Imports go one way: measure <- {contestants, staging} <- workloads <- runner <- report <- __main__; `profile` stands
alone. README.md says what each figure means.
"""
