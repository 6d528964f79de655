"""How engines take turns in a session."""

from __future__ import annotations

from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, panel

ENGINES = (("engine A", BLUE), ("engine B", ORANGE), ("A again (control)", SKY))
DISCARDED, TIMED, ROUNDS = 3, 6, 2  # of the drawing, not of a profile


def protocol() -> Drawing:
    """Draw two rounds of a session: hollow calls are thrown away, filled ones are kept."""
    with panel(width=7.0, height=1.75) as (figure, axes):
        x = 0.0
        for turn in range(ROUNDS):
            start = x
            for row, (_, colour) in enumerate(ENGINES):
                for call in range(DISCARDED + TIMED):
                    kept = call >= DISCARDED
                    face = colour if kept else "none"
                    axes.barh(row, 0.8, left=x, height=0.62, facecolor=face, edgecolor=colour, linewidth=1)
                    x += 1
                x += 0.6
            axes.annotate(f"round {turn + 1}", ((start + x) / 2, -0.75), ha="center", va="center")
            if turn < ROUNDS - 1:
                axes.axvline(x, color=INK, linewidth=0.6, linestyle=":")
            x += 0.8
        axes.set_yticks(range(len(ENGINES)), [name for name, _ in ENGINES])
        axes.set_xticks([])
        axes.set_ylim(len(ENGINES) - 0.4, -1.1)
        axes.set_xlabel("time")
        for spine in axes.spines.values():
            spine.set_visible(False)
    alt = (
        "Timeline of two rounds. In each, three contenders take turns: engine A, engine B, and engine A once more as a "
        "control. A turn starts with three calls that are thrown away, followed by the timed calls."
    )
    return Drawing(
        [figure], alt, "Hollow calls are thrown away: they only let the other engine's threads come to rest."
    )
