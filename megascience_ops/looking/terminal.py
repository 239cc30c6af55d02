"""Funnels, rows, their lives and what differs, as people read them in a terminal of 100 columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from megascience_ops.funnel import Line
from megascience_ops.looking.differences import Change, Difference
from megascience_ops.looking.life import Moment
from megascience_ops.looking.words import short, standing
from megascience_ops.strangers import visible
from megascience_ops.terminal import console, panel, readable

SHOWN_REASONS = 4


def show_funnel(lines: Sequence[Line]) -> None:
    """The funnel as a table; tokens and money where there are any."""
    tokens = any(line.usage.prompt_tokens + line.usage.completion_tokens for line in lines)
    money = any(line.money is not None for line in lines)
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0) if tokens else (0, 1), pad_edge=False)
    extra = ["tokens"] * tokens + ["money"] * money
    for name in ("stage", "rows in", "kept", "aside", "rows out", "aside by reason", *extra, "time"):
        wide = name in ("stage", "aside by reason")
        grid.add_column(name, justify="left" if wide else "right", overflow="fold", no_wrap=name != "aside by reason")
    for line in lines:
        counts = [f"{count:,}" for count in (line.rows_in, line.rows_kept, line.rows_aside, line.rows_out)]
        cost = [short(line.usage.prompt_tokens + line.usage.completion_tokens)] * tokens
        cost += [f"{line.money or 0:,.2f}"] * money
        told = [""] * (len(counts) + 1 + len(cost)) if line.receipt is None else [*counts, _reasons(line), *cost]
        told[4] = "; ".join(part for part in (told[4], standing(line)) if part)
        grid.add_row(line.stage, *told, f"{line.seconds:.1f} s" if line.receipt is not None else "")
    console().print(grid)
    for line in lines:
        for warning in line.warnings:
            sys.stdout.write(f"warning: {visible(warning)}\n")


def show_life(moments: Iterable[Moment]) -> None:
    """A row from stage to stage: at each what is new or has changed, what was asked, and how it ended."""
    known: dict[str, Any] = {}
    for moment in moments:
        for asked in moment.asked:
            said: dict[str, Any] = {asked.finish_reason: asked.text}
            console().print(panel(f"{moment.stage}: answered to {asked.prompt}", said))
        for row in moment.rows:
            values = {"id": row["id"], **readable(row)}
            changed = {name: value for name, value in values.items() if name not in known or known[name] != value}
            known = values
            console().print(panel(f"{moment.stage}: {moment.kind}", changed or {"": "as it was"}))
        for aside in moment.asides:
            told = {name: value for name, value in aside.model_dump(exclude={"id", "reason"}).items() if value}
            console().print(panel(f"{moment.stage}: aside, {aside.reason}", told))
        if moment.became:
            console().print(panel(f"{moment.stage}: became {moment.became:,} rows", {"": "ids begin with this one's"}))


def show_row(row: dict[str, Any]) -> None:
    """A row as it stands."""
    console().print(panel(row["id"], readable(row)))


def show_difference(found: Difference) -> None:
    """What made two receipts different, what they count, and rows that came out different."""
    title = f"receipt {found.before}", f"receipt {found.after}"
    for name, values in (("made by", found.made_by), ("counts", found.counts)):
        grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        grid.add_column(name)
        for one in title:
            grid.add_column(one, justify="right" if name == "counts" else "left", overflow="fold")
        for key, pair in values.items():
            grid.add_row(key, *(Text("" if value is None else _value(value)) for value in pair))
        if values:
            console().print(grid)
    for change in found.changes:
        console().print(_change(change, title))
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.rows.items()) or "no row differs"
    sys.stdout.write(f"{found.stage}: {kinds}; {found.equal} of {found.parts} shards are the same\n")


def _change(change: Change, title: tuple[str, str]) -> Table:
    """The fields of a row that differ, side by side."""
    grid = Table(title=Text(visible(f"{change.kind}: {change.id}")), title_justify="left", box=box.ROUNDED, expand=True)
    grid.add_column("field", no_wrap=True)
    for one in title:
        grid.add_column(one, ratio=1, overflow="fold")
    for name in [*change.before, *(name for name in change.after if name not in change.before)]:
        if name != "source":
            grid.add_row(
                name, *(Text(_value(side[name]) if name in side else "") for side in (change.before, change.after))
            )
    return grid


def _value(value: Any) -> str:
    said = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return visible(said if len(said) <= 300 else f"{said[:300]} ... ({len(said):,} characters)")


def _reasons(line: Line) -> str:
    """The most frequent reasons of a stage; parts of rows that went on are marked with a plus."""
    reasons = [f"{reason} {count:,}" for reason, count in line.reasons.items()]
    reasons += [f"+{reason} {count:,}" for reason, count in line.parts_aside.items()]
    rest = len(reasons) - SHOWN_REASONS
    return ", ".join(reasons[:SHOWN_REASONS]) + (f", {rest} more" if rest > 0 else "")
