"""The `codesign` command.

What a command needs is imported when it runs: the doctor must be able to speak where nothing else can be imported.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from codesign import doctor, machine
from codesign.blocks import DENSE
from codesign.errors import BookFailed, InputError, MissingRecord, MissingTask, NotebookFailed, RecordError
from codesign.options import check_json, pairs, request, show
from codesign.records import new_run_id
from codesign.runtime import ArtifactError
from codesign.study import places
from codesign.study.places import BENCH, COMPILE

#: Errors whose message is all that a user needs; anything else is a bug and keeps its traceback.
EXPLAINED = (InputError, MissingRecord, MissingTask, RecordError, NotebookFailed, BookFailed, ArtifactError)
#: What the operating system says that is no bug of ours either: a full disk, no permission, a file for a folder.
OUTSIDE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code (2 when the input is refused, 1 when the work fails)."""
    os.environ.setdefault("CODESIGN_RUN_ID", new_run_id())
    os.environ.setdefault("TTY_COMPATIBLE", str(int(sys.stderr.isatty())))  # kernels believe that they have a terminal
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # kernels have no widgets, and need none
    try:
        options = _parser().parse_args(arguments)  # looks at the machine
        return int(options.run(options) or 0)
    except EXPLAINED as error:
        return _explain(str(error), 2 if isinstance(error, InputError) else 1)
    except OSError as error:
        if error.errno not in OUTSIDE:
            raise
        return _explain(f"{error.filename or 'writing'}: {error.strerror}; what was finished before is kept", 1)
    except KeyboardInterrupt:
        return _explain("interrupted; what was finished is kept, and the same command goes on from there", 130)


def _explain(message: str, code: int) -> int:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="codesign", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__, description=run.__doc__, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    run = command("run", _run)
    run.add_argument("notebook", metavar="NOTEBOOK", help="name, as in 01_prune")
    run.add_argument("-p", dest="pairs", action="append", default=[], metavar="NAME=VALUE", help="one parameter")
    profile = run.add_mutually_exclusive_group()
    profile.add_argument("--profile", help="parameters from notebooks/params (default: the notebook's own)")
    profile.add_argument("--params", type=Path, metavar="FILE", help="parameters from another such file")
    run.add_argument("--results", help="book (read), a machine by name, or local (measure what is missing)")

    reproduce = command("reproduce", _reproduce)
    reproduce.add_argument("--profile", default="report")

    learn = command("train", _train)
    learn.add_argument("--profile", help="from notebooks/params (default: the notebook's own parameters)")
    learn.add_argument("-p", dest="pairs", action="append", default=[], metavar="NAME=VALUE", help="one parameter")

    book = command("book", _book)
    book.add_argument("--profile", default="report")
    book.add_argument("--results", default=places.SHOWN)

    attempt = command("try", _try)
    for name in ("block", "sparsity"):
        attempt.add_argument(f"--{name}", required=True)
    for name in ("scope", "model"):
        attempt.add_argument(f"--{name}")
    attempt.add_argument(
        "-p", dest="pairs", action="append", default=[], metavar="NAME=VALUE", help="another parameter"
    )
    attempt.add_argument("--results", default=places.SHOWN, help="results that the rest of the book shows")

    bench = command("bench", _bench)
    bench.add_argument("--model", default="bert-base", help="name, directory or hub id of a BERT encoder")
    bench.add_argument(
        "--blocks", help="comma-separated shapes in which zeros that are there are stored (default: what fits)"
    )
    bench.add_argument("--engines", help="comma-separated, beside the references (default: tvm-dense,tvm-bsr)")

    make = command("compile", _compile)
    make.add_argument("model", metavar="MODEL", help="name, directory or hub id of a BERT encoder")
    make.add_argument("--block", help="shape in which zeros that are there are stored, or dense (default: what fits)")
    make.add_argument("--out", type=Path, metavar="DIR", help="where to put it (default: below build/artifacts)")

    for added in (bench, make):
        added.add_argument("--prune", metavar="SHAPES@SPARSITY", help="prune first, as in 4x1@0.8 (default: do not)")
        added.add_argument("--scope", help="attention, ffn or all: what to prune, or where to look for zeros")
        added.add_argument("--pruner", help="how to prune (default: magnitude)")
        added.add_argument("--encoder-only", action="store_true", help="leave out the head of a model that has one")
        for name, value in (("batch", 1), ("seq", 128), ("threads", machine.describe().cores)):
            added.add_argument(f"--{name}", default=str(value), help=f"default: {value}")
        added.add_argument("--isa", default="native", help="native (default), avx2 or avx512: what to compile for")
        added.add_argument("--trials", default="64", help="schedules tried for a task at most")

    judge = command("claims", _claims)
    judge.add_argument("--results", default=places.SHOWN, help="book (default), a machine by name, or local")

    for added in (bench, judge):
        added.add_argument("--json", metavar="FILE", help="write the rows as JSON, too; - for standard output, instead")

    command("headline", _headline)
    look = command("doctor", _doctor)
    look.add_argument("--measure", action="store_true", help="measure the ceilings, half a minute")
    return parser


def _run(options: argparse.Namespace) -> None:
    """Execute one notebook with checked parameters."""
    from codesign import pipeline

    values: dict[str, Any] = {}
    if options.profile is not None or options.params is not None:
        if options.params is not None and not options.params.is_file():
            raise InputError("params", str(options.params), "a file like those in notebooks/params")
        path = pipeline.profile_path(options.profile) if options.params is None else options.params
        named = {"profile": path.stem} if path.stem in pipeline.profiles() else {}
        values = pipeline.notebook_section(path, options.notebook) | named
    values |= pairs(options.pairs)
    if options.results is not None:
        values["results"] = options.results
    print(pipeline.run_notebook(options.notebook, values))


def _reproduce(options: argparse.Namespace) -> None:
    """Measure everything on this machine, notebook by notebook, and build the book from it."""
    from codesign import pipeline
    from codesign.study import ledger

    steps = pipeline.load_profile(pipeline.profile_path(options.profile))
    Console().print(ledger.table(options.profile, steps))
    print(pipeline.build_book("local", options.profile))


def _train(options: argparse.Namespace) -> None:
    """Train the models of the page on accuracy, and nothing else: hours that can be had before it is built."""
    from codesign import pipeline
    from codesign.study.chain import open_study
    from codesign.study.parameters import check_all
    from codesign.study.trainings import NOTEBOOK, ensure_trainings, trainings

    values = pipeline.default_parameters(NOTEBOOK)
    if options.profile is not None:
        values = pipeline.notebook_section(pipeline.profile_path(options.profile), NOTEBOOK)
        values["profile"] = options.profile
    values = check_all(NOTEBOOK, values | pairs(options.pairs), complete=False)
    ensure_trainings(open_study("local", values["profile"]), trainings(values))


def _book(options: argparse.Namespace) -> None:
    """Execute the notebooks on committed or local results and build the book."""
    from codesign import pipeline
    from codesign.study.parameters import check

    print(pipeline.build_book(check("results", options.results), options.profile))


def _try(options: argparse.Namespace) -> None:
    """Prune, compile, tune and measure one block shape, and show it in the book."""
    from codesign import pipeline
    from codesign.study.parameters import check, parse

    given = {"block": options.block, "sparsity": options.sparsity}
    given |= {name: text for name in ("scope", "model") if (text := getattr(options, name))}
    values = {name: check(name, parse(name, text)) for name, text in given.items()}
    results = check("results", options.results)
    typed = pairs(options.pairs)
    for name in typed.keys() & {*values, "results", "profile"}:
        raise InputError("-p", f"{name}={typed[name]}", f"another parameter: {name} is set already")
    executed = pipeline.run_notebook(pipeline.TRY, values | typed | {"results": "local"})
    print(pipeline.build_book(results, "report", done=[executed.stem]))


def _headline(options: argparse.Namespace) -> None:
    """Draw the README's figure from the committed results."""
    from codesign.answers.frames import Frames
    from codesign.plot import latency_bars

    drawing = latency_bars(Frames(places.results(places.SHOWN)).at("latency"))
    for path in drawing.save(places.BOOK / "_static" / "headline"):
        print(path)


def _bench(options: argparse.Namespace) -> None:
    """Time any encoder, dense, pruned by somebody else or first pruned here, beside the engines one would else use."""
    from codesign.study import bench
    from codesign.study.asked import plan
    from codesign.study.chain import open_study

    engines = {} if options.engines is None else {"engines": tuple(options.engines.split(","))}
    asked = request(options, blocks=options.blocks, **engines)
    check_json(options.json)
    made = plan(asked)
    study = open_study("local", BENCH, encoder_only=asked.encoder_only)
    records = bench.run(study, made.points, made.engines, asked.trials_per_task, asked.isa)
    show(options.json, bench.table(made.points, bench.rows(records)), bench.document(made, records, asked.isa))


def _claims(options: argparse.Namespace) -> None:
    """Print the verdict on every claim, for each machine whose records are here."""
    from codesign.answers import machines
    from codesign.answers.frames import Frames
    from codesign.study.parameters import check

    check_json(options.json)
    found = Frames(places.results(check("results", options.results))).machines
    show(options.json, machines.table(found), machines.documents(found))


def _compile(options: argparse.Namespace) -> None:
    """Tune and build an encoder, as it is or first pruned, into one directory that runs without torch."""
    from codesign.compiler.artifact import refuse_other
    from codesign.study import packaged
    from codesign.study.chain import open_study

    if options.block == DENSE and options.prune is not None:
        raise InputError("prune", options.prune, f"none with block={DENSE}, which leaves every weight")
    asked = request(options, blocks=None if options.block == DENSE else options.block)
    if options.out is not None:
        refuse_other(options.out)  # before looking at the model, which takes seconds
    case = packaged.case_of(asked, options.block)
    study = open_study("local", COMPILE, encoder_only=asked.encoder_only)
    made = packaged.package(study, case, asked.trials_per_task, options.out)
    Console().print(packaged.table(made))
    print(f"{made.directory}\n{made.example()}")


def _doctor(options: argparse.Namespace) -> int:
    """Say whether this machine is ready, and how fast it can be at best."""
    findings = doctor.examine()
    if options.measure and doctor.safe(findings):
        from codesign.study.ceilings import measure_ceilings
        from codesign.study.chain import open_study

        measure_ceilings(open_study("local", "report"))
    return doctor.report(findings)


if __name__ == "__main__":
    sys.exit(main())
