"""The words in which a row was asked about: its prompts rendered again, proven by the digests of what was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from megascience_ops.asking import Kept
from megascience_ops.completions import Completion, Request
from megascience_ops.computing import decide_row
from megascience_ops.config import AskingConfig, validated
from megascience_ops.errors import ContractError
from megascience_ops.looking import finding
from megascience_ops.looking.life import segments
from megascience_ops.planning.rehearsing import Listener
from megascience_ops.planning.reparsing import Mute, Unasked
from megascience_ops.receipts import Receipt
from megascience_ops.rows import Frozen
from megascience_ops.stage import Aside, Ask, Outcome, RowStage
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from megascience_ops.recipe import Recipe
    from megascience_ops.rows import Row


class Worded(Frozen):
    """What was put to an engine, in its very words, and what was answered."""

    prompt: str
    words: str
    sampling: dict[str, Any]
    completion: Completion


def worded(store: Store, recipe: Recipe, found: Sequence[Receipt], name: str, row_id: str) -> list[Worded]:
    """All that a stage asked about a row that it read, in order, as far as the prompts still say what they said.

    Raises ContractError where the stage asks nothing, did not read the row, or would have to open the book again.
    """
    stage, before = recipe.stage(name), recipe.before(name)
    receipt = _of(found, name)
    if not isinstance(stage, RowStage) or not receipt.prompts or before is None:
        raise ContractError(f"{name} asks nothing")
    if "textbooks" in stage.config.model_fields:
        raise ContractError(f"{name} asks about pictures of pages, which are not drawn again")
    config = validated(stage.config, receipt.config, f"stages.{name}")
    assert isinstance(config, AskingConfig)  # what has prompts asks
    placed = _row(store, _of(found, before.name), row_id)
    if placed is None:
        raise ContractError(f"{name} has read no row {row_id}")
    part, values = placed
    row = stage.reads.model_validate(values)

    async def run_row(row: Row, ask: Ask) -> Outcome:
        try:
            outcome: Outcome = await stage.run(row, ask, config)
        except Unasked:
            return Aside("unasked")  # the words have changed; what was heard until then stands
        return outcome

    asker = Listener(
        Mute(receipt.engine), _Said(store, [segment.path for segment in segments(store, receipt, part)]), config
    )
    asyncio.run(decide_row(row, run_row, asker))
    return [_worded(request, completion) for request, completion in asker.heard[row.id]]


class _Said(Kept):
    """The completions of a shard by digest, looked up where they lie."""

    def __init__(self, store: Store, paths: Sequence[str]) -> None:
        self._lie_in, self._paths = store, paths

    def find(self, digest: str) -> Completion | None:
        for path in self._paths:
            places = [
                at for at, one in enumerate(finding.column(self._lie_in, path, "id").to_pylist()) if one == digest
            ]
            if places:
                return Completion.model_validate(finding.at(self._lie_in, path, places)[0])
        return None


def _of(found: Sequence[Receipt], name: str) -> Receipt:
    for receipt in found:
        if receipt.stage == name:
            return receipt
    raise ContractError(f"{name} has not finished")


def _row(store: Store, receipt: Receipt, row_id: str) -> tuple[int, Mapping[str, Any]] | None:
    for facts in receipt.parts:
        for values in finding.by_id(store, facts.path, [row_id]) if facts.rows_out else ():
            return facts.part, values
    return None


def _worded(request: Request, completion: Completion) -> Worded:
    words = "".join(part if isinstance(part, str) else "[a picture of the page]" for part in request.parts)
    return Worded(prompt=request.prompt, words=words, sampling=dict(request.sampling), completion=completion)
