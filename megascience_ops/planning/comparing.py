"""Ways of asking the same, side by side: what each would take, from this project's prompts and published yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from megascience_ops.config import Settings
from megascience_ops.planning.assuming import CACHING, PUBLISHED_YIELDS, Passages, Serving, assumed
from megascience_ops.planning.costing import SPEEDS, Cost, Speed, total

ROWS = 1_000  # published, for which the table is made
SPEED = SPEEDS[80]  # only the ratio of its two numbers matters here
JUDGING = ("judge_cot", "filter_qa", "judge_contamination", "distill_cot")
FLOOR = {"judge_contamination": {"floor": 0.5}}
NO_FLOOR = {"judge_contamination": {"floor": -1.0}}
REASONED: Mapping[str, Mapping[str, Any]] = {stage: {"decisions": "reasoned"} for stage in JUDGING}
BRIEF: Mapping[str, Mapping[str, Any]] = {stage: {"decisions": "brief"} for stage in JUDGING}
TOGETHER = {"judge_contamination": {"neighbours": "together"}}
ONE_BY_ONE = {"judge_contamination": {"neighbours": "one_by_one"}}


@dataclass(frozen=True)
class Way:
    """One way of asking, and of serving what is asked."""

    name: str
    stages: tuple[Mapping[str, Mapping[str, Any]], ...]
    serving: Serving = CACHING


WAYS = (
    Way("reasoned, one by one", (REASONED, ONE_BY_ONE, NO_FLOOR)),
    Way("- without a prefix cache", (REASONED, ONE_BY_ONE, NO_FLOOR), Serving(cache=False)),
    Way("- siblings dealt over four servers", (REASONED, ONE_BY_ONE, NO_FLOOR), Serving(servers=4)),
    Way("+ similarity floor", (REASONED, ONE_BY_ONE, FLOOR)),
    Way("+ together", (REASONED, TOGETHER, NO_FLOOR)),
    Way("+ brief", (BRIEF, ONE_BY_ONE, NO_FLOOR)),
    Way("+ floor, together", (REASONED, TOGETHER, FLOOR)),
    Way("+ floor, brief", (BRIEF, ONE_BY_ONE, FLOOR)),
    Way("+ floor, together, brief", (BRIEF, TOGETHER, FLOOR)),
)


@dataclass(frozen=True)
class Compared:
    """What a way takes for 1,000 published rows; `relative`: its time on the same GPUs, the first way being 1."""

    name: str
    cost: Cost
    relative: float


def compare(settings: Settings, speed: Speed | None = None) -> list[Compared]:
    """Each of `WAYS`, on settings that are otherwise these."""
    passages = Passages(chunks=ROWS / prod(PUBLISHED_YIELDS.values()))
    costs = [total(assumed(_told(settings, way), passages, way.serving)) for way in WAYS]
    seconds = [cost.seconds(speed or SPEED) for cost in costs]
    return [Compared(way.name, cost, took / seconds[0]) for way, cost, took in zip(WAYS, costs, seconds, strict=True)]


def _told(settings: Settings, way: Way) -> Settings:
    stages: dict[str, dict[str, Any]] = {name: dict(values) for name, values in settings.stages.items()}
    for one in way.stages:
        for name, values in one.items():
            stages[name] = {**stages.get(name, {}), **values}
    return settings.model_copy(update={"stages": stages})
