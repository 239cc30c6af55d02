"""A real cluster, a real S3 server and a real Airflow for these tests: brought up once, and gone afterwards.

`make test-kube` runs them. The cluster is the one of $KUBECONFIG, with an image of ours that its nodes have
($MEGASCIENCE_KUBE_IMAGE); or else one that scripts in $MEGASCIENCE_TOOLS bring up: kube/up.sh, image.sh and down.sh, and
s3/ceph_up.sh. Its node has to be this machine: pods reach the servers of these tests through the node's own network.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "docker"))  # seed.py
sys.path.insert(0, str(Path(__file__).parent))  # the modules beside this one

import seed
from airflow_service import Airflow, free_port
from database_service import PostgreSQL
from model_service import Model

from tests.s3_server import S3
from tests.tools import TOOLS, tool

REPOSITORY = Path(__file__).parents[2]
IMAGE = "localhost/megascience-stage:test"
BASE = "python:3.11.14-slim-bookworm"
GPUS = 2
LANDING = "s3://river/landing"

S3_VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)

KEPT = os.environ.get("MEGASCIENCE_KUBE_FOLDER", "")  # set by make test-kube: what takes long to make is kept there
GIVEN = os.environ.get("KUBECONFIG", ""), os.environ.get("MEGASCIENCE_KUBE_IMAGE", "")
WHY_NOT = "needs a cluster: make test-kube, with $KUBECONFIG and $MEGASCIENCE_KUBE_IMAGE or $MEGASCIENCE_TOOLS set"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a cluster where there is none, or nobody has asked for it."""
    if KEPT and (TOOLS or all(GIVEN)):
        return
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=WHY_NOT))


@dataclass(frozen=True)
class Cluster:
    """A namespace of its own on a cluster, and what Airflow may do there: our Role, and no more."""

    admin: str  # path of a kubeconfig that may do anything
    airflow: str  # path of one that may do what docker/kubernetes/role.yaml says
    namespace: str
    image: str

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl says, as admin. Raises AssertionError with its complaint where it fails."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.admin, "--namespace", self.namespace, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *things: dict[str, Any]) -> None:
        """Create these, or change them."""
        self.kubectl("apply", "--filename", "-", given=yaml.safe_dump_all(things))

    def pods(self, stage: str | None = None) -> list[dict[str, Any]]:
        """The pods of a stage, or all of ours, as Kubernetes tells of them."""
        which = f"megascience.io/stage={stage}" if stage else "megascience.io/stage"
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-l", which, "-o", "json"))["items"]
        return found

    def started(self) -> set[str]:
        """The names of all pods that have ever been started, as far as the cluster remembers."""
        told = self.kubectl("get", "events", "--field-selector", "reason=Created", "-o", "json")
        return {event["involvedObject"]["name"] for event in json.loads(told)["items"]}


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A short path: sockets have one too."""
    made = Path(tempfile.mkdtemp(prefix="ms-", dir="/tmp"))
    made.chmod(0o711)  # PostgreSQL, which is not root, has a folder in it
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[tuple[str, str]]:
    """Path of an admin's kubeconfig, and the name of an image of ours that the nodes have."""
    if all(GIVEN):
        yield GIVEN
        return
    up = tool("kube/up.sh", KEPT, str(GPUS)).splitlines()[-1]
    try:
        build = ["-f", str(REPOSITORY / "docker/stage.Dockerfile")]
        for argument in (f"BASE={BASE}", "EXTRAS=s3", "FAISS=faiss-cpu"):
            build += ["--build-arg", argument]
        env = {"BASE_TAGS": f"docker.io/library/{BASE}"}
        tool("kube/image.sh", "build", KEPT, IMAGE, str(REPOSITORY), *build, env=env)
        yield up, IMAGE
    finally:
        tool("kube/down.sh", KEPT)


@pytest.fixture(scope="session")
def guarded(kubeconfig: tuple[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """What to change of an admin's way to the cluster for one where rights count; {} where they count anyway.

    The scripts' cluster lets everybody do everything. So the command of its API server is started once more beside it,
    on the same state, with a port of its own and with RBAC.
    """
    if all(GIVEN):
        yield {}
        return
    started = dict(line.split()[:2] for line in (Path(KEPT) / "pids").read_text().splitlines())
    arguments = Path(f"/proc/{started['apiserver']}/cmdline").read_text().strip("\0").split("\0")
    port = free_port()
    instead = {"--secure-port": f"--secure-port={port}", "--authorization-mode": "--authorization-mode=RBAC"}
    command = [instead.get(argument.partition("=")[0], argument) for argument in arguments]
    with (folder / "guarded.log").open("wb") as log:
        beside = subprocess.Popen(command, cwd=KEPT, stdout=log, stderr=log)
    try:
        server = f"https://127.0.0.1:{port}"
        look = ["kubectl", "--kubeconfig", kubeconfig[0], "--server", server, "get", "--raw", "/readyz"]
        Airflow.until(lambda: subprocess.run(look, capture_output=True).stdout == b"ok", 120, "RBAC is ready")
        yield {"server": server}
    finally:
        beside.terminate()
        beside.wait(60)


@pytest.fixture(scope="session")
def storage(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The variables by which a real S3 server is reached, from here and from pods, with the bucket `river` in it."""
    variables: dict[str, str] = request.getfixturevalue("real_s3").variables if TOOLS else S3().variables
    with pytest.MonkeyPatch.context() as patch:
        for name in S3_VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        seed.make_bucket("river")
        yield variables


@pytest.fixture(scope="session")
def cluster(
    kubeconfig: tuple[str, str], guarded: dict[str, str], storage: dict[str, str], folder: Path
) -> Iterator[Cluster]:
    """A namespace with our Role for Airflow, the storage's keys, and the claim for models."""
    admin, image = kubeconfig
    made = Cluster(admin, str(folder / "airflow.kubeconfig"), f"ms-{uuid.uuid4().hex[:8]}", image)
    made.kubectl("create", "namespace", made.namespace)
    try:
        made.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "airflow-scheduler"}})
        made.kubectl("apply", "--filename", str(REPOSITORY / "docker/kubernetes/role.yaml"))
        secret = {name: value for name, value in storage.items() if "KEY" in name}
        others = {name: value for name, value in storage.items() if name not in secret}
        named = {"apiVersion": "v1", "metadata": {"name": "megascience"}}
        made.apply({**named, "kind": "Secret", "stringData": secret}, {**named, "kind": "ConfigMap", "data": others})
        airflow = as_service_account(made, "airflow-scheduler", guarded)
        Path(made.airflow).write_text(yaml.safe_dump(airflow), encoding="utf-8")
        yield made
    finally:
        made.kubectl("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture(scope="session")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample textbooks."""
    target = tmp_path_factory.mktemp("books")
    subprocess.run(
        [sys.executable, str(REPOSITORY / "examples/build.py"), str(target)], check=True, capture_output=True
    )
    return target


@pytest.fixture(scope="session")
def airflow(cluster: Cluster, folder: Path) -> Iterator[Airflow]:
    """Airflow on PostgreSQL with our DAG, whose asking stages run in pods on two lanes."""
    with PostgreSQL(folder / "pg") as database:
        service = Airflow(folder / "airflow", database.url, pods_file(cluster, folder), cluster.airflow, LANDING)
        service.start()
        yield service
        service.stop()


@pytest.fixture(scope="session")
def model() -> Model:
    """A model that says YES and counts who asks."""
    return Model()


@pytest.fixture(scope="session")
def curated(airflow: Airflow, books: Path) -> str:
    """A run of the whole recipe over the sample books, into the batch `pods` of s3://river; its id."""
    from megascience_ops.storage import Store

    seed.put(books, Store("s3://river/textbooks"), "")
    seed.put(REPOSITORY / "examples/benchmarks", Store("s3://river"), "benchmarks/")
    run = airflow.trigger(textbooks="s3://river/textbooks", root="s3://river", batch="pods", lanes=2)
    state = airflow.finished(run, 1500)
    assert state == "success", airflow.why(run)
    return run


def pods_file(cluster: Cluster, folder: Path, stages: dict[str, str] | None = None) -> Path:
    """What $MEGASCIENCE_PODS names: every stage that asks, on our own templates but with the node's network."""
    from megascience_ops.config import AskingConfig
    from megascience_ops.recipes import TEXTBOOK_REASONING

    for name in ("cpu", "gpu"):
        pod = yaml.safe_load((REPOSITORY / f"plugins/megascience_airflow/pods/{name}.yaml").read_text(encoding="utf-8"))
        pod["spec"]["hostNetwork"] = True
        for volume in pod["spec"]["volumes"]:
            if "persistentVolumeClaim" in volume:  # a test's cluster has nobody who makes volumes
                del volume["persistentVolumeClaim"]
                volume["emptyDir"] = {}
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(pod), encoding="utf-8")
    asking = [stage.name for stage in TEXTBOOK_REASONING.stages if issubclass(stage.config, AskingConfig)]
    told = {
        "image": cluster.image,
        "namespace": cluster.namespace,
        "kinds": {
            "small": {"template": str(folder / "cpu.yaml"), "memory": "600Mi", "pool": "gpu"},
            "gpu": {"template": str(folder / "gpu.yaml"), "memory": "8Gi", "gpus": 1, "pool": "gpu"},
        },
        "stages": {**dict.fromkeys(asking, "small"), **(stages or {})},
        "poll_seconds": 5,
        "logging_seconds": 10,
    }
    path = folder / "pods.yaml"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return path


def as_service_account(cluster: Cluster, name: str, place: dict[str, str]) -> dict[str, Any]:
    """A kubeconfig for a service account, which goes to another place."""
    config: dict[str, Any] = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["clusters"][0]["cluster"] |= place
    token = {"name": f"{name}-token", "annotations": {"kubernetes.io/service-account.name": name}}
    kind = "kubernetes.io/service-account-token"
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": token})
    look = ["get", "secret", f"{name}-token", "-o", "jsonpath={.data.token}"]
    found = Airflow.until(lambda: cluster.kubectl(*look), 60, "a token is made")
    config["users"] = [{"name": name, "user": {"token": base64.b64decode(found).decode()}}]
    config["contexts"][0]["context"] |= {"user": name, "namespace": cluster.namespace}
    return config
