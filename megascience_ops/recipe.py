"""A recipe is an ordered set of stages: one DAG."""

from __future__ import annotations

from dataclasses import dataclass

from megascience_ops.config import Settings, nearest
from megascience_ops.errors import ContractError
from megascience_ops.stage import Stage


@dataclass(frozen=True)
class Recipe:
    """Stages in the order in which rows flow through them."""

    name: str
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage:
        """The stage of that name. Raises ContractError with the likely one."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ContractError(f"{self.name} has no stage {name}{nearest(name, self.names)}")

    def before(self, name: str) -> Stage | None:
        """The stage whose rows this one reads, or None for the first."""
        place = self.stages.index(self.stage(name))
        return self.stages[place - 1] if place else None

    @property
    def names(self) -> list[str]:
        return [stage.name for stage in self.stages]

    def check(self, settings: Settings) -> None:
        """Raises ContractError where the settings name a stage or a setting that does not exist."""
        for name in settings.stages:
            self.stage(name)
        for stage in self.stages:
            settings.of(stage.name, stage.config)


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises ContractError with those there are."""
    from megascience_ops.recipes import RECIPES

    if name not in RECIPES:
        raise ContractError(f"no recipe {name}{nearest(name, list(RECIPES))}")
    return RECIPES[name]
