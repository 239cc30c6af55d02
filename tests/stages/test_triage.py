"""Which passages cost no call: lists and keys, and prose that asks nothing; whatever may hold a pair goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from megascience_ops.rows import Chunk, Source
from megascience_ops.stage import Aside
from megascience_ops.stages.triage_chunks import Config, run

PROSE = "The gas presses on the walls of its vessel, since its molecules strike them without a pause.\n\n"
CONTENTS = "\n".join(
    f"{n}.{m} Of gases and their walls ........ {10 * n + m}" for n in range(1, 4) for m in range(1, 6)
)
INDEX = "\n".join(
    f"{word}, {page}, {page + 7}"
    for page, word in enumerate(["acid", "base", "cell", "drift", "energy", "field", "gas"] * 2)
)


def triage(text: str, *, answer_key: str = "", region: str = "body", **told: Any) -> Chunk | Aside:
    chunk = Chunk(
        id="b/0000-c",
        source=Source(book_id="b", title="Gases", licence=None, section="", page_start=3, page_end=4),
        subject="physics",
        text=text,
        answer_key=answer_key,
        region=region,
        n_tokens=100,
        tokenizer="estimate",
        page_starts=[0],
        overlap=0,
    )
    outcome = asyncio.run(run(chunk, None, Config(**told)))
    assert outcome is chunk or isinstance(outcome, Aside)
    return outcome


@pytest.mark.parametrize(
    "text, region, reason",
    [
        (PROSE * 9, "body", "nothing_to_ask"),
        (CONTENTS, "body", "contents"),
        (INDEX, "body", "contents"),
        ("Gas, 12\nHeat, 14", "index", "index"),
        ("Maxwell, J. C. Theory of Heat. 1871.", "bibliography", "bibliography"),
        ("To the reader. This book has grown out of lectures.", "front_matter", "front_matter"),
        ("1. 49 kPa\n2. They displace water.", "answer_key", "answers_only"),
    ],
)
def test_triage_passage_with_nothing_to_ask_is_aside(text: str, region: str, reason: str) -> None:
    aside = triage(text, region=region)
    assert isinstance(aside, Aside)
    assert (aside.reason, aside.detail[:6]) == (reason, "score ")


@pytest.mark.parametrize(
    "text, answer_key, region",
    [
        (f"{PROSE * 9}EXAMPLE 2.1\nHow many molecules are there?\n\nSolution\nCount them, one by one.", "", "body"),
        (f"{PROSE * 9}Example 2.1. How many molecules are there? Let there be n.", "", "body"),
        (f"{PROSE * 9}Question 4. Why does it press?\n\nAnswer: Molecules strike.", "", "body"),
        ("Exercises\n\n7. What is the pressure?\n\n8. What is the heat?", "7. 49 kPa", "exercises"),
        ("3.4 EXERCISES\n\n" + "\n".join(f"{n}. f(x) = x^{{{n}}}" for n in range(150, 158)), "", "body"),
        (f"{PROSE}Problem 1. How large is it?\n\nProblem 2. How old is it?", "", "body"),
        (f"{PROSE}EXAMPLE 0.1\nHow is it read?\n\nSolution\nFrom front to back.", "", "front_matter"),
    ],
)
def test_triage_passage_that_may_hold_a_pair_goes_on(text: str, answer_key: str, region: str) -> None:
    assert isinstance(triage(text, answer_key=answer_key, region=region), Chunk)


def test_triage_threshold_is_the_users() -> None:
    asking = PROSE + "What happens when the gas is heated in its vessel? " * 5
    assert isinstance(triage(asking), Aside)
    assert isinstance(triage(asking, threshold=0.1), Chunk)
    assert isinstance(triage(PROSE, threshold=0), Chunk)
    assert isinstance(triage(CONTENTS, threshold=0), Aside)
