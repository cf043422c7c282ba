"""The guest loader: only the chosen modules see the view, and nothing stays behind."""

from __future__ import annotations

import errno
import importlib
import inspect
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from iocp_emu.compat import ABSENT, ModuleView, guest, run_guest
from iocp_emu.compat.guests import importer
from iocp_emu.compat.views import windows_errno, windows_os, windows_signal, windows_socket, windows_sys

SOURCE = """
import sys
import secret
import secret.inner as inner
from sys import platform as from_sys
from .other import VALUE
import os.path

def later():
    import sys
    return sys.platform

TOP = os.path.join("a", "b")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with a module that imports what only guests can."""
    root = tmp_path / "guest_sample"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "other.py").write_text("import sys\nVALUE = sys.platform\n")
    (root / "code.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "guest_sample"
    for name in [name for name in sys.modules if name.startswith("guest_sample")]:
        del sys.modules[name]


@pytest.fixture
def view() -> dict[str, ModuleType]:
    """A view with a Windows `sys` and a module that the host does not have."""
    secret = ModuleType("secret")
    inner = ModuleType("secret.inner")
    secret.inner = inner  # type: ignore[attr-defined]
    return {"sys": windows_sys(), "secret": secret, "secret.inner": inner}


def test_only_guests_see_the_view(package: str, view: dict[str, ModuleType]) -> None:
    """clients.md 9: every form of import is translated, in functions too; a module beside it sees the host."""
    before = dict(sys.modules)
    with guest({f"{package}.code": view}) as guests:
        code = importlib.import_module(f"{package}.code")
        assert code.sys.platform == code.from_sys == code.later() == "win32"
        assert code.secret is view["secret"]
        assert code.inner is view["secret.inner"]
        assert sys.platform == code.VALUE != "win32"
        assert code.TOP == "a/b" or "\\" in code.TOP
        assert "secret" not in sys.modules
        assert set(guests.modules) == {f"{package}.code"}
    assert f"{package}.code" not in sys.modules
    assert not hasattr(sys.modules[package], "code")
    assert {name for name in sys.modules if name not in before} == {package, f"{package}.other"}


def test_patterns_and_their_order(package: str, view: dict[str, ModuleType]) -> None:
    """Patterns are those of fnmatch, and the first that matches counts."""
    plan9 = {"sys": ModuleView(sys, platform="plan9")}
    with guest({f"{package}.oth*": plan9, f"{package}.*": view}):
        assert importlib.import_module(f"{package}.code").VALUE == "plan9"


def test_code_objects_are_unchanged(package: str, view: dict[str, ModuleType]) -> None:
    """What a guest executes is what the file compiles to."""
    with guest({f"{package}.code": view}):
        code = importlib.import_module(f"{package}.code")
        spec = code.__spec__
        assert spec is not None
        whole = compile(Path(str(code.__file__)).read_bytes(), str(code.__file__), "exec", dont_inherit=True)
        assert spec.loader.get_code(spec.name) == whole  # type: ignore[union-attr]
        assert code.later.__code__ in whole.co_consts
        assert inspect.getsource(code.later).startswith("def later")


def test_what_was_imported_before_comes_back(package: str, view: dict[str, ModuleType]) -> None:
    """A module of the host is set aside while its guest exists."""
    native = importlib.import_module(f"{package}.other")
    with guest({f"{package}.other": view}) as guests:
        assert importlib.import_module(f"{package}.other").VALUE == "win32"
        guests.uninstall()
        guests.uninstall()
    assert sys.modules[f"{package}.other"] is native
    assert sys.modules[package].other is native
    assert native.VALUE != "win32"


def test_a_guest_that_fails_leaves_nothing(package: str) -> None:
    """A failing import is the guest's own error."""
    with guest({f"{package}.code": {}}), pytest.raises(ModuleNotFoundError, match="secret"):
        importlib.import_module(f"{package}.code")
    assert f"{package}.code" not in sys.modules


def test_import_of_dotted_names() -> None:
    """`import a.b` binds a, `from a import b` and `import a.b as c` get what the view has for them."""
    a, b = ModuleType("a"), ModuleType("a.b")
    lookup = importer({"a": a, "a.b": b})
    assert lookup("a.b") is a
    assert lookup("a.b", fromlist=("x",)) is b
    assert lookup("os.path").__name__ == "os"
    with_os = importer({"os": windows_os()})
    assert with_os("os.path").name == "nt"
    assert with_os("os.path", fromlist=("join",)).__name__ in ("posixpath", "ntpath")
    with pytest.raises(ModuleNotFoundError):
        lookup("a.c")


def test_run_guest(tmp_path: Path, view: dict[str, ModuleType]) -> None:
    """A script runs as `__main__`, which stands in sys.modules only meanwhile."""
    script = tmp_path / "script.py"
    script.write_text("import sys\nresult = sys.platform, sys.modules[__name__].__dict__ is globals()\n")
    main = sys.modules["__main__"]
    assert run_guest(str(script), view)["result"] == ("win32", True)
    assert sys.modules["__main__"] is main
    assert run_guest(str(script), {}, name="elsewhere")["result"][0] == sys.platform
    assert "elsewhere" not in sys.modules


def test_module_view() -> None:
    """Own names differ, others pass through both ways, ABSENT ones do not exist."""
    host = ModuleType("host", "Its docstring.")
    host.__dict__.update(shared=1, changed=2, hidden=3, _private=4)
    view = ModuleView(host, changed=20, added=30, hidden=ABSENT)
    assert (view.shared, view.changed, view.added, view.__doc__) == (1, 20, 30, "Its docstring.")
    assert not hasattr(view, "hidden")
    view.shared, view.changed, view.hidden, view.later = 10, 200, 300, 400
    assert (host.shared, host.changed, host.hidden, host.later) == (10, 2, 3, 400)
    assert (view.changed, view.hidden) == (200, 300)
    del view.shared, view.changed
    assert host.shared == 1
    del view.shared
    assert not hasattr(host, "shared")
    assert not hasattr(view, "changed")
    with pytest.raises(AttributeError):
        del view.changed
    names: dict[str, object] = {}
    exec("from host import *", {"__builtins__": {"__import__": importer({"host": view})}}, names)
    assert names == {"added": 30, "hidden": 300, "later": 400}
    assert {"added", "_private"} <= set(dir(view))
    assert "changed" not in dir(view)


def test_views_of_the_standard_library() -> None:
    """What programs look at to tell Windows; the host's own modules stay as they are."""
    assert windows_sys().platform == "win32"
    assert windows_os().name == "nt"
    assert windows_errno().WSAEINVAL == 10022
    assert windows_errno().EINVAL == errno.EINVAL
    signals = windows_signal()
    assert signals.CTRL_BREAK_EVENT == signals.SIGTERM
    assert not hasattr(signals, "SIGKILL")
    assert not hasattr(signals, "SIGALRM")
    assert "SIGKILL" not in dir(signals)
    assert not hasattr(windows_socket(), "AF_UNIX")
    assert windows_socket().socket is socket.socket
    assert not hasattr(errno, "WSAEINVAL")
