"""The funnel: what came into each stage, what went on, why the rest did not; what it cost, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Literal

from megascience_ops import progress, receipts
from megascience_ops.progress import Told
from megascience_ops.receipts import Receipt, Usage
from megascience_ops.recipe import Recipe
from megascience_ops.rows import BookFacts, Chunk, Frozen, SourceFile
from megascience_ops.stage import Stage
from megascience_ops.storage import Store

AT_ONCE = 16  # requests to the storage: what matters on a bucket is how many wait for each other

State = Literal["waiting", "running", "stopped", "done", "stale"]


class Underway(Frozen):
    """How far the lanes of a stage are: rows decided, of those to decide, and the seconds that the rest may take."""

    done: int
    total: int
    lanes: int
    rows_per_second: float
    seconds_left: float | None


class Line(Frozen):
    """One stage of a funnel. rows_in = rows_kept + rows_aside; `rows_out` is what the kept rows became.

    `unit` is what its rows are: file, book, passage or question. `state`: `stale` is a stage that has read other rows
    than the one before it has now; `stopped` has begun, and told nothing for a while. Counts are of the current
    receipt, and 0 where there is none. `seconds` and tokens are those of all its shards, whenever they were computed.
    """

    stage: str
    unit: str
    state: State
    receipt: int | None = None
    restores: int | None = None
    rows_in: int = 0
    rows_kept: int = 0
    rows_aside: int = 0
    rows_out: int = 0
    reasons: dict[str, int] = {}
    parts_aside: dict[str, int] = {}
    subjects: dict[str, int] = {}
    parts: int = 0
    computed_parts: int = 0
    usage: Usage = Usage()
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    money: float | None = None
    finished: str | None = None
    engine: str = ""
    warnings: list[str] = []
    underway: Underway | None = None


def finished(store: Store, recipe: Recipe, batch: str) -> list[Receipt]:
    """The current receipts of a batch, in the order of its stages."""
    return [receipt for receipt in _currents(store, recipe, batch) if receipt]


def lines(store: Store, recipe: Recipe, batch: str) -> list[Line]:
    """The funnel of a batch: a line for each stage of its recipe, also for those that have not begun."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tellings = pool.map(lambda name: progress.told(store, folder(recipe, batch, name)), recipe.names)
        found = _currents(store, recipe, batch)
        told = list(tellings)
    made: list[Line] = []
    before: Receipt | None = None
    stale = False
    for stage, receipt, lanes in zip(recipe.stages, found, told, strict=True):
        stale = receipt is not None and (stale or (before is not None and not _has_read(receipt, before)))
        made.append(line(stage, receipt, lanes, stale=stale))
        before = receipt
    return made


def line(stage: Stage, receipt: Receipt | None, lanes: Sequence[Told] = (), *, stale: bool = False) -> Line:
    """One stage, by its receipt and by what its lanes have told."""
    underway, running = _underway(lanes, receipt)
    state: State = "done" if receipt else "waiting"
    if underway:
        state = "running" if running else "stopped"
    elif stale:
        state = "stale"
    if receipt is None:
        return Line(stage=stage.name, unit=unit(stage), state=state, underway=underway)
    counts = {name: receipt.total(name) for name in ("rows_in", "rows_kept", "rows_aside", "rows_out")}
    return Line(
        stage=stage.name,
        unit=unit(stage),
        state=state,
        receipt=receipt.number,
        restores=receipt.restores,
        **counts,
        reasons=receipt.counted("reasons"),
        parts_aside=receipt.counted("parts_aside"),
        subjects=receipt.counted("subjects"),
        parts=len(receipt.parts),
        computed_parts=receipt.computed_parts,
        usage=sum(receipt.effort.usage.values(), Usage()),
        seconds=receipt.effort.seconds,
        tokens_per_second=receipt.tokens_per_second,
        money=receipt.money,
        finished=receipt.finished,
        engine=" ".join(receipt.engine[name] for name in ("model", "revision") if receipt.engine.get(name)),
        warnings=receipt.warnings,
        underway=underway,
    )


def folder(recipe: Recipe, batch: str, stage: str) -> str:
    """Where a stage of a batch keeps its receipts and progress."""
    return f"{recipe.name}/batch={batch}/{stage}"


def unit(stage: Stage) -> str:
    """What the rows that a stage reads are, in a word."""
    for kind, word in ((SourceFile, "file"), (BookFacts, "book"), (Chunk, "passage")):
        if issubclass(stage.reads, kind):
            return word
    return "question"


def markdown(found: Sequence[Receipt]) -> str:
    """The yields as a Markdown table: no times in it, so the same rows give the same table."""
    lines = ["| stage | rows in | kept | aside | rows out | aside by reason |", "|---|---:|---:|---:|---:|---|"]
    for receipt in found:
        counts = [f"{receipt.total(name):,}" for name in ("rows_in", "rows_kept", "rows_aside", "rows_out")]
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in receipt.counted("reasons").items())
        lines.append(f"| {receipt.stage} | {' | '.join(counts)} | {reasons} |")
    return "\n".join(lines)


def _currents(store: Store, recipe: Recipe, batch: str) -> list[Receipt | None]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda name: receipts.current(store, folder(recipe, batch, name)), recipe.names))


def _has_read(receipt: Receipt, before: Receipt) -> bool:
    return receipt.reads.get(before.stage) == before.digest


def _underway(lanes: Sequence[Told], receipt: Receipt | None) -> tuple[Underway | None, bool]:
    """How far the lanes are, and whether any is at work; None where the receipt has come since."""
    if not lanes or (receipt and datetime.fromisoformat(receipt.finished) >= _whole_second(lanes)):
        return None, False
    done, total = sum(lane.done for lane in lanes), sum(lane.total for lane in lanes)
    speed = sum(lane.done / max((lane.at - lane.started).total_seconds(), 0.001) for lane in lanes)
    left = [
        (lane.at - lane.started).total_seconds() / lane.done * (lane.total - lane.done) for lane in lanes if lane.done
    ]
    told = Underway(
        done=done,
        total=total,
        lanes=len(lanes),
        rows_per_second=round(speed, 2),
        seconds_left=round(max(left), 1) if len(left) == len(lanes) else None,
    )
    return told, any(lane.at_work(datetime.now(UTC)) for lane in lanes)


def _whole_second(lanes: Sequence[Told]) -> datetime:
    """When the newest of them was told; a receipt states whole seconds."""
    return max(lane.at for lane in lanes).replace(microsecond=0)
