"""The runner brings a stage up to date: which shards are wanted, which are there, and at the end the receipt.

Killed anywhere and started again, it goes on where it stopped; where nothing has changed, it computes nothing.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import megascience_ops
from megascience_ops import gates, receipts
from megascience_ops.batch import Batch
from megascience_ops.config import Prices, StageConfig, identity
from megascience_ops.dealing import begin
from megascience_ops.drafts import Incoming, Shard, remove_leftovers
from megascience_ops.errors import ContractError
from megascience_ops.progress import teller
from megascience_ops.receipts import Effort, PartFacts, Receipt, fingerprint
from megascience_ops.rows import Row
from megascience_ops.shards import Found, Shards
from megascience_ops.stage import DatasetStage, RowStage, Stage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lane:
    """One of `of` workers on the same stage: it computes every shard whose number leaves `number` over."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ContractError(f"lane {self.number} of {self.of}: lanes count from 0 to {self.of - 1}")


WHOLE = Lane()


@dataclass(frozen=True)
class Plan:
    """What a lane of a stage has to do: `stands` is the receipt where that is nothing, `todo` the shards to compute.

    `upstream` is the receipt of the stage before, `reads` names it and all else that is read, with digests.
    """

    upstream: Receipt | None
    reads: dict[str, str]
    wanted: list[Shard]
    fingerprint: str
    number: int = 1
    salt: str = ""
    stands: Receipt | None = None
    todo: tuple[Shard, ...] = ()


async def run_stage(batch: Batch, lane: Lane = WHOLE, *, recompute: bool = False) -> Receipt | None:
    """Bring a stage of a batch up to date and return its receipt; `computed_parts` is 0 where nothing had to be done.

    Returns None where other lanes still have shards to compute. Shards that are there under the wanted fingerprint
    are used as they are, unless `recompute`. Raises ContractError or TransientError; what was computed is kept.
    """
    began = time.monotonic()
    plan = planned(batch, lane, recompute=recompute)
    computed: dict[int, Found] = {}
    if plan.todo:
        from megascience_ops.computing import Computation  # where nothing has to be computed, it loads for nothing

        config = batch.settings.of(batch.stage.name, batch.stage.config)
        remove_leftovers()
        tell = teller(batch.store, batch.folder(), plan.fingerprint, lane.number, lane.of)
        computation = Computation(replace(batch, reads=plan.upstream), config, Shards(batch))
        computed = await computation.compute(plan.todo, tell)
    return completed(batch, plan, computed, time.monotonic() - began)


def planned(batch: Batch, lane: Lane = WHOLE, *, recompute: bool = False) -> Plan:
    """What is left to do for a lane of a stage. Computes nothing, and asks nobody."""
    stage, config = batch.stage, batch.settings.of(batch.stage.name, batch.stage.config)
    upstream = batch.upstream() if batch.recipe.before(stage.name) else None
    reads = _reads(batch, config, upstream)
    made_by = _made_by(batch, config, reads)
    incoming = _incoming(batch, config, upstream)
    wanted = _wanted(incoming, made_by)
    whole = fingerprint([shard.fingerprint for shard in wanted])

    shards, there = Shards(batch), batch.receipt(stage.name)
    stands = there is not None and there.fingerprint == whole
    if there and stands and not shards.damaged(there.parts) and not recompute:
        return Plan(upstream, reads, wanted, whole, stands=there)

    number = there.number + 1 if there else 1
    salt = str(number) if recompute else there.salt if there and stands else ""
    if salt:
        wanted = _wanted(incoming, {**made_by, "recompute": salt})
    todo = tuple(shard for shard in wanted if shard.part % lane.of == lane.number and not shards.has(shard))
    return Plan(upstream, reads, wanted, whole, number, salt, todo=todo)


def completed(batch: Batch, plan: Plan, computed: Mapping[int, Found], seconds: float = 0.0) -> Receipt | None:
    """The receipt of a stage whose shards are all there, written unless it stands; None where some are missing.

    `computed` are the shards of `plan.todo` by number, which took so many `seconds`; the others are looked up.
    """
    stage, shards, config = batch.stage, Shards(batch), batch.settings.of(batch.stage.name, batch.stage.config)
    if plan.stands:
        gates.check(stage.name, config, plan.stands.parts)
        log.info("%s: nothing to compute, receipt %d stands", stage.name, plan.stands.number)
        return plan.stands.model_copy(update={"computed_parts": 0})
    wanted = plan.wanted
    if missing := [shard for shard in wanted if shard.part not in computed and not shards.has(shard)]:
        log.info("%s: %d of %d shards are left to other lanes", stage.name, len(missing), len(wanted))
        return None
    there = [computed.get(shard.part) or shards.found(shard) for shard in wanted]
    parts = [facts for facts, _ in there]
    warnings = gates.check(stage.name, config, parts)
    effort = receipts.summed(effort for _, effort in there)
    decoded = _decoded(effort for _, effort in computed.values())
    finished = datetime.now(UTC)
    receipt = Receipt(
        number=plan.number,
        recipe=batch.recipe.name,
        batch=batch.name,
        stage=stage.name,
        version=stage.version,
        fingerprint=plan.fingerprint,
        salt=plan.salt,
        reads=plan.reads,
        config=identity(config),
        engine=dict(batch.engine.identity) if batch.engine else {},
        server=batch.engine.facts() if batch.engine and computed else {},
        prompts={prompt.name: prompt.digest for prompt in stage.prompts},
        parts=parts,
        warnings=warnings,
        effort=effort,
        computed_parts=len(computed),
        tokens_per_second=round(decoded / seconds, 1) if seconds else 0.0,
        money=_money(batch.settings.prices, effort),
        measured=_measured(stage, parts),
        started=(finished - timedelta(seconds=seconds)).isoformat(timespec="seconds"),
        finished=finished.isoformat(timespec="seconds"),
        software={"megascience_ops": megascience_ops.__version__, "python": sys.version.split()[0]},
    )
    return receipts.write(batch.store, batch.folder(), receipt)


def _reads(batch: Batch, config: StageConfig, upstream: Receipt | None) -> dict[str, str]:
    """What the stage reads, each with a digest: the receipt before it, and what it reads besides."""
    stage = batch.stage
    reads = {upstream.stage: upstream.digest} if upstream else {}
    if isinstance(stage, DatasetStage) and stage.also_reads:
        reads |= stage.also_reads(batch, config)
    return reads


def _made_by(batch: Batch, config: StageConfig, reads: dict[str, str]) -> dict[str, object]:
    """All that makes the rows what they are, but for the rows that come in."""
    stage = batch.stage
    made_by: dict[str, object] = {
        "stage": stage.name,
        "version": stage.version,
        "fields": sorted(stage.writes.model_fields),
        "prompts": [prompt.digest for prompt in stage.prompts],
        "engine": dict(batch.engine.identity) if batch.engine else {},
        "config": identity(config),
    }
    if isinstance(stage, DatasetStage):  # it sees all rows, so each shard depends on all that is read
        made_by["reads"] = reads
    return made_by


def _incoming(batch: Batch, config: StageConfig, upstream: Receipt | None) -> dict[int, Incoming]:
    """What comes in, by the number of its shard, in order. With the first stage the batch begins."""
    if upstream:
        return {facts.part: facts for facts in upstream.parts}
    groups: dict[int, list[Row]] = defaultdict(list)
    for part, row in begin(batch, config):
        groups[part].append(row)
    return {part: tuple(rows) for part, rows in sorted(groups.items())}


def _wanted(incoming: Mapping[int, Incoming], made_by: Mapping[str, object]) -> list[Shard]:
    """The shards that the stage has to have, in order."""

    def identity_of(reads: Incoming) -> object:
        return reads.digest if isinstance(reads, PartFacts) else [row.model_dump() for row in reads]

    return [Shard(part, fingerprint([made_by, identity_of(reads)]), reads) for part, reads in incoming.items()]


def _measured(stage: Stage, parts: Sequence[PartFacts]) -> dict[str, Any]:
    """What the stage makes of its tallies."""
    if not isinstance(stage, RowStage) or stage.measured is None:
        return {}
    tallies: Counter[str] = Counter()
    for part in parts:
        tallies.update(part.tallies)
    return stage.measured(tallies)


def _money(prices: Prices | None, effort: Effort) -> float | None:
    """What the tokens of a stage cost, where prices are set."""
    if prices is None:
        return None
    used = effort.usage.values()
    return round(sum(prices.of(one.prompt_tokens, one.cached_tokens, one.completion_tokens) for one in used), 6)


def _decoded(efforts: Iterable[Effort]) -> int:
    """The tokens that these shards had to be decoded for."""
    return sum(usage.completion_tokens for effort in efforts for usage in effort.usage.values())
