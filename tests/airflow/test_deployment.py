"""What is deployed fits together: compose, its secrets, the images' sources, the manifests for Kubernetes."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cryptography.fernet import Fernet

REPOSITORY = Path(__file__).parents[2]
COMPOSE = (REPOSITORY / "docker-compose.yaml").read_text(encoding="utf-8")
MANIFESTS = REPOSITORY / "docker" / "kubernetes"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """A .env as docker/make-env.sh writes it."""
    shutil.copytree(REPOSITORY / "docker", tmp_path / "docker")
    shutil.copy(REPOSITORY / ".env.example", tmp_path)
    subprocess.run([tmp_path / "docker/make-env.sh"], check=True, capture_output=True)
    return tmp_path / ".env"


def variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_env_has_every_secret_that_compose_asks_for_and_each_is_another(env: Path) -> None:
    secrets = variables(env)
    assert set(secrets) == set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert all(len(secret) >= 16 for secret in secrets.values())
    assert len(set(secrets.values())) == len(secrets)
    assert not set("$'\"\\ @/:") & set("".join(secrets.values()))  # they stand in addresses and in JSON
    Fernet(secrets["FERNET_KEY"])
    assert len(secrets["JWT_SECRET"]) >= 64
    assert stat.S_IMODE(env.stat().st_mode) == 0o600


def test_env_that_is_there_stays(env: Path) -> None:
    before = env.read_text(encoding="utf-8")
    subprocess.run([env.parent / "docker/make-env.sh"], check=True, capture_output=True)
    assert env.read_text(encoding="utf-8") == before


def test_env_example_names_what_may_be_set_besides() -> None:
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    optional = set(re.findall(r"\$\{(\w+):-", COMPOSE)) - {"AIRFLOW_IMAGE"}
    versions = {name for name in optional if name.endswith("_VERSION")}
    assert optional - versions <= set(re.findall(r"^#(\w+)=", example, re.MULTILINE))


@pytest.mark.parametrize("name", SERVICES)
def test_compose_service_is_reached_from_this_machine_only_and_waits_for_what_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for needed, how in service.get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[needed]
    if name != "init":
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


def test_compose_builds_the_image_of_airflow_once_and_asks_no_registry_for_it() -> None:
    airflow = {name: service for name, service in SERVICES.items() if "megascience/airflow" in service["image"]}
    assert [name for name, service in airflow.items() if "build" in service] == ["init"]
    assert {service["pull_policy"] for name, service in airflow.items() if name != "init"} == {"never"}


def test_compose_holds_the_database_healthy_only_when_others_can_reach_it() -> None:
    assert "-h" in SERVICES["postgres"]["healthcheck"]["test"]  # on its socket it answers while it is still being made


@pytest.mark.parametrize("path", sorted((REPOSITORY / "docker").glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_dockerfile_copies_what_is_there_and_runs_as_nobody_special(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
    allowed = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in (word for line in lines for word in line.split()[:-1]):
        assert (REPOSITORY / source).exists(), source
        assert any(source.startswith(one) or one.startswith(source) for one in allowed), f".dockerignore hides {source}"
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE)[-1] != "0"
    assert re.search(r"^ARG BASE=\S+:v?\d+\.\d+\.\d+", text, re.MULTILINE)  # a version, not whatever is the latest


@pytest.mark.parametrize("state, code", [("healthy", 0), ("unhealthy", 1), (None, 1)])
def test_health_is_what_the_api_server_says_of_the_part(state: str | None, code: int) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"scheduler": {"status": state}, "triggerer": {"status": "healthy"}}).encode())

        def log_message(self, *said: Any) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        env = {"AIRFLOW_HEALTH_URL": f"http://127.0.0.1:{server.server_port}"}
        done = subprocess.run([sys.executable, REPOSITORY / "docker/health.py", "scheduler"], env=env)
    assert done.returncode == code


@pytest.mark.parametrize("name", ["role", "models"])
def test_manifest_is_one_that_kubernetes_takes(name: str) -> None:
    for thing in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8")):
        kubernetes_validate.validate(thing, "1.33", strict=True)


def test_claim_for_models_is_the_one_that_pods_mount() -> None:
    claim = yaml.safe_load((MANIFESTS / "models.yaml").read_text(encoding="utf-8"))["metadata"]["name"]
    pod = yaml.safe_load((REPOSITORY / "plugins/megascience_airflow/pods/gpu.yaml").read_text(encoding="utf-8"))
    assert claim in [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["spec"]["volumes"]]


def test_example_of_pods_names_stages_that_there_are_and_makes_pods_that_kubernetes_takes() -> None:
    from megascience_airflow.pod_settings import PodSettings
    from megascience_ops.recipes import TEXTBOOK_REASONING

    settings = PodSettings.model_validate(yaml.safe_load((MANIFESTS / "pods.yaml").read_text(encoding="utf-8")))
    assert set(settings.stages) <= set(TEXTBOOK_REASONING.names)
    assert set(settings.stages.values()) == set(settings.kinds)
    for kind in settings.kinds.values():
        kubernetes_validate.validate(kind.manifest(), "1.33", strict=True)
    told = settings.kinds["largest"].told("vllm", "rules")
    assert told["engine"]["vllm"]["tensor_parallel"] == 8


def test_chart_values_take_the_example_of_pods_and_the_service_accounts_have_the_role() -> None:
    values = yaml.safe_load((MANIFESTS / "values.yaml").read_text(encoding="utf-8"))
    said = {one["name"]: one["value"] for one in values["env"]}
    mount = values["volumeMounts"][0]
    assert said["MEGASCIENCE_PODS"] == f"{mount['mountPath']}/pods.yaml"
    assert mount["name"] == values["volumes"][0]["name"]
    binding = list(yaml.safe_load_all((MANIFESTS / "role.yaml").read_text(encoding="utf-8")))[1]
    assert {"airflow-scheduler", "airflow-triggerer"} <= {one["name"] for one in binding["subjects"]}
