"""The marks that books leave which were taken down."""

from __future__ import annotations


def mark_path(recipe: str, book: str) -> str:
    """Where it is said that a book (by its id) was taken down."""
    return f"index/{recipe}/takedowns/{book}.json"
