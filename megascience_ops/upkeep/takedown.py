"""Taking down a book: it and all that was made of it leave every batch, the index and the datasets, for good.

A mark stays behind under `index/{recipe}/takedowns/`, so that the same content is not taken in again. Every step can
be done twice, so a take-down that was killed is finished by starting it anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from megascience_ops import receipts, tables
from megascience_ops.config import Settings
from megascience_ops.contamination import forgetting
from megascience_ops.dedup.shelf import forget
from megascience_ops.errors import ContractError
from megascience_ops.looking import report
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import Recipe
from megascience_ops.run import run
from megascience_ops.storage import Store
from megascience_ops.upkeep.rewriting import of_book, without_book
from megascience_ops.upkeep.tombstones import mark_path

HEXADECIMAL = set("0123456789abcdef")


@dataclass(frozen=True)
class Held:
    """How many rows of a book a file holds."""

    path: str
    rows: int


def find_book(store: Store, recipe: Recipe, named: str) -> str:
    """The id of a book named by its id, its sha256 or its path in the landing zone. Raises ContractError."""
    paths: dict[str, str] = {}
    for batch in _batches(store, recipe):
        if receipt := receipts.current(store, f"{recipe.name}/batch={batch}/{recipe.names[0]}"):
            for part in receipt.parts:
                with receipts.listed(store, part.path, part.sha256) as file:
                    paths |= {row["path"]: row["id"] for row in tables.columns(file, ["path", "id"])}
    if named in paths:
        return paths[named]
    if len(named) in (16, 64) and set(named) <= HEXADECIMAL:
        return named[:16]  # one that no batch has yet can be kept out, too
    raise ContractError(f"{named}: no batch has such a book; name its path in the landing zone, its id or its sha256")


def find(store: Store, recipe: Recipe, book: str) -> list[Held]:
    """Every file that holds something of a book, current or not: rows, asides, completions, dataset, index."""
    found = []
    for folder in (recipe.name, f"datasets/{recipe.name}", f"index/{recipe.name}"):
        for entry in store.entries(folder):
            if entry.path.endswith(".parquet"):
                with tables.whole(store.address(entry.path)), store.local(entry.path) as file:
                    if rows := tables.count_about(file, lambda row: of_book(book, row)):
                        found.append(Held(entry.path, rows))
    texts = forgetting.only_said_by(store, recipe.name, book)
    return [*found, *(Held(path, rows) for path, rows in forgetting.held(store, texts).items())]


async def take_down(store: Store, recipe: Recipe, book: str, why: str) -> None:
    """Remove all that `find` finds. Batches that were published are published again, without the book.

    Raises ContractError where rows are of a shape that this version does not know.
    """
    said = {"book": book, "why": why, "when": datetime.now(UTC).isoformat(timespec="seconds")}
    store.create(mark_path(recipe.name, book), json.dumps(said).encode())
    forgetting.forget(store, forgetting.only_said_by(store, recipe.name, book))  # while its rows tell which those are
    publish = recipe.names[-1]
    for batch in sorted({_batch_of(held.path) for held in find(store, recipe, book)} - {""}):
        store.delete(report.path(recipe.name, batch))
        _rewrite(store, recipe, batch, book)
        if receipts.current(store, f"{recipe.name}/batch={batch}/{publish}"):
            await run(Settings(root=store.uri, recipe=recipe.name, batch=batch), publish, recompute=True)
    for held in find(store, recipe, book):  # in completions, the index, and what no current receipt lists
        if held.path.startswith(f"index/{recipe.name}/signatures/"):
            forget(store, held.path)
        else:
            _strip(store, held.path, book)


def _batches(store: Store, recipe: Recipe) -> list[str]:
    return sorted({batch for entry in store.entries(recipe.name) if (batch := _batch_of(entry.path))})


def _batch_of(path: str) -> str:
    """The batch that a file belongs to; "" for one of the index."""
    return next((step.removeprefix("batch=") for step in path.split("/") if step.startswith("batch=")), "")


def _rewrite(store: Store, recipe: Recipe, batch: str, book: str) -> None:
    """New receipts of all stages but the last, in order, each reading what the one before it now has."""
    reads: dict[str, str] = {}
    depth = 0  # of a book's id
    for stage in recipe.stages[:-1]:
        receipt = receipts.current(store, f"{recipe.name}/batch={batch}/{stage.name}")
        if receipt is None:
            return
        ids = _some_ids(store, receipt)
        again = without_book(store, receipt, stage.writes, book, reads, depth)
        reads = {stage.name: again.digest}
        depth = max((one.count("/") for one in ids), default=depth)


def _some_ids(store: Store, receipt: Receipt) -> list[str]:
    """An id of every shard that has rows."""
    found = []
    for part in receipt.parts:
        if part.rows_out:
            with receipts.listed(store, part.path, part.sha256) as file:
                found.append(str(next(tables.columns(file, ["id"]))["id"]))
    return found


def _strip(store: Store, path: str, book: str) -> None:
    """Take the book's rows out of a file that no receipt vouches for; the file goes with the last of its rows."""
    with tables.whole(store.address(path)), store.local(path) as file:
        content = tables.without(file, lambda row: of_book(book, row))
    if content is None:
        store.delete(path)
    else:
        store.put(path, content)
