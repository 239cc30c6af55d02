"""Looking for words in the rows of a stage, for as long as a person likes to wait; then one can go on from there."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pyarrow.compute as pc
import pyarrow.parquet as pq

from megascience_ops.looking import finding
from megascience_ops.receipts import Receipt
from megascience_ops.rows import Frozen
from megascience_ops.storage import Store

SEARCHED = ("question", "title", "text", "path")  # the first of them that rows have
AROUND = 160  # characters of a text that a hit shows


class Hit(Frozen):
    """A row that has the words, with the text around them."""

    id: str
    text: str


class Hits(Frozen):
    """What was found in `looked` of `rows` rows. `after` is the id to go on after; None where all were looked at."""

    hits: list[Hit]
    looked: int
    rows: int
    after: str | None


def search(
    store: Store, receipt: Receipt, words: str, *, after: str = "", most: int = 50, seconds: float = 0.7
) -> Hits:
    """Rows of a stage that have these words, or whose id begins with them, whatever the case; shard by shard.

    `after` is where an earlier search stopped: shard and row group, as its answer says.
    """
    start = tuple(map(int, after.split("."))) if after else (-1, -1)
    until = time.monotonic() + seconds
    hits: list[Hit] = []
    looked, total = 0, receipt.total("rows_out")
    for facts in receipt.parts:
        if not facts.rows_out or facts.part < start[0]:
            looked += facts.rows_out
            continue
        with finding.opened(store, facts.path) as file:
            for group in range(file.num_row_groups):
                place = (facts.part, group)
                if place > start:
                    if len(hits) >= most or time.monotonic() > until:
                        before = f"{start[0]}.{start[1]}"
                        return Hits(hits=hits[:most], looked=looked, rows=total, after=before)
                    hits += _in_group(file, group, words)
                    start = place
                looked += file.metadata.row_group(group).num_rows
    return Hits(hits=hits, looked=looked, rows=total, after=None)


def _in_group(file: pq.ParquetFile, group: int, words: str) -> Sequence[Hit]:
    name = next((one for one in SEARCHED if one in file.schema_arrow.names), "id")
    some = finding.table(file, group, ["id", name] if name != "id" else ["id"])
    fits = pc.or_(
        pc.match_substring(some.column(name), words, ignore_case=True), pc.starts_with(some.column("id"), words)
    )
    found = some.filter(pc.fill_null(fits, False))
    return [
        Hit(id=row, text=_around(str(text), words))
        for row, text in zip(found.column("id").to_pylist(), found.column(name).to_pylist(), strict=True)
    ]


def _around(text: str, words: str) -> str:
    """The text near the words."""
    place = max(0, text.lower().find(words.lower()))
    start = max(0, place - AROUND // 2) if len(text) > AROUND else 0
    cut = text[start : start + max(AROUND, len(words) + AROUND // 2)]
    return ("… " if start else "") + cut + (" …" if start + len(cut) < len(text) else "")
