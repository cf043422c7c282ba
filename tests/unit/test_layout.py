"""The shape of the package, checked on its source: imports, size, docstrings, nothing of a machine in it.

Each check is a function from a package's modules (or a checkout's files) to findings, one line each. It
stands in two kinds of tests: over the product, which must have no finding, and over small synthetic
trees, which show that the check sees what it is there for. Nothing is imported: modules are read with
`ast`.

An import counts wherever it stands: in a function, under `if TYPE_CHECKING:`, or as a literal given to
`import_module`. The one exception is `iocp_emu/__init__.py`, which names the public objects for type
checkers.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = "iocp_emu"

# Each layer and what it stands on directly; it may import these and everything that they stand on. A layer is
# a module or package directly under iocp_emu. "__init__" is the public face; nobody inside imports "compat".
STANDS_ON: dict[str, tuple[str, ...]] = {
    "status": (),
    "rules": (),
    "errors": ("status",),
    "profiles": ("errors",),
    "kernel": ("profiles",),
    "runtime": ("kernel",),
    "overlapped": ("runtime",),
    "inspection": ("overlapped",),
    "port": ("overlapped",),
    "pipes": ("port",),
    "simulated": ("port",),
    "sockets": ("port",),
    "sync": ("port",),
    "flat": ("overlapped",),
    "win32": ("flat",),
    "ntdll": ("flat",),
    "executor": ("sync", "win32", "ntdll"),
    "__init__": ("executor", "inspection", "pipes", "simulated", "sockets"),
    "compat": ("__init__",),
    "trace": ("runtime", "rules"),
    "testing": ("__init__", "trace"),
    "teach": ("testing",),
    "cli": ("teach",),
    "__main__": ("cli",),
}
# These stand side by side: one may import another, as long as no circle of them comes of it.
FACES = frozenset({"port", "win32", "ntdll"})

# What knows threads, time, chance or the outside world has no place in the kernel model.
KERNEL_FORBIDDEN = frozenset(
    {"_thread", "asyncio", "os", "random", "select", "socket", "subprocess", "threading", "time"}
)

MAX_MODULE_LINES = 600

# A file here counts before git tracks it; elsewhere may stand what is not ours, such as an environment.
OWN_DIRECTORIES = (".ci", "benchmarks", PACKAGE, "tests")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

# Neither pattern matches its own source text, so this file needs no exception.
MACHINE_PATH = re.compile(r"(?<![\w.~}-])/(?:(?:home|root|work)/|opt/(?:pypi))")
REGISTRY_HOST = re.compile(
    r"\b(?:(?:[\w-]+\.)*pypi\.\w+|[\w-]+\.pythonhosted\.\w+|registry\.(?:npmjs|yarnpkg)\.\w+|proxy\.golang\.\w+"
    r"|(?:[\w-]+\.)*(?:artifactory|jfrog|nexus|devpi)\.[\w-]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Module:
    """One source file of a package: its dotted name, its path, its text and its syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def layer(self) -> str:
        """The module's place in the direction of imports."""
        return self.name.split(".")[1] if "." in self.name else "__init__"

    @property
    def package(self) -> str:
        """The package from which relative imports in this module start."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def absolute(self, name: str) -> str:
        """A dotted name as it may stand in an import, with the leading dots of a relative one resolved."""
        inner = name.lstrip(".")
        if inner == name:
            return name
        parents = self.package.split(".")
        start = parents[: len(parents) - (len(name) - len(inner)) + 1]
        return ".".join([*start, inner] if inner else start)

    def at(self, line: int) -> str:
        """The place of a finding, as a clickable path from the directory that holds the package."""
        depth = len(self.name.split(".")) + (self.path.name == "__init__.py")
        return f"{Path(*self.path.parts[-depth:]).as_posix()}:{line}"


def read_modules(package: Path) -> list[Module]:
    """All modules of the package at this directory, sorted by name."""
    modules: list[Module] = []
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        modules.append(Module(name, path, text, ast.parse(text, filename=str(path))))
    return sorted(modules, key=lambda module: module.name)


def is_type_checking(test: ast.expr) -> bool:
    """Whether this condition is `TYPE_CHECKING` or `typing.TYPE_CHECKING`."""
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def nodes_that_import(module: Module) -> Iterator[ast.AST]:
    """Every node whose imports count, depth first in source order."""
    public_face = module.name == PACKAGE
    pending: list[ast.AST] = [module.tree]
    while pending:
        node = pending.pop()
        yield node
        if public_face and isinstance(node, ast.If) and is_type_checking(node.test):
            pending.extend(reversed(node.orelse))
        else:
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that the module imports; `from a import b` gives `a.b`."""
    for node in nodes_that_import(module):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                base = module.absolute("." * level + (source or ""))
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, module.absolute(name)
            case _:
                pass


def layers_below(layer: str) -> set[str]:
    """Every layer that this one may import, itself and the faces beside a face among them."""
    below = {layer}
    for support in STANDS_ON[layer]:
        below |= layers_below(support)
    return below | FACES if layer in FACES else below


def layer_of_import(name: str, layers: set[str]) -> str | None:
    """The layer that an imported name belongs to; None when it is not of this package."""
    top, _, rest = name.partition(".")
    if top != PACKAGE:
        return None
    inner = rest.partition(".")[0]
    return inner if inner in layers else "__init__"


def wrong_way_imports(modules: list[Module]) -> list[str]:
    """Imports against the direction, modules that the direction does not place, and circles of faces."""
    findings: list[str] = []
    layers = {module.layer for module in modules}
    beside: dict[str, set[str]] = {face: set() for face in sorted(FACES)}
    for module in modules:
        if module.layer not in STANDS_ON:
            findings.append(f"{module.at(1)}: {module.layer} has no place in the direction of imports")
            continue
        below = layers_below(module.layer)
        for line, name in imports(module):
            target = layer_of_import(name, layers | STANDS_ON.keys())
            if target is None:
                continue
            if target not in below:
                findings.append(f"{module.at(line)}: {module.layer} may not import {target} ({name})")
            elif module.layer in FACES and target in FACES - {module.layer}:
                beside[module.layer].add(target)
    try:
        TopologicalSorter(beside).prepare()
    except CycleError as error:
        findings.append(f"faces import each other in a circle: {' -> '.join(error.args[1])}")
    return findings


def impure_kernel_imports(modules: list[Module]) -> list[str]:
    """Imports in the kernel of what only a runtime may know."""
    return [
        f"{module.at(line)}: the kernel may not import {name}"
        for module in modules
        if module.layer == "kernel"
        for line, name in imports(module)
        if name.split(".")[0] in KERNEL_FORBIDDEN
    ]


def long_modules(modules: list[Module]) -> list[str]:
    """Modules that want a second room."""
    return [
        f"{module.at(1)}: {lines} lines, more than {MAX_MODULE_LINES}"
        for module in modules
        if (lines := len(module.text.splitlines())) > MAX_MODULE_LINES
    ]


def public_definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Public functions, classes and methods below this node, by qualified name; none inside functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Definition):
            yield from public_definitions(child, prefix)
        elif not child.name.startswith("_"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child, f"{prefix}{child.name}.")


def is_documented_elsewhere(definition: Definition) -> bool:
    """Whether the docstring stands on the implementation, the getter or the overridden method."""
    names = {
        decorator.attr if isinstance(decorator, ast.Attribute) else decorator.id
        for decorator in definition.decorator_list
        if isinstance(decorator, ast.Attribute | ast.Name)
    }
    return not names.isdisjoint({"overload", "override", "setter", "deleter"})


def missing_docstrings(modules: list[Module]) -> list[str]:
    """Modules, and public functions, classes and methods in them, that have no docstring."""
    findings: list[str] = []
    for module in modules:
        if not ast.get_docstring(module.tree):
            findings.append(f"{module.at(1)}: the module has no docstring")
        findings += [
            f"{module.at(definition.lineno)}: {name} has no docstring"
            for name, definition in public_definitions(module.tree)
            if not ast.get_docstring(definition) and not is_documented_elsewhere(definition)
        ]
    return findings


def traces_of_a_machine(files: list[Path], root: Path) -> list[str]:
    """Lines that name a path of some machine or the host of a package registry."""
    findings: list[str] = []
    for file in files:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        findings += [
            f"{file.relative_to(root).as_posix()}:{number}: {found.group()}"
            for number, line in enumerate(lines, start=1)
            for pattern in (MACHINE_PATH, REGISTRY_HOST)
            for found in pattern.finditer(line)
        ]
    return findings


def git(root: Path, *arguments: str) -> str:
    """What git prints for this repository, whoever owns it, and also when a git hook started the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(
        command, cwd=root, env=environment, check=True, capture_output=True, encoding="utf-8"
    ).stdout


def files_of_checkout(root: Path) -> list[Path]:
    """The files that git tracks at this root, and those in our own directories that it would add."""
    tracked = git(root, "ls-files", "-z")
    new = git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *OWN_DIRECTORIES)
    names = {*tracked.split("\0"), *new.split("\0")} - {""}
    return [path for name in sorted(names) if (path := root / name).is_file()]


# The product.


@pytest.fixture(scope="module")
def product() -> list[Module]:
    """The modules of the package in this checkout."""
    modules = read_modules(CHECKOUT / PACKAGE)
    assert {"__init__", "status", "kernel"} <= {module.layer for module in modules}
    return modules


def test_imports_go_one_way(product: list[Module]) -> None:
    """No module imports against the direction."""
    assert not wrong_way_imports(product)


def test_kernel_is_pure(product: list[Module]) -> None:
    """The kernel model imports nothing that knows threads, time, chance or the outside world."""
    assert not impure_kernel_imports(product)


def test_modules_are_short(product: list[Module]) -> None:
    """No module is longer than 600 lines."""
    assert not long_modules(product)


def test_public_names_have_docstrings(product: list[Module]) -> None:
    """Modules and everything public in them say what they are."""
    assert not missing_docstrings(product)


def test_no_file_names_a_machine() -> None:
    """No file of the checkout holds a path of some machine or the host of a package registry."""
    if not (CHECKOUT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout, or no git")
    files = files_of_checkout(CHECKOUT)
    assert Path(__file__).resolve() in files
    assert not traces_of_a_machine(files, CHECKOUT)


# The checks themselves, on synthetic trees.


def tree(root: Path, sources: dict[str, str]) -> list[Module]:
    """The modules of a package written under this root from {path inside the package: source}."""
    for name, source in sources.items():
        path = root / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return read_modules(root / PACKAGE)


def test_module_names_layers_and_packages(tmp_path: Path) -> None:
    """Names, layers and the start of relative imports of packages, modules and the public face."""
    paths = ["__init__.py", "__main__.py", "kernel/__init__.py", "kernel/queue.py", "status.py"]
    modules = tree(tmp_path, dict.fromkeys(paths, ""))
    assert [(module.name, module.layer, module.package, module.at(7)) for module in modules] == [
        ("iocp_emu", "__init__", "iocp_emu", "iocp_emu/__init__.py:7"),
        ("iocp_emu.__main__", "__main__", "iocp_emu", "iocp_emu/__main__.py:7"),
        ("iocp_emu.kernel", "kernel", "iocp_emu.kernel", "iocp_emu/kernel/__init__.py:7"),
        ("iocp_emu.kernel.queue", "kernel", "iocp_emu.kernel", "iocp_emu/kernel/queue.py:7"),
        ("iocp_emu.status", "status", "iocp_emu", "iocp_emu/status.py:7"),
    ]


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("port.py", "import a.b as c, d", ["a.b", "d"]),
        ("port.py", "from a.b import c, d as e", ["a.b.c", "a.b.d"]),
        ("port.py", "from . import kernel", ["iocp_emu.kernel"]),
        ("port.py", "from .kernel.queue import KernelQueue", ["iocp_emu.kernel.queue.KernelQueue"]),
        ("__init__.py", "from .kernel import queue", ["iocp_emu.kernel.queue"]),
        ("kernel/__init__.py", "from . import queue", ["iocp_emu.kernel.queue"]),
        ("kernel/queue.py", "from .. import status", ["iocp_emu.status"]),
        ("kernel/queue.py", "from ..status import NtStatus", ["iocp_emu.status.NtStatus"]),
        ("port.py", "def f():\n    import a", ["a"]),
        ("port.py", "if TYPE_CHECKING:\n    import a\nelse:\n    import b", ["a", "b"]),
        ("port.py", "import_module('a.b'); importlib.import_module('c'); __import__('d')", ["a.b", "c", "d"]),
        ("port.py", "import_module('.wings', __name__)", ["iocp_emu.wings"]),
        ("port.py", "import_module(name); other('a')", []),
        ("__init__.py", "if TYPE_CHECKING:\n    import a\nelse:\n    import b", ["b"]),
        ("__init__.py", "if typing.TYPE_CHECKING:\n    import a\nif x:\n    import b", ["b"]),
        ("kernel/__init__.py", "if TYPE_CHECKING:\n    import a", ["a"]),
    ],
)
def test_imports_are_found(tmp_path: Path, path: str, source: str, expected: list[str]) -> None:
    """Every form of import is found and made absolute, and only the public face has its exception."""
    (module,) = tree(tmp_path, {path: source})
    assert [name for _, name in imports(module)] == expected


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("status.py", "import enum"),
        ("kernel/queue.py", "from iocp_emu import status, profiles"),
        ("kernel/queue.py", "from iocp_emu.kernel.thread import KernelThread"),
        ("kernel/queue.py", "import iocp_emu_other"),
        ("runtime/threads.py", "import threading\nfrom ..kernel import queue"),
        ("port.py", "from iocp_emu.overlapped import files\nfrom .errors import PortClosed"),
        ("win32.py", "from iocp_emu import ntdll"),
        ("executor.py", "from iocp_emu.port import CompletionPort"),
        ("__init__.py", "from iocp_emu.errors import PortClosed"),
        ("__init__.py", "if TYPE_CHECKING:\n    from iocp_emu.cli import main"),
        ("compat/asyncio.py", "import iocp_emu"),
        ("trace/recorder.py", "from iocp_emu.runtime import threads"),
        ("testing/explorer.py", "from iocp_emu import CompletionPort, trace"),
        ("cli.py", "from iocp_emu import __version__, teach, testing"),
        ("__main__.py", "from iocp_emu.cli import main"),
    ],
)
def test_imports_with_the_direction_pass(tmp_path: Path, path: str, source: str) -> None:
    """Imports from the own layer, from layers below and from outside are no finding."""
    assert not wrong_way_imports(tree(tmp_path, {path: source}))


@pytest.mark.parametrize(
    ("path", "source", "finding"),
    [
        ("status.py", "from . import profiles", "1: status may not import profiles"),
        ("profiles.py", "import iocp_emu.kernel", "1: profiles may not import kernel"),
        ("kernel/queue.py", "\nfrom ..runtime import x", "2: kernel may not import runtime"),
        ("kernel/queue.py", "from iocp_emu import CompletionPort", "1: kernel may not import __init__"),
        ("kernel/queue.py", "if TYPE_CHECKING:\n  from .. import port", "2: kernel may not import port"),
        ("runtime/threads.py", "from .. import overlapped", "1: runtime may not import overlapped"),
        ("overlapped/files.py", "from ..port import File", "1: overlapped may not import port"),
        ("port.py", "from .executor import X", "1: port may not import executor"),
        ("port.py", "from . import trace", "1: port may not import trace"),
        ("executor.py", "import_module('iocp_emu.compat')", "1: executor may not import compat"),
        ("__init__.py", "from . import cli", "1: __init__ may not import cli"),
        ("trace/text.py", "from .. import port", "1: trace may not import port"),
        ("testing/x.py", "from .. import teach", "1: testing may not import teach"),
        ("cli.py", "from . import compat", "1: cli may not import compat"),
        ("attic.py", "", "1: attic has no place in the direction of imports"),
    ],
)
def test_imports_against_the_direction_are_findings(
    tmp_path: Path, path: str, source: str, finding: str
) -> None:
    """One import the other way, in whatever form, is one finding with its place."""
    (found,) = wrong_way_imports(tree(tmp_path, {path: source}))
    assert found.partition(" (")[0] == f"iocp_emu/{path}:{finding}"


def test_faces_in_a_circle_are_a_finding(tmp_path: Path) -> None:
    """A face may use another face, but not in a circle."""
    sources = {"win32.py": "from . import ntdll", "ntdll.py": "from . import port", "port.py": ""}
    assert not wrong_way_imports(tree(tmp_path, sources))
    (finding,) = wrong_way_imports(tree(tmp_path, {"port.py": "from . import win32"}))
    assert finding.startswith("faces import each other in a circle: ")


@pytest.mark.parametrize("name", sorted(KERNEL_FORBIDDEN))
def test_impure_kernel_imports_are_findings(tmp_path: Path, name: str) -> None:
    """What the kernel must not know is a finding there, also as a submodule, and nowhere else."""
    source = f"import {name}\nfrom {name}.inner import x\nfrom .{name} import y"
    modules = tree(tmp_path, {"kernel/queue.py": source, "runtime/threads.py": source})
    assert impure_kernel_imports(modules) == [
        f"iocp_emu/kernel/queue.py:1: the kernel may not import {name}",
        f"iocp_emu/kernel/queue.py:2: the kernel may not import {name}.inner.x",
    ]


def test_long_modules_are_findings(tmp_path: Path) -> None:
    """600 lines pass, 601 do not."""
    modules = tree(tmp_path, {"status.py": "\n" * 600, "profiles.py": "\n" * 601})
    assert long_modules(modules) == ["iocp_emu/profiles.py:1: 601 lines, more than 600"]


def test_missing_docstrings_are_findings(tmp_path: Path) -> None:
    """Public definitions without docstring are findings, except where the text stands elsewhere."""
    source = """
if condition:
    def conditional(): ...

async def coroutine(): ...

def documented():
    "Text."
    def local(): ...

def _private(): ...

class _Private:
    def method(self): ...

class Public:
    def __init__(self): ...
    def _private(self): ...
    def method(self): ...
    @property
    def value(self): ...
    @value.setter
    def value(self, new): ...
    @typing.overload
    def overloaded(self, x): ...
    @override
    def overridden(self): ...
    class Inner:
        "Text."
        def method(self): ...
"""
    findings = missing_docstrings(tree(tmp_path, {"status.py": source}))
    assert [finding.partition(": ")[2].removesuffix(" has no docstring") for finding in findings] == [
        "the module",
        "conditional",
        "coroutine",
        "Public",
        "Public.method",
        "Public.value",
        "Public.Inner.method",
    ]
    assert findings[1].startswith("iocp_emu/status.py:3:")


@pytest.mark.parametrize(
    "trace",
    [
        *("/".join(["", top, "someone", "x"]) for top in ("home", "root", "work")),
        "/".join(["", "opt", "pypi"]),
        "file://" + "/".join(["", "home", "x"]),
        ".".join(["pypi", "org"]),
        ".".join(["files", "pythonhosted", "org"]),
        ".".join(["registry", "npmjs", "org"]),
        ".".join(["mirror", "artifactory", "example"]),
    ],
)
def test_traces_of_a_machine_are_findings(tmp_path: Path, trace: str) -> None:
    """A path below a machine's own directories, and a registry's host, are findings with file and line."""
    file = tmp_path / "notes.md"
    file.write_text(f"first\nsee '{trace}'\n", encoding="utf-8")
    (finding,) = traces_of_a_machine([file], tmp_path)
    assert finding.startswith("notes.md:2: ")


def test_harmless_text_is_no_trace_of_a_machine(tmp_path: Path) -> None:
    """Relative paths, variables, homes by tilde, web addresses and binary data are no finding."""
    file = tmp_path / "notes.bin"
    file.write_bytes(
        b"tests/work/x ~/work/x $HOME/work/ ${X}/home/ example.org/home/ /homely PyPI. pypi\n\xff\x00\n"
    )
    assert not traces_of_a_machine([file], tmp_path)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_files_of_a_checkout(tmp_path: Path) -> None:
    """Tracked files are listed, and new ones in own directories; no ignored, removed or foreign ones."""
    git(tmp_path, "init", "-q")
    for name in (".gitignore", "env/x.py", "notes.md", "removed.md", "tests/new.log", "tests/ü.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("*.log\n", encoding="utf-8")
    git(tmp_path, "add", ".gitignore", "notes.md", "removed.md")
    (tmp_path / "removed.md").unlink()
    assert files_of_checkout(tmp_path) == [
        tmp_path / name for name in (".gitignore", "notes.md", "tests/ü.txt")
    ]
