"""The directive ``judged``: a paragraph that says which verdicts it was written for.

    ```{judged} paper-1a=supported paper-2=not-supported
    What we make of it.
    ```

Where the records give another verdict, a notice stands above the paragraph.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.answers.claims import VERDICTS
from codesign_book.shown import shown


class Judged(SphinxDirective):
    """Prose that rests on claims."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the paragraph, below a notice where a verdict has changed."""
        changed = [text for pair in self.arguments[0].split() if (text := self._change(pair))]
        body = nodes.container(classes=["judged", *(["stale"] if changed else [])])
        if changed:
            body += notice(changed)
        body += self.parse_content_to_nodes()
        return [body]

    def _change(self, pair: str) -> str | None:
        """Say how the verdict on one ``claim=verdict`` differs now; None where it does not."""
        claim, _, written = pair.partition("=")
        written = written.replace("-", " ")
        verdicts = shown().verdicts
        if claim not in verdicts or written not in VERDICTS:
            known = f"{', '.join(verdicts)} = {', '.join(v.replace(' ', '-') for v in VERDICTS)}"
            raise self.error(f"judged: {pair!r} names no claim and verdict; expected one of {known}")
        now = verdicts[claim].verdict
        return None if now == written else f"{claim} was {written}; the records shown here say: {now}"


def notice(changes: list[str]) -> nodes.Node:
    """Return the warning that stands above prose written for other verdicts."""
    box = nodes.admonition(classes=["warning", "changed-verdict"])
    box += nodes.title("", "Written for another verdict")
    box += nodes.paragraph(
        "", f"The words below were written when {'; '.join(changes)}. Trust the claims, not the words."
    )
    return box


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("judged", Judged)
