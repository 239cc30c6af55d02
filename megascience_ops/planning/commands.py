"""The commands that tell what a run would do: `megascience try`, `reparse` and `estimate`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from megascience_ops import flags
from megascience_ops.errors import ContractError
from megascience_ops.planning import assuming, comparing, costing, estimating, reparsing, terminal, trying
from megascience_ops.run import run, wait


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Put these commands into the command line."""
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


def try_stage(options: argparse.Namespace) -> None:
    """Show what a stage does to a few rows; write none of it."""
    trials = wait(trying.try_stage(flags.settings(options), options.stage, options.rows))
    if options.json:
        sys.stdout.write(json.dumps([trying.told(trial) for trial in trials], indent=1) + "\n")
    else:
        terminal.show_trials(trials)


def reparse(options: argparse.Namespace) -> None:
    """Read a stage's kept completions again, ask nobody, and show what would change."""
    settings = flags.settings(options)
    reading = wait(reparsing.reread(settings, options.stage))
    if options.json:
        sys.stdout.write(json.dumps({"stage": reading.stage, **reading.counts}) + "\n")
    else:
        terminal.show_reading(reading, options.examples)
    if options.commit:
        wait(run(settings, options.stage, recompute=True))


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
        costs = assuming.assumed(settings, wait(estimating.passages(settings, fewest=options.sample)))
    else:
        costs = wait(estimating.estimate(settings, fewest=options.sample))
    found = costing.Estimate(costs, speed, settings.prices)
    if options.json:
        sys.stdout.write(json.dumps(found.told(), indent=1) + "\n")
    else:
        terminal.show_estimate(found)
