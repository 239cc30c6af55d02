"""A stage is a frozen value around one plain function, in one of two kinds.

`RowStage`: a coroutine over one row, which may ask an engine. `DatasetStage`: looks at all rows of the batch, and at
what outlives a batch, then decides each row. Either way every row that comes in goes on or is aside with a reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from megascience_ops.completions import Slot
from megascience_ops.config import StageConfig
from megascience_ops.errors import AnswerError, Unparsed
from megascience_ops.prompts import Prompt
from megascience_ops.rows import Row

if TYPE_CHECKING:
    from megascience_ops.batch import Batch

T = TypeVar("T")


@dataclass(frozen=True)
class Aside:
    """A row that goes no further: `reason` is a slug that the funnel counts, `detail` a sentence for people.

    In a list of outcomes it stands for a part of the row that was put aside while the rest goes on; `part` is what
    that part said. `unread`: it is aside because an answer could not be read; `said` is that answer. `tally`: under
    which name it is counted in the receipt beyond its reason.
    """

    reason: str
    detail: str = ""
    part: str | None = None
    unread: bool = False
    said: str | None = None
    tally: str | None = None

    @classmethod
    def of(cls, error: AnswerError) -> Aside:
        """The aside that an answer without a value makes of its row."""
        unread = isinstance(error, Unparsed) or error.reason in ("refused", "failed")
        return cls(error.reason, error.detail, unread=unread, said=error.said)


Outcome = Row | Aside | Sequence[Row | Aside]


class Ask(Protocol):
    """Puts a prompt to the engine and returns what the prompt's parser made of the answer.

    Asks again when the answer cannot be read. Raises Unparsed when it never could, Declined when the engine has no
    honest answer; a stage that has nothing better to do lets both pass, and the row is aside. `sample` 1, 2, ... ask
    the same thing anew, with a seed of their own.
    """

    async def __call__(self, prompt: Prompt[T], /, *, sample: int = 0, **slots: Slot) -> T: ...


@dataclass(frozen=True)
class RowStage:
    """`run(row, ask, config)` over each row on its own. `version` goes up when a row would come out different.

    `measured` makes of the tallies of all asides what the receipt says of the stage's quality.
    """

    name: str
    reads: type[Row]
    writes: type[Row]
    run: Callable[[Any, Ask, Any], Awaitable[Outcome]]
    config: type[StageConfig] = StageConfig
    prompts: tuple[Prompt[Any], ...] = ()
    version: int = 1
    measured: Callable[[Mapping[str, int]], dict[str, Any]] | None = None


Decide = Callable[[Any], Awaitable[Outcome]]


@dataclass(frozen=True)
class DatasetStage:
    """`look(batch, config)` sees every row and returns what decides each of them.

    `also_reads(batch, config)` names, with digests, what it reads beyond the stage before: part of the fingerprint.
    `source(batch, config)` yields the rows of a stage that has none before it, of which the first `config.limit` are
    taken where it has a limit. `folder` and `part` say where its rows
    go: a name without the fingerprint is overwritten, the others are immutable. `preview(batch, config, rows)` is
    `look` for a few rows by themselves, and leaves no trace but what was paid for: for those who try a stage, or plan
    what it will cost. `check(batch)` raises ContractError on what would stop it, before any stage has run.
    """

    name: str
    reads: type[Row]
    writes: type[Row]
    look: Callable[[Batch, Any], Awaitable[Decide]]
    config: type[StageConfig] = StageConfig
    also_reads: Callable[[Batch, Any], Mapping[str, str]] | None = None
    source: Callable[[Batch, Any], Iterable[Row]] | None = None
    folder: str = "{recipe}/batch={batch}/{stage}"
    part: str = "part-{part:05}.{fingerprint}.parquet"
    preview: Callable[[Batch, Any, Sequence[Any]], Awaitable[Decide]] | None = None
    check: Callable[[Batch], object] | None = None
    version: int = 1

    @property
    def prompts(self) -> tuple[Prompt[Any], ...]:
        return ()


Stage = RowStage | DatasetStage
