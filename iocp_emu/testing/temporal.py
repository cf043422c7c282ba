"""What must always, never, sometimes or eventually hold: declared by a program, judged after every step of every run.

Theory.  A property is a name and a predicate over the program's own variables.  *always* and *never* are judged before
each step of each run; *sometimes* must come true in at least one run; *eventually* must come true before each run ends,
and in each endless run that is fair.  A run is *fair* when every thread that can make a step makes one again and again;
an endless run that is unfair breaks no promise.  With `when`, always is judged only while that holds, and eventually
owes its predicate each time that it has held: at that moment or later.

A property that was never put to the test says nothing, so that is told too: `when` never held, or no run came to an
end.

Own rules.  A predicate changes nothing.  It takes nothing, or the simulation.  Outside of an exploration a declaration
does nothing but return the property, so that a program runs unchanged on real threads.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..runtime.ambient import current_system
from .linearizability import Recorder, Specification, check_linearizable

if TYPE_CHECKING:
    from ..runtime.simulation import Simulation

Predicate = Callable[..., object]


class PropertyKind(enum.Enum):
    """What a property promises."""

    ALWAYS = "always"
    NEVER = "never"
    SOMETIMES = "sometimes"
    EVENTUALLY = "eventually"


@dataclass(frozen=True)
class Property:
    """A promise about runs; `str` is how reports name it."""

    kind: PropertyKind
    name: str
    predicate: Predicate
    when: Predicate | None = None

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"


class PropertyViolation(AssertionError):
    """A property does not hold in this run."""

    def __init__(self, broken: Property, message: str) -> None:
        super().__init__(f"{broken}: {message}")
        self.property = broken


class NotLinearizable(AssertionError):
    """A recorded history has no explanation; the message shows it."""


class Explored:
    """A simulation that is being explored: what its program declares goes to `declarations`."""

    declarations: Declarations


class Declarations:
    """The properties of one run and how they fare.

    `met` are those whose promise was put to the test, or kept if it is of kind SOMETIMES.  `state` functions show
    the program's own state; `histories` are to be checked when the run has ended.
    """

    def __init__(self, simulation: Simulation, given: Sequence[Property]) -> None:
        self._simulation = simulation
        self.properties: list[Property] = []
        self.met: set[str] = set()
        self.owed: dict[str, Property] = {}
        self.state: list[Callable[[], Any]] = []
        self.histories: list[tuple[Recorder, Specification]] = []
        for each in given:
            self.add(each)

    def add(self, declared: Property) -> None:
        """One property more."""
        self.properties.append(declared)
        if declared.kind is PropertyKind.EVENTUALLY and declared.when is None:
            self.owed[str(declared)] = declared

    def judge(self) -> None:
        """Look at every property now; raises `PropertyViolation`, and what predicates raise.  O(properties)."""
        for each in self.properties:
            name = str(each)
            if each.kind is PropertyKind.SOMETIMES and name in self.met:
                continue
            is_due = each.when is None or bool(self._ask(each.when))
            if each.kind is PropertyKind.EVENTUALLY:
                if is_due and each.when is not None:
                    self.owed[name] = each
                    self.met.add(name)
                if name in self.owed and self._ask(each.predicate):
                    del self.owed[name]
                    self.met.add(name)
                continue
            if not is_due:
                continue
            holds = bool(self._ask(each.predicate))
            if each.kind is PropertyKind.SOMETIMES:
                if holds:
                    self.met.add(name)
                continue
            self.met.add(name)
            if holds is (each.kind is PropertyKind.NEVER):
                raise PropertyViolation(each, "it is true now" if holds else "it is false now")

    def judge_end(self, how: str) -> None:
        """The run is over, or will never be: what is owed is broken."""
        for owed in self.owed.values():
            since = "after its condition had held" if owed.when is not None else "at any moment"
            raise PropertyViolation(owed, f"it did not come true {since}, and {how}")
        self.met |= {str(each) for each in self.properties if each.kind is PropertyKind.EVENTUALLY and not each.when}
        for recorder, specification in self.histories:
            verdict = check_linearizable(recorder.operations, specification)
            if not verdict.is_linearizable:
                raise NotLinearizable(str(verdict))

    def picture(self) -> Any:
        """What of the properties' own state decides about the rest of the run."""
        return (sorted(self.owed), [repr(each()) for each in self.state])

    def _ask(self, predicate: Predicate) -> object:
        return predicate(self._simulation) if _takes_simulation(predicate) else predicate()


def _takes_simulation(predicate: Predicate) -> bool:
    parameters = inspect.signature(predicate).parameters.values()
    return any(each.default is each.empty and each.kind is not each.VAR_POSITIONAL for each in parameters)


def _declare(declared: Property) -> Property:
    system = current_system()
    if isinstance(system, Explored):
        system.declarations.add(declared)
    return declared


def always(name: str, predicate: Predicate, *, when: Predicate | None = None) -> Property:
    """`predicate` holds before every step of every run, while `when` does.

    >>> always("at most one worker counts", lambda: True)  # doctest: +ELLIPSIS
    Property(kind=<PropertyKind.ALWAYS: 'always'>, name='at most one worker counts', ...)
    """
    return _declare(Property(PropertyKind.ALWAYS, name, predicate, when))


def never(name: str, predicate: Predicate) -> Property:
    """`predicate` holds before no step of any run."""
    return _declare(Property(PropertyKind.NEVER, name, predicate))


def sometimes(name: str, predicate: Predicate) -> Property:
    """`predicate` holds before some step of some run: the exploration reaches what it should."""
    return _declare(Property(PropertyKind.SOMETIMES, name, predicate))


def eventually(name: str, predicate: Predicate, *, when: Predicate | None = None) -> Property:
    """`predicate` holds at some moment of every run that ends or is fair; with `when`, each time after that has held.
    """
    return _declare(Property(PropertyKind.EVENTUALLY, name, predicate, when))


def show_state(function: Callable[[], Any]) -> None:
    """Declare program state that an exploration cannot see by itself; equal `repr` means equal state."""
    system = current_system()
    if isinstance(system, Explored):
        system.declarations.state.append(function)


def linearizable(recorder: Recorder, specification: Specification) -> None:
    """What `recorder` has recorded at the end of each run must be explained by `specification`."""
    system = current_system()
    if isinstance(system, Explored):
        system.declarations.histories.append((recorder, specification))
