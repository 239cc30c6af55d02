"""What the rest of Airflow is told of a stage that has ended: asset events, and that there is nothing more to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from megascience_airflow.params import most_lanes

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from megascience_airflow.run_settings import RunSettings
    from megascience_ops.stage import Stage


def announce(context: Context, outlets: Sequence[Any], run: RunSettings, summary: Mapping[str, Any]) -> None:
    """An event for each asset that the task writes: which batch, how many rows, where, and whether anything changed.

    The batch is the partition, whoever started the run, so that a DAG on `PartitionedAssetTimetable` runs for each.
    """
    for asset in outlets:
        if isinstance(asset, Asset):
            event = context["outlet_events"][asset]
            event.extra = {
                "batch": run.batch,
                "rows": summary["rows_out"],
                "path": f"{run.root.rstrip('/')}/datasets/{run.recipe}/batch={run.batch}",
                "receipt": summary["receipt"],
                "changed": summary["computed_parts"] > 0,
            }
            event.add_partitions(run.batch)


def nothing_came(stage: Stage, run: RunSettings, summary: Mapping[str, Any]) -> bool:
    """Has a run of what is new found books that earlier batches have under other names, and none beside?"""
    wanted_new = run.settings.get(stage.name, {}).get("only_new", False)
    return bool(wanted_new) and summary["rows_out"] == 0


def skip_downstream(task: BaseOperator) -> None:
    """Skip all tasks after this one, whatever their trigger rules say."""
    from airflow.sdk.execution_time.comms import SkipDownstreamTasks
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    after = sorted(task.get_flat_relative_ids(upstream=False))
    lanes = [(name, lane) for name in after for lane in range(most_lanes())]  # a stage in lanes has no task but these
    if after:
        SUPERVISOR_COMMS.send(SkipDownstreamTasks(tasks=[*after, *lanes]))
