"""Reports: complete, self-contained, and the same after publishing twice."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import toy
from rich.console import Console

from repro_shared.files import UserError
from repro_shared.plotting import figure
from repro_shared.report import (
    FIGURE_BYTES,
    claims_markdown,
    duration_text,
    measured_text,
    print_claims,
    publish,
    write_index,
    write_report,
)
from repro_shared.runlog import RunLog


def claim(number: int, verdict: str, **fields) -> dict:
    return {
        "id": f"C{number}-<name>",
        "statement": f"Statement {number} holds | with a pipe & an <angle>.",
        "source": "table 1",
        "kind": "published",
        "published": 47.4,
        "measured": 21.0 - number,
        "low": 20.0 - number,
        "high": 22.0 - number,
        "unit": "%",
        "n": 3,
        "verdict": verdict,
        "why": f"reason {number}",
        "preset": "smoke",
        "experiment": "toy",
        "figure": "noise",
        "run": "toy/run.json",
    } | fields


CLAIMS = [
    claim(1, "supported"),
    claim(2, "contradicted", low=None, high=None),
    claim(3, "inconclusive", published="a theorem", low=None),
    claim(4, "not-run", measured=None, low=None, high=None, n=0, run=None, published=None, figure=None),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with claims, a report and two figures, one of them too large to publish as it is."""
    folder = tmp_path_factory.mktemp("finished")
    log = RunLog("toy", "default", folder / "results", "repro-shared", ["toy", "reproduce"])
    with log.experiment("toy", toy, toy.cells(folder / "trace", 2)) as experiment:
        experiment.map()
        noise, ax = figure("double", caption="Noise, of which there is much.")
        ax.imshow(np.random.default_rng(0).random((500, 900, 3)), interpolation="nearest", aspect="auto")
        line, ax = figure(caption="A line.")
        ax.plot([1, 2])
        experiment.save_figures({"noise": noise, "line": line})
    log.save_claims(CLAIMS)
    log.write_report()
    return folder


@pytest.fixture
def run_folder(finished, tmp_path):
    """A copy of the finished run, in a paper's folder."""
    shutil.copytree(finished, tmp_path / "toy")
    return tmp_path / "toy" / "results" / "default"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag, attribute):
        return [attributes[attribute] for name, attributes in self.tags if name == tag and attribute in attributes]


def test_html_report_loads_nothing_from_outside(run_folder):
    text = (run_folder / "report.html").read_text()
    page = Page(text)
    assert [source[:22] for source in page.all("img", "src")] == ["data:image/png;base64,"] * 2
    assert not page.all("script", "src") and not page.all("link", "href")
    assert not re.search(r"https?:|url\(|@import", re.sub(r"base64,[^\"]*", "", text))
    for target in page.all("a", "href"):
        if target.startswith("#"):
            assert target[1:] in [attributes.get("id") for _, attributes in page.tags]
        else:
            assert (run_folder / target).is_file(), target


def test_html_report_has_every_claim_with_verdict_word_reason_and_origin(run_folder):
    page = Page((run_folder / "report.html").read_text())
    text = " ".join(" ".join(page.text).split())
    for one in CLAIMS:
        assert f"{one['id']} {one['statement']}" in text
        assert one["why"] in text
    rows = [attributes["class"] for tag, attributes in page.tags if tag == "tbody"]
    assert rows == [one["verdict"] for one in CLAIMS]
    for verdict in rows:
        assert any(verdict in data for data in page.text)
    assert page.all("a", "href").count("toy/run.json") == 4  # three claims and the experiment
    assert "toy reproduce" in text


def test_html_claims_table_can_be_sorted_by_every_column(run_folder):
    page = Page((run_folder / "report.html").read_text())
    keys = page.all("td", "data-sort")
    assert [keys[0::4], keys[2::4], keys[3::4]] == [
        ["1", "2", "3", "4"],
        ["20.0", "19.0", "18.0", ""],
        ["0", "1", "2", "3"],
    ]
    assert page.all("th", "aria-sort") == ["none"] * 4


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_html_sorting_and_opening_work_in_a_browser(run_folder):
    """Sort by verdict twice (descending), open the first row: its figure appears there."""
    script = """<script>const columns = document.querySelectorAll("th button"); columns[3].click(); columns[3].click();
    document.querySelector(".open").click();</script></body>"""
    probe = run_folder / "probe.html"
    probe.write_text((run_folder / "report.html").read_text().replace("</body>", script))
    arguments = [
        f"--user-data-dir={run_folder / 'profile'}",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        "--dump-dom",
        probe.as_uri(),
    ]
    dom = subprocess.run(["chromium", *arguments], capture_output=True, text=True, timeout=60).stdout
    page = Page(dom)
    assert [a["class"] for tag, a in page.tags if tag == "tbody"] == [one["verdict"] for one in reversed(CLAIMS)]
    hidden = ["hidden" in attributes for tag, attributes in page.tags if attributes.get("class") == "more"]
    assert hidden == [False, True, True, True]
    assert page.all("th", "aria-sort") == ["none", "none", "none", "descending"]


def test_markdown_report_links_figures_and_runs_that_exist(run_folder):
    text = (run_folder / "report.md").read_text()
    for bullet in ("Why", "Published", "Source", "Ours", "Experiment"):  # each on a line of its own
        assert text.count(f"\n- **{bullet}:** ") == text.count(f"**{bullet}:**") > 0
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert {"toy/run.json", "toy/metrics.csv", "toy/figures/noise.png", "claims.json"} <= set(targets)
    assert all((run_folder / target).is_file() for target in targets)
    assert "1 supported, 1 contradicted, 1 inconclusive, 1 not-run" in text


def test_markdown_table_has_a_row_for_each_claim_and_escapes_pipes():
    rows = claims_markdown(CLAIMS).splitlines()
    assert len(rows) == 2 + 4
    assert all(len(re.split(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert rows[2].endswith("| 47.4 % | 20.0 [19.0, 21.0] % | ✓ supported |")


def test_measured_text_shows_open_ends():
    assert [measured_text(one) for one in CLAIMS] == [
        "20.0 [19.0, 21.0] %",
        "19.0 %",
        "18.0 [−∞, 19.0] %",
        "—",
    ]


@pytest.mark.parametrize(
    "value, low, high, text",
    [
        (-0.004, -0.03, 0.02, "−0.0040 [−0.0300, 0.0200]"),
        (123456.7, None, None, "123457"),
        (0, None, None, "0.00"),
        (2e-9, None, None, "2.00e-09"),
    ],
)
def test_numbers_have_three_digits_that_line_up(value, low, high, text):
    assert measured_text(claim(1, "supported", measured=value, low=low, high=high, unit="")) == text


def test_durations_read_well():
    assert [duration_text(s) for s in (None, 38.2, 432, 7500)] == ["—", "38 s", "7 min 12 s", "2 h 05 min"]


def test_terminal_table_fits_a_hundred_columns():
    console = Console(width=100, record=True, file=open("/dev/null", "w"))
    print_claims(CLAIMS, console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    assert "✗ contradicted" in "\n".join(lines)
    assert lines[-1] == "1 supported, 1 contradicted, 1 inconclusive, 1 not-run"


@pytest.fixture
def paper_folder(tmp_path):
    folder = tmp_path / "toy"
    (folder / "pyproject.toml").write_text('[project]\nname = "toy"\ndescription = "A toy"\n')
    (folder / "README.md").write_text("# Toy\n\n<!-- results:begin -->\nold\n<!-- results:end -->\n\nThe end.\n")
    return folder


@pytest.fixture
def complete(run_folder):
    """The run with claims that are all judged."""
    (run_folder / "claims.json").write_text(json.dumps(CLAIMS[:3]))
    return run_folder


def test_publish_writes_a_small_tracked_snapshot(complete, paper_folder):
    run_folder = complete
    publish(run_folder, paper_folder)
    results = json.loads((paper_folder / "RESULTS.json").read_text())
    assert results["claims"] == CLAIMS[:3] == json.loads((run_folder / "claims.json").read_text())
    assert results["preset"] == "default" and results["seconds"] > 0
    assert results["experiments"]["toy"]["cells_done"] == 2
    text = (paper_folder / "RESULTS.md").read_text()
    assert all(one["why"] in text for one in CLAIMS[:3])
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert {"figures/toy-noise.png", "figures/toy-line.png"} <= set(targets)
    assert all((paper_folder / target).is_file() for target in targets)
    assert (run_folder / "toy" / "figures" / "noise.png").stat().st_size > FIGURE_BYTES
    assert all(path.stat().st_size <= FIGURE_BYTES for path in (paper_folder / "figures").iterdir())
    readme = (paper_folder / "README.md").read_text()
    assert readme.startswith("# Toy\n\n<!-- results:begin -->\n1 supported, 1 contradicted")
    assert readme.endswith("<!-- results:end -->\n\nThe end.\n") and "\nold\n" not in readme
    assert claims_markdown(CLAIMS[:3]) in readme


def test_publishing_twice_changes_nothing_and_drops_figures_that_are_gone(complete, paper_folder):
    run_folder = complete
    publish(run_folder, paper_folder)
    (paper_folder / "figures" / "by_hand.png").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in paper_folder.rglob("*") if path.is_file()}
    publish(run_folder, paper_folder)
    assert before == {path: path.read_bytes() for path in paper_folder.rglob("*") if path.is_file()}
    run = json.loads((run_folder / "toy" / "run.json").read_text())
    run["figures"] = run["figures"][:1]
    (run_folder / "toy" / "run.json").write_text(json.dumps(run))
    publish(run_folder, paper_folder)
    assert sorted(path.name for path in (paper_folder / "figures").iterdir()) == ["by_hand.png", "toy-noise.png"]


@pytest.mark.parametrize(
    "spoil, says",
    [
        (lambda run, paper: shutil.rmtree(run), "run `reproduce` first"),
        (lambda run, paper: (run / "claims.json").write_text(json.dumps(CLAIMS)), "is not complete"),  # one not-run
        (lambda run, paper: (run / "toy" / "run.json").write_text("{"), "is not complete"),
        (lambda run, paper: (run / "toy" / "run.json").write_text("[1]"), "is not complete"),
        (lambda run, paper: with_run(run, status="running"), "is not complete"),
        (lambda run, paper: with_run(run, stale="the code has changed"), "is not complete"),
        (lambda run, paper: with_run(run, preset="smoke"), "smoke results decide nothing"),
        (lambda run, paper: (paper / "README.md").write_text("# Toy"), "needs the lines <!-- results:begin -->"),
        (lambda run, paper: (paper / "README.md").unlink(), "needs the lines <!-- results:begin -->"),
    ],
)
def test_what_cannot_be_published_leaves_everything_as_it_is(complete, paper_folder, spoil, says):
    spoil(complete, paper_folder)
    before = {path: path.read_bytes() for path in paper_folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=says):
        publish(complete, paper_folder)
    assert before == {path: path.read_bytes() for path in paper_folder.rglob("*") if path.is_file()}


def with_run(run: Path, **fields) -> None:
    """Overwrite fields of run.json."""
    path = run / "toy" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_figure_that_is_gone_is_left_out(run_folder):
    (run_folder / "toy" / "figures" / "line.png").unlink()
    html = write_report(run_folder, "toy", "default", CLAIMS, ["toy"]).read_text()
    assert 'id="toy-noise"' in html and 'id="toy-line"' not in html


def test_stale_experiments_show_no_figures_and_say_why(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "toy")
    log = RunLog("toy", "default", tmp_path / "toy" / "results", "repro-shared", ["toy", "report"])
    log.experiment("toy", toy, toy.cells(finished / "trace", 2)).withhold_figures("2 cells: the code has changed")
    html = log.write_report().read_text()
    assert "<b>Incomplete:</b> 2 cells: the code has changed" in html and "<figure id=" not in html


def test_experiments_come_in_the_order_of_their_claims(run_folder):
    shutil.copytree(run_folder / "toy", run_folder / "aaa")
    run = json.loads((run_folder / "aaa" / "run.json").read_text())
    (run_folder / "aaa" / "run.json").write_text(json.dumps(run | {"experiment": "aaa"}))
    html = write_report(run_folder, "toy", "default", CLAIMS, ["aaa", "toy"]).read_text()
    assert html.index('<section id="toy">') < html.index('<section id="aaa">')


def test_index_finds_papers_by_their_folders(complete, paper_folder, tmp_path):
    publish(complete, paper_folder)
    for name in ("shared", "new-paper"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text(f'[project]\nname = "{name}"\ndescription = "About {name}"\n')
    (tmp_path / "README.md").write_text("# House\n<!-- papers:begin -->\n<!-- papers:end -->\n")
    page = Page(write_index(tmp_path).read_text())
    text = " ".join(" ".join(page.text).split())
    assert "About new-paper not run yet" in text
    assert "About shared" not in text and "trace" not in text
    assert "✗ 1 contradicted" in text
    for target in page.all("a", "href"):
        if target.startswith("#"):
            assert target[1:] in [attributes.get("id") for _, attributes in page.tags]
        else:
            assert (tmp_path / "report" / target).exists(), target
    readme = (tmp_path / "README.md").read_text()
    assert "| [new-paper](new-paper/) | About new-paper | not run yet | | |" in readme
    assert "1 supported, 1 contradicted, 1 inconclusive" in readme
