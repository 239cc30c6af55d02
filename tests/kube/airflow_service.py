"""A whole Airflow in a folder, and its REST API as a person's clicks use it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
DAG = "textbook_reasoning"
LANES = 2


class Airflow:
    """`start` and `stop` it, or `kill` all of it; the database stays, so that it can be started again."""

    def __init__(self, home: Path, database: str, pods: Path, kubeconfig: str, landing: str) -> None:
        ports = [free_port() for _ in range(4)]
        self.home, self.pods, self.url = home, pods, f"http://127.0.0.1:{ports[0]}"
        self._started: list[subprocess.Popen[bytes]] = []  # each the leader of a session
        self._runs = 0
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(ports[0]),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports[1]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports[2]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(ports[3]),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",  # of a worker that died; 300 unless set
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",  # a watcher starts when its DAG is parsed
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "KUBECONFIG": kubeconfig,
            "MEGASCIENCE_PODS": str(pods),
            "MEGASCIENCE_LANES": str(LANES),
            "MEGASCIENCE_TEXTBOOKS": landing,
            "MEGASCIENCE_ROOT": landing + "-root",
            "MEGASCIENCE_WATCH_SECONDS": "2",
        }

    def start(self) -> None:
        """Bring the database up to date, start every part, and wait until all are healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._airflow("db", "migrate")
        self._airflow("pools", "set", "gpu", str(LANES), "GPUs", "--include-deferred")
        self._started.clear()
        self._begin("standalone")
        self.until(self._healthy, 600, "Airflow is healthy and has the DAG")

    def stop(self) -> None:
        """End every part in order, and wait until all are gone."""
        self._end(signal.SIGTERM)
        self._end(signal.SIGKILL)

    def kill(self) -> None:
        """End every part at once, as a machine that loses its power does."""
        self._end(signal.SIGKILL)

    def processes(self) -> list[int]:
        """The process ids of all parts and workers."""
        sessions = {one.pid for one in self._started}
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (place / "stat").read_text().rpartition(")")[2].split()
                if int(state[3]) in sessions and state[0] != "Z":
                    found.append(int(place.name))
        return found

    def trigger(self, **form: Any) -> str:
        """Start a run with this form; its id."""
        self._runs += 1
        made = self.call("POST", f"dags/{DAG}/dagRuns", {"logical_date": None, "conf": form})
        return str(made["dag_run_id"])

    def tasks(self, run: str) -> dict[str, dict[str, Any]]:
        """The tasks of a run that are not skipped, by name; lanes as name/0, name/1."""
        found = self.call("GET", f"dags/{DAG}/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
        names = {(one["task_id"] + ("" if one["map_index"] < 0 else f"/{one['map_index']}")): one for one in found}
        return {name: one for name, one in names.items() if one["state"] != "skipped"}

    def finished(self, run: str, seconds: float) -> str:
        """The state in which a run ends. Raises AssertionError where it takes longer."""
        ends = ("success", "failed")
        return str(self.until(lambda: (state := self.state(run)) in ends and state, seconds, f"run {run} has ended"))

    def state(self, run: str) -> str:
        """The state of a run."""
        return str(self.call("GET", f"dags/{DAG}/dagRuns/{run}")["state"])

    def why(self, run: str) -> str:
        """What failed in a run, with the last lines of its log."""
        failed = {name: task for name, task in self.tasks(run).items() if task["state"] == "failed"}
        logs = [self.log(run, task["task_id"], task["map_index"], task["try_number"]) for task in failed.values()]
        return "\n".join(f"{name}: {log[-1500:]}" for name, log in zip(failed, logs, strict=True))

    def mark_failed(self, run: str, task: str, lane: int) -> None:
        """What the button of that name does."""
        place = f"dags/{DAG}/dagRuns/{run}/taskInstances/{task}/{lane}"
        self.call("PATCH", place, {"new_state": "failed"})

    def clear(self, run: str, *tasks: list[Any] | str) -> None:
        """What the button of that name does, for whole tasks or [task, lane]."""
        told = {"dry_run": False, "dag_run_id": run, "task_ids": list(tasks), "only_failed": False}
        self.call("POST", f"dags/{DAG}/clearTaskInstances", told)

    def log(self, run: str, task: str, lane: int, attempt: int) -> str:
        """What a try of a lane has logged."""
        place = f"dags/{DAG}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}?map_index={lane}"
        lines: list[dict[str, Any]] = self.call("GET", place)["content"]
        errors = [[error["exc_value"] for error in line.get("error_detail") or []] for line in lines]
        return "\n".join(" ".join([line["event"], *said]) for line, said in zip(lines, errors, strict=True))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """An answer of the REST API."""
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"},
        )
        for attempt in range(5):
            try:
                with _direct.open(request, timeout=60) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                if error.code < 500 or method == "POST" or attempt == 4:  # 500: two wanted the same row of the database
                    raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from None
                time.sleep(1)
            except TimeoutError:
                assert method == "GET", f"{method} {path}: no answer"
                assert attempt < 4, f"{method} {path}: no answer in five minutes"
        return None

    @staticmethod
    def until(true: Callable[[], Any], seconds: float, what: str, every: float = 1.0) -> Any:
        """What `true` returns, as soon as it is; asked so often. Raises AssertionError where that takes longer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := true():
                return found
            time.sleep(every)
        raise AssertionError(f"not within {seconds:.0f} s: {what}")

    def _healthy(self) -> bool:
        try:
            with _direct.open(f"{self.url}/api/v2/monitor/health", timeout=10) as response:
                health = json.load(response)
            if any(part.get("status") != "healthy" for part in health.values()):
                return False
            self._token_kept = ""
            return bool(self.call("GET", f"dags/{DAG}")["dag_id"])
        except (OSError, ValueError, AssertionError):
            assert self._started[0].poll() is None, (self.home / "standalone.log").read_text()[-3000:]
            return False

    def _token(self) -> str:
        if not self._token_kept:
            with _direct.open(f"{self.url}/auth/token", timeout=10) as response:
                self._token_kept = str(json.load(response)["access_token"])
        return self._token_kept

    def _begin(self, part: str) -> subprocess.Popen[bytes]:
        """Start a part of Airflow, which writes into a log named after it."""
        with (self.home / f"{part}.log").open("ab") as log:
            begun = subprocess.Popen(
                ["airflow", part], env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self._started.append(begun)
        return begun

    def _airflow(self, *arguments: str) -> None:
        done = subprocess.run(["airflow", *arguments], env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]

    def _end(self, number: signal.Signals) -> None:
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        end = time.monotonic() + 60
        while self.processes() and time.monotonic() < end:
            for one in self._started:
                one.poll()
            time.sleep(0.1)

    _token_kept = ""


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
