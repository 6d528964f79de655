"""The built pages in a real browser, without a network."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PHONE = 390  # CSS pixels; Chromium's own windows are at least 500 wide, so pages are looked at in a frame

HARNESS = """<body><pre id="report"></pre><script>
const pages = %s, report = {};
async function look(page) {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.style.cssText = "width:%dpx;height:800px;border:0";
  await new Promise(done => { frame.onload = done; frame.src = page; });
  const inside = frame.contentDocument;
  const broken = [...inside.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src);
  const flat = [...inside.querySelectorAll("figure.drawing svg")].filter(s => s.getBoundingClientRect().height < 20);
  const stacked = [...inside.querySelectorAll("table.stacks")].map(t => t.parentElement);
  const hidden = stacked.filter(box => box.scrollWidth > box.clientWidth + 1);
  report[page] = {scroll: inside.documentElement.scrollWidth, broken, flat: flat.length,
    stacked: stacked.length, hidden: hidden.length};
  frame.remove();
}
(async () => { for (const page of pages) await look(page);
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
    return json.loads(report[1]), done.stderr


def test_no_page_scrolls_sideways_on_a_phone(visit: tuple[dict, str]) -> None:
    wide = {page: seen["scroll"] for page, seen in visit[0].items() if seen["scroll"] > PHONE}
    assert not wide


def test_tables_that_stack_hide_nothing_on_a_phone(visit: tuple[dict, str]) -> None:
    assert sum(seen["stacked"] for seen in visit[0].values()) >= 3  # claims twice, and machines
    assert not {page: seen for page, seen in visit[0].items() if seen["hidden"]}


def test_images_and_figures_are_visible(visit: tuple[dict, str]) -> None:
    assert visit[0]
    assert not {page: seen for page, seen in visit[0].items() if seen["broken"] or seen["flat"]}


def test_the_console_has_no_error(visit: tuple[dict, str]) -> None:
    errors = [
        line
        for line in visit[1].splitlines()
        if "CONSOLE" in line and re.search(r"error|failed|blocked", line, re.IGNORECASE)
    ]
    assert not errors
