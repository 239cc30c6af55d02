"""Airflow's UI on this machine, with the DAG ready to be triggered. `make up` runs this.

Reads $PORT, and $GPUS where stages run in pods, beside $TEXTBOOKS, $BATCH and $ROOT. Runs until Ctrl-C or SIGTERM, and
then leaves no process behind.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from typing import Any

from local_airflow import STATE, environment, migrate, put_sample_data, running, say

DAG_ID = "textbook_reasoning"
HOST = "127.0.0.1"
AIRFLOW_HOME = STATE / "ui"
LOG = STATE / "standalone.log"
START_SECONDS = 300
LOG_SERVERS = {"WORKER_LOG_SERVER_PORT": 1, "TRIGGER_LOG_SERVER_PORT": 2}  # next to the UI's port


def main() -> None:
    """Start Airflow, say where it is, and wait."""
    port = int(os.environ.get("PORT") or 8080)
    for taken in (port, *(port + offset for offset in LOG_SERVERS.values())):
        if not is_free(taken):
            sys.exit(f"error: port {taken} is in use: choose another, such as make up PORT={port + 10}")
    url = f"http://{HOST}:{port}"
    env = {
        **environment(AIRFLOW_HOME),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS": "True",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        **{f"AIRFLOW__LOGGING__{name}": str(port + offset) for name, offset in LOG_SERVERS.items()},
    }
    put_sample_data(env)
    if env.get("MEGASCIENCE_PODS"):
        make_gpu_pool(env)
    say("Starting Airflow (half a minute; log: .airflow/standalone.log)")
    with LOG.open("w", encoding="utf-8") as log, running(["airflow", "standalone"], env, log, patience=30) as process:
        wait_until_ready(url, process)
        say(f"Airflow is at {url}/dags/{DAG_ID} : press Trigger. Ctrl-C stops it.")
        code = process.wait()
    sys.exit(f"error: Airflow ended with exit code {code}, .airflow/standalone.log says why")


def make_gpu_pool(env: dict[str, str]) -> None:
    """The pool `gpu`, with $GPUS slots: how many GPUs the pods of a cluster can have at once."""
    migrate(env, AIRFLOW_HOME)
    slots = os.environ.get("GPUS") or "1"
    command = ["airflow", "pools", "set", "gpu", slots, "GPUs of pods", "--include-deferred"]
    made = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode:
        sys.exit(f"{made.stdout}error: the pool gpu could not be made with {slots} slots")


def wait_until_ready(url: str, process: subprocess.Popen[str]) -> None:
    """Wait until every part of Airflow is healthy and the DAG is there; leaves the program where that fails."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"error: Airflow ended with exit code {process.returncode}, .airflow/standalone.log says why")
        if is_ready(url):
            return
        time.sleep(0.5)
    sys.exit(f"error: Airflow is not ready after {START_SECONDS} s, .airflow/standalone.log says why")


def is_ready(url: str) -> bool:
    """Are all parts healthy, and is the DAG there?"""
    try:
        health = fetched(f"{url}/api/v2/monitor/health")
        if any(part.get("status") not in ("healthy", None) for part in health.values()):
            return False
        token = fetched(f"{url}/auth/token")["access_token"]
        return bool(fetched(f"{url}/api/v2/dags/{DAG_ID}", token)["dag_id"])
    except (OSError, ValueError, KeyError):
        return False


def fetched(url: str, token: str = "") -> Any:
    """The JSON at a local address, straight there whatever proxy is set."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with opener.open(request, timeout=10) as response:
        return json.load(response)


def is_free(port: int) -> bool:
    """Can this port be listened on?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("\nAirflow is stopped.")
