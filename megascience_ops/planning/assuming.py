"""What the stages that ask would take, by assumption: calls and tokens from the prompt files and published yields.

Nobody is asked and no row is decided: for a plan before there is a server, and to compare ways of asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from statistics import mean
from typing import Any, get_args

from megascience_ops.books.tokens import count_tokens
from megascience_ops.config import Settings
from megascience_ops.planning.costing import Cost, model_of
from megascience_ops.prompts import Prompt
from megascience_ops.recipe import recipe
from megascience_ops.rows import Standard, Subject

# Published yields of the MegaScience paper (arXiv 2507.16812), tables 1 and 2: rows that go on, of those that came in.
# Subjects differ widely: a passage of mathematics holds pairs ten times as often as one of biology.
CHUNKS, CHUNKS_WITH_PAIRS, PAIRS_HIGH, PAIRS_LOW = 546_134, 72_548, 25_483, 920_200
PUBLISHED_YIELDS = {
    "extract_qa": (PAIRS_HIGH + PAIRS_LOW) / CHUNKS,
    "dedup_questions": 767_893 / 945_683,
    "filter_qa": 728_767 / 767_893,  # what refine_qa and judge_cot lose is part of it: no separate figure
    "judge_contamination": 651_840 / 728_767,
}
MEAN_ANSWER = 410  # tokens of a published answer, the same paper

# Everything from here to `Passages` is assumed: lengths in tokens, and shares of rows.
PASSAGE = 3_500  # of at most 4,096
QUESTION, REFINED_QUESTION, PRINTED_ANSWER, SOLUTION, CANDIDATE = 70, 90, 120, 700, 100
METADATA, EXCERPT, ANSWER_KEY, PAGE_IMAGE = 60, 1_400, 100, 1_600
REFINING, ANALYSIS, SENTENCE, SHORT_ANSWER, CLASS, PAGE = 250, 140, 35, 15, 130, 700
WITHOUT_REASONING = 0.3  # answers that judge_cot sends to be distilled
NOT_PLAINLY_COMPARABLE = 0.5  # distilled solutions that a judge has to compare with the book's answer
UNBOXED = 0.5  # answers of which the short answer has to be asked for
NEAR_ANY, NEAR = 0.5, 2.0  # questions with a neighbour above a floor that is any use; so many neighbours each
BEFORE_YES = 1.3  # neighbours that are asked about until the one that is the same


@dataclass(frozen=True)
class Passages:
    """The passages of books: how many, the mean length of all and of those that triage lets go on, the share of the
    latter; pages without text.

    Pairs are expected by the length of the books, however they are cut and whatever triage puts aside: that has none.
    """

    chunks: float = 1_000
    mean: float = PASSAGE
    tokens: float = PASSAGE
    asking: float = 1.0
    books: float = 0
    scanned_pages: float = 0

    @property
    def published(self) -> float:
        """How many published passages one of those that are read is worth."""
        return self.mean / PASSAGE / (self.asking or 1)


@dataclass(frozen=True)
class Serving:
    """Who answers. `cache`: do servers know how earlier prompts began? `servers`: how many share a passage's pairs."""

    cache: bool = True
    servers: int = 1


CACHING = Serving()


@dataclass(frozen=True)
class Calls:
    """Calls of one prompt for each row, with slots of this many tokens; `shared` of them a server knows already."""

    prompts: tuple[Prompt[Any], ...]
    number: float
    slots: float
    answer: float
    shared: float = 0

    def cost(self, stage: str, rows: float, serving: Serving) -> Cost:
        """For so many rows. The instructions before the first slot are computed once."""
        calls = self.number * rows
        whole = mean(own_words(prompt)[0] for prompt in self.prompts) + self.slots
        cached = mean(own_words(prompt)[1] for prompt in self.prompts) + self.shared if serving.cache else 0
        return Cost(stage, rows, calls, calls * whole, calls * cached, calls * self.answer, "assumed")


def assumed(settings: Settings, passages: Passages, serving: Serving = CACHING) -> list[Cost]:
    """The cost of each stage, if the yields are the published ones and lengths are as assumed above."""
    flow = recipe(settings.recipe)
    asked = _calls(settings, passages, serving)
    rows: dict[str, float] = dict.fromkeys(flow.names[: flow.names.index("extract_qa")], passages.books)
    rows |= {"triage_chunks": passages.chunks, "extract_qa": passages.chunks * passages.asking}
    yields = PUBLISHED_YIELDS | {"extract_qa": PUBLISHED_YIELDS["extract_qa"] * passages.published}
    found = []
    after = 0.0
    for stage in flow.names:
        rows_in = rows.get(stage, after)
        after = rows_in * yields.get(stage, 1.0)
        cost = Cost(stage, rows_in, source="assumed", model=model_of(settings, stage))
        for calls in asked.get(stage, ()):
            cost += calls.cost(stage, rows_in, serving)
        found.append(cost)
    return found


def _calls(settings: Settings, passages: Passages, serving: Serving) -> Mapping[str, list[Calls]]:
    """The calls for each row that comes into a stage."""

    # Here, as the stages load the prompts: one that has to be mended is told by the command, not by an import.
    from megascience_ops import ocr
    from megascience_ops.stages import (
        classify_books,
        distill_cot,
        extract_qa,
        extract_reference_answer,
        filter_qa,
        judge_cot,
        refine_qa,
    )

    def config(stage: str) -> Any:
        return settings.of(stage, recipe(settings.recipe).stage(stage).config)

    pair, answer = REFINED_QUESTION + MEAN_ANSWER, {"reasoned": ANALYSIS, "brief": SENTENCE}
    judging, filtering, distilling = (config(stage).decisions for stage in ("judge_cot", "filter_qa", "distill_cot"))
    found = {
        "high": PAIRS_HIGH / CHUNKS * (PRINTED_ANSWER * 2 + QUESTION),
        "low": PAIRS_LOW / CHUNKS * (PRINTED_ANSWER + QUESTION),
    }
    extract = [
        Calls(
            tuple(extract_qa.EXTRACT[one, standard] for one in get_args(Subject)),
            1,
            passages.tokens + ANSWER_KEY,
            found[standard] * passages.published,
        )
        for standard in get_args(Standard)
        if standard in config("extract_qa").standards
    ]
    siblings = PUBLISHED_YIELDS["extract_qa"] * CHUNKS / CHUNKS_WITH_PAIRS * PUBLISHED_YIELDS["dedup_questions"]
    seen = passages.tokens * max(0.0, 1 - serving.servers / siblings)  # of a passage, by calls for its other pairs
    refined = REFINING + REFINED_QUESTION + MEAN_ANSWER
    scanned = passages.scanned_pages / passages.books if passages.books else 0
    compared = REFINED_QUESTION + MEAN_ANSWER + SOLUTION
    return {
        "classify_books": [Calls((classify_books.CLASSIFY,), 1, METADATA + EXCERPT, CLASS)],
        "digitize_books": [Calls((ocr.TRANSCRIBE,), scanned, PAGE_IMAGE, PAGE)],
        "extract_qa": extract,
        "refine_qa": [Calls((refine_qa.REFINE,), 1, passages.tokens + QUESTION + PRINTED_ANSWER, refined, seen)],
        "judge_cot": [Calls((judge_cot.JUDGE[judging],), 1, pair, answer[judging])],
        "distill_cot": [
            Calls((distill_cot.DISTILL,), WITHOUT_REASONING, REFINED_QUESTION, SOLUTION),
            Calls(
                (distill_cot.COMPARE[distilling],),
                WITHOUT_REASONING * NOT_PLAINLY_COMPARABLE,
                compared,
                answer[distilling],
            ),
        ],
        "filter_qa": [Calls((filter_qa.FILTER[filtering],), 1, pair, answer[filtering])],
        "judge_contamination": [_contamination(config("judge_contamination"), config("find_neighbours").k, answer)],
        "extract_reference_answer": [Calls((extract_reference_answer.EXTRACT,), UNBOXED, pair, SHORT_ANSWER)],
    }


def _contamination(config: Any, k: int, answer: Mapping[str, int]) -> Calls:
    """One by one until the first YES, or all at once; a floor keeps most neighbours out."""
    from megascience_ops.stages import judge_contamination

    share, near = (1.0, k) if config.floor is not None and config.floor <= 0 else (NEAR_ANY, min(NEAR, k))
    if config.neighbours == "together" and near > 1:
        slots = REFINED_QUESTION + near * (CANDIDATE + 6)
        verdicts = near * answer[config.decisions] * 0.7  # shorter, as the question is not told again
        return Calls((judge_contamination.judge_together(config.decisions, 2),), share, slots, verdicts)
    same = 1 - PUBLISHED_YIELDS["judge_contamination"]
    number = (share - same) * near + same * min(near, BEFORE_YES)
    seen = REFINED_QUESTION * (1 - share / number)  # the question, by calls about its other neighbours
    prompt = judge_contamination.JUDGE[config.decisions]
    return Calls((prompt,), number, REFINED_QUESTION + CANDIDATE, answer[config.decisions], seen)


@cache
def own_words(prompt: Prompt[Any]) -> tuple[int, int]:
    """The tokens of a prompt's own words, and of those before its first slot."""
    empty = prompt.request(dict.fromkeys(prompt.slots, "\0"), {}, {}).parts[0]
    assert isinstance(empty, str)
    return count_tokens(empty.replace("\0", " ")), count_tokens(empty.partition("\0")[0])
