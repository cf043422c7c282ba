"""The quiz: a question, a choice typed, and only then what happens.

Theory.  The program runs after the choice has been made, and its facts decide.  The quiz reads lines, so a terminal and
a pipe serve it alike; where nobody sees what is typed, it is printed.

Own rules.  What is no choice is asked again.  The end of the input, or `q`, ends the quiz with the count so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from ...trace.text import Charset
from .lesson import Lesson
from .presentation import Kind, Line, after, answer, before, explanation, facts_of
from .printing import Printer
from .showing import Machine, show


@dataclass(frozen=True, slots=True)
class Score:
    """How many questions were answered, and how many of them rightly."""

    asked: int
    right: int

    def __str__(self) -> str:
        if not self.asked:
            return "No question was answered."
        questions = "question" if self.asked == 1 else "questions"
        return f"{self.right} of {self.asked} {questions} answered rightly."


def run_quiz(lessons: Sequence[Lesson], entry: TextIO, printer: Printer, machine: Machine, charset: Charset) -> Score:
    """Ask the question of each lesson; `entry` is where the choices are typed.  Blocks while nobody types.

    A single lesson is shown whole after its answer; of several, what decides and why.
    """
    asked = right = 0
    for lesson in lessons:
        printer.print(before(lesson))
        chosen = _ask(len(lesson.question.choices), entry, printer)
        if chosen is None:
            break
        showing = show(lesson, machine)
        asked += 1
        right += chosen == lesson.question.right(showing.facts)
        if len(lessons) == 1:
            printer.print(after(lesson, showing, charset, chosen))
        else:
            printer.print(answer(lesson, showing.facts, chosen))
            printer.print([Line(Kind.TEXT), Line(Kind.HEADING, "What the program has seen")])
            printer.print(facts_of(showing.facts))
            printer.print(explanation(lesson))
            printer.print([Line(Kind.TEXT), Line(Kind.NOTE, f"So far: {Score(asked, right)}"), Line(Kind.TEXT)])
    score = Score(asked, right)
    printer.print([Line(Kind.TEXT), Line(Kind.TITLE, str(score))])
    return score


def _ask(choices: int, entry: TextIO, printer: Printer) -> int | None:
    """The index of the choice that was typed; None at the end."""
    printer.print([Line(Kind.TEXT)])
    while True:
        printer.prompt(f"Your choice, 1 to {choices} (q ends): ")
        typed = entry.readline()
        if not entry.isatty():
            printer.print([Line(Kind.TEXT, typed.strip())])
        word = typed.strip().rstrip(").")
        if not typed or word.casefold() in ("q", "quit", "exit"):
            return None
        if word.isascii() and word.isdigit() and 1 <= int(word) <= choices:
            return int(word) - 1
        printer.print([Line(Kind.NOTE, f"Type a number from 1 to {choices}, or q.")])
