"""A lesson as lines of text: what is shown, in which order, with which words.

Theory.  A page is a sequence of lines, each of one kind.  Plain text prints the lines; colours are chosen by their
kind.  So both say the same, to the letter.

Own rules.  No line is longer than 80 columns.  Everything but the timeline is ASCII.
"""

from __future__ import annotations

import enum
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ...rules import sentence
from ...trace.text import Charset, text_timeline
from . import stage
from .catalogue import MODULES, all_lessons, following
from .lesson import Facts, Lesson
from .questions import QUESTIONS
from .showing import Machine, Showing

WIDTH = 80
INDENT = 2


class Kind(enum.Enum):
    """What a line is."""

    TITLE = "the name of the lesson"
    HEADING = "the name of a section"
    TEXT = "prose"
    NOTE = "prose on the side"
    CODE = "a line of a program"
    TIMELINE = "a line of a timeline"
    FACT = "what a program has seen"
    RIGHT = "what turned out to be right"
    WRONG = "what turned out to be wrong"
    RULE = "a rule with its id"
    COMMAND = "something to type"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page, without its end."""

    kind: Kind
    text: str = ""


Lines = Iterator[Line]


def page(lesson: Lesson, showing: Showing, charset: Charset) -> Lines:
    """The whole lesson: the question, the program, what happened, and what follows."""
    yield from before(lesson)
    yield Line(Kind.TEXT)
    yield from _prose("Decide before you read on (with --quiz the rest is hidden until you have).", Kind.NOTE)
    yield from after(lesson, showing, charset)


def before(lesson: Lesson) -> Lines:
    """What the learner sees before the program runs."""
    yield from _title(lesson)
    yield from _section("Question")
    yield from _prose(lesson.question.text)
    yield Line(Kind.TEXT)
    for number, choice in enumerate(lesson.question.choices, 1):
        yield from _item(Kind.TEXT, f"{number})", choice.text)
    yield from _section("The program: this very code runs")
    for line in lesson.source.splitlines():
        yield Line(Kind.CODE, f"{' ' * INDENT}{line}".rstrip())
    yield from _helpers(lesson.source)


def after(lesson: Lesson, showing: Showing, charset: Charset, chosen: int | None = None) -> Lines:
    """What the run has shown, what became of the learner's choice, and all that the lesson has to say about it."""
    yield from happened(lesson, showing, charset)
    yield from answer(lesson, showing.facts, chosen)
    yield from explanation(lesson)
    yield from _classic_page(lesson)
    yield from _answers(lesson.answers)
    yield from _variation(lesson)
    yield from _exercise(lesson)
    yield from _next(lesson)


def happened(lesson: Lesson, showing: Showing, charset: Charset) -> Lines:
    """The timeline and the facts."""
    where = "real threads" if showing.machine is Machine.REAL_THREADS else f"simulation, {lesson.processors} processors"
    numbers = "".join(f", {name} {value}" for name, value in showing.settings.items() if value != lesson.settings[name])
    yield from _section(f"What happened ({where}{numbers})")
    if lesson.timeline_rows:
        for line in text_timeline(showing.trace, charset, most_rows=lesson.timeline_rows).splitlines()[2:]:
            yield Line(Kind.TIMELINE, line)
    else:
        steps = f"{len(showing.trace.steps)} steps of {len(showing.trace.threads)} threads"
        yield from _prose(f"{steps} are too many for a screen: --html FILE shows them as a page for a browser.")
    yield from _section("What the program has seen")
    yield from facts_of(showing.facts)


def facts_of(facts: Facts) -> Lines:
    """The facts, one for each line, where they have room."""
    for name, value in facts.items():
        yield from _wrapped(Kind.FACT, f"{name}: {value_text(value)}", INDENT, INDENT + 2)


def value_text(value: Any) -> str:
    """A fact in words.

    >>> value_text(True), value_text([0, 1]), value_text("C")
    ('yes', '0, 1', 'C')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, cast(Iterable[Any], value))) or "none"
    return str(value)


def answer(lesson: Lesson, facts: Facts, chosen: int | None = None) -> Lines:
    """Which choice was right, as the facts say; and what became of the learner's own, an index."""
    right = lesson.question.right(facts)
    if chosen is None:
        yield from _section("Answer")
    elif chosen == right:
        yield from _section("Right")
    else:
        yield from _section("Not so")
        yield from _item(Kind.WRONG, f"{chosen + 1})", lesson.question.choices[chosen].text)
        yield Line(Kind.TEXT, f"{' ' * INDENT}The run says:")
    yield from _item(Kind.RIGHT, f"{right + 1})", lesson.question.choices[right].text)


def explanation(lesson: Lesson) -> Lines:
    """Why, and the rules by which it is so."""
    for paragraph in lesson.explanation:
        yield Line(Kind.TEXT)
        yield from _prose(paragraph)
    yield from _section("The rules")
    for rule in lesson.rules:
        yield from _item(Kind.RULE, rule, sentence(rule))


def listing() -> Lines:
    """Every lesson in a line, with the sentences of the classic page that it shows."""
    yield Line(Kind.TITLE, f"{len(MODULES)} lessons on completion ports")
    yield Line(Kind.TEXT)
    names = max(len(each.name) for each in all_lessons())
    for each in all_lessons():
        yield Line(Kind.TEXT, f"{each.id}  {each.name:<{names}}  {each.title}")
    yield Line(Kind.TEXT)
    yield Line(Kind.COMMAND, "iocp-emu lesson NAME          read one, by id, number, name or title")
    yield Line(Kind.COMMAND, "iocp-emu lesson NAME --quiz   answer first, then see")
    yield Line(Kind.COMMAND, "iocp-emu lesson --quiz        the questions of all lessons, counted")


# -- the sections --------------------------------------------------------------------------------------------------


def _title(lesson: Lesson) -> Lines:
    place = f"{int(lesson.id[1:])} of {len(MODULES)}"
    title = f"{lesson.id}  {lesson.title}"
    yield Line(Kind.TITLE, f"{title}{place:>{WIDTH - len(title)}}")
    yield Line(Kind.TITLE, "=" * WIDTH)


def _helpers(source: str) -> Lines:
    used = {name: words for name, words in stage.HELPERS.items() if re.search(rf"\b{name}\(", source)}
    if used:
        yield Line(Kind.TEXT)
        for name, words in used.items():
            yield from _wrapped(Kind.NOTE, f"{name}: {words}.", INDENT, INDENT + 2)


def _classic_page(lesson: Lesson) -> Lines:
    """What the classic page says about it, in our words, and where it is simpler than the truth."""
    if lesson.sentences:
        yield from _section("What the classic page on completion ports says")
        for number in lesson.sentences:
            yield from _item(Kind.RULE, f"S{number}", sentence(f"S{number}"))
            if number in lesson.simplifications:
                yield from _item(Kind.TEXT, "", lesson.simplifications[number])


def _answers(answers: Mapping[int, str]) -> Lines:
    if answers:
        yield from _section("Questions that people have asked")
        for number, text in answers.items():
            question = QUESTIONS[number]
            yield from _item(Kind.HEADING, f"{number}.", f"{question.text} ({question.source})")
            yield from _wrapped(Kind.TEXT, text, INDENT + 4, INDENT + 4)


def _variation(lesson: Lesson) -> Lines:
    yield from _section("Try it: change a number")
    yield from _prose(lesson.variation.text)
    settings = " ".join(f"--set {name}={value}" for name, value in lesson.variation.settings.items())
    yield Line(Kind.COMMAND, f"{' ' * INDENT}iocp-emu lesson {lesson.id} {settings}")


def _exercise(lesson: Lesson) -> Lines:
    yield from _section("Exercise")
    yield from _prose(lesson.exercise.task)
    yield Line(Kind.COMMAND, f"{' ' * INDENT}iocp-emu lesson {lesson.id} --exercise     writes the file to edit")


def _next(lesson: Lesson) -> Lines:
    yield from _section("Go on")
    after = following(lesson)
    if after is not None:
        yield Line(Kind.COMMAND, f"{' ' * INDENT}iocp-emu lesson {after.id}     {after.title}")
    if not lesson.simulation_only:
        yield Line(Kind.COMMAND, f"{' ' * INDENT}iocp-emu lesson {lesson.id} --real     the same on real threads")
    yield Line(Kind.COMMAND, f"{' ' * INDENT}iocp-emu lesson --list     all lessons")


# -- words ---------------------------------------------------------------------------------------------------------


def _section(name: str) -> Lines:
    yield Line(Kind.TEXT)
    yield Line(Kind.HEADING, name)


def _prose(text: str, kind: Kind = Kind.TEXT, indent: int = INDENT) -> Lines:
    return _wrapped(kind, text, indent, indent)


def _item(kind: Kind, mark: str, text: str, indent: int = INDENT) -> Lines:
    """A paragraph with a mark in front of it."""
    width = max(4, len(mark) + 1)
    return _wrapped(kind, f"{mark:<{width}}{text}", indent, indent + width)


def _wrapped(kind: Kind, text: str, first: int, then: int) -> Lines:
    lines: Iterable[str] = textwrap.wrap(
        text, WIDTH, initial_indent=" " * first, subsequent_indent=" " * then, break_on_hyphens=False
    )
    return (Line(kind, line) for line in lines)
