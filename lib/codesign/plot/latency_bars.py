"""The headline figure: how long one inference takes, per block shape, beside the dense engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matplotlib.figure import Figure

from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, shape_order, three_digits
from codesign.measure.ratios import Interval
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel
from codesign.schema import Record
from codesign.study.evidence import DENSE, Key, beside, median_ms, newest_latencies

DENSE_ENGINES = ("tvm-dense", "openvino", "onnxruntime", "torch-compile", "torch-eager", "tvm-stock-tuned")
PEERS = ("deepsparse", "torch-bsr")  # skip zeros, too
GUIDES = ("tvm-dense", "torch-eager")  # drawn as lines through the sparse rows

Row = tuple[str, str, Interval]  # kind ("sparse", "best" or "dense" for all other engines), label, milliseconds


def latency_bars(records: Iterable[Record], scopes: tuple[str, ...] = ("attention", "all")) -> Drawing:
    """Draw one panel a scope: a row per block shape, then the other engines, medians with 95% intervals.

    Parameters
    ----------
    records
        Latency records of one operating point. A shape or an engine without a record is simply not drawn.
    scopes
        One panel each, in this order; a scope without any sparse record is left out.
    """
    records = list(records)
    timed = {scope: beside(records, scope) for scope in scopes}
    shapes = {scope: sparse_rows(latencies, scope) for scope, latencies in timed.items()}
    rows = {scope: sparse + other_rows(timed[scope], scope) for scope, sparse in shapes.items() if sparse}
    limit = max((row[2].high for each in rows.values() for row in each), default=1.0) * 1.2
    panels = [bar_panel(SCOPE_LABELS[scope], each, limit) for scope, each in rows.items()]
    alt = " ".join(sentence(scope, each) for scope, each in rows.items()) or "No latency has been measured."
    return Drawing(panels, alt, caption(newest_latencies(records).values()))


def sparse_rows(latencies: Mapping[Key, Record], scope: str) -> list[Row]:
    """Return a row per block shape, the fastest marked "best"."""
    found = {block: r for (engine, s, block), r in latencies.items() if (engine, s) == ("tvm-bsr", scope)}
    times = {block: median_ms(found[block]) for block in sorted(found, key=shape_order)}
    fastest = min(times, key=lambda block: times[block].value, default=None)
    return [("best" if block == fastest else "sparse", block, time) for block, time in times.items()]


def other_rows(latencies: Mapping[Key, Record], scope: str) -> list[Row]:
    """Return a row per float32 engine of others that was measured, and our dense one, fastest first."""
    dense = [(ENGINE_LABELS[engine], latencies.get((engine, *DENSE))) for engine in DENSE_ENGINES]
    peers = [
        (f"{ENGINE_LABELS[engine]}, {block}", record)
        for (engine, s, block), record in latencies.items()
        if engine in PEERS and s == scope
    ]
    rows = [("dense", label, median_ms(record)) for label, record in (*dense, *peers) if record]
    return sorted(rows, key=lambda row: row[2].value)


def bar_panel(title: str, rows: list[Row], limit: float) -> Figure:
    """Draw one scope; ``limit`` (ms) is shared so that panels can be compared."""
    colours = {"sparse": SKY, "best": BLUE, "dense": ORANGE}
    gap = 0.7  # between the sparse rows and the dense ones
    places = [i + (gap if kind == "dense" else 0.0) for i, (kind, _, _) in enumerate(rows)]
    with panel(height=0.55 + 0.25 * (len(rows) + gap)) as (figure, axes):
        for place, (kind, label, time) in zip(places, rows, strict=True):
            axes.barh(place, time.value, height=0.72, color=colours[kind])
            axes.plot([time.low, time.high], [place, place], color=INK, linewidth=1.2, solid_capstyle="butt")
            weight = "bold" if kind == "best" else "normal"
            at_end(axes, three_digits(time.value), time.high, place, weight=weight)
            if label in [ENGINE_LABELS[engine] for engine in GUIDES]:
                axes.plot(
                    [time.value] * 2,
                    [places[0] - 0.5, place],
                    color=ORANGE,
                    linewidth=0.9,
                    linestyle="--",
                    zorder=0,
                )
        axes.set_yticks(places, [label for _, label, _ in rows])
        axes.set_ylim(places[-1] + 0.6, places[0] - 0.6)
        axes.set_xlim(0, limit)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("milliseconds per inference (less is better)")
        axes.set_title(title)
    return figure


def sentence(scope: str, rows: list[Row]) -> str:
    """Say in words what a panel shows."""
    parts = ", ".join(f"{label} {three_digits(time.value)} ms" for _, label, time in rows)
    return f"{SCOPE_LABELS[scope]}: {parts}."


def caption(records: Iterable[Record]) -> str:
    """Say what was timed."""
    sparse = next((r for r in records if r["engine"] == "tvm-bsr"), None)
    if sparse is None:
        return ""
    guides = " and ".join(ENGINE_LABELS[engine] for engine in GUIDES)
    return (
        f"One inference of {sparse['model']} with {sparse['sparsity']:.0%} of the blocks pruned: "
        f"batch {sparse['batch']}, {sparse['seq']} tokens, {sparse['threads']} threads, float32. Blue: our compiler on "
        "sparse weights, one row a block shape, the fastest highlighted. Orange: other engines on the same weights, "
        f"dense unless a block shape is named. Dashed: {guides} on dense weights. Bars are medians; the line "
        "at their end is the 95% interval."
    )
