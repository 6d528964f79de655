"""The directive ``faults``: what a campaign of `make soak` did to each subject, and what came of it."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.answers.frames import where
from codesign.answers.numbers import CAMPAIGNS, COUNTED, added_up
from codesign_book.shown import shown
from codesign_book.tables import nothing, table

#: What was done how often, and what became of it.
HEADS = {
    "kills": ("kills", None, "lost", "wrong numbers"),
    "disk": ("full disks", "said so, with an error", "lost", "wrong numbers"),
    "patterns": ("patterns or inputs", None, None, "wrong numbers"),
    "broken": ("broken kernels", "caught", None, "given a time"),
    "inputs": ("inputs", "refused", None, "judged wrongly"),
}


class Faults(SphinxDirective):
    """One row for each subject of a campaign, then their sum."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table; a strict build fails where the campaign has no record."""
        campaign = self.arguments[0]
        if campaign not in CAMPAIGNS:
            raise self.error(f"faults: {campaign!r} is unknown; expected one of {', '.join(CAMPAIGNS)}")
        rows = added_up(where(shown().frames.all("soak"), campaign=campaign))
        if not len(rows):
            return nothing(self, campaign, "soak", campaign=campaign)
        heads = {name: head for name, head in zip(COUNTED, HEADS[campaign], strict=False) if head}
        rows.loc["all"] = rows.sum()
        lines = [[subject, *(f"{row[name]:,}" for name in heads)] for subject, row in rows.iterrows()]
        return [table([CAMPAIGNS[campaign], *heads.values()], lines, numeric_from=1)]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("faults", Faults)
