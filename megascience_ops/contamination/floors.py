"""Below which similarity no model is asked: by embedding model, as bench/decontaminate.py measured it.

What is near for one model is far for another, so a floor belongs to a model. The figure is the highest, in steps of
0.05, that keeps 99% of the altered benchmark questions of each kind, less 0.2: people reword more freely than rules.
"""

from __future__ import annotations

from collections.abc import Mapping

FLOORS = {
    "lexical": 0.4,
    "all-MiniLM-L6-v2": 0.5,
}
UNMEASURED = 0.0


def floor_of(identity: Mapping[str, str]) -> float:
    """The measured floor of the embedder with this identity; `UNMEASURED` lets nearly all neighbours be asked about."""
    if identity.get("kind") in ("rules", "scripted"):
        return FLOORS["lexical"]
    model = identity.get("model", "").rstrip("/").rpartition("/")[2]
    return FLOORS.get(model, UNMEASURED)
