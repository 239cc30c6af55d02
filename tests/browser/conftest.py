"""A browser, and Airflow as `make up` starts it, with data, state and prompts of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.chat import chat

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPOSITORY = Path(__file__).parents[2]
DAG = "textbook_reasoning"
BATCH = "first-batch"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 400
RUN_SECONDS = 900
NO_REST = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


@dataclass(frozen=True)
class Ui:
    """A running Airflow, and where its data and prompts are."""

    url: str
    root: Path
    prompts: Path
    alerts: list[dict[str, str]]  # what a chat has been told
    process: psutil.Process  # from which all others come

    def api(self, path: str, told: Any = None, method: str | None = None) -> Any:
        """The REST API as a person's token may use it."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/auth/token", timeout=60) as response:
            token = json.load(response)["access_token"]
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            data=None if told is None else json.dumps(told).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method=method,
        )
        with opener.open(request, timeout=60) as response:
            return json.load(response)

    def newest_run(self) -> dict[str, Any]:
        """The newest run of the DAG, {} where there is none."""
        runs = self.api(f"dags/{DAG}/dagRuns?order_by=-id&limit=1")["dag_runs"]
        return dict(runs[0]) if runs else {}

    def wait(self, run_id: str) -> None:
        """Until the run has ended well; fails where it has not."""
        until = time.monotonic() + RUN_SECONDS
        while time.monotonic() < until:
            state = self.api(f"dags/{DAG}/dagRuns/{run_id}")["state"]
            assert state != "failed", f"run {run_id} failed"
            if state == "success":
                return
            time.sleep(1)
        raise AssertionError(f"run {run_id} did not end within {RUN_SECONDS} s")

    @contextmanager
    def held_at_work(self) -> Iterator[str]:
        """Stop the clock for whatever stage of the batch is at work next, which is named: a small one takes moments."""
        until = time.monotonic() + RUN_SECONDS
        while time.monotonic() < until:
            if not self._at_work():
                time.sleep(0.02)
                continue
            workers = self._workers()
            _signal_all(workers, signal.SIGSTOP)
            try:
                if stage := self._at_work():
                    yield stage
                    return
            finally:
                _signal_all(workers, signal.SIGCONT)
        raise AssertionError(f"no stage was at work within {RUN_SECONDS} s")

    def _at_work(self) -> str | None:
        """The stage of the batch that has told how far it is, and not that it has ended."""
        files = (self.root / DAG / f"batch={BATCH}").glob("*/progress/lane-*.json")
        return next((file.parts[-3] for file in files if not json.loads(file.read_text())["ended"]), None)

    def _workers(self) -> list[psutil.Process]:
        """The processes in which tasks run, and those that these have started."""
        workers: dict[int, psutil.Process] = {}
        for process in self.process.children(recursive=True):  # parents first
            with suppress(psutil.NoSuchProcess):
                if process.ppid() in workers or "".join(process.cmdline()).startswith("airflow worker"):
                    workers[process.pid] = process
        return list(workers.values())

    def receipt(self, stage: str) -> dict[str, Any]:
        """The current receipt of a stage of the batch, and its number of requests."""
        file = sorted((self.root / DAG / f"batch={BATCH}" / stage / "receipts").glob("*.json"))[-1]
        told: dict[str, Any] = json.loads(file.read_text())
        return told


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    if not os.environ.get("MEGASCIENCE_BROWSER"):
        pytest.skip("a browser and a whole Airflow take minutes: make test-browser")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`: make test-browser")
    named = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    with playwright.sync_playwright() as play:
        if named is None and not Path(play.chromium.executable_path).exists():
            pytest.skip("no Chromium: apt-get install chromium, or python -m playwright install chromium")
        opened = play.chromium.launch(executable_path=named, args=list(NO_REST))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def ui(browser: Browser) -> Iterator[Ui]:
    """Airflow on the sample books, started by the script behind `make up`."""
    folder = Path(tempfile.mkdtemp(prefix="megascience-"))  # short, since pictures show it
    port, root, prompts = _free_port(), folder / "data", folder / "prompts"
    shutil.copytree(REPOSITORY / "prompts", prompts)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MEGASCIENCE_"))},
        **{"AIRFLOW_STATE": str(folder / "state"), "ROOT": str(root), "PORT": str(port), "BATCH": BATCH},
        "MEGASCIENCE_PROMPTS": str(prompts),
        "MEGASCIENCE_DEADLINE_HOURS": str(0.1 / 3600),  # too few for any run
        "no_proxy": "127.0.0.1",
    }
    subprocess.run([sys.executable, str(REPOSITORY / "examples" / "build.py")], check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(REPOSITORY / "examples" / "textbooks", folder / "textbooks")
    env["TEXTBOOKS"] = str(folder / "textbooks")
    log = folder / "up.log"
    with chat() as (address, alerts), log.open("w") as output:
        env["MEGASCIENCE_ALERT_URL"] = address
        command = [sys.executable, str(REPOSITORY / "examples" / "up.py")]
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
        try:
            _wait_until_up(process, log)
            yield Ui(f"http://127.0.0.1:{port}", root, prompts, alerts, psutil.Process(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(90)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab; what goes wrong in its scripts fails the test."""
    page = browser.new_page(viewport={"width": 1360, "height": 860})
    page.set_default_timeout(90_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
    yield page
    page.close()
    assert errors == []


def _wait_until_up(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if "Airflow is at" in log.read_text():
            return
        time.sleep(0.5)
    raise AssertionError(f"Airflow did not start: {log.read_text()[-2000:]}")


def _signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _free_port() -> int:
    """A port with two free ones after it, for the servers of logs."""
    for port in range(7420, 7450, 3):
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            try:
                for offset, probe in enumerate((one, two, three)):
                    probe.bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port
    raise AssertionError("no three free ports between 7420 and 7450")
