"""The trigger form: what it takes, what it refuses, and what the first task makes of fields that contradict each other."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from megascience_airflow.params import asking, trigger_form
from megascience_airflow.run_settings import run_settings, stage_command, told
from megascience_ops.recipes import TEXTBOOK_REASONING

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

    from megascience_airflow.run_settings import RunSettings


def check(dag: DAG, told: dict[str, Any]) -> None:
    for name, value in told.items():
        copy(dag.params.get_param(name)).resolve(value)


@pytest.mark.parametrize(
    "told",
    [
        {"root": "/data"},
        {"textbooks": None},
        {"batch": "2026-11.physics_1"},
        {"batch": None},
        {"engine": "endpoint", "url": "http://127.0.0.1:8000/v1", "model": "some/model"},
        {"url": ""},
        {"limit": 1},
        {"stages": ["refine_qa"], "recompute": ["refine_qa"]},
        {"model_refine_qa": "large/model"},
        {"model_refine_qa": "large/model @ http://127.0.0.1:8001/v1"},
        {"embedder": "endpoint", "embedding_model": "bge @ http://127.0.0.1:8002/v1"},
        {"standards": ["low"]},
        {"only_new": True},
        {"settings": {"refine_qa": {"max_unread": 0.05}}},
    ],
)
def test_form_accepts_what_is_right(dag: DAG, told: dict[str, Any]) -> None:
    check(dag, told)


@pytest.mark.parametrize(
    "told",
    [
        {"recipe": "another"},
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
        {"model_refine_qa": "a model"},
        {"model_refine_qa": "model @ nowhere"},
        {"embedder": "bge"},
        {"standards": []},
        {"standards": ["middling"]},
        {"only_new": "yes"},
        {"settings": {"refine": {}}},
        {"settings": {"refine_qa": 3}},
    ],
)
def test_form_refuses_what_is_wrong(dag: DAG, told: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        check(dag, told)


def test_form_has_words_for_people_and_asks_no_secret(dagbag: DagBag) -> None:
    for dag in dagbag.dags.values():
        for name in dag.params:
            param = dag.params.get_param(name)
            assert "const" in param.schema or (param.schema["title"] and param.description), name
            assert not {"key", "token", "password", "secret"} & set(name.split("_"))


def test_form_opens_with_the_fields_in_everyday_use(dag: DAG) -> None:
    sections: dict[str | None, list[str]] = {}
    for name in dag.params:
        sections.setdefault(dag.params.get_param(name).schema.get("section"), []).append(name)
    assert set(sections) == {None, "Stages", "Models", "Quality", "Advanced"}
    assert {"textbooks", "batch", "engine", "url", "model", "limit"} <= set(sections[None])
    assert {f"model_{name}" for name in asking(TEXTBOOK_REASONING)} <= set(sections["Models"])


# --- what a run makes of it -----------------------------------------------------------------------------------------


def settled(dag: DAG, run: dict[str, Any] | None = None, **told: Any) -> RunSettings:
    """The settings of a run of `dag` whose form says this."""
    check(dag, told)
    params = {**dag.params.dump(), "root": "/data", "textbooks": "/books", **told}
    dag_run = {"partition_key": None, "run_after": datetime(2026, 11, 20, 3, 0, tzinfo=UTC), **(run or {})}
    return run_settings({"params": params, "dag_run": SimpleNamespace(**dag_run)})  # type: ignore[typeddict-item]


def test_run_without_changes_tells_the_stages_nothing(dag: DAG) -> None:
    assert settled(dag).settings == {}


def test_batch_is_the_partition_key_then_the_form_then_the_time(dagbag: DagBag) -> None:
    by_hand, arrivals = dagbag.dags["textbook_reasoning"], dagbag.dags["textbook_reasoning_arrivals"]
    assert settled(by_hand, {"partition_key": "monday"}, batch="mine").batch == "monday"
    assert settled(by_hand, batch="mine").batch == "mine"
    assert settled(arrivals).batch == "2026-11-20T03-00-00"


def test_run_that_airflow_starts_takes_what_is_new(dagbag: DagBag) -> None:
    for how in ("_scheduled", "_arrivals"):
        assert settled(dagbag.dags[f"textbook_reasoning{how}"]).settings == {"discover_books": {"only_new": True}}


def test_fields_of_single_stages_reach_them_and_settings_go_before(dag: DAG) -> None:
    run = settled(
        dag,
        engine="endpoint",
        url="http://a/v1",
        model="small",
        model_refine_qa="large @ http://b/v1",
        model_judge_cot="large",
        embedder="endpoint",
        embedding_model="bge @ http://c/v1",
        standards=["high"],
        settings={"judge_cot": {"engine": {"model": "other"}}},
    )
    assert run.settings == {
        "extract_qa": {"standards": ["high"]},
        "refine_qa": {"engine": {"model": "large", "url": "http://b/v1"}},
        "judge_cot": {"engine": {"model": "other"}},
    }
    assert run.embedder == {"kind": "endpoint", "model": "bge", "url": "http://c/v1"}
    discover = TEXTBOOK_REASONING.stage("discover_books")
    command = stage_command(discover, run, told(discover, {}, run))
    assert '--set=refine_qa.engine={"model": "large", "url": "http://b/v1"}' in command


@pytest.mark.parametrize(
    "told, says",
    [
        ({"root": ""}, "no Root"),
        ({"textbooks": None}, "no Textbooks"),
        ({"recompute": ["judge_cot"], "stages": ["refine_qa"]}, "Recompute names judge_cot"),
        ({"url": "http://a/v1"}, "url is given, but rules ask no model"),
        ({"model_refine_qa": "large"}, "model_refine_qa is given, but rules ask no model"),
        ({"embedding_model": "bge"}, "an Embedding model is given"),
    ],
)
def test_fields_that_contradict_each_other_are_refused_in_one_line(dag: DAG, told: dict[str, Any], says: str) -> None:
    params = {**dag.params.dump(), "root": "/data", "textbooks": "/books", **told}
    run = SimpleNamespace(partition_key=None)
    with pytest.raises(AirflowFailException, match=says) as refused:
        run_settings({"params": params, "dag_run": run})  # type: ignore[typeddict-item]
    assert len(str(refused.value).splitlines()) == 1


def test_partition_key_that_cannot_name_a_batch_is_refused(dag: DAG) -> None:
    with pytest.raises(AirflowFailException, match="'../etc' cannot name a batch"):
        settled(dag, {"partition_key": "../etc"})


def test_form_of_runs_that_airflow_starts_has_all_lanes_and_waits_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEGASCIENCE_LANES", "4")
    monkeypatch.setenv("MEGASCIENCE_APPROVE", "true")
    by_itself, by_hand = (trigger_form(TEXTBOOK_REASONING, by_hand=by_hand) for by_hand in (False, True))
    assert (by_itself["lanes"].value, by_hand["lanes"].value) == (4, 1)
    assert by_itself["approve"].value is by_hand["approve"].value is True
