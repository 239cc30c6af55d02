"""Asking an engine on behalf of rows: what was said before is replayed, what is said now is kept.

Completions of a shard are kept in numbered segments, flushed every few hundred answers or seconds, so that a killed
process pays at most one flush interval again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, TypeVar

from megascience_ops import tables
from megascience_ops.completions import ANSWERED, Completion, Request, Sampling, Slot
from megascience_ops.config import AskingConfig
from megascience_ops.engines.engine import Engine
from megascience_ops.errors import Unparsed
from megascience_ops.prompts import Prompt
from megascience_ops.receipts import Usage
from megascience_ops.storage import Store

T = TypeVar("T")

log = logging.getLogger(__name__)

SEGMENTS_HELD = 8
SAMPLES = 1_000_000  # at most, of one prompt: seeds of further attempts lie beyond


class Kept:
    """The completions of one shard of one stage, by request digest, over all attempts to compute it.

    Held are the digests, what is not flushed yet, and the last few segments that were looked into. `shards` is how
    many are open at once: together they hold back no more than `flush_completions`.
    """

    def __init__(self, store: Store, folder: str, part: int, config: AskingConfig, shards: int = 1) -> None:
        self._store, self._folder, self._part, self._config = store, f"{folder}/completions", part, config
        self._segment_of: dict[str, str] = {}
        self._read: OrderedDict[str, dict[str, Completion]] = OrderedDict()
        self._new: dict[str, Completion] = {}
        self._flush_at = max(1, config.flush_completions // shards)
        self._flushed = time.monotonic()
        self._segment = 0
        for name in store.names(self._folder, self._name("")):
            self._segment = max(self._segment, int(name.split(".")[1]))
            self._learn(name)

    def find(self, digest: str) -> Completion | None:
        """What was said to the request with this digest, if it was ever asked."""
        if digest in self._new:
            return self._new[digest]
        name = self._segment_of.get(digest)
        return self._completions(name).get(digest) if name else None

    def add(self, completion: Completion) -> None:
        """Keep a completion; it is on storage after the next flush."""
        self._new[completion.id] = completion
        due = time.monotonic() - self._flushed >= self._config.flush_seconds
        if due or len(self._new) >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Put what is new on storage, under the next segment number that nobody has taken."""
        if self._new:
            content, _ = tables.encode(Completion, list(self._new.values()), {"part": self._part})
            self._segment += 1
            while not self._store.create(f"{self._folder}/{self._segment_name()}", content):
                self._segment += 1
            self._segment_of |= dict.fromkeys(self._new, self._segment_name())
            self._new = {}
        self._flushed = time.monotonic()

    def _learn(self, name: str) -> None:
        """Know which completions a segment holds; those of one that is damaged have to be asked for again."""
        try:
            with self._store.local(f"{self._folder}/{name}") as file:
                ids = [row["id"] for row in tables.columns(file, ["id"])]
        except tables.Damaged as error:
            log.warning("%s/%s is asked for again: %s", self._folder, name, error)
            return
        self._segment_of |= dict.fromkeys(ids, name)

    def _completions(self, name: str) -> dict[str, Completion]:
        if name not in self._read:
            with self._store.local(f"{self._folder}/{name}") as file:
                try:
                    self._read[name] = {one.id: one for one in tables.decode(Completion, file)}
                except tables.Damaged as error:
                    log.warning("%s/%s is asked for again: %s", self._folder, name, error)
                    self._read[name] = {}
            if len(self._read) > SEGMENTS_HELD:
                self._read.popitem(last=False)
        self._read.move_to_end(name)
        return self._read[name]

    def _segment_name(self) -> str:
        return self._name(f"{self._segment:05}.parquet")

    def _name(self, rest: str) -> str:
        return f"part-{self._part:05}.{rest}"


@dataclass
class Asker:
    """Asks for the rows of one shard. `usage` adds up what each prompt cost."""

    engine: Engine
    kept: Kept
    config: AskingConfig
    usage: dict[str, Usage] = field(default_factory=dict)
    _asked: dict[str, asyncio.Future[Completion]] = field(default_factory=dict)

    def for_row(self, row: str) -> RowAsk:
        """The `ask` that a stage is given for one row."""
        return RowAsk(self, row)

    async def completion(self, request: Request, row: str) -> Completion:
        """What was or is said to this request; two rows that ask the same thing at once share the answer."""
        if known := self.kept.find(request.digest):
            self.count(request.prompt, replayed=1)
            return known
        if request.digest in self._asked:
            self.count(request.prompt, replayed=1)
            return await self._asked[request.digest]
        return await self._send(request, row)

    async def _send(self, request: Request, row: str) -> Completion:
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._asked[request.digest] = answer
        try:
            completion = await self.engine.complete(request, row)
        except BaseException as error:
            answer.set_exception(error)
            answer.exception()  # whoever waits sees it too; seen here so that nobody waiting is no complaint
            raise
        finally:
            del self._asked[request.digest]
        if completion.finish_reason in ANSWERED:
            self.kept.add(completion)
        answer.set_result(completion)
        tokens = {name: getattr(completion, name) for name in Usage.model_fields if name.endswith("_tokens")}
        self.count(request.prompt, requests=1, **tokens)
        return completion

    def count(self, prompt: str, **counts: int) -> None:
        """Add to what a prompt cost."""
        self.usage[prompt] = self.usage.get(prompt, Usage()) + Usage(**counts)


@dataclass(frozen=True)
class RowAsk:
    """`ask` for one row: see `stage.Ask`."""

    asker: Asker
    row: str

    async def __call__(self, prompt: Prompt[T], /, *, sample: int = 0, **slots: Slot) -> T:
        for attempt in range(self.asker.config.attempts):
            sampling = {**self.asker.config.engine.sampling, **_variation(prompt.sampling, sample, attempt)}
            request = prompt.request(slots, sampling, self.asker.engine.identity)
            completion = await self.asker.completion(request, self.row)
            try:
                return prompt.read(completion)
            except Unparsed as error:
                self.asker.count(prompt.name, unread=1, truncated=completion.finish_reason == "length")
                error.said = completion.text
                unread = error
        raise unread


def _variation(sampling: Sampling, sample: int, attempt: int) -> dict[str, Any]:
    """What makes a request differ from those of other samples and attempts; the very first is as the prompt asks.

    A sample has a seed of its own; a further attempt is also warmer.
    """
    if not sample and not attempt:
        return {}
    temperature = float(sampling.get("temperature", 0.0))
    seed = sample + SAMPLES * attempt
    return {"seed": seed} if not attempt else {"temperature": max(temperature, 0.3 * attempt), "seed": seed}
