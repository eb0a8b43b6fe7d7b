"""What several test files share. Nothing is imported from pinn_scaling up here: that would come before the hook by
which its annotations are checked in tests.
"""

import os
import subprocess

import jaxtyping
import pytest
from commands import MAIN


@pytest.fixture
def unchecked(monkeypatch):
    """As for a user: nothing checks shapes and types before our own messages do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


# ---- the command line


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """Compiled programs are kept for this session only, and whoever imports torch leaves a mark and fails."""
    folder = tmp_path_factory.mktemp("environment")
    (folder / "torch.py").write_text(f"open({str(folder / 'imported')!r}, 'w').close(); raise ImportError('no torch')")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"COLUMNS": "200", "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"), "PYTHONPATH": path}


@pytest.fixture(scope="session")
def pinn_scaling(environment):
    """Run the command in a process of its own."""
    return lambda *arguments: subprocess.run(
        [*MAIN, *map(str, arguments)], capture_output=True, text=True, env=environment
    )


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory, pinn_scaling):
    """One smoke run with two workers, for all tests of what it leaves."""
    out = tmp_path_factory.mktemp("results")
    done = pinn_scaling("reproduce", "--preset", "smoke", "--jobs", 2, "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done
