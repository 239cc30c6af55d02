"""The command line: `megascience stage|run|stages`, and the commands of other rooms.

What a program reads is on stdout; what people read while they wait is on stderr. Exit code 65: a person has to act,
and the last line says how. 75: try again. 99: nothing is new, so there is nothing to do.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import sys
import tempfile
from typing import Any

from megascience_ops import flags
from megascience_ops.errors import (
    EXIT_CONTRACT,
    EXIT_NOTHING_NEW,
    EXIT_TRANSIENT,
    ContractError,
    NothingNew,
    TransientError,
)
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import recipe
from megascience_ops.run import run, settle, summary, wait
from megascience_ops.runner import Lane
from megascience_ops.strangers import visible

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(arguments[0] if arguments else "").parse_args(arguments)
    _log(options.verbose)
    try:
        done: int | None = options.command(options)
        return done or 0
    except ContractError as error:
        sys.stderr.write(f"error: {visible(str(error))}\n")
        return EXIT_CONTRACT
    except TransientError as error:
        sys.stderr.write(f"error: {visible(str(error))}; it may pass, so try again\n")
        return EXIT_TRANSIENT
    except NothingNew as nothing:
        sys.stderr.write(f"nothing to do: {nothing}\n")
        return EXIT_NOTHING_NEW
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = error.filename or tempfile.gettempdir()
        sys.stderr.write(f"error: {where}: the disk is full; make room and try again, what is done is kept\n")
        return EXIT_TRANSIENT
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("error: stopped; what is done is kept, so start again to go on\n")
        return EXIT_TRANSIENT


def stage(options: argparse.Namespace) -> None:
    """Bring one stage up to date, and print its receipt's summary."""
    settings = flags.settings(options)
    bring = settle if options.no_compute else run
    done = wait(bring(settings, options.stage, Lane(options.lane, options.lanes), recompute=options.recompute))
    if isinstance(done, Receipt):
        said = summary(settings, done)
    else:
        left = {"to_compute": done} if done else {"waiting_for": "other lanes"}
        said = {"stage": options.stage, **left}
    sys.stdout.write(json.dumps(said) + "\n")


def run_recipe(options: argparse.Namespace) -> None:
    """Bring every stage up to date, in order, then show the funnel."""
    from megascience_ops.looking.commands import show_funnel

    settings = flags.settings(options)
    computed = 0
    for name in recipe(settings.recipe).names:
        receipt = wait(run(settings, name, recompute=options.recompute))
        computed += receipt.computed_parts if receipt else 0
    show_funnel(options)
    if not computed:
        sys.stdout.write("Nothing had to be computed: every stage was up to date.\n")


def stages(options: argparse.Namespace) -> None:
    """The stages of a recipe in order, with what they read and write."""
    for one in recipe(options.recipe).stages:
        sys.stdout.write(f"{one.name:<26}{one.reads.__name__:>14} -> {one.writes.__name__}\n")


def _parser(wanted: str) -> argparse.ArgumentParser:
    """The parser of all commands; of `stage` alone where that is wanted: it is started often, and needs little."""
    parser = argparse.ArgumentParser(prog="megascience", description="Textbooks in, science-reasoning data out.")
    parser.add_argument("--verbose", action="store_true", help="log more")
    known = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, *, where: bool = True, root: bool = True) -> argparse.ArgumentParser:
        one = known.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
        one.set_defaults(command=function)
        one.add_argument("--recipe", default="textbook_reasoning")
        if where:
            one.add_argument("--root", required=root, help="folder or s3:// prefix where everything is kept")
            one.add_argument("--batch", default="default", help="name of the batch")
        return one

    def with_json(one: argparse.ArgumentParser) -> argparse.ArgumentParser:
        one.add_argument("--json", action="store_true")
        return one

    one = command("stage", stage)
    one.add_argument("stage", help="see `megascience stages`")
    one.add_argument("--lane", type=int, default=0, help="which of --lanes workers this is, from 0")
    one.add_argument("--lanes", type=int, default=1)
    one.add_argument(
        "--no-compute",
        action="store_true",
        help="compute nothing: say how many shards there are to compute, or that the stage stands",
    )
    for runs in (one, command("run", run_recipe)):
        flags.add_flags(runs)
        runs.add_argument("--limit", type=int, help="take the first so many books only")
        runs.add_argument("--recompute", action="store_true", help="compute again what is there")
    command("stages", stages, where=False)
    if wanted != "stage":
        from megascience_ops.contamination import commands as contamination
        from megascience_ops.looking import commands as looking
        from megascience_ops.planning import commands as planning
        from megascience_ops.upkeep import commands as upkeep

        planning.add_commands(command)
        looking.add_commands(lambda name, function: with_json(command(name, function)))
        upkeep.add_commands(command)
        contamination.add_commands(command)
    return parser


def _log(verbose: bool) -> None:
    level = logging.DEBUG if verbose else logging.INFO
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it found credentials, at each start
    handler: logging.Handler
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
        logging.basicConfig(level=logging.WARNING if not verbose else level, format="%(message)s", handlers=[handler])
    else:
        logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
