"""The pages in a real browser: rows open, columns sort, filters filter, and nothing leaves the page."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import toy
from test_report import CLAIMS, claim

from repro_shared.plotting import figure
from repro_shared.report import publish, write_index
from repro_shared.runlog import RunLog

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")

WATCH = """<head><script>
const heard = [];
addEventListener("error", event => heard.push(event.message));
addEventListener("securitypolicyviolation", event => heard.push(event.blockedURI));
</script>"""
"""What a page complains about, from its first line on."""
TELL = """<script>
{script}
const tell = document.createElement("pre");
tell.id = "told";
tell.textContent = JSON.stringify([told, heard, performance.getEntriesByType("resource").map(entry => entry.name)]);
document.body.append(tell);
</script></body>"""


def browse(page, script: str, *flags: str, fragment: str = ""):
    """What `script` leaves in `told`, run when the page has been loaded; nothing may have gone wrong."""
    text = page.read_text().replace("<head>", WATCH, 1)
    probe = page.with_name("probe.html")
    probe.write_text(text.replace("</body>", TELL.replace("{script}", script)))
    arguments = [
        f"--user-data-dir={page.parent / 'profile'}", "--headless", "--no-sandbox", "--disable-gpu",
        "--virtual-time-budget=2000", *flags, "--dump-dom", f"{probe.as_uri()}{fragment}",
    ]  # fmt: skip
    dom = subprocess.run(["chromium", *arguments], capture_output=True, text=True, timeout=120).stdout
    told, heard, requests = json.loads(html.unescape(re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert not heard and not requests
    return told


VISIBLE = "[...table.tBodies].filter(body => !body.hidden).map(body => body.id)"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """An index page over two papers with claims, and one without."""
    root = tmp_path_factory.mktemp("house")
    (root / "README.md").write_text("<!-- papers:begin -->\n<!-- papers:end -->\n")
    for name, claims in {
        "first": CLAIMS[:3],
        "second": [
            claim(1, "contradicted", measured=7.0, why="Rabbits & hares"),
            claim(5, "supported", figure="line"),
            claim(6, "inconclusive", measured=None, low=None, high=None),
        ],
        "third": [],
    }.items():
        folder = root / name
        folder.mkdir()
        (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\ndescription = "About {name}"\n')
        (folder / "README.md").write_text("<!-- results:begin -->\n<!-- results:end -->\n")
        if not claims:
            continue
        log = RunLog(name, "default", folder / "results", "repro-shared", [name, "reproduce"])
        with log.experiment("toy", toy, toy.cells(folder / "trace", 2)) as experiment:
            experiment.map()
            noise, ax = figure(caption="Noise, of which there is much.")
            ax.imshow(np.random.default_rng(0).random((50, 90, 3)))
            line, ax = figure(caption="A line.")
            ax.plot([1, 2])
            experiment.save_figures({"noise": noise, "line": line})
        log.save_claims(claims)
        log.write_report()
        publish(folder / "results" / "default", folder)
    return write_index(root)


def test_everything_is_there_and_closed_at_first(index):
    told = browse(index, f"""const told = [{VISIBLE}, document.querySelectorAll(".more:not([hidden])").length,
        filters.elements.count.value, document.querySelectorAll(".papers > li").length]""")  # fmt: skip
    ids = [f"first-{one['id']}" for one in CLAIMS[:3]] + ["second-C1-<name>", "second-C5-<name>", "second-C6-<name>"]
    assert told == [ids, 0, "6 of 6 claims", 3]


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"paper": "second"}, ["second-C1-<name>", "second-C5-<name>", "second-C6-<name>"]),
        ({"verdict": "contradicted"}, ["first-C2-<name>", "second-C1-<name>"]),
        ({"search": "  HARES  rabbits "}, ["second-C1-<name>"]),
        ({"paper": "first", "verdict": "supported", "search": "reason 1"}, ["first-C1-<name>"]),
        ({"search": "no such words"}, []),
    ],
)
def test_filters_leave_the_claims_that_meet_all_of_them(index, settings, left):
    given = "".join(f"filters.elements.{name}.value = {value!r};" for name, value in settings.items())
    event = 'filters.dispatchEvent(new Event("input"));'
    told = browse(index, f"{given}{event} const told = [{VISIBLE}, filters.elements.count.value];")
    assert told == [left, f"{len(left)} of 6 claims"]


def test_a_tally_on_a_card_shows_its_claims(index):
    click = """document.querySelector('[data-only-paper="first"][data-only-verdict="contradicted"]').click();"""
    assert browse(index, f"{click} const told = {VISIBLE};") == ["first-C2-<name>"]


def test_columns_sort_up_and_down_and_what_has_no_value_is_last(index):
    script = f"""const told = []; for (const column of [3, 3, 4]) {{
        heads[column].firstElementChild.click(); told.push([{VISIBLE}, heads[column].getAttribute("aria-sort")]); }}"""
    up, down, verdict = browse(index, script)
    values = {"first-C1": 20, "first-C2": 19, "first-C3": 18, "second-C1": 7, "second-C5": 16}
    order = [f"{name}-<name>" for name in sorted(values, key=values.get)]
    nothing = ["second-C6-<name>"]
    assert up == [order + nothing, "ascending"] and down == [order[::-1] + nothing, "descending"]
    assert [id.split("-<")[0] for id in verdict[0]][:3] == ["first-C1", "second-C5", "first-C2"]


def test_a_row_opens_with_its_reason_and_figure_and_the_figure_fills_the_window(index):
    script = """const button = document.querySelector("#second-C5-\\\\<name\\\\> .open"); button.click();
        const more = document.getElementById(button.getAttribute("aria-controls"));
        const shown = more.querySelector("figure img"), told = [!more.hidden, more.textContent, shown.alt];
        shown.parentElement.click(); told.push(dialog.open, dialog.querySelector("img").src === shown.src);
        dialog.click(); told.push(dialog.open);
        button.click(); told.push(more.hidden, button.getAttribute("aria-expanded"));"""
    opened, text, caption, zoomed, same, still, closed, expanded = browse(index, script)
    assert opened and "reason 5" in text and caption == "A line."
    assert zoomed and same and not still and closed and expanded == "false"


def test_an_address_with_a_claim_opens_it(index):
    script = (
        """const told = [...document.querySelectorAll(".more:not([hidden])")].map(more => more.closest("tbody").id)"""
    )
    assert browse(index, script, fragment="#first-C2-%3Cname%3E") == ["first-C2-<name>"]


def test_it_is_dark_where_that_is_preferred(index):
    script = "const told = getComputedStyle(document.body).backgroundColor"
    light, dark = browse(index, script), browse(index, script, "--blink-settings=preferredColorScheme=0")
    assert light == "rgb(253, 253, 252)" and dark == "rgb(22, 24, 27)"


def test_nothing_is_wider_than_a_phone(index):
    """The page in a frame of 360 pixels, all rows open: a window of the browser's own has a least width."""
    frame = index.with_name("phone.html")
    frame.write_text("<html><head></head><body></body></html>")
    inside = json.dumps(index.read_text().replace("toggle(false)", "toggle(true)")).replace("</", r"<\/")
    script = f"""const frame = document.createElement("iframe"); frame.width = 360; frame.height = 800;
        frame.srcdoc = {inside}; document.body.append(frame);
        const told = null; frame.addEventListener("load", () => {{ const page = frame.contentDocument;
        document.getElementById("told").textContent = JSON.stringify([[page.documentElement.scrollWidth,
            page.querySelectorAll(".more:not([hidden])").length], heard, []]); }});"""
    width, opened = browse(frame, script)
    assert width <= 360 and opened == 6


def test_nothing_is_asked_for_from_elsewhere(index):
    text = re.sub(r"base64,[^\"]*", "", index.read_text())
    assert not re.search(r"https?:|url\(|@import|<link|src=\"(?!data:)", text)
