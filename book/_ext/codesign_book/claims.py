"""The claims: what each says, how sure we are, and how to check it."""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.answers.claims import NOT_MEASURED, TOPICS, VERDICTS, counts
from codesign.answers.claims import Verdict as Judged
from codesign.answers.claims import verdicts as judge
from codesign.answers.frames import Frames
from codesign.answers.machines import labels, say
from codesign.progress import duration
from codesign_book.shown import shown
from codesign_book.tables import Cell, code, table, verdict_classes


def _topic(text: str) -> str:
    return directives.choice(text, tuple(TOPICS))


class Claims(SphinxDirective):
    """The claims with the verdict of each machine: all, or those of one topic.

    ``:check:`` leaves out what they say, and keeps how to check it.
    """

    optional_arguments = 1
    option_spec: ClassVar = {"check": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the table; a claim without records of the machine that is shown fails a strict build."""
        found, wanted = shown().machines, _topic(self.arguments[0]) if self.arguments else None
        for verdict in shown().verdicts.values():
            if verdict.verdict == NOT_MEASURED and shown().strict:
                raise self.error(f"claim {verdict.id}: {verdict.note}")
        rows: list[list[Cell]] = []
        for verdicts in zip(*(judge(machine).values() for machine in found), strict=True):
            claim = verdicts[0].claim
            if wanted not in (None, claim.topic):
                continue
            judged = [judgement(machine, v) for machine, v in zip(found, verdicts, strict=True)]
            takes = duration(60 * claim.minutes)
            if "check" in self.options:
                rows.append([code(claim.id), code(claim.command), takes, *judged])
            else:
                how = nodes.inline("", "", code(claim.command), nodes.Text(f", {takes}"), classes=["how"])
                rows.append([code(claim.id), nodes.inline("", "", nodes.Text(f"{claim.statement} "), how), *judged])
        head = ["claim", *(["command", "takes"] if "check" in self.options else ["statement"])]
        widths = [12, *([14, 8] if "check" in self.options else [40]), *[48 // len(found)] * len(found)]
        head += labels(found)
        return [table(head, rows, widths=widths, stacks=True)]


class ClaimCounts(SphinxDirective):
    """How many claims of each topic have which verdict, on the machine that is shown."""

    def run(self) -> list[nodes.Node]:
        """Return the table: a row for each topic, and one for all."""
        verdicts = list(shown().verdicts.values())
        words = [word for word in VERDICTS if word != NOT_MEASURED or counts(verdicts)[word]]
        groups = {title: [v for v in verdicts if v.claim.topic == name] for name, title in TOPICS.items()}
        rows: list[list[Cell]] = [_counted(title, judged, words) for title, judged in groups.items()]
        head = ["claims", *words, "together"]
        return [table(head, [*rows, _counted("All", verdicts, words)], numeric_from=1, stacks=True)]


def _counted(title: str, verdicts: list[Judged], words: list[str]) -> list[Cell]:
    found = counts(verdicts)
    return [title, *(str(found[word]) for word in words), str(len(verdicts))]


def judgement(machine: Frames, verdict: Judged) -> nodes.Node:
    """Return a verdict as a coloured word, with its effect, and why it decides nothing where a session was flagged."""
    badge = nodes.inline("", say(machine, verdict), classes=verdict_classes(verdict.verdict))
    if verdict.effect is None:
        return badge
    number = nodes.inline("", verdict.text, classes=["num"])
    note = nodes.Text(f" ({verdict.note})" if verdict.note else "")
    return nodes.inline("", "", badge, nodes.Text(" "), nodes.inline("", "", number, note, classes=["effect"]))


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("claims", Claims)
    app.add_directive("claim-counts", ClaimCounts)
