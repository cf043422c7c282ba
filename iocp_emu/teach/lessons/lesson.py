"""What a lesson is: a question, the program that answers it, and what follows from the answer.

Theory.  A lesson asks first: what will this program do?  Then the program runs, and its *facts*, a dict of what it has
seen, decide which choice was right.  Nobody writes the right answer down beside the program, so the two cannot part.

A program is a plain function without required parameters.  It uses the object face, spawns its threads, waits for
conditions rather than for luck, ends its threads and returns its facts.  So it runs in any simulation, under any
scheduler, and on real threads:

    with Simulation(processors=lesson.processors, scheduler=...) as simulation:
        main = simulation.spawn(lesson.program, name="main")
        simulation.run()
    main.result                      # the facts

Its keyword parameters are whole numbers with a default: what the learner may change.

Own rules.  Only data here.  All text is ASCII, in our own words, and not wrapped: presentation does that.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attempt import Attempt

Facts = dict[str, Any]
"""What a program has seen, by the words that describe it, in the order in which it is shown."""

Program = Callable[..., Facts]


@dataclass(frozen=True, slots=True)
class Choice:
    """One possible answer; `value` is what the asked fact would be if it were the right one."""

    text: str
    value: object


@dataclass(frozen=True, slots=True)
class Question:
    """What the learner is asked before the program runs; `fact` is the one that decides."""

    text: str
    fact: str
    choices: tuple[Choice, ...]

    def right(self, facts: Facts) -> int:
        """The index of the choice that the facts bear out; `ValueError` when it is not exactly one."""
        found = [index for index, choice in enumerate(self.choices) if choice.value == facts[self.fact]]
        if len(found) != 1:
            raise ValueError(f"{len(found)} choices say that {self.fact!r} is {facts[self.fact]!r}, not one")
        return found[0]


@dataclass(frozen=True, slots=True)
class Variation:
    """Something to try: the program with other numbers, and what to look for."""

    settings: Mapping[str, int]
    text: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """A task that is checked: `starter` is the file to edit, `solution` one that passes.

    `judge` runs in a process of its own and raises `NotYet` when something is missing.
    """

    task: str
    starter: str
    solution: str
    judge: Callable[[Attempt], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One lesson.

    `id` is L01 and so on, `name` one word to call it by.  `limits` are the least and the largest value of each number
    that the program takes.  `rules` are the ids of those that act.  `sentences` are those of the classic page that it
    shows (S1 to S24), by number; `simplifications` say where the page is simpler than the truth, by sentence.
    `answers` are those to the questions of `questions.QUESTIONS`, by number.  `processors` is the size of the
    simulated machine; of a timeline with more than `timeline_rows` steps the middle is left out,
    and with 0 all of it.
    `simulation_only`, if not empty, says why real threads do not show the same.
    """

    id: str
    name: str
    title: str
    question: Question
    program: Program
    limits: Mapping[str, tuple[int, int]]
    explanation: tuple[str, ...]
    rules: tuple[str, ...]
    sentences: tuple[int, ...]
    answers: Mapping[int, str]
    variation: Variation
    exercise: Exercise
    simplifications: Mapping[int, str] = field(default_factory=dict[int, str])
    processors: int = 4
    timeline_rows: int = 28
    simulation_only: str = ""

    @property
    def settings(self) -> dict[str, int]:
        """The numbers that the program can be run with, and their defaults."""
        return {name: parameter.default for name, parameter in inspect.signature(self.program).parameters.items()}

    @property
    def sentence_ids(self) -> list[str]:
        """The ids of the sentences of the classic page, such as S6."""
        return [f"S{number}" for number in self.sentences]

    @property
    def source(self) -> str:
        """The program's text: the very code that runs."""
        return textwrap.dedent(inspect.getsource(self.program))
