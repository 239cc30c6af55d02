"""The commands that look at a batch: `megascience funnel`, `sample`, `show`, `diff` and `report`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from megascience_ops import funnel, receipts
from megascience_ops.errors import ContractError
from megascience_ops.looking import finding, report, terminal
from megascience_ops.looking.differences import compare
from megascience_ops.looking.life import is_known, life
from megascience_ops.looking.samples import samples
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import Recipe, recipe
from megascience_ops.storage import Store

Command = Callable[..., argparse.ArgumentParser]


def add_commands(command: Command) -> None:
    """Make the commands known; each prints a table, or with --json what a program reads."""
    command("funnel", show_funnel)
    one = command("sample", sample)
    one.add_argument("--stage", help="default: the last that finished")
    one.add_argument("--rows", type=int, default=3)
    one = command("show", show)
    one.add_argument("id", help="of a row, a passage or a book")
    one = command("diff", diff)
    one.add_argument("stage")
    one.add_argument("--before", type=int, metavar="N", help="number of a receipt (default: the one before --after)")
    one.add_argument("--after", type=int, metavar="N", help="number of a receipt (default: the current one)")
    one.add_argument("--examples", type=int, default=3, help="how many rows of each kind are shown (default 3)")
    one = command("report", write_report)
    one.add_argument("--output", metavar="FILE", help="write it there instead of beside the receipts")


def show_funnel(options: argparse.Namespace) -> None:
    """What became of the rows of a batch, stage by stage."""
    store, flow = Store(options.root, must_exist=True), recipe(options.recipe)
    lines = funnel.lines(store, flow, options.batch)
    if all(line.state == "waiting" for line in lines):
        raise ContractError(f"{options.root}: no stage of {options.recipe} has finished for batch {options.batch}")
    if getattr(options, "json", False):
        _print([line.model_dump(mode="json") for line in lines])
        return
    terminal.show_funnel(lines)
    if lines[-1].receipt is not None:
        dataset = store.address(f"datasets/{options.recipe}/batch={options.batch}")
        sys.stdout.write(f"{lines[-1].rows_out:,} rows in {dataset}\n")


def show(options: argparse.Namespace) -> None:
    """A row's whole life."""
    store, flow, found = _found(options)
    moments = life(store, flow, found, options.id)
    if not is_known(moments, options.id):
        raise ContractError(f"no row {options.id} in batch {options.batch}; an id looks like {_an_id(store, found)}")
    if options.json:
        _print([moment.model_dump(mode="json") for moment in moments])
    else:
        terminal.show_life(moments)


def sample(options: argparse.Namespace) -> None:
    """Some rows that a stage wrote, spread evenly over them."""
    if options.rows < 1:
        raise ContractError(f"--rows {options.rows}: ask for one row at least")
    store, flow, found = _found(options)
    receipt = _finished(flow, found, options.stage or found[-1].stage, options.batch)
    leave: frozenset[str] = frozenset() if options.json else finding.BULKY
    for one in samples(store, None, receipt, options.rows, leave=leave):
        if options.json:
            sys.stdout.write(json.dumps(one.after) + "\n")
        else:
            terminal.show_row(one.after)


def diff(options: argparse.Namespace) -> None:
    """What differs between two receipts of a stage: what made them, their counts, their rows."""
    store, flow, found = _found(options)
    current = _finished(flow, found, options.stage, options.batch)
    folder = funnel.folder(flow, options.batch, current.stage)
    after = receipts.numbered(store, folder, options.after) if options.after else current
    number = options.before or after.number - 1
    if number < 1:
        raise ContractError(f"{current.stage} has one receipt only: there is nothing to compare it with")
    difference = compare(store, receipts.numbered(store, folder, number), after, options.examples)
    if options.json:
        _print(difference.model_dump(mode="json"))
    else:
        terminal.show_difference(difference)


def write_report(options: argparse.Namespace) -> None:
    """Write the batch's report: one HTML file that opens without a server."""
    store, flow, _ = _found(options)
    if options.output:
        Path(options.output).write_text(report.html(store, flow, options.batch), encoding="utf-8")
    where = options.output or store.address(report.write(store, flow, options.batch))
    sys.stdout.write(f"{json.dumps({'report': where}) if options.json else where}\n")


def _print(told: Any) -> None:
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


def _found(options: argparse.Namespace) -> tuple[Store, Recipe, list[Receipt]]:
    store, flow = Store(options.root, must_exist=True), recipe(options.recipe)
    found = funnel.finished(store, flow, options.batch)
    if not found:
        raise ContractError(f"{options.root}: no stage of {options.recipe} has finished for batch {options.batch}")
    return store, flow, found


def _finished(flow: Recipe, found: list[Receipt], name: str, batch: str) -> Receipt:
    stage = flow.stage(name).name
    for receipt in found:
        if receipt.stage == stage:
            return receipt
    raise ContractError(f"{name} of batch {batch} has not finished: run it first")


def _an_id(store: Store, found: list[Receipt]) -> str:
    for receipt in reversed(found):
        for facts in receipt.parts:
            if facts.rows_out:
                return str(finding.column(store, facts.path, "id")[0])
    return "a book's first 16 hex digits"
