"""Alerts: what is sent where, and that a dead address harms nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from megascience_airflow.alerts import deadline, failed, late
from tests.chat import chat


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a chat would have got."""
    with chat() as (address, told):
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("MEGASCIENCE_ALERT_URL", address)
        yield told


def test_alerts_name_the_run(received: list[Any]) -> None:
    failed({"dag_run": SimpleNamespace(dag_id="textbook_reasoning", run_id="r1")})
    late({"dag_run": {"dag_id": "textbook_reasoning_scheduled", "dag_run_id": "r2"}})
    assert received == [
        {"text": "textbook_reasoning r1 has failed"},
        {"text": "textbook_reasoning_scheduled r2 is late, and goes on"},
    ]


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9/", "no address"])
def test_alert_that_cannot_be_sent_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str | None
) -> None:
    if url:
        monkeypatch.setenv("MEGASCIENCE_ALERT_URL", url)
    failed({"dag_run": {"dag_id": "d", "run_id": "r"}})
    assert "d r has failed" in caplog.text
    assert ("could not be sent" in caplog.text) == bool(url)


def test_deadline_is_set_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert deadline() is None
    monkeypatch.setenv("MEGASCIENCE_DEADLINE_HOURS", "6")
    alert = deadline()
    assert alert is not None and alert.interval == timedelta(hours=6)
