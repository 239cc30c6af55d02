"""A stage in a pod, on a small Kubernetes: what the pod is, and what becomes of the task whatever happens to the pod.

Operator, trigger and clients are the real ones. `Task` does what Airflow does around them: it runs the trigger apart
from the operator, and tries again as the operator's retry policy says. The pod asks a model whose questions are counted.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from tenacity import stop_after_attempt

from megascience_airflow.endings import StageFailed, StageInterrupted, StageOutOfMemory, StageRefused
from megascience_airflow.run_settings import run_settings
from megascience_ops import receipts, tables
from megascience_ops.receipts import XCOM_BYTES
from megascience_ops.rows import QA
from megascience_ops.storage import Store
from tests.airflow.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.airflow.fake_node import Pod

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from tests.conftest import River

IMAGE = "registry.example/megascience-stage:1"
STAGE = "refine_qa"
SECRET = "the-key-that-nobody-may-see"
ANSWER = "Refined Question: Why is that so, then?\nRefined Answer: Because it was shown so: first this, then that."


class Model(ThreadingHTTPServer):
    """A model that answers everything, one after the other, and counts how often it was asked the same."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: Counter[str] = Counter()
        self.answered, self.seconds, self.keys = 0, 0.0, set[str | None]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def do_GET(self) -> None:
        self._say({"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked[body["messages"][0]["content"]] += 1
        self.server.keys.add(self.headers.get("Authorization"))
        time.sleep(self.server.seconds)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
        self.server.answered += 1
        self._say({"id": "1", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}})

    def _say(self, what: dict[str, Any]) -> None:
        content = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class StateStore(dict[str, Any]):
    """What Airflow keeps of a task between its tries."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))


@dataclass
class Task:
    """The task refine_qa of one run, as Airflow treats it; `tries` are its errors, the last one None where it ended well."""

    dag: DAG
    cluster: FakeKubernetes
    model: Model
    root: str
    lane: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    run: str = "run-1"
    store: StateStore = field(default_factory=StateStore)
    tries: list[BaseException | None] = field(default_factory=list)

    def ends(self) -> dict[str, Any]:
        """Run to the end, tried again as often as the task may be. Raises what the last try raised."""
        while True:
            try:
                found = self.try_once()
            except BaseException as error:
                self.tries.append(error)
                decision = self.operator().retry_policy.evaluate(error, len(self.tries), 3)
                if (
                    isinstance(error, AirflowFailException)
                    or decision.action is RetryAction.FAIL
                    or len(self.tries) > 3
                ):
                    raise
            else:
                self.tries.append(None)
                return found

    def try_once(self) -> dict[str, Any]:
        """One try: in the worker, then in the triggerer, then in a worker again."""
        context = self.context()
        try:
            return dict(self.operator().execute(context))
        except TaskDeferred as deferral:
            return self.resume(context, deferral)

    def resume(self, context: Any, deferral: TaskDeferred) -> dict[str, Any]:
        while True:
            event = asyncio.run(fired(deferral.trigger))
            try:
                return dict(getattr(self.operator(), deferral.method_name)(context, event))
            except TaskDeferred as again:
                deferral = again

    def operator(self) -> Any:
        """A new one, as each process of Airflow has it."""
        operator = deepcopy(self.dag.task_dict[STAGE])
        operator.lane = self.lane
        return operator

    def context(self) -> Any:
        ti = SimpleNamespace(
            dag_id=self.dag.dag_id,
            task_id=STAGE,
            run_id=self.run,
            map_index=-1 if self.lane is None else self.lane,
            try_number=len(self.tries) + 1,
            start_date=None,
            xcom_push=lambda **pushed: None,
        )
        slow = {"flush_completions": 1, "rows_in_flight": 1, "engine": {"concurrency": 1}}
        told = {"root": self.root, "textbooks": "/none", "batch": "first", "engine": "endpoint", "url": self.model.url}
        told |= {"model": "m", "settings": {STAGE: slow}}
        return {
            "params": {**self.dag.params.dump(), **told, **self.params},
            "dag": self.dag,
            "dag_run": SimpleNamespace(partition_key=None),
            "run_id": self.run,
            "ti": ti,
            "task_state_store": self.store,
        }

    def meanwhile(self, do: Callable[[Pod], object], after: int = 3) -> None:
        """Do something to the pod as soon as the model has given so many answers."""

        def wait() -> None:
            pod = self.pod()
            while self.model.answered < after:
                time.sleep(0.01)
            do(pod)

        threading.Thread(target=wait, daemon=True).start()

    def pod(self) -> Pod:
        """The first pod, once it is there."""
        while not self.cluster.pods:
            time.sleep(0.01)
        return next(iter(self.cluster.pods.values()))


async def fired(trigger: Any) -> dict[str, Any]:
    """What a trigger says first; the triggerer has it from the database."""
    _, told = trigger.serialize()
    async for event in type(trigger)(**told).run():
        return dict(event.payload)
    raise AssertionError("the trigger said nothing")


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.shutdown()
    model.server_close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeKubernetes]:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    (tmp_path / "cluster").mkdir()
    with fake_kubernetes(tmp_path / "cluster", {IMAGE: programs}, gpus=1) as cluster:
        cluster.secrets["megascience"] = {"OPENAI_API_KEY": SECRET}
        yield cluster


@pytest.fixture
def pods(tmp_path: Path, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the file that says what runs in pods; called once with the defaults."""

    def write(kind: dict[str, Any] | None = None, **settings: Any) -> None:
        said = {"image": IMAGE, "kinds": {"one": kind or {}}, "stages": {STAGE: "one"}}
        said |= {"poll_seconds": 0.2, "logging_seconds": 1, **settings}
        (tmp_path / "pods.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")

    monkeypatch.setenv("MEGASCIENCE_PODS", str(tmp_path / "pods.yaml"))
    kubeconfig = Path(os.environ["AIRFLOW_HOME"]) / "kubeconfig.yaml"  # one for all: its client reads $KUBECONFIG once
    cluster.write_kubeconfig(kubeconfig)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    write()
    return write


@pytest.fixture
def task(
    dag: DAG, cluster: FakeKubernetes, model: Model, pods: object, finished_river: River, tmp_path: Path
) -> Iterator[Task]:
    """The task over the unique pairs of five books; whatever becomes of it, no pod may be left."""
    shutil.rmtree(Path(finished_river.root) / finished_river.folder(STAGE))
    yield Task(dag, cluster, model, finished_river.root)
    until = time.monotonic() + 5
    while cluster.pods and time.monotonic() < until:
        time.sleep(0.05)
    assert list(cluster.pods) == []


def written(root: str) -> list[QA]:
    """The rows of the current receipt."""
    store = Store(root)
    receipt = receipts.current(store, f"textbook_reasoning/batch=first/{STAGE}")
    assert receipt is not None
    rows = [row for part in receipt.parts for row in tables.decode(QA, store.get(part.path))]
    return sorted(rows, key=lambda row: row.id)


def test_pod_does_what_the_worker_would_with_no_secret_in_it_and_is_gone(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = task.ends()
    assert summary["stage"] == STAGE
    assert summary["rows_in"] == summary["rows_kept"] + summary["rows_aside"] > 3
    assert summary["computed_parts"] > 0
    assert len(json.dumps(summary)) <= XCOM_BYTES
    assert task.model.keys == {f"Bearer {SECRET}"}
    in_pod = written(task.root)

    (pod,) = task.cluster.created
    (container,) = pod["spec"]["containers"]
    assert container["command"][:5] == ["python", "-m", "megascience_ops", "stage", STAGE]
    assert container["image"] == IMAGE
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["activeDeadlineSeconds"] == 48 * 3600
    assert SECRET not in json.dumps(pod)
    # what the Role of whoever starts pods has to allow, and nothing beside it
    allowed = {"POST pods", "GET pods", "GET pod", "GET log", "GET events", "PATCH pod", "DELETE pod"}
    assert set(task.cluster.calls) <= allowed

    shutil.rmtree(Path(task.root) / f"textbook_reasoning/batch=first/{STAGE}")
    monkeypatch.delenv("MEGASCIENCE_PODS")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    here = task.ends()
    assert written(task.root) == in_pod
    assert {**here, "receipt": ""} == {**summary, "receipt": "", "seconds": here.get("seconds")} or here[
        "rows_out"
    ] == summary["rows_out"]
    assert len(task.cluster.created) == 1


# --- what happens to pods -------------------------------------------------------------------------------------------


def paid_again(model: Model) -> int:
    """How many answers were asked for more than once."""
    return sum(count - 1 for count in model.asked.values())


@pytest.mark.parametrize(
    "happens, error, says",
    [
        ("delete", StageInterrupted, "is gone, deleted or lost with its node"),
        ("lose_node", StageInterrupted, "ended from outside (NodeLost: Node which was running pod is unresponsive)"),
        ("kill_for_memory", StageOutOfMemory, "killed for its memory"),
    ],
)
def test_pod_that_is_ended_is_tried_again_and_goes_on_where_it_was(
    happens: str, error: type[Exception], says: str, task: Task
) -> None:
    task.model.seconds = 0.1
    task.meanwhile(getattr(task.cluster, happens))
    task.ends()
    first, last = task.tries
    assert last is None
    assert isinstance(first, error)
    assert says in str(first)
    assert paid_again(task.model) <= 1  # the one that was under way
    assert len(task.cluster.created) == 2
    assert len(written(task.root)) == len(task.model.asked)


def test_pod_preempted_while_pending_is_tried_again(task: Task) -> None:
    task.cluster.gpus = -1  # nothing fits before the other pod is gone

    def preempt(pod: Pod) -> None:
        task.cluster.preempt(pod)
        task.cluster.gpus = 1

    task.meanwhile(preempt, after=0)
    task.ends()
    assert isinstance(task.tries[0], StageInterrupted)
    assert task.tries[1:] == [None]
    assert paid_again(task.model) == 0


def test_image_that_is_not_there_fails_at_once_and_is_named(task: Task, pods: Callable[..., None]) -> None:
    pods(image="registry.example/misspelt:1")
    with pytest.raises(StageRefused, match=r"registry.example/misspelt:1 cannot be pulled \(ErrImagePull: .*not found"):
        task.ends()
    assert len(task.tries) == 1


def test_pod_that_no_node_can_take_fails_after_its_time_and_says_what_is_missing(
    task: Task, pods: Callable[..., None]
) -> None:
    pods({"template": "gpu", "gpus": 4, "schedule_minutes": 0.03})
    task.params = {"engine": "vllm", "model": "m", "url": None}
    with pytest.raises(StageRefused) as failed:
        task.ends()
    assert "no node took its pod" in str(failed.value)
    assert "Insufficient nvidia.com/gpu" in str(failed.value)
    assert "4 GPUs" in str(failed.value)
    assert len(task.tries) == 1


def test_pod_of_a_stage_whose_model_is_elsewhere_asks_for_no_gpu(task: Task, pods: Callable[..., None]) -> None:
    pods({"template": "gpu", "gpus": 4})
    operator = task.operator()
    with pytest.raises(TaskDeferred):
        operator.execute(task.context())
    operator.on_kill()
    (pod,) = task.cluster.created
    assert "nvidia.com/gpu" not in json.dumps(pod)
    assert "models" not in [volume["name"] for volume in pod["spec"]["volumes"]]


def test_pod_that_runs_for_too_long_is_ended_and_tried_again(task: Task, pods: Callable[..., None]) -> None:
    pods({"deadline_hours": 4 / 3600})
    task.model.seconds = 30
    with pytest.raises(StageFailed, match="raise `deadline_hours`"):
        task.try_once()


def test_stage_that_a_person_has_to_mend_says_how_and_is_not_tried_again(task: Task) -> None:
    task.params = {"settings": {STAGE: {"max_unred": 1}}}
    with pytest.raises(StageRefused, match="stages.refine_qa.max_unred: no such setting; did you mean max_unread"):
        task.ends()
    assert len(task.tries) == 1
    assert task.cluster.created == []  # seen before a pod was started


def test_model_that_cannot_start_in_the_pod_is_told_by_the_pod(task: Task, pods: Callable[..., None]) -> None:
    pods({"template": "gpu", "gpus": 1, "settings": {"engine": {"model": "m", "vllm": {"command": ["no-such-vllm"]}}}})
    task.params = {"engine": "vllm", "model": None, "url": None}
    with pytest.raises(StageRefused, match="no-such-vllm"):
        task.ends()
    assert len(task.tries) == 1


FORWARDER = """
import json, os, pathlib, sys, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
launches = pathlib.Path({folder!r}, "launches")
launch = len(launches.read_text()) if launches.exists() else 0
launches.write_text("x" * (launch + 1))
asked = 0

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.say(b"{{}}" if self.path == "/health" else json.dumps({{"data": [{{"id": "m"}}]}}).encode())

    def do_POST(self):
        global asked
        asked += 1
        if launch == 0 and asked > 3:
            print("RuntimeError: CUDA error: an illegal memory access was encountered", flush=True)
            os._exit(1)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with urllib.request.urlopen(urllib.request.Request({url!r} + "/chat/completions", body)) as answer:
            self.say(answer.read())

    def say(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *said):
        pass

port = int(sys.argv[sys.argv.index("--port") + 1])
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def test_vllm_that_dies_for_good_ends_its_pod_and_the_next_one_goes_on(
    task: Task, pods: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "vllm.py").write_text(FORWARDER.format(folder=str(tmp_path), url=task.model.url))
    server = {"command": [sys.executable, str(tmp_path / "vllm.py"), "serve"], "max_restarts": 0}
    pods({"template": "gpu", "gpus": 1, "settings": {"engine": {"model": "m", "vllm": server}}})
    task.params = {"engine": "vllm", "model": None, "url": None}
    task.ends()
    assert isinstance(task.tries[0], StageFailed)
    assert "CUDA error" in str(task.tries[0])
    assert task.tries[1:] == [None]
    assert paid_again(task.model) == 0
    assert len(written(task.root)) == len(task.model.asked)
    assert task.cluster.created[0]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_worker_that_dies_leaves_a_pod_which_the_next_try_takes_up(task: Task) -> None:
    task.model.seconds = 0.1
    with pytest.raises(TaskDeferred):
        task.operator().execute(task.context())  # and there it dies: nobody resumes
    task.tries.append(RuntimeError("killed"))
    task.ends()
    assert len(task.cluster.created) == 1
    assert paid_again(task.model) == 0


def test_pod_that_ended_behind_the_back_of_a_dead_worker_is_not_run_again(task: Task) -> None:
    with pytest.raises(TaskDeferred):
        task.operator().execute(task.context())
    task.tries.append(RuntimeError("killed"))
    pod = task.pod()
    while pod.phase != "Succeeded":
        time.sleep(0.05)
    summary = task.ends()
    assert summary["rows_out"] == len(written(task.root))
    assert len(task.cluster.created) == 1
    assert paid_again(task.model) == 0


def test_cluster_that_does_not_answer_for_a_while_does_no_harm(task: Task) -> None:
    task.model.seconds = 0.3

    def outage(pod: Pod) -> None:
        task.cluster.down()
        time.sleep(12)
        task.cluster.up()

    task.meanwhile(outage)
    task.ends()
    assert len(task.cluster.created) == 1
    assert paid_again(task.model) == 0


def test_cluster_that_cannot_be_reached_is_told_and_tried_again(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    from megascience_airflow.stage_pod import StagePod

    monkeypatch.setattr(StagePod.find_pod.retry, "stop", stop_after_attempt(1))  # type: ignore[attr-defined]
    task.cluster.down()
    with pytest.raises(StageFailed, match="refine_qa: the cluster does not answer"):
        task.try_once()


def test_cluster_that_refuses_is_quoted_and_not_tried_again(task: Task, pods: Callable[..., None]) -> None:
    task.cluster.forbids = "pods is forbidden: User airflow cannot create resource pods in namespace default"
    with pytest.raises(StageRefused, match="cannot create resource pods in namespace default; mend"):
        task.ends()
    assert len(task.tries) == 1


def test_triggerer_that_is_restarted_watches_the_same_pod(task: Task) -> None:
    task.model.seconds = 0.1
    context = task.context()
    with pytest.raises(TaskDeferred) as deferred:
        task.operator().execute(context)

    async def stopped() -> None:
        watching = asyncio.ensure_future(fired(deferred.value.trigger))
        await asyncio.sleep(1)
        watching.cancel()
        await asyncio.wait([watching])
        await deferred.value.trigger.cleanup()

    asyncio.run(stopped())
    assert task.resume(context, deferred.value)["rows_out"] == len(written(task.root))
    assert len(task.cluster.created) == 1
    assert paid_again(task.model) == 0


def test_task_that_is_killed_takes_its_pod_with_it(task: Task) -> None:
    task.model.seconds = 1
    operator = task.operator()
    with pytest.raises(TaskDeferred):
        operator.execute(task.context())
    task.pod()
    bystander = Task(task.dag, task.cluster, task.model, task.root, run="run-2").operator()
    bystander._pod = bystander._new_pod(run_settings(task.context()), bystander._pod_kind())
    bystander.on_kill()  # before it has started a pod
    assert "deletionTimestamp" not in task.pod().told["metadata"]
    operator.on_kill()


def test_deferred_task_that_is_killed_takes_its_pod_with_it(task: Task) -> None:
    task.model.seconds = 1
    with pytest.raises(TaskDeferred) as deferred:
        task.operator().execute(task.context())
    task.pod()
    asyncio.run(deferred.value.trigger.on_kill())


def test_lane_that_is_started_twice_writes_what_one_would(task: Task) -> None:
    task.cluster.gpus = 2
    other = Task(task.dag, task.cluster, task.model, task.root, run="run-2")
    task.model.seconds = 0.05
    twice = threading.Thread(target=other.ends)
    twice.start()
    task.ends()
    twice.join()
    assert task.tries == other.tries == [None]
    assert len(written(task.root)) == len(task.model.asked)


def test_lanes_share_the_stage_and_the_last_one_has_the_receipt(task: Task) -> None:
    task.params = {"lanes": 2}
    lanes = [Task(task.dag, task.cluster, task.model, task.root, lane, task.params) for lane in range(2)]
    first, last = [lane.ends() for lane in lanes]
    assert first == {"stage": STAGE, "waiting_for": "other lanes"}
    assert last["rows_out"] == len(written(task.root))
    assert [
        f"--lane={number}" in pod["spec"]["containers"][0]["command"] for number, pod in enumerate(task.cluster.created)
    ] == [True, True]


def test_pods_and_workers_that_do_not_see_the_same_root_are_told_so(task: Task, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(task.root, elsewhere)
    python = task.cluster.images[IMAGE] / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@" --root={elsewhere}\n')
    with pytest.raises(StageRefused, match="pods and workers have to see the same root"):
        task.ends()


def test_nothing_left_to_compute_starts_no_pod(task: Task) -> None:
    task.ends()
    again = Task(task.dag, task.cluster, task.model, task.root, run="run-2")
    summary = again.ends()
    assert summary["computed_parts"] == 0
    assert len(task.cluster.created) == 1
    assert max(task.model.asked.values()) == 1
