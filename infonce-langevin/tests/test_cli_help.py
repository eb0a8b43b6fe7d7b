"""Help says everything, at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import infonce_langevin as package

HEAVY = ("torch", "sklearn", "pandas", "matplotlib", "scipy", "safetensors")


@pytest.mark.parametrize("arguments", [["--help"], ["reproduce", "--help"], ["run", "traps", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys; sys.argv = ['infonce-langevin', *{arguments!r}]\n"
        "from infonce_langevin.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip().endswith("[]"), done.stdout[-300:] + done.stderr[-2000:]


def test_help_lists_the_commands_and_answers_within_a_second(infonce_langevin):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = infonce_langevin("--help")
        times.append(time.perf_counter() - start)
    assert all(command in done.stdout for command in ("reproduce", "run", "report", "bench"))
    assert min(times) < 1


def test_every_setting_is_a_flag_with_its_explanation(here):
    done = here("run", "traps", "--help")
    assert done.returncode == 0
    for words in ("--ratios", "--tau", "Whether beta is in the noise alone", "--device", "--horizon"):
        assert words in done.stdout
    done = here("reproduce", "--help")
    assert all(flag in done.stdout for flag in ("--only", "--jobs", "--scheduler", "--data-dir", "--force", "--out"))


def test_importing_the_package_and_the_cli_is_free_of_torch():
    code = (
        "import sys, infonce_langevin, infonce_langevin.cli\n"
        f"print([m for m in {HEAVY} if m in sys.modules])\n"
        "infonce_langevin.Log; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "True"], done.stderr[-2000:]


def test_public_names_are_no_modules_themselves():
    """A name that is also a module's would be the one or the other, by what was imported before."""
    folder = Path(package.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & set(package.__all__)
    assert dir(package) == package.__all__
