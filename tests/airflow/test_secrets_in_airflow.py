"""A planted key in an Airflow connection: no table of Airflow's database, log or file of the root has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.quoting_model import QuotingModel

if TYPE_CHECKING:
    from airflow.sdk import DAG

CANARY = "sk-canary-5b1e77d20c9f"
BOOKS = Path(__file__).parents[1] / "river" / "textbooks"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[QuotingModel]:
    connection = {"conn_type": "http", "password": CANARY}
    monkeypatch.setenv("AIRFLOW_CONN_MEGASCIENCE_ENDPOINT", json.dumps(connection))
    with QuotingModel("Analysis: fine.\nSubject: physics\nLevel: undergraduate").serving() as quoting:
        yield quoting


def test_key_of_a_connection_is_told_nowhere_in_airflow(
    database: None, dag: DAG, model: QuotingModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = {"engine": "endpoint", "url": model.url, "model": "quoting"}
    stages = {"stages": ["discover_books", "screen_books", "classify_books"], "recompute": []}
    told = {"textbooks": str(BOOKS), "root": str(tmp_path), "batch": "secret", **asked, **stages}
    dag.test(run_conf=told)
    assert model.keys
    assert set(model.keys) == {f"Bearer {CANARY}"}
    out = capfd.readouterr()
    written = {**tables(), **files(tmp_path), "stdout": out.out, "stderr": out.err}
    assert {"xcom", "rendered_task_instance_fields"} <= set(written)
    assert "classify_books" in written["rendered_task_instance_fields"]
    assert [where for where, text in written.items() if CANARY in text] == []


def tables() -> dict[str, str]:
    """Everything in Airflow's database, by table."""
    from airflow.settings import engine
    from sqlalchemy import text

    with engine.connect() as connection:
        names = [row[0] for row in connection.execute(text("select name from sqlite_master where type = 'table'"))]
        return {name: str(connection.execute(text(f'select * from "{name}"')).all()) for name in names}


def files(root: Path) -> dict[str, str]:
    """Every file of the root, Parquet unpacked."""
    import pyarrow.parquet as pq

    found = {}
    for file in root.rglob("*"):
        if file.suffix == ".parquet":
            found[str(file)] = str(pq.read_table(file).to_pylist())
        elif file.is_file():
            found[str(file)] = file.read_text(encoding="utf-8")
    return found
