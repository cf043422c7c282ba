"""The state of a program under exploration, as a key: the kernel's, and where and with which data its threads stand.

Theory.  Two moments with equal keys have the same future.  The kernel's part is its canonical picture.  A thread's part
is its stack: for each Python frame the code, the place in it and the local variables, with everything that can be
reached from them, and also the results that its verbs have had so far, which decide what a frame does not show, such as
how far a C iterator has come.  Global variables count that the code of a frame names.  Threads of one name that are
declared interchangeable are alike: their numbers are left out.

Attributes of classes and modules do not count: what a program keeps there it has to show (`show_state`).

What is reached through C code that does not tell its state is *opaque*; then there is no key, and `opaque` says what it
was.

Own rules.  A key is the same in every process of one Python version.  Looking changes nothing of the program.
"""

from __future__ import annotations

import enum
import functools
import sys
import types
from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b
from random import Random
from typing import Any, cast

from ..kernel.objects import KernelObject
from ..kernel.snapshot import canonical
from ..port import HandleOwner
from ..runtime.carriers import GreenletStrand
from ..runtime.threads import ThreadSystem
from ..runtime.virtual_threads import Place, VirtualThread
from ..runtime.virtual_time import Alarm
from ..sync import SpawnedThread
from .observed import ObservedSimulation
from .temporal import Declarations, Property

_HIDDEN = ("iocp_emu.runtime.", "iocp_emu.testing.")
_PLAIN = (int, float, complex, str, bytes, type(None), range, slice, enum.Enum, type(Ellipsis))
_DEEPEST = 40

_MADE_BY_PYTHON = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: what an instance of a class statement holds is in its attributes."""


class Opaque(Exception):
    """Something whose state cannot be seen; the message is its type."""


class ProgramState:
    """Makes keys of the states of one run.  `interchangeable` are names of threads that are alike.

    With `sees_memory` the programs' variables are part of a key; without, threads are taken to share kernel objects
    only, so that the results of its verbs decide what a thread does.
    """

    def __init__(self, simulation: ObservedSimulation, interchangeable: Iterable[str], *, sees_memory: bool) -> None:
        self.simulation = simulation
        self.interchangeable = frozenset(interchangeable)
        self.sees_memory = sees_memory
        self.opaque: str | None = None
        self._hides: str | None = None
        self._origins: dict[VirtualThread, Any] = {}

    def key(self, current: VirtualThread | None) -> str | None:
        """The key of this moment, in the middle of a choice; None when something is opaque.  O(state)."""
        return self._digest(current, with_past=True)

    def loop_key(self, current: VirtualThread | None) -> str | None:
        """The same without the past: a moment to which an endless run returns.  Not sound alone: a C iterator hides.
        """
        return self._digest(current, with_past=False)

    def picture(self, value: Any) -> Any:
        """A value that a verb has brought, as plain data; what is opaque hides every state from here on."""
        try:
            return _Seer(self.simulation, self.interchangeable)(value)
        except Opaque as opaque:
            self._hides = self.opaque = str(opaque)
            return self.opaque

    def _digest(self, current: VirtualThread | None, *, with_past: bool) -> str | None:
        if self._hides is not None and with_past:
            return None
        simulation = self.simulation
        frames = _stacks(simulation) if self.sees_memory or not with_past else {}
        try:
            labels = {
                thread: self._label(thread, frames.get(thread, []), with_past=with_past)
                for thread in simulation.virtual_threads
            }
            declared = simulation.declarations.picture()
            clock = simulation.clock
            see = _Seer(simulation, self.interchangeable)
            alarms = [(alarm.time - clock.now, see(alarm.action)) for alarm in clock.pending()]
            kernel = see(canonical(simulation.kernel, cast("Mapping[KernelObject, Hashable]", labels)))
        except Opaque as opaque:
            self.opaque = str(opaque)
            return None
        past = clock.now if with_past else None
        computing = [
            (labels[thread], thread.remaining)
            for thread in simulation.virtual_threads
            if thread.place is Place.COMPUTING
        ]
        picture = (kernel, alarms, past, computing, declared, None if current is None else labels[current])
        return blake2b(repr(picture).encode(), digest_size=12).hexdigest()

    def _label(self, thread: VirtualThread, stack: list[types.FrameType], *, with_past: bool) -> Hashable:
        name = base_name(thread.title)
        see = _Seer(self.simulation, self.interchangeable)
        ended = (see(thread.result), type(thread.error).__name__, str(thread.error)) if not thread.is_alive else None
        begun: Any = None
        if not with_past or self.sees_memory:
            begun = see(thread.function) if thread.function is not None and not thread.ident else None
        elif thread in self.simulation.origins:
            if thread not in self._origins:
                self._origins[thread] = see(self.simulation.origins[thread])
            begun = self._origins[thread]
        past = self.simulation.histories.get(thread.number, []) if with_past else None
        frames = [see.frame(frame) for frame in stack]
        # Suspended threads stand before a verb or in a wait: which one, the kernel and the stack do not tell apart.
        label = (
            name if name in self.interchangeable else thread.title,
            thread.place.name if thread.place in (Place.NEW, Place.ENDED, Place.COMPUTING) else "",
            thread.pending.verb if thread.is_alive else "",
            ended,
            begun,
            past,
            frames,
        )
        return blake2b(repr(label).encode(), digest_size=12).hexdigest()


def base_name(title: str) -> str:
    """The name that a thread was given, without the number that made it unique.

    >>> base_name("worker-2"), base_name("read-ahead")
    ('worker', 'read-ahead')
    """
    name, _, number = title.rpartition("-")
    return name if number.isdecimal() else title


def _stacks(simulation: ObservedSimulation) -> dict[VirtualThread, list[types.FrameType]]:
    """The Python frames of every thread, innermost first, without those of the machinery."""
    of_ident = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
    here = sys._getframe()  # pyright: ignore[reportPrivateUsage]
    running = simulation.thread_inside
    stacks: dict[VirtualThread, list[types.FrameType]] = {}
    for thread in simulation.virtual_threads:
        if not thread.is_alive or not thread.ident:
            continue
        strand = thread.strand
        frame: types.FrameType | None
        if thread is running:
            frame = here
        elif isinstance(strand, GreenletStrand):
            frame = strand.greenlet.gr_frame or here  # none while it runs: it picks the next thread
        else:
            frame = of_ident.get(thread.ident)
        stack: list[types.FrameType] = []
        while frame is not None and frame.f_code.co_name != "_live":
            if not str(frame.f_globals.get("__name__", "")).startswith(_HIDDEN):
                stack.append(frame)
            frame = frame.f_back
        stacks[thread] = stack
    return stacks


class _Seer:
    """Turns what can be reached from a variable into plain data; a thing seen before is its number."""

    def __init__(self, simulation: ObservedSimulation, alike: frozenset[str]) -> None:
        self._simulation = simulation
        self._alike = alike
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []
        self._depth = 0

    def frame(self, frame: types.FrameType) -> Any:
        """Code, place in it, local variables, and the global variables that it names."""
        code = frame.f_code
        module = frame.f_globals
        named = {name: module[name] for name in code.co_names if name in module and _may_change(module[name])}
        return (code.co_name, code.co_firstlineno, frame.f_lasti, self(dict(frame.f_locals)), self(named))

    def __call__(self, value: Any) -> Any:
        """Plain data with an equal `repr` for equal state.  Raises `Opaque`."""
        if isinstance(value, _PLAIN) or value is NotImplemented:
            return repr(cast(object, value))
        known = self._known(value)
        if known is not None:
            return known
        if id(value) in self._seen:
            return ("seen", self._seen[id(value)])
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise Opaque("something nested too deeply")
            return self._inside(value)
        finally:
            self._depth -= 1

    def _known(self, value: Any) -> Any:
        """What needs no look inside."""
        if isinstance(value, HandleOwner) and not hasattr(value, "_system"):
            return "in the making"
        if isinstance(value, (VirtualThread, SpawnedThread)):
            name = str(value.name)
            return ("thread", base_name(name) if base_name(name) in self._alike else name)
        if isinstance(value, HandleOwner):
            return self._handle(value)
        if isinstance(value, KernelObject):
            return self._simulation.name_of(value)
        if isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType, types.CodeType, types.GenericAlias)):
            owner = getattr(value, "__self__", None)
            if isinstance(value, types.BuiltinFunctionType) and not isinstance(owner, (types.ModuleType, type(None))):
                return (value.__name__, self(owner))
            return getattr(value, "__qualname__", getattr(value, "__name__", str(value)))
        if isinstance(value, (ThreadSystem, Declarations, Property, Alarm)):
            # Alarms count among those that are set: when they are due, and what they do.
            return type(value).__name__
        return None

    def _handle(self, value: HandleOwner) -> Any:
        return ("handle", type(value).__name__, "closed" if value.closed else self._simulation.name_of(value.waitable))

    def _inside(self, value: Any) -> Any:
        made_by: type[Any] = value.__class__
        kind = made_by.__qualname__
        if isinstance(value, (list, tuple, deque)):
            items = cast("Iterable[Any]", value)
            return (kind, [self(each) for each in items], self._attributes(value))
        if isinstance(value, Mapping):
            entries: Iterable[Any] = cast("Mapping[Any, Any]", value).items()  # type: ignore[redundant-cast]
            return (kind, [(self(key), self(each)) for key, each in entries], self._attributes(value))
        if isinstance(value, (set, frozenset)):
            members = cast("Iterable[Any]", value)
            return (kind, sorted((self(each) for each in members), key=repr))
        if isinstance(value, (bytearray, memoryview)):
            return (kind, bytes(cast(Any, value)))
        if isinstance(value, types.FunctionType):
            cells = [self._cell(cell) for cell in value.__closure__ or ()]
            return (value.__qualname__, value.__code__.co_firstlineno, cells, self(value.__defaults__))
        if isinstance(value, types.MethodType):
            return (value.__func__.__qualname__, self(value.__self__))
        if isinstance(value, functools.partial):
            return (kind, self(value.func), self(value.args), self(value.keywords))
        if isinstance(value, types.GeneratorType):
            frame = value.gi_frame
            return (kind, None if frame is None else self.frame(frame))
        if isinstance(value, types.CellType):
            return self._cell(value)
        if isinstance(value, Random):
            return (kind, self(value.getstate()))
        if isinstance(value, BaseException):
            return (kind, self(value.args))
        if _is_lock(value):
            return (kind, value.locked() if hasattr(value, "locked") else None)
        if made_by.__flags__ & _MADE_BY_PYTHON and not _has_own_reduce(made_by):
            return (kind, self._attributes(value))
        return self._reduced(value, kind)

    def _reduced(self, value: Any, kind: str) -> Any:
        """C types that can be copied tell their state that way: iterators, counters, dates."""
        try:
            reduced = value.__reduce_ex__(2)
        except Exception:
            raise Opaque(kind) from None
        return (kind, reduced if isinstance(reduced, str) else [self(each) for each in reduced[1:3]])

    def _cell(self, cell: types.CellType) -> Any:
        try:
            return self(cell.cell_contents)
        except ValueError:
            return "empty"

    def _attributes(self, value: Any) -> Any:
        found: dict[str, Any] = dict(getattr(value, "__dict__", {}))
        for base in type(value).__mro__:
            slots = base.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                    found[name] = getattr(value, name)
        return [(name, self(each)) for name, each in found.items()]


def _has_own_reduce(kind: type[Any]) -> bool:
    """Whether its instances tell by themselves how to copy them, or that they cannot be, as C types with a state do."""
    return any(
        "__reduce__" in attributes
        or "__reduce_ex__" in attributes
        or isinstance(attributes.get("__getstate__"), types.MethodDescriptorType)
        for attributes in map(vars, kind.__mro__[:-1])
    )


def _may_change(value: Any) -> bool:
    """Whether a global variable holds data: code, classes and modules stay what they are."""
    return not isinstance(value, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType))


def _is_lock(value: Any) -> bool:
    return type(value).__module__ in ("_thread", "iocp_emu.runtime.misuse") and hasattr(value, "acquire")
