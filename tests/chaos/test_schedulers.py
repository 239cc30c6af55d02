"""Airflow's schedulers killed at any moment, one or two of them at work: each run ends well, with the same dataset.

What a killed scheduler had started goes on without it for a while, so the same task also runs twice at once. Its idle
workers inherit its connection to the database and may hold a lock for ever, so PostgreSQL has to end what is idle.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.upkeep.checking import check

sys.path.insert(0, str(Path(__file__).parents[1] / "kube"))  # the modules that start an Airflow

from airflow_service import DAG, Airflow, free_port
from database_service import PostgreSQL

if TYPE_CHECKING:
    from tests.conftest import River

KILLS = max(3, int(os.environ.get("MEGASCIENCE_CHAOS", "0")) * 2 // 5)  # `make test-chaos` kills forty
SECONDS = 900  # for a run


class InParts(Airflow):
    """Airflow with each part a process of its own, and as many schedulers as are started."""

    def __init__(self, home: Path, database: str) -> None:
        super().__init__(home, database, home / "no-pods.yaml", "", str(home / "textbooks"))
        for name in ("MEGASCIENCE_PODS", "KUBECONFIG"):
            del self._environment[name]
        self._environment |= {
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "8",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
            "MEGASCIENCE_LANES": "1",
        }
        self.schedulers: list[subprocess.Popen[bytes]] = []
        self._begun = 0

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._airflow("db", "migrate")
        for part in ("api-server", "dag-processor"):
            self._begin(part)
        self.start_scheduler()
        self.until(self._answers, 600, "Airflow has the DAG")

    def start_scheduler(self) -> None:
        """One more of them."""
        names = ("LOGGING__WORKER_LOG_SERVER_PORT", "SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT")
        self._environment |= {f"AIRFLOW__{name}": str(free_port()) for name in names}
        self.schedulers.append(self._begin("scheduler"))
        self._begun += 1

    def all_have_begun(self) -> bool:
        """Has each scheduler that was started come to its work?"""
        found = self.call("GET", "jobs?job_type=SchedulerJob&limit=1")
        return int(found["total_entries"]) >= self._begun

    def kill_scheduler(self, which: int, *, workers: bool) -> None:
        """End one at once; its workers too, or what they are at goes on without it."""
        scheduler = self.schedulers.pop(which)
        with contextlib.suppress(ProcessLookupError):
            os.kill(scheduler.pid, signal.SIGKILL)
            if workers:
                os.killpg(scheduler.pid, signal.SIGKILL)
        scheduler.wait()

    def _answers(self) -> bool:
        try:
            self._token_kept = ""
            return bool(self.call("GET", f"dags/{DAG}")["dag_id"])
        except (OSError, ValueError, AssertionError):
            return False


@pytest.fixture
def airflow() -> Iterator[InParts]:
    """Airflow on PostgreSQL, on which two schedulers may work."""
    folder = Path(tempfile.mkdtemp(prefix="ms-"))  # which the user of the database may enter
    folder.chmod(0o755)
    try:
        with PostgreSQL(folder / "pg") as database:
            ends_idle = f"{database.url}?options=-c%20idle_in_transaction_session_timeout=15s"
            service = InParts(folder / "airflow", ends_idle)
            service.start()
            yield service
            service.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif("MEGASCIENCE_CHAOS" not in os.environ, reason="takes minutes: make test-chaos")
def test_schedulers_killed_at_random_moments_lose_nothing(airflow: InParts, new_river: Any, tmp_path: Path) -> None:
    whole: River = new_river(tmp_path / "whole").with_(engine=None)
    whole.flow()
    dice = random.Random(KILLS)
    killed = 0
    while killed < KILLS:
        river: River = new_river(tmp_path / f"root-{killed}").with_(engine=None)
        run = airflow.trigger(textbooks=river.textbooks, root=river.root, batch=river.batch)
        end = time.monotonic() + SECONDS
        while airflow.state(run) not in ("success", "failed"):
            assert time.monotonic() < end, f"the run has not ended after {killed} kills"
            if dice.random() < 0.5 and len(airflow.schedulers) < 2:
                airflow.start_scheduler()
            airflow.until(airflow.all_have_begun, 120, "every scheduler has begun")
            time.sleep(dice.uniform(0, 10))
            if killed < KILLS:
                airflow.kill_scheduler(dice.randrange(len(airflow.schedulers)), workers=dice.random() < 0.25)
                killed += 1
                time.sleep(dice.uniform(0, 2))
            if not airflow.schedulers:
                airflow.start_scheduler()
        assert airflow.state(run) == "success", airflow.why(run)
        assert river.objects("datasets") == whole.objects("datasets")
        for stage in river.recipe.names:
            assert river.receipt(stage).digest == whole.receipt(stage).digest, stage
        assert check(river.store, river.recipe).sound
