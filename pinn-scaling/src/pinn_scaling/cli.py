"""Command line: reproduce the paper, run one experiment, rebuild the report, measure speed.

pinn-scaling reproduce --preset default --jobs 2  everything: cells, figures, claims, report; also goes on
pinn-scaling run kdv --width 128 --kappa 4        one cell with settings of your own (every config field is a flag)
pinn-scaling report --preset default              figures, claims and report again from recorded cells
pinn-scaling bench                                speed against named peers
"""

import os
import sys
from dataclasses import dataclass, fields, make_dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal, Union

import tyro

PAPER = "pinn-scaling"
EXPERIMENTS = ("truth", "published", "kdv", "decay", "decisive", "kernel")
Experiment = Literal["truth", "published", "kdv", "decay", "decisive", "kernel"]
FOLDER = Path(__file__).parents[2]
"""The paper folder, when this is a source checkout."""
RESULTS = FOLDER / "results" if (FOLDER / "pyproject.toml").exists() else Path("results")


@dataclass(frozen=True)
class Reproduce:
    """Run a preset's experiments, judge every claim and write the report. Finished cells are never run twice."""

    preset: Literal["smoke", "default", "paper"] = "default"
    """smoke: seconds, proves that everything runs. default: the published runs of 16 to 64 neurons, minutes on two
    cores. paper: all published runs, 150 core-hours; for a GPU or a cluster.
    """
    only: tuple[Experiment, ...] = EXPERIMENTS
    """Experiments to run; claims about the others are judged from what is recorded."""
    jobs: int = 1
    """Local worker processes, one thread each."""
    scheduler: str | None = None
    """Address of a Dask scheduler, tcp://host:port, to run the cells on a cluster instead (needs the extra `cluster`).
    """
    out: Path = RESULTS
    """Folder of the results."""


@dataclass(frozen=True)
class Run:
    """Run one cell of one experiment with settings of your own: `pinn-scaling run kdv --help` lists them."""


@dataclass(frozen=True)
class Report:
    """Rebuild figures, claims and report from recorded cells, without running any."""

    preset: Literal["smoke", "default", "paper"] = "default"
    """Whose results."""
    publish: bool = False
    """Also write the tracked snapshot: RESULTS.md, RESULTS.json, figures/ and the table in README.md."""
    out: Path = RESULTS
    """Folder of the results."""


@dataclass(frozen=True)
class Bench:
    """Measure speed against named peers, in turns in one run, and write bench.json."""

    publish: bool = False
    """Also write the table in README.md."""
    out: Path = RESULTS
    """Folder of the results."""


def reproduce(options: Reproduce) -> None:
    from repro_shared import UserError
    from repro_shared.runlog import RunLog

    if options.jobs < 1:
        raise UserError(f"--jobs {options.jobs}: give the number of local worker processes, 1 or more")
    log = RunLog(PAPER, options.preset, options.out, PAPER)
    failures, results = [], {}
    for name in EXPERIMENTS:
        module = import_module(f"pinn_scaling.experiments.{name}")
        cells = module.PRESETS[options.preset]
        with log.experiment(name, module, cells) as experiment:
            if name in options.only:
                try:
                    experiment.map(options.jobs, options.scheduler)
                except UserError as error:  # the other experiments still have their say
                    failures.append(f"{name}: {error}")
            results[name] = experiment.results()
            if results[name].missing:
                stale = f"{results[name].missing} of {len(cells)} cells are not there ({results[name].reason})"
                experiment.note(f"{name}: {stale}: `{PAPER} reproduce --preset {options.preset}` runs them")
                experiment.withhold_figures(stale)
            else:
                experiment.save_figures(module.figures(results[name]))
    _conclude(log, results, options.preset)
    if failures:
        raise UserError("; ".join(failures))


def report(options: Report) -> None:
    from repro_shared import UserError
    from repro_shared.report import publish

    if not list((options.out / options.preset).glob("*/run.json")):
        raise UserError(f"nothing is recorded in {options.out / options.preset}: run `reproduce` first, or give --out")
    if options.publish and not (FOLDER / "pyproject.toml").exists():
        raise UserError("--publish writes into the source checkout: run it from an editable install of one")
    reproduce(Reproduce(options.preset, only=(), out=options.out))
    if options.publish:
        publish(options.out / options.preset, FOLDER)


def run(arguments: list[str]) -> None:
    """`arguments`: an experiment's name and its flags. The cell is recorded under results/run like any other."""
    from repro_shared.runlog import RunLog

    if "--out" in arguments:  # wherever it stands
        at = arguments.index("--out")
        arguments = [*arguments[at : at + 2], *arguments[:at], *arguments[at + 2 :]]
    modules = {name: import_module(f"pinn_scaling.experiments.{name}") for name in EXPERIMENTS}
    configs = (
        Annotated[module.Config, tyro.conf.subcommand(name, description=module.__doc__.splitlines()[0])]
        for name, module in modules.items()
    )
    options = make_dataclass("Options", [("cell", Union[tuple(configs)]), ("out", Path, RESULTS)])  # noqa: UP007
    chosen = tyro.cli(options, prog=f"{PAPER} run", args=arguments, config=(tyro.conf.OmitSubcommandPrefixes,))
    cell = chosen.cell
    name = next(name for name, module in modules.items() if type(cell) is module.Config)
    log = RunLog(PAPER, "run", chosen.out, PAPER)
    with log.experiment(name, modules[name], [cell]) as experiment:
        experiment.map()
        results = experiment.results()
    settings = {f.name for f in fields(cell)} - {c for c in results.table if results.table[c].nunique() > 1}
    print(results.table.drop(columns=["cell", *settings], errors="ignore").T.to_string())
    print(f"recorded in {experiment.folder}")


def bench(options: Bench) -> None:
    """Run the benchmarks of the source checkout; they are not part of the installed package."""
    from repro_shared import UserError

    folder = FOLDER / "benchmarks"
    if not folder.is_dir():
        raise UserError(
            "the benchmarks are part of the source checkout: run this command from an editable install of it"
        )
    sys.path.insert(0, str(folder))
    import_module("bench").main(options.out / "bench.json", FOLDER / "README.md" if options.publish else None)


def _conclude(log, results, preset: str) -> None:
    from pinn_scaling.claims import CLAIMS
    from repro_shared.claims import evaluate
    from repro_shared.report import print_claims

    claims = evaluate(CLAIMS, results, preset)
    log.save_claims(claims)
    log.write_report()
    print_claims(claims)
    print(f"report: {log.folder / 'report.html'}")


def _keep_compiled_programs() -> None:
    """Let JAX keep what it compiles in the user's cache folder, for this process and its workers: the second run starts
    at once. An environment variable of the user's own, or one that is empty, has precedence.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / PAPER / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def main() -> None:
    """Entry point. What a user can mend ends in one line on stderr and exit code 2, an interruption in 130."""
    from repro_shared import UserError

    _keep_compiled_programs()
    commands = {"reproduce": Reproduce, "run": Run, "report": Report, "bench": Bench}
    try:
        if sys.argv[1:2] == ["run"]:
            run(sys.argv[2:])
            return
        types = tuple(Annotated[type_, tyro.conf.subcommand(name)] for name, type_ in commands.items())
        command = Union[types]  # noqa: UP007 (made at run time)
        options = tyro.cli(command, prog=PAPER, description=__doc__.splitlines()[0])
        if isinstance(options, Reproduce) and not options.only:
            raise UserError(f"--only needs at least one of {', '.join(EXPERIMENTS)}")
        {Reproduce: reproduce, Report: report, Bench: bench}[type(options)](options)
    except UserError as error:
        print(f"{PAPER}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{PAPER}: interrupted; finished cells are kept and the same command goes on", file=sys.stderr)
        sys.exit(130)
