"""An Airflow of its own for these tests: a home in a temporary folder, our DAGs and plugins, no examples."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

REPOSITORY = Path(__file__).parents[2]
HOME = tempfile.mkdtemp(prefix="airflow-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

# before the first import of airflow, which reads them once
os.environ.update(
    AIRFLOW_HOME=HOME,
    AIRFLOW__CORE__DAGS_FOLDER=str(REPOSITORY / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(REPOSITORY / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
)
for name in [name for name in os.environ if name.startswith("MEGASCIENCE_") or name == "OPENAI_API_KEY"]:
    os.environ.pop(name, None)
sys.path.insert(0, str(REPOSITORY / "plugins"))  # as Airflow does at its start


@pytest.fixture(scope="session")
def dagbag() -> DagBag:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(REPOSITORY / "dags"))


@pytest.fixture(scope="session")
def dag(dagbag: DagBag) -> DAG:
    return dagbag.dags["textbook_reasoning"]


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's own database, made once for all tests that run a DAG."""
    from airflow.utils.db import initdb

    initdb()
