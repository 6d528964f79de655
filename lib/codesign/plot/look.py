"""A drawing: one or more matplotlib panels that become inline SVG readable on a light and on a dark page.

Panels are separate SVGs that wrap on a narrow screen. Ink is written as ``currentColor``, so the figure follows the
page's theme, in the book and in JupyterLab alike; files for places without CSS are saved in a light and a dark variant.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context

INK, PAPER = "#010203", "#fcfdfe"  # stand-ins: replaced by the page's own colours when the SVG is written

# Okabe and Ito's colours, told apart by readers with any kind of colour vision. The two blues mean "the one" and "the
# others", so on a dark page they change places in brightness; orange serves both.
BLUE, SKY, ORANGE = "#0072b2", "#56b4e9", "#e69f00"

LIGHT = {INK: "#1f2328", PAPER: "#ffffff"}
DARK = {INK: "#e6e6e6", PAPER: "#121212", BLUE: "#6cc5ff", SKY: "#2f739e"}
PAGE = {
    INK: "currentColor",
    PAPER: "var(--pst-color-background, #ffffff)",
    BLUE: f"var(--figure-blue, {BLUE})",
    SKY: f"var(--figure-sky, {SKY})",
}
ON_ORANGE = "#111111"

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, selected and read aloud
    "svg.hashsalt": "codesign",  # the same records give the same bytes
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "patch.linewidth": 0,
}


@dataclass(frozen=True)
class Drawing:
    """Panels of one figure with the words that go with them.

    Parameters
    ----------
    panels
        Matplotlib figures, in reading order.
    alt
        What the figure shows, for readers who cannot see it.
    caption
        One or two sentences under the figure.
    """

    panels: list[Figure]
    alt: str
    caption: str = ""

    def _repr_html_(self) -> str:
        """Return the figure for a notebook or a page; panels wrap where the page is narrow."""
        body = "".join(f'<div class="panel">{svg}</div>' for svg in self._svgs(PAGE))
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        label = html.escape(self.alt, quote=True)
        panels = f'<div class="panels" role="img" aria-label="{label}">{body}</div>'
        return f'<figure class="drawing">{panels}{caption}</figure>'

    def _svgs(self, colours: dict[str, str]) -> list[str]:
        return [to_svg(panel, colours, prefix=f"{slug(self.alt)}-{i}-") for i, panel in enumerate(self.panels)]

    def save(self, stem: Path) -> list[Path]:
        """Write ``<stem>-light.svg`` and ``<stem>-dark.svg``, panels side by side; return the two paths."""
        paths = []
        for variant, colours in (("light", LIGHT), ("dark", DARK)):
            path = stem.with_name(f"{stem.name}-{variant}.svg")
            path.write_text(side_by_side(self._svgs(colours), self.alt), encoding="utf-8")
            paths.append(path)
        return paths


@contextmanager
def panel(width: float = 4.4, height: float = 3.0) -> Iterator[tuple[Figure, Axes]]:
    """Give a styled (figure, axes) of ``width`` x ``height`` inches."""
    with context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def at_end(axes: Axes, text: str, x: float, y: float, **style: Any) -> None:
    """Write ``text`` a little to the right of a bar or a line that ends at (x, y), on a patch of paper."""
    paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", bbox=paper, **style)


def to_svg(figure: Figure, colours: dict[str, str], prefix: str) -> str:
    """Return the figure as an ``<svg>`` element whose ids start with ``prefix``, so that many fit on one page."""
    buffer = io.StringIO()
    with context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", text)
    text = re.sub(r"font: ([^;\"]*?)'sans-serif'|font-family: ?'sans-serif'", _plain_font, text)
    for stand_in, colour in colours.items():
        text = text.replace(stand_in, colour)
    return text.strip()


def _plain_font(found: re.Match[str]) -> str:
    return found.group(0).replace("'sans-serif'", "sans-serif")


def side_by_side(svgs: list[str], alt: str, gap: float = 18.0) -> str:
    """Return one SVG document that holds ``svgs`` in a row."""
    sizes = [tuple(float(v) for v in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2]) for svg in svgs]
    offsets = [sum(w + gap for w, _ in sizes[:i]) for i in range(len(svgs))]
    width, height = offsets[-1] + sizes[-1][0], max(h for _, h in sizes)
    body = "".join(svg.replace("<svg ", f'<svg x="{x:g}" ', 1) for svg, x in zip(svgs, offsets, strict=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'viewBox="0 0 {width:g} {height:g}" width="{width:g}pt" height="{height:g}pt">'
        f"<title>{html.escape(alt)}</title>{body}</svg>\n"
    )


def slug(text: str) -> str:
    """Return a short identifier made from ``text``."""
    return "d" + hashlib.sha256(text.encode()).hexdigest()[:8]
