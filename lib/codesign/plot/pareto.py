"""What pruning buys and what it costs: accuracy against latency of the same weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, shape_order, three_digits
from codesign.measure.ratios import Interval
from codesign.plot.labels import spread
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel
from codesign.schema import Record
from codesign.study.accuracy import accuracy, by_model
from codesign.study.evidence import median_ms, newest_latencies

#: Dense engines that are drawn as lines.
GUIDES = ("tvm-dense", "openvino")


@dataclass(frozen=True)
class Place:
    """A pruned model on the plane: its block shape and sparsity, milliseconds, and share of right answers."""

    block: str
    sparsity: float
    latency: Interval
    accuracy: Interval


def pareto(accuracies: Iterable[Record], latencies: Iterable[Record], scope: str = "all") -> Drawing:
    """Draw one point a pruned model that was both judged and timed, with 95% intervals both ways.

    Parameters
    ----------
    accuracies
        `accuracy` records of one task and one model; seeds of the same pruning are one point.
    latencies
        `latency` records of the same weights (of any seed) and of dense engines, under one load.
    scope
        Which weights were pruned.
    """
    judged, timed = by_model(list(accuracies)), list(latencies)
    places = found(judged, timed, scope)
    best = frontier(places)
    dense = next((accuracy(records) for (_, _, block, _), records in judged.items() if block == "dense"), None)
    with panel(width=6.4, height=5.4) as (figure, axes):
        for place in places:
            draw_place(axes, place, BLUE if place in best else SKY)
        heights = label_heights(places)
        many = len({place.sparsity for place in places}) > 1
        for place in places:
            label = f"{place.block} {place.sparsity:.0%}" if many else place.block
            weight = "bold" if place in best else "normal"
            at_end(axes, label, place.latency.high, heights[place], weight=weight, fontsize=8)
        lines = draw_engines(axes, timed)
        if dense is not None:
            axes.axhline(dense.value, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.annotate("dense", (0, dense.value), (4, 3), ("axes fraction", "data"), "offset points", fontsize=8)
        axes.set_xlim(left=0)
        axes.margins(x=0.15, y=0.1)
        axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # no tick between two percents
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_xlabel("milliseconds per inference (less is better)")
        axes.set_ylabel("right answers (more is better)")
        axes.set_title(SCOPE_LABELS[scope])
    return Drawing([figure] if places else [], words(places, best, dense, lines), caption(judged, places))


def found(judged: dict[tuple[str, str, str, float], list[Record]], timed: Sequence[Record], scope: str) -> list[Place]:
    """Match accuracies with latencies of the same weights."""
    places = []
    for (pruner, where, block, sparsity), records in judged.items():
        same = {"pruner": pruner, "scope": scope, "block": block, "sparsity": sparsity, "engine": "tvm-bsr"}
        usable = [r for r in timed if same.items() <= r.items() and r["status"] == "ok" and not r["control"]]
        if where == scope and usable:
            places.append(Place(block, sparsity, median_ms(usable[-1]), accuracy(records)))
    return sorted(places, key=lambda place: (shape_order(place.block), place.sparsity))


def frontier(places: Sequence[Place]) -> list[Place]:
    """Return the places that no other beats both ways."""
    return [
        place
        for place in places
        if not any(
            other.latency.value <= place.latency.value
            and other.accuracy.value >= place.accuracy.value
            and (other.latency.value, other.accuracy.value) != (place.latency.value, place.accuracy.value)
            for other in places
        )
    ]


def label_heights(places: Sequence[Place]) -> dict[Place, float]:
    """Return where labels are written: those of places close in latency one above the other."""
    gap = 0.045 * height_of(places)
    found: dict[Place, float] = {}
    groups: list[list[Place]] = []
    for place in sorted(places, key=lambda place: place.latency.value):
        widest = 0.12 * max(other.latency.value for other in places)
        if not groups or place.latency.value - groups[-1][-1].latency.value > widest:
            groups.append([])
        groups[-1].append(place)
    for group in groups:
        found |= dict(zip(group, spread([place.accuracy.value for place in group], gap), strict=True))
    return found


def height_of(places: Sequence[Place]) -> float:
    """Height of the plane that the places need."""
    ends = [end for place in places for end in (place.accuracy.low, place.accuracy.high)]
    return max(ends, default=1.0) - min(ends, default=0.0)


def draw_place(axes: Axes, place: Place, colour: str) -> None:
    """Draw a point and its two intervals."""
    x, y = place.latency, place.accuracy
    axes.plot([x.low, x.high], [y.value] * 2, color=colour, linewidth=1)
    axes.plot([x.value] * 2, [y.low, y.high], color=colour, linewidth=1)
    axes.plot([x.value], [y.value], "o", color=colour, markersize=5)


def draw_engines(axes: Axes, timed: Sequence[Record]) -> dict[str, float]:
    """Draw a line for each dense engine; return label -> milliseconds."""
    newest = newest_latencies(timed)
    records = {engine: newest[engine, "none", "dense"] for engine in GUIDES if (engine, "none", "dense") in newest}
    lines = {ENGINE_LABELS[engine]: median_ms(record).value for engine, record in records.items()}
    for ms, label in sorted((ms, label) for label, ms in lines.items()):
        side, offset = ("right", -3) if ms == min(lines.values()) else ("left", 4)
        axes.axvline(ms, color=ORANGE, linewidth=1.2)
        axes.annotate(
            label, (ms, 0.02), (offset, 0), ("data", "axes fraction"), "offset points", rotation=90, ha=side, fontsize=8
        )
    return lines


def words(places: Sequence[Place], best: Sequence[Place], dense: Interval | None, lines: dict[str, float]) -> str:
    """Say in words what is drawn."""
    if not places:
        return "No pruned model has been both judged and timed."
    each = "; ".join(
        f"{place.block} at {place.sparsity:.0%}: {place.accuracy.value:.1%} in {three_digits(place.latency.value)} ms"
        for place in places
    )
    reference = f" Dense: {dense.value:.1%}." if dense else ""
    engines = "".join(f" {label}: {three_digits(ms)} ms." for label, ms in lines.items())
    shapes = ", ".join(f"{place.block} at {place.sparsity:.0%}" for place in best)
    return f"Accuracy against latency of pruned models: {each}. Best trade-offs: {shapes}.{reference}{engines}"


def caption(judged: dict[tuple[str, str, str, float], list[Record]], places: Sequence[Place]) -> str:
    """Say what was judged and how often."""
    if not places:
        return ""
    records = [record for group in judged.values() for record in group]
    seeds = sorted({len(group) for group in judged.values()})
    times = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"{records[0]['model']} on the task {records[0]['task']}, {times} seed{'s' * (times != '1')} a point. Each "
        "point is one block shape: the same pruned weights judged and timed, with 95% intervals. Strong blue: no other "
        "point is both faster and more accurate. Orange lines: dense engines."
    )
