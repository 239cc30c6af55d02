"""A planted key in an Airflow connection: no table of Airflow's database, log or file of the root has it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

CANARY = "sk-canary-5b1e77d20c9f"
BOOKS = Path(__file__).parents[1] / "river" / "textbooks"


class Quoting(BaseHTTPRequestHandler):
    """A model that says the key aloud, and every third time refuses with it."""

    keys: list[str] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Authorization"]
        Quoting.keys.append(key)
        status, said = 400, {"error": {"message": f"{key} may not say this"}}
        if len(Quoting.keys) % 3:
            text = "Analysis: fine.\nSubject: physics\nLevel: undergraduate"
            choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
            status, said = 200, {"model": body["model"], "choices": [choice], "usage": {}}
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    connection = {"conn_type": "http", "password": CANARY}
    monkeypatch.setenv("AIRFLOW_CONN_MEGASCIENCE_ENDPOINT", json.dumps(connection))
    Quoting.keys.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quoting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


def test_key_of_a_connection_is_told_nowhere_in_airflow(
    database: None, dag: DAG, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = {"engine": "endpoint", "url": url, "model": "quoting"}
    stages = {"stages": ["discover_books", "screen_books", "classify_books"], "recompute": []}
    told = {"textbooks": str(BOOKS), "root": str(tmp_path), "batch": "secret", **asked, **stages}
    dag.test(run_conf=told)
    assert Quoting.keys
    assert set(Quoting.keys) == {f"Bearer {CANARY}"}
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
