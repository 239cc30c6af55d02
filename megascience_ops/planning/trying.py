"""Trying a stage on a few of its rows: what it would ask, what is answered, and what would become of each row.

No shard and no receipt is written. Completions are kept, so a run that asks the same does not pay for it again.
"""

from __future__ import annotations

from typing import Any

from megascience_ops.completions import Completion, Image, Request
from megascience_ops.config import Settings
from megascience_ops.engines.engine import Engine
from megascience_ops.errors import ContractError
from megascience_ops.planning.rehearsing import Rehearsed, few_rows, rehearse, rule
from megascience_ops.rows import Row
from megascience_ops.run import opened
from megascience_ops.stage import Aside


async def try_stage(settings: Settings, stage: str, rows: int, engine: Engine | None = None) -> list[Rehearsed]:
    """What the stage would do to so many of the rows that it reads, spread evenly over them.

    Raises ContractError where the stage before has not finished, or where the stage has to see all rows.
    """
    if rows < 1:
        raise ContractError(f"--limit {rows}: try at least one row")
    async with opened(settings, stage, engine) as batch:
        config = settings.of(batch.stage.name, batch.stage.config)
        some = few_rows(batch, config, rows)
        return await rehearse(batch, config, some, await rule(batch, config, some))


def told(trial: Rehearsed) -> dict[str, Any]:
    """A trial as JSON: the row as it came, what was asked and said, and each of its outcomes."""
    return {
        "row": trial.decided.row.model_dump(mode="json"),
        "asked": [_asked(request, completion) for request, completion in trial.heard],
        "outcome": [_outcome(trial.decided.row, one) for one in trial.decided.outcome],
    }


def changes(before: Row, after: Row) -> dict[str, Any]:
    """The fields that a row of the next stage has anew, or with another value."""
    old = before.model_dump(mode="json")
    return {
        name: value for name, value in after.model_dump(mode="json").items() if name not in old or old[name] != value
    }


def _asked(request: Request, completion: Completion) -> dict[str, Any]:
    return {
        "prompt": request.prompt,
        "slots": {
            name: f"image {slot.sha256}" if isinstance(slot, Image) else slot for name, slot in request.slots.items()
        },
        "sampling": dict(request.sampling),
        "said": completion.text,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
    }


def _outcome(row: Row, one: Row | Aside) -> dict[str, Any]:
    if isinstance(one, Aside):
        return {"aside": one.reason, "detail": one.detail, "part": one.part}
    return {"kept": one.id, "changes": changes(row, one)}
