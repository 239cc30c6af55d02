"""Which stages run as pods: what the file may say, what its pods look like, and that nothing is imported without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from megascience_airflow.pod_settings import PodKind, pod_settings
from megascience_ops.errors import ContractError

REPOSITORY = Path(__file__).parents[2]
GPU = "nvidia.com/gpu"

SETTINGS: dict[str, Any] = {
    "image": "registry.example/stage:1",
    "kinds": {
        "cpu": {"memory": "8Gi"},
        "small": {"template": "gpu", "gpus": 1, "pool": "gpu", "settings": {"engine": {"model": "a/7B"}}},
        "large": {
            "template": "gpu",
            "gpus": 4,
            "pool": "gpu",
            "memory": "256Gi",
            "retries": 8,
            "node_selector": {"gpu": "h100"},
            "settings": {"engine": {"model": "a/70B", "vllm": {"max_model_len": 16384}}, "max_unread": 0.05},
        },
    },
    "stages": {"chunk_books": "cpu", "digitize_books": "small", "refine_qa": "large"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pods.yaml"
    path.write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    return path


@pytest.mark.parametrize("template", ["cpu", "gpu"])
def test_template_is_valid_to_the_letter(template: str) -> None:
    pod = PodKind(template=template, gpus=4, cpu="16", memory="96Gi", node_selector={"gpu": "h100"}).manifest()
    kubernetes_validate.validate(pod, "1.31", strict=True)


@pytest.mark.parametrize("template", ["cpu", "gpu"])
def test_template_gives_a_stage_no_more_rights_than_it_needs(template: str) -> None:
    spec = PodKind(template=template).manifest()["spec"]
    base = spec["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert base["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["name"] for mount in base["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}
    assert not any("KEY" in one["name"] or "TOKEN" in one["name"] for one in base["env"])  # by reference only
    assert base["envFrom"][0]["secretRef"]["name"] == "megascience"


def test_gpu_template_has_shared_memory_a_model_cache_and_tolerates_gpu_nodes() -> None:
    spec = PodKind(template="gpu").manifest()["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    paths = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert volumes[paths["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
    assert "persistentVolumeClaim" in volumes[paths["/models"]]
    assert any(one["key"] == GPU for one in spec["tolerations"])


def test_kind_varies_its_template(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEGASCIENCE_PODS", str(file))
    pods = pod_settings()
    assert pods is not None
    large = pods.kind("refine_qa")
    assert large is not None
    spec = large.manifest()["spec"]
    resources = spec["containers"][0]["resources"]
    assert resources["limits"] == {"memory": "256Gi", GPU: "4"}
    assert resources["requests"][GPU] == "4"
    assert spec["nodeSelector"] == {"gpu": "h100"}
    assert pods.kind("publish") is None


def test_kind_spreads_its_model_over_its_gpus_where_the_model_runs_in_the_pod() -> None:
    large = PodKind(**SETTINGS["kinds"]["large"])
    told = {"model": "a/70B", "vllm": {"max_model_len": 16384, "tensor_parallel": 4}}
    assert large.told("vllm", "rules") == {"engine": told, "max_unread": 0.05}
    assert large.told("endpoint", "rules") == {"max_unread": 0.05}  # whoever asks a server names its model
    by_hand = large.model_copy(update={"settings": {"engine": {"vllm": {"tensor_parallel": 2, "data_parallel": 2}}}})
    assert by_hand.told("vllm", "rules")["engine"]["vllm"] == {"tensor_parallel": 2, "data_parallel": 2}


def test_kind_without_gpus_keeps_a_template_of_ones_own() -> None:
    assert PodKind(template="gpu", gpus=4).without_gpus() == PodKind(template="cpu")
    assert PodKind(template="/own/pod.yaml", gpus=4, memory="9Gi").without_gpus() == PodKind(
        template="/own/pod.yaml", memory="9Gi"
    )


@pytest.mark.parametrize(
    "change, says",
    [
        ({"stages": {"refine_qa": "larg"}}, "kind larg; did you mean large?"),
        ({"kind": {}}, "kind: no such setting; did you mean kinds?"),
        ({"image": None}, "image: Input should be a valid string"),
        ({"kinds": {"cpu": {"gpus": -1}}}, "kinds.cpu.gpus"),
    ],
)
def test_wrong_file_is_refused_in_one_line(
    change: dict[str, Any], says: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(yaml.safe_dump({**SETTINGS, **change}), encoding="utf-8")
    monkeypatch.setenv("MEGASCIENCE_PODS", str(file))
    with pytest.raises(ContractError) as refused:
        pod_settings()
    assert says in str(refused.value)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize("content, says", [("kind: Pod\nspec: {}\n", "named base"), ("a: [", "not YAML")])
def test_template_of_ones_own_that_is_none_is_refused(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ContractError, match=says):
        PodKind(template=str(tmp_path / "own.yaml")).manifest()


DRAW = """
import json, sys
sys.path[:0] = [{dags!r}, {plugins!r}]
from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.sdk.definitions.mappedoperator import MappedOperator
DagContext.current_autoregister_module_name = "textbook_reasoning"
import textbook_reasoning
dag = next(dag for dag, _ in DagContext.autoregistered_dags if dag.dag_id == "textbook_reasoning")
loaded = [name for name in ("kubernetes", "kubernetes_asyncio", "airflow.providers.cncf.kubernetes.operators") if name in sys.modules]
tasks = {{task.task_id: [isinstance(task, MappedOperator), task.pool, task.pool_slots, task.retries] for task in dag.tasks}}
edges = sorted([task.task_id, sorted(task.upstream_task_ids)] for task in dag.tasks)
print(json.dumps([loaded, tasks, edges, dag.params.get_param("lanes").schema["maximum"]]))
"""


def drawn(**env: str) -> Any:
    """The DAG as a process of its own draws it: modules of Kubernetes that were loaded, tasks, edges, most lanes."""
    code = DRAW.format(dags=str(REPOSITORY / "dags"), plugins=str(REPOSITORY / "plugins"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_dag_is_drawn_without_kubernetes_whether_or_not_stages_run_in_pods(file: Path) -> None:
    plain, pods = drawn(), drawn(MEGASCIENCE_PODS=str(file))
    assert plain[0] == pods[0] == []
    assert plain[2] == pods[2]
    assert plain[1]["refine_qa"] == [False, "default_pool", 1, 3]
    assert pods[1]["refine_qa"] == [False, "gpu", 4, 8]
    assert pods[1]["digitize_books"] == [False, "gpu", 1, 3]
    assert pods[1]["chunk_books"] == pods[1]["publish"] == [False, "default_pool", 1, 3]


def test_dag_has_mapped_tasks_only_where_there_can_be_lanes() -> None:
    plain, lanes = drawn(), drawn(MEGASCIENCE_LANES="4")
    assert not any(mapped for mapped, *_ in plain[1].values())
    mapped = {name for name, (is_mapped, *_) in lanes[1].items() if is_mapped}
    assert {"digitize_books", "extract_qa", "refine_qa", "judge_contamination"} <= mapped
    assert not mapped & {"discover_books", "dedup_questions", "find_neighbours", "publish"}
    assert plain[2] == lanes[2]
    assert (plain[3], lanes[3]) == (1, 4)


@pytest.mark.parametrize(
    "component, pods, loaded",
    [("scheduler", "pods.yaml", True), ("scheduler", "", False), ("triggerer", "pods.yaml", False)],
)
def test_kubernetes_is_imported_ahead_only_by_a_scheduler_of_pods(component: str, pods: str, loaded: bool) -> None:
    code = f"import sys; sys.argv = ['airflow', {component!r}]; import megascience_preload; print('kubernetes' in sys.modules)"
    env = {**os.environ, "MEGASCIENCE_PODS": pods, "PYTHONPATH": str(REPOSITORY / "plugins")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.split()[-1] == str(loaded)
