"""Help says everything, at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import icl_lrt as package
from icl_lrt import training

HEAVY = ("torch", "sklearn", "pandas", "matplotlib", "scipy", "safetensors")


@pytest.mark.parametrize("arguments", [["--help"], ["reproduce", "--help"], ["run", "regular", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys; sys.argv = ['icl-lrt', *{arguments!r}]\n"
        "from icl_lrt.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip().endswith("[]"), done.stdout[-300:] + done.stderr[-2000:]


def test_help_lists_the_commands_and_answers_within_a_second(icl_lrt):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = icl_lrt("--help")
        times.append(time.perf_counter() - start)
    assert all(command in done.stdout for command in ("reproduce", "run", "report", "bench"))
    assert min(times) < 1


def test_every_setting_is_a_flag_with_its_explanation(here):
    done = here("run", "regular", "--help")
    assert done.returncode == 0
    for words in ("--variant", "--points", "Training steps; None: those of the", "--device", "--episodes"):
        assert words in done.stdout
    done = here("reproduce", "--help")
    assert all(flag in done.stdout for flag in ("--only", "--jobs", "--scheduler", "--seeds", "--force", "--out"))


def test_importing_the_package_and_the_cli_is_free_of_torch():
    code = (
        "import sys, icl_lrt, icl_lrt.cli\n"
        f"print([m for m in {HEAVY} if m in sys.modules])\n"
        "from icl_lrt.recipe import Recipe; Recipe(steps=3)\n"
        "print('torch' in sys.modules); icl_lrt.compare; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "False", "True"], done.stderr[-2000:]


def test_public_names_are_those_of_their_modules_and_no_modules_themselves():
    """A name that is also a module's would be the one or the other, by what was imported before."""
    folder = Path(package.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & set(package.__all__)
    for name in package.__all__:
        assert callable(getattr(package, name)) or name in ("PUBLISHED", "REPAIRED"), name
    assert dir(package) == package.__all__ and package.train is training.train
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing
