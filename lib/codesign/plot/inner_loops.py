"""What an inner loop has to do for each multiply-add, for each block shape."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.plot.look import BLUE, INK, ON_ORANGE, ORANGE, PAPER, SKY, Drawing, at_end, panel
from codesign.schema import Record
from codesign.study.listed import BOUNDS, bound, cycles
from codesign.study.roofline import LOAD_PORTS

#: What the load ports are busy with, and the colours of the segments: the field of the counts, its name.
_SEGMENTS = (("broadcast", ORANGE, ON_ORANGE), ("load", SKY, ON_ORANGE), ("index", INK, PAPER))
NAMES = {"broadcast": "one value to all lanes", "load": "a vector", "index": "an index", "spill": "a spilled sum"}


def inner_loops(listings: Sequence[Record]) -> Drawing:
    """Draw, for each block shape, the least cycles that its inner loop keeps the multiply-add and the load ports busy.

    Parameters
    ----------
    listings
        `listing` records, one for each block shape.
    """
    panels = [_panel(listings)] if listings else []
    alt = " ".join(_sentence(listing) for listing in listings) or "No layer has been listed."
    caption = (
        "Cycles of one pass of the inner loop if nothing but these ports were in the way. Blue: multiply-adds. Load "
        "ports: orange, one value copied to all lanes; light blue, a whole vector; dark, the index of a column."
    )
    return Drawing(panels, alt, caption)


def _panel(listings: Sequence[Record]) -> Figure:
    longest = max(max(cycles(listing["counts"]).values()) for listing in listings)
    with panel(width=5.0, height=0.8 + 0.72 * len(listings)) as (figure, axes):
        places, names = [], []
        for number, listing in enumerate(listings):
            counts, place = listing["counts"], 2.6 * number
            busy = cycles(counts)
            axes.barh(place, busy["fma"], height=0.9, color=BLUE, edgecolor=PAPER)
            _inside(axes, busy["fma"] / 2, place, f"{counts['fma']} multiply-adds", PAPER)
            start = 0.0
            for field, colour, ink in _SEGMENTS:
                width = counts[field] / LOAD_PORTS
                axes.barh(place + 1, width, left=start, height=0.9, color=colour, edgecolor=PAPER)
                if width > 0.06 * longest:
                    _inside(axes, start + width / 2, place + 1, str(counts[field]), ink)
                start += width
            end = max(busy, key=lambda name: busy[name])
            at_end(axes, f"bound by {BOUNDS[end]}", busy[end], place if end != "reads" else place + 1)
            places += [place, place + 1]
            names += [f"{listing['block']}  FMA ports", "load ports"]
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_xlim(0, longest * 1.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("cycles a pass, at least")
    return figure


def _inside(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=8)


def _sentence(listing: Record) -> str:
    counts, busy = listing["counts"], cycles(listing["counts"])
    loads = ", ".join(f"{counts[field]} of {NAMES[field]}" for field, *_ in _SEGMENTS)
    return (
        f"{listing['block']}: {counts['fma']} multiply-adds take at least {busy['fma']:g} cycles, {counts['reads']} "
        f"loads ({loads}) at least {busy['reads']:g}; bound by {bound(counts)}."
    )
