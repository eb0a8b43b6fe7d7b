"""Config hashes, code fingerprints and versions: what a result depends on is noticed, and nothing else."""

import importlib
import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from repro_shared.files import UserError
from repro_shared.provenance import code_fingerprint, config_hash, git_state, machine, versions

PACKAGE = {
    "__init__.py": '''
        """A package with a lazy export."""
        import importlib
        from typing import TYPE_CHECKING

        from made.eager import shout

        if TYPE_CHECKING:
            from made.only_types import Nothing

        def __getattr__(name):
            return getattr(importlib.import_module("made.lazy"), name)
        ''',
    "eager.py": "def shout(): return 'A'",
    "only_types.py": "class Nothing: pass",
    "lazy.py": "THING = 1",
    "direct.py": "from made import deep\nX = 1",
    "deep.py": "Y = 1",
    "relative.py": "Z = 1",
    "inside.py": "W = 1",
    "aliased.py": "V = 1",
    "starred.py": "U = 1",
    "unrelated.py": "T = 1",
    "sub/__init__.py": "from .exported import E",
    "sub/exported.py": "E = 1",
    "sub/by_name.py": "B = 1",
    "sub/sibling.py": "S = 1",
    "experiments/__init__.py": "",
    "experiments/study.py": '''
        """Docstring."""
        from made.direct import X
        from ..relative import Z
        import made.aliased as aliased
        from made.starred import *
        from made.sub import E, by_name

        MORE = [3]
        FACTOR = 1

        def _smoke():
            return [1, *MORE]

        PRESETS: dict = {"smoke": [1], "default": _smoke()}

        def run(cell, scratch):
            """Docstring of run."""
            from made.inside import W
            return [{"x": X + Z + W + _helper()}]  # comment

        def _helper():
            return FACTOR * 10 + len(REGISTRY) + quoted(0)

        def quoted(cell: "Quoted"):
            return REGISTRY[0]()

        class Quoted:
            size = 5

        class Derived(Quoted):
            size = 6

        REGISTRY = []

        @REGISTRY.append
        def registered():
            return 7

        def figures(results):
            from made.unrelated import T
            return {}

        def panel() -> "Figure | None":
            return None
        ''',
    "experiments/other.py": "O = 1",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes the package `made`; returns its folder."""
    for name, text in PACKAGE.items():
        path = tmp_path / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "made"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / "made"


def fingerprint(module: str = "made.experiments.study") -> str:
    importlib.invalidate_caches()

    def run(cell, scratch): ...

    run.__module__ = module
    return code_fingerprint(run)


def changes(package: Path, name: str, before: str, after: str) -> bool:
    """Whether replacing text in a file of the package changes the fingerprint."""
    old = fingerprint()
    path = package / name
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    return fingerprint() != old


@pytest.mark.parametrize(
    "name, before, after",
    [
        ("experiments/study.py", "X + Z", "X - Z"),
        ("experiments/study.py", "FACTOR * 10", "FACTOR * 11"),
        ("experiments/study.py", "FACTOR = 1", "FACTOR = 2"),
        ("experiments/study.py", "size = 5", "size = 8"),
        ("experiments/study.py", "size = 6", "size = 8"),
        ("experiments/study.py", "return 7", "return 8"),
        ("direct.py", "X = 1", "X = 2"),
        ("deep.py", "Y = 1", "Y = 2"),
        ("relative.py", "Z = 1", "Z = 2"),
        ("inside.py", "W = 1", "W = 2"),
        ("aliased.py", "V = 1", "V = 2"),
        ("starred.py", "U = 1", "U = 2"),
        ("sub/exported.py", "E = 1", "E = 2"),
        ("sub/by_name.py", "B = 1", "B = 2"),
        ("__init__.py", "made.lazy", "made.deep"),
        ("eager.py", "'A'", "'B'"),
    ],
)
def test_fingerprint_changes_with_code_that_is_reached(package, name, before, after):
    assert changes(package, name, before, after)


@pytest.mark.parametrize(
    "name, before, after",
    [
        ("experiments/study.py", "# comment", "# other"),
        ("experiments/study.py", "Docstring of run", "Other words"),
        ("experiments/study.py", '"smoke": [1]', '"smoke": [1, 2]'),
        ("experiments/study.py", "[1, *MORE]", "[2, *MORE]"),
        ("experiments/study.py", "MORE = [3]", "MORE = [4]"),
        ("experiments/study.py", "return {}", "return {1: 2}"),
        ("experiments/study.py", "return None", "return 1"),
        ("unrelated.py", "T = 1", "T = 2"),
        ("only_types.py", "pass", "x = 1"),
        ("lazy.py", "THING = 1", "THING = 2"),
        ("sub/sibling.py", "S = 1", "S = 2"),
        ("experiments/other.py", "O = 1", "O = 2"),
    ],
)
def test_fingerprint_stays_where_results_cannot_change(package, name, before, after):
    assert not changes(package, name, before, after)


@pytest.mark.parametrize(
    "statement",
    [
        "from made import THING",
        "import made",
        "import made.deep",
        "from made import *",
        "from importlib import import_module\nimport_module('made.' + 'lazy')",
        "__import__('made.lazy')",
    ],
)
def test_fingerprint_takes_the_whole_package_where_the_reach_of_an_import_is_not_plain(package, statement):
    study = package / "experiments" / "study.py"
    study.write_text(statement + "\n" + study.read_text())
    assert changes(package, "lazy.py", "THING = 1", "THING = 2")


def test_fingerprint_takes_everything_below_an_imported_subpackage(package):
    study = package / "experiments" / "study.py"
    study.write_text("from made import sub\n" + study.read_text())
    assert changes(package, "sub/sibling.py", "S = 1", "S = 2")


def test_fingerprint_notices_a_new_file_that_shadows_a_name(package):
    old = fingerprint()
    (package / "sub" / "E.py").write_text("raise SystemExit")
    assert fingerprint() != old


def test_fingerprint_executes_nothing(package):
    (package / "deep.py").write_text("raise SystemExit('executed')")
    fingerprint()
    assert "made" not in sys.modules


def test_fingerprint_of_a_script_asks_for_a_module(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from repro_shared.provenance import code_fingerprint\ndef run(cell, scratch): ...\ncode_fingerprint(run)"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert "put it into an importable module" in done.stderr


@dataclass(frozen=True)
class Inner:
    a: float = 1.5


@dataclass(frozen=True)
class Outer:
    values: tuple = (1, 2)
    inner: Inner = Inner()
    path: Path = Path("x/y")


def test_config_hash_is_sixteen_hex_digits_and_the_same_in_every_process():
    assert config_hash("study", Outer()) == "61523ebd0106b082"


@pytest.mark.parametrize("equal", [Outer(values=[1, 2]), Outer(path="x/y"), Outer(values=(np.int64(1), 2))])
def test_config_hash_ignores_how_a_value_is_spelled(equal):
    assert config_hash("study", equal) == config_hash("study", Outer())


@pytest.mark.parametrize(
    "name, other",
    [("study", Outer(values=(2, 1))), ("study", Outer(inner=Inner(1.5000000000000002))), ("other", Outer())],
)
def test_config_hash_tells_values_experiments_and_types_apart(name, other):
    assert config_hash(name, other) != config_hash("study", Outer())
    assert config_hash("study", Inner()) != config_hash("study", Outer())


def test_config_with_a_value_that_has_no_text_is_refused():
    with pytest.raises(ValueError, match="a config cannot hold"):
        config_hash("study", Outer(values=object()))


def test_versions_are_those_of_the_direct_requirements(monkeypatch):
    requires = ["numpy>=1", "pandas (>=2) ; python_version > '3'", "nonesuch", "pytest ; extra == 'test'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: requires)
    monkeypatch.setattr("importlib.metadata.version", lambda name: _version(name))
    assert versions("paper") == {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "paper": "1",
        "numpy": "1",
        "pandas": "1",
        "nonesuch": "absent",
    }


def _version(name):
    if name == "nonesuch":
        raise importlib.metadata.PackageNotFoundError(name)
    return "1"


def test_versions_of_a_bare_source_folder_count_every_distribution(monkeypatch):
    before = versions("never-installed")
    assert before["never-installed"] == "not installed"
    monkeypatch.setattr("importlib.metadata.distributions", lambda: [])
    assert versions("never-installed") != before


def test_git_state_tells_clean_from_dirty_and_tracked_from_foreign(tmp_path):
    source = tmp_path / "src" / "module.py"
    source.parent.mkdir()
    source.write_text("x = 1")
    assert git_state(source) is None
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "src"], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    assert git_state(source)["dirty"] is False
    assert len(git_state(source)["commit"]) == 40
    source.write_text("x = 2")
    assert git_state(source)["dirty"] is True
    (source.parent / "installed.py").write_text("")
    assert git_state(source.parent / "installed.py") is None


def test_machine_is_json_and_names_the_processor():
    assert json.loads(json.dumps(machine()))["cpu"]


def test_user_error_is_cheap_to_import():
    code = "import sys; from repro_shared import UserError; print({'numpy', 'pandas', 'rich'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
    assert issubclass(UserError, Exception)
