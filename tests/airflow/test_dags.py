"""The DAGs import, fit together and serialise, and every stage has one name wherever it appears."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import Param

from megascience_ops.recipes import RECIPES, TEXTBOOK_REASONING

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("torch", "vllm", "sentence_transformers", "faiss", "pyarrow", "pandas", "kubernetes", "boto3", "pypdfium2")
PARSE_SECONDS = 3.0  # of the CPU, Airflow itself imported before

STAGES = {stage.name: stage for stage in TEXTBOOK_REASONING.stages}


def test_dags_folder_imports_without_errors(dagbag: DagBag) -> None:
    assert dagbag.import_errors == {}
    assert set(dagbag.dags) == {f"textbook_reasoning{how}" for how in ("", "_scheduled", "_arrivals")}


def test_every_dag_has_the_stages_of_its_recipe_in_order(dagbag: DagBag) -> None:
    for dag in dagbag.dags.values():
        stages = [task.task_id for task in dag.topological_sort() if task.task_id != "approve"]
        assert stages == TEXTBOOK_REASONING.names


def test_dags_that_start_by_themselves_are_off_until_unpaused(dagbag: DagBag) -> None:
    assert {name: dag.is_paused_upon_creation for name, dag in dagbag.dags.items()} == {
        "textbook_reasoning": False,
        "textbook_reasoning_scheduled": True,
        "textbook_reasoning_arrivals": True,
    }


def test_edges_carry_the_rows_that_the_next_stage_reads(dag: DAG) -> None:
    edges = [(dag.task_dict[up], task) for task in dag.tasks for up in task.upstream_task_ids]
    assert len(edges) == len(dag.tasks) - 1
    for upstream, task in edges:
        if task.task_id == "approve":  # lets rows pass
            assert task.stage is upstream.stage
        else:
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
    ours = [
        stage
        for recipe in RECIPES.values()
        for stage in recipe.stages
        if stage.writes.__module__.startswith("megascience_ops")
    ]
    assert modules == {stage.name for stage in ours}  # a test may have a recipe of its own
    prompts = {prompt.name for stage in STAGES.values() for prompt in stage.prompts}
    assert {path.stem for path in (REPOSITORY / "prompts").glob("*.md")} == prompts


def test_dag_survives_serialisation(dag: DAG) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert list(again.task_dict) == list(dag.task_dict)
    assert again.task_dict["refine_qa"].upstream_task_ids == {"dedup_questions"}
    assert again.params.dump() == dag.params.dump()


def test_form_is_written_once_for_a_dag_and_not_for_each_task(dagbag: DagBag) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dagbag.dags.values():
        assert json.dumps(DagSerialization.to_dict(dag)).count("Embedding model") == 1


def test_form_with_a_default_that_it_refuses_is_no_dag_with_a_schedule(dagbag: DagBag) -> None:
    scheduled = copy(dagbag.dags["textbook_reasoning_scheduled"])
    with pytest.raises(ValueError, match="not allowed to define a Schedule"):
        scheduled.params = {"limit": Param(0, type="integer", minimum=1)}


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
