"""triage_chunks: passages with nothing to ask are aside before they cost a call. Nobody is asked."""

from __future__ import annotations

from pydantic import Field

from megascience_ops.books.triage import verdict
from megascience_ops.config import StageConfig
from megascience_ops.rows import Chunk
from megascience_ops.stage import Aside, Ask, Outcome, RowStage


class Config(StageConfig):
    """`threshold`: a passage of a lower score is aside; at 0, only lists of pages, references and answers alone are.

    The score is about the number of pairs that a passage prints, with fractions for signs of others.
    """

    threshold: float = Field(default=0.5, ge=0)


async def run(chunk: Chunk, ask: Ask, config: Config) -> Outcome:
    """The passage, or the reason why nothing is to be had from it."""
    reason, score = verdict(chunk.text, chunk.answer_key, chunk.region)
    if reason:
        return Aside(reason, f"score {score:.2f}")
    if score < config.threshold:
        return Aside("nothing_to_ask", f"score {score:.2f}, the threshold is {config.threshold:g}")
    return chunk


STAGE = RowStage("triage_chunks", Chunk, Chunk, run, Config)
