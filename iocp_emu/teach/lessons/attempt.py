"""What the judge of an exercise has in hand: the learner's names, and a simulation to run them in.

Own rules.  A judge says what is missing with `NotYet`, in words that lead on without giving the answer away.  What the
learner's code raises goes through: the examiner shows it with the line of the learner's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from ... import Simulation
from ...runtime.deadlock import SimulationDeadlock
from ...runtime.results import SimulationStall
from .stage import StageStuck

T = TypeVar("T")

LIMIT_SECONDS = 600.0
STALL_STEPS = 50_000


class NotYet(Exception):
    """The attempt does not do what the task asks for; the text says what is wrong."""


class Attempt:
    """A learner's file that has been run: its names."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def value(self, name: str, kind: type[T]) -> T:
        """The value of that name; `NotYet` when it is missing or of another type."""
        if name not in self._names:
            raise NotYet(f"your file has no {name}")
        value = self._names[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise NotYet(f"{name} should be of type {kind.__name__}, not {type(value).__name__}")
        return value

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        number = self.value(name, int)
        if not low <= number <= high:
            raise NotYet(f"{name} should be from {low} to {high}, not {number}")
        return number

    def words(self, name: str) -> list[str]:
        """A list of words."""
        found = cast(list[object], self.value(name, list))
        words = [each for each in found if isinstance(each, str)]
        if len(words) < len(found):
            raise NotYet(f"{name} should hold words in quotes only, such as 'A'")
        return words

    def function(self, name: str) -> Callable[..., Any]:
        """The function of that name; `NotYet` when there is none."""
        if name not in self._names:
            raise NotYet(f"your file has no function {name}")
        function = self._names[name]
        if not callable(function):
            raise NotYet(f"{name} should be a function, not {type(function).__name__}")
        return function  # type: ignore[no-any-return]

    def simulate(
        self, program: Callable[..., T], *args: Any, processors: int = 4, limit_seconds: float = LIMIT_SECONDS
    ) -> T:
        """Run `program(*args)` as the main thread of a fresh simulation, and return what it returns.

        `NotYet` when all threads wait for ever, or when it goes on beyond `limit_seconds` of virtual time.
        """
        with Simulation(processors=processors, stall_steps=STALL_STEPS) as simulation:
            main = simulation.spawn(program, *args, name="main")
            try:
                simulation.run(until=limit_seconds)
                if not main.has_unwound and simulation.clock.next_time is None:
                    simulation.run()  # nobody is due any more: this says who waits for what
            except (SimulationDeadlock, StageStuck) as stuck:
                for thread in simulation.virtual_threads:
                    if thread.error is not None and not isinstance(thread.error, StageStuck):
                        raise thread.error from None
                if isinstance(stuck, StageStuck):
                    raise NotYet(f"the checker waits for something that never happens: {stuck}") from None
                raise NotYet(f"All threads wait, and nothing can wake them.\n{stuck}") from None
            except SimulationStall:
                raise NotYet("a thread asks again and again without waiting or computing: it never ends") from None
            if not main.has_unwound:
                raise NotYet(f"it still runs after {limit_seconds:g} seconds of virtual time: a loop without an end?")
            return main.result  # type: ignore[no-any-return]


def expect(condition: object, what_is_wrong: str) -> None:
    """`NotYet` unless the condition is true."""
    if not condition:
        raise NotYet(what_is_wrong)
