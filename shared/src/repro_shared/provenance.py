"""What a result depends on: its config, the code that made it, the versions of the packages, the machine."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import pkgutil
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from repro_shared.files import UserError


def config_hash(experiment: str, cell) -> str:
    """16 hex digits of the sha256 of the canonical JSON of (experiment, type name, fields).

    Tuples equal lists, paths equal their text, numpy scalars equal Python's; 1 and 1.0 differ. A field with the
    metadata {"identity": False} says how a cell is run, not what it is (its device, say), and does not count.
    """
    content = plain(cell)
    for f in fields(cell):
        if not f.metadata.get("identity", True):
            del content[f.name]
    return hashlib.sha256(json.dumps([experiment, content], sort_keys=True).encode()).hexdigest()[:16]


def plain(value):
    """`value` of a config as JSON types; a dataclass becomes a dict that names its type under "type"."""
    if is_dataclass(value):
        return {"type": type(value).__name__} | {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # numpy scalar
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a config cannot hold {value!r}: use numbers, text, paths, tuples, dicts or dataclasses")


def code_fingerprint(run: Callable) -> str:
    """16 hex digits that change when code that the results of `run` depend on changes.

    Hashed: of the module of `run`, its imports and what `run` reaches by name (so not presets and figures, however they
    are made); of every module of the same top-level package that this reaches by import statements (also inside
    functions), transitively, the whole syntax tree, with the `__init__` of every package on the way. Nothing is
    executed. Left out, because results do not depend on them: docstrings, comments, functions named `figures` or whose
    return annotation contains "Figure" (with the imports inside them), blocks under `if TYPE_CHECKING`, and other
    packages (see `versions`).

    Where the reach of an import is not plain to see, the whole package counts: `import package` (it gives a handle on
    everything below), `from package import name` when the package's `__init__` does not define `name` itself (a lazy
    export), and dynamic imports (`import_module`, `__import__`) outside a module-level `__getattr__`.
    NOT followed: data files, code in text (`exec`, `globals()[...]` with a computed name), lazy attributes reached by
    other means than an import statement, changes that another module makes to names of this one.
    """
    name = run.__module__
    if name == "__main__":
        spec = sys.modules["__main__"].__spec__
        if spec is None:
            raise UserError("run() stands in a script: put it into an importable module, so that workers can find it")
        name = spec.name
    digest = hashlib.sha256()
    for module, tree in sorted(_reach(name, run.__name__).items()):
        digest.update(f"{module}\n{tree}\n".encode())
    return digest.hexdigest()[:16]


def _locate(module: str) -> ModuleSpec | None:
    """The spec of a module, found without importing any of its parents."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    for depth, _ in enumerate(rest, start=2):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(".".join(module.split(".")[:depth]), spec.submodule_search_locations)
    return spec


def _reach(start: str, entry: str) -> dict[str, str]:
    """Module name -> dump of its stripped syntax tree, for all that `entry` in the module `start` reaches in its
    package.
    """
    reached: dict[str, str] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        spec = _locate(module)
        if spec is None:
            continue  # the name of an object, or a module that is not there
        parent = module.rpartition(".")[0]
        waiting += [parent] if parent else []
        if not (spec.origin and spec.origin.endswith(".py")):  # namespace package or compiled module
            compiled = Path(spec.origin).read_bytes() if spec.has_location and spec.origin else b""
            reached[module] = hashlib.sha256(compiled).hexdigest()
            continue
        tree = _Strip().visit(ast.parse(Path(spec.origin).read_bytes()))
        if module == start:
            tree.body = _needed_by(entry, tree.body)
        reached[module] = ast.dump(tree)
        waiting += _imports(tree, module, spec.submodule_search_locations is not None)
    return reached


def _needed_by(entry: str, body: list[ast.stmt]) -> list[ast.stmt]:
    """The top-level definitions that `entry` reaches by name (also by a text that is a name, a quoted annotation say),
    subclasses of those, and all statements that are no plain definition (imports; decorated ones, which may register
    themselves).
    """
    needed, kept = {entry}, []
    while True:
        new = [node for node in body if node not in kept and (not (names := _defined(node)) or names & needed)]
        if not new:
            return [node for node in body if node in kept]
        kept += new
        for inner in (inner for node in new for inner in ast.walk(node)):
            if isinstance(inner, ast.Name):
                needed.add(inner.id)
            elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                needed.add(inner.value)
        needed |= {
            node.name
            for node in body
            if isinstance(node, ast.ClassDef) and needed & {ast.unparse(base) for base in node.bases}
        }


def _defined(node: ast.stmt) -> set[str]:
    """Names that a plain definition binds: function or class (no decorator but `dataclass`), assignment to names."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        plain = all("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
        return {node.name} if plain else set()
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return set(_assigned(node)) if all(isinstance(target, ast.Name) for target in targets) else set()


class _Strip(ast.NodeTransformer):
    """Remove what results do not depend on; see `code_fingerprint`."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef | None:
        draws = node.name == "figures" or (node.returns is not None and "Figure" in ast.unparse(node.returns))
        return None if draws else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list | None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return [self.visit(child) for child in node.orelse]
        return self.generic_visit(node)


def _assigned(node: ast.stmt) -> list[str]:
    """Names that a statement assigns plainly (`name = ...`, `name: type = ...`)."""
    targets = getattr(node, "targets", [node.target] if isinstance(node, ast.AnnAssign) else [])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[str]:
    """Modules of the same top-level package that the imports in `tree` name (names of objects among them)."""
    top = module.partition(".")[0]
    body = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")]
    for node in (inner for outer in body for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == top:
                    yield from _below(alias.name if alias.asname else top)
                    yield alias.name
        elif isinstance(node, ast.ImportFrom):
            here = module if is_package else module.rpartition(".")[0]
            base = ".".join(here.split(".")[: len(here.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [base, node.module]))
            if base.partition(".")[0] != top:
                continue
            yield base
            for alias in node.names:
                yield from _below(f"{base}.{alias.name}")
                if alias.name == "*" or not _defines(base, alias.name):
                    yield from _below(base)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            yield from _below(top)


def _defines(module: str, name: str) -> bool:
    """Whether `module` is a plain file, or a package with a submodule `name` or a top-level definition of `name`."""
    spec = _locate(module)
    if spec is None or spec.submodule_search_locations is None or _locate(f"{module}.{name}") is not None:
        return True
    if not spec.origin:
        return False
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        names = [alias.asname or alias.name for alias in getattr(node, "names", [])]
        if name in [*names, *_assigned(node), getattr(node, "name", None)]:
            return True
    return False


def _below(module: str) -> Iterator[str]:
    """`module`, if there is one of that name, and everything below it."""
    spec = _locate(module)
    if spec is not None:
        yield module
        for info in pkgutil.iter_modules(spec.submodule_search_locations or []):
            yield from _below(f"{module}.{info.name}")


def versions(distribution: str) -> dict[str, str]:
    """Versions of `distribution`, of its direct runtime requirements (extras excluded) and of Python (major.minor).

    A requirement that is not installed is "absent". A distribution that is itself not installed (a source folder on the
    path) has no list of requirements: then every installed distribution counts, as one digest.
    """
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    try:
        found[distribution] = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        everything = sorted(f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions())
        digest = hashlib.sha256("\n".join(everything).encode()).hexdigest()[:16]
        return found | {distribution: "not installed", "all installed distributions": digest}
    for requirement in metadata.requires(distribution) or []:
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement).group()
        if "extra ==" not in requirement.replace("extra==", "extra =="):
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "absent"
    return found


def git_state(source: Path) -> dict | None:
    """Commit of the repository that tracks the file `source` and whether its folder has changes; None outside git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", source.parent, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", source.name)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.CalledProcessError):
        return None


def machine() -> dict:
    """Python, operating system, processor, cores, memory and GPUs of this machine."""
    import psutil

    return {
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpus(),
    }


def _cpu_model() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Names of NVIDIA GPUs from the driver, which starts no CUDA context; others from torch where it is loaded."""
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True)
        return done.stdout.strip().splitlines() if done.returncode == 0 else []
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return []
