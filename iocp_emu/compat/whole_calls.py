"""What is one call of C code on Windows is one call here too, as far as Ctrl-C can tell.

Theory.  See `runtime.interrupts`: an exception that comes out of the middle of a call, when a packet has been taken and
is not yet returned, leaves a guest's records and the port at odds for good.  asyncio's proactor, for one, waits at its
end for the packet of every operation.

Own rule.  Whoever runs a simulation is interrupted by it, not by its programs' calls.
"""

from __future__ import annotations

import sys
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


def whole_finalizer(finalize: Callable[[Any], None]) -> Callable[[Any], None]:
    """`finalize` as a whole call, and nothing at all while the interpreter ends: the names it needs may be gone."""
    is_finalizing = sys.is_finalizing

    @wraps(finalize)
    def whole(instance: Any) -> None:
        if not is_finalizing():
            with current_system().one_call:
                finalize(instance)

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
                if not isfunction(method):
                    continue
                if method_name == "__del__":
                    setattr(value, method_name, whole_finalizer(method))
                elif method_name == "__init__" or not method_name.startswith("_"):
                    setattr(value, method_name, whole_call(method))
