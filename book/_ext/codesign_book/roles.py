"""Roles for numbers: ``{num}`` prints one from records, ``{paper}`` one that the paper or a peer published.

``{retired}`` prints one of an experiment whose code is gone.
"""

from __future__ import annotations

import difflib

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from codesign.answers.claims import VERDICTS
from codesign.errors import InputError, MissingRecord
from codesign_book.shown import filed, shown
from codesign_book.tables import verdict_classes

Result = tuple[list[nodes.Node], list[nodes.system_message]]


class Num(SphinxRole):
    """A number computed from the records that this build shows."""

    def run(self) -> Result:
        """Return the text, or an error that fails the build."""
        try:
            text = shown().number(self.text)
        except (InputError, MissingRecord) as error:
            return hole(self, str(error))
        number = ["num", *(["listed"] if ", " in text else [])]  # a list may be longer than a line
        return [nodes.inline(self.rawtext, text, classes=verdict_classes(text) if text in VERDICTS else number)], []


class Filed(SphinxRole):
    """A number from a file of numbers, with its source on hover."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def run(self) -> Result:
        """Return the number, or an error that fails the build."""
        known = filed(self.file)
        if self.text not in known:
            near = difflib.get_close_matches(self.text, known, n=1)
            return hole(self, f"{self.file} has no {self.text!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        entry = known[self.text]
        node = nodes.abbreviation(self.rawtext, entry["value"], explanation=entry["source"], classes=["published"])
        return [node], []


def hole(role: SphinxRole, message: str) -> Result:
    """Return what stands where a number should: an error for the log, and nothing that reads like a number."""
    report = role.inliner.reporter.error(message, line=role.lineno)
    return [role.inliner.problematic(role.rawtext, role.rawtext, report)], [report]


def setup(app: Sphinx) -> None:
    """Register the roles."""
    app.add_role("num", Num())
    app.add_role("paper", Filed("paper.yml"))
    app.add_role("retired", Filed("retired.yml"))
