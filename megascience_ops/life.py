"""The whole life of a row: the book, the passage and the pair it was, what was asked about it, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from megascience_ops import tables
from megascience_ops.completions import Completion
from megascience_ops.receipts import Receipt
from megascience_ops.rows import AsideRow, Row
from megascience_ops.stage import Stage
from megascience_ops.storage import Store


@dataclass(frozen=True)
class Moment:
    """A row at one stage: as it came out of it, or aside; and what was asked about it there."""

    stage: str
    rows: list[Row]
    asides: list[AsideRow]
    asked: list[Completion]


def life(store: Store, stages: tuple[Stage, ...], found: list[Receipt], row_id: str) -> Iterator[Moment]:
    """What became of a row, stage by stage; of its book and its passage, too, as long as the row was part of them.

    A row stays in the shard of its book, so no other shard is read once the book is found.
    """
    ancestors = {row_id[: place if place >= 0 else None] for place in _ends(row_id)}
    by_name = {stage.name: stage for stage in stages}
    part: int | None = None
    for receipt in found:
        for facts in receipt.parts:
            if part is not None and facts.part != part:
                continue
            written = tables.decode(by_name[receipt.stage].writes, store.get(facts.path))
            rows = [row for row in written if row.id in ancestors]
            asides = [
                aside
                for aside in (tables.decode(AsideRow, store.get(facts.aside_path)) if facts.aside_path else ())
                if aside.row in ancestors
            ]
            if rows or asides:
                part = facts.part
                yield Moment(receipt.stage, rows, asides, list(_asked(store, receipt, facts.part, ancestors)))


def _ends(row_id: str) -> list[int]:
    return [place for place, letter in enumerate(row_id) if letter == "/"] + [-1]


def _asked(store: Store, receipt: Receipt, part: int, ancestors: set[str]) -> Iterator[Completion]:
    folder = f"{receipt.recipe}/batch={receipt.batch}/{receipt.stage}/completions"
    for name in store.names(folder):
        if name.startswith(f"part-{part:05}."):
            for completion in tables.decode(Completion, store.get(f"{folder}/{name}")):
                if completion.row in ancestors:
                    yield completion
