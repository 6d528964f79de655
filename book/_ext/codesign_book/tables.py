"""Tables made from records: latencies and claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.schema import Record
from codesign.study.claims import NOT_MEASURED, Verdict
from codesign.study.evidence import Evidence, Key, beside, median_ms, missing
from codesign.study.numbers import effect_text, error, milliseconds
from codesign.study.words import ENGINE_LABELS, SCOPE_LABELS, shape_order, three_digits, times
from codesign_book.shown import shown

Cell = str | nodes.Node


class Claims(SphinxDirective):
    """The claims with their verdicts; ``:check:`` shows how to check them instead of what they say."""

    option_spec: ClassVar = {"check": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the table; a claim without records fails a strict build."""
        verdicts = list(shown().verdicts.values())
        for verdict in verdicts:
            if verdict.verdict == NOT_MEASURED and shown().strict:
                raise self.error(f"claim {verdict.id}: {verdict.note}")
        if "check" in self.options:
            rows = [[code(v.id), code(v.claim.command), f"{v.claim.minutes} min", badge(v)] for v in verdicts]
            return [table(["claim", "command", "takes", "verdict here"], rows)]
        rows = [[code(v.id), v.claim.statement, badge(v), effect(v)] for v in verdicts]
        return [table(["claim", "statement", "verdict", "effect"], rows, widths=[14, 46, 16, 24])]


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


def latency_row(evidence: Evidence, timed: Mapping[Key, Record], key: Key) -> list[Cell]:
    """Return one row of the latency table; ``timed`` holds the records of its session."""
    record, dense = timed[key], timed.get(("tvm-dense", "none", "dense"))
    time = median_ms(record)
    gain = "-" if dense is None or record is dense else times(evidence.gain(dense, record))
    label = (key[2] if key[2] != "dense" else ENGINE_LABELS[key[0]]) + (" (flagged)" if record["flagged"] else "")
    interval = f"{three_digits(time.low)} to {three_digits(time.high)}"
    return [label, milliseconds(time.value), interval, error(record["max_abs_err"]), gain]


def effect(verdict: Verdict) -> nodes.Node:
    """Return the effect of a claim, and why it decides nothing where its session was flagged."""
    note = f" ({verdict.note})" if verdict.effect is not None and verdict.note else ""
    return nodes.inline("", "", nodes.inline("", effect_text(verdict), classes=["num"]), nodes.Text(note))


def badge(verdict: Verdict) -> nodes.Node:
    """Return the verdict as a coloured word."""
    return nodes.inline("", verdict.verdict, classes=verdict_classes(verdict.verdict))


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
) -> nodes.table:
    """Return a docutils table; columns from ``numeric_from`` on are set in figures of equal width, flush right."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths or [1] * len(head)]
    group += nodes.thead("", row(head, numeric_from))
    group += nodes.tbody("", *(row(cells, numeric_from) for cells in rows))
    return nodes.table("", group, classes=["from-records"])


def row(cells: Sequence[Cell], numeric_from: int | None) -> nodes.row:
    """Return one table row."""
    entries = []
    for i, cell in enumerate(cells):
        content = nodes.Text(cell) if isinstance(cell, str) else cell
        classes = ["number"] if numeric_from is not None and i >= numeric_from else []
        entries.append(nodes.entry("", nodes.paragraph("", "", content), classes=classes))
    return nodes.row("", *entries)


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("claims", Claims)
    app.add_directive("latencies", Latencies)
