"""The built pages in a real browser, without a network."""

from __future__ import annotations

import functools
import html as markup
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from codesign_book.explorer import COLUMNS

from codesign.answers.words import shape_order

PHONE = 390  # CSS pixels; Chromium's own windows are at least 500 wide, so pages are looked at in a frame

HARNESS = r"""<body><pre id="report"></pre><script>
const pages = %s, report = {pages: {}, dark: {}};
async function look(page) {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.style.cssText = "width:%dpx;height:800px;border:0";
  await new Promise(done => { frame.onload = done; frame.src = page; });
  const inside = frame.contentDocument;
  const broken = [...inside.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src);
  const flat = [...inside.querySelectorAll("figure.drawing svg")].filter(s => s.getBoundingClientRect().height < 20);
  const stacked = [...inside.querySelectorAll("table.stacks")].map(t => t.parentElement);
  const hidden = stacked.filter(box => box.scrollWidth > box.clientWidth + 1);
  report.pages[page] = {scroll: inside.documentElement.scrollWidth, broken, flat: flat.length,
    stacked: stacked.length, hidden: hidden.length};
  frame.remove();
}
const wait = ms => new Promise(done => setTimeout(done, ms));
async function show(page) {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.style.cssText = "width:1280px;height:800px";
  await new Promise(done => { frame.onload = done; frame.src = page; });
  return frame.contentDocument;
}
async function explore() {
  const inside = await show("/table.html");
  const rows = () => [...inside.querySelectorAll(".explorer tbody tr")].filter(row => !row.hidden);
  const column = name => [...inside.querySelectorAll(".explorer th")].findIndex(th => th.textContent === name);
  const cells = name => rows().map(row => row.cells[column(name)].textContent);
  const press = name => inside.querySelectorAll(".explorer th")[column(name)].querySelector("button").click();
  const aria = name => inside.querySelectorAll(".explorer th")[column(name)].getAttribute("aria-sort");
  const status = () => inside.querySelector(".explorer [role=status]").textContent;
  const seen = {all: rows().length, before: status()};
  press("median, ms"); seen.up = cells("median, ms"); seen.upAria = aria("median, ms");
  press("median, ms"); seen.down = cells("median, ms"); seen.downAria = aria("median, ms");
  press("block"); seen.blocks = [...new Set(cells("block"))]; seen.oldAria = aria("median, ms");
  for (const [name, value] of [["block", "32x1"], ["scope", "all"]]) {
    const menu = inside.querySelector(`.explorer select[name="${name}"]`);
    menu.value = value; menu.dispatchEvent(new Event("change"));
  }
  seen.chosen = [...new Set(cells("block").map((block, i) => block + " " + cells("scope")[i]))]; seen.few = status();
  inside.querySelector(".explorer button[type=reset]").click(); await wait(50); seen.after = status();
  report.explorer = seen;
}
async function search() {
  const inside = await show("/search.html?q=32x1");
  const done = () => /finished|Finished/.test(inside.getElementById("search-results").textContent);
  for (let tries = 0; tries < 100 && !done(); tries++) await wait(100);
  report.search = [...inside.querySelectorAll("#search-results li a")].map(link => link.textContent);
}
const light = text => { // relative luminance, as WCAG 2 defines it
  const [r, g, b] = text.match(/[\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
function behind(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = at.ownerDocument.defaultView.getComputedStyle(at).backgroundColor;
    if (!/, 0\)$|transparent/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
}
async function dark(page) {
  const inside = await show(page), weak = [];
  inside.documentElement.dataset.theme = "dark";
  await wait(400); // colours may fade
  const article = inside.querySelector("article");
  const read = "p, a, td, th, button:not(.copybtn), select, label, .verdict, figcaption, svg text";
  const some = [...article.querySelectorAll(read)];
  for (const element of some.filter((_, index) => index %% Math.ceil(some.length / 150) === 0)) {
    const style = inside.defaultView.getComputedStyle(element);
    const colour = element.closest("svg") ? style.fill : style.color;
    const [low, high] = [light(colour), light(behind(element))].sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) weak.push(element.textContent.slice(0, 40) + " " + colour);
  }
  report.dark[page] = {looked: some.length, weak};
}
(async () => { for (const page of pages) await look(page);
  await explore(); await search();
  for (const page of ["/index.html", "/claims.html", "/choosing.html", "/table.html"]) await dark(page);
  document.getElementById("report").textContent = JSON.stringify(report); })();
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves the book, and the harness from memory."""

    harness = b""

    def do_GET(self) -> None:
        if self.path != "/__harness.html":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.harness)
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(html: Path) -> Iterator[str]:
    names = [
        "/" + page.relative_to(html).as_posix() for page in sorted(html.rglob("*.html")) if "_static" not in page.parts
    ]
    Quiet.harness = (HARNESS % (json.dumps(names), PHONE)).encode()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(html))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def visit(site: str, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    """Return what the harness saw on every page, and the browser's console."""
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    command += ["--enable-logging=stderr", "--virtual-time-budget=60000", "--dump-dom", f"{site}/__harness.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    report = re.search(r'<pre id="report">(.*?)</pre>', done.stdout, re.DOTALL)
    assert report, done.stderr
    return json.loads(markup.unescape(report[1])), done.stderr


def test_no_page_scrolls_sideways_on_a_phone(visit: tuple[dict, str]) -> None:
    wide = {page: seen["scroll"] for page, seen in visit[0]["pages"].items() if seen["scroll"] > PHONE}
    assert not wide


def test_tables_that_stack_hide_nothing_on_a_phone(visit: tuple[dict, str]) -> None:
    assert (
        sum(seen["stacked"] for seen in visit[0]["pages"].values()) >= 5
    )  # claims in three groups and again by command, and machines
    assert not {page: seen for page, seen in visit[0]["pages"].items() if seen["hidden"]}


def test_images_and_figures_are_visible(visit: tuple[dict, str]) -> None:
    assert visit[0]["pages"]
    assert not {page: seen for page, seen in visit[0]["pages"].items() if seen["broken"] or seen["flat"]}


def test_the_console_has_no_error(visit: tuple[dict, str]) -> None:
    errors = [
        line
        for line in visit[1].splitlines()
        if "CONSOLE" in line and re.search(r"error|failed|blocked", line, re.IGNORECASE)
    ]
    assert not errors


def test_the_table_of_timings_sorts(visit: tuple[dict, str]) -> None:
    seen = visit[0]["explorer"]
    up, down = ([float(text.replace(",", "")) for text in seen[way] if text != "-"] for way in ("up", "down"))
    assert len(set(up)) > 10
    assert (up, down) == (sorted(up), sorted(up, reverse=True))
    for way in ("up", "down"):  # what gave no time comes last, whichever way
        assert seen[way][: len(up)].count("-") == 0
    assert (seen["upAria"], seen["downAria"], seen["oldAria"]) == ("ascending", "descending", None)
    assert seen["blocks"] == sorted(seen["blocks"], key=shape_order)


def test_the_table_of_timings_filters(visit: tuple[dict, str]) -> None:
    seen = visit[0]["explorer"]
    assert seen["chosen"] == ["32x1 all"]
    assert seen["before"] == seen["after"] == f"{seen['all']} of {seen['all']} timings"
    assert 0 < int(seen["few"].split()[0]) < seen["all"]


def test_search_finds_a_block_shape(visit: tuple[dict, str]) -> None:
    assert {"Claims", "Choosing a block shape for your model and machine"} <= set(visit[0]["search"])


def test_dark_pages_can_be_read(visit: tuple[dict, str]) -> None:
    assert all(seen["looked"] > 20 for seen in visit[0]["dark"].values())
    assert not {page: seen["weak"] for page, seen in visit[0]["dark"].items() if seen["weak"]}


def test_the_table_works_from_a_file(html: Path, chromium: str, tmp_path: Path) -> None:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    page = (html / "table.html").resolve().as_uri()
    done = subprocess.run([*command, page], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count('<button type="button">') >= len(COLUMNS)
    assert re.search(r'role="status">(\d+) of \1 timings', done.stdout)
