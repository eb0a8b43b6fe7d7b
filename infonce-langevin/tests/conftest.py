"""What several test files share. Nothing is imported from infonce_langevin up here: that would come before the hook by
which its annotations are checked in tests.
"""

import os
import subprocess
import sys

import jaxtyping
import pytest
from commands import MAIN

DATA_FOLDER = "INFONCE_LANGEVIN_DATA"


@pytest.fixture
def unchecked(monkeypatch):
    """As for a user: nothing checks shapes and types before our own messages do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """As cells run; small tensors are slower on more threads."""
    import torch

    torch.set_num_threads(1)


# ---- the command line


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """No GPU, and no data but those that a test gives or that come with a package."""
    hidden = {"CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    return {k: v for k, v in os.environ.items() if k != DATA_FOLDER} | hidden | {"COLUMNS": "200"}


@pytest.fixture(scope="session")
def infonce_langevin(environment):
    """Run the command in a process of its own."""
    return lambda *arguments: subprocess.run(
        [*MAIN, *map(str, arguments)], capture_output=True, text=True, env=environment
    )


@pytest.fixture
def here(monkeypatch, capsys, unchecked, environment):
    """Run the command in this process, which has imported torch already: seconds less."""
    from infonce_langevin import cli

    for name in ("CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME", "COLUMNS"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setenv(DATA_FOLDER, "")  # put back afterwards, whatever --data-dir makes of it

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["infonce-langevin", *map(str, arguments)])
        capsys.readouterr()
        try:
            code = cli.main() or 0
        except SystemExit as end:
            code = end.code or 0
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory, infonce_langevin):
    """One smoke run with two workers, for all tests of what it leaves."""
    out = tmp_path_factory.mktemp("results")
    done = infonce_langevin("reproduce", "--preset", "smoke", "--jobs", 2, "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done
