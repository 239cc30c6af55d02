"""Funnels, rows and their lives, as people read them in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from megascience_ops.life import Moment
from megascience_ops.receipts import Receipt
from megascience_ops.rows import Row

WIDTH = 100  # where nobody says how wide the terminal is
SHOWN_REASONS = 4
SHOWN_CHARACTERS = 1200
BULKY = {"pages", "document", "excerpt"}  # fields nobody reads in a terminal


def show_funnel(found: Sequence[Receipt]) -> None:
    """The funnel as a table."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("stage", "rows in", "kept", "aside", "rows out", "aside by reason", "time"):
        wide = name in ("stage", "aside by reason")
        grid.add_column(name, justify="left" if wide else "right", overflow="fold", no_wrap=name != "aside by reason")
    for receipt in found:
        counts = [f"{receipt.total(name):,}" for name in ("rows_in", "rows_kept", "rows_aside", "rows_out")]
        grid.add_row(receipt.stage, *counts, _reasons(receipt), f"{receipt.effort.seconds:.1f} s")
    _console().print(grid)


def show_life(moments: Iterable[Moment]) -> None:
    """A row from stage to stage: at each what is new or has changed, what was asked, and how it ended."""
    known: dict[str, Any] = {}
    for moment in moments:
        for asked in moment.asked:
            said: dict[str, Any] = {asked.finish_reason: asked.text}
            _console().print(_panel(f"{moment.stage}: answered to {asked.prompt}", said))
        for row in moment.rows:
            values = row.model_dump(exclude=BULKY)
            changed = {name: value for name, value in values.items() if name not in known or known[name] != value}
            known = values
            _console().print(_panel(f"{moment.stage}: {type(row).__name__}", changed or {"": "as it was"}))
        for aside in moment.asides:
            told = {name: value for name, value in aside.model_dump(exclude={"id", "reason"}).items() if value}
            _console().print(_panel(f"{moment.stage}: aside, {aside.reason}", told))


def show_row(row: Row) -> None:
    """A row as it stands."""
    _console().print(_panel(row.id, row.model_dump(exclude={"id", "source", *BULKY})))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def _panel(title: str, values: dict[str, Any]) -> Panel:
    text = Text()
    for name, value in values.items():
        said = str(value)
        said = said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]} ... ({len(said):,} characters)"
        text.append(f"{name}: " if name else "", "bold")
        text.append(f"{said}\n")
    text.right_crop(1)
    return Panel(text, title=title, title_align="left")


def _reasons(receipt: Receipt) -> str:
    """The most frequent reasons of a stage; parts of rows that went on are marked with a plus."""
    reasons = [f"{reason} {count:,}" for reason, count in receipt.counted("reasons").items()]
    reasons += [f"+{reason} {count:,}" for reason, count in receipt.counted("parts_aside").items()]
    rest = len(reasons) - SHOWN_REASONS
    return ", ".join(reasons[:SHOWN_REASONS]) + (f", {rest} more" if rest > 0 else "")
