"""How latency falls while the task scheduler spends its trials."""

from __future__ import annotations

from collections.abc import Iterable

from codesign.schema import Record
from codesign.study.figures.drawing import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, Drawing, panel
from codesign.study.figures.labels import spread

PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)


def tuning_curves(records: Iterable[Record]) -> Drawing:
    """Draw predicted model latency (sum over tasks of weight x best time) against seconds of tuning.

    Parameters
    ----------
    records
        Tuning records; each is one line, labelled at its end. Points without a latency yet are not drawn.
    """
    lines = [(curve_label(r), [(s, ns / 1e6) for s, _, ns in r["curve"] if ns]) for r in records]
    lines = [(label, points) for label, points in lines if points]
    with panel(width=6.4, height=3.2) as (figure, axes):
        for i, (label, points) in enumerate(lines):
            seconds, latency = zip(*points, strict=True)
            axes.step(seconds, latency, where="post", color=PALETTE[i % len(PALETTE)], linewidth=1.6, label=label)
        ends = spread([points[-1][1] for _, points in lines], gap=0.06 * max((p[0][1] for _, p in lines), default=1.0))
        for i, ((label, points), height) in enumerate(zip(lines, ends, strict=True)):
            place = (points[-1][0], height)
            axes.annotate(
                label, place, (6, 0), textcoords="offset points", va="center", color=PALETTE[i % len(PALETTE)]
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("seconds of tuning")
        axes.set_ylabel("sum of tuned tasks, ms")
    ends_text = ", ".join(f"{label} ends at {points[-1][1]:.1f} ms" for label, points in lines)
    alt = f"Tuned time against seconds spent: {ends_text}." if lines else "No tuning has been recorded."
    return Drawing([figure] if lines else [], alt, "Every step is a better schedule found by the task scheduler.")


def curve_label(record: Record) -> str:
    """Name one tuning run by what it tuned."""
    return "dense" if record["block"] == "dense" else f"{record['block']}, {record['scope']}"
