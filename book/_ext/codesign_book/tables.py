"""Tables made from records: latencies, crossovers and machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.answers import machines
from codesign.answers.claims import NOT_MEASURED
from codesign.answers.classes import by_class
from codesign.answers.crossover import SHOWN, by_sparsity, centre_of, crossovers
from codesign.answers.frames import DENSE, OUR_DENSE, OURS, by_shape, missing, where
from codesign.answers.timings import timings
from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, times
from codesign.measure.ratios import Interval
from codesign_book.shown import shown

Cell = str | nodes.Node


class Machines(SphinxDirective):
    """What the machines are, and what they can do at best."""

    def run(self) -> list[nodes.Node]:
        """Return the table, a column for each machine."""
        found = machines.description(shown().machines)
        rows: list[list[Cell]] = [[str(name), *texts] for name, *texts in found.itertuples(name=None)]
        return [table(["", *found.columns], rows, stacks=True)]


class Classes(SphinxDirective):
    """The answer for each class of machines."""

    def run(self) -> list[nodes.Node]:
        """Return the table: a row for each class, about the newest machine of it."""
        found = by_class(shown().machines)
        if not len(found):
            return nothing(self, "Latencies", "latency", scope="all")
        return [table(list(found), found.to_numpy().tolist(), stacks=True)]


class Travel(SphinxDirective):
    """What each block shape loses on each machine."""

    def run(self) -> list[nodes.Node]:
        """Return the table, a column for each machine on which a shape was timed."""
        found = machines.losses(shown().machines)
        if not len(found):
            return nothing(self, "Latencies of block shapes", "latency", scope="all")
        worst = machines.worst(found)
        rows: list[list[Cell]] = [
            [str(block), *map(_loss, losses), times(worst[block]) if block in worst else "-"]
            for block, *losses in found.itertuples(name=None)
        ]
        return [table(["block shape", *found.columns, "worst"], rows, stacks=True)]


def _loss(loss: object) -> str:
    """Say what a shape loses on a machine."""
    if not isinstance(loss, Interval):
        return machines.NOT_MEASURED_THERE
    return "the fastest" if loss == Interval(1, 1, 1) else times(loss)


class Latencies(SphinxDirective):
    """Latency, error and gain of every block shape of one scope, then of the dense engines."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table; a strict build fails where a scope has no record at all."""
        scope, frames = self.arguments[0], shown().frames
        rows = timings(frames.beside(scope))
        sparse = where(rows, engine=OURS, scope=scope)
        if not len(rows) or (shown().strict and not len(sparse)):
            return nothing(self, SCOPE_LABELS[scope], "latency", engine=OURS, scope=scope)
        dense = where(rows, stored_block=DENSE[1]).set_index("engine", drop=False)
        shown_rows = by_shape(sparse.assign(label=sparse["block"])).to_dict("records")
        shown_rows += [dense.loc[engine].to_dict() for engine in ENGINE_LABELS if engine in dense.index]
        head = ["block shape or dense engine", "median", "95% interval, ms", "largest error", "over our dense engine"]
        ours = dense["record"].get(OUR_DENSE)
        return [table(head, [self._cells(row, ours) for row in shown_rows], numeric_from=1)]

    def _cells(self, row: dict[str, Any], dense: Any) -> list[Cell]:
        name = row["label"] + (" (flagged)" if row["doubt"] else "")
        gain = "-" if dense is None or dense is row["record"] else times(shown().frames.gain(dense, row["record"]))
        return [name, row["median"], row["interval"], row["largest_error"], gain]


class Crossovers(SphinxDirective):
    """From which sparsity each block shape pays, for every model that was swept."""

    def run(self) -> list[nodes.Node]:
        """Return the table; a strict build fails where nothing sparse was timed."""
        frames = shown().frames
        found = crossovers(by_sparsity(frames.all("latency"), centre_of(frames)))
        if not len(found):
            return nothing(self, "Crossovers", "latency", engine=OURS, scope="all")
        head = ["model", "block shape", "pays from", *(f"gain at {sparsity:.0%}" for sparsity in SHOWN)]
        return [table(head, found.drop(columns="start").to_numpy().tolist())]


def nothing(directive: SphinxDirective, what: str, kind: str, **fields: object) -> list[nodes.Node]:
    """Say what was not measured; where committed records lack it, the build fails and says what makes it."""
    if shown().strict:
        raise directive.error(str(missing(kind, **fields)))
    return [nodes.paragraph("", f"{what}: {NOT_MEASURED}.")]


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
    app.add_directive("classes", Classes)
    app.add_directive("travel", Travel)
