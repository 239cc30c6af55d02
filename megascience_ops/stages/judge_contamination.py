"""judge_contamination: is one of the neighbours the same question?

Asked one by one, nearest first, until the first YES; or about all of them together, with a verdict on each. A verdict
that cannot be read is no verdict: the row is aside, and never slips through.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Literal

from pydantic import Field

from megascience_ops import parsing
from megascience_ops.config import JudgingConfig
from megascience_ops.prompts import Prompt, prompt
from megascience_ops.rows import ClearedQA, Neighbour, NeighbouredQA
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

JUDGE = {
    "reasoned": prompt("judge_contamination", parsing.decision, "QUESTION", "CANDIDATE"),
    "brief": prompt("judge_contamination_brief", parsing.brief_decision, "QUESTION", "CANDIDATE"),
}
READ_TOGETHER = {"reasoned": parsing.decisions, "brief": parsing.brief_decisions}


@cache
def judge_together(decisions: str, count: int) -> Prompt[list[bool]]:
    """The prompt about so many candidates at once; an answer without a verdict on each of them is unread."""
    name = {"reasoned": "judge_contamination_together", "brief": "judge_contamination_together_brief"}[decisions]
    return prompt(name, READ_TOGETHER[decisions](count), "QUESTION", "CANDIDATES")


TOGETHER = tuple(judge_together(decisions, 2) for decisions in READ_TOGETHER)


class Config(JudgingConfig):
    """`floor`: cosine similarity below which a neighbour is not asked about.

    `neighbours`: `one_by_one` asks about each of them until the first YES, `together` about all of them at once.
    """

    floor: float = Field(default=0.5, ge=-1, le=1)
    neighbours: Literal["one_by_one", "together"] = "one_by_one"


async def run(qa: NeighbouredQA, ask: Ask, config: Config) -> Outcome:
    """The row, cleared; or aside, with the benchmark question that it is."""
    nearest = [near for near in qa.neighbours if near.similarity >= config.floor]
    judge = judged_together if config.neighbours == "together" and len(nearest) > 1 else judged_one_by_one
    if same := await judge(qa.question, nearest, ask, config):
        return Aside("contaminated", f"{same.id}, similarity {same.similarity:.2f}")
    kept = {name: getattr(qa, name) for name in ClearedQA.model_fields if name != "decontaminated"}
    return ClearedQA(**kept, decontaminated=qa.n_benchmarks > 0)


async def judged_one_by_one(question: str, nearest: Sequence[Neighbour], ask: Ask, config: Config) -> Neighbour | None:
    """The first that is the same question; those after it are not asked about."""
    for near in nearest:
        if await ask(JUDGE[config.decisions], QUESTION=question, CANDIDATE=near.question):
            return near
    return None


async def judged_together(question: str, nearest: Sequence[Neighbour], ask: Ask, config: Config) -> Neighbour | None:
    """The nearest that is the same question, by one answer about all of them."""
    prompt = judge_together(config.decisions, len(nearest))
    verdicts = await ask(prompt, QUESTION=question, CANDIDATES=candidates([near.question for near in nearest]))
    return next((near for near, same in zip(nearest, verdicts, strict=True) if same), None)


def candidates(questions: Sequence[str]) -> str:
    """Numbered questions; all lines of a question are indented, so that none can pass for the next number."""
    return "\n".join(
        f"Candidate {number}:\n{textwrap.indent(question, '  ', lambda line: True)}"
        for number, question in enumerate(questions, 1)
    )


STAGE = RowStage("judge_contamination", NeighbouredQA, ClearedQA, run, Config, (*JUDGE.values(), *TOGETHER))
