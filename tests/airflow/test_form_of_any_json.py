"""The trigger form under any JSON: a field refuses it, the first task names it, or the command takes it; no traceback."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from megascience_airflow.run_settings import run_settings, stage_command, told
from megascience_ops.cli import _parser
from megascience_ops.errors import ContractError
from megascience_ops.flags import settings as settings_of
from megascience_ops.recipes import TEXTBOOK_REASONING

if TYPE_CHECKING:
    from airflow.sdk import DAG

STAGES = TEXTBOOK_REASONING.names
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from([*STAGES, "engine", "attempts", "max_unread", "a @ http://b/v1", "rules", "--x", "="]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_form_takes_any_json_or_names_what_is_wrong(dag: DAG, data: st.DataObject) -> None:
    fields = [name for name in dag.params if name != "recipe"]
    given_values = data.draw(st.dictionaries(st.sampled_from(fields), VALUES, max_size=4))
    params: dict[str, Any] = {**dag.params.dump(), "root": "/data", "textbooks": "/books"}
    for name, value in given_values.items():
        try:
            params[name] = copy(dag.params.get_param(name)).resolve(value)
        except ParamValidationError:
            continue
    run = SimpleNamespace(partition_key=None, run_after=datetime(2026, 11, 20, tzinfo=UTC))
    try:
        found = run_settings({"params": params, "dag_run": run})  # type: ignore[typeddict-item]
        stage = TEXTBOOK_REASONING.stages[6]
        command = stage_command(stage, found, told(stage, {}, found))
    except AirflowFailException as error:
        assert "\n" not in str(error)
        return
    try:
        settings_of(_parser("stage").parse_args(command[3:]))
    except ContractError as error:
        assert "\n" not in str(error)
