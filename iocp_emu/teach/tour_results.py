"""What a tour is asked for, and what its first pass brings.

Own rule.  Only data: `tour_port` fills it, `tour_checks` compares it, `tour_report` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from .tour_figures import PortFigures
from .tour_files import Census, FoundFile, NewDigest, ReadFile

MOST_IN_FLIGHT = 64
MOST_IN_FLIGHT_BYTES = 64 << 20
MOST_OPEN = 32


class TourStopped(Exception):
    """The tour was asked to stop."""


@dataclass(frozen=True, slots=True)
class TourSettings:
    """What to tour, and how.

    `path`: a directory or a file.  `workers`: 1 or more threads.  `concurrency`: the concurrency value, 0 for the
    number of processors (Q-03).  `chunk_bytes`: the size of one read, 1 or more.  `new_digest` makes the digests of the
    first pass; the second always uses SHA-256, so anything else makes the tour fail.  Raises `ValueError`.
    """

    path: str
    workers: int = 6
    concurrency: int = 2
    chunk_bytes: int = 1 << 16
    new_digest: NewDigest = sha256

    def __post_init__(self) -> None:
        if self.workers < 1 or self.chunk_bytes < 1:
            raise ValueError("workers and chunk_bytes must be 1 or more")

    @property
    def in_flight_limit(self) -> int:
        """Reads in flight or waiting to be hashed: about 64, fewer when they are large, but one for each open file."""
        return max(4, min(MOST_IN_FLIGHT, MOST_IN_FLIGHT_BYTES // self.chunk_bytes))

    @property
    def open_limit(self) -> int:
        """Files being read at the same time, at most."""
        return min(MOST_OPEN, self.in_flight_limit)


@dataclass(slots=True)
class Progress:
    """How far a tour has come; written by the tour, read by whoever shows it."""

    phase: str = "reading through the port"
    files: int = 0
    bytes: int = 0
    expected: int | None = None


@dataclass(slots=True)
class WorkerTally:
    """What a worker itself has counted: packets, those that end it included, and bytes of the files."""

    name: str
    packets: int = 0
    bytes: int = 0


class ReferenceStep(NamedTuple):
    """The port's references at one moment, and what should hold it: handles, associated files, parked calls (H-02)."""

    moment: str
    references: int
    freed: bool
    handles: int
    files: int
    calls: int

    @property
    def expected(self) -> int:
        """How many references there should be."""
        return self.handles + self.files + self.calls


class ContextSwitches(NamedTuple):
    """The whole process's, as the operating system counts them."""

    voluntary: int
    involuntary: int


class FileResult(NamedTuple):
    """A file and what the workers made of it."""

    found: FoundFile
    read: ReadFile


@dataclass(slots=True)
class PortPass:
    """What the first pass brought and measured.

    `requests` were started, and `data_packets`, `end_packets` (end of file) and `failed_packets` came of them; `posted`
    packets ended the workers.  `seconds` is from the first file to the last result.
    """

    concurrency: int
    figures: PortFigures
    census: Census = field(default_factory=Census)
    results: list[FileResult] = field(default_factory=list[FileResult])
    workers: list[WorkerTally] = field(default_factory=list[WorkerTally])
    references: list[ReferenceStep] = field(default_factory=list[ReferenceStep])
    violations: list[str] = field(default_factory=list[str])
    invariant_checks: int = 0
    requests: int = 0
    data_packets: int = 0
    end_packets: int = 0
    failed_packets: int = 0
    posted: int = 0
    most_in_flight: int = 0
    most_open: int = 0
    depth_left: int = 0
    seconds: float = 0.0
    switches: ContextSwitches | None = None
    journal: list[tuple[str, ReadFile]] = field(default_factory=list[tuple[str, ReadFile]])
    journal_synced: int = 0
