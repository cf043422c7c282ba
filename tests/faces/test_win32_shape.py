"""The outside of the flat faces: names, parameters in order, documentation, types of arguments."""

from __future__ import annotations

import inspect
import json
import typing
from pathlib import Path
from typing import Any

import pytest

from iocp_emu import ntdll, status, win32
from iocp_emu.flat import constants
from iocp_emu.runtime.threads import ThreadSystem
from tests.faces.helpers import BAD_HANDLE, new_port, refused

CONSTANTS = json.loads(
    (Path(__file__).parents[1] / "conformance" / "data" / "constants.json").read_text(encoding="utf-8")
)
FACES = (win32, ntdll)
RECORDED = sorted(name for name in CONSTANTS["parameters"] if not name.startswith("@"))


def function(name: str) -> Any:
    """The function of that name in either face."""
    return next(getattr(face, name) for face in FACES if hasattr(face, name))


@pytest.mark.parametrize("name", RECORDED)
def test_parameters_are_the_recorded_ones_in_order(name: str) -> None:
    """Each call takes the inputs of the vectors first, positionally or by name, under their Win32 names."""
    found = [
        parameter.name
        for parameter in inspect.signature(function(name)).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    wanted = CONSTANTS["parameters"][name]
    assert found[: len(wanted)] == wanted


@pytest.mark.parametrize("face", FACES)
def test_a_face_exports_documented_names_only(face: Any) -> None:
    """Everything in `__all__` exists once, and every function and class says what it does."""
    assert len(set(face.__all__)) == len(face.__all__)
    for name in face.__all__:
        value = getattr(face, name)
        if inspect.isfunction(value) or (inspect.isclass(value) and typing.get_origin(value) is None):
            assert inspect.getdoc(value), name


def test_constants_have_the_recorded_values() -> None:
    """Every constant that the vectors name has their value."""
    ours = {name: value for name, value in vars(constants).items() if name in CONSTANTS["arguments"]}
    assert len(ours) > 30
    assert ours == {name: CONSTANTS["arguments"][name] for name in ours}


def test_h08_handles_are_multiples_of_four_and_their_low_bits_do_not_count(machine: ThreadSystem) -> None:
    """H-08: handles start at 0x40000000, are multiples of four and are not used again; tag bits mean nothing."""
    first = new_port()
    assert first >= 0x40000000
    assert first % 4 == 0
    assert win32.PostQueuedCompletionStatus(first | 3, 1, 2, None)
    assert win32.CloseHandle(first | 1)
    assert new_port() > first


def test_a_string_is_no_handle(machine: ThreadSystem) -> None:
    """What no Windows value could be is a TypeError; any integer is a handle value."""
    call: Any = win32.CloseHandle
    with pytest.raises(TypeError):
        call("port")
    with pytest.raises(TypeError):
        call(1.5)
    for value in (None, 0, 4, BAD_HANDLE, 1 << 70, -7, True):
        assert refused(machine, win32.CloseHandle, value) == status.ERROR_INVALID_HANDLE


def test_g01_the_last_error_belongs_to_the_thread(machine: ThreadSystem) -> None:
    """G-01: each thread has a last error of its own, and success leaves it alone."""
    import iocp_emu

    win32.SetLastError(0x1_0000_0007)
    assert win32.GetLastError() == 7
    assert iocp_emu.spawn(win32.GetLastError).join() == 0
    port = new_port()
    assert win32.PostQueuedCompletionStatus(port, 1, 2, None)
    assert win32.GetQueuedCompletionStatus(port, 0).ret
    assert win32.GetLastError() == 7
