"""The explored simulation: every kernel verb is looked at from outside, judged by chapter P, and written down.

Theory.  A simulation stops before every verb.  Threads that share memory are stopped behind every verb as
well, because what others do once they see its effect may come before what its thread does next.

Before and after each verb the ports and threads are seen as `PortView` and `ThreadView`; what lies between is
one `Step`, which `properties` judges and `coverage` names the rules of.  Packets are numbered as they come in, by a
queue that tells of each insertion and is otherwise the one that was asked for.

Rules of this file: P-01 to P-14 and P-18, by the modules that judge them.

Own rules.  A violation ends the run, whatever the program does with the exception.  Verbs that no history knows, such
as opening a handle, are judged by what they must not do: lose, double or reorder packets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from weakref import WeakSet

from typing_extensions import ParamSpec

from ..kernel.completion import IoCompletion, Packet
from ..kernel.file import FileObject
from ..kernel.invariants import check
from ..kernel.objects import KernelObject
from ..kernel.queue import KernelQueue, RemoveOutcome
from ..kernel.thread import KernelThread, ThreadState
from ..kernel.waits import Alertability, Event, Timeout, Waitable, WaitMode
from ..runtime.carriers import Carrier
from ..runtime.results import EndReason
from ..runtime.schedulers import Scheduler
from ..runtime.simulation import Preemption, Simulation
from ..runtime.virtual_threads import Place, VirtualThread
from . import properties
from .bounds import Verb
from .coverage import rules_of
from .properties import Delivery, PortView, Step, ThreadView
from .temporal import Declarations, Explored, Property

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Row:
    """One verb of a run for a reader: who did what to which objects, what it brought, which rules it shows.

    `thread` is 0 for the clock and for code outside of threads.  `news` tells what it did to other threads.
    """

    thread: int
    verb: str
    objects: tuple[str, ...]
    outcome: str
    rules: tuple[str, ...]
    news: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])


@dataclass(frozen=True, slots=True)
class Waiting:
    """A thread that waits, and for what; how many packets are queued there, and which signal of it was lost."""

    thread: str
    object: str
    queued: int
    lost: str


@dataclass(slots=True)
class Witness:
    """What queues report while a verb runs: the packets that came in, and whether packets moved in other ways."""

    arrivals: list[tuple[KernelObject | None, Packet]] = field(
        default_factory=list[tuple["KernelObject | None", Packet]]
    )
    is_irregular: bool = False


def watched_queue(queue_type: type[KernelQueue[Any]], witness: Witness) -> type[KernelQueue[Any]]:
    """`queue_type`, telling `witness` of each packet that is queued, put back or taken out of turn."""

    class WatchedQueue(queue_type):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def insert(self, packet: Any, *args: Any, **kwargs: Any) -> int:
            witness.arrivals.append((self.owner, packet))
            return int(super().insert(packet, *args, **kwargs))

        def put_back(self, packets: Any) -> None:
            witness.is_irregular = True
            super().put_back(packets)

        def discard(self, packet: Any) -> bool:
            witness.is_irregular = True
            return bool(super().discard(packet))

    return WatchedQueue


_VERBS = {
    "expire": Verb.EXPIRE,
    "block": Verb.BLOCK,
    "begin_wait": Verb.BLOCK,
    "unblock": Verb.UNBLOCK,
    "exit": Verb.EXIT,
    "suspend": Verb.SUSPEND,
    "resume": Verb.RESUME,
}
_ENDINGS = {
    RemoveOutcome.TIMEOUT: "times out",
    RemoveOutcome.USER_APC: "ends for an APC",
    RemoveOutcome.ABANDONED: "ends: the port is closed",
}
_WORDS = {"begin_wait": "wait for", "remove": "get from", "exit": "end"}
_QUIET = frozenset({"collect", "new_thread", "open", "open_port", "open_event", "finish_delivery", "deliver"})
"""Verbs that no reader of a table wants to see."""


class ObservedSimulation(Simulation, Explored):
    """A simulation for one run of an exploration.

    `rules` are those exercised so far; `rows` the verbs, if `keeps_rows`.  `on_point` is called before every step, and
    what it raises ends the run.  `stops_behind` is for threads that share memory.  `waiting` is who waited when the run
    got stuck.  `histories` are what each thread's verbs have brought, shown by `picture`.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        processors: int,
        seed: int,
        profile: Any,
        declared: Sequence[Property],
        queue_type: type[KernelQueue[Any]],
        keeps_rows: bool,
        carrier: Carrier,
        stops_behind: bool,
    ) -> None:
        self.stops_behind = stops_behind
        self.rules: set[str] = set()
        self.rows: list[Row] = []
        self.keeps_rows = keeps_rows
        self.on_point: Callable[[VirtualThread], None] | None = None
        self.waiting: list[Waiting] = []
        self.lost_signals: dict[KernelObject, str] = {}
        self.timed: set[KernelThread] = set()
        self.origins: dict[KernelThread, Callable[[], Any]] = {}
        self.has_computed = False
        self.verdict: BaseException | None = None
        self.histories: dict[int, list[Any]] = {}
        self.picture: Callable[[Any], Any] = show
        self._witness = Witness()
        self._ports: list[IoCompletion] = []
        self._threads: list[KernelThread] = []
        self._places: dict[KernelObject, int] = {}
        self._numbers: dict[int, tuple[int, Packet]] = {}
        self._before: tuple[list[ThreadView], list[PortView | None]] | None = None
        self._is_asking = False
        self._opened: WeakSet[KernelObject] = WeakSet()
        super().__init__(
            processors,
            seed,
            profile,
            scheduler=scheduler,
            carrier=carrier,
            preemption=Preemption.ANYWHERE,
            queue_type=watched_queue(queue_type, self._witness),
        )
        self.declarations = Declarations(self, declared)

    # -- before each step --------------------------------------------------------------------------------------

    def perform(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As a simulation does; for a predicate that looks at kernel objects, no scheduling point."""
        if self._is_asking:
            return self.do(verb, *args, **kwargs)
        thread = self._running
        result = super().perform(verb, *args, **kwargs)
        if thread is not None and thread is self._running and self.stops_behind and not self.closed:
            name = getattr(verb, "__name__", "verb").lstrip("_")
            if name not in _QUIET and thread.place is Place.RUNNING and not self._has_paused(name, result):
                self.point(thread, self.go_on, ())
        return result

    @staticmethod
    def _has_paused(name: str, result: object) -> bool:
        """Whether the verb is a wait that begins: what comes next is the pause."""
        return result is None and name in ("remove", "begin_wait")

    def go_on(self) -> None:
        """The step behind a verb: to return from it."""

    def point(self, thread: VirtualThread, verb: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Judge what the program has done since its last step, then a scheduling point."""
        if not self.closed and self._failure is None:
            self.judge(lambda: self._judge_point(thread))
        super().point(thread, verb, args)

    def _judge_point(self, thread: VirtualThread) -> None:
        self.declarations.judge()
        if self.on_point is not None:
            self.on_point(thread)

    def judge(self, look: Callable[[], None]) -> None:
        """Run `look`; what it raises ends the run."""
        self._is_asking = True
        try:
            look()
        except BaseException as error:
            self.verdict = self._failure = error
            raise
        finally:
            self._is_asking = False

    @property
    def thread_inside(self) -> VirtualThread | None:
        """The thread whose strand is running now; None in the hub."""
        return self._running

    # -- what a search must know -------------------------------------------------------------------------------

    def remove_many(
        self,
        port: IoCompletion,
        maximum: int,
        timeout: float | None,
        alertability: Alertability = Alertability.PLAIN,
    ) -> list[Packet] | RemoveOutcome:
        """As a simulation does; whether time matters to the caller is noted."""
        self._note_time(timeout)
        return super().remove_many(port, maximum, timeout, alertability)

    def wait(
        self,
        objects: Sequence[Waitable],
        mode: WaitMode = WaitMode.ANY,
        timeout: float | None = None,
        alertability: Alertability = Alertability.PLAIN,
    ) -> int:
        """As a simulation does; whether time matters to the caller is noted."""
        self._note_time(timeout)
        return super().wait(objects, mode, timeout, alertability)

    def compute(self, seconds: float) -> None:
        """As a simulation does; noted, because computations compete for processors."""
        self.has_computed = True
        super().compute(seconds)

    def start(self, thread: KernelThread, context: Context, function: Callable[[], Any]) -> None:
        """As a simulation does; what the thread runs is kept."""
        self.origins[thread] = function
        super().start(thread, context, function)

    def _live(self, thread: VirtualThread) -> None:
        if self.keeps_rows:
            self.rows.append(Row(thread.number, "start", (), "", ()))
        super()._live(thread)

    def _note_time(self, timeout: float | None) -> None:
        thread = self.current()
        if timeout is None or timeout <= 0:
            self.timed.discard(thread)
        else:
            self.timed.add(thread)

    def _why_ended(self) -> EndReason:
        self.note_waiting()
        return super()._why_ended()

    def note_waiting(self) -> None:
        """Who waits now, and for what: the end of a run forgets it."""
        self.waiting = []
        for thread in self.virtual_threads:
            objects: list[KernelObject] = []
            if thread.state is ThreadState.PARKED and thread.queue is not None and thread.queue.owner is not None:
                objects.append(thread.queue.owner)
            elif thread.wait is not None:
                objects.extend(thread.wait.objects)
            for obj in objects:
                queued = len(obj.queue.packets) if isinstance(obj, IoCompletion) else 0
                lost = self.lost_signals.get(obj, "")
                self.waiting.append(Waiting(thread.title, self.name_of(obj), queued, lost))

    # -- every verb --------------------------------------------------------------------------------------------

    def do(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As a simulation does, with a look at both sides."""
        if self._is_busy or self.closed or self._is_asking or self._failure is not None:
            return super().do(verb, *args, **kwargs)
        return super().do(self._watch, verb, args, kwargs)

    def _watch(self, verb: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        before = self._before or self._views()
        name = getattr(verb, "__name__", "verb").lstrip("_")
        subject = getattr(verb, "__self__", None)
        self._witness.arrivals.clear()
        self._witness.is_irregular = False
        if isinstance(subject, Event) and name in ("set", "reset"):
            self._note_signal(subject, name)
        self._before = None
        result = verb(*args, **kwargs)
        try:
            self._look(name, subject, args, before, result)
        except BaseException as error:
            self.verdict = self._failure = error
            raise
        return result

    def _note_signal(self, event: Event, name: str) -> None:
        if event.signalled:
            how = "set again while it was set" if name == "set" else "reset before anybody had waited for it"
            self.lost_signals[event] = f"a signal was lost: it was {how}"

    def _look(
        self,
        name: str,
        subject: object,
        args: tuple[Any, ...],
        before: tuple[list[ThreadView], list[PortView | None]],
        result: Any,
    ) -> None:
        fresh: dict[int, list[int]] = {}
        for owner, packet in self._witness.arrivals:
            self._numbers[id(packet)] = (len(self._numbers), packet)
            if isinstance(owner, IoCompletion):
                fresh.setdefault(self._place(owner), []).append(self._numbers[id(packet)][0])
        after = self._before = self._views()
        port = subject if isinstance(subject, IoCompletion) else None
        actor = next((each for each in (subject, *args) if isinstance(each, KernelThread)), None)
        readied = [thread for thread in self.kernel.readied if thread in self._places]
        threads_before = [*before[0], *([ThreadView(ThreadState.RUNNABLE, None)] * (len(after[0]) - len(before[0])))]
        ports_before = [*before[1], *([None] * (len(after[1]) - len(before[1])))]
        step = Step(
            verb={"set": "post", "begin_wait": "wait"}.get(name, name),
            actor=None if actor is None else self._place(actor),
            port=None if port is None else self._place(port),
            threads_before=threads_before,
            threads_after=after[0],
            ports_before=ports_before,
            ports_after=after[1],
            outcome=result,
            is_poll=name == "remove" and len(args) > 2 and args[2] is Timeout.DUE,
            readied=[self._place(thread) for thread in readied],
            woken_with=[
                Delivery(place, home if home is not None else -1, self._numbered(thread.wait_result))
                for thread in readied
                if isinstance(thread.wait_result, list)
                for place in [self._place(thread)]
                for home in [threads_before[place].home]
            ],
            reentered=frozenset({self._place(actor)}) if actor is not None and name == "resume" else frozenset(),
            fresh=fresh,
            inserts=len(self._witness.arrivals),
        )
        if name == "remove" and isinstance(result, list) and step.actor is not None and step.port is not None:
            step.got = Delivery(step.actor, step.port, self._numbered(result))
        self._judge(name, step)
        rules = self._rules(name, step)
        self.rules.update(rules)
        running = self._running
        if running is not None:
            self.histories.setdefault(running.number, []).append((name, self._brought(result)))
        if self.keeps_rows:
            self._write(name, subject, args, step, rules)

    def _judge(self, name: str, step: Step) -> None:
        check(self.kernel, self._unopened())
        if any(port.profile is not self.kernel.profile for port in self._ports):
            return
        known = name in _VERBS or name in ("set", "remove")
        if not self._witness.is_irregular:
            properties.judge_packets(step)
        properties.judge_waiter_lists(step)
        if known:
            properties.judge_counts(step, self.kernel.profile)
            properties.judge_releases(step, self.kernel.profile)
            properties.judge_dequeue(step)

    def _unopened(self) -> set[KernelObject]:
        """Files that have been made and had no handle yet: the faces open it in their next verb."""
        files = [obj for obj in self.kernel.objects if isinstance(obj, FileObject) and obj not in self._opened]
        self._opened.update(file for file in files if file.references)
        return {file for file in files if not file.references}

    def _rules(self, name: str, step: Step) -> tuple[str, ...]:
        if name == "set" and step.port is not None:
            return rules_of(step, Verb.POST)
        if name == "remove" and step.port is not None and step.actor is not None:
            verb = Verb.POLL if step.is_poll else Verb.GET
            return rules_of(step, verb) if step.ports_before[step.port] is not None else ()
        verb_of_thread = _VERBS.get(name)
        if verb_of_thread is None or step.actor is None:
            return self._rules_of_a_close(step)
        if name == "begin_wait" and step.threads_after[step.actor].state is ThreadState.RUNNABLE:
            return ()
        return rules_of(step, verb_of_thread)

    def _rules_of_a_close(self, step: Step) -> tuple[str, ...]:
        for number, old, new in step.both_sides():
            if new.is_closed and not old.is_closed:
                step.port = number
                return rules_of(step, Verb.CLOSE)
        for place in step.readied:
            before = step.threads_before[place]
            if before.state is ThreadState.BLOCKED and before.home is not None:
                return ("Q-26",)
        return ()

    # -- views -------------------------------------------------------------------------------------------------

    def _place(self, obj: KernelObject) -> int:
        """The number of a port among ports, of a thread among threads, from 0 in the order of their first sight."""
        place = self._places.get(obj)
        if place is None:
            known: list[Any] = self._ports if isinstance(obj, IoCompletion) else self._threads
            place = self._places[obj] = len(known)
            known.append(obj)
        return place

    def _views(self) -> tuple[list[ThreadView], list[PortView | None]]:
        for obj in self.kernel.objects:
            if isinstance(obj, (IoCompletion, KernelThread)):
                self._place(obj)
        threads = [ThreadView(thread.state, self._home(thread)) for thread in self._threads]
        return threads, list(map(self._view, self._ports))

    def _home(self, thread: KernelThread) -> int | None:
        owner = None if thread.queue is None else thread.queue.owner
        return None if owner is None else self._places.get(owner)

    def _view(self, port: IoCompletion) -> PortView:
        queue = port.queue
        return PortView(
            queue.current_count,
            queue.maximum_count,
            tuple(map(self._place, queue.waiters)),
            tuple(map(self._place, queue.members)),
            self._numbered(queue.packets),
            port.dropped,
            port.is_closed,
            port.running_down,
        )

    def _numbered(self, packets: Any) -> tuple[int, ...]:
        return tuple(self._numbers.get(id(packet), (-1, packet))[0] for packet in packets)

    def _brought(self, result: Any) -> Any:
        """What a verb has answered, as plain data; kernel objects are what they are, not who."""
        if isinstance(result, list):
            return [self._brought(each) for each in cast("Sequence[Any]", result)]
        if isinstance(result, Packet):
            return (self.picture(result.key), result.status, result.information, self.picture(result.overlapped))
        if isinstance(result, RemoveOutcome):
            return result.name
        return result if isinstance(result, (int, str, bytes, type(None))) else type(result).__name__

    # -- rows --------------------------------------------------------------------------------------------------

    def _write(self, name: str, subject: object, args: tuple[Any, ...], step: Step, rules: tuple[str, ...]) -> None:
        running = self._running
        number = 0 if running is None else running.number
        news = [
            (thread.number, self._news(place, step))
            for place in step.readied
            for thread in [self._threads[place]]
            if isinstance(thread, VirtualThread) and (place != step.actor or number == 0)
        ]
        if (name in _QUIET and not news) or (running is None and not self._in_run):
            return
        concerned = [obj for obj in (subject, *_flat(args)) if isinstance(obj, KernelObject) and obj is not running]
        names = tuple(dict.fromkeys(map(self.name_of, concerned)))
        verb = _WORDS.get(name, name.replace("_", " "))
        packet = next((each for each in args if isinstance(each, Packet)), None)
        if packet is not None and name == "set":
            verb = f"post {self._packets([packet])} to"
        elif name == "begin_wait" and not names:
            verb = "sleep"
        self.rows.append(Row(number, verb, names, self._outcome(name, step), rules, news))

    def _outcome(self, name: str, step: Step) -> str:
        if step.got is not None:
            return f"gets {self._packets(step.outcome)}"
        if isinstance(step.outcome, RemoveOutcome):
            return _ENDINGS[step.outcome]
        if step.actor is not None and name in ("remove", "begin_wait"):
            state = step.threads_after[step.actor].state
            if state is not ThreadState.RUNNABLE:
                return "parks" if state is ThreadState.PARKED else "blocks"
        return ""

    def _news(self, place: int, step: Step) -> str:
        result = self._threads[place].wait_result
        if isinstance(result, list):
            return f"gets {self._packets(result)}"
        if isinstance(result, RemoveOutcome):
            return _ENDINGS[result]
        return "goes on"

    @staticmethod
    def _packets(packets: Any) -> str:
        return " ".join(show(packet.key) if packet.key else show(packet.information) for packet in packets)

    def name_of(self, obj: KernelObject) -> str:
        """What a report calls an object: a thread by its name, others by type and order of creation."""
        if isinstance(obj, KernelThread):
            return obj.name or "thread"
        kind = "port" if isinstance(obj, IoCompletion) else obj.type_name.lower()
        alike: list[KernelObject] = [each for each in self.kernel.objects if each.type_name == obj.type_name]
        if isinstance(obj, IoCompletion):
            alike = [*self._ports]
        return f"{kind} {alike.index(obj) + 1}" if obj in alike else kind


def _flat(args: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    for arg in args:
        flat += cast("Sequence[Any]", arg) if isinstance(arg, (list, tuple)) else [arg]
    return flat


def show(value: object) -> str:
    """A value of a program, the same in every process: plain data as it is, anything else by its type."""
    if isinstance(value, (int, float, str, bytes, bool, type(None))):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(show, cast('Sequence[object]', value)))})"
    return f"<{type(value).__name__}>"
