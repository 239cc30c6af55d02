"""Rules for extraction and refinement: pairs that the book labels as such, with nothing invented around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from megascience_ops import parsing
from megascience_ops.books.pairs import RulePair, damaged, pairs
from megascience_ops.engines.rules.judgements import is_explained, short_answer
from megascience_ops.errors import Declined, Unparsed

HIGH_STANDARD_WORDS = 25

Slots = Mapping[str, str]


def high(slots: Slots) -> str:
    """Pairs whose answers reason."""
    return _printed(pair for pair in _sound(slots) if _reasons(pair))


def low(slots: Slots) -> str:
    """The other pairs, and the questions that the book leaves open."""
    return _printed(pair for pair in _sound(slots) if not _reasons(pair))


def refine(slots: Slots) -> str:
    """The pair as it is, a short answer in a box: no rule can add what the passage says around it."""
    question, answer = slots["QUESTION"].strip(), slots["ANSWER"].strip()
    short = short_answer(question, answer)
    if short == answer and "\\boxed" not in answer:
        answer = f"\\boxed{{{answer}}}"
    said = f"Refined Question: {question}\nRefined Answer: {answer}"
    with suppress(Unparsed):
        if parsing.refined(said) == parsing.QuestionAnswer(question, answer):
            return said
    raise Declined("declined", "the pair holds what cannot be told from the labels of a refined pair")


def _sound(slots: Slots) -> list[RulePair]:
    """Pairs whose mathematics is whole, and whose text cannot be mistaken for a label of the answer format."""
    found = [pair for pair in pairs(slots["DOCUMENT"], slots["ANSWER_KEY"]) if not damaged(pair)]
    return [pair for pair in found if _reads_back(pair)]


def _reads_back(pair: RulePair) -> bool:
    try:
        (read,) = parsing.question_answers(_printed([pair]))
    except (Unparsed, ValueError):
        return False
    return read == parsing.QuestionAnswer(pair.question.strip(), pair.answer.strip() if pair.answer else None)


def _reasons(pair: RulePair) -> bool:
    return (
        bool(pair.answer)
        and is_explained(pair.answer or "")
        and len((pair.answer or "").split()) >= HIGH_STANDARD_WORDS
    )


def _printed(found: Iterable[RulePair]) -> str:
    lines = [f"Question: {pair.question.strip()}\nAnswer: {(pair.answer or '[NO ANSWER]').strip()}" for pair in found]
    return "\n\n".join(lines) or "[NO QA]"
