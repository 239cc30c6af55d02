"""A batch in view of one stage: its rows so far, its receipts, the batches before it, and what outlives them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import Field

from megascience_ops import receipts
from megascience_ops.config import Settings
from megascience_ops.errors import ContractError, NothingNew
from megascience_ops.receipts import PartFacts, Receipt, listed
from megascience_ops.rows import Frozen, Row
from megascience_ops.stage import DatasetStage, Stage
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from megascience_ops.engines.engine import Engine
    from megascience_ops.recipe import Recipe

FEWEST_SHARDS = 8  # of a batch


class Place(Frozen):
    """What a batch notes when it begins; its place in the order of batches is the number of the note."""

    batch: str
    shards: int = Field(FEWEST_SHARDS, ge=1)


@dataclass(frozen=True)
class Batch:
    """The textbooks that one run curates, as the stage that runs sees them.

    `own`: the shards that this worker is about to compute, by number, each with its fingerprint. `reads`: the receipt
    by which that was planned, and which counts until it is done, whatever becomes of the stage before meanwhile.
    """

    settings: Settings
    recipe: Recipe
    stage: Stage
    store: Store
    engine: Engine | None = None
    own: Mapping[int, str] = field(default_factory=dict)
    reads: Receipt | None = None

    @property
    def name(self) -> str:
        return self.settings.batch

    def folder(self, stage: str | None = None, batch: str | None = None) -> str:
        """Where a stage of a batch keeps its asides, completions and receipts."""
        return f"{self.recipe.name}/batch={batch or self.name}/{stage or self.stage.name}"

    def rows_folder(self) -> str:
        """Where this stage puts its rows: its own folder, or the product's."""
        if isinstance(self.stage, DatasetStage):
            return self.stage.folder.format(recipe=self.recipe.name, batch=self.name, stage=self.stage.name)
        return self.folder()

    def receipt(self, stage: str, batch: str | None = None) -> Receipt | None:
        """The current receipt of a stage, of this batch or of another."""
        return receipts.current(self.store, self.folder(stage, batch))

    def upstream(self) -> Receipt:
        """The receipt that this stage reads. Raises ContractError where the stage before has not finished.

        Raises NothingNew where it never will: in a batch of what is new, for which nothing was.
        """
        before = self.recipe.before(self.stage.name)
        receipt = self.reads or (self.receipt(before.name) if before else None)
        if before and not receipt:
            if self._found_nothing_new():
                raise NothingNew(f"batch {self.name} found no new textbook: {self.stage.name} has nothing to do")
            raise ContractError(
                f"{self.stage.name} of batch {self.name} reads {before.name}, which has not finished: run it first"
            )
        assert receipt is not None
        return receipt

    def _found_nothing_new(self) -> bool:
        first = self.recipe.names[0]
        found = self.receipt(first)
        only_new = self.settings.stages.get(first, {}).get("only_new", False)
        return bool(only_new) and (found is None or not found.total("rows_out"))

    def rows(self, part: PartFacts) -> Iterator[Row]:
        """The rows of one shard of what this stage reads."""
        from megascience_ops import tables

        with listed(self.store, part.path, part.sha256) as file:
            yield from tables.decode(self.stage.reads, file)

    def columns(self, names: Sequence[str], receipt: Receipt | None = None) -> Iterator[dict[str, Any]]:
        """These columns of every row that this stage reads, or of another receipt's rows, shard by shard."""
        from megascience_ops import tables

        for part in (receipt or self.upstream()).parts:
            with listed(self.store, part.path, part.sha256) as file:
                yield from tables.columns(file, names)

    def earlier(self) -> list[str]:
        """The batches of this recipe that were begun before this one, first to last."""
        order = batches(self.store, self.recipe.name)
        return order[: order.index(self.name)] if self.name in order else order

    def enrol(self, shards: int) -> int:
        """Give this batch its place in the order of batches, and its number of shards, once and for good.

        Returns the number that it has: `shards` where it begins now.
        """
        while self.name not in (begun := _begun(self.store, self.recipe.name)):
            content = Place(batch=self.name, shards=shards).model_dump_json()
            if self.store.create(f"index/{self.recipe.name}/batches/{len(begun) + 1:06}.json", content.encode()):
                return shards
        return begun[self.name]

    def shards(self) -> int | None:
        """Over how many shards its books are dealt out, where it has begun."""
        return _begun(self.store, self.recipe.name).get(self.name)


def batches(store: Store, recipe: str) -> list[str]:
    """The batches of a recipe, in the order in which they were begun."""
    return list(_begun(store, recipe))


def _begun(store: Store, recipe: str) -> dict[str, int]:
    """The number of shards of each batch, in the order in which they were begun."""
    folder = f"index/{recipe}/batches"
    said = [store.json(f"{folder}/{name}", Place) for name in store.names(folder)]
    return {one.batch: one.shards for one in said}
