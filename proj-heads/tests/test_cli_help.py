"""Help says everything, at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import proj_heads as package
from proj_heads import stacked

HEAVY = ("torch", "torchvision", "lightly", "sklearn", "pandas", "matplotlib", "scipy")


@pytest.mark.parametrize("arguments", [["--help"], ["reproduce", "--help"], ["run", "geometry", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys; sys.argv = ['proj-heads', *{arguments!r}]\n"
        "from proj_heads.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip().endswith("[]"), done.stdout[-300:] + done.stderr[-2000:]


def test_help_lists_the_commands_and_answers_within_a_second(proj_heads):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = proj_heads("--help")
        times.append(time.perf_counter() - start)
    assert all(command in done.stdout for command in ("reproduce", "run", "report", "bench"))
    assert min(times) < 1


def test_every_setting_is_a_flag_with_its_explanation(here):
    done = here("run", "geometry", "--help")
    assert done.returncode == 0
    for words in ("--objective", "--probe-train", "images of the converged probes.", "--device", "tau of simclr."):
        assert words in done.stdout
    done = here("reproduce", "--help")
    assert all(flag in done.stdout for flag in ("--only", "--jobs", "--scheduler", "--data-dir", "--force", "--out"))


def test_importing_the_package_and_the_cli_is_free_of_torch():
    code = (
        "import sys, proj_heads, proj_heads.cli\n"
        f"print([m for m in {HEAVY} if m in sys.modules])\n"
        "from proj_heads.recipe import Recipe; Recipe(steps=3)\n"
        "print('torch' in sys.modules); proj_heads.build_head; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "False", "True"], done.stderr[-2000:]


def test_public_names_are_those_of_their_modules_and_no_modules_themselves():
    """A name that is also a module's would be the one or the other, by what was imported before."""
    folder = Path(package.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & set(package.__all__)
    for name in package.__all__:
        assert callable(getattr(package, name)), name
    assert dir(package) == package.__all__ and package.Stack is stacked.Stack
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing
