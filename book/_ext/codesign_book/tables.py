"""Tables made from records: latencies, crossovers and machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, shape_order, three_digits, times
from codesign.schema import Record
from codesign.study.claims import NOT_MEASURED
from codesign.study.crossover import SHOWN
from codesign.study.described import description
from codesign.study.doubts import doubts_of
from codesign.study.evidence import Evidence, Key, beside, median_ms, missing
from codesign.study.numbers import error, milliseconds
from codesign.study.swept import centre_of, crossover_rows, curves
from codesign.study.travel import travel_rows
from codesign_book.shown import shown

Cell = str | nodes.Node


class Machines(SphinxDirective):
    """What the machines are, and what they can do at best."""

    def run(self) -> list[nodes.Node]:
        """Return the table, a column for each machine."""
        found = shown().machines
        rows = [[name, *texts] for name, texts in description(found)]
        return [table(["", *(machine.label for machine in found)], rows, stacks=True)]


class Travel(SphinxDirective):
    """What each block shape loses on each machine."""

    def run(self) -> list[nodes.Node]:
        """Return the table, a column for each machine on which a shape was timed."""
        head, rows = travel_rows(shown().machines)
        if not rows:
            return [nodes.paragraph("", f"Latencies of block shapes: {NOT_MEASURED}.")]
        return [table(head, rows, stacks=True)]


class Latencies(SphinxDirective):
    """Latency, error and gain of every block shape of one scope, then of the dense engines."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table; a strict build fails where a scope has no record at all."""
        scope, evidence = self.arguments[0], shown().evidence
        sparse = sorted(evidence.shapes(scope), key=shape_order)
        if not sparse and shown().strict:
            raise self.error(str(missing("latency", engine="tvm-bsr", scope=scope)))
        timed = beside(evidence.records("latency"), scope)
        keys: list[Key] = [("tvm-bsr", scope, block) for block in sparse]
        keys += [(engine, "none", "dense") for engine in ENGINE_LABELS if (engine, "none", "dense") in timed]
        if not keys:
            return [nodes.paragraph("", f"{SCOPE_LABELS[scope]}: {NOT_MEASURED}.")]
        head = ["block shape or dense engine", "median", "95% interval, ms", "largest error", "over our dense engine"]
        return [table(head, [latency_row(evidence, timed, key) for key in keys], numeric_from=1)]


class Crossovers(SphinxDirective):
    """From which sparsity each block shape pays, for every model that was swept."""

    def run(self) -> list[nodes.Node]:
        """Return the table; a strict build fails where nothing sparse was timed."""
        evidence = shown().evidence
        found = crossover_rows(curves(evidence.read("latency"), centre_of(evidence)))
        if not found and shown().strict:
            raise self.error(str(missing("latency", engine="tvm-bsr", scope="all")))
        if not found:
            return [nodes.paragraph("", f"Crossovers: {NOT_MEASURED}.")]
        head = ["model", "block shape", "pays from", *(f"gain at {sparsity:.0%}" for sparsity in SHOWN)]
        return [table(head, [list(row.values()) for row in found])]


def latency_row(evidence: Evidence, timed: Mapping[Key, Record], key: Key) -> list[Cell]:
    """Return one row of the latency table; ``timed`` holds the records of its session."""
    record, dense = timed[key], timed.get(("tvm-dense", "none", "dense"))
    time = median_ms(record)
    gain = "-" if dense is None or record is dense else times(evidence.gain(dense, record))
    label = (key[2] if key[2] != "dense" else ENGINE_LABELS[key[0]]) + (" (flagged)" if doubts_of(record) else "")
    interval = f"{three_digits(time.low)} to {three_digits(time.high)}"
    return [label, milliseconds(time.value), interval, error(record["max_abs_err"]), gain]


def verdict_classes(verdict: str) -> list[str]:
    """Return the style classes of a verdict."""
    return ["verdict", verdict.replace(" ", "-")]


def code(text: str) -> nodes.Node:
    """Return text in the type of code."""
    return nodes.literal("", text)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    widths: Sequence[int] | None = None,
    numeric_from: int | None = None,
    *,
    stacks: bool = False,
) -> nodes.table:
    """Return a docutils table; columns from ``numeric_from`` on are set in figures of equal width, flush right.

    One that ``stacks`` puts the cells of a row below each other on a narrow page, each with the head of its column.
    """
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths or [1] * len(head)]
    group += nodes.thead("", row(head, numeric_from))
    heads = head if stacks else ()
    group += nodes.tbody("", *(row(cells, numeric_from, heads) for cells in rows))
    classes = ["from-records", *(["colwidths-given"] if widths else []), *(["stacks"] if stacks else [])]
    return nodes.table("", group, classes=classes)


def row(cells: Sequence[Cell], numeric_from: int | None, heads: Sequence[str] = ()) -> nodes.row:
    """Return one table row; all cells but the first, which names the row, repeat their ``heads``."""
    entries = []
    for i, cell in enumerate(cells):
        content = [nodes.Text(cell) if isinstance(cell, str) else cell]
        if i and heads:
            content.insert(0, nodes.inline("", f"{heads[i]}: ", classes=["column-name"]))
        classes = ["number"] if numeric_from is not None and i >= numeric_from else []
        entries.append(nodes.entry("", nodes.paragraph("", "", *content), classes=classes))
    return nodes.row("", *entries)


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("latencies", Latencies)
    app.add_directive("crossovers", Crossovers)
    app.add_directive("machines", Machines)
    app.add_directive("travel", Travel)
