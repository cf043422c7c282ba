"""What is one call of C code on Windows is one call here too, as far as Ctrl-C can tell.

Theory.  See `runtime.interrupts`: an exception that comes out of the middle of a call, when a packet has been taken and
is not yet returned, leaves a guest's records and the port at odds for good.  asyncio's proactor, for one, waits at its
end for the packet of every operation.

Own rule.  Whoever runs a simulation is interrupted by it, not by its programs' calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Any, TypeVar

from typing_extensions import ParamSpec

from ..runtime.ambient import current_system

P = ParamSpec("P")
R = TypeVar("R")


def whole_call(call: Callable[P, R]) -> Callable[P, R]:
    """`call`, during which Ctrl-C waits; it ends a wait all the same."""

    @wraps(call)
    def whole(*args: P.args, **kwargs: P.kwargs) -> R:
        with current_system().one_call:
            return call(*args, **kwargs)

    return whole


def make_whole(namespace: dict[str, Any]) -> None:
    """Do so for every public function of a module, and every public method of its classes; given its globals."""
    for name, value in list(namespace.items()):
        if getattr(value, "__module__", "") != namespace["__name__"] or name.startswith("_"):
            continue
        if isfunction(value):
            namespace[name] = whole_call(value)
        elif isinstance(value, type):
            for method_name, method in list(vars(value).items()):
                if isfunction(method) and (not method_name.startswith("_") or method_name in ("__init__", "__del__")):
                    setattr(value, method_name, whole_call(method))
