"""A real vLLM, on the CPU, in the pod of a stage: $MEGASCIENCE_VLLM names the folder that tests/vllm/up.py has made.

Its files are mounted into the pod from this machine, as no image with a vLLM for the CPU is built here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from megascience_ops import receipts, tables
from megascience_ops.completions import Completion
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from airflow_service import Airflow

    from conftest import Cluster

FOLDER = os.environ.get("MEGASCIENCE_VLLM", "")
STAGES = ["discover_books", "screen_books", "classify_books"]
CLASSIFIED = r"Analysis: [a-z ]{3,30}\nSubject: (physics|mathematics)\nLevel: (undergraduate|graduate)"

pytestmark = pytest.mark.skipif(not FOLDER, reason="needs a vLLM: make test-kube MEGASCIENCE_VLLM=.venv/vllm")


def test_vllm_in_a_pod_with_a_gpu_answers_a_stage(
    airflow: Airflow, cluster: Cluster, curated: str, vllm_pods: None
) -> None:
    there = Path(FOLDER).absolute()
    server = {"command": [str(there / "bin/vllm"), "serve"], "dtype": "float32", "tuning_args": ["--enforce-eager"]}
    sampling = {"max_tokens": 80, "structured_outputs": {"regex": CLASSIFIED}}
    engine = {"kind": "vllm", "model": str(there / "chat"), "sampling": sampling, "vllm": server}
    form = {"textbooks": "s3://river/textbooks", "root": "s3://river/vllm", "batch": "vllm", "lanes": 1}
    run = airflow.trigger(**form, engine="rules", stages=STAGES, settings={"classify_books": {"engine": engine}})
    assert airflow.finished(run, 1800) == "success", airflow.why(run)

    store = Store("s3://river/vllm")
    folder = "textbook_reasoning/batch=vllm/classify_books"
    receipt = receipts.current(store, folder)
    assert receipt is not None
    assert "--enforce-eager" in receipt.server["vllm_arguments"]
    said = [
        tables.decode(Completion, store.get(f"{folder}/completions/{name}"))
        for name in store.names(f"{folder}/completions")
    ]
    answers = [one for part in said for one in part]
    assert len(answers) >= receipt.total("rows_in") > 5
    assert all(one.text.startswith("Analysis: ") for one in answers)
    airflow.until(lambda: cluster.pods() == [], 30, "no pod is left")


@pytest.fixture
def vllm_pods(airflow: Airflow, cluster: Cluster) -> Iterator[None]:
    """classify_books runs in a pod with one GPU, and with the files of the vLLM that is on this machine."""
    there = Path(FOLDER).absolute()
    python = re.findall(r'exec "([^"]+)"', (there / "bin/vllm").read_text(encoding="utf-8"))[0]
    code = "import sys; print(sys.prefix, sys.base_prefix, sep='\\n')"
    prefixes = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    before = airflow.pods.read_text(encoding="utf-8")
    told = yaml.safe_load(before)
    template = Path(told["kinds"]["gpu"]["template"])
    pod = yaml.safe_load(template.read_text(encoding="utf-8"))
    container = pod["spec"]["containers"][0]
    as_root = {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}  # whom the files of this machine may belong to
    pod["spec"]["securityContext"] |= as_root
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"libnuma\.so\.1 .* => (\S+)", known)  # what vLLM for the CPU needs, and the image has not
    for number, path in enumerate({str(there), *prefixes, *libraries}):
        pod["spec"]["volumes"].append({"name": f"host-{number}", "hostPath": {"path": path}})
        container["volumeMounts"].append({"name": f"host-{number}", "mountPath": path, "readOnly": True})
    container["env"] += [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"}, {"name": "HF_HUB_OFFLINE", "value": "1"}]
    mounted = template.with_name("vllm.yaml")
    mounted.write_text(yaml.safe_dump(pod), encoding="utf-8")
    told["kinds"]["gpu"]["template"] = str(mounted)
    told["stages"]["classify_books"] = "gpu"
    airflow.pods.write_text(yaml.safe_dump(told), encoding="utf-8")
    yield
    airflow.pods.write_text(before, encoding="utf-8")
