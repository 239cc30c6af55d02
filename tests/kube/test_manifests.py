"""What a real API server says of our templates, manifests and Role."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Cluster

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "plugins"))  # as Airflow does at its start

ALLOWED = [f"{verb} pods" for verb in ("create", "get", "list", "patch", "delete")]
ALLOWED += ["get pods --subresource=log", "list events", "watch events"]
FORBIDDEN = ["watch pods", "update pods", "create pods --subresource=exec", "get secrets", "list configmaps"]
FORBIDDEN += ["create events", "create serviceaccounts --subresource=token", "get nodes"]


@pytest.mark.parametrize("kind", ["plain", "eyes", "small", "large", "largest"])
def test_pod_of_every_kind_is_one_that_the_server_takes(cluster: Cluster, kind: str) -> None:
    from megascience_airflow.pod_settings import PodSettings

    told = yaml.safe_load((REPOSITORY / "docker/kubernetes/pods.yaml").read_text(encoding="utf-8"))
    pod = PodSettings.model_validate(told).kinds[kind].manifest()
    pod["metadata"]["name"] = f"megascience-{kind}"
    pod["spec"]["containers"][0] |= {"image": cluster.image, "command": ["megascience", "stages"]}
    cluster.kubectl("create", "--dry-run=server", "--filename", "-", given=yaml.safe_dump(pod))


def test_claim_for_models_is_one_that_the_server_takes(cluster: Cluster) -> None:
    cluster.kubectl("create", "--dry-run=server", "--filename", str(REPOSITORY / "docker/kubernetes/models.yaml"))


@pytest.mark.parametrize("what, answer", [(one, "yes") for one in ALLOWED] + [(one, "no") for one in FORBIDDEN])
def test_role_allows_what_pods_need_and_nothing_more(cluster: Cluster, what: str, answer: str) -> None:
    if can(cluster, "delete nodes") == "yes":
        pytest.skip("this cluster lets everybody do everything")
    assert can(cluster, what) == answer


def can(cluster: Cluster, what: str) -> str:
    """May Airflow do this?"""
    command = [
        "kubectl",
        "--kubeconfig",
        cluster.airflow,
        "--namespace",
        cluster.namespace,
        "auth",
        "can-i",
        *what.split(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
