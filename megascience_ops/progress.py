"""Progress: a bar in a terminal, a line in a log now and then, and on storage for those who look from afar."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from megascience_ops.errors import TransientError
from megascience_ops.rows import Frozen
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from rich.progress import Progress

log = logging.getLogger(__name__)

LOG_SECONDS = 15.0
TELL_SECONDS = 5.0  # between two tellings on storage
SILENT_SECONDS = 90.0  # whoever has told nothing for so long is taken for dead

Tell = Callable[[int, int, bool], None]  # rows done, of how many, and whether that is the end


class Told(Frozen):
    """How far one lane is: `done` of the `total` rows that it computes, as of `at`. `fingerprint`: of what is made.

    `ended`: it computes no more, be it that all is done or that something went wrong.
    """

    fingerprint: str
    lane: int
    lanes: int
    done: int
    total: int
    started: datetime
    at: datetime
    ended: bool

    def at_work(self, now: datetime) -> bool:
        """Is it deciding rows? Whoever has told nothing for long was killed."""
        return not self.ended and (now - self.at).total_seconds() <= SILENT_SECONDS


def teller(store: Store, folder: str, fingerprint: str, lane: int, lanes: int) -> Tell:
    """What tells on storage how far a lane is; that it cannot be told just now stops no work."""
    started = datetime.now(UTC)

    def tell(done: int, total: int, ended: bool) -> None:
        told = Told(
            fingerprint=fingerprint,
            lane=lane,
            lanes=lanes,
            done=done,
            total=total,
            started=started,
            at=datetime.now(UTC),
            ended=ended,
        )
        try:
            store.put(f"{folder}/progress/lane-{lane:03}.json", told.model_dump_json().encode())
        except TransientError as error:
            log.debug("progress could not be told: %s", error)

    return tell


def told(store: Store, folder: str) -> list[Told]:
    """How far each lane of a stage is with what is being made now, or was made last."""
    contents = [store.find(f"{folder}/progress/{name}") for name in store.names(f"{folder}/progress")]
    lanes = []
    for content in filter(None, contents):
        with suppress(ValidationError):  # a damaged one will be told anew
            lanes.append(Told.model_validate_json(content))
    if not lanes:
        return []
    newest = max(lanes, key=lambda one: one.at)
    return [one for one in lanes if one.fingerprint == newest.fingerprint]


class RowProgress:
    """Counts rows of a stage as they are decided; `tell` is called at the start, at the end, and now and then."""

    def __init__(self, stage: str, total: int, tell: Tell) -> None:
        self._stage, self._total, self._tell, self._done = stage, total, tell, 0
        self._started = self._logged = self._told = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description:<26}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(stage, total=total)

    def __enter__(self) -> RowProgress:
        self._tell(0, self._total, False)
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        self._tell(self._done, self._total, True)

    def row_done(self) -> None:
        """One more row is decided."""
        self._done += 1
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            self._tell(self._done, self._total, False)
        if self._bar:
            self._bar.update(self._task, completed=self._done)
        elif now - self._logged >= LOG_SECONDS:
            self._logged = now
            left = (now - self._started) / self._done * (self._total - self._done)
            log.info("%s: %d of %d rows, about %.0f s left", self._stage, self._done, self._total, left)
