"""What a passage may give, told from its blocks and a few words: cheap enough to be asked of every passage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from megascience_ops.books.answer_key import read_key
from megascience_ops.books.blocks import Block, find_blocks
from megascience_ops.books.exercises import ASKS

# Parts of a book that ask nothing, and the reason that a passage of each is aside for
ASKS_NOTHING = {
    "front_matter": "front_matter",
    "index": "index",
    "bibliography": "bibliography",
    "answer_key": "answers_only",
}
ANSWERED = 1.0  # an exercise with its answer in the key, an example or a question with a solution below
UNLABELLED = 0.5  # an example, whose answer may follow without a label
OPEN = 0.25  # an exercise without a printed answer: it may follow without a label, or stand in the text before
NUMBERED = 0.1  # a numbered line, which may be an exercise that is not known as one
ARGUED = 0.04  # a proof, an assumption that is followed up, a question that the text puts to itself

_QUESTION = re.compile(
    r"\b(?:why|how|what|which|when|where|who|is|are|does|do|can|could|would|should)\b[^.?!\n]{8,160}\?", re.I
)
_ARGUED = re.compile(
    r"^(?:proof|theorem|lemma|proposition|corollary|case study)\b|\b(?:suppose (?:that|we|you|an?)|consider an? )",
    re.I | re.M,
)
_NUMBERED = re.compile(r"^(?:\*\*)?\(?\d{1,3}[.)](?:\*\*)? +\S", re.M)
_ENTRY = re.compile(r"[^.?!]{2,60},\s*(?:\d{1,4}(?:[-–]\d{1,4})?(?:,\s*)?)+$|.{2,80}?(?:\.{3,}|(?:\. ){3,})\s*\d{1,4}$")


@dataclass(frozen=True)
class _Page:
    number: int
    text: str


def listed(text: str) -> bool:
    """Whether most lines are entries with page numbers: a table of contents, or an index that has no heading."""
    lines = [line for line in text.split("\n") if line.strip()]
    return len(lines) >= 10 and sum(bool(_ENTRY.match(line.strip())) for line in lines) > 0.5 * len(lines)


def verdict(text: str, answer_key: str, region: str) -> tuple[str | None, float]:
    """Why a passage is no use, whatever the threshold, or None; and its promise."""
    score = promise(text, answer_key, region)
    reason = "contents" if listed(text) else ASKS_NOTHING.get(region)
    return reason if score < ANSWERED else None, score


def promise(text: str, answer_key: str, region: str) -> float:
    """About how many pairs a passage may give; far from exact, but near 0 only where nothing is asked.

    Counted are exercises with an answer in the key, examples and questions with a solution, and, for a fraction each,
    examples without one, open exercises, numbered lines, and the places in prose at which an author asks or argues.
    """
    keyed = len(read_key(answer_key)) if answer_key else 0
    blocks = find_blocks([_Page(1, text)], region="exercises" if region == "exercises" else "body")
    found = ANSWERED * keyed
    for index in range(len(blocks)):
        found += promised(blocks, index)
    if region not in ASKS_NOTHING:
        found += NUMBERED * len(_NUMBERED.findall(text))
    return found + ARGUED * (len(_QUESTION.findall(text)) + len(_ARGUED.findall(text)))


def promised(blocks: Sequence[Block], index: int) -> float:
    """What is to be had from the question, exercise or example that begins at block `index`; 0 where none does."""
    if blocks[index].kind not in ASKS:
        return 0.0
    for block in blocks[index + 1 :]:
        if block.kind in ("solution", "answer"):
            return ANSWERED
        if block.level >= 2:
            break
    return UNLABELLED if blocks[index].kind == "example" else OPEN
