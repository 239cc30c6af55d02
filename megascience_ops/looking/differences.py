"""Two receipts of a stage side by side: what made them, what they count, and which rows came out different."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from megascience_ops.looking import finding
from megascience_ops.looking.finding import BULKY, Values
from megascience_ops.receipts import PartFacts, Receipt, Usage
from megascience_ops.rows import Frozen
from megascience_ops.storage import Store

Kind = Literal["changed", "newly kept", "newly aside", "aside otherwise", "new", "gone"]


LOOK_UP = 1000  # rows between two looks at the clock


class Change(Frozen):
    """A row, by id, under both receipts: the fields that differ, of one that is only under one of them all fields.

    `aside` among the fields is the reason for which it is aside.
    """

    id: str
    kind: Kind
    before: Values
    after: Values


class Difference(Frozen):
    """`made_by` and `counts` hold what differs, as before and after. `rows` counts changed rows by kind; of each kind
    the first few are `changes`. Of the shards `equal` have the same rows; `left` were not looked at for want of time.
    """

    stage: str
    before: int
    after: int
    made_by: dict[str, tuple[Any, Any]]
    counts: dict[str, tuple[float | None, float | None]]
    rows: dict[Kind, int]
    changes: list[Change]
    parts: int
    equal: int
    left: int


def compare(
    store: Store, before: Receipt, after: Receipt, examples: int = 5, seconds: float | None = None
) -> Difference:
    """What differs between two receipts of a stage. Shards that are the same by their digests are not read.

    After so many `seconds` it ends; shards that were not looked at, or not to their end, are counted as left.
    """
    until = time.monotonic() + (math.inf if seconds is None else seconds)
    sides = [{facts.part: facts for facts in receipt.parts} for receipt in (before, after)]
    parts = sorted(sides[0].keys() | sides[1].keys())
    rows: Counter[Kind] = Counter()
    changes: list[Change] = []
    equal = left = 0
    for part in parts:
        was, now = sides[0].get(part), sides[1].get(part)
        if was and now and (was.digest, _asides(was)) == (now.digest, _asides(now)):
            equal += 1
        else:
            for change in _changes(store, was, now, until):
                if change is None:
                    left += 1
                    continue
                rows[change.kind] += 1
                if rows[change.kind] <= examples:
                    changes.append(change)
    return Difference(
        stage=after.stage,
        before=before.number,
        after=after.number,
        made_by=_differing(_makers(before), _makers(after)),
        counts=_differing(_counts(before), _counts(after)),
        rows=dict(sorted(rows.items())),
        changes=sorted(changes, key=lambda change: (change.kind, change.id)),
        parts=len(parts),
        equal=equal,
        left=left,
    )


def _changes(store: Store, was: PartFacts | None, now: PartFacts | None, until: float) -> Iterator[Change | None]:
    """The rows of a shard that differ, by id: two files sorted by id are read side by side. None, and no more, late."""
    for number, (row_id, old, new) in enumerate(_side_by_side(_told(store, was), _told(store, now))):
        if number % LOOK_UP == 0 and time.monotonic() > until:
            yield None
            return
        kind = _kind(old, new)
        if kind is None:
            continue
        if old is None or new is None or ("aside" in old) != ("aside" in new):
            yield Change(id=row_id, kind=kind, before=old or {}, after=new or {})
        else:
            differing = _differing(old, new)
            before = {name: values[0] for name, values in differing.items()}
            yield Change(
                id=row_id, kind=kind, before=before, after={name: values[1] for name, values in differing.items()}
            )


def _asides(facts: PartFacts) -> str:
    """Identity of a shard's asides: their digest, with which the name of their file ends."""
    return facts.aside_path.rpartition("-")[2] if facts.aside_path else ""


def _kind(old: Values | None, new: Values | None) -> Kind | None:
    if old is None or new is None:
        return "new" if old is None else "gone"
    if ("aside" in old) != ("aside" in new):
        return "newly aside" if "aside" in new else "newly kept"
    if old == new:
        return None
    return "aside otherwise" if "aside" in new else "changed"


def _told(store: Store, facts: PartFacts | None) -> Iterator[tuple[str, Values]]:
    """The rows and asides of a shard by id; of an aside the reason and what it says."""
    if facts is None:
        return
    rows = ((row.pop("id"), row) for row in _all(store, facts.path))
    asides = (
        (row["id"], {"aside": row["reason"], **{name: row[name] for name in ("detail", "part", "said") if row[name]}})
        for row in (_all(store, facts.aside_path) if facts.aside_path else ())
    )
    for row_id, one, other in _side_by_side(rows, asides):
        yield row_id, one or other or {}


def _all(store: Store, path: str) -> Iterator[Values]:
    with finding.opened(store, path) as file:
        names = [name for name in file.schema_arrow.names if name not in BULKY]
        for group in range(file.num_row_groups):
            yield from finding.table(file, group, names).to_pylist()


def _side_by_side(
    left: Iterator[tuple[str, Values]], right: Iterator[tuple[str, Values]]
) -> Iterator[tuple[str, Values | None, Values | None]]:
    """Two streams sorted by id as one: each id once, with what either has under it."""
    one, other = next(left, None), next(right, None)
    while one or other:
        if other is None or (one and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(right, None)
        else:
            yield one[0], one[1], other[1]
            one, other = next(left, None), next(right, None)


def _makers(receipt: Receipt) -> dict[str, Any]:
    """All that made a receipt's rows what they are, flat."""
    told: dict[str, Any] = {"version": receipt.version, **_flat("config", receipt.config)}
    told |= {f"engine.{name}": value for name, value in receipt.engine.items()}
    told |= {f"prompts.{name}": digest for name, digest in receipt.prompts.items()}
    return told | {f"reads.{name}": digest for name, digest in receipt.reads.items()}


def _flat(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    return {name: one for key, inner in value.items() for name, one in _flat(f"{path}.{key}", inner).items()}


def _counts(receipt: Receipt) -> dict[str, float | None]:
    counts: dict[str, float | None] = {
        name: receipt.total(name) for name in ("rows_in", "rows_kept", "rows_aside", "rows_out", "unread")
    }
    counts |= {f"aside: {name}": count for name, count in receipt.counted("reasons").items()}
    usage = sum(receipt.effort.usage.values(), Usage())
    counts |= {name: getattr(usage, name) for name in ("requests", "replayed", "prompt_tokens", "completion_tokens")}
    return {**counts, "money": receipt.money}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*old, *(name for name in new if name not in old)]
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}
