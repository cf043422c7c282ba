"""pywintypes: handles that close themselves, errors, OVERLAPPED objects."""

from __future__ import annotations

import gc
import operator
import sys

import pytest

from iocp_emu.compat.pywin32 import pywintypes, win32api, win32con, win32event, win32file, winerror


def new_event() -> pywintypes.HANDLEType:
    return win32event.CreateEvent(None, True, False, None)


def is_open(number: int) -> bool:
    """Whether a handle of that number is open."""
    try:
        win32event.WaitForSingleObject(number, 0)
    except win32event.error as error:
        if error.winerror != winerror.ERROR_INVALID_HANDLE:
            raise
        return False
    return True


# -- handles ---------------------------------------------------------------------------------------------------------


def test_a_handle_closes_itself_with_its_last_reference() -> None:
    event = new_event()
    number = int(event)
    alias = event
    del event
    assert is_open(number)
    del alias
    assert not is_open(number)


def test_a_handle_in_a_cycle_closes_with_the_cycle() -> None:
    cycle: list[object] = [new_event()]
    number = int(cycle[0])  # type: ignore[call-overload]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert not is_open(number)


def test_close_is_once_and_detach_is_never() -> None:
    event = new_event()
    number = event.handle
    event.Close()
    assert not is_open(number)
    assert (event.handle, int(event), bool(event), repr(event)) == (0, 0, False, "<PyHANDLE:0>")
    event.Close()
    event.close()
    other = new_event()
    number = other.Detach()
    assert other.Detach() == 0
    del other
    assert is_open(number)
    win32api.CloseHandle(number)


def test_closing_what_was_closed_behind_the_object_is_error_6_once() -> None:
    """As pywin32's own tests have it: the object notices when it is closed, and has no handle then."""
    event = new_event()
    win32api.CloseHandle(int(event))
    with pytest.raises(win32api.error) as caught:
        event.Close()
    assert caught.value.args == (6, "CloseHandle", "The handle is invalid.")
    event.Close()


def test_a_finalizer_says_nothing_about_a_handle_that_is_gone() -> None:
    event = new_event()
    win32api.CloseHandle(int(event))
    del event


def test_closing_by_the_call_closes_the_object() -> None:
    event = new_event()
    win32file.CloseHandle(event)
    assert not event
    win32file.CloseHandle(event)
    win32api.CloseHandle(0)


def test_equality_is_by_number_and_the_hash_by_object() -> None:
    event = new_event()
    same = pywintypes.HANDLE(event)
    assert event == same == int(event)
    assert int(event) == event
    assert event != 0
    assert event != None  # noqa: E711
    assert event != "handle"
    assert {event: "found"}[event] == "found"
    assert hash(event) != hash(same)
    with pytest.raises(TypeError):
        operator.lt(event, same)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        operator.add(event, 1)  # pyright: ignore
    same.Detach()


def test_making_handles_of_numbers() -> None:
    assert not pywintypes.HANDLE()
    assert not pywintypes.HANDLE(0)
    one = pywintypes.HANDLE(1)
    assert (one.handle, repr(one)) == (1, "<PyHANDLE:1>")
    assert isinstance(one, pywintypes.HANDLEType)
    high = pywintypes.HANDLE(sys.maxsize + 1)
    assert high.handle == -sys.maxsize - 1
    for nothing in ("foo", (), object()):
        with pytest.raises(TypeError, match="not a PyHANDLE"):
            pywintypes.HANDLE(nothing)
    high.Detach()


def test_a_handle_is_a_context_manager() -> None:
    with new_event() as event:
        number = int(event)
        assert is_open(number)
    assert not is_open(number)


def test_duplicates_name_one_object() -> None:
    me = win32api.GetCurrentProcess()
    event = new_event()
    twin = win32api.DuplicateHandle(me, event, me, 0, False, win32con.DUPLICATE_SAME_ACCESS)
    assert twin != event
    win32event.SetEvent(event)
    event.Close()
    assert win32event.WaitForSingleObject(twin, 0) == win32event.WAIT_OBJECT_0


# -- errors ----------------------------------------------------------------------------------------------------------


def test_errors_have_three_arguments_and_their_names() -> None:
    with pytest.raises(pywintypes.error) as caught:
        win32api.CloseHandle(1)
    error = caught.value
    text = win32api.FormatMessage(winerror.ERROR_INVALID_HANDLE)
    assert text == "The handle is invalid.\r\n"
    assert error.args == (6, "CloseHandle", text.rstrip())
    assert (error.winerror, error.funcname, error.strerror) == error.args
    assert str(error) == str(error.args)
    assert type(error).__name__ == "error"
    assert pywintypes.error.__bases__ == (Exception,)
    assert win32api.error is win32file.error is win32event.error is pywintypes.error
    assert win32api.GetLastError() == winerror.ERROR_INVALID_HANDLE


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), (None, None, None)),
        (("foo",), ("foo", None, None)),
        (("foo", "bar", "you", "never"), ("foo", "bar", "you")),
    ],
)
def test_errors_take_any_number_of_arguments(arguments: tuple[object, ...], names: tuple[object, ...]) -> None:
    error = pywintypes.error(*arguments)
    assert error.args == arguments
    assert (error.winerror, error.funcname, error.strerror) == names


def test_texts_of_strangers() -> None:
    with pytest.raises(win32api.error) as caught:
        win32api.FormatMessageW(win32con.FORMAT_MESSAGE_FROM_SYSTEM, None, 987654, 0, None)
    assert caught.value.winerror == 317
    assert win32api.FormatMessage(987654) == "No error message is available"


def test_the_last_error_is_the_threads_own_and_finalizers_leave_it_alone() -> None:
    event = new_event()
    win32api.SetLastError(42)
    del event
    assert win32api.GetLastError() == 42


# -- OVERLAPPED ------------------------------------------------------------------------------------------------------


def test_overlapped_starts_as_zeros() -> None:
    overlapped = pywintypes.OVERLAPPED()
    assert isinstance(overlapped, pywintypes.OVERLAPPEDType)
    numbers = (overlapped.Offset, overlapped.OffsetHigh, overlapped.Internal, overlapped.InternalHigh)
    assert numbers == (0, 0, 0, 0)
    assert (overlapped.hEvent, overlapped.object, overlapped.dword) == (0, None, 0)
    assert win32file.OVERLAPPED() == overlapped


def test_overlapped_is_equal_by_contents_and_hashed_by_object() -> None:
    one, other = pywintypes.OVERLAPPED(), pywintypes.OVERLAPPED()
    assert one == other
    assert operator.ne(one, other) is False
    assert hash(one) != hash(other)
    other.hEvent = 1
    assert one != other
    other.hEvent = 0
    assert one == other
    for name, value in {"Offset": 5, "OffsetHigh": 1, "Internal": 7, "dword": 2, "object": "x"}.items():
        setattr(one, name, value)
        assert one != other
        setattr(other, name, value)
        assert one == other
    assert one != None  # noqa: E711
    with pytest.raises(TypeError):
        operator.lt(one, other)  # type: ignore[arg-type]


def test_overlapped_keeps_the_event_object_it_was_given() -> None:
    overlapped = pywintypes.OVERLAPPED()
    event = new_event()
    overlapped.hEvent = event
    assert overlapped.hEvent is event
    number = int(event)
    del event
    assert is_open(number)
    overlapped.hEvent = number
    assert overlapped.hEvent == number
    assert not is_open(number)
    with pytest.raises(TypeError):
        overlapped.hEvent = "event"


def test_overlapped_refuses_what_is_no_field() -> None:
    overlapped = pywintypes.OVERLAPPED()
    with pytest.raises(AttributeError):
        overlapped.anything = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="can't delete"):
        del overlapped.object  # pyright: ignore
    with pytest.raises(OverflowError):
        overlapped.Offset = 1 << 32
    with pytest.raises(TypeError):
        overlapped.Offset = "0"
    with pytest.raises(TypeError, match="base type"):
        type("Mine", (pywintypes.OVERLAPPEDType,), {})


def test_security_attributes_are_taken_and_anything_else_is_not() -> None:
    attributes = pywintypes.SECURITY_ATTRIBUTES()
    attributes.SetSecurityDescriptorDacl(1, None, 0)
    attributes.bInheritHandle = 1
    assert attributes.SECURITY_DESCRIPTOR.GetSecurityDescriptorDacl() is None
    assert win32event.CreateEvent(attributes, 0, 0, None)
    with pytest.raises(TypeError, match="PySECURITY_ATTRIBUTES"):
        win32event.CreateEvent(0, 0, 0, None)


def test_numbers_with_the_highest_bit_are_negative_as_in_pywin32() -> None:
    assert win32con.GENERIC_READ == win32file.GENERIC_READ == -0x80000000
    assert win32event.INFINITE == win32file.INVALID_HANDLE_VALUE == win32event.WAIT_FAILED == -1
    assert (win32event.WAIT_TIMEOUT, win32con.FILE_FLAG_OVERLAPPED) == (258, 0x40000000)


def test_unknown_names_are_attribute_errors() -> None:
    for module in (win32file, win32con, winerror, win32event):
        with pytest.raises(AttributeError):
            _ = module.GetQueuedCompletionStatusEx
