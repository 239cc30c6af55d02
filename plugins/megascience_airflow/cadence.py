"""When the scheduled runs start, and what their batches are called."""

from __future__ import annotations

import os

from airflow.sdk import CronPartitionTimetable

NIGHTLY = "0 3 * * *"
BATCH_OF_A_TIME = "%Y-%m-%dT%H-%M"


def cadence() -> CronPartitionTimetable:
    """By the cron expression $MEGASCIENCE_SCHEDULE in $MEGASCIENCE_TIMEZONE; nightly at three, UTC.

    Environment rather than an Airflow Variable: that would be a request to the database at each parse of the DAG,
    which is at every task. The partition key, and so the batch, is the time.
    """
    return CronPartitionTimetable(
        os.environ.get("MEGASCIENCE_SCHEDULE") or NIGHTLY,
        timezone=os.environ.get("MEGASCIENCE_TIMEZONE") or "UTC",
        key_format=BATCH_OF_A_TIME,
    )
