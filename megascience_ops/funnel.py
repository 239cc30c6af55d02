"""The funnel: what came into each stage, what went on, and why the rest did not."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from megascience_ops import receipts
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import Recipe
from megascience_ops.storage import Store

SHOWN_REASONS = 4


def finished(store: Store, recipe: Recipe, batch: str) -> list[Receipt]:
    """The current receipts of a batch, in the order of its stages."""
    found = [receipts.current(store, f"{recipe.name}/batch={batch}/{name}") for name in recipe.names]
    return [receipt for receipt in found if receipt]


def table(found: Sequence[Receipt]) -> Table:
    """The funnel for a terminal of 100 columns."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("stage", "rows in", "kept", "aside", "rows out", "aside by reason", "time"):
        wide = name in ("stage", "aside by reason")
        grid.add_column(name, justify="left" if wide else "right", overflow="fold", no_wrap=name == "stage")
    for receipt in found:
        counts = [f"{receipt.total(name):,}" for name in ("rows_in", "rows_kept", "rows_aside", "rows_out")]
        seconds = f"{receipt.effort.seconds:.1f} s"
        grid.add_row(receipt.stage, *counts, _reasons(receipt), seconds)
    return grid


def markdown(found: Sequence[Receipt]) -> str:
    """The yields as a Markdown table: no times in it, so the same rows give the same table."""
    lines = ["| stage | rows in | kept | aside | rows out | aside by reason |", "|---|---:|---:|---:|---:|---|"]
    for receipt in found:
        counts = [f"{receipt.total(name):,}" for name in ("rows_in", "rows_kept", "rows_aside", "rows_out")]
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in receipt.counted("reasons").items())
        lines.append(f"| {receipt.stage} | {' | '.join(counts)} | {reasons} |")
    return "\n".join(lines)


def _reasons(receipt: Receipt) -> str:
    """The most frequent reasons of a stage; parts of rows that went on are marked with a plus."""
    reasons = [f"{reason} {count:,}" for reason, count in receipt.counted("reasons").items()]
    reasons += [f"+{reason} {count:,}" for reason, count in receipt.counted("parts_aside").items()]
    rest = len(reasons) - SHOWN_REASONS
    return ", ".join(reasons[:SHOWN_REASONS]) + (f", {rest} more" if rest > 0 else "")
