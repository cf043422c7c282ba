"""The table of lessons, and how one is found by what somebody types.

Own rule.  A lesson is imported when it is asked for; its module's name begins with its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib import import_module

from .lesson import Lesson

MODULES = (
    "l01_association",
    "l02_packet",
    "l03_one_place",
    "l04_outcomes",
    "l05_lifo",
    "l06_concurrency_value",
    "l07_limit",
    "l08_no_switch",
    "l09_computation",
    "l10_experiment",
    "l11_blocking",
    "l12_posting",
    "l13_telling_workers",
    "l14_lifetime",
    "l15_closing",
    "l16_at_once",
    "l17_cancelling",
    "l18_batches",
    "l19_owner",
    "l20_timeouts",
    "l21_two_ports",
    "l22_growth",
    "l23_order",
)
"""One for each lesson, in the order in which they are best read."""


class NoSuchLesson(LookupError):
    """No lesson is called that; the text names the likeliest ones."""


@cache
def lesson(number: int) -> Lesson:
    """The lesson of that number, from 1; `IndexError` when there is none."""
    if not 1 <= number <= len(MODULES):
        raise IndexError(f"lessons are numbered from 1 to {len(MODULES)}, not {number}")
    found: Lesson = import_module(f".{MODULES[number - 1]}", __package__).LESSON
    return found


def all_lessons() -> Iterator[Lesson]:
    """Every lesson, in order."""
    return (lesson(number) for number in range(1, len(MODULES) + 1))


def following(current: Lesson) -> Lesson | None:
    """The lesson after this one, None after the last."""
    number = int(current.id[1:]) + 1
    return lesson(number) if number <= len(MODULES) else None


def find(words: str) -> Lesson:
    """The lesson that is meant by an id (`L05`), a number (`5`), its name (`lifo`) or words of its title.

    Any case.  Raises `NoSuchLesson` when none is meant, or several are.

    >>> find("5").id, find("l05").id, find("LIFO").id, find("last in").id
    ('L05', 'L05', 'L05', 'L05')
    """
    wanted = " ".join(words.casefold().replace("-", " ").replace("_", " ").split())
    number = wanted.removeprefix("l")
    if number.isascii() and number.isdigit() and 1 <= int(number) <= len(MODULES):
        return lesson(int(number))
    names = {each.name.replace("-", " "): each for each in all_lessons()}
    if wanted in names:
        return names[wanted]
    found = [each for name, each in names.items() if wanted and wanted in f"{name} {each.title}".casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        meant = ", ".join(f"{each.id} {each.name}" for each in found)
        raise NoSuchLesson(f"{words!r} fits several lessons: {meant}")
    close = get_close_matches(wanted, [*names, *(each.id.casefold() for each in all_lessons())], n=1)
    hint = ""
    if close:
        likely = names.get(close[0]) or find(close[0])
        hint = f"did you mean {likely.name!r} ({likely.id})? "
    raise NoSuchLesson(f"there is no lesson {words!r}: {hint}All of them: iocp-emu lesson --list")
