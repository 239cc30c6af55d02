"""The funnel: what came into each stage, what went on, and why the rest did not."""

from __future__ import annotations

from collections.abc import Sequence

from megascience_ops import receipts
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import Recipe
from megascience_ops.storage import Store


def finished(store: Store, recipe: Recipe, batch: str) -> list[Receipt]:
    """The current receipts of a batch, in the order of its stages."""
    found = [receipts.current(store, f"{recipe.name}/batch={batch}/{name}") for name in recipe.names]
    return [receipt for receipt in found if receipt]


def markdown(found: Sequence[Receipt]) -> str:
    """The yields as a Markdown table: no times in it, so the same rows give the same table."""
    lines = ["| stage | rows in | kept | aside | rows out | aside by reason |", "|---|---:|---:|---:|---:|---|"]
    for receipt in found:
        counts = [f"{receipt.total(name):,}" for name in ("rows_in", "rows_kept", "rows_aside", "rows_out")]
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in receipt.counted("reasons").items())
        lines.append(f"| {receipt.stage} | {' | '.join(counts)} | {reasons} |")
    return "\n".join(lines)
