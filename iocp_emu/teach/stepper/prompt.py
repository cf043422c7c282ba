"""The conversation: reads one command a line, does it on a session, shows what came of it.

Own rules.  A command that cannot be done changes nothing and says why.  Input that ends is like `q`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ..arguments import unknown
from .programs import Opened
from .saving import save_as_test
from .session import Session, StepperError
from .view import show_difference, show_session, show_table

HELP = """\
  NUMBER            take that option; an empty line takes the first
  b [N]             back: take the last choice (or N choices) back
  g N               go to choice N of this branch
  f NAME            fork: a new branch from here
  o NAME            over to another branch
  l                 list the branches
  d NAME            difference: this branch beside another
  r [STRATEGY [SEED]]  run on to the end: always the first option, or random, round-robin, pct, pos
  t                 table of all steps so far
  x                 text of the schedule
  s FILE            save the schedule as a test
  ?                 this help
  q                 quit"""

CLEAR = "\x1b[2J\x1b[H"


@dataclass(slots=True)
class Conversation:
    """One reader at one session of the program that was `opened`.

    `clears` is what is written before each view: the escape that clears a terminal, or nothing.
    """

    session: Session
    opened: Opened
    output: TextIO
    clears: str = ""
    is_over: bool = False

    def hold(self, lines: Iterable[str]) -> None:
        """Show the session, then do each line, until they end or one says quit.  Blocks as long as that takes."""
        self.show()
        for line in lines:
            self.do(line)
            if self.is_over:
                return

    def do(self, line: str) -> None:
        """One line of the reader."""
        word, *rest = line.split() or ["1"]
        try:
            if word.isdecimal():
                self.session.choose(int(word))
                self.show()
                return
            command = _COMMANDS.get(word)
            if command is None:
                raise StepperError(unknown("command", word, _COMMANDS) + " (? lists them)")
            command(self, rest)
        except StepperError as error:
            self.say(str(error))

    def show(self) -> None:
        """Write the view of the session."""
        self.say(self.clears + show_session(self.session))

    def say(self, text: str) -> None:
        """Write text and a line break."""
        self.output.write(f"{text}\n")


def _back(talk: Conversation, rest: list[str]) -> None:
    talk.session.back(_number(rest, 1))
    talk.show()


def _go(talk: Conversation, rest: list[str]) -> None:
    talk.session.go_to(_number(rest, None))
    talk.show()


def _fork(talk: Conversation, rest: list[str]) -> None:
    talk.session.fork(_word(rest, "a name for the branch"))
    talk.show()


def _over(talk: Conversation, rest: list[str]) -> None:
    talk.session.switch(_word(rest, "the name of a branch"))
    talk.show()


def _list(talk: Conversation, rest: list[str]) -> None:
    for name, ranks in talk.session.branches.items():
        mark = "*" if name == talk.session.branch else " "
        talk.say(f"{mark} {name}: {len(ranks)} choices {' '.join(str(rank + 1) for rank in ranks)}".rstrip())


def _difference(talk: Conversation, rest: list[str]) -> None:
    name = _word(rest, "the name of the other branch")
    difference = talk.session.compare(name)
    here, there = talk.session.moment, talk.session.moment_of(name)
    names = ([each.name for each in here.threads], [each.name for each in there.threads])
    talk.say(show_difference(difference, names))


def _run(talk: Conversation, rest: list[str]) -> None:
    talk.session.run_on(rest[0] if rest else None, _number(rest[1:], 0))
    talk.show()


def _table(talk: Conversation, rest: list[str]) -> None:
    talk.say(show_table(talk.session))


def _text(talk: Conversation, rest: list[str]) -> None:
    talk.say(str(talk.session.schedule))


def _save(talk: Conversation, rest: list[str]) -> None:
    target = Path(_word(rest, "a file to save to, such as test_it.py"))
    shows = save_as_test(talk.session, talk.opened, target)
    talk.say(f"saved as {target}: {shows}")


def _help(talk: Conversation, rest: list[str]) -> None:
    talk.say(HELP)


def _quit(talk: Conversation, rest: list[str]) -> None:
    talk.is_over = True


_COMMANDS: dict[str, Callable[[Conversation, list[str]], None]] = {
    "b": _back,
    "g": _go,
    "f": _fork,
    "o": _over,
    "l": _list,
    "d": _difference,
    "r": _run,
    "t": _table,
    "x": _text,
    "s": _save,
    "?": _help,
    "q": _quit,
}


def _number(rest: list[str], default: int | None) -> int:
    if not rest and default is not None:
        return default
    if len(rest) != 1 or not rest[0].isdecimal():
        raise StepperError(f"this wants a number, not {' '.join(rest) or 'nothing'}")
    return int(rest[0])


def _word(rest: list[str], what: str) -> str:
    if len(rest) != 1:
        raise StepperError(f"this wants {what}")
    return rest[0]
