"""What happens to pods on a real cluster, and what becomes of it: the same rows, nothing paid twice, no pod left.

One stage, judge_cot, of the batch that the whole recipe has made; its model is slow, so that there is time to interfere.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from model_service import SAYS

from megascience_ops import receipts, tables
from megascience_ops.completions import Completion
from megascience_ops.rows import JudgedQA
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from airflow_service import Airflow
    from model_service import Model

    from conftest import Cluster

log = logging.getLogger(__name__)

STAGE = "judge_cot"
UNDER_WAY = 4  # requests of a lane
LOST = 2 * UNDER_WAY  # answers at most when a pod is told to end: those on their way, and the ones that have just come
FOLDER = f"textbook_reasoning/batch=pods/{STAGE}"


@dataclass
class Faulty:
    """A run of the one stage on two lanes, with a model of its own name: nothing of it is kept from before."""

    airflow: Airflow
    cluster: Cluster
    model: Model
    name: str
    run: str = ""
    since: float = 0.0

    def start(self, **engine: Any) -> list[dict[str, Any]]:
        """Trigger, and wait until both lanes have asked for some time; their pods."""
        told = {"kind": "endpoint", "url": self.model.url, "model": self.name, "concurrency": UNDER_WAY, **engine}
        told = {name: value for name, value in told.items() if value is not None}
        settings = {STAGE: {"engine": told, "flush_seconds": 0.5}}
        form = {"textbooks": "s3://river/textbooks", "root": "s3://river", "batch": "pods", "lanes": 2}
        self.run = self.airflow.trigger(**form, engine=told["kind"], stages=[STAGE], settings=settings)
        self.airflow.until(lambda: len(self.running()) == 2, 400, "both lanes run in pods")
        return self.running()

    def asked(self, count: int) -> None:
        """Wait until the model was asked so many questions: now something happens to the pod."""
        self.airflow.until(lambda: self.model.count(self.name) >= count, 300, f"{count} questions were asked")
        self.since = time.monotonic()

    def running(self) -> list[dict[str, Any]]:
        """The pods that run now, by lane."""
        pods = [pod for pod in self.cluster.pods(STAGE) if pod["status"]["phase"] == "Running"]
        return sorted(pods, key=lambda pod: int(pod["metadata"]["labels"]["map_index"]))

    def tries(self) -> list[int]:
        """How often each lane was tried."""
        tasks = self.airflow.tasks(self.run)
        return [tasks[f"{STAGE}/{lane}"]["try_number"] for lane in range(2)]

    def ends_well(self, rows: list[JudgedQA], paid_again: int) -> None:
        """The run succeeds with these rows, at most so many questions were asked twice, and no pod is left."""
        assert self.airflow.finished(self.run, 900) == "success", self.airflow.why(self.run)
        assert judged(self.name) == rows
        assert self.model.count(self.name) == len(rows)
        again, took = self.model.again(self.name), time.monotonic() - self.since
        log.info("%s: all rows %.0f s after the fault, %d answers paid for twice", self.name, took, again)
        assert again <= paid_again
        self.airflow.until(lambda: self.cluster.pods() == [], 30, "no pod is left")


@pytest.fixture
def faulty(
    airflow: Airflow, cluster: Cluster, curated: str, model: Model, request: pytest.FixtureRequest
) -> Iterator[Faulty]:
    found = Faulty(airflow, cluster, model, request.node.name)
    yield found
    with contextlib.suppress(AssertionError):  # a run that failed its test must not hold up the next one
        if found.run and airflow.state(found.run) not in ("success", "failed"):
            airflow.call("PATCH", f"dags/textbook_reasoning/dagRuns/{found.run}", {"state": "failed"})


@pytest.fixture(scope="module")
def rows(curated: str) -> list[JudgedQA]:
    """What the stage writes when the model says YES to all of it."""
    there = [row.model_copy(update={"has_cot": True}) for row in judged(None)]
    assert len(there) > 100
    return there


def judged(model: str | None) -> list[JudgedQA]:
    """The rows of the current receipt, which has to be that of the model, sorted."""
    store = Store("s3://river")
    receipt = receipts.current(store, FOLDER)
    assert receipt is not None
    assert receipt.engine.get("model") == model or model is None
    found = [row for part in receipt.parts for row in tables.decode(JudgedQA, store.get(part.path))]
    return sorted(found, key=lambda row: row.id)


# Beside the stage in its pod: takes all memory that the pod may have, each process so little that the kernel chooses
# the stage to be killed.
EAT = """
import os, time
open("/proc/1/oom_score_adj", "w").write("1000")
for _ in range(500):
    if os.fork() == 0:
        eaten = b"x" * 10_000_000
        time.sleep(60)
        os._exit(0)
    time.sleep(0.02)
time.sleep(60)
"""


def test_pod_deleted_while_running_goes_on_where_it_was(faulty: Faulty, rows: list[JudgedQA]) -> None:
    pods = faulty.start()
    faulty.asked(30)
    faulty.cluster.kubectl("delete", "pod", pods[0]["metadata"]["name"], "--wait=false")
    faulty.ends_well(rows, paid_again=LOST)
    assert faulty.tries() == [2, 1]


def test_pod_killed_for_its_memory_goes_on_where_it_was(faulty: Faulty, rows: list[JudgedQA]) -> None:
    pods = faulty.start()
    faulty.asked(30)
    with contextlib.suppress(AssertionError):  # the command ends with its pod
        faulty.cluster.kubectl("exec", pods[0]["metadata"]["name"], "--", "python", "-c", EAT)
    faulty.ends_well(rows, paid_again=2 * LOST)  # and those since answers were last put on storage
    assert faulty.tries() == [2, 1]
    assert "killed for its memory" in faulty.airflow.log(faulty.run, STAGE, 0, 1)


def test_airflow_killed_while_its_pods_go_on_takes_up_what_they_did(faulty: Faulty, rows: list[JudgedQA]) -> None:
    names = [pod["metadata"]["name"] for pod in faulty.start()]
    faulty.asked(30)
    faulty.airflow.kill()
    faulty.airflow.until(lambda: faulty.running() == [], 300, "the pods have ended behind its back")
    assert [pod["metadata"]["name"] for pod in faulty.cluster.pods()] != []
    faulty.airflow.start()
    faulty.ends_well(rows, paid_again=0)
    log = "".join(faulty.airflow.log(faulty.run, STAGE, lane, 1) for lane in range(2))
    assert all(name in log for name in names)


def test_worker_killed_after_its_pod_ended_starts_no_other(faulty: Faulty, rows: list[JudgedQA]) -> None:
    """Its heartbeat stops, and the next try finds all that the pod has done."""
    started = faulty.cluster.started()
    faulty.start()
    faulty.asked(len(rows))
    looking = faulty.airflow.until(  # which takes it less than a second
        lambda: worker(faulty), 300, "a worker looks what its pod has done", every=0.02
    )
    os.kill(looking, signal.SIGKILL)
    faulty.ends_well(rows, paid_again=0)
    assert sorted(faulty.tries()) == [1, 2]
    assert len(faulty.cluster.started() - started) == 2


def test_lane_marked_failed_has_no_pod_half_a_minute_later(faulty: Faulty) -> None:
    faulty.start()
    faulty.asked(20)
    faulty.airflow.mark_failed(faulty.run, STAGE, 0)
    faulty.airflow.until(lambda: pods_of(faulty, 0) == [], 30, "the pod of lane 0 is gone")
    log.info("%s: its pod is gone %.0f s after the fault", faulty.name, time.monotonic() - faulty.since)
    assert pods_of(faulty, 1) != []
    assert faulty.airflow.finished(faulty.run, 600) == "failed"
    faulty.airflow.until(lambda: faulty.cluster.pods() == [], 30, "no pod is left")


def test_lane_cleared_while_running_goes_on_where_it_was(faulty: Faulty, rows: list[JudgedQA]) -> None:
    faulty.start()
    faulty.asked(30)
    faulty.airflow.clear(faulty.run, [STAGE, 0])
    faulty.ends_well(rows, paid_again=LOST)
    cleared, other = faulty.tries()  # the first try may end by itself when its pod is taken away, and count once more
    assert cleared > 1 and other == 1


# What `vllm serve MODEL --port N ...` is to the engine: it says that it is healthy, which model it has, and YES.
VLLM = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": sys.argv[1], "object": "model", "max_model_len": 32768}]})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(SECONDS)
        message = {"role": "assistant", "content": SAYS}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 500, "completion_tokens": 20}
        self.reply({"id": "1", "object": "chat.completion", "model": sys.argv[1], "choices": [choice], "usage": usage})
    def reply(self, said):
        content = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *said):
        return

port = int(sys.argv[sys.argv.index("--port") + 1])
print("a stand-in for vLLM on port", port, flush=True)
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
KILL = """
import os, pathlib, signal
for place in pathlib.Path("/proc").glob("[0-9]*"):
    command = (place / "cmdline").read_bytes()
    if b"a stand-in for vLLM" in command and b"keeper.py" not in command and b"megascience_ops" not in command:
        os.kill(int(place.name), signal.SIGKILL)
"""


def test_vllm_dead_in_its_pod_is_started_again_there(faulty: Faulty, rows: list[JudgedQA], stage_on_gpus: None) -> None:
    script = VLLM.replace("SECONDS", "0.5").replace("SAYS", repr(SAYS))
    command = {"command": ["python", "-c", script]}
    pods = faulty.start(kind="vllm", url=None, vllm=command)
    limits = [pod["spec"]["containers"][0]["resources"]["limits"] for pod in pods]
    assert [one["nvidia.com/gpu"] for one in limits] == ["1", "1"]
    faulty.airflow.until(lambda: kept(faulty.name) >= 10, 300, "answers are on storage")
    faulty.since = time.monotonic()
    faulty.cluster.kubectl("exec", pods[0]["metadata"]["name"], "--", "python", "-c", KILL)
    assert faulty.airflow.finished(faulty.run, 900) == "success", faulty.airflow.why(faulty.run)
    log.info("%s: all rows %.0f s after the fault", faulty.name, time.monotonic() - faulty.since)
    assert judged(faulty.name) == rows
    assert faulty.tries() == [1, 1]
    assert "starting it again" in faulty.airflow.log(faulty.run, STAGE, 0, 1)
    faulty.airflow.until(lambda: faulty.cluster.pods() == [], 30, "no pod is left")


@pytest.fixture
def stage_on_gpus(airflow: Airflow) -> Iterator[None]:
    """The stage runs in pods with a GPU, as long as the test lasts."""
    before = airflow.pods.read_text(encoding="utf-8")
    told = yaml.safe_load(before)
    told["stages"][STAGE] = "gpu"
    airflow.pods.write_text(yaml.safe_dump(told), encoding="utf-8")
    yield
    airflow.pods.write_text(before, encoding="utf-8")


def kept(model: str) -> int:
    """How many answers of a model are on storage."""
    store = Store("s3://river")
    names = store.names(f"{FOLDER}/completions")
    found = [tables.decode(Completion, store.get(f"{FOLDER}/completions/{name}")) for name in names]
    return sum(one.model == model for part in found for one in part)


def pods_of(faulty: Faulty, lane: int) -> list[dict[str, Any]]:
    """The pods of a lane, whatever they do."""
    return [pod for pod in faulty.cluster.pods(STAGE) if pod["metadata"]["labels"]["map_index"] == str(lane)]


def worker(faulty: Faulty) -> int | None:
    """The executor's process above the task above the command that looks what is left to compute."""
    for process in faulty.airflow.processes():
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{process}/cmdline").read_bytes().decode()
            if "--no-compute" in command and faulty.name in command:
                return parent(parent(process))
    return None


def parent(process: int) -> int:
    """The process that started this one."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
