"""Watches a stage's pod from Airflow's triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
from airflow.triggers.base import TriggerEvent


class StagePodTrigger(KubernetesPodTrigger):
    """Looks at the pod as its parent does, but first after `poll_interval` seconds.

    A task that goes on at once may do so before a busy scheduler has heard that the worker which put it off has ended.
    The scheduler then takes the task that goes on for the one that ended, and for killed (seen in Airflow 3.3.2).
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        return f"{StagePodTrigger.__module__}.{StagePodTrigger.__name__}", super().serialize()[1]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and then look until there is something to say."""
        await asyncio.sleep(self.poll_interval)
        async for event in super().run():
            yield event
