"""The DAGs import, fit together and serialise, and every stage has one name wherever it appears."""

from __future__ import annotations

import subprocess
import sys
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.recipes import TEXTBOOK_REASONING

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("torch", "vllm", "sentence_transformers", "faiss", "pyarrow", "pandas", "kubernetes", "boto3", "pypdfium2")
PARSE_SECONDS = 3.0  # of the CPU, Airflow itself imported before

STAGES = {stage.name: stage for stage in TEXTBOOK_REASONING.stages}


def test_dags_folder_imports_without_errors(dagbag: DagBag) -> None:
    assert dagbag.import_errors == {}
    assert set(dagbag.dags) == {"textbook_reasoning"}


def test_textbook_reasoning_has_the_stages_of_its_recipe_in_order(dag: DAG) -> None:
    assert [task.task_id for task in dag.topological_sort()] == TEXTBOOK_REASONING.names
    assert len(dag.tasks) == 16


def test_edges_carry_the_rows_that_the_next_stage_reads(dag: DAG) -> None:
    edges = [(dag.task_dict[up], task) for task in dag.tasks for up in task.upstream_task_ids]
    assert len(edges) == len(dag.tasks) - 1
    for upstream, task in edges:
        assert issubclass(upstream.stage.writes, task.stage.reads), f"{upstream.task_id} >> {task.task_id}"


@pytest.mark.parametrize("name", STAGES)
def test_one_stage_has_one_name_everywhere(dag: DAG, name: str) -> None:
    task = dag.task_dict[name]
    assert task.stage is STAGES[name]
    assert sys.modules[f"megascience_ops.stages.{name}"].STAGE is task.stage
    assert type(task).__name__.lower() == name.replace("_", "") + "operator"
    assert type(task).__doc__ and task.doc_md == type(task).__doc__
    assert "execute" not in vars(type(task))
    for prompt in task.stage.prompts:
        assert (REPOSITORY / "prompts" / f"{prompt.name}.md").is_file()


def test_every_stage_module_and_prompt_file_is_used() -> None:
    modules = {path.stem for path in (REPOSITORY / "megascience_ops" / "stages").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)
    prompts = {prompt.name for stage in STAGES.values() for prompt in stage.prompts}
    assert {path.stem for path in (REPOSITORY / "prompts").glob("*.md")} == prompts


def test_dag_survives_serialisation(dag: DAG) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert list(again.task_dict) == list(dag.task_dict)
    assert again.task_dict["refine_qa"].upstream_task_ids == {"dedup_questions"}
    assert again.params.dump() == dag.params.dump()


def test_plugins_folder_loads_nothing_by_file_stem() -> None:
    from airflow import plugins_manager

    plugins_manager.get_plugin_info()
    assert not {"operators", "local", "params", "run_settings", "stage_operator"} & set(sys.modules)


def test_parsing_a_dag_imports_nothing_heavy_and_is_fast() -> None:
    code = f"""
import sys, time
import airflow.sdk
started = time.process_time()
sys.path[:0] = [{str(REPOSITORY / "dags")!r}, {str(REPOSITORY / "plugins")!r}]
import textbook_reasoning
print(time.process_time() - started, *[name for name in {HEAVY!r} if name in sys.modules])
"""
    seconds, *heavy = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    ).stdout.split()
    assert heavy == []
    assert float(seconds) < PARSE_SECONDS


def check(dag: DAG, told: dict[str, Any]) -> None:
    for name, value in told.items():
        copy(dag.params.get_param(name)).resolve(value)


@pytest.mark.parametrize(
    "told",
    [
        {"root": "/data"},
        {"textbooks": None},
        {"batch": "2026-11.physics_1"},
        {"engine": "endpoint", "url": "http://127.0.0.1:8000/v1", "model": "some/model"},
        {"url": ""},
        {"limit": 1},
        {"stages": ["refine_qa"], "recompute": ["refine_qa"]},
        {"settings": {"refine_qa": {"max_unread": 0.05}}},
    ],
)
def test_trigger_form_accepts_what_is_right(dag: DAG, told: dict[str, Any]) -> None:
    check(dag, told)


@pytest.mark.parametrize(
    "told",
    [
        {"root": ""},
        {"batch": "../elsewhere"},
        {"batch": ""},
        {"engine": "gpt"},
        {"url": "file:///etc/passwd"},
        {"url": "http://two words"},
        {"limit": 0},
        {"limit": 1.5},
        {"stages": []},
        {"stages": ["refine"]},
        {"stages": ["refine_qa", "refine_qa"]},
        {"recompute": "refine_qa"},
        {"settings": {"refine": {}}},
        {"settings": {"refine_qa": 3}},
    ],
)
def test_trigger_form_refuses_what_is_wrong(dag: DAG, told: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        check(dag, told)


def test_trigger_form_has_words_for_people_and_asks_no_secret(dag: DAG) -> None:
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.schema["title"] and param.description, name
        assert not {"key", "token", "password", "secret"} & set(name.split("_"))
    sections = [dag.params.get_param(name).schema.get("section") for name in dag.params]
    assert sections[0] is None and "Advanced" in sections
