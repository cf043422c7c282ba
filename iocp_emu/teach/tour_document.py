"""A tour as one JSON document.

Times are in seconds, sizes in bytes; `rules` are ids of the catalogue of semantics:

    tour                  the version of this form: 1
    version, python, platform, path
    settings              workers, concurrency (as given), chunk_bytes, in_flight_limit, open_limit
    totals                files, bytes, lines, and digest: SHA-256 over the sorted hexadecimal digests of the files
    not_read              unread [path, reason], changed [path, reason], special, linked_directories; directories walked
    requests              started, data, end_of_file, failed (packets), posted, most_in_flight, most_open, deepest_queue
    seconds               port, plain: how long the two passes took
    workers               name, packets, bytes, handed_over, released, taken, parked, blocked, blocked_seconds
    deliveries            handed_over, released, taken, switches_avoided
    context_switches      voluntary, involuntary of the process during the first pass; null where not known
    active                limit, highest, highest_seconds, highest_by, above_limit_by {kind: times},
                          seconds_at {count: seconds}, slice_seconds, slices [{count: seconds}, ...]
    blocking              times, journal_synced, released, sample [seconds, by, to, key]
    released_by           waiters released by the release step, {kind of what freed the slot: times}
    references            moment, references, freed, handles, files, calls
    checks                name, ok, detail, rules
    ok                    whether all checks hold
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from .. import __version__
from ..trace.recorder import EventKind
from .tour import TourResult
from .tour_checks import total
from .tour_figures import ThreadFigures


def as_document(result: TourResult) -> dict[str, Any]:
    """The tour as one JSON document; the keys are described at the head of this file.  O(unread files)."""
    settings, first, second, figures = result.settings, result.first, result.second, result.first.figures
    everything = total([each.read for each in first.results])
    switches = first.switches
    return {
        "tour": 1,
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.system(),
        "path": settings.path,
        "settings": {
            "workers": settings.workers,
            "concurrency": settings.concurrency,
            "chunk_bytes": settings.chunk_bytes,
            "in_flight_limit": settings.in_flight_limit,
            "open_limit": settings.open_limit,
        },
        "totals": {
            "files": len(first.results),
            "bytes": everything.bytes,
            "lines": everything.lines,
            "digest": everything.digest,
        },
        "not_read": {
            "unread": [each._asdict() for each in first.census.unread],
            "changed": [each._asdict() for each in second.changed],
            "special": first.census.special,
            "linked_directories": first.census.linked_directories,
            "directories": first.census.directories,
        },
        "requests": {
            "started": first.requests,
            "data": first.data_packets,
            "end_of_file": first.end_packets,
            "failed": first.failed_packets,
            "posted": first.posted,
            "most_in_flight": first.most_in_flight,
            "most_open": first.most_open,
            "deepest_queue": figures.deepest,
        },
        "seconds": {"port": first.seconds, "plain": second.seconds},
        "workers": [
            {"name": each.name, "packets": each.packets, "bytes": each.bytes}
            | _worker(figures.threads.get(each.name, ThreadFigures()))
            for each in first.workers
        ],
        "deliveries": {
            "handed_over": figures.deliveries[EventKind.HANDED_OVER],
            "released": figures.deliveries[EventKind.RELEASED],
            "taken": figures.deliveries[EventKind.TAKEN],
            "switches_avoided": figures.avoided,
        },
        "context_switches": None if switches is None else switches._asdict(),
        "active": {
            "limit": first.concurrency,
            "highest": figures.peak.active,
            "highest_seconds": figures.peak.seconds,
            "highest_by": None if figures.peak.kind is None else figures.peak.kind.name.lower(),
            "above_limit_by": _by_kind(figures.exceeded_by),
            "seconds_at": {str(count): each for count, each in figures.timeline.seconds_at().items()},
            "slice_seconds": figures.timeline.slice_seconds,
            "slices": [{str(count): each for count, each in part.items()} for part in figures.timeline.slices],
        },
        "blocking": {
            "times": figures.blocked,
            "journal_synced": first.journal_synced,
            "released": figures.released_by[EventKind.BLOCKED],
            "sample": [each._asdict() for each in figures.releases],
        },
        "released_by": _by_kind(figures.released_by),
        "references": [each._asdict() for each in first.references],
        "checks": [each._asdict() for each in result.checks],
        "ok": result.ok,
    }


def _worker(figures: ThreadFigures) -> dict[str, Any]:
    return {
        "handed_over": figures.received[EventKind.HANDED_OVER],
        "released": figures.received[EventKind.RELEASED],
        "taken": figures.received[EventKind.TAKEN],
        "parked": figures.parked,
        "blocked": figures.blocked,
        "blocked_seconds": figures.blocked_seconds,
    }


def _by_kind(times: Mapping[EventKind, int]) -> dict[str, int]:
    return {kind.name.lower(): number for kind, number in times.items()}
