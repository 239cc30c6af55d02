"""Which stages run as pods, in pods of what kind: the file that $MEGASCIENCE_PODS names. Without it, none does.

What is the same for all pods of a kind stands in its template (pods/*.yaml, or one of your own); what varies from
stage to stage stands in that file.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from megascience_ops.config import merged, nearest, validated
from megascience_ops.errors import ContractError
from megascience_ops.rows import Frozen
from megascience_ops.yaml_text import read_yaml

PODS = "MEGASCIENCE_PODS"
TEMPLATES = Path(__file__).parent / "pods"
IN_THE_POD = ("vllm", "sentence_transformers")  # the engines that run where their stage does, and want its GPUs
BASE = "base"  # the container of a template that runs the stage


class PodKind(Frozen):
    """Pods of one kind. `settings` are what its stages are told; what the DAG or the trigger form says goes before it.

    What `settings` say of `engine` and `embedder` counts where the run's runs in the pod, as vllm does.
    `template`: one of ours by name, or a path. `gpus` per pod; `cpu` and `memory` go before the template's. A pod takes
    as many slots of the `pool` as it has GPUs. A pod that no node takes for `schedule_minutes` is given up, one that
    still pulls its image after `startup_minutes` or runs after `deadline_hours` is ended; `retries` takes up its work.
    """

    template: str = "cpu"
    gpus: int = Field(default=0, ge=0)
    gpu_resource: str = "nvidia.com/gpu"
    cpu: str | None = None
    memory: str | None = None
    node_selector: dict[str, str] = {}
    image: str | None = None
    pool: str | None = None
    retries: int | None = Field(default=None, ge=0)
    settings: dict[str, Any] = {}
    schedule_minutes: float = Field(default=60, gt=0)
    startup_minutes: float = Field(default=30, gt=0)
    deadline_hours: float = Field(default=48, gt=0)

    def told(self, engine: str, embedder: str) -> dict[str, Any]:
        """What its stages are told in a run of these engines: a model on several GPUs is spread over them."""
        told = dict(self.settings)
        for name, kind in {"engine": engine, "embedder": embedder}.items():
            if kind not in IN_THE_POD:
                told.pop(name, None)
            elif kind == "vllm" and name in told and self.gpus > 1:
                told[name] = merged({"vllm": {"tensor_parallel": self.gpus}}, told[name])
        return told

    def without_gpus(self) -> PodKind:
        """The pod for a stage whose engine does not run in it. A template of your own stays."""
        return self.model_copy(update={"template": "cpu" if self.template == "gpu" else self.template, "gpus": 0})

    def manifest(self) -> dict[str, Any]:
        """The template, with what this kind varies of it. Raises ContractError where it is no template."""
        path = Path(self.template) if os.sep in self.template else TEMPLATES / f"{self.template}.yaml"
        pod = _read(path)
        containers = [one for one in pod.get("spec", {}).get("containers", []) if one.get("name") == BASE]
        if not containers:
            raise ContractError(f"{path}: a Pod with a container named {BASE} is expected")
        resources = containers[0].setdefault("resources", {})
        for kind in ("requests", "limits"):
            own = {"cpu": self.cpu if kind == "requests" else None, "memory": self.memory}
            own[self.gpu_resource] = str(self.gpus) if self.gpus else None
            resources[kind] = {**resources.get(kind, {}), **{name: value for name, value in own.items() if value}}
        pod["spec"]["nodeSelector"] = {**pod["spec"].get("nodeSelector", {}), **self.node_selector}
        return pod


class PodSettings(Frozen):
    """Where pods run, what `kinds` there are, and which stage runs in a pod of which kind.

    `connection`: an Airflow connection of type kubernetes; without it the cluster in which Airflow itself runs, or the
    one that $KUBECONFIG names. `poll_seconds` and `logging_seconds`: how often a pod is looked at, its log fetched.
    """

    image: str
    namespace: str | None = None
    connection: str | None = None
    service_account: str | None = None
    kinds: dict[str, PodKind]
    stages: dict[str, str]
    poll_seconds: float = Field(default=10, gt=0)
    logging_seconds: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _kinds_exist(self) -> PodSettings:
        for stage, kind in self.stages.items():
            if kind not in self.kinds:
                raise ValueError(f"stages.{stage} is to run in a pod of kind {kind}{nearest(kind, list(self.kinds))}")
        return self

    def kind(self, stage: str) -> PodKind | None:
        """The kind of pod that a stage runs in, or None where it runs in the worker."""
        return self.kinds[self.stages[stage]] if stage in self.stages else None


def pod_settings() -> PodSettings | None:
    """The settings in the file that $MEGASCIENCE_PODS names. Raises ContractError on a wrong one."""
    path = os.environ.get(PODS)
    return _settings(path, Path(path).stat().st_mtime_ns if Path(path).is_file() else 0) if path else None


@cache
def _settings(path: str, version: int) -> PodSettings:
    return validated(PodSettings, _read(Path(path)), path)


def _read(path: Path) -> dict[str, Any]:
    try:
        said = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # NotYaml, or no UTF-8
        raise ContractError(f"{path}: not YAML: {error}") from None
    if not isinstance(said, dict):
        raise ContractError(f"{path}: a mapping is expected")
    return said
