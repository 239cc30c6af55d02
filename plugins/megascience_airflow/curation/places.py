"""Which roots and batches the page may look into: those that the configuration or a run of the DAG names."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import select

from megascience_airflow.run_settings import RUN_TIME
from megascience_ops import batch as batches
from megascience_ops.errors import ContractError
from megascience_ops.recipe import Recipe, recipe
from megascience_ops.recipes import RECIPES
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

RUNS = 200  # the newest of a DAG, of which the roots may be looked into
ROOT_VARIABLE = "MEGASCIENCE_ROOT"


@dataclass(frozen=True)
class Place:
    """A batch on storage: the recipe that makes it, the store it lies in, its name."""

    recipe: Recipe
    store: Store
    batch: str


def recipe_of(session: Session, dag_id: str) -> Recipe:
    """The recipe that a DAG runs, as its form says; or of its name. Raises ContractError for another DAG."""
    name = str(_defaults(session, dag_id).get("recipe") or dag_id)
    if name not in RECIPES:
        raise ContractError(f"{dag_id} is no DAG of a recipe; there are {', '.join(RECIPES)}")
    return recipe(name)


def roots(session: Session, dag_id: str) -> dict[str, str]:
    """The roots there are, by the key under which a browser names them; the one of the configuration comes first."""
    named = [os.environ.get(ROOT_VARIABLE), _defaults(session, dag_id).get("root")]
    newest = select(DagRun.conf).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(RUNS)
    named += [(conf or {}).get("root") for conf in session.scalars(newest)]
    return {key(root): root for root in named if isinstance(root, str) and root}


def key(root: str) -> str:
    """How a browser names a root: it never names a path."""
    return hashlib.sha256(root.encode()).hexdigest()[:12]


def of_run(session: Session, dag_id: str, run_id: str) -> tuple[str, str]:
    """Root and batch of a run. Raises ContractError where there is no such run, or it names no root."""
    run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    if run is None:
        raise ContractError(f"{dag_id} has no run {run_id}")
    told = {**_defaults(session, dag_id), **(run.conf or {})}
    if not told.get("root"):
        raise ContractError(f"run {run_id} names no root, and {ROOT_VARIABLE} is not set for the API server")
    return str(told["root"]), run.partition_key or str(told.get("batch") or run.run_after.strftime(RUN_TIME))


def place(session: Session, dag_id: str, root: str, batch: str) -> Place:
    """The batch of this name under the root of this key. Raises ContractError where either is not known."""
    there = roots(session, dag_id)
    if root not in there:
        raise ContractError(f"no run of {dag_id} names a root {root}")
    flow, store = recipe_of(session, dag_id), opened(there[root])
    if batch not in batches.batches(store, flow.name):
        raise ContractError(f"there is no batch {batch}")
    return Place(flow, store, batch)


@lru_cache(maxsize=32)
def opened(root: str) -> Store:
    """The store of a root; a folder that is not there is not made."""
    return Store(root, must_exist=True)


def _defaults(session: Session, dag_id: str) -> dict[str, Any]:
    """What the DAG's form says where nobody fills it in."""
    dag = SerializedDagModel.get_dag(dag_id, session=session)
    return dict(dag.params.dump()) if dag else {}
