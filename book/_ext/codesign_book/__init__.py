"""Sphinx extension of this book: everything measured is read from records while the book is built.

Nothing here is needed to read the result: no network, and no script but one that sorts a table.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from codesign_book import claims, drawings, explorer, faults, mathml, prose, stamp, tables


def setup(app: Sphinx) -> dict[str, Any]:
    """Register roles, directives and the renderer of formulas."""
    for part in (mathml, prose, tables, claims, faults, explorer, drawings, stamp):
        part.setup(app)
    # Jupyter Book sets this option for an extension that we leave out.
    app.add_config_value("comments_config", {}, "html")
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
