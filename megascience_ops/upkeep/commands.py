"""The commands that look after a root: `megascience check`, `takedown` and `undo`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable

from megascience_ops import funnel
from megascience_ops.errors import ContractError
from megascience_ops.recipe import recipe
from megascience_ops.storage import Store
from megascience_ops.upkeep import checking, takedown, terminal
from megascience_ops.upkeep.undoing import outdated, undo


def check(options: argparse.Namespace) -> None:
    """Look at every file that receipts list; say what is lost, damaged or left over."""
    store, flow = Store(options.root, must_exist=True), recipe(options.recipe)
    report = checking.check(store, flow, [options.batch] if options.batch else None, quick=options.quick)
    if not report.receipts and not report.findings:
        raise ContractError(f"{options.root}: no stage of {flow.name} has finished there{_of(options.batch)}")
    removed = checking.repair(store, report, older_than_hours=options.older_than) if options.repair else []
    if options.json:
        told = [{"kind": one.kind, "path": one.path, "detail": one.detail} for one in report.findings]
        counts = {name: getattr(report, name) for name in ("receipts", "files", "bytes", "rows", "sound")}
        sys.stdout.write(json.dumps({**counts, "removed": len(removed), "findings": told}, indent=1) + "\n")
    else:
        terminal.show_check(report, removed)
    if harm := sum(finding.harm for finding in report.findings):
        raise ContractError(f"{options.root}: {harm} findings need somebody; each says what to do")


def take_down(options: argparse.Namespace) -> None:
    """Remove a book and all that was made of it, from every batch, index and dataset; shows first what it would do."""
    store, flow = Store(options.root, must_exist=True), recipe(options.recipe)
    book = takedown.find_book(store, flow, options.book)
    held = takedown.find(store, flow, book)
    if options.yes:
        asyncio.run(takedown.take_down(store, flow, book, options.why))
    if options.json:
        files = {one.path: one.rows for one in held}
        sys.stdout.write(json.dumps({"book": book, "removed": options.yes, "files": files}, indent=1) + "\n")
    else:
        terminal.show_takedown(book, held, done=options.yes)


def undo_stage(options: argparse.Namespace) -> None:
    """Make a stage's former receipt current again; what follows is stale until it is run."""
    store, flow = Store(options.root, must_exist=True), recipe(options.recipe)
    receipt = undo(store, flow, options.batch, options.stage, options.to)
    lines = funnel.lines(store, flow, options.batch)
    stale = [line.stage for line in lines if line.state == "stale"]
    changed = outdated(receipt, flow.stage(receipt.stage))
    if options.json:
        told = {"stage": receipt.stage, "receipt": receipt.number, "restores": receipt.restores}
        sys.stdout.write(json.dumps({**told, "stale": stale, "prompts_changed_since": changed}, indent=1) + "\n")
        return
    sys.stdout.write(
        f"{receipt.stage}: receipt {receipt.number} restores receipt {receipt.restores}: "
        f"{receipt.total('rows_kept'):,} rows kept, {receipt.total('rows_aside'):,} aside\n"
    )
    if changed:
        files = ", ".join(f"prompts/{name}.md" for name in changed)
        sys.stdout.write(f"It was made with other words in {files}: put those back too, or the next run redoes it\n")
    if stale:
        sys.stdout.write(f"Stale until they are run: {', '.join(stale)}\n")


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Put these commands into the command line."""
    one = command("check", check, where=False)
    one.add_argument("--root", required=True, help="folder or s3:// prefix where everything is kept")
    one.add_argument("--batch", help="this batch only (default: all)")
    one.add_argument(
        "--quick", action="store_true", help="believe files that have the right size, without reading them"
    )
    one.add_argument("--repair", action="store_true", help="remove files that no receipt lists and no run is writing")
    one.add_argument("--older-than", type=float, default=24, metavar="HOURS", help="of such files (default 24)")
    one.add_argument("--json", action="store_true")
    one = command("takedown", take_down, where=False)
    one.add_argument("book", help="its path in the landing zone, its id or its sha256")
    one.add_argument("--root", required=True, help="folder or s3:// prefix where everything is kept")
    one.add_argument("--why", default="", help="kept with the mark that keeps the book out")
    one.add_argument("--yes", action="store_true", help="do it; without this nothing is written")
    one.add_argument("--json", action="store_true")
    one = command("undo", undo_stage)
    one.add_argument("stage")
    one.add_argument("--to", type=int, metavar="N", help="number of a receipt (default: the one before the current)")
    one.add_argument("--json", action="store_true")


def _of(batch: str | None) -> str:
    return f" for batch {batch}" if batch else ""
