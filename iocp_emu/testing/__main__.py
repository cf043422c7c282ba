"""`python -m iocp_emu.testing`: every history of a bounded world, with the numbers of states.

Theory.  For so many threads, ports and packets, each choice of concurrency values is a world of its own (like ports
being interchangeable); each is explored until no state is left, and told in one line.  The last line is their sum, and
what no world has exercised.  Then come overlapped requests, in a small world of their own.

Own rule.  The exit code is 0 if every world is complete and nothing is wrong there, 1 if something is, 2 for bad
arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from time import perf_counter

from .bounds import ALL_VERBS, BASIC_VERBS, every_limit
from .coverage import never_exercised
from .histories import Stop, explore_histories
from .requests import RequestBounds, explore_requests


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore, print, and return the exit code.  Blocks until all is done."""
    options = _parser().parse_args(arguments)
    verbs = ALL_VERBS if options.all_verbs else BASIC_VERBS
    if min(options.threads, options.ports, options.processes) < 1:
        _parser().error("threads, ports and processes must be 1 or more")
    try:
        worlds = every_limit(options.threads, options.ports, options.packets, profile=options.profile, verbs=verbs)
        requests = RequestBounds(requests=options.requests, profile=options.profile)
    except (ValueError, LookupError) as error:
        _parser().error(str(error))
    states = concrete = transitions = 0
    rules: set[str] = set()
    start = perf_counter()
    with ProcessPoolExecutor(options.processes) if options.processes > 1 else nullcontext() as executor:
        for bounds in worlds:
            report = explore_histories(bounds, executor=executor)
            print(f"limits {','.join(map(str, bounds.limits))}: {report.headline}", flush=True)
            if report.stop is not Stop.COMPLETE:
                print(report.violation)
                return 1
            states += report.states
            concrete += report.concrete_states
            transitions += report.transitions
            rules |= set(report.rules)
    seconds = perf_counter() - start
    print(
        f"all {len(worlds)} worlds: {states:,} states ({concrete:,} with every name told apart), "
        f"{transitions:,} transitions, P-01 to P-14, P-17 and P-18 hold; "
        f"{seconds:.1f} s, {concrete / seconds:,.0f} states/s covered, {transitions / seconds:,.0f} generated"
    )
    print(f"never exercised: {' '.join(never_exercised(rules)) or 'none'}")
    outcome = explore_requests(requests)
    print(f"requests: {outcome}")
    if outcome.violation is not None:
        return 1
    print(f"{requests.threads} threads with up to {requests.requests} requests under way: P-15 and P-16 hold")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m iocp_emu.testing", description="Explore every history of kernel verbs in bounded worlds."
    )
    parser.add_argument("--threads", type=int, default=3, help="how many threads (default 3)")
    parser.add_argument("--ports", type=int, default=2, help="how many ports (default 2)")
    parser.add_argument("--packets", type=int, default=4, help="how many packets queued at a time (default 4)")
    parser.add_argument("--requests", type=int, default=1, help="how many requests under way at a time (default 1)")
    parser.add_argument("--profile", default="win10", help="the emulated system (default win10)")
    parser.add_argument("--all-verbs", action="store_true", help="suspensions and APCs as well")
    parser.add_argument("--processes", type=int, default=1, help="share the work among so many processes (default 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
