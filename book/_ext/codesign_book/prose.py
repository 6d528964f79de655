"""What prose prints and rests on.

The role ``{num}`` prints a number from records, ``{paper}`` one that the paper or a peer published, ``{retired}`` one
of an experiment whose code is gone. Two directives hold paragraphs.

``judged`` says which verdicts its prose was written for; where the records give another, a notice stands above it::

    ```{judged} paper-1a=supported paper-2=not-supported
    What we make of it.
    ```

``needs`` holds prose that makes sense only once certain numbers exist::

    ```{needs} best.all.block
    The fastest shape is {num}`best.all.block`.
    ```

Locally, one sentence stands there instead until they do. With committed records the prose always stands, and a number
that is missing fails the build as anywhere else. What is ``:optional:`` stands only where its numbers exist, and
nothing does where they do not.
"""

from __future__ import annotations

import difflib
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

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
            box = nodes.admonition(classes=["warning", "changed-verdict"])
            box += nodes.title("", "Written for another verdict")
            words = f"The words below were written when {'; '.join(changed)}. Trust the claims, not the words."
            box += nodes.paragraph("", words)
            body += box
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


class Needs(SphinxDirective):
    """Content that rests on the numbers named as arguments."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {"optional": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the content, or a sentence that says how to get it."""
        here = shown()
        optional = "optional" in self.options
        try:
            measured = all(here.has(key) for key in self.arguments[0].split())
        except InputError as error:
            raise self.error(str(error)) from None
        if (here.strict and not optional) or measured:
            return self.parse_content_to_nodes()
        if optional:
            return []
        text = nodes.paragraph("", "Not measured here yet. ", classes=["unmeasured"])
        text += [nodes.literal("", "make reproduce"), nodes.Text(" fills this in.")]
        return [text]


def setup(app: Sphinx) -> None:
    """Register the roles and directives."""
    app.add_role("num", Num())
    app.add_role("paper", Filed("paper.yml"))
    app.add_role("retired", Filed("retired.yml"))
    app.add_directive("judged", Judged)
    app.add_directive("needs", Needs)
