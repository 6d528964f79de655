"""The directive ``needs``: prose that makes sense only once certain numbers exist.

    ```{needs} best.all.block
    The fastest shape is {num}`best.all.block`.
    ```

Locally, one sentence stands there instead until they do. With committed records the prose always stands, and a number
that is missing fails the build as anywhere else. What is ``:optional:`` stands only where its numbers exist, and
nothing does where they do not.
"""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.errors import InputError
from codesign_book.shown import shown


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
    """Register the directive."""
    app.add_directive("needs", Needs)
