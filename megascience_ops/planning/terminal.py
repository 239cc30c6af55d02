"""Trials, readings and estimates, as people read them in a terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from megascience_ops.completions import Image, Slot
from megascience_ops.looking.words import short
from megascience_ops.planning.comparing import Compared
from megascience_ops.planning.costing import Estimate
from megascience_ops.planning.rehearsing import Rehearsed
from megascience_ops.planning.reparsing import Reading
from megascience_ops.planning.trying import changes
from megascience_ops.rows import AsideRow, Row
from megascience_ops.stage import Aside
from megascience_ops.terminal import console, panel, readable

SHOWN_SLOT = 400  # characters


def show_trials(trials: Sequence[Rehearsed]) -> None:
    """For each row: what was asked and answered, and how it would end: which fields change, or why it is aside."""
    for number, trial in enumerate(trials, 1):
        row = trial.decided.row
        for request, completion in trial.heard:
            asked: dict[str, Any] = {name: _cropped(slot, SHOWN_SLOT) for name, slot in request.slots.items()}
            asked[f"answer ({completion.finish_reason}, {completion.completion_tokens} tokens)"] = completion.text
            console().print(panel(f"{number} of {len(trials)}: {row.id}: asked {request.prompt}", asked))
        for one in trial.decided.outcome:
            console().print(panel(f"{number} of {len(trials)}: {row.id}: {_ending(row, one)}", _change(row, one)))


def _ending(row: Row, one: Row | Aside) -> str:
    if isinstance(one, Aside):
        return f"aside, {one.reason}"
    return "kept" if one.id == row.id else f"kept as {one.id.removeprefix(row.id)}"


def _change(row: Row, one: Row | Aside) -> dict[str, Any]:
    """Each changed field as it was and as it would be; of an aside, why."""
    if isinstance(one, Aside):
        return {name: value for name, value in {"detail": one.detail, "part": one.part}.items() if value}
    told: dict[str, Any] = {}
    for name, value in readable(changes(row, one)).items():
        if hasattr(row, name):
            told[f"{name}, before"] = getattr(row, name)
        told[name] = value
    return told or {"": "as it was"}


def _cropped(slot: Slot, length: int) -> str:
    if isinstance(slot, Image):
        return f"an image of {len(slot.data):,} bytes"
    return slot if len(slot) <= length else f"{slot[:length]} ... ({len(slot):,} characters)"


def show_reading(reading: Reading, examples: int) -> None:
    """How many rows would come out how, and some of those that would come out different."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    grid.add_column(reading.stage)
    grid.add_column("rows", justify="right")
    for kind, count in reading.counts.items():
        if count:
            grid.add_row(kind, f"{count:,}")
    console().print(grid)
    shown: Counter[str] = Counter()
    for one in reading.differences:
        shown[one.kind] += 1
        if shown[one.kind] <= examples and one.kind != "to ask":
            values = {"before": _result(one.before, one.after), "after": _result(one.after, one.before)}
            console().print(panel(f"{one.kind}: {one.id}", {name: said for name, said in values.items() if said}))


def _result(row: Row | None, other: Row | None) -> str:
    """What a row says that the other does not; of an aside, why."""
    if isinstance(row, AsideRow):
        return f"aside, {row.reason}: {row.detail or row.part or ''}"
    if row is None:
        return ""
    values = changes(other, row) if other and not isinstance(other, AsideRow) else row.model_dump()
    return "\n".join(f"{name} = {value}" for name, value in readable(values).items())


def show_estimate(found: Estimate) -> None:
    """What each stage would take, and all of them; below it, what the figures rest on."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    names = ("stage", "rows in", "calls", "prompt", "cached", "answers", "GPU-hours", "money", "from")
    for name in names:
        if name != "money" or found.prices:
            grid.add_column(name, justify="left" if name in ("stage", "from") else "right", no_wrap=True)
    for cost in (*found.costs, found.total()):
        hours = found.all_gpu_hours() if cost.stage == "total" else found.gpu_hours(cost)
        counts = (cost.calls, cost.prompt_tokens, cost.cached_tokens, cost.completion_tokens)
        shown = [short(count) if count else "" for count in counts]
        if found.prices:
            shown.insert(4, f"{cost.money(found.prices):,.2f}" if cost.calls else "")
        shown.insert(4, "?" if hours is None else f"{hours:,.2f}" if hours else "")
        is_total = cost.stage == "total"
        if is_total:
            grid.add_section()
        grid.add_row(cost.stage, "" if is_total else short(cost.rows), *shown, "" if is_total else cost.source)
    console().print(grid)
    for note in found.notes():
        sys.stdout.write(f"{note}\n")


def show_ways(ways: Sequence[Compared]) -> None:
    """Ways of asking side by side, for so many published rows."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("for 1,000 published rows", "calls", "prompt", "computed", "answers", "time"):
        grid.add_column(name, justify="left" if name.startswith("for") else "right", no_wrap=True)
    for way in ways:
        cost = way.cost
        computed = cost.prompt_tokens - cost.cached_tokens
        counts = [short(count) for count in (cost.calls, cost.prompt_tokens, computed, cost.completion_tokens)]
        grid.add_row(way.name, *counts, f"{way.relative:.2f}")
    console().print(grid)
    sys.stdout.write(
        "By this project's prompts, published yields and assumed lengths; time: that of the first line is 1.\n"
    )
