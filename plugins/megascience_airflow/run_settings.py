"""What one DAG run was told: read from its trigger form in one place, and turned into a stage's command in another."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

    from megascience_ops.stage import Stage


@dataclass(frozen=True)
class RunSettings:
    """The fields of the trigger form (see `params.py`) under their own names. `stages` and `recompute` name stages."""

    recipe: str
    root: str
    batch: str
    textbooks: str | None
    engine: str
    url: str | None
    model: str | None
    limit: int | None
    stages: tuple[str, ...]
    recompute: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]


def run_settings(context: Context) -> RunSettings:
    """The settings of the run that `context` belongs to: recipe and DAG have one name, a partition key is the batch."""
    params = context["params"]
    return RunSettings(
        recipe=context["dag"].dag_id,
        root=params["root"],
        batch=getattr(context["dag_run"], "partition_key", None) or params["batch"],
        textbooks=params["textbooks"] or None,
        engine=params["engine"],
        url=params["url"] or None,
        model=params["model"] or None,
        limit=params["limit"],
        stages=tuple(params["stages"]),
        recompute=tuple(params["recompute"]),
        settings=params["settings"],
    )


def stage_command(stage: Stage, run: RunSettings, told: Mapping[str, Any]) -> list[str]:
    """The command that brings `stage` up to date, as a list of arguments; `told` are the stage's own settings."""
    command = [sys.executable, "-m", "megascience_ops", "stage", stage.name]
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
    command += [f"--{option}={value}" for option, value in options.items() if value is not None]
    command += [f"--set={stage.name}.{name}={json.dumps(value)}" for name, value in told.items()]
    return command + ["--recompute"] * (stage.name in run.recompute)
