"""Telling people, outside of Airflow too, that a run has failed or is late."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

log = logging.getLogger(__name__)

SECONDS = 10.0


def deadline() -> DeadlineAlert | None:
    """Where $MEGASCIENCE_DEADLINE_HOURS is set: a run that has not ended so long after it was queued is late."""
    hours = os.environ.get("MEGASCIENCE_DEADLINE_HOURS")
    if not hours:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=float(hours)),
        callback=SyncCallback(late),
    )


def failed(context: Mapping[str, Any]) -> None:
    """For `on_failure_callback`: say which run has failed."""
    tell(f"{_name(context)} has failed")


def late(context: Mapping[str, Any]) -> None:
    """For a deadline: say which run is late."""
    tell(f"{_name(context)} is late, and goes on")


def tell(text: str) -> None:
    """Log it, and post it as JSON, {"text": ...}, to $MEGASCIENCE_ALERT_URL, as chats and alert managers take it.

    That nobody takes it is logged: an alert never changes how a run ends.
    """
    log.error("%s", text)
    if not (url := os.environ.get("MEGASCIENCE_ALERT_URL")):
        return
    import urllib.request

    try:
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SECONDS):
            return
    except (OSError, ValueError) as error:
        log.error("the alert could not be sent: %s", error)


def _name(context: Mapping[str, Any]) -> str:
    """The run, as a person looks for it; callbacks get it as an object or as what the API says of it."""
    run = context["dag_run"]
    said = run if isinstance(run, Mapping) else vars(run)
    return f"{said.get('dag_id')} {said.get('run_id') or said.get('dag_run_id')}"
