"""The package as a user imports it."""

import subprocess
import sys

import pytest

import infonce_langevin


def test_importing_the_package_loads_no_torch_and_all_names_are_there():
    code = "import infonce_langevin, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    for name in infonce_langevin.__all__:
        found = getattr(infonce_langevin, name)
        assert getattr(found, "__name__", name) == name


def test_names_that_do_not_exist_are_refused():
    with pytest.raises(AttributeError, match="has no attribute 'soft'"):
        _ = infonce_langevin.soft
