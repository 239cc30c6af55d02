"""What the rest of Airflow is told of a stage that has ended: asset events, and that there is nothing more to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from megascience_airflow.params import most_lanes
from megascience_ops.recipe import recipe

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


def skip_downstream(task: BaseOperator) -> None:
    """Skip all tasks after this one, whatever their trigger rules say."""
    _skip(dict.fromkeys(task.get_flat_relative_ids(upstream=False), 0))


def skip_what_is_left_out(first: BaseOperator, run: RunSettings) -> None:
    """Skip at once, without a worker for each, the stages before the first one of this run, and lanes it does not have.

    Other stages that are left out keep one lane: those after it wait for those before, and a failure reaches the end of
    the DAG. It skips itself in its turn, or the last stage of the run does when it has ended well.
    """
    dag = first.get_dag()
    assert dag is not None
    order = [task.task_id for task in dag.topological_sort()]
    begin = next(place for place, name in enumerate(order) if name in run.stages)
    kept = {name: run.lanes if name in run.stages else int(place > begin) for place, name in enumerate(order)}
    del kept[first.task_id]
    _skip(kept)


def why_last(stage: Stage, run: RunSettings, summary: Mapping[str, Any]) -> str | None:
    """Why a run has nothing to do after this stage, where that is so.

    A run of what is new may have found only books that earlier batches have under other names.
    """
    if run.settings.get(stage.name, {}).get("only_new", False) and not summary["rows_out"]:
        return "no textbook here is new"
    if stage.name == max(run.stages, key=recipe(run.recipe).names.index):
        return "this was the last stage of the run"
    return None


def _skip(kept: Mapping[str, int]) -> None:
    """Skip these tasks but for so many of their lanes; without lanes, one is the task itself."""
    from airflow.sdk.execution_time.comms import SkipDownstreamTasks
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    whole = [name for name, lanes in kept.items() if not lanes]
    lanes = [(name, lane) for name, first in kept.items() for lane in range(first, most_lanes())]
    if whole or lanes:
        SUPERVISOR_COMMS.send(SkipDownstreamTasks(tasks=[*whole, *lanes]))
