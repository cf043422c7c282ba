"""Testing concurrent programs and the emulator itself: exploration, linearizability, hypothesis strategies.

The names are loaded when they are first used, so that hypothesis is needed only by what is built on it: the strategies
are in `iocp_emu.testing.strategies`, the machine in `iocp_emu.testing.machine`.  `README.md` beside this file has
examples.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bounds import ALL_VERBS as ALL_VERBS
    from .bounds import BASIC_VERBS as BASIC_VERBS
    from .bounds import Bounds as Bounds
    from .bounds import HistoryTextError as HistoryTextError
    from .bounds import Move as Move
    from .bounds import Verb as Verb
    from .bounds import every_limit as every_limit
    from .explorer import explore as explore
    from .explorer import replay as replay
    from .histories import HistoryReport as HistoryReport
    from .histories import HistoryViolation as HistoryViolation
    from .histories import Replay as Replay
    from .histories import Stop as Stop
    from .histories import explore_histories as explore_histories
    from .histories import replay_history as replay_history
    from .linearizability import EMPTY as EMPTY
    from .linearizability import TIMED_OUT as TIMED_OUT
    from .linearizability import FifoSpecification as FifoSpecification
    from .linearizability import LifoSpecification as LifoSpecification
    from .linearizability import Operation as Operation
    from .linearizability import PortSpecification as PortSpecification
    from .linearizability import Recorder as Recorder
    from .linearizability import Specification as Specification
    from .linearizability import Verdict as Verdict
    from .linearizability import check_linearizable as check_linearizable
    from .report import Exploration as Exploration
    from .report import ExplorationFailed as ExplorationFailed
    from .report import Failure as Failure
    from .report import StopReason as StopReason
    from .requests import Cancelling as Cancelling
    from .requests import RequestBounds as RequestBounds
    from .requests import RequestReport as RequestReport
    from .requests import RequestViolation as RequestViolation
    from .requests import explore_requests as explore_requests
    from .requests import replay_requests as replay_requests
    from .runs import FailureKind as FailureKind
    from .runs import Fairness as Fairness
    from .runs import Sharing as Sharing
    from .schedule_text import ScheduleTextError as ScheduleTextError
    from .temporal import always as always
    from .temporal import eventually as eventually
    from .temporal import linearizable as linearizable
    from .temporal import never as never
    from .temporal import show_state as show_state
    from .temporal import sometimes as sometimes
    from .timelines import timeline as timeline

_NAMES = {
    "bounds": ("ALL_VERBS", "BASIC_VERBS", "Bounds", "HistoryTextError", "Move", "Verb", "every_limit"),
    "explorer": ("explore", "replay"),
    "report": ("Exploration", "ExplorationFailed", "Failure", "StopReason"),
    "runs": ("FailureKind", "Fairness", "Sharing"),
    "schedule_text": ("ScheduleTextError",),
    "temporal": ("always", "eventually", "linearizable", "never", "show_state", "sometimes"),
    "timelines": ("timeline",),
    "histories": ("HistoryReport", "HistoryViolation", "Replay", "Stop", "explore_histories", "replay_history"),
    "requests": (
        "Cancelling",
        "RequestBounds",
        "RequestReport",
        "RequestViolation",
        "explore_requests",
        "replay_requests",
    ),
    "linearizability": (
        "EMPTY",
        "TIMED_OUT",
        "FifoSpecification",
        "LifoSpecification",
        "Operation",
        "PortSpecification",
        "Recorder",
        "Specification",
        "Verdict",
        "check_linearizable",
    ),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "ALL_VERBS",
    "BASIC_VERBS",
    "Bounds",
    "EMPTY",
    "Cancelling",
    "Exploration",
    "ExplorationFailed",
    "Failure",
    "FailureKind",
    "Fairness",
    "FifoSpecification",
    "HistoryReport",
    "HistoryTextError",
    "HistoryViolation",
    "LifoSpecification",
    "Move",
    "Operation",
    "PortSpecification",
    "Recorder",
    "Replay",
    "RequestBounds",
    "RequestReport",
    "RequestViolation",
    "ScheduleTextError",
    "Sharing",
    "Specification",
    "Stop",
    "StopReason",
    "TIMED_OUT",
    "Verb",
    "Verdict",
    "always",
    "check_linearizable",
    "eventually",
    "every_limit",
    "explore",
    "explore_histories",
    "explore_requests",
    "linearizable",
    "never",
    "replay",
    "replay_history",
    "replay_requests",
    "show_state",
    "sometimes",
    "timeline",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(_HOMES)
