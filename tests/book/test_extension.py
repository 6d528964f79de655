"""Strictness of the book: what is missing fails the build and is named, and a changed verdict is announced."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.cmd.build import main
from synthetic import MILLISECONDS, accuracy, everything, latency, machine, session, soak

from codesign.answers.claims import TOPICS, claims
from codesign.records import Results
from codesign.study.places import BOOK

CONF = """
import sys
sys.path.insert(0, {extension!r})
extensions = ["myst_parser", "codesign_book"]
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
html_theme = "sphinx_book_theme"
"""

Build = Callable[..., tuple[int, str, str]]


def sphinx(command: list[str], environment: dict[str, str], log: Path) -> None:
    """Run Sphinx in a process that was forked from this one, and so has all that pages import: seconds each."""
    os.environ.update(environment)
    warnings.resetwarnings()
    with log.open("w") as file, contextlib.redirect_stderr(file):
        sys.exit(main(command))


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return a function that builds one page from records: (exit code, log, HTML)."""

    def run(text: str, records: list, mode: str = "xeon") -> tuple[int, str, str]:
        results = Results(mode, tmp_path / "results")  # type: ignore[arg-type]
        for record in records:
            results.append(record)
        source = tmp_path / "source"
        source.mkdir()
        (source / "conf.py").write_text(CONF.format(extension=str(BOOK / "_ext")))
        (source / "index.md").write_text(f"# Page\n\n{text}\n")
        environment = {"CODESIGN_RESULTS": mode, "CODESIGN_RESULTS_ROOT": str(tmp_path / "results")}
        command, log = ["-W", "-n", "--keep-going", "-q", str(source), str(tmp_path / "html")], tmp_path / "log"
        process = multiprocessing.get_context("fork").Process(target=sphinx, args=(command, environment, log))
        process.start()
        process.join()
        page = tmp_path / "html" / "index.html"
        return process.exitcode or 0, log.read_text(), page.read_text() if page.exists() else ""

    return run


def soup(page: str) -> BeautifulSoup:
    return BeautifulSoup(page, "html.parser")


def test_a_whole_page_builds(build: Build) -> None:
    groups = "".join(f"```{{claims}} {name}\n```\n\n" for name in TOPICS)
    optional = "```{needs} lead.all.30x1\n:optional:\n\nThere are {num}`lead.all.30x1`.\n```\n\n"
    holds = "```{judged} paper-1a=not-supported\nThe words.\n```\n\n"
    faults = "```{faults} kills\n```\n\n"
    others = "{num}`shape-latency.best.all` {paper}`over-tvm`\n\n```{latencies} all\n```\n\n$$a^2$$\n"
    records = [*everything(), soak("kills", 0), soak("kills", 1, "time", lost=1)]
    code, log, page = build("```{claim-counts}\n```\n\n" + groups + faults + optional + holds + others, records)
    assert (code, log) == (0, "")
    assert "20.0 ms" in page
    assert "Guo and Huang" in page
    assert "<math" in page
    assert "another verdict" not in page
    assert "There are" not in page  # it was not measured, and nothing is missing
    counted, *tables, harm, _ = soup(page).select("table.from-records")
    found = [[row.select_one("td").get_text() for row in table.select("tbody tr")] for table in tables]
    assert sorted(itertools.chain(*found)) == sorted(claim.id for claim in claims().values())
    assert all(claim.startswith("paper-") for claim in found[0])
    assert "rows-only" in found[list(TOPICS).index("kernel")]
    assert "deepsparse-4x1" in found[list(TOPICS).index("peer")]
    numbers = [
        [int(cell.get_text().split()[-1]) for cell in row.select("td.number")] for row in counted.select("tbody tr")
    ]
    assert [row[-1] for row in numbers] == [*map(len, found), len(claims())]
    assert all(sum(row[:-1]) == row[-1] for row in numbers)
    verdicts = [badge.get_text() for table in tables for badge in table.select(".verdict")]
    assert numbers[-1][:2] == [verdicts.count("supported"), verdicts.count("not supported")]
    assert [[cell.get_text() for cell in row.select("th, td")] for row in harm.select("tr")] == [
        ["step that was killed", "kills", "lost", "wrong numbers"],
        ["prune", "10", "0", "0"],
        ["time", "10", "1", "0"],
        ["all", "20", "1", "0"],
    ]


def test_what_is_missing_fails_the_build_and_is_named(build: Build) -> None:
    complaints = {
        "{num}`shape-latenc.best.all`": "did you mean shape-latency",
        "{num}`latency.openvino-bf16.none.dense`": "no latency with engine='openvino-bf16'",
        "{paper}`over-tvn`": "did you mean 'over-tvm'",
        "```{judged} paper-1a=perhaps\nText.\n```": "names no claim and verdict",
        "```{latencies} ffn\n```": "scope='ffn'",
        "```{drawing} latency_bar\n```": "'latency_bar' is unknown",
        "```{faults} kills\n```": "campaign='kills'",
        "```{faults} killing\n```": "'killing' is unknown",
        "```{claims}\n```": "tvm-stock-default",
    }
    records = [r for r in everything() if r.get("engine") != "tvm-stock-default"]
    code, log, _ = build("\n\n".join(complaints), [*records, soak("disk", 0)])
    assert code != 0
    assert [complaint for complaint in complaints.values() if complaint not in log] == []


def test_timings_are_a_plain_table_a_crossover_and_a_trade_off(build: Build) -> None:
    failed = latency("torch-bsr", "all", "4x1", 1.0, status="failed", reason="<no> kernel")
    timed = [latency("openvino", "all", "32x1", 50.0), latency("tvm-bsr", "all", "32x1", 20.0), failed]
    minilm = {"model": "minilm"}
    timed.append(latency("tvm-bsr", "all", "32x1", 2.0, **minilm))
    judged = [accuracy("all", "32x1", 0.55, **minilm), accuracy("none", "dense", 0.6, **minilm)]
    weighed = (
        "````{needs} judged-and-timed\n:optional:\n\nSee {num}`judged-and-timed`.\n\n```{drawing} pareto\n```\n````\n"
    )
    text = "```{explorer}\n```\n\n```{drawing} crossover\n```\n\n```{crossovers}\n```\n\n" + weighed
    code, log, page = build(text, [machine(), *timed, *judged])
    assert (code, log) == (0, "")
    timings, crossovers = soup(page).select("table")
    rows = [[cell.get_text() for cell in row.select("td")] for row in timings.select("tbody tr")]
    assert not timings.select("button")  # these are the script's
    assert {len(row) for row in rows} == {len(timings.select("th"))}
    assert [row[-1] for row in rows] == ["", "", "failed: <no> kernel", ""]
    assert [cell.get_text() for cell in crossovers.select("td")][:3] == ["bert-base", "32x1", "below 80%"]
    assert soup(page).select_one("p .num").get_text() == "1"
    assert len(soup(page).select("figure.drawing svg")) == 3  # a crossover for each model


def test_a_reference_without_a_machine_fails(build: Build) -> None:
    code, log, _ = build("Text.", [r for r in everything() if r["kind"] != "machine"])
    assert code != 0
    assert "machine" in log


def test_a_changed_verdict_stands_above_the_paragraph(build: Build) -> None:
    assert MILLISECONDS["tvm-bsr", "attention", "32x1"] == 40.0
    faster = [*everything(), latency("tvm-bsr", "attention", "32x1", 20.0)]
    code, _, page = build("```{judged} paper-1a=not-supported\nThe words.\n```\n", faster)
    assert code == 0
    assert "paper-1a was not supported; the records shown here say: supported" in page
    assert page.index("another verdict") < page.index("The words.")


def test_every_machine_has_a_column_and_the_text_is_about_the_first(build: Build, tmp_path: Path) -> None:
    slower = MILLISECONDS | {("tvm-bsr", "all", "32x1"): 100.0}
    there = Results("there", tmp_path / "results")
    for record in [machine(machine_id="two", cpu="Other CPU"), *session(slower, machine_id="two")]:
        there.append(record)
    tables = "```{claims}\n```\n\n```{machines}\n```\n\n```{drawing} machines\n```\n"
    text = "{num}`claim.credit-dense-all.verdict`\n\n" + tables
    code, log, page = build(text, everything())
    assert (code, log) == (0, "")
    rows = [[cell.get_text(" ", strip=True) for cell in row.select("th, td")] for row in soup(page).select("tr")]
    assert rows[0] == ["claim", "statement", "Test (AVX2)", "Other (AVX2)"]
    said = {cells[0]: cells[2:] for cells in rows}
    assert said["credit-dense-all"][0].startswith("Test (AVX2): supported")
    assert said["credit-dense-all"][1].startswith("Other (AVX2): not supported")
    assert said["paper-3"][1] == "Other (AVX2): not measured"
    assert soup(page).select_one("p .verdict").get_text() == "supported"
    assert len(soup(page).select("figure.drawing svg")) == 2


def test_locally_the_reference_stands_beside(build: Build, tmp_path: Path) -> None:
    reference = Results("xeon", tmp_path / "results")
    for record in everything():
        reference.append(record)
    code, log, page = build("```{claims}\n:check:\n```\n", [machine()], mode="local")
    assert (code, log) == (0, "")
    head, first, *_ = soup(page).select("tr")
    assert [cell.get_text() for cell in head.select("th")] == ["claim", "command", "takes", "here", "Test (AVX2)"]
    verdicts = [cell.get_text() for cell in first.select(".verdict")]
    assert verdicts == ["not measured here", "not supported"]


def test_locally_what_is_missing_reads_not_measured_here(build: Build) -> None:
    text = "{num}`shape-latency.best.all`\n\n```{claims}\n```\n\n```{latencies} all\n```\n\n"
    text += "```{drawing} latency_bars\n```\n\n"
    text += "```{needs} shapes.best.all\nThe fastest is {num}`shapes.best.all`.\n```\n"
    code, log, page = build(text, [machine()], mode="local")
    assert (code, log) == (0, "")
    assert page.count("not measured here") > 5
    assert "Not measured here yet." in page
