"""Profiles: every cell of semantics.md 0.3, the presets' further switches, and how a profile is asked for."""

from __future__ import annotations

import dataclasses
import doctest
from collections.abc import Sequence

import pytest

from iocp_emu import profiles
from iocp_emu.profiles import (
    CLASSIC,
    PROFILES,
    WIN7,
    WIN10,
    WINE,
    WINE_OLD,
    XP,
    IssuerAffinity,
    OwnClose,
    Profile,
    WaiterOrder,
    get_profile,
)

LIFO, FIFO = WaiterOrder.LIFO, WaiterOrder.FIFO
ABORTED, DISCONNECTED = OwnClose.CONNECTION_ABORTED, OwnClose.LOCAL_DISCONNECT
HANDLES_CLOSED = OwnClose.HANDLES_CLOSED
NOBODY, WITH_EVENT, EVERYBODY = IssuerAffinity.NONE, IssuerAffinity.WITH_EVENT, IssuerAffinity.ALL

COLUMNS = (WIN10, WIN7, XP, CLASSIC, WINE, WINE_OLD)

# The value of each switch in the order of COLUMNS: first the rows of the table, then what the rules say beyond it.
ROWS: list[tuple[str, Sequence[object]]] = [
    ("waiter_order", (LIFO, LIFO, LIFO, LIFO, LIFO, FIFO)),
    ("limit_enforced", (True, True, True, True, False, False)),
    ("close_wakes_waiters", (True, True, False, True, True, False)),
    ("direct_waiters_on_hand_off", (False, True, True, False, False, False)),
    ("port_waitable", (True, True, True, False, True, True)),
    ("thread_agnostic_requests", (True, True, False, False, True, True)),
    ("disk_requests_pend", (True, True, False, False, True, True)),
    ("late_status_block", (True, True, False, False, False, False)),
    ("issuer_affinity", (WITH_EVENT, WITH_EVENT, EVERYBODY, NOBODY, NOBODY, NOBODY)),
    ("batch_removal", (True, True, False, False, True, True)),
    ("notification_modes", (True, True, False, False, True, True)),
    ("association_replaceable", (True, False, False, False, False, False)),
    ("job_port_removable", (True, False, False, False, True, True)),
    ("jobs_nest", (True, False, False, False, True, True)),
    ("wait_completion_packets", (True, False, False, False, True, False)),
    ("timeout_counts_sleep", (False, True, True, False, False, False)),
    ("sweep_on_wake", (False, False, False, False, False, False)),
    ("apc_first_for_strangers", (True, True, False, False, True, False)),
    ("association_signals_file", (True, True, True, False, True, False)),
    ("cancel_all_reports_not_found", (True, True, True, True, False, False)),
    ("port_excludes_apc", (True, True, True, True, False, False)),
    ("zero_count_refused", (True, True, True, True, True, False)),
    ("own_close_of_socket", (ABORTED, ABORTED, DISCONNECTED, ABORTED, HANDLES_CLOSED, HANDLES_CLOSED)),
    ("byte_lock_queues_packet", (True, True, True, True, False, False)),
    ("busy_transaction_pends", (True, False, False, True, False, False)),
    ("abnormal_exit_reported", (True, True, True, True, False, False)),
    ("information_status_untouched_on_refusal", (True, True, True, True, False, False)),
]


@pytest.mark.parametrize(("switch", "values"), ROWS, ids=[switch for switch, _ in ROWS])
def test_0_3_each_row_of_the_table(switch: str, values: Sequence[object]) -> None:
    """0.3: a switch has the value that its row gives for each system."""
    assert {profile.name: getattr(profile, switch) for profile in COLUMNS} == {
        profile.name: value for profile, value in zip(COLUMNS, values, strict=True)
    }


def test_0_3_no_switch_is_untested() -> None:
    """0.3: the rows above are all the switches that there are, and nothing but the name besides."""
    fields = {field.name for field in dataclasses.fields(Profile)}
    assert fields == {switch for switch, _ in ROWS} | {"name"}


def test_presets_are_named_as_they_are_asked_for() -> None:
    """The presets stand under their names, the default first; the mapping cannot be changed."""
    assert list(PROFILES) == ["win10", "win7", "xp", "classic", "wine", "wine_old"]
    assert list(PROFILES.values()) == list(COLUMNS)
    with pytest.raises(TypeError):
        PROFILES["mine"] = WIN10  # type: ignore[index]


@pytest.mark.parametrize("profile", COLUMNS, ids=lambda profile: profile.name)
def test_get_profile_takes_names_and_profiles(profile: Profile) -> None:
    """A name gives the preset itself, a profile gives itself."""
    assert get_profile(profile.name) is profile
    assert get_profile(profile) is profile


def test_get_profile_takes_a_profile_that_is_no_preset() -> None:
    """A profile of one's own is taken as it is, whatever its name."""
    mine = dataclasses.replace(WIN10, sweep_on_wake=True)
    assert get_profile(mine) is mine
    assert mine != WIN10


def test_get_profile_defaults_to_windows_10() -> None:
    """None and nothing at all mean WIN10, which is also what a bare Profile is."""
    assert get_profile(None) is get_profile() is WIN10
    assert Profile() == WIN10


@pytest.mark.parametrize("name", ["", "WIN10", "windows", "win10 "])
def test_get_profile_refuses_unknown_names(name: str) -> None:
    """A name that is none is a ValueError that lists the names."""
    with pytest.raises(ValueError, match="win10, win7, xp, classic, wine, wine_old") as caught:
        get_profile(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("wrong", [10, b"win10", ["win10"], Profile, object()])
def test_get_profile_refuses_other_types(wrong: object) -> None:
    """What is neither name nor profile is a TypeError that names the type."""
    with pytest.raises(TypeError, match=type(wrong).__name__):
        get_profile(wrong)  # type: ignore[arg-type]


def test_profiles_are_values() -> None:
    """Profiles are frozen, slotted, hashable and equal by value."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        WIN10.sweep_on_wake = True  # type: ignore[misc]
    assert not hasattr(WIN10, "__dict__")
    assert dataclasses.replace(XP, name="win7") != WIN7
    assert len({WIN10, Profile(), *COLUMNS}) == len(COLUMNS)


def test_profiles_are_built_by_keyword_only() -> None:
    """A row of True and False in a call would tell the reader nothing."""
    with pytest.raises(TypeError):
        Profile("mine", LIFO)  # type: ignore[call-arg]


def test_examples_in_the_documentation() -> None:
    """The examples in the docstrings run and are right."""
    outcome = doctest.testmod(profiles)
    assert outcome.attempted >= 2
    assert outcome.failed == 0
