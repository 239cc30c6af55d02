"""What Airflow knows of the data: the textbooks that land, and the datasets that are published."""

from __future__ import annotations

import os

from airflow.sdk import Asset, AssetWatcher

from megascience_airflow.watching import NewTextbooks
from megascience_ops.recipe import Recipe

WATCH_SECONDS = 30.0


def textbooks() -> Asset:
    """The landing zone at $MEGASCIENCE_TEXTBOOKS, looked at every $MEGASCIENCE_WATCH_SECONDS.

    Where the variable is not set nobody looks, and only an event sent to Airflow's API says that books have come.
    """
    name = "textbooks"
    where = os.environ.get("MEGASCIENCE_TEXTBOOKS")
    if not where:
        return Asset(name)
    seconds = float(os.environ.get("MEGASCIENCE_WATCH_SECONDS") or WATCH_SECONDS)
    return Asset(name, watchers=[AssetWatcher(name="landing_zone", trigger=NewTextbooks(where, seconds))])


def dataset(recipe: Recipe) -> Asset:
    """The dataset of a recipe: each batch is a partition, and an event of its own with rows and path."""
    return Asset(f"{recipe.name}_dataset")
