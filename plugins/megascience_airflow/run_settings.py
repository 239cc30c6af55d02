"""What one DAG run was told: read from its trigger form in one place, and turned into a stage's command in another."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from megascience_airflow.params import BATCH, MODEL_FIELD, STANDARDS
from megascience_airflow.pod_settings import pod_settings
from megascience_ops.config import merged
from megascience_ops.recipe import recipe

if TYPE_CHECKING:
    from airflow.sdk import Context

    from megascience_ops.stage import Stage

Told = Mapping[str, Mapping[str, Any]]
RUN_TIME = "%Y-%m-%dT%H-%M-%S"


@dataclass(frozen=True)
class RunSettings:
    """The fields of the trigger form (see `params.py`) under their own names. `stages` and `recompute` name stages.

    `settings` is what single stages are told, by stage; the fields that concern a single stage are in it.
    """

    recipe: str
    root: str
    batch: str
    textbooks: str | None
    engine: str
    url: str | None
    model: str | None
    limit: int | None
    lanes: int
    stages: tuple[str, ...]
    recompute: tuple[str, ...]
    gate: str
    embedder: Mapping[str, str]
    settings: Mapping[str, Mapping[str, Any]]


def run_settings(context: Context) -> RunSettings:
    """The settings of the run that `context` belongs to. The batch is the partition key, the form's, or the run's time.

    Raises AirflowFailException, in one line, on what no stage could make sense of.
    """
    params, run = context["params"], context["dag_run"]
    batch = getattr(run, "partition_key", None) or params["batch"] or run.run_after.strftime(RUN_TIME)
    _refuse_nonsense(params, batch)
    return RunSettings(
        recipe=params["recipe"],
        root=params["root"],
        batch=batch,
        textbooks=params["textbooks"] or None,
        engine=params["engine"],
        url=params["url"] or None,
        model=params["model"] or None,
        limit=None if params["limit"] is None else int(params["limit"]),  # JSON's 1.0 is an integer, too
        lanes=int(params["lanes"]),
        stages=tuple(params["stages"]),
        recompute=tuple(params["recompute"]),
        gate=params["gate"],
        embedder={"kind": params["embedder"], **_who(params["embedding_model"])},
        settings=_by_stage(params),
    )


def told(stage: Stage, own: Mapping[str, Any], run: RunSettings) -> Told:
    """What stages are told, by stage: by the kind of its pod, before that by the DAG, before that by the trigger form.

    `own` is what the DAG tells `stage`. What the others are told goes along, so that the first of them refuses what a
    later one would stumble over.
    """
    pods, found = pod_settings(), {}
    for name in recipe(run.recipe).names:
        kind = pods.kind(name) if pods else None
        settings = kind.told(run.engine, run.embedder["kind"]) if kind else {}
        settings = merged(settings, own if name == stage.name else {})
        found[name] = merged(settings, run.settings.get(name, {}))
    return found


def stage_command(
    stage: Stage, run: RunSettings, told: Told, lane: int = 0, lanes: int = 1, *, python: str = sys.executable
) -> list[str]:
    """The command that brings a lane of `stage` up to date, as a list of arguments, for the Python named."""
    command = [python, "-m", "megascience_ops", "stage", stage.name]
    options = {
        "root": run.root,
        "batch": run.batch,
        "recipe": run.recipe,
        "textbooks": run.textbooks,
        "engine": run.engine,
        "url": run.url,
        "model": run.model,
        "limit": run.limit,
    }
    if lanes > 1:
        options |= {"lane": lane, "lanes": lanes}
    command += [f"--{option}={value}" for option, value in options.items() if value is not None]
    command += [f"--set=gate={json.dumps(run.gate)}"]
    command += [f"--set=embedder.{name}={json.dumps(value)}" for name, value in run.embedder.items()]
    for name, settings in told.items():
        command += [f"--set={name}.{setting}={json.dumps(value)}" for setting, value in settings.items()]
    return command + ["--recompute"] * (stage.name in run.recompute)


def _by_stage(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What single stages are told, from the fields that concern one; what `settings` says goes before them."""
    told: dict[str, dict[str, Any]] = {}
    for field in params:
        if field.startswith(MODEL_FIELD) and params[field]:
            told[field.removeprefix(MODEL_FIELD)] = {"engine": _who(params[field])}
    if sorted(params["standards"]) != sorted(STANDARDS):
        told.setdefault("extract_qa", {})["standards"] = params["standards"]
    if params["only_new"]:
        told["discover_books"] = {"only_new": True}
    return {name: {**told.get(name, {}), **params["settings"].get(name, {})} for name in {**told, **params["settings"]}}


def _who(said: str | None) -> dict[str, str]:
    """`name`, or `name @ http://server/v1`, as settings of an engine."""
    model, at, url = (said or "").partition(" @ ")
    return ({"model": model} if model else {}) | ({"url": url} if at else {})


def _refuse_nonsense(params: Mapping[str, Any], batch: str) -> None:
    """Raises AirflowFailException on fields that contradict each other, naming the fields and what to do."""
    stages, recompute = set(params["stages"]), set(params["recompute"])
    given = {field: params[field] for field in ("url", "model") if params[field]}
    wrong = {field for field, value in given.items() if value != os.environ.get(f"MEGASCIENCE_{field.upper()}")}
    models = [field for field in params if field.startswith(MODEL_FIELD) and params[field]]
    if not params["root"]:
        raise AirflowFailException("no Root: fill it in, or set $MEGASCIENCE_ROOT where Airflow's parts are started")
    if not params["textbooks"] and stages & {"discover_books", "digitize_books"}:
        raise AirflowFailException("no Textbooks: fill in where they are, or set $MEGASCIENCE_TEXTBOOKS")
    if not re.fullmatch(BATCH, batch):
        raise AirflowFailException(f"{batch!r} cannot name a batch: letters, digits, dot, hyphen, underscore")
    if extra := sorted(recompute - stages):
        raise AirflowFailException(f"Recompute names {', '.join(extra)}, which is not among the Stages to run: add it")
    if params["engine"] == "rules" and (wrong or models):
        field = sorted([*wrong, *models])[0]
        raise AirflowFailException(f"{field} is given, but rules ask no model: choose another Engine, or empty {field}")
    if params["embedder"] == "rules" and params["embedding_model"]:
        raise AirflowFailException("an Embedding model is given, but rules use none: choose another Embedder")
