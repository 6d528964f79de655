"""A task: labelled or rated texts to learn from, to choose settings by, and to be judged by."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import numpy as np

from codesign.corpus import docstrings, reviews
from codesign.corpus.docstrings import STANDARD_LIBRARY, Passage, root_of
from codesign.errors import InputError

#: The task that needs no network and no files, and a small one of its kind, which is read in seconds.
DOCSTRINGS, SMALL = "docstrings", "docstrings-small"
#: Task -> the libraries that are told apart.
BUILT: Mapping[str, tuple[str, ...]] = {DOCSTRINGS: tuple(docstrings.LIBRARIES), SMALL: ("matplotlib", "numpy")}
#: The task of rating sentences of film reviews (`codesign.corpus.reviews`).
REVIEWS = "reviews"
#: The one label of a task whose texts are rated.
RATING = "rating"
#: Share of the training texts of a directory by which settings are chosen.
HELD_OUT = 0.05

_FILES = {"train": ("train.tsv", "train.jsonl"), "test": ("dev.tsv", "dev.jsonl", "validation.jsonl")}


@dataclass(frozen=True)
class Example:
    """A text with the number of its label, or its rating, and the group (a module) that must not be split."""

    text: str
    label: float
    group: str


@dataclass(frozen=True)
class Task:
    """Labelled texts, or rated ones.

    Parameters
    ----------
    name
        What it is called in records.
    labels
        Names of the labels; an example has the index of one. Where texts are rated, `RATING` alone.
    train, dev, test
        To learn from, to choose settings by, and to be judged by. ``dev`` may be empty.
    """

    name: str
    labels: tuple[str, ...]
    train: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example]

    @property
    def rated(self) -> bool:
        """Whether an example has a rating, a number of any size, in place of a label."""
        return self.labels == (RATING,)

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that change with any text, label or order."""
        parts = [[self.labels], *([[e.text, e.label] for e in side] for side in (self.train, self.dev, self.test))]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    def sizes(self, side: Sequence[Example]) -> list[int]:
        """Number of examples of each label."""
        if self.rated:
            return [len(side)]
        return [sum(example.label == label for example in side) for label in range(len(self.labels))]

    @property
    def majority(self) -> float:
        """Accuracy on ``test`` of always giving the most frequent answer."""
        return max(self.sizes(self.test)) / len(self.test)


def load_task(
    name: str, *, train_each: int | None = None, test_each: int | None = None, seed: int = 0, cache: Path | None = None
) -> Task:
    """Build a task.

    Parameters
    ----------
    name
        One of `BUILT`, `REVIEWS`, or a directory of labelled texts as `read_labelled` reads it (SST-2 of GLUE, say).
    train_each, test_each
        Examples of each label, at most (in all, where texts are rated); None: all there are. ``dev`` is as large as
        ``test`` at most.
    seed
        Of the draw of examples. It does not move a module from one side of the split to another.
    cache
        Folder where passages of the installed packages are kept, since reading them takes a minute.

    Raises
    ------
    InputError
        If it is none of these, or a label has no example to train or test with.
    """
    limits = {"train": train_each, "dev": test_each, "test": test_each}
    if name == REVIEWS:
        found = reviews.split(reviews.reviews(reviews.MOVIES))
        return Task(name, (RATING,), **{side: rated(members, limits[side], seed) for side, members in found.items()})
    if name in BUILT:
        labels = tuple(sorted(BUILT[name]))
        sides = docstrings.split(_passages(labels, cache))
    elif Path(name).is_dir():
        sides, labels = read_labelled(Path(name))
    else:
        known = ", ".join((REVIEWS, *BUILT))
        raise InputError("task", name, f"{known}, or a directory with train.tsv and dev.tsv", DOCSTRINGS)
    drawn = {}
    for side, members in sides.items():
        chosen = docstrings.draw(members, limits[side] or len(members), seed)
        drawn[side] = [Example(p.text, labels.index(p.library), f"{p.library}/{p.module}") for p in chosen]
    task = Task(Path(name).name, labels, **drawn)
    for side in ("train", "test"):
        if min(task.sizes(drawn[side])) == 0:
            lacking = labels[task.sizes(drawn[side]).index(0)]
            raise InputError("task", name, f"examples of every label to {side} with ({lacking!r} has none)")
    return task


def rated(members: Sequence[reviews.Review], most: int | None = None, seed: int = 0) -> list[Example]:
    """Return rated sentences as examples: all in their order, or so many that are drawn."""
    if most is not None:
        drawn = np.random.default_rng(seed).permutation(len(members))[:most]
        members = [members[place] for place in drawn]
    return [Example(review.text, review.rating, "") for review in members]


def _passages(libraries: Sequence[str], cache: Path | None) -> list[Passage]:
    """Read the passages of installed libraries, or what was read before from the same versions by this code."""
    packages = [name for name in libraries if name != STANDARD_LIBRARY]
    parts = [Path(docstrings.__file__).read_text(), python_version(), {name: version(name) for name in packages}]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
    path = None if cache is None else cache / f"passages-{key}.jsonl"
    if path is not None and path.exists():
        return [Passage(**json.loads(line)) for line in path.read_text().splitlines()]
    found = docstrings.passages({name: root_of(name) for name in libraries})
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        work = path.with_suffix(".part")
        work.write_text("".join(json.dumps(asdict(passage)) + "\n" for passage in found))
        work.rename(path)
    return found


def read_labelled(directory: Path) -> tuple[dict[str, list[Passage]], tuple[str, ...]]:
    """Read ``train.tsv`` and ``dev.tsv`` in the format of GLUE: a sentence and its label.

    GLUE's own ``test.tsv`` has no labels, so its ``dev.tsv`` is what a model is judged by, and settings are chosen by a
    part of the training texts. JSON Lines with the same two fields, as `datasets` exports them, are read too.

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
    asked, taught = (_rows(directory, side) for side in ("test", "train"))
    sides: dict[str, list[Passage]] = {"train": [], "dev": [], "test": list(asked.values())}
    for text, passage in taught.items():
        if text not in asked:
            held_out = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) < HELD_OUT * 2**32
            sides["dev" if held_out else "train"].append(passage)
    return sides, tuple(sorted({passage.library for side in sides.values() for passage in side}))


def _rows(directory: Path, side: str) -> dict[str, Passage]:
    """Every text of a file with its first row."""
    path = next((directory / name for name in _FILES[side] if (directory / name).is_file()), None)
    if path is None:
        raise InputError("task", str(directory), f"a directory with {' or '.join(_FILES[side])}")
    found: dict[str, Passage] = {}
    with path.open(encoding="utf-8", newline="") as file:
        tsv = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        for number, row in enumerate(tsv if path.suffix == ".tsv" else map(json.loads, file), start=1):
            text, label = " ".join((row.get("sentence") or "").split()), str(row.get("label"))
            if not text or label in ("", "None", "-1"):
                expected = "the fields sentence and label, neither of them empty, and no label -1"
                raise InputError("task", f"{path}: record {number}", expected)
            found.setdefault(text, Passage(label, f"{path.name}:{number}", text))
    return found
