"""Real English that every install of this project has: the docstrings of pinned packages, read and never imported.

Sentences of them are inputs for encoders. Passages ask which library they are from: they are paragraphs, with the names
of libraries masked. What could give the answer away is removed: a text that two libraries share belongs to neither, one
that a library repeats counts once, all passages of a module are on one side of the split, and nothing that is asked
shares `SHINGLE` words in a row with anything that is taught.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import InputError
from codesign.folders import package_folder

#: Name that stands for the standard library, which is no package.
STANDARD_LIBRARY = "python"

#: Libraries with thousands of passages each, all of them in the lock file, and the names that betray them.
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "matplotlib": ("matplotlib", "mpl", "pyplot", "plt"),
    "numpy": ("numpy", "np"),
    "pandas": ("pandas", "pd"),
    STANDARD_LIBRARY: ("python", "cpython"),
    "scipy": ("scipy",),
    "torch": ("torch", "pytorch"),
    "transformers": ("transformers", "hugging face", "huggingface", "hf"),
}
#: What stands in place of a library's name.
MASK = "library"
#: Folders that hold other people's text, tests, or parts that some systems package separately.
SKIPPED = (
    *("tests", "test", "testing", "_vendor", "_external", "externals", "extern", "_internal"),
    *("site-packages", "dist-packages", "array_api_compat", "array_api_extra"),
    *("idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip"),
)
#: Shortest and longest passage, in characters.
LENGTHS = (60, 400)
#: Words in a row that no question shares with the training passages.
SHINGLE = 8
#: Shares of modules whose passages are asked: while settings are chosen, and at last.
DEV, TEST = 0.1, 0.2

_MIN_WORDS = 8
_PROSE = 0.8  # share of letters and spaces
_MARKUP = re.compile(r"^(>>>|\.\.\. |\.\. |[-=~^*#|+]{3}|:\w+)", re.MULTILINE)
_NAMES = re.compile(
    r"(?<![a-z])(?:" + "|".join(name for names in LIBRARIES.values() for name in names) + r")(?![a-z])", re.IGNORECASE
)
#: Packages that sentences are drawn from: large, well written, and direct dependencies.
SENTENCES_OF = ("numpy", "matplotlib")

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")
# Words, numbers and ordinary punctuation; anything else is markup, code or a formula.
_SENTENCE = re.compile(r"[A-Z][A-Za-z0-9 ,;'()-]{40,200}[.?!]")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def root_of(library: str) -> Path:
    """Folder of an installed package, or of the standard library."""
    return Path(sysconfig.get_path("stdlib")) if library == STANDARD_LIBRARY else package_folder(library)


def docstrings(root: Path, skip: Collection[str]) -> Iterator[tuple[str, str]]:
    """Read every docstring below a folder, but for folders of the names ``skip``, in the order of paths.

    Yields
    ------
    tuple[str, str]
        Path of the module below ``root``, with slashes and suffix, and the docstring without its indentation.
    """
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root)
        if not set(skip).intersection(module.parts[:-1]):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
                    yield module.as_posix(), text


def sentences(count: int) -> list[str]:
    """Draw sentences, the same ones in every environment made from the lock file.

    Parameters
    ----------
    count
        At least 1. A longer draw starts with the shorter one.

    Raises
    ------
    InputError
        If ``count`` is below 1 or there are fewer sentences.
    """
    available = _all_sentences()
    if not 1 <= count <= len(available):
        raise InputError("count", count, f"1 to {len(available)}", min(max(count, 1), len(available)))
    return list(available[:count])


@functools.cache
def _all_sentences() -> tuple[str, ...]:
    """Every sentence once, in the order of its digest: shuffled, without depending on files or their order."""
    texts = (text for package in SENTENCES_OF for _, text in docstrings(root_of(package), skip=("tests",)))
    found = {sentence for text in texts for sentence in _sentences_in(text)}
    return tuple(sorted(found, key=lambda sentence: hashlib.sha256(sentence.encode()).digest()))


def _sentences_in(docstring: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", docstring):
        if any(line.startswith((" ", ">", "-", "=", ".", "*")) for line in paragraph.splitlines()):
            continue  # an example, a list, a heading or a directive
        for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
            if _SENTENCE.fullmatch(sentence) and sentence.count(" ") >= _MIN_WORDS:
                yield sentence


@dataclass(frozen=True, order=True)
class Passage:
    """A paragraph, the library it comes from, and its module there."""

    library: str
    module: str
    text: str


def passages(roots: Mapping[str, Path]) -> list[Passage]:
    """Collect the passages of libraries, given their folders: each text once, in an order that the texts decide."""
    owner: dict[str, Passage | None] = {}
    for library, root in sorted(roots.items()):
        for module, docstring in docstrings(root, SKIPPED):
            for text in paragraphs(docstring):
                key = " ".join(_words(text))
                first = owner.setdefault(key, Passage(library, module, text))
                if first is not None and first.library != library:
                    owner[key] = None
    return sorted(filter(None, owner.values()), key=lambda passage: _digest(passage.text))


def paragraphs(docstring: str) -> Iterator[str]:
    """Cut the prose out of a docstring: paragraphs of `LENGTHS`, names masked, white space collapsed."""
    for paragraph in re.split(r"\n\s*\n", docstring):
        lines = "\n".join(line.strip() for line in paragraph.splitlines())
        text = _NAMES.sub(MASK, " ".join(lines.split()))
        letters = sum(letter.isalpha() or letter == " " for letter in text)
        if (
            LENGTHS[0] <= len(text) <= LENGTHS[1]
            and not _MARKUP.search(lines)
            and letters >= _PROSE * len(text)
            and len(_words(text)) >= _MIN_WORDS
        ):
            yield text


def split(found: Iterable[Passage]) -> dict[str, list[Passage]]:
    """Divide passages into ``train``, ``dev`` and ``test`` by module, in their order.

    Which side a module is on follows from its name, and does not move when others come or go. What shares `SHINGLE`
    words in a row with a training passage is left out of ``dev`` and ``test``.
    """
    sides: dict[str, list[Passage]] = {"train": [], "dev": [], "test": []}
    for passage in found:
        sides[_side(f"{passage.library}/{passage.module}")].append(passage)
    taught = {shingle for passage in sides["train"] for shingle in _shingles(passage.text)}
    return {
        side: members if side == "train" else [p for p in members if taught.isdisjoint(_shingles(p.text))]
        for side, members in sides.items()
    }


def draw(members: Sequence[Passage], each: int, seed: int) -> list[Passage]:
    """Draw ``each`` passages of every library, fewer where there are fewer; a larger draw contains a smaller one."""
    shuffled = sorted(members, key=lambda passage: _digest(f"{seed}:{passage.text}"))
    libraries = sorted({passage.library for passage in members})
    drawn = [p for library in libraries for p in [p for p in shuffled if p.library == library][:each]]
    return sorted(drawn, key=lambda passage: _digest(f"{seed}:{passage.text}"))


def _side(module: str) -> str:
    share = int(_digest(module)[:8], 16) / 2**32
    return "test" if share < TEST else "dev" if share < TEST + DEV else "train"


def _shingles(text: str) -> set[str]:
    words = _words(text)
    return {" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
