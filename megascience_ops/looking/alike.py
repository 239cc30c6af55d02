"""Questions that were found to say the same: which one was kept, and which it stands for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from megascience_ops.looking import finding
from megascience_ops.receipts import Receipt
from megascience_ops.rows import AsideRow, Frozen
from megascience_ops.storage import Store

REASON = "duplicate"


class Alike(Frozen):
    """The kept question's id, and the asides that say how near each of the others is to it."""

    kept: str
    duplicates: list[AsideRow]


def alike(store: Store, found: Sequence[Receipt], row_id: str, most: int = 20) -> Alike | None:
    """The questions of this batch that say the same as a row, be it the kept one or not; None where there are none."""
    receipt = next((one for one in found if REASON in one.counted("reasons")), None)
    if receipt is None:
        return None
    kept = row_id
    for facts in receipt.parts:
        if facts.reasons.get(REASON) and facts.aside_path:
            for values in finding.by_id(store, facts.aside_path, [row_id]):
                kept = _named(AsideRow.model_validate(values)) or kept
    duplicates: list[AsideRow] = []
    for facts in receipt.parts:
        if facts.reasons.get(REASON) and facts.aside_path and len(duplicates) < most:
            details = finding.column(store, facts.aside_path, "detail")
            places = pc.indices_nonzero(pc.match_substring(details, kept)).to_pylist()
            asides = [AsideRow.model_validate(one) for one in finding.at(store, facts.aside_path, places[:most])]
            duplicates += [one for one in asides if one.reason == REASON and _named(one) == kept]
    return Alike(kept=kept, duplicates=duplicates[:most]) if duplicates else None


def _named(aside: AsideRow) -> str | None:
    """The id that an aside's detail names as the kept question's: `Jaccard 0.83 with book/passage/pair`."""
    return next((word for word in aside.detail.split() if word.count("/") >= 1), None)
