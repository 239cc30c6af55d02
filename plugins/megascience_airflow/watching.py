"""Watches a landing zone from Airflow's triggerer, and says when textbooks have come."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

STATE = "landing_zone"
NAMES = 20  # of the new files, as many as an event names


class NewTextbooks(BaseEventTrigger):
    """Fires when files have come to a folder or bucket prefix, and none has for `seconds`: then they are there whole.

    What was seen last is kept in the asset's state as a digest and a count, whatever the number of files, and only
    after the event is out: a triggerer that dies in between says it twice, and the second run finds nothing new.
    After a restart it says that something has changed, but not what; also if that was a file removed.
    """

    def __init__(self, textbooks: str, seconds: float) -> None:
        super().__init__()
        self.textbooks, self.seconds = textbooks, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        return "megascience_airflow.watching.NewTextbooks", {"textbooks": self.textbooks, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again; for ever."""
        from megascience_ops.errors import ContractError, TransientError

        told: set[str] | None = None  # what the last event was about, as far as this process knows
        before: set[str] | None = None
        while True:
            try:
                now = await asyncio.to_thread(listing, self.textbooks)
            except (ContractError, TransientError) as error:
                self.log.warning("cannot look for textbooks: %s", error)
                now = None
            if now is not None and now == before and now != told:
                state, said = {"digest": digest(now), "files": len(now)}, await self._state()
                if said != state:
                    restarted = told is None and said is not None
                    new = set() if restarted else now - (told or set())
                    if new or restarted:
                        yield TriggerEvent(event(self.textbooks, new, len(now)))
                    await self._remember(state)
                told = now
            before = now
            await asyncio.sleep(self.seconds)

    async def _state(self) -> Any:
        return None if self.asset_state_store is None else await self.asset_state_store.aget(STATE, default=None)

    async def _remember(self, state: dict[str, Any]) -> None:
        if self.asset_state_store is not None:
            await self.asset_state_store.aset(STATE, state)


def listing(textbooks: str) -> set[str]:
    """Every file of the landing zone, with its version."""
    from megascience_ops.landing import book_files, landing_zone

    return {f"{file.path}\n{file.version}\n{file.bytes}" for file in book_files(landing_zone(textbooks))}


def digest(files: set[str]) -> str:
    """One line for any number of files."""
    return hashlib.sha256("\0".join(sorted(files)).encode("utf-8", "replace")).hexdigest()


def event(textbooks: str, new: set[str], files: int) -> dict[str, Any]:
    """What the asset event says: the first few names of the new files, and how many there are in all."""
    names = sorted(file.partition("\n")[0] for file in new)
    return {"textbooks": textbooks, "new": names[:NAMES], "new_files": len(names), "files": files}
