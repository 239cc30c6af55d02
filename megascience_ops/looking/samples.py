"""Some rows of a stage, as they were before it and as they came out; and those that it set aside, by reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from megascience_ops.looking import finding
from megascience_ops.looking.finding import BULKY, Values
from megascience_ops.looking.life import lineage
from megascience_ops.planning.rehearsing import spread
from megascience_ops.receipts import PartFacts, Receipt
from megascience_ops.rows import AsideRow, Frozen
from megascience_ops.storage import Store


class Sample(Frozen):
    """A row as it came out of a stage, and what it was before: itself, or the passage or book it was part of."""

    before: Values | None
    after: Values


class SetAside(Frozen):
    """A row aside, or a part of one, and the row as it came into the stage."""

    aside: AsideRow
    before: Values | None


def samples(
    store: Store,
    before: Receipt | None,
    receipt: Receipt,
    count: int,
    skip: int = 0,
    leave: frozenset[str] = BULKY,
) -> list[Sample]:
    """So many rows of a stage, spread evenly over them, without the columns to `leave` out.

    `skip` 1, 2, ... gives others.
    """
    found = [
        Sample(before=_origin(store, before, facts.part, row["id"]), after=row)
        for facts, places in _placed(receipt, count, skip)
        for row in finding.at(store, facts.path, places, leave=leave)
    ]
    return sorted(found, key=lambda sample: str(sample.after["id"]))


def asides(
    store: Store, before: Receipt | None, receipt: Receipt, reason: str | None, skip: int, count: int
) -> list[SetAside]:
    """So many asides of a stage, after the first `skip` of them; of one reason only, where it is named."""
    found: list[SetAside] = []
    for facts in receipt.parts:
        if not facts.aside_path or len(found) == count:
            continue
        reasons = finding.column(store, facts.aside_path, "reason")
        places = [place for place, one in enumerate(reasons.to_pylist()) if reason in (None, one)]
        some = places[skip : skip + count - len(found)]
        skip = max(0, skip - len(places))
        for values in finding.at(store, facts.aside_path, some):
            aside = AsideRow.model_validate(values)
            found.append(SetAside(aside=aside, before=_origin(store, before, facts.part, aside.row)))
    return found


def counted(receipt: Receipt) -> dict[str, int]:
    """How many asides there are of each reason, rows and parts of rows together."""
    whole, parts = receipt.counted("reasons"), receipt.counted("parts_aside")
    return {name: whole.get(name, 0) + parts.get(name, 0) for name in {**whole, **parts}}


def _placed(receipt: Receipt, count: int, skip: int) -> Iterator[tuple[PartFacts, Sequence[int]]]:
    """The shards, each with the places of its rows among `count` that lie evenly over all of them."""
    total = receipt.total("rows_out")
    step = max(1, total // max(1, count))
    wanted = sorted({(place + skip * max(1, step * 5 // 13)) % total for place in spread(range(total), count)})
    first = 0
    for facts in receipt.parts:
        if places := [place - first for place in wanted if first <= place < first + facts.rows_out]:
            yield facts, places
        first += facts.rows_out


def _origin(store: Store, before: Receipt | None, part: int, row_id: str) -> Values | None:
    """The row, passage or book of the stage before that a row was or was part of."""
    facts = next((one for one in before.parts if one.part == part), None) if before else None
    if facts is None or not facts.rows_out:
        return None
    rows = finding.by_id(store, facts.path, lineage(row_id), leave=BULKY)
    return max(rows, key=lambda row: len(row["id"]), default=None)
