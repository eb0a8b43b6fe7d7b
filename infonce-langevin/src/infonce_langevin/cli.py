"""Command line: reproduce the paper, run one experiment, rebuild the report, measure speed.

infonce-langevin reproduce --preset default --jobs 2     everything: cells, figures, claims, report; also goes on
infonce-langevin run traps --ratios 1.5 2          one cell with settings of your own (every config field is a flag)
infonce-langevin report --preset default                 figures, claims and report again from recorded cells
infonce-langevin bench                                   speed against named peers
"""

import os
import sys
from dataclasses import dataclass, fields, make_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal, Union

import tyro

from infonce_langevin.experiments.contrastive import DATA_FOLDER

PAPER = "infonce-langevin"
EXPERIMENTS = ("toy", "noise", "traps", "shapes", "bound", "contrastive")
Experiment = Literal["toy", "noise", "traps", "shapes", "bound", "contrastive"]
Data = Literal["fashion-mnist", "digits", "cifar10"]
CPU_LIMIT = 12.0
"""Core-hours of work beyond which a CPU is refused without `--force`."""
FOLDER = Path(__file__).parents[2]
"""The paper folder, when this is a source checkout."""
RESULTS = FOLDER / "results" if (FOLDER / "pyproject.toml").exists() else Path("results")


@dataclass(frozen=True)
class Reproduce:
    """Run a preset's experiments, judge every claim and write the report. Finished cells are never run twice."""

    preset: Literal["smoke", "default", "paper"] = "default"
    """smoke: seconds, proves that everything runs. default: minutes on two cores. paper: the published grids, for a GPU
    or a cluster.
    """
    only: tuple[Experiment, ...] = EXPERIMENTS
    """Experiments to run; claims about the others are judged from what is recorded."""
    jobs: int = 1
    """Local worker processes, one thread each."""
    scheduler: str | None = None
    """Address of a Dask scheduler, tcp://host:port, to run the cells on a cluster instead (needs the extra `cluster`).
    """
    device: str | None = None
    """torch device for all cells, for instance cuda; by default that of the preset."""
    data: Data | None = None
    """Data for all cells that train on images; by default those of the preset."""
    data_dir: Path | None = None
    """Folder of the data; by default the usual places, then (Fashion-MNIST only) a download into the user's cache."""
    force: bool = False
    """Start `paper` on a CPU all the same."""
    out: Path = RESULTS
    """Folder of the results."""


@dataclass(frozen=True)
class Run:
    """Run one cell of one experiment with settings of your own: `infonce-langevin run traps --help` lists them."""


@dataclass(frozen=True)
class Report:
    """Rebuild figures, claims and report from recorded cells, without running any."""

    preset: Literal["smoke", "default", "paper"] = "default"
    """Whose results."""
    publish: bool = False
    """Also write the tracked snapshot: RESULTS.md, RESULTS.json, figures/ and the table in README.md."""
    data: Data | None = None
    """As `reproduce` was given it."""
    device: str | None = None
    """As `reproduce` was given it."""
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
    if options.data_dir is not None:
        os.environ[DATA_FOLDER] = str(options.data_dir.resolve())  # workers inherit it; it is no part of a cell
    log = RunLog(PAPER, options.preset, options.out, PAPER)
    failures, results, experiments = [], {}, {}
    for name in EXPERIMENTS:
        module = import_module(f"infonce_langevin.experiments.{name}")
        cells = [_with(cell, data=options.data, device=options.device) for cell in module.PRESETS[options.preset]]
        experiments[name] = module, cells, log.experiment(name, module, cells)
    to_run = [cell for name in options.only for cell in _to_run(experiments[name][2])]
    _require_devices(to_run, options.force)  # before hours of what needs no GPU
    for name, (module, cells, entered) in experiments.items():
        with entered as experiment:
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
    reproduce(Reproduce(options.preset, only=(), data=options.data, device=options.device, out=options.out))
    if options.publish:
        publish(options.out / options.preset, FOLDER)


def run(arguments: list[str]) -> None:
    """`arguments`: an experiment's name and its flags. The cell is recorded under results/run like any other."""
    from repro_shared import UserError
    from repro_shared.runlog import RunLog

    if "--out" in arguments:  # wherever it stands
        at = arguments.index("--out")
        arguments = [*arguments[at : at + 2], *arguments[:at], *arguments[at + 2 :]]
    modules = {name: import_module(f"infonce_langevin.experiments.{name}") for name in EXPERIMENTS}
    configs = (
        Annotated[module.Config, tyro.conf.subcommand(name, description=module.__doc__.splitlines()[0])]
        for name, module in modules.items()
    )
    options = make_dataclass("Options", [("cell", Union[tuple(configs)]), ("out", Path, RESULTS)])  # noqa: UP007
    chosen = tyro.cli(options, prog=f"{PAPER} run", args=arguments, config=(tyro.conf.OmitSubcommandPrefixes,))
    cell = chosen.cell
    _require_devices([cell], force=True)
    name = next(name for name, module in modules.items() if type(cell) is module.Config)
    log = RunLog(PAPER, "run", chosen.out, PAPER)
    with log.experiment(name, modules[name], [cell]) as experiment:
        experiment.map()
        results = experiment.results()
    print(_numbers(results).astype(object).T.to_string())
    print(f"recorded in {experiment.folder}")
    if "diverged" in results.table and results.table["diverged"].any():
        raise UserError(f"training has diverged, which is recorded in {experiment.folder}: choose a smaller --lr")


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
    from infonce_langevin.claims import CLAIMS
    from repro_shared.claims import evaluate
    from repro_shared.report import print_claims

    claims = evaluate(CLAIMS, results, preset)
    log.save_claims(claims)
    log.write_report()
    print_claims(claims)
    print(f"report: {log.folder / 'report.html'}")


def _numbers(results):
    """What a cell found, one row per record: labels that tell its records apart, scalars, and where curves end."""
    table, curves = results.table, results.curves
    same = [name for name in results.labels if table[name].nunique() == 1]
    table = table.drop(columns=["cell", *same])
    if curves.empty:
        return table
    ends = curves.groupby("row").tail(1).set_index("row").drop(columns=["cell", *results.labels])
    return table.join(ends.add_suffix(", last"))


def _to_run(experiment) -> list:
    """The cells that are not recorded. Unlike the log's own `pending` this begins nothing."""
    recorded = set(experiment.results().table.get("cell", ()))
    return [cell for digest, cell in zip(experiment.hashes, experiment.cells, strict=True) if digest not in recorded]


def _with(cell, **settings: str | None):
    """The cell with these settings, where they are given and it has them."""
    names = {f.name for f in fields(cell)}
    return replace(cell, **{name: value for name, value in settings.items() if value is not None and name in names})


def _require_devices(cells, force: bool) -> None:
    """`UserError` where a cell's device does not exist, or a CPU would have to work longer than `CPU_LIMIT`."""
    from repro_shared import UserError

    for device in {cell.device for cell in cells if hasattr(cell, "device")} - {"cpu"}:
        import torch

        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # unknown, not built in, or not there
            raise UserError(f"torch has no device {device} here: use --device cpu") from error
    hours = sum(cell.cpu_hours() for cell in cells if hasattr(cell, "cpu_hours") and cell.device == "cpu")
    if hours > CPU_LIMIT and not force:
        raise UserError(
            f"this takes about {hours:,.0f} core-hours on a CPU: use --device cuda, or start it all the same with "
            "--force"
        )


def main() -> None:
    """Entry point. What a user can mend ends in one line on stderr and exit code 2, an interruption in 130."""
    from repro_shared import UserError

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


if __name__ == "__main__":
    main()
