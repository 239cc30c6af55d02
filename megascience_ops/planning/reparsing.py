"""Reading kept completions again with the parsers and stages of today: what would come out different?

Nobody is asked. A row for which something would have to be asked is named as such, and left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from megascience_ops import tables
from megascience_ops.batch import Batch
from megascience_ops.completions import Completion, Request
from megascience_ops.config import AskingConfig, Settings
from megascience_ops.drafts import Decided, aside_rows
from megascience_ops.engines.engine import Engine
from megascience_ops.errors import ContractError
from megascience_ops.planning.rehearsing import rehearse
from megascience_ops.receipts import PartFacts, Receipt, listed
from megascience_ops.rows import AsideRow, Row
from megascience_ops.run import opened
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["unchanged", "changed", "newly kept", "newly aside", "gone", "still aside", "aside otherwise", "to ask"]
KINDS: tuple[Kind, ...] = (
    *("unchanged", "changed", "newly kept", "newly aside"),
    *("gone", "still aside", "aside otherwise", "to ask"),
)
_TO_ASK = Aside("to_ask", "no completion is kept for what it would ask")
_ROW_TO_ASK = AsideRow(id="", row="", reason=_TO_ASK.reason, detail=_TO_ASK.detail, part=None, said=None)


@dataclass(frozen=True)
class Difference:
    """A row, by id, as the receipt has it and as it would come out today."""

    id: str
    kind: Kind
    before: Row | None
    after: Row | None


@dataclass
class Reading:
    """What reading again makes of all rows and asides of a stage: counts, and what is not as it was."""

    stage: str
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    differences: list[Difference] = field(default_factory=list)


async def reread(settings: Settings, stage: str, engine: Engine | None = None) -> Reading:
    """Compare the current receipt of a stage with what the kept completions give today.

    `engine` stands for the configured one; it is only looked at to know who answered, and never asked. Raises
    ContractError where the stage asks nobody, has not finished, or was answered by another engine.
    """
    async with opened(settings, stage, engine) as batch:
        config = settings.of(batch.stage.name, batch.stage.config)
        one = batch.stage
        if not isinstance(one, RowStage) or not isinstance(config, AskingConfig) or batch.engine is None:
            raise ContractError(f"{one.name} asks nothing, so there is nothing to read again")
        receipt = _receipt(batch, batch.engine)

        async def run_row(row: Row, ask: Ask) -> Outcome:
            try:
                outcome: Outcome = await one.run(row, ask, config)
            except Unasked:
                return _TO_ASK
            return outcome

        mute, reading = replace(batch, engine=Mute(batch.engine.identity)), Reading(one.name)
        written = {facts.part: facts for facts in receipt.parts}
        for facts in batch.upstream().parts:
            rows = [(facts.part, row) for row in batch.rows(facts)]
            rehearsed = await rehearse(mute, config, rows, run_row)
            _compare(reading, _before(batch, written.get(facts.part)), [one.decided for one in rehearsed])
        return reading


class Mute:
    """An engine that is known by the name of another, and never answers."""

    def __init__(self, identity: Mapping[str, str]) -> None:
        self.identity = identity
        self.retries: Mapping[str, int] = {}

    async def complete(self, request: Request, row: str) -> Completion:
        raise Unasked

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise Unasked

    def facts(self) -> dict[str, str]:
        """Nothing, of one that says nothing."""
        return {}

    async def close(self) -> None:
        """Nothing to give back."""


class Unasked(Exception):
    """Somebody would have to be asked; no answer's fault, so no stage deals with it."""


def _receipt(batch: Batch, engine: Engine) -> Receipt:
    stage, receipt = batch.stage.name, batch.receipt(batch.stage.name)
    if receipt is None:
        raise ContractError(f"{stage} of batch {batch.name} has not finished, so there is nothing to compare: run it")
    if receipt.engine != dict(engine.identity):
        answered, configured = (
            " ".join(value for value in one.values() if value) for one in (receipt.engine, engine.identity)
        )
        raise ContractError(
            f"{stage} was answered by {answered}, not by {configured}: name that engine and model, or run the stage"
        )
    return receipt


def _before(batch: Batch, facts: PartFacts | None) -> dict[str, Row]:
    """The rows and asides of a shard by id, as the receipt lists them."""
    if facts is None:
        return {}
    with listed(batch.store, facts.path, facts.sha256) as file:
        rows: list[Row] = [*tables.decode(batch.stage.writes, file)]
    if facts.aside_path:
        with listed(batch.store, facts.aside_path, facts.aside_sha256) as file:
            rows += tables.decode(AsideRow, file)
    return {row.id: row for row in rows}


def _compare(reading: Reading, before: Mapping[str, Row], decided: Sequence[Decided]) -> None:
    parts_of: dict[str, list[str]] = defaultdict(list)  # ids begin with the id of what they are a part of
    for row_id in before:
        steps = row_id.split("/")
        for end in range(1, len(steps) + 1):
            parts_of["/".join(steps[:end])].append(row_id)
    after: dict[str, Row] = {}
    for one in decided:
        if one.outcome == [_TO_ASK]:
            after |= dict.fromkeys(parts_of[one.row.id] or [one.row.id], _ROW_TO_ASK)
        else:
            rows = [*(row for row in one.outcome if isinstance(row, Row)), *aside_rows(one)]
            after |= {row.id: row for row in rows}
    for row_id in sorted(before.keys() | after.keys()):
        was, now = before.get(row_id), after.get(row_id)
        kind = _kind(was, now)
        reading.counts[kind] += 1
        if kind not in ("unchanged", "still aside"):
            reading.differences.append(Difference(row_id, kind, was, now))


def _kind(was: Row | None, now: Row | None) -> Kind:
    if now is _ROW_TO_ASK:
        return "to ask"
    if now is None:
        return "gone"
    if isinstance(now, AsideRow):
        if not isinstance(was, AsideRow):
            return "newly aside"
        return "still aside" if (was.reason, was.part) == (now.reason, now.part) else "aside otherwise"
    if was is None or isinstance(was, AsideRow):
        return "newly kept"
    return "unchanged" if was == now else "changed"
