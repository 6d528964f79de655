"""The `codesign` command.

What a command needs is imported when it runs: help appears at once, and the doctor can speak where nothing else can be
imported.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from codesign.errors import BookFailed, InputError, MissingRecord, MissingTask, NotebookFailed, RecordError

#: What the operating system says that is no bug of ours: a full disk, no permission, a file for a folder.
OUTSIDE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code (2 when the input is refused, 1 when the work fails)."""
    options = _parser().parse_args(arguments)
    try:
        module, _, function = options.run.partition(":")
        return int(getattr(importlib.import_module(f"codesign.commands.{module}"), function)(options) or 0)
    except _explained() as error:
        return _explain(str(error), 2 if isinstance(error, InputError) else 1)
    except OSError as error:
        if error.errno not in OUTSIDE:
            raise
        return _explain(f"{error.filename or 'writing'}: {error.strerror}; what was finished before is kept", 1)
    except KeyboardInterrupt:
        return _explain("interrupted; what was finished is kept, and the same command goes on from there", 130)


def _explained() -> tuple[type[Exception], ...]:
    """Errors whose message is all that a user needs; anything else is a bug and keeps its traceback."""
    from codesign.runtime import ArtifactError  # with numpy

    return InputError, MissingRecord, MissingTask, RecordError, NotebookFailed, BookFailed, ArtifactError


def _explain(message: str, code: int) -> int:
    from rich.console import Console

    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="codesign", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: str, does: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=does, description=does, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    run = command("run", "book:run", "Execute one notebook with checked parameters.")
    run.add_argument("notebook", metavar="NOTEBOOK", help="name, as in 01_prune")
    profile = run.add_mutually_exclusive_group()
    profile.add_argument("--profile", help="parameters from notebooks/params (default: the notebook's own)")
    profile.add_argument("--params", type=Path, metavar="FILE", help="parameters from another such file")
    run.add_argument("--results", help="book (read), a machine by name, or local (measure what is missing)")

    reproduce = command(
        "reproduce",
        "book:reproduce",
        "Measure everything on this machine, notebook by notebook, and build the book from it.",
    )
    train = command(
        "train",
        "book:train",
        "Train the models of the page on accuracy, and nothing else: hours that can be had before it is built.",
    )
    train.add_argument("--profile", help="from notebooks/params (default: the notebook's own parameters)")
    book = command("book", "book:book", "Execute the notebooks on committed or local results and build the book.")
    for added in (reproduce, book):
        added.add_argument("--profile", default="default")
    book.add_argument("--results", default="book")

    attempt = command("try", "book:try_", "Prune, compile, tune and measure one block shape, and show it in the book.")
    for name in ("block", "sparsity"):
        attempt.add_argument(f"--{name}", required=True)
    for name in ("scope", "model"):
        attempt.add_argument(f"--{name}")
    attempt.add_argument("--results", default="book", help="results that the rest of the book shows")
    for added in (run, train, attempt):
        added.add_argument("-p", dest="pairs", action="append", default=[], metavar="NAME=VALUE", help="one parameter")

    bench = command(
        "bench",
        "bench:main",
        "Time any encoder, dense, pruned by somebody else or first pruned here, beside the engines one would else use.",
    )
    bench.add_argument("--model", default="bert-base", help="name, directory or hub id of a BERT encoder")
    bench.add_argument(
        "--blocks", help="comma-separated shapes in which zeros that are there are stored (default: what fits)"
    )
    bench.add_argument("--engines", help="comma-separated, beside the references (default: tvm-dense,tvm-bsr)")

    make = command(
        "compile",
        "compile:main",
        "Tune and build an encoder, as it is or first pruned, into one directory that runs without torch.",
    )
    make.add_argument("model", metavar="MODEL", help="name, directory or hub id of a BERT encoder")
    make.add_argument("--block", help="shape in which zeros that are there are stored, or dense (default: what fits)")
    make.add_argument("--out", type=Path, metavar="DIR", help="where to put it (default: below build/artifacts)")

    for added in (bench, make):
        added.add_argument("--prune", metavar="SHAPES@SPARSITY", help="prune by magnitude first, as in 4x1@0.8")
        added.add_argument("--scope", help="attention, ffn or all: what to prune, or where to look for zeros")
        added.add_argument("--encoder-only", action="store_true", help="leave out the head of a model that has one")
        added.add_argument("--batch", default="1", help="sequences (default: 1)")
        added.add_argument("--seq", default="128", help="tokens a sequence (default: 128)")
        added.add_argument("--threads", help="default: one for each core")
        added.add_argument("--isa", default="native", help="native (default), avx2 or avx512: what to compile for")
        added.add_argument("--trials", default="64", help="schedules tried for a task at most")

    judge = command(
        "claims",
        "results:claims",
        "Print the verdict on every claim, for each machine whose records are here.",
    )
    judge.add_argument("--results", default="book", help="book (default), a machine by name, or local")
    judge.add_argument("--only", metavar="ID", help="one claim, and the command that judges it anew, with its minutes")
    for added in (bench, judge):
        added.add_argument("--json", metavar="FILE", help="write the rows as JSON, too; - for standard output, instead")

    add = command(
        "add-machine",
        "results:add_machine",
        "Put what was measured here into a folder of book/results, so that it can be committed beside other machines.",
    )
    add.add_argument("folder", metavar="FOLDER", help="its name, as in zen4-avx512")
    add.add_argument("--name", required=True, help="for people, as in 'Zen 4, 3.7 GHz, AVX-512'")
    add.add_argument("--hides", help="what the processor has and this virtual machine does not show, as in AMX")
    add.add_argument("--profile", default="default", help="whose records: default or full")

    command("effects", "results:effects", "List what claims and prose can say of records, with units and arguments.")
    command("headline", "results:headline", "Draw the README's figure from the committed results.")
    look = command("doctor", "doctor:main", "Say whether this machine is ready, and how fast it can be at best.")
    look.add_argument("--measure", action="store_true", help="measure the ceilings, half a minute")
    return parser


if __name__ == "__main__":
    sys.exit(main())
