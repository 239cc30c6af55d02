"""Airflow on this machine, for the demo and the UI: its settings, its database, its processes, its sample data."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("AIRFLOW_STATE") or REPOSITORY / ".airflow")
SAMPLE_BOOKS = REPOSITORY / "examples" / "textbooks"
SAMPLE_BENCHMARKS = REPOSITORY / "examples" / "benchmarks"
SAMPLE_BATCH = "demo"

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(line: str) -> None:
    """One line of progress on the terminal."""
    print(line, flush=True)


def textbooks() -> str:
    """$TEXTBOOKS as an absolute path or a bucket's address; the sample books where it is not set."""
    named = os.environ.get("TEXTBOOKS", "").strip()
    if not named or "://" in named:
        return named or str(SAMPLE_BOOKS)
    return str(Path(named).expanduser().resolve())


def root() -> str:
    """$ROOT, where batches, receipts and datasets are kept, as an absolute path or a bucket's address."""
    named = os.environ.get("ROOT", "").strip() or str(REPOSITORY / "data")
    return named if "://" in named else str(Path(named).expanduser().resolve())


def batch() -> str:
    """$BATCH, or a name made from the textbooks' folder."""
    if named := os.environ.get("BATCH", "").strip():
        return named
    if textbooks() == str(SAMPLE_BOOKS):
        return SAMPLE_BATCH
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", textbooks().rstrip("/").rpartition("/")[2]).strip("-._")
    return name[:100] or "my-books"


def environment(airflow_home: Path) -> dict[str, str]:
    """The environment of everything that Airflow starts: all its state in `airflow_home`, this checkout's DAGs."""
    airflow_home.mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow_home / 'airflow.db'}",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "MEGASCIENCE_ROOT": root(),
        "MEGASCIENCE_TEXTBOOKS": textbooks(),
        "MEGASCIENCE_BATCH": batch(),
    }


def migrate(env: Mapping[str, str], airflow_home: Path) -> None:
    """Bring Airflow's database up to date; does nothing where this version of Airflow has done it before."""
    stamp = airflow_home / f"migrated-{version('apache-airflow')}"
    if stamp.exists() and (airflow_home / "airflow.db").exists():
        return
    say("Preparing Airflow's database in .airflow (once)")
    log = airflow_home / "migrate.log"
    with log.open("w") as file:
        code = subprocess.run(["airflow", "db", "migrate"], env=env, stdout=file, stderr=file).returncode
    if code:
        sys.exit(f"error: airflow db migrate failed, {log} says why")
    stamp.touch()


def put_sample_data(env: Mapping[str, str]) -> None:
    """Build the sample textbooks where they are the ones to be curated, and put the sample benchmark into the root."""
    if env["MEGASCIENCE_TEXTBOOKS"] == str(SAMPLE_BOOKS):
        say("Building the sample textbooks in examples/textbooks")
        built = subprocess.run(
            [sys.executable, str(REPOSITORY / "examples" / "build.py")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if built.returncode:
            sys.exit(f"{built.stdout}error: the sample textbooks could not be built")
    if "://" in env["MEGASCIENCE_ROOT"]:
        return
    benchmarks = Path(env["MEGASCIENCE_ROOT"]) / "benchmarks"
    benchmarks.mkdir(parents=True, exist_ok=True)
    for file in SAMPLE_BENCHMARKS.glob("*.jsonl"):
        if not (benchmarks / file.name).exists():
            shutil.copyfile(file, benchmarks / file.name)


@contextlib.contextmanager
def running(
    command: list[str], env: Mapping[str, str], stdout: int | IO[str], patience: float
) -> Iterator[subprocess.Popen[str]]:
    """A command with all that it starts, which is stopped at the end of the context, or by Ctrl-C or SIGTERM.

    What has not stopped after `patience` seconds is killed.
    """
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    process = subprocess.Popen(
        command,
        env=env,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # once is enough
        stop_session(process, patience)


def stop_session(leader: subprocess.Popen[str], patience: float) -> None:
    """Stop every process of the session that `leader` opened, also those that it has lost sight of."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for member in _members(leader.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            leader.poll()
            if not _members(leader.pid):
                return
            time.sleep(0.1)


def _members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
