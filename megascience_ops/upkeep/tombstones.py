"""The marks that books leave which were taken down."""

from __future__ import annotations

from megascience_ops.storage import Store


def mark_path(recipe: str, book: str) -> str:
    """Where it is said that a book (by its id) was taken down."""
    return f"{_folder(recipe)}/{book}.json"


def taken_down(store: Store, recipe: str) -> set[str]:
    """The ids of all books that were taken down."""
    return {name.removesuffix(".json") for name in store.names(_folder(recipe))}


def _folder(recipe: str) -> str:
    return f"index/{recipe}/takedowns"
