"""The whole recipe, its asking stages as pods on two lanes: the rows of a run on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import LANDING
from megascience_ops import receipts
from megascience_ops.config import AskingConfig
from megascience_ops.recipes import TEXTBOOK_REASONING
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from airflow_service import Airflow

    from conftest import Cluster

REPOSITORY = Path(__file__).parents[2]
ASKING = [stage.name for stage in TEXTBOOK_REASONING.stages if issubclass(stage.config, AskingConfig)]


def test_recipe_as_pods_on_two_lanes_publishes_the_rows_of_a_local_run(
    airflow: Airflow, cluster: Cluster, curated: str, books: Path, tmp_path: Path
) -> None:
    for file in (REPOSITORY / "examples/benchmarks").iterdir():
        Store(str(tmp_path)).put(f"benchmarks/{file.name}", file)
    where = ["--root", str(tmp_path), "--batch", "pods", "--textbooks", str(books)]
    subprocess.run([sys.executable, "-m", "megascience_ops", "run", *where], check=True, capture_output=True)

    here, there = published(str(tmp_path)), published("s3://river")
    assert len(here) > 100
    assert there == here

    tasks = airflow.tasks(curated)
    assert {f"{name}/{lane}" for name in ASKING for lane in range(2)} <= set(tasks)
    for name in ASKING:
        receipt = receipts.current(Store("s3://river"), f"textbook_reasoning/batch=pods/{name}")
        assert receipt is not None
        assert {part.part % 2 for part in receipt.parts} == {0, 1}, f"{name} had no work for both lanes"
        for lane in range(2):
            log = airflow.log(curated, name, lane, 1)
            assert f"megascience-{name.replace('_', '-')}" in log, log  # it was a pod
            assert "shard " in log, log  # and its own words came through
    airflow.until(lambda: cluster.pods() == [], 30, "no pod is left")


def test_recipe_again_starts_no_pod(airflow: Airflow, cluster: Cluster, curated: str) -> None:
    started = cluster.started()
    form = {"textbooks": "s3://river/textbooks", "root": "s3://river", "batch": "pods", "lanes": 2}
    again = airflow.trigger(**form, stages=["extract_qa", "refine_qa"])
    assert airflow.finished(again, 600) == "success"
    assert cluster.started() == started


def test_book_that_lands_in_the_bucket_starts_a_run(airflow: Airflow, curated: str, books: Path) -> None:
    arrivals = "dags/textbook_reasoning_arrivals"
    airflow.call("PATCH", arrivals, {"is_paused": False})
    try:
        Store(LANDING).put("physics/newtonian.pdf", books / "newtonian_mechanics.pdf")
        found = airflow.until(lambda: airflow.call("GET", f"{arrivals}/dagRuns")["dag_runs"], 120, "a run has started")
        place = f"{arrivals}/dagRuns/{found[0]['dag_run_id']}"
        done = f"{place}/taskInstances?state=success"
        airflow.until(lambda: airflow.call("GET", done)["task_instances"], 120, "the books are discovered")
        said = airflow.call("GET", f"{place}/taskInstances/discover_books/xcomEntries/return_value")["value"]
        assert said["rows_out"] == 1
        airflow.call("PATCH", place, {"state": "failed"})
    finally:
        airflow.call("PATCH", arrivals, {"is_paused": True})


def published(root: str) -> list[str]:
    """The rows of the dataset, sorted."""
    import io

    import pyarrow.parquet as pq

    store = Store(root)
    folder = "datasets/textbook_reasoning/batch=pods"
    tables = [
        pq.read_table(io.BytesIO(store.get(f"{folder}/{name}")))
        for name in store.names(folder)
        if name.endswith(".parquet")
    ]
    return sorted(json.dumps(row, sort_keys=True, default=str) for table in tables for row in table.to_pylist())
