"""Reports: the claims and figures of a run as Markdown, HTML and a terminal table; the published snapshot; the index.

`python -m repro_shared.report ROOT` writes the index page over all papers below ROOT.
"""

from __future__ import annotations

import base64
import io
import math
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import get_args

import jinja2
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console
from rich.table import Table
from rich.text import Text

from repro_shared.claims import Verdict
from repro_shared.files import UserError, read_json, storage, write_atomic, write_json
from repro_shared.results import read_run

MARKS = {"supported": "✓", "contradicted": "✗", "inconclusive": "?", "not-run": "○"}
STYLES = {"supported": "green", "contradicted": "red", "inconclusive": "yellow", "not-run": "dim"}
FIGURE_BYTES = 150_000
"""Largest published figure: repositories stay small."""
PUBLISHED = ("status", "argv", "git", "fingerprint", "versions", "machine", "cells_done")
"""What RESULTS.json keeps of the run.json of each experiment."""


def write_report(folder: Path, paper: str, preset: str, claims: list[dict], experiments: list[str]) -> Path:
    """Write report.md and the self-contained report.html of a run into its folder; returns the latter's path."""
    context = _context(Path(folder), paper, preset, claims, experiments)
    for experiment in context["experiments"]:  # a figure that somebody has removed is not shown
        drawn = folder / experiment["experiment"] / "figures"
        experiment["figures"] = [f for f in experiment["figures"] if (drawn / f"{f['name']}.png").is_file()]
    figures = {
        (experiment["experiment"], figure["name"]): f"{experiment['experiment']}/figures/{figure['name']}.png"
        for experiment in context["experiments"]
        for figure in experiment["figures"]
    }
    captions = {(e["experiment"], f["name"]): f["caption"] for e in context["experiments"] for f in e["figures"]}
    images = {"-".join(key): _embedded(folder / path, captions[key] or key[1]) for key, path in figures.items()}
    write_atomic(folder / "report.md", _render("report.md.jinja", **context, figures=figures, published=False))
    write_atomic(folder / "report.html", _render("report.html.jinja", **context, images=images))
    return folder / "report.html"


def publish(folder: Path, paper_folder: Path) -> None:
    """Write the tracked snapshot of the run in `folder` (OUT/PRESET) into the paper's folder.

    RESULTS.md, RESULTS.json, figures/*.png (at most 150 kB each), and the block of the README between
    `<!-- results:begin -->` and `<!-- results:end -->`. Refused, before anything is written: unfinished or damaged
    runs, the preset "smoke", a README without that block.
    """
    folder, paper_folder = Path(folder), Path(paper_folder)
    claims = read_json(folder / "claims.json")
    runs = [read_run(path.parent) for path in sorted(folder.glob("*/run.json"))]
    if claims is None or not runs:
        raise UserError(f"nothing to publish in {folder}: run `reproduce` first")
    whole = all(run and run["status"] == "done" and "stale" not in run for run in runs)
    if not whole or any(claim["verdict"] == "not-run" for claim in claims):
        raise UserError(f"{folder} is not complete: run `reproduce` again, which keeps finished cells, then publish")
    if runs[0]["preset"] == "smoke":
        raise UserError("smoke results decide nothing and are not published: run the preset default or paper")
    _block(paper_folder / "README.md", "results")
    names = [run["experiment"] for run in runs]
    context = _context(folder, runs[0]["paper"], runs[0]["preset"], claims, names)
    figures = {
        (run["experiment"], figure["name"]): f"figures/{run['experiment']}-{figure['name']}.png"
        for run in runs
        for figure in run["figures"]
    }
    results = {
        "paper": context["paper"],
        "preset": context["preset"],
        "date": context["date"],
        "commit": runs[0]["git"] and runs[0]["git"]["commit"],
        "machine": runs[0]["machine"],
        "seconds": context["seconds"],
        "versions": runs[0]["versions"],
        "experiments": {
            run["experiment"]: {key: run.get(key) for key in PUBLISHED} | {"seconds": _seconds(run)} for run in runs
        },
        "figures": sorted(figures.values()),
        "claims": claims,
    }
    before = read_json(paper_folder / "RESULTS.json") or {}
    with storage(paper_folder, "free its space or permissions and run the same command again"):
        (paper_folder / "figures").mkdir(exist_ok=True)
        for path in set(before.get("figures", [])) - set(figures.values()):
            (paper_folder / path).unlink(missing_ok=True)
        for (experiment, name), path in figures.items():
            write_atomic(paper_folder / path, _small_png(folder / experiment / "figures" / f"{name}.png"))
        write_json(paper_folder / "RESULTS.json", results)
        text = _render("report.md.jinja", **context, figures=figures, published=True)
        write_atomic(paper_folder / "RESULTS.md", text)
        _fill_block(paper_folder / "README.md", "results", _render("readme.md.jinja", **context))


def write_index(root: Path) -> Path:
    """Write report/index.html over every paper below `root` and the block `papers` of the root README.md.

    A paper is a folder with a pyproject.toml, other than `shared`; one without RESULTS.json is "not run yet".
    """
    root = Path(root)
    papers = [_paper(path.parent) for path in sorted(root.glob("*/pyproject.toml")) if path.parent.name != "shared"]
    with storage(root / "report", "free its space or permissions and run the same command again"):
        (root / "report").mkdir(exist_ok=True)
        page = _render(
            "index.html.jinja", papers=papers, claims=_claims(papers), images=_deciding_figures(root, papers)
        )
        write_atomic(root / "report" / "index.html", page)
        _fill_block(root / "README.md", "papers", _render("papers.md.jinja", papers=papers))
    return root / "report" / "index.html"


def claims_markdown(claims: list[dict]) -> str:
    """The claims as a Markdown table: id, statement, published and measured value, verdict."""
    return _render("claims.md.jinja", claims=claims).strip()


def print_claims(claims: list[dict], console: Console | None = None) -> None:
    """The claims as a table on the terminal, readable at 100 columns."""
    console = console or Console()
    table = Table(show_lines=True, header_style="bold", expand=True)
    for name, ratio in (("claim", 6), ("paper", 2), ("ours", 3), ("verdict", None)):
        table.add_column(name, ratio=ratio, no_wrap=ratio is None)
    for claim in claims:
        statement = Text.assemble((claim["id"], "bold"), f"  {claim['statement']}")
        verdict = Text(f"{MARKS[claim['verdict']]} {claim['verdict']}", STYLES[claim["verdict"]])
        table.add_row(statement, Text(published_text(claim)), Text(measured_text(claim)), verdict)
    console.print(table)
    console.print(tally_text(claims), highlight=False)


def published_text(claim: dict) -> str:
    """The published value with its unit; a dash where there is none."""
    value = claim["published"]
    if not isinstance(value, int | float):
        return value or "—"
    return f"{_number(value, _digits([value]))} {claim['unit']}".strip()


def measured_text(claim: dict) -> str:
    """Our value with its interval and unit, as in "41.2 [38.0, 44.4] %"; a dash where there is none."""
    if claim["measured"] is None:
        return "—"
    values = [claim[key] for key in ("measured", "low", "high")]
    digits = _digits(values)
    measured, low, high = (None if value is None else _number(value, digits) for value in values)
    interval = "" if low is None and high is None else f" [{low or '−∞'}, {high or '∞'}]"
    return f"{measured}{interval} {claim['unit']}".strip()


def tally_text(claims: list[dict]) -> str:
    """How many claims have which verdict, as in "5 supported, 2 contradicted"."""
    return ", ".join(f"{count} {verdict}" for verdict, count in _tally(claims).items()) or "no claims"


def duration_text(seconds: float | None) -> str:
    """Seconds as "38 s", "7 min 12 s" or "2 h 05 min"."""
    if seconds is None:
        return "—"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _digits(values: list[float | None]) -> int:
    """Decimals that show the largest of the values with three digits, so that a value and its interval line up."""
    largest = max((abs(value) for value in values if value), default=1)
    return max(0, 2 - math.floor(math.log10(largest)))


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", "−") if decimals < 7 else f"{value:.2e}"


def _tally(claims: list[dict]) -> dict[str, int]:
    count = Counter(claim["verdict"] for claim in claims)
    return {verdict: count[verdict] for verdict in get_args(Verdict) if count[verdict]}


def _seconds(run: dict) -> float:
    """Wall time of all calls that worked on the results of `run` (a killed call left none)."""
    return sum(call.get("wall_seconds") or 0 for call in [run, *run["history"]])


def _context(folder: Path, paper: str, preset: str, claims: list[dict], experiments: list[str]) -> dict:
    """What the templates of a run need."""
    runs = [run for name in experiments if (run := read_run(folder / name)) is not None]
    order = list(dict.fromkeys(claim["experiment"] for claim in claims))  # as the claims come
    runs.sort(key=lambda run: order.index(run["experiment"]) if run["experiment"] in order else len(order))
    return {
        "paper": paper,
        "preset": preset,
        "claims": claims,
        "experiments": [run | {"seconds": _seconds(run)} for run in runs],
        "seconds": sum(_seconds(run) for run in runs),
        "date": max((run.get("ended") or run["started"] for run in runs), default="")[:10],
    }


def _paper(folder: Path) -> dict:
    """What the index shows of a paper."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    results = read_json(folder / "RESULTS.json")
    report = f"{folder.name}/results/{results['preset']}/report.html" if results else ""
    return {
        "name": folder.name,
        "description": project.get("description", ""),
        "results": results,
        "claims": results["claims"] if results else [],
        "report": report if (folder.parent / report).is_file() else None,
    }


def _claims(papers: list[dict]) -> list[dict]:
    """Those of all papers, each with the name of its paper."""
    return [claim | {"paper": paper["name"]} for paper in papers for claim in paper["claims"]]


def _deciding_figures(root: Path, papers: list[dict]) -> dict[str, dict]:
    """Published figures that claims name, once each, by "<paper>-<experiment>-<figure>"."""
    figures = {}
    for claim in _claims(papers):
        path = root / claim["paper"] / "figures" / f"{claim['experiment']}-{claim['figure']}.png"
        if path.is_file():
            with Image.open(path) as image:
                caption = image.text.get("Title") or claim["figure"]
            origin = {"paper": claim["paper"], "experiment": claim["experiment"]}
            figures[f"{claim['paper']}-{path.stem}"] = _embedded(path, caption) | origin
    return figures


def _embedded(path: Path, caption: str) -> dict:
    """A PNG of 200 pixels an inch as base64 text, its width on a screen, and its caption."""
    with Image.open(path) as image:
        width = round(0.58 * image.width)
    return {"data": base64.b64encode(path.read_bytes()).decode(), "width": width, "caption": caption}


def _small_png(path: Path) -> bytes:
    """The image of `path` in at most 150 kB: 256 colours, then as much smaller as it takes; its metadata are kept."""
    with Image.open(path) as image:
        text = PngInfo()
        for key, value in image.text.items():
            text.add_text(key, value)
        picture = image.convert("RGB")
    while True:
        buffer = io.BytesIO()
        picture.quantize(256).save(buffer, "png", optimize=True, pnginfo=text)
        if buffer.tell() <= FIGURE_BYTES:
            return buffer.getvalue()
        scale = min(0.9, math.sqrt(FIGURE_BYTES / buffer.tell()))
        picture = picture.resize([round(scale * side) for side in picture.size], Image.Resampling.LANCZOS)


def _block(path: Path, name: str) -> tuple[str, str]:
    """What stands before and after the block, with its lines `<!-- name:begin -->` and `<!-- name:end -->`."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    try:
        head, rest = path.read_text().split(begin)
        _, tail = rest.split(end)
    except (FileNotFoundError, ValueError):
        raise UserError(f"{path} needs the lines {begin} and {end}, once each: the results go between them") from None
    return head + begin, end + tail


def _fill_block(path: Path, name: str, text: str) -> None:
    head, tail = _block(path, name)
    write_atomic(path, f"{head}\n{text.strip()}\n{tail}")


def _render(template: str, **context) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=template.endswith("html.jinja"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "measured": measured_text,
        "published": published_text,
        "duration": duration_text,
        "md": lambda text: str(text).replace("|", r"\|").replace("<", r"\<").replace("\n", " "),
    }
    environment.globals |= {"tally": _tally, "tally_text": tally_text, "marks": MARKS}
    return environment.get_template(template).render(context)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m repro_shared.report ROOT")
    try:
        print(write_index(Path(sys.argv[1])))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
