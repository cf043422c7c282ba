"""Fixtures for the tests on real overlapped I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from iocp_emu.profiles import Profile
from tests.overlapped.support import DIGITS, Rig, eventually, open_descriptors


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Generator[None]:
    """Every test gives back the descriptors that it has opened."""
    before = open_descriptors()
    yield
    eventually(lambda: open_descriptors() <= before, "all descriptors are closed")


@pytest.fixture
def rigs(no_descriptor_leaks: None) -> Generator[Callable[[str | Profile], Rig]]:
    """Makes systems, and closes and checks them at the end."""
    made: list[Rig] = []

    def make(profile: str | Profile = "win10", concurrency: int = 4) -> Rig:
        made.append(Rig(profile, concurrency))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(rigs: Callable[[], Rig]) -> Rig:
    """One system as Windows 10 is."""
    return rigs()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds the ten digits."""
    path = tmp_path / "digits"
    path.write_bytes(DIGITS)
    return path
