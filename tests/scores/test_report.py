"""The page, as text and in a real browser."""

import html.parser
import json
import shutil
import subprocess

import pytest

from scores import load, protocol, report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=5000",
)  # fmt: skip


@pytest.fixture
def page(write_harmony, write_run):
    a = write_harmony("first.json", {"pong": [-3, 9, 12], "hero": [400, 90, 7], "alien": [5, 6, 7]})
    b = write_run("run", "atari_pong", 0, "<script>alert(1)</script>", evals={400_000: [1] * 10})
    groups, problems = load.load(["paper:iris", str(a), str(b)])
    return report.page(groups, protocol.columns(groups), problems)


class Outline(html.parser.HTMLParser):
    """Collects tags and what they load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loaded, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [value for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_and_self_contained(page):
    outline = Outline(page)
    assert outline.open == []
    assert all(source.startswith("data:image/svg+xml;base64,") for source in outline.loaded)
    assert len(outline.loaded) == 5  # bars, profiles, efficiency, curves, forest
    assert outline.tags.count("script") == 1
    assert "<!--" not in page
    assert "default-src 'none'" in page
    assert "&lt;script&gt;alert(1)" in page


def test_page_tells_what_is_missing(page):
    assert "25 of 26 games missing" in page
    assert "its paper prints" not in page
    assert "few episodes" in page or "fewer seeds" in page or "¶" in page


def test_page_of_published_columns_alone():
    groups, problems = load.load(["paper:all"])
    text = report.page(groups, protocol.columns(groups), problems)
    assert "final scores only" in text
    assert "136.8%" in text
    assert "Every file was read without fault" in text


PROBE = """<pre id="probe"></pre><script>
const table = document.querySelector("table.sortable");
const heads = table.tHead.rows[0].cells;
const games = () => [...table.tBodies[1].rows].map((row) => row.cells[0].textContent);
const log = { start: games().slice(0, 3) };
const press = (column) => { heads[column].querySelector("button").click(); return games(); };
log.down = press(4).slice(0, 3);
log.sorted = heads[4].getAttribute("aria-sort");
log.up = press(4);
log.named = press(0);
log.unsorted = heads[4].getAttribute("aria-sort");
log.first = table.tBodies[0].rows[0].cells[0].textContent;
log.images = [...document.images].map((image) => image.complete && image.naturalWidth > 100);
log.wide = document.documentElement.scrollWidth <= window.innerWidth;
document.getElementById("probe").textContent = JSON.stringify(log);
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_sorting_in_a_browser(page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", PROBE), encoding="utf-8")
    ran = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    log = json.loads(ran.stdout.split('<pre id="probe">')[1].split("</pre>")[0])
    assert log["start"] == ["Alien", "Amidar", "Assault"]
    # Column 4 is first.json's: 165.7 for Hero, 6 for Pong and Alien, no score for the others.
    assert log["down"][0] == "Hero"
    assert set(log["down"][1:]) == {"Alien", "Pong"}
    assert log["sorted"] == "descending"
    assert log["up"][2] == "Hero"
    assert log["up"][-1] not in ("Hero", "Alien", "Pong")
    assert log["named"] == sorted(log["named"])
    assert log["unsorted"] is None
    assert log["first"] == "Protocol"
    assert log["images"] == [True] * 5
    assert log["wide"]
