"""Labelled texts from a directory in the format of GLUE: ``train.tsv`` and ``dev.tsv`` with sentence and label.

GLUE's own ``test.tsv`` has no labels, so its ``dev.tsv`` is what a model is judged by, and settings are chosen by a
part of the training texts. JSON Lines with the same two fields, as `datasets` exports them, are read too
(``train.jsonl``, and ``dev.jsonl`` or ``validation.jsonl``).
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from codesign.corpus.docstrings import Passage
from codesign.errors import InputError

#: Share of the training texts by which settings are chosen.
HELD_OUT = 0.05

_FILES = {"train": ("train.tsv", "train.jsonl"), "test": ("dev.tsv", "dev.jsonl", "validation.jsonl")}


def read(directory: Path) -> tuple[dict[str, list[Passage]], tuple[str, ...]]:
    """Read a directory.

    Returns
    -------
    tuple[dict[str, list[Passage]], tuple[str, ...]]
        Texts for ``train``, ``dev`` and ``test``, and the labels in order. A text stands where it was first seen; one
        that is asked is not taught.

    Raises
    ------
    InputError
        If a file is missing, or a line of it lacks a field.
    """
    test = _unique(_rows(directory, "test"))
    asked = {passage.text for passage in test}
    taught = [passage for passage in _unique(_rows(directory, "train")) if passage.text not in asked]
    sides = {
        "train": [passage for passage in taught if not _held_out(passage)],
        "dev": [passage for passage in taught if _held_out(passage)],
        "test": test,
    }
    return sides, tuple(sorted({passage.library for passage in taught + test}))


def _unique(rows: Iterator[Passage]) -> list[Passage]:
    return list({passage.text: passage for passage in reversed(list(rows))}.values())[::-1]


def _held_out(passage: Passage) -> bool:
    return int(hashlib.sha256(passage.text.encode()).hexdigest()[:8], 16) < HELD_OUT * 2**32


def _rows(directory: Path, side: str) -> Iterator[Passage]:
    path = next((directory / name for name in _FILES[side] if (directory / name).is_file()), None)
    if path is None:
        raise InputError("task", str(directory), f"a directory with {' or '.join(_FILES[side])}")
    with path.open(encoding="utf-8", newline="") as file:
        lines = (
            csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if path.suffix == ".tsv"
            else (json.loads(line) for line in file)
        )
        for number, row in enumerate(lines, start=1):
            try:
                text, label = " ".join(row["sentence"].split()), str(row["label"])
            except (KeyError, AttributeError):
                raise InputError("task", f"{path}: record {number}", "the fields sentence and label") from None
            if not text or label in ("", "None", "-1"):
                raise InputError("task", f"{path}: record {number}", "a sentence with its label")
            yield Passage(label, f"{path.name}:{number}", text)
