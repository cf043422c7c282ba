"""`iocp-emu step` on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from itertools import chain

from ..profiles import get_profile
from ..runtime.schedulers import ScheduleMismatch
from ..testing.runs import Plan, Sharing
from ..testing.schedule_text import Schedule, ScheduleTextError, parse_schedule
from .arguments import whole
from .stepper.programs import open_program
from .stepper.prompt import CLEAR, HELP, Conversation
from .stepper.session import Session, StepperError

MOST_PROCESSORS = 64
MOST_STEPS = 20_000
"""A run with more steps counts as endless: some lessons have thousands."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it runs."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "You are the scheduler: run a program in the simulation and choose, at each step, which thread goes next.\n"
        "The program is that of a lesson, or a function in a Python file; it uses the names of iocp_emu\n"
        "(CompletionPort, spawn, sleep)."
    )
    parser.epilog = (
        f"commands at the prompt:\n{HELP}\n\n"
        'Examples: iocp-emu step lifo;  iocp-emu step race.py:lost_update --choices "1 2 1"\n'
        "Exit status: 1 when the run at hand ended in a failure, 2 for what cannot be opened."
    )
    parser.add_argument("program", metavar="LESSON|FILE[:FUNCTION]", help="a lesson, or a file and the function in it")
    parser.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="NAME=N", help="an integer argument of it"
    )
    parser.add_argument(
        "--processors",
        type=whole(1, MOST_PROCESSORS),
        metavar="N",
        help="virtual processors (default: 2, or what the lesson has)",
    )
    parser.add_argument("--profile", default="win10", metavar="NAME", help="which Windows (default: win10)")
    parser.add_argument(
        "--memory",
        action="store_const",
        const=Sharing.MEMORY,
        default=Sharing.KERNEL_OBJECTS,
        help="stop behind each call too: for threads that share Python variables",
    )
    parser.add_argument("--schedule", metavar="TEXT", help="begin with the choices of this schedule")
    parser.add_argument("--choices", default="", metavar="WORDS", help="commands to do first, between blanks")
    parser.set_defaults(run=_run)


def _setting(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    try:
        return name, int(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be NAME=N with a whole number, not {text!r}") from None


def _run(arguments: argparse.Namespace) -> int:
    try:
        conversation = _open(arguments)
    except (StepperError, ScheduleTextError, ScheduleMismatch, ValueError) as error:
        print(f"iocp-emu step: {error}", file=sys.stderr)
        return 2
    conversation.hold(chain(arguments.choices.split(), _lines()))
    run = conversation.session.moment.run
    return 1 if run is not None and run.failure is not None else 0


def _open(arguments: argparse.Namespace) -> Conversation:
    opened = open_program(arguments.program)
    schedule = None if arguments.schedule is None else parse_schedule(arguments.schedule)
    plan = Plan(
        opened.program,
        dict(arguments.set),
        arguments.processors or opened.processors,
        profile=get_profile(arguments.profile),
        max_steps=MOST_STEPS,
        sharing=arguments.memory,
    )
    ranks: tuple[int, ...] = ()
    if schedule is not None:
        plan, ranks = _plan_of(plan, schedule), schedule.ranks
    clears = CLEAR if sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM") != "dumb" else ""
    return Conversation(Session(plan, ranks), opened, sys.stdout, clears)


def _plan_of(plan: Plan, schedule: Schedule) -> Plan:
    """The plan that a schedule was made with, for the program at hand."""
    if schedule.name != plan.name:
        raise ScheduleTextError(f"this is a schedule of the program {schedule.name}, not of {plan.name}")
    return Plan(
        plan.program,
        schedule.arguments,
        schedule.processors,
        schedule.seed,
        schedule.profile,
        max_steps=schedule.steps,
        sharing=Sharing(schedule.shared),
    )


def _lines() -> Iterator[str]:
    """What the reader types, until the input ends."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with suppress(ImportError):
        import_module("readline")  # gives `input` arrow keys and a history, where there is one
    while True:
        try:
            yield input("> ")
        except EOFError:
            return
