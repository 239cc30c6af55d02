"""What our DAGs and operators cost Airflow: python bench/airflow.py [ROUNDS]

Parsing: our DAG file, and one with as many DAGs of as many EmptyOperators, each in fresh processes. Overhead: a run
whose stages find nothing to compute, and a chain of as many BashOperators that start Python, take turns on one Airflow
(all its parts, SQLite, LocalExecutor). Its own idling is measured and taken off. CPU seconds of all processes; the
port is $PORT, 7380 unless set. Needs the extra `airflow`, and some minutes.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "examples"), str(REPOSITORY)]

from local_airflow import environment, migrate, running  # noqa: E402
from megascience_ops.recipes import TEXTBOOK_REASONING as RECIPE  # noqa: E402
from up import is_free  # noqa: E402

PORT = int(os.environ.get("PORT") or 7380)
URL = f"http://127.0.0.1:{PORT}"
STAGES = len(RECIPE.stages)
TASKS = STAGES + 1  # approve
WAYS = ("", "_scheduled", "_arrivals")  # the DAGs in our file
IDLE_SECONDS = 20

BOOK = """# Mechanics

A university textbook of physics.

### Example 1

What is 3 N over 3 kg?

**Solution.** a = F/m, so it is 1 m/s².
"""

EMPTY = f"""
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

for way in range({len(WAYS)}):
    with DAG(f"empty_{{way}}", schedule=None):
        before = None
        for number in range({TASKS}):
            one = EmptyOperator(task_id=f"task_{{number}}")
            if before:
                before >> one
            before = one
"""
BASH = f"""
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("bash", schedule=None, is_paused_upon_creation=False):
    before = None
    for number in range({TASKS}):
        one = BashOperator(task_id=f"task_{{number}}", bash_command="{sys.executable} -c pass")
        if before:
            before >> one
        before = one
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as room:
        measure_parsing(Path(room), 2 * rounds + 1)
        measure_overhead(Path(room), rounds)


def measure_parsing(room: Path, rounds: int) -> None:
    (room / "empty.py").write_text(EMPTY)
    ours, empty = str(REPOSITORY / "dags" / "textbook_reasoning.py"), str(room / "empty.py")
    print(f"parsing {len(WAYS)} DAGs of {TASKS} tasks, CPU seconds, median of {rounds}")
    for what, first in (("the whole process", ""), ("after airflow.sdk is loaded", "import airflow.sdk")):
        took: dict[str, list[float]] = {ours: [], empty: []}
        for _ in range(rounds):
            for file in took:
                took[file].append(parsed(file, first))
        mine, theirs = statistics.median(took[ours]), statistics.median(took[empty])
        print(f"  {what:<30} ours {mine:.3f}  EmptyOperators {theirs:.3f}  ratio {mine / theirs:.2f}")


def parsed(file: str, first: str) -> float:
    """CPU seconds of a process that runs this DAG file; of the file alone where `first` is run before it."""
    code = f"import runpy, time\n{first}\nbegan = time.process_time()\nrunpy.run_path({file!r})\n"
    code += "print(time.process_time() - began)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "plugins"), str(REPOSITORY)])}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(said.splitlines()[-1]) if first else whole


def measure_overhead(room: Path, rounds: int) -> None:
    if not all(is_free(port) for port in (PORT, PORT + 1, PORT + 2)):
        sys.exit(f"ports {PORT} to {PORT + 2} have to be free: set PORT")
    dags, zone = room / "dags", room / "zone"
    dags.mkdir()
    zone.mkdir()
    (zone / "mechanics.md").write_text(BOOK)
    (dags / "bash.py").write_text(BASH)
    (dags / "ours.py").write_text((REPOSITORY / "dags" / "textbook_reasoning.py").read_text())
    env = {
        **environment(room / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__API__PORT": str(PORT),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": URL,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{URL}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(PORT + 1),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(PORT + 2),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__PARALLELISM": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "x" * 64,
        "MEGASCIENCE_ROOT": str(room / "root"),
        "MEGASCIENCE_TEXTBOOKS": str(zone),
    }
    migrate(env, room / "home")
    log = (room / "log").open("w")
    with running(["airflow", "standalone"], env, log, patience=30) as process:
        cpu = counter(process.pid)
        wait_for(lambda: asked("/api/v2/dags/bash") and asked(f"/api/v2/dags/{RECIPE.name}"))
        run("bash")
        first = run(RECIPE.name, cpu)  # computes the batch; the later ones find it done
        began = cpu()
        time.sleep(IDLE_SECONDS)
        idle = (cpu() - began) / IDLE_SECONDS
        took: dict[str, list[float]] = {"bash": [], RECIPE.name: []}
        for _ in range(rounds):
            for dag in took:
                took[dag].append(run(dag, cpu, idle))
    mine, theirs = (statistics.median(took[dag]) / TASKS for dag in (RECIPE.name, "bash"))
    print(f"a run of {TASKS} tasks, all of Airflow, CPU seconds a task, median of {rounds} (idle {idle:.2f} a second)")
    print(f"  stages with nothing to do {mine:.3f}  BashOperator with Python {theirs:.3f}  ratio {mine / theirs:.2f}")
    print(f"  stages of a batch of one book {first / TASKS:.3f}, once, idling included")


def counter(leader: int) -> Callable[[], float]:
    """CPU seconds of the session that `leader` opened, of what has ended there too."""

    def seconds() -> float:
        total = 0.0
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == leader:
                    total += sum(process.cpu_times()[:4])
            except (ProcessLookupError, PermissionError, psutil.Error):
                continue
        return total

    return seconds


def run(dag: str, cpu: Callable[[], float] = lambda: 0.0, idle: float = 0.0) -> float:
    """Run a DAG; the CPU seconds that it took, without idling."""
    began, at = cpu(), time.monotonic()
    path = f"/api/v2/dags/{dag}/dagRuns"
    path += f"/{asked(path, {'logical_date': None})['dag_run_id']}"
    state = ""

    def has_ended() -> bool:
        nonlocal state
        state = (asked(path) or {}).get("state", "")
        return state in ("success", "failed")

    wait_for(has_ended)
    if state != "success":
        sys.exit(f"{dag} failed")
    return cpu() - began - idle * (time.monotonic() - at)


def asked(path: str, body: Any = None) -> Any:
    """What Airflow's API answers; None while it does not."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{URL}/auth/token", timeout=10) as answer:
            token = json.load(answer)["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        with opener.open(urllib.request.Request(URL + path, data, headers), timeout=30) as answer:
            return json.load(answer)
    except OSError:
        return None


def wait_for(is_so: Callable[[], Any], seconds: float = 900) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            sys.exit("Airflow did not get there in time")
        time.sleep(1)


if __name__ == "__main__":
    main()
