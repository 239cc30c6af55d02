"""Progress for people: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LOG_SECONDS = 15.0


class RowProgress:
    """Counts rows of a stage as they are decided."""

    def __init__(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, total, 0
        self._started = self._logged = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description:<26}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(stage, total=total)

    def __enter__(self) -> RowProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def row_done(self) -> None:
        """One more row is decided."""
        self._done += 1
        if self._bar:
            self._bar.update(self._task, completed=self._done)
        elif (now := time.monotonic()) - self._logged >= LOG_SECONDS:
            self._logged = now
            left = (now - self._started) / self._done * (self._total - self._done)
            log.info("%s: %d of %d rows, about %.0f s left", self._stage, self._done, self._total, left)
