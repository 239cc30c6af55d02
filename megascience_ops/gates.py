"""Gates between stages: does a stage keep as much as such stages do, and could what was answered be read?

A share is judged by its confidence interval, so that a handful of rows trips no gate by chance.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import sqrt

from megascience_ops.config import AskingConfig, Gate, StageConfig
from megascience_ops.contamination.measuring import PLANTED
from megascience_ops.errors import ContractError
from megascience_ops.receipts import PartFacts

log = logging.getLogger(__name__)

BANDS: dict[str, tuple[float, float]] = {
    # of the rows that come in, the share kept, as MegaScience published it (arXiv 2507.16812, tables 1 and 2): over
    # all books, then the lowest and the highest subject. The bands leave room beyond those.
    "extract_qa": (0.03, 1.0),  # 13.3% of passages; 4.1% (economics) to 63% (mathematics), untriaged
    "dedup_questions": (0.40, 1.0),  # 81.2%; 55% (chemistry) to 92% (economics)
    "refine_qa": (0.90, 1.0),  # 94.9% through refining, reasoning and filtering together
    "judge_cot": (0.95, 1.0),
    "distill_cot": (0.95, 1.0),
    "filter_qa": (0.85, 1.0),
    "judge_contamination": (0.60, 0.9995),  # 89.4%; 75% (biology) to 96% (mathematics). All of many: was any compared?
}
DEVIATIONS = 2.576  # of a normal distribution: an interval that holds the share in 99% of cases
FEW_UNREAD = 3  # so many unread rows never fail a stage: a share of a handful says nothing
EARLY_ROWS = 1000  # the first of a stage by which its unread answers may be judged before it has ended


def check(stage: str, config: StageConfig, parts: Sequence[PartFacts]) -> list[str]:
    """What the gates have to say of a stage, a sentence each; none where all is well.

    Raises ContractError where a gate is set to stop the run.
    """
    rows, kept = sum(facts.rows_in for facts in parts), sum(facts.rows_kept for facts in parts)
    planted = sum(n for facts in parts for reason, n in facts.reasons.items() if reason.startswith(PLANTED))
    said = [_passed(config.gate, _of_yield(stage, config, rows - planted, kept))]
    if isinstance(config, AskingConfig):
        unread = sum(facts.unread for facts in parts)
        if unread > max(FEW_UNREAD, config.max_unread * rows):
            said.append(_passed(config.unread_gate, _of_unread(stage, config, f"{unread:,} of {rows:,} rows")))
    return [sentence for sentence in said if sentence]


class EarlyWatch:
    """Counts answers that could not be read while a stage goes on, and stops it when its budget is surely exceeded."""

    def __init__(self, stage: str, config: StageConfig) -> None:
        self._stage, self._config = stage, config
        self._rows = self._unread = 0

    def decided(self, unread: bool) -> None:
        """One more row is decided. Raises ContractError where going on would only burn GPU hours."""
        self._rows += 1
        self._unread += unread
        config = self._config
        if not unread or self._rows < EARLY_ROWS or not isinstance(config, AskingConfig):
            return
        if config.unread_gate == "stop" and interval(self._unread, self._rows)[0] > config.max_unread:
            so_far = f"{self._unread:,} of the first {self._rows:,} rows"
            raise ContractError(_of_unread(self._stage, config, so_far))


def interval(some: int, of: int) -> tuple[float, float]:
    """Between which shares the true one lies, if `some` of `of` were seen (Wilson's score interval, 99%)."""
    if not of:
        return 0.0, 1.0
    share, z2 = some / of, DEVIATIONS**2
    middle, width = share + z2 / (2 * of), DEVIATIONS * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, (middle - width) / (1 + z2 / of)), min(1.0, (middle + width) / (1 + z2 / of))


def _of_yield(stage: str, config: StageConfig, rows: int, kept: int) -> str:
    """What is wrong with the share kept, or nothing."""
    band = config.band or BANDS.get(stage)
    if not band:
        return ""
    lowest, highest = interval(kept, rows)
    side = "below" if highest < band[0] else "above" if lowest > band[1] else ""
    if not side:
        return ""
    return (
        f"{stage}: {kept:,} of {rows:,} rows kept, {side} the band of {band[0]:.4g} to {band[1]:.4g}: look at its rows "
        f"and asides; if they are right, set stages.{stage}.band, or stages.{stage}.gate=off"
    )


def _of_unread(stage: str, config: AskingConfig, so_many: str) -> str:
    return (
        f"{stage}: {so_many} ended unread, more than {config.max_unread:.0%}: look at the aside rows, mend the prompt "
        f"or the model, or raise stages.{stage}.max_unread"
    )


def _passed(gate: Gate, sentence: str) -> str:
    """What is left to say of it once the gate has done as it is set."""
    if not sentence or gate == "off":
        return ""
    if gate == "stop":
        raise ContractError(sentence)
    log.warning("%s", sentence)
    return sentence
