"""The pytest plugin: fixtures `simulation` and `explore`, options `--iocp-seed` and `--iocp-schedule`.

Theory.  A test that fails is only as good as its seed, so that is in the report of every failure that used one of the
fixtures, and the replay command of every exploration that found something.  Sections of reports travel from the workers
of xdist to the terminal by themselves.

Own rule.  Importing this module imports nothing of iocp_emu: pytest loads it in every run of every project that has the
package installed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from ..runtime.simulation import Simulation
    from .report import Exploration

_SEED = pytest.StashKey[int]()
_NOTES: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two options."""
    group = parser.getgroup("iocp_emu", "simulation of completion ports")
    group.addoption(
        "--iocp-seed", type=int, default=0, metavar="N", help="the seed of the fixtures simulation and explore (0)"
    )
    group.addoption(
        "--iocp-schedule", default=None, metavar="TEXT", help="explore plays this schedule alone, where it belongs"
    )


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    """A `Simulation` with the seed of `--iocp-seed`, in use for the test: ports made in it live there."""
    from ..runtime.simulation import Simulation

    with Simulation(seed=_seed_of(request)) as made:
        yield made


@pytest.fixture
def explore(request: pytest.FixtureRequest) -> Callable[..., Exploration]:
    """`iocp_emu.testing.explore` with the seed of `--iocp-seed`; raises `ExplorationFailed` when it finds something.

    With `--iocp-schedule`, a program of that name is not explored but run once with that schedule.
    """
    from .explorer import explore as explore_now
    from .explorer import explore_schedule
    from .schedule_text import parse_schedule

    seed = _seed_of(request)
    given: Any = request.config.getoption("--iocp-schedule")
    text: str | None = given
    notes = _stash_of(request).setdefault(_NOTES, [])

    def explored(program: Callable[..., object], **options: Any) -> Exploration:
        if text is not None and parse_schedule(text).name == getattr(program, "__name__", ""):
            result = explore_schedule(program, text, **options)
        else:
            options.setdefault("seed", seed)
            result = explore_now(program, **options)
        if result.failure is not None:
            notes.append(f"replay it with: --iocp-schedule '{result.failure.schedule}'")
        result.assert_ok()
        return result

    return explored


def _seed_of(request: pytest.FixtureRequest) -> int:
    seed = int(request.config.getoption("--iocp-seed") or 0)
    _stash_of(request)[_SEED] = seed
    return seed


def _stash_of(request: pytest.FixtureRequest) -> pytest.Stash:
    return cast(pytest.Stash, cast(Any, request).node.stash)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Say the seed, and how to replay, with every failure of a test that used a fixture of ours."""
    report = (yield).get_result()
    seed = item.stash.get(_SEED, None)
    if seed is not None and report.failed:
        notes = item.stash.get(_NOTES, list[str]())
        lines = [f"seed: --iocp-seed {seed}", *notes]
        report.sections.append(("iocp_emu", "\n".join(lines)))
