"""What monitoring sees of a stage: metrics for StatsD or OpenTelemetry, and datasets for OpenLineage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from megascience_airflow.run_settings import RunSettings
    from megascience_ops.recipe import Recipe

GAUGES = ("rows_in", "rows_kept", "rows_aside", "rows_out", "requests", "prompt_tokens", "completion_tokens")
GAUGES += ("tokens_per_second", "seconds")
PROGRESS = re.compile(r"\w+: (\d+) of (\d+) rows, about (\d+) s left")


def measure(run: RunSettings, summary: Mapping[str, Any]) -> None:
    """Gauges `megascience.{stage}.{name}` of the stage's current receipt; nothing where Airflow's metrics are off.

    Gauges, because a receipt speaks of the whole batch, also where only a shard of it was computed again.
    """
    for name in GAUGES:
        if name in summary:
            tags = {"recipe": run.recipe, "stage": summary["stage"]}
            stats.gauge(f"megascience.{summary['stage']}.{name}", summary[name], tags=tags)
    stats.gauge(f"megascience.{summary['stage']}.warnings", len(summary.get("warnings", [])))


def progress(line: str) -> dict[str, int] | None:
    """What a line of a stage's log says of how far it is, if that is what it says."""
    if said := PROGRESS.fullmatch(line):
        return {"rows_done": int(said[1]), "rows": int(said[2]), "seconds_left": int(said[3])}
    return None


def lineage(recipe: Recipe, run: RunSettings, summary: Mapping[str, Any]) -> Any:
    """An OperatorLineage: what the stage read and what it wrote, with its rows. None without the provider."""
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import InputDataset, OutputDataset
        from openlineage.client.facet_v2 import output_statistics_output_dataset
    except ImportError:
        return None
    before = recipe.before(summary["stage"])
    rows = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=summary["rows_out"])
    read = f"{recipe.name}/batch={run.batch}/{before.name}" if before else None
    written = f"{recipe.name}/batch={run.batch}/{summary['stage']}"
    inputs = [_place(run.root, read) if read else _place(run.textbooks or run.root)]
    if summary["stage"] == "publish":
        written = f"datasets/{recipe.name}/batch={run.batch}"
    namespace, name = _place(run.root, written)
    return OperatorLineage(
        inputs=[InputDataset(namespace=place, name=path) for place, path in inputs],
        outputs=[OutputDataset(namespace=namespace, name=name, outputFacets={"outputStatistics": rows})],
    )


def _place(root: str, path: str = "") -> tuple[str, str]:
    """Namespace and name as OpenLineage has them: the bucket and the key, or `file` and the path."""
    scheme, separator, rest = root.partition("://")
    whole = "/".join(part for part in ((rest if separator else root).rstrip("/"), path) if part)
    if not separator or scheme == "file":
        return "file", whole
    bucket, _, key = whole.partition("/")
    return f"{scheme}://{bucket}", key or "/"
