"""What stages cost: calls and tokens, and from these GPU-hours and money."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from megascience_ops.config import Prices, Settings
from megascience_ops.errors import ContractError
from megascience_ops.recipe import recipe

Source = Literal["receipt", "sample", "yield", "assumed"]


@dataclass(frozen=True)
class Speed:
    """Tokens a second on one GPU, with many requests under way: of prompts that are computed, and of answers."""

    prompt: float
    decode: float


# An assumption, not a measurement: one GPU of 80 GB, vLLM, many requests at once. By billions of active parameters.
SPEEDS = {
    1.6: Speed(60_000, 13_000),
    4.5: Speed(40_000, 9_000),
    9.5: Speed(25_000, 5_500),
    15: Speed(13_000, 2_900),
    35: Speed(6_000, 1_300),
    80: Speed(2_700, 600),
    250: Speed(1_000, 220),
    float("inf"): Speed(500, 110),
}

_ACTIVE = re.compile(r"(?<![A-Za-z0-9])[aA](\d+(?:\.\d+)?)[bB](?![A-Za-z0-9])")
_ALL = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)[bB](?![A-Za-z0-9])")


@dataclass(frozen=True)
class Cost:
    """What one stage takes: rows that come in, calls, and tokens; `cached` are those of the prompts not computed again.

    `source`: from a receipt, from a sample of rows, from the yield of a stage that has to see all rows, or assumed.
    `model` is the one that is asked.
    """

    stage: str
    rows: float
    calls: float = 0
    prompt_tokens: float = 0
    cached_tokens: float = 0
    completion_tokens: float = 0
    source: Source = "yield"
    model: str | None = None

    def __add__(self, other: Cost) -> Cost:
        """The same stage with more calls; the rows are the same rows."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in COUNTED}
        return Cost(self.stage, self.rows, **sums, source=self.source, model=self.model)

    def scaled(self, factor: float) -> Cost:
        """For so many times the rows."""
        more = {name: getattr(self, name) * factor for name in COUNTED}
        return Cost(self.stage, self.rows * factor, **more, source=self.source, model=self.model)

    def seconds(self, speed: Speed) -> float:
        """On one GPU of this speed."""
        return (self.prompt_tokens - self.cached_tokens) / speed.prompt + self.completion_tokens / speed.decode

    def money(self, prices: Prices) -> float:
        """In the currency of the prices."""
        return prices.of(self.prompt_tokens, self.cached_tokens, self.completion_tokens)


COUNTED = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens")


@dataclass(frozen=True)
class Estimate:
    """The cost of each stage, in order. `speed` is the one that was stated, None where it goes by the model's size."""

    costs: list[Cost]
    speed: Speed | None = None
    prices: Prices | None = None

    def total(self) -> Cost:
        """All stages together; rows of different stages are not added."""
        return total(self.costs)

    def gpu_hours(self, cost: Cost) -> float | None:
        """Of a stage; None where neither a speed is stated nor a model whose name tells its size."""
        speed = self.speed or (speed_of(cost.model) if cost.model else None)
        return cost.seconds(speed) / 3600 if speed else None if cost.calls else 0.0

    def all_gpu_hours(self) -> float | None:
        """Of all stages that ask; None where it is not known of one of them."""
        hours = [self.gpu_hours(cost) for cost in self.costs]
        return None if None in hours else sum(one for one in hours if one)

    def notes(self) -> list[str]:
        """What the figures rest on, a sentence each."""
        sources = {cost.source for cost in self.costs if cost.calls}
        said = {
            "receipt": "receipt: what the stage took, scaled to all textbooks.",
            "sample": "sample: a few rows went through the stage; their completions are kept for the run.",
            "assumed": "assumed: nobody was asked; yields as published for MegaScience, lengths of answers assumed.",
        }
        notes = [note for source, note in said.items() if source in sources]
        if empty := next((cost for cost in self.costs if cost.source == "sample" and not cost.rows), None):
            notes.append(f"{empty.stage}: no sampled row came as far, so the rest is empty; take more with --sample.")
        if self.all_gpu_hours() is None:
            notes.append("GPU-hours: not known; say --tokens-per-second, or --model with its size in the name.")
        elif not self.speed:
            notes.append("GPU-hours: assumed from the size of the model, for GPUs of 80 GB; say --tokens-per-second.")
        return notes

    def told(self) -> dict[str, Any]:
        """The estimate as JSON."""

        def one(cost: Cost) -> dict[str, Any]:
            values = {name: round(value) if isinstance(value, float) else value for name, value in asdict(cost).items()}
            return values | ({"money": round(cost.money(self.prices), 4)} if self.prices else {})

        stages = [{**one(cost), "gpu_hours": self.gpu_hours(cost)} for cost in self.costs]
        whole = {name: value for name, value in one(self.total()).items() if name in {*COUNTED, "money"}}
        return {"stages": stages, "total": {**whole, "gpu_hours": self.all_gpu_hours()}, "notes": self.notes()}


def total(costs: Iterable[Cost]) -> Cost:
    """The calls and tokens of all these stages."""
    found = Cost("total", 0)
    for cost in costs:
        found += cost
    return found


def speed_of(model: str) -> Speed | None:
    """The assumed speed of a model by the size in its name, such as `Qwen3-30B-A3B`; None where it has none."""
    sizes = _ACTIVE.findall(model) or _ALL.findall(model)
    return next(speed for size, speed in SPEEDS.items() if float(sizes[-1]) <= size) if sizes else None


def parse_speed(text: str) -> Speed:
    """`25000,5500` as a speed. Raises ContractError."""
    try:
        prompt, decode = (float(number) for number in text.split(","))
    except ValueError:
        prompt = decode = 0.0
    if prompt <= 0 or decode <= 0:
        raise ContractError(f"--tokens-per-second {text}: write tokens of prompts and of answers, such as 25000,5500")
    return Speed(prompt, decode)


def model_of(settings: Settings, stage: str) -> str | None:
    """The model that a stage asks, where its settings name one."""
    engine = getattr(settings.of(stage, recipe(settings.recipe).stage(stage).config), "engine", None)
    return engine.model if engine else None
