"""The guest loader: chosen modules run with their own `import`.

Theory.  An import statement calls the `__import__` of the builtins that its module was given.  A module whose globals
hold a private `__builtins__` before its code runs keeps that for life, also in its functions.  So the loader stands
before the host's finders, lets them find the module, puts private builtins into the fresh module, and has the module's
own loader execute its own code object.  Nothing is compiled, patched or copied.

A *view* maps names, as they stand in import statements, to modules.  A name in it is what the guest gets; any other is
the host's.  `ModuleView` is a module that differs from the host's in some names and passes everything else through.

Own rules.  A module that was imported before its guest loader came is set aside, and comes back when the loader goes;
what holds a reference to it keeps it.  A guest's builtins are a copy: what is later patched in `builtins` it does not
see.  Only import statements and `__import__` are translated; `importlib.import_module` finds the host's modules.
"""

from __future__ import annotations

import builtins
import enum
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, TypeAlias

from typing_extensions import Self

View: TypeAlias = Mapping[str, ModuleType]
"""What a guest's import statements find: a module for each name, as it stands in the statement."""


class _Absent(enum.Enum):
    ABSENT = "the name that a view does not have, though the host's module does"

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = _Absent.ABSENT
"""As the value of a name in a `ModuleView`: it does not exist."""


class ModuleView(ModuleType):
    """A module as guests see it: `names` differ, everything else is that of `host`, now and later.

    A name that is ABSENT does not exist.  Setting or deleting one of the names changes the view; any other, the host's
    module, where deleting what was set through the view brings back what was there before: so test tools undo.

    >>> import sys
    >>> view = ModuleView(sys, platform="win32", getwindowsversion=None, abiflags=ABSENT)
    >>> view.platform, view.path is sys.path, sys.platform == "win32", hasattr(view, "abiflags")
    ('win32', True, False, False)
    """

    def __init__(self, host: ModuleType, /, **names: Any) -> None:
        super().__init__(host.__name__, host.__doc__)
        present = {name: value for name, value in names.items() if value is not ABSENT}
        self.__dict__.update(present, _host=host, _names=frozenset(names), _before={})
        for name in ("__file__", "__loader__", "__package__", "__path__", "__spec__"):
            if hasattr(host, name):
                self.__dict__[name] = getattr(host, name)

    def __getattr__(self, name: str) -> Any:
        host, names = self.__dict__["_host"], self.__dict__["_names"]
        if name in names:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)
        if name == "__all__":
            public = getattr(host, name, None) or [each for each in dir(host) if not each.startswith("_")]
            return self._with_own(public)
        return getattr(host, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__["_names"]:
            self.__dict__[name] = value
        else:
            host = self.__dict__["_host"]
            if hasattr(host, name):
                self.__dict__["_before"].setdefault(name, getattr(host, name))
            setattr(host, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__["_names"]:
            super().__delattr__(name)
        elif name in self.__dict__["_before"]:
            setattr(self.__dict__["_host"], name, self.__dict__["_before"].pop(name))
        else:
            delattr(self.__dict__["_host"], name)

    def __dir__(self) -> list[str]:
        return self._with_own(dir(self.__dict__["_host"]))

    def _with_own(self, names: Iterable[str]) -> list[str]:
        """These names of the host's, without what differs, and of that what exists."""
        own = self.__dict__["_names"]
        return sorted({*names} - own | {name for name in own if name in self.__dict__})


def importer(view: View) -> Callable[..., Any]:
    """An `__import__` that finds what is in `view`, and hands everything else to the host's."""

    def guest_import(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        top = name.partition(".")[0]
        if level == 0 and name in view:
            if fromlist or name == top:
                return view[name]
            if top in view:
                return view[top]
        found = builtins.__import__(name, globals, locals, fromlist or (), level)
        return view[top] if level == 0 and not fromlist and top in view else found

    return guest_import


def builtins_with(view: View) -> dict[str, Any]:
    """The builtins of a guest: a copy of those in the view, or of the host's, with an `__import__` of its own."""
    seen = view.get("builtins", builtins)
    return {**{name: getattr(seen, name) for name in dir(seen)}, "__import__": importer(view)}


class _GuestLoader(Loader):
    """Runs a module with private builtins; in all else the loader that it wraps."""

    def __init__(self, loader: Loader, private: dict[str, Any], loaded: dict[str, ModuleType]) -> None:
        self._loader = loader
        self._private = private
        self._loaded = loaded

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._private
        self._loaded[module.__name__] = module
        self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class Guests(MetaPathFinder):
    """Guest loaders for the modules that match a pattern; made by `guest`.

    `modules` are those loaded so far, by name.  Usable as a context manager; `uninstall` ends it.
    """

    def __init__(self, views: Mapping[str, View]) -> None:
        self.modules: dict[str, ModuleType] = {}
        self._builtins = {pattern: builtins_with(view) for pattern, view in views.items()}
        self._aside = {name: module for name, module in list(sys.modules.items()) if self._matches(name)}
        self._aside_attributes = dict(_bound_in_parents(self._aside))
        for name in self._aside:
            del sys.modules[name]
        sys.meta_path.insert(0, self)

    def _matches(self, name: str) -> dict[str, Any] | None:
        for pattern, private in self._builtins.items():
            if fnmatchcase(name, pattern):
                return private
        return None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the host's finders find, to be run as a guest; None for a name that matches no pattern."""
        private = self._matches(fullname)
        if private is None:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, Guests) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _GuestLoader(spec.loader, private, self.modules)
                return spec
        return None

    def uninstall(self) -> None:
        """Load no more guests, take those loaded out of `sys.modules`, put back what was set aside.  Once."""
        if self not in sys.meta_path:
            return
        sys.meta_path.remove(self)
        for name, module in self.modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        for (parent, attribute), module in _bound_in_parents(self.modules):
            if vars(parent).get(attribute) is module:
                delattr(parent, attribute)
        sys.modules.update(self._aside)
        for (parent, attribute), module in self._aside_attributes.items():
            setattr(parent, attribute, module)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()


def _bound_in_parents(modules: Mapping[str, ModuleType]) -> Iterator[tuple[tuple[ModuleType, str], ModuleType]]:
    """The parent package and the attribute by which it knows each of these modules."""
    for name, module in modules.items():
        package, _, attribute = name.rpartition(".")
        parent = modules.get(package) or sys.modules.get(package)
        if parent is not None and vars(parent).get(attribute) is module:
            yield (parent, attribute), module


def guest(views: Mapping[str, View]) -> Guests:
    """Run modules as guests from now on: each whose name matches a pattern imports by the view of that pattern.

    Patterns are those of `fnmatch`, and the first that matches counts.  In force until `uninstall()`, or to the end of
    a `with` block.  O(modules imported so far).

    >>> import sys
    >>> with guest({"this": {"sys": ModuleView(sys, platform="win32")}}) as guests:
    ...     sys.platform == "win32"
    False
    """
    return Guests(views)


def run_guest(path: str, view: View, *, name: str = "__main__") -> dict[str, Any]:
    """Run the script at `path` as a guest; its globals.  Raises what the script raises.

    The script's own module stands in `sys.modules` under `name` while it runs, as pickling and `inspect` need it.
    """
    module = ModuleType(name)
    module.__dict__.update(__builtins__=builtins_with(view), __file__=path, __cached__=None)
    outer = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compiled(path), module.__dict__)
    finally:
        if outer is not None:
            sys.modules[name] = outer
        else:
            del sys.modules[name]
    return module.__dict__


def compiled(path: str) -> CodeType:
    """The code object of the Python source at `path`."""
    code: CodeType = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    return code
