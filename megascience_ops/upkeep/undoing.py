"""Undoing a stage: an earlier receipt made current again, under a new number, so that history is kept."""

from __future__ import annotations

from datetime import UTC, datetime

from megascience_ops import receipts
from megascience_ops.errors import ContractError
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import Recipe
from megascience_ops.stage import DatasetStage, Stage
from megascience_ops.storage import Store


def undo(store: Store, recipe: Recipe, batch: str, name: str, to: int | None = None) -> Receipt:
    """Make receipt `to` of a stage current again, else the one before the current one; the new receipt.

    To undo what was undone, undo again. Raises ContractError where there is no such receipt, where a file that it
    lists is gone, or where the stage overwrites its files.
    """
    stage = recipe.stage(name)
    folder = f"{recipe.name}/batch={batch}/{name}"
    if isinstance(stage, DatasetStage) and "{fingerprint}" not in stage.part:
        raise ContractError(f"{name} overwrites what it made before: undo the stage before it, then run {name} again")
    there = receipts.numbers(store, folder)
    if not there:
        raise ContractError(f"{name} of batch {batch} has not finished, so there is nothing to undo")
    current = receipts.numbered(store, folder, there[-1])
    former = receipts.numbered(store, folder, to) if to else _former(store, folder, there, current)
    if former.fingerprint == current.fingerprint and former.salt == current.salt:
        raise ContractError(f"receipt {former.number} of {name} has the same rows as the current one, {current.number}")
    for path, size in _listed(former).items():
        if store.size(path) != size:
            raise ContractError(
                f"{store.address(path)} is gone or cut short: receipt {former.number} cannot be restored"
            )
    restored = former.model_copy(
        update={
            "number": current.number + 1,
            "restores": former.restores or former.number,
            "computed_parts": 0,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    return receipts.write(store, folder, restored)


def outdated(receipt: Receipt, stage: Stage) -> list[str]:
    """The prompts that read otherwise now than when the rows of a receipt were made: to run the stage is to redo it."""
    return sorted(prompt.name for prompt in stage.prompts if receipt.prompts.get(prompt.name) != prompt.digest)


def _former(store: Store, folder: str, there: list[int], current: Receipt) -> Receipt:
    """The newest receipt that has other rows than the current one."""
    for number in reversed(there[:-1]):
        receipt = receipts.numbered(store, folder, number)
        if (receipt.fingerprint, receipt.salt) != (current.fingerprint, current.salt):
            return receipt
    raise ContractError(f"{current.stage} of batch {current.batch} has no earlier receipt: there is nothing to undo")


def _listed(receipt: Receipt) -> dict[str, int]:
    files = {facts.path: facts.bytes for facts in receipt.parts}
    return files | {facts.aside_path: facts.aside_bytes for facts in receipt.parts if facts.aside_path}
