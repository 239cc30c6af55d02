"""The rules engine: answers each prompt by deterministic text rules on its slots, in the format the prompt asks for.

It needs no GPU, no key and no network. What no rule can do honestly, such as writing reasoning that is not there,
it declines, and the row says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from megascience_ops import parsing
from megascience_ops.completions import Completion, Request
from megascience_ops.engines.rules import books, extraction, judgements
from megascience_ops.engines.rules.contamination import same_as_each, same_question
from megascience_ops.errors import Declined, Unparsed
from megascience_ops.rows import Subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Slots = Mapping[str, str]
Rule = Callable[[Slots], str]
BRIEF_KEYS = {"Analysis": "because", "Fault": "fault", "Decision": "decision"}
PACKAGE = Path(__file__).parents[2]
READ_BY_RULES = ("books", "engines/rules", "dedup/words.py", "contamination/vectors.py", "contamination/wording.py")


def _judge_cot(slots: Slots) -> str:
    return _decision(judgements.is_explained(slots["ANSWER"]), "length and signs of reasoning were counted")


def _judge_contamination(slots: Slots) -> str:
    return _decision(*same_question(slots["QUESTION"], slots["CANDIDATE"]))


def _judge_together(slots: Slots) -> str:
    verdicts = enumerate(same_as_each(slots["QUESTION"], slots["CANDIDATES"]), 1)
    said = [f"Analysis {n}: {because}\nDecision {n}: {'YES' if same else 'NO'}" for n, (same, because) in verdicts]
    return "\n".join(said)


def _judge_together_briefly(slots: Slots) -> str:
    verdicts = enumerate(same_as_each(slots["QUESTION"], slots["CANDIDATES"]), 1)
    said = [
        {"candidate": n, "because": because, "decision": "YES" if same else "NO"} for n, (same, because) in verdicts
    ]
    return json.dumps({"verdicts": said})


def _filter_qa(slots: Slots) -> str:
    missing = judgements.external_reference(slots["QUESTION"], slots["ANSWER"])
    fault = "MISSING_CONTEXT" if missing else "NONE"
    found = f"it refers to something that is not there: {missing}" if missing else "no outside reference was found"
    return f"Analysis: {found}\nFault: {fault}\nDecision: {'NO' if missing else 'YES'}"


def _briefly(rule: Rule) -> Rule:
    """What a rule says in labelled lines, as the JSON that a brief prompt asks for."""

    def said(slots: Slots) -> str:
        lines = dict(line.split(": ", 1) for line in rule(slots).splitlines())
        return json.dumps({BRIEF_KEYS[label]: text for label, text in lines.items()})

    return said


def _reference_answer(slots: Slots) -> str:
    said = f"Reference Answer: {judgements.short_answer(slots['QUESTION'], slots['ANSWER']) or '[NONE]'}"
    try:
        parsing.reference_answer(said)
    except Unparsed as error:
        raise Declined("declined", f"what stands there cannot be told from a label: {error.reason}") from None
    return said


def _decision(yes: bool, because: str) -> str:
    return f"Analysis: {because}\nDecision: {'YES' if yes else 'NO'}"


def _no_reasoning(slots: Slots) -> str:
    raise Declined("declined", "no rule can write reasoning that the book does not give")


RULES: dict[str, Rule] = {
    "classify_books": books.classify,
    **{f"extract_qa_{subject}_high": extraction.high for subject in get_args(Subject)},
    **{f"extract_qa_{subject}_low": extraction.low for subject in get_args(Subject)},
    "refine_qa": extraction.refine,
    "judge_cot": _judge_cot,
    "distill_cot": _no_reasoning,
    "judge_cot_brief": _briefly(_judge_cot),
    "filter_qa": _filter_qa,
    "filter_qa_brief": _briefly(_filter_qa),
    "judge_contamination": _judge_contamination,
    "judge_contamination_brief": _briefly(_judge_contamination),
    "judge_contamination_together": _judge_together,
    "judge_contamination_together_brief": _judge_together_briefly,
    "extract_reference_answer": _reference_answer,
}


class RulesEngine:
    """Answers by rule. Its revision is a digest of the rules themselves, so a changed rule is another engine."""

    @property
    def identity(self) -> Mapping[str, str]:
        return {"kind": "rules", "model": "rules", "revision": _revision()}

    @property
    def retries(self) -> Mapping[str, int]:
        return {}

    async def complete(self, request: Request, row: str) -> Completion:
        slots = {name: slot for name, slot in request.slots.items() if isinstance(slot, str)}
        rule = RULES.get(request.prompt)
        try:
            if rule is None or len(slots) < len(request.slots):
                raise Declined("declined", f"there is no rule for {request.prompt}")
            text, finish_reason = rule(slots), "stop"
        except Declined as error:
            text, finish_reason = error.detail, "declined"
        return Completion.model_validate(
            {
                "id": request.digest,
                "row": row,
                "prompt": request.prompt,
                "text": text,
                "finish_reason": finish_reason,
                "model": "rules",
            }
        )

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        from megascience_ops.contamination.vectors import lexical_vectors

        return lexical_vectors(texts)

    def facts(self) -> dict[str, str]:
        """Nothing beyond its identity."""
        return {}

    async def close(self) -> None:
        """Nothing to give back."""


@cache
def _revision() -> str:
    sources = [PACKAGE / name for name in READ_BY_RULES]
    files = sorted(file for source in sources for file in (source.rglob("*.py") if source.is_dir() else [source]))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:8]
