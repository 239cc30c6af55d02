"""The command line: `megascience stage|run|try|reparse|estimate|stages|check`, and the commands of `looking`.

What a program reads is on stdout; what people read while they wait is on stderr. Exit code 65: a person has to act,
and the last line says how. 75: try again. 99: nothing is new, so there is nothing to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any, TypeVar

from rich.console import Console
from rich.logging import RichHandler

from megascience_ops import flags, housekeeping, reparsing, terminal, trying
from megascience_ops.errors import (
    EXIT_CONTRACT,
    EXIT_NOTHING_NEW,
    EXIT_TRANSIENT,
    ContractError,
    NothingNew,
    TransientError,
)
from megascience_ops.looking import commands
from megascience_ops.planning import assuming, comparing, costing, estimating
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import recipe
from megascience_ops.run import run, settle, summary
from megascience_ops.runner import Lane

T = TypeVar("T")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    options = _parser().parse_args(arguments)
    _log(options.verbose)
    try:
        done: int | None = options.command(options)
        return done or 0
    except ContractError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_CONTRACT
    except TransientError as error:
        sys.stderr.write(f"error: {error}; it may pass, so try again\n")
        return EXIT_TRANSIENT
    except NothingNew as nothing:
        sys.stderr.write(f"nothing to do: {nothing}\n")
        return EXIT_NOTHING_NEW
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("error: stopped; what is done is kept, so start again to go on\n")
        return EXIT_TRANSIENT


def stage(options: argparse.Namespace) -> None:
    """Bring one stage up to date, and print its receipt's summary."""
    settings = flags.settings(options)
    bring = settle if options.no_compute else run
    done = _wait(bring(settings, options.stage, Lane(options.lane, options.lanes), recompute=options.recompute))
    if isinstance(done, Receipt):
        said = summary(settings, done)
    else:
        left = {"to_compute": done} if done else {"waiting_for": "other lanes"}
        said = {"stage": options.stage, **left}
    sys.stdout.write(json.dumps(said) + "\n")


def run_recipe(options: argparse.Namespace) -> None:
    """Bring every stage up to date, in order, then show the funnel."""
    settings = flags.settings(options)
    computed = 0
    for name in recipe(settings.recipe).names:
        receipt = _wait(run(settings, name, recompute=options.recompute))
        computed += receipt.computed_parts if receipt else 0
    commands.show_funnel(options)
    if not computed:
        sys.stdout.write("Nothing had to be computed: every stage was up to date.\n")


def try_stage(options: argparse.Namespace) -> None:
    """Show what a stage does to a few rows; write none of it."""
    trials = _wait(trying.try_stage(flags.settings(options), options.stage, options.rows))
    if options.json:
        sys.stdout.write(json.dumps([trying.told(trial) for trial in trials], indent=1) + "\n")
    else:
        terminal.show_trials(trials)


def reparse(options: argparse.Namespace) -> None:
    """Read a stage's kept completions again, ask nobody, and show what would change."""
    settings = flags.settings(options)
    reading = _wait(reparsing.reread(settings, options.stage))
    if options.json:
        sys.stdout.write(json.dumps({"stage": reading.stage, **reading.counts}) + "\n")
    else:
        terminal.show_reading(reading, options.examples)
    if options.commit:
        _wait(run(settings, options.stage, recompute=True))


def estimate(options: argparse.Namespace) -> None:
    """Calls, tokens, GPU-hours and money that these textbooks would take."""
    if options.compare:
        options.root = options.root or "."
    elif not options.root:
        raise ContractError("no root named: say where everything is kept with --root FOLDER")
    settings = flags.settings(options)
    speed = costing.parse_speed(options.tokens_per_second) if options.tokens_per_second else None
    if options.compare:
        ways = comparing.compare(settings, speed)
        if options.json:
            sys.stdout.write(json.dumps([asdict(way) for way in ways], indent=1) + "\n")
        else:
            terminal.show_ways(ways)
        return
    if options.assume:
        costs = assuming.assumed(settings, _wait(estimating.passages(settings, fewest=options.sample)))
    else:
        costs = _wait(estimating.estimate(settings, fewest=options.sample))
    found = costing.Estimate(costs, speed, settings.prices)
    if options.json:
        sys.stdout.write(json.dumps(found.told(), indent=1) + "\n")
    else:
        terminal.show_estimate(found)


def stages(options: argparse.Namespace) -> None:
    """The stages of a recipe in order, with what they read and write."""
    for one in recipe(options.recipe).stages:
        sys.stdout.write(f"{one.name:<26}{one.reads.__name__:>14} -> {one.writes.__name__}\n")


def _parser() -> argparse.ArgumentParser:
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

    def looking(name: str, function: Any) -> argparse.ArgumentParser:
        one = command(name, function)
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
    one = command("try", try_stage)
    one.add_argument("stage")
    one.add_argument("--limit", dest="rows", type=int, default=5, help="how many rows (default 5)")
    one.add_argument("--json", action="store_true", help="everything, whole")
    flags.add_flags(one)
    one = command("reparse", reparse)
    one.add_argument("stage")
    one.add_argument("--examples", type=int, default=3, help="how many changes of each kind are shown (default 3)")
    one.add_argument("--commit", action="store_true", help="then compute the stage again; asks only what is not kept")
    one.add_argument("--json", action="store_true")
    flags.add_flags(one)
    one = command("estimate", estimate, root=False)  # to compare, none is needed
    one.add_argument("--assume", action="store_true", help="ask no engine: published yields, assumed lengths")
    one.add_argument("--compare", action="store_true", help="ways of asking side by side, for 1,000 published rows")
    one.add_argument("--sample", type=int, default=estimating.FEWEST, help="rows of a sample at least (default 50)")
    one.add_argument("--limit", type=int, help="as if the first so many books were taken only")
    one.add_argument(
        "--tokens-per-second",
        metavar="PROMPT,ANSWER",
        help="of one GPU, such as 25000,5500 (default: by the model's size)",
    )
    one.add_argument("--json", action="store_true")
    flags.add_flags(one)
    command("stages", stages, where=False)
    commands.add_commands(looking)
    housekeeping.add_commands(command)
    return parser


def _wait(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGTERM cancels, so that what was answered is kept."""

    async def watched() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    return asyncio.run(watched())


def _log(verbose: bool) -> None:
    level = logging.DEBUG if verbose else logging.INFO
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it found credentials, at each start
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
        logging.basicConfig(level=logging.WARNING if not verbose else level, format="%(message)s", handlers=[handler])
    else:
        logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
