"""Puts the Curation page into Airflow's UI: in the navigation, and as a tab of DAGs, runs and task instances.

Every process of Airflow executes this file, tasks too, so what serves the page is imported by its first request.
"""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/curation"


async def page(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The page as an ASGI application. Imported beside the event loop: tasks wait for answers of the same server."""
    app = await asyncio.to_thread(_imported)
    await app(scope, receive, send)


def _imported() -> Any:
    from megascience_airflow.curation.app import app

    return app


def view(name: str, destination: str, href: str, **more: str) -> dict[str, str]:
    """A place in the UI where the page is shown; relative, so that it also works behind a base path."""
    route = f"curation-{destination.replace('_', '-')}" if destination != "nav" else "curation"
    return {"name": name, "destination": destination, "href": f"{PREFIX[1:]}/{href}", "url_route": route, **more}


class CurationPage(AirflowPlugin):
    """The page and its places."""

    name = "curation"
    fastapi_apps = [{"app": page, "url_prefix": PREFIX, "name": "Curation"}]
    external_views = [
        view("Curation", "nav", "", category="browse"),
        view("Curation", "dag", "?dag={DAG_ID}"),
        view("Curation", "dag_run", "?dag={DAG_ID}&run={RUN_ID}"),
        view("Rows", "task_instance", "?dag={DAG_ID}&run={RUN_ID}&task={TASK_ID}"),
    ]
