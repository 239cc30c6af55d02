"""judge_contamination: is one of the neighbours the same question?

A copy needs no asking. The others are asked about one by one, nearest first, until the first YES; or all of them
together, with a verdict on each. A verdict that cannot be read is no verdict: the row is aside, and never slips
through. Planted rows are judged like any other, counted by what became of them, and all of them set aside.
"""

from __future__ import annotations

import textwrap
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal

from pydantic import Field

from megascience_ops import parsing
from megascience_ops.config import JudgingConfig
from megascience_ops.contamination.measuring import PLANTED, measured, tally
from megascience_ops.errors import AnswerError
from megascience_ops.prompts import Prompt, prompt
from megascience_ops.rows import (
    ClearedQA,
    ClearedQuestion,
    Neighbour,
    NeighbouredQA,
    NeighbouredQuestion,
    Planted,
    Row,
)
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
    """`floor`: cosine similarity below which a neighbour is not asked about, in place of the one in the row.

    `neighbours`: `one_by_one` asks about each of them until the first YES, `together` about all of them at once.
    """

    floor: float | None = Field(default=None, ge=-1, le=1)
    neighbours: Literal["one_by_one", "together"] = "one_by_one"


def judging(writes: type[Row]) -> Callable[[NeighbouredQA | NeighbouredQuestion, Ask, Config], Awaitable[Outcome]]:
    """What decides a row, for a stage that writes rows of this type."""

    async def run(qa: NeighbouredQA | NeighbouredQuestion, ask: Ask, config: Config) -> Outcome:
        """The row, cleared; or aside, with the benchmark question that it is."""
        try:
            same = await same_question(qa, ask, config)
        except AnswerError as error:
            if qa.planted:
                return planted_aside(qa.planted, "unread", Aside.of(error))
            raise
        found = contaminated(qa.question, same) if same else None
        if qa.planted:
            caught = "caught" if qa.planted.same else "accused"
            passed = "missed" if qa.planted.same else "passed"
            return planted_aside(qa.planted, caught if same else passed, found or not_found(qa.question, qa.planted))
        if found:
            return found
        kept = {name: getattr(qa, name) for name in writes.model_fields if name != "decontaminated"}
        return writes.model_validate({**kept, "decontaminated": qa.n_benchmarks > 0})

    return run


async def same_question(qa: NeighbouredQA | NeighbouredQuestion, ask: Ask, config: Config) -> Neighbour | None:
    """The neighbour that is the row's question."""
    if copy := next((near for near in qa.neighbours if near.same), None):
        return copy
    nearest = [near for near in qa.neighbours if near.similarity >= asked_from(qa.floor, config)]
    judge = judged_together if config.neighbours == "together" and len(nearest) > 1 else judged_one_by_one
    return await judge(qa.question, nearest, ask, config)


def asked_from(floor: float, config: Config) -> float:
    """The similarity from which on a neighbour is asked about."""
    return floor if config.floor is None else config.floor


def contaminated(question: str, same: Neighbour) -> Aside:
    """The aside of a row that is a benchmark's question: which one, how it was found, and both texts."""
    how = {"words": "the same words", "part": "it stands in the question word by word", None: "judged to be the same"}
    detail = f"{same.id}, similarity {same.similarity:.2f}: {how[same.same]}"
    return Aside("contaminated", detail, part=both(question, same.question), tally=f"contaminated/{same.benchmark}")


def named(detail: str) -> str:
    """The benchmark question that the detail of a contaminated row names."""
    return detail.partition(",")[0]


def planted_aside(planted: Planted, outcome: str, aside: Aside) -> Aside:
    """What a planted row ends as, whatever it was found to be."""
    counted = tally(planted, outcome)
    return replace(aside, reason=f"{PLANTED}{outcome}", tally=counted, detail=f"{counted}: {aside.detail}")


def not_found(question: str, planted: Planted) -> Aside:
    """Of a planted question that nobody took for a benchmark's, the detail."""
    return Aside("", f"{planted.id}, taken for no benchmark's question", part=both(question, ""))


def both(question: str, benchmark: str) -> str:
    """Both texts, one after the other."""
    return f"QUESTION\n{question}\n\nBENCHMARK\n{benchmark}".strip()


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


def stage(reads: type[Row], writes: type[Row]) -> RowStage:
    """The stage for rows of another type that have neighbours."""
    prompts: tuple[Prompt[Any], ...] = (*JUDGE.values(), *TOGETHER)
    return RowStage(
        "judge_contamination", reads, writes, judging(writes), Config, prompts, measured=measured, version=2
    )


STAGE = stage(NeighbouredQA, ClearedQA)
OF_ANY_DATASET = stage(NeighbouredQuestion, ClearedQuestion)
