"""The stamp at the foot of every page: which machine, commit, profile and date its numbers come from."""

from __future__ import annotations

import html

from sphinx.application import Sphinx
from sphinx.config import Config

from codesign.answers import numbers
from codesign.errors import MissingRecord
from codesign_book.shown import Shown, shown


def text(here: Shown) -> str:
    """Return the stamp as HTML.

    Raises
    ------
    MissingRecord
        When the committed results name no machine.
    """
    try:
        values = {key: html.escape(value) for key, value in numbers.stamp(here.frames).items()}
    except MissingRecord:
        if here.strict:
            raise
        return '<p class="stamp">Nothing has been measured on this machine yet.</p>'
    source = "committed records" if here.strict else "this machine"
    age = "" if values["code"] == "this code" else ' <strong class="older">Measured by older code.</strong>'
    return (
        f'<p class="stamp">Numbers on this page come from {source}: {values["machine"]} · commit '
        f"<code>{values['commit']}</code> · profile {values['profile']} · {values['date']}.{age}</p>"
    )


def put(app: Sphinx, config: Config) -> None:
    """Hand the stamp to the theme, which prints it on every page."""
    config.html_theme_options["extra_footer"] = text(shown())


def setup(app: Sphinx) -> None:
    """Register the stamp."""
    app.connect("config-inited", put)
