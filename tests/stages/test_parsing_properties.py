"""What holds for every text: it is read, or `Unparsed`, and soon; what was written well comes back."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from megascience_ops import parsing
from megascience_ops.errors import Unparsed
from megascience_ops.parsing.labels import RULE
from megascience_ops.parsing.verdicts import Fault, Level, Subject

PARSERS: list[Callable[[str], Any]] = [
    parsing.question_answers,
    parsing.refined,
    parsing.decision,
    parsing.filter_verdict,
    parsing.book_class,
    parsing.solution,
    parsing.reference_answer,
    parsing.boxed,
]
SECONDS = 1.5  # for 100 kB, on a busy machine; a quadratic parser takes minutes

# What models say, and what breaks readers: fragments to be put together in any order.
FRAGMENTS = [
    "Question:", "**Question 2**:", "Answer:", "### Answer", "Answer: [NO ANSWER]", "[NO QA]",
    "Refined Question:", "Refined Answer:", "**Refined Answer:**", "Decision: YES", "Decision: [YES/NO]",
    "Decision:", "Fault: NONE", "Subject: physics", "Level: graduate", "Reference Answer:", "[NONE]",
    "Note:", "(Note: a)", "---", "<think>", "</think>", "\\boxed{", "\\\\boxed{5}", "$\\boxed{ }$", "}",
    "{", "$", "\\", "\\\\", "\n", "\n\n", " ", "*", "**", "1.", "10^{8}", "\\frac{1}{2}", "5 m/s^2",
    "(A)", "yes", "\x00", "\ud800", "\u2028", "：", "\r\n", "٣", "ſ", "½",
]  # fmt: skip
anything = st.text(st.characters(codec=None), max_size=200)  # lone surrogates and NUL among them
said = st.lists(st.one_of(st.sampled_from(FRAGMENTS), anything), max_size=20).map("".join)

words = st.text("abcxyz αβé0123456789+-=,;?$^{}\\/()", min_size=1, max_size=40).map(str.strip)
prose = (
    st.lists(words.filter(bool), min_size=1, max_size=4)
    .map("\n".join)
    .filter(lambda text: "..." not in text and text[:1].isalnum() and not RULE.fullmatch(text.split("\n")[-1]))
)
pairs = st.builds(parsing.QuestionAnswer, prose, st.none() | prose)

ATTACKS = {
    "asterisks": "*" * 100_000,
    "hashes": "#" * 100_000,
    "spaces": "Decision:" + " " * 100_000 + "YE",
    "blank lines": "Refined Question: q\nRefined Answer: a" + "\n " * 50_000 + "x",
    "labels": "Question: a\nAnswer: b\n" * 4_500,
    "refined labels": "Refined Question: a\nRefined Answer: b\n" * 2_500,
    "decisions on one line": "Decision: YES " + "NO no " * 16_000,
    "wrappers on one line": "Decision: YES " + "*[" * 50_000,
    "open boxes": "Reference Answer: " + "\\boxed{" * 14_000,
    "nested boxes": "Refined Question: q\nRefined Answer: " + "\\boxed{" * 12_000 + "}" * 12_000,
    "empty boxes": "Refined Question: q\nRefined Answer: " + "$\\boxed{ }$ a" * 8_000,
    "empty boxes on lines": "Refined Question: q\nRefined Answer: a\n" + "\n$\\boxed{}$\n" * 8_000,
    "full boxes": "Reference Answer: " + "\\boxed{5} " * 10_000,
    "blank box": "\\boxed{" + "~ " * 50_000 + "a}",
    "backslashes": "\\" * 100_001 + "boxed{5}",
    "braces": "{" * 50_000 + "\\boxed{5}" + "}" * 50_000,
    "notes": "Refined Question: q\nRefined Answer: a" + "\n\nNote: b" * 10_000,
    "bracketed notes": "Refined Question: q\nRefined Answer: a " + "(Note: b" * 12_000 + ")",
    "notes with rules": "Refined Question: q\nRefined Answer: a" + "\n\n---\n\nNote: b" * 6_000,
    "dashes": "Question: a\nAnswer: b\n" + "- " * 50_000 + "x",
    "thoughts": "<think>" * 14_000,
    "closed thoughts": "</think>" * 12_000 + "Decision: NO",
    "digits": "Reference Answer: " + "9" * 100_000,
    "unit tail": "Reference Answer: \\boxed{5}" + "\\text{m} " * 10_000,
    "no marker": "[NO " * 25_000,
    "list numbers": "1. " * 33_000,
}  # fmt: skip


@given(said)
@settings(max_examples=150, deadline=None)
@example("\ud800")
@example("Decision:\ud800 YES")
@example("\x00Question:\x00\nAnswer:\x00")
@example("Reference Answer: \\boxed{\x00}")
def test_parsers_any_text_read_or_unparsed(text: str) -> None:
    """Nothing else is ever raised, and the reason is a slug."""
    for parse in PARSERS:
        try:
            parse(text)
        except Unparsed as unread:
            assert unread.reason.replace("_", "").isalpha()


@given(said, said)
@settings(max_examples=150, deadline=None)
def test_same_answer_any_texts_symmetric(a: str, b: str) -> None:
    """Which of two answers comes first makes no difference, and an answer never differs from itself."""
    assert parsing.same_answer(a, b) is parsing.same_answer(b, a)
    assert parsing.same_answer(a, a) is not False


def _compare_with_longer(text: str) -> bool | None:
    return parsing.same_answer(text, text + "1")


@pytest.mark.parametrize("attack", ATTACKS)
def test_parsers_hostile_text_read_soon(attack: str) -> None:
    """A hundred kilobytes made to make a regular expression backtrack."""
    text = ATTACKS[attack]
    for parse in [*PARSERS, _compare_with_longer]:
        started = time.process_time()
        with suppress(Unparsed):
            parse(text)
        assert time.process_time() - started < SECONDS, parse


@given(
    st.lists(pairs, max_size=5),
    st.sampled_from(["{}:", "**{}:**", "**{}**:", "### {}:", "> {}：", "{} {n}:"]),
)
@settings(max_examples=150, deadline=None)
def test_question_answers_rendered_pairs_come_back(wanted: list[parsing.QuestionAnswer], label: str) -> None:
    """In every way of writing the labels."""
    text = "\n\n".join(
        f"{label.format('Question', n=n)} {pair.question}\n{label.format('Answer', n=n)} {pair.answer or '[NO ANSWER]'}"
        for n, pair in enumerate(wanted, 1)
    )
    assert parsing.question_answers(text or "[NO QA]") == wanted


@given(prose, prose, st.sampled_from(["", "Some thoughts.\n\n", "<think>\nRefined Answer: no\n</think>\n"]))
@settings(max_examples=100, deadline=None)
def test_refined_rendered_pair_comes_back(question: str, answer: str, before: str) -> None:
    """Whatever was thought before."""
    text = f"{before}Refined Question: {question}\nRefined Answer: {answer}\n\nNote: it is so. It is."
    assert parsing.refined(text) == parsing.QuestionAnswer(question, answer)


@given(prose, st.booleans(), st.sampled_from(["{}", "[{}]", "**{}**", "{}.", "`{}`", "\n{}"]))
@settings(max_examples=100, deadline=None)
def test_decision_rendered_verdict_comes_back(analysis: str, wanted: bool, wrapped: str) -> None:
    """Below any analysis, in any wrapping."""
    assert parsing.decision(f"Analysis: {analysis}\nDecision: {wrapped.format('YES' if wanted else 'NO')}") is wanted


@given(prose, st.sampled_from([fault for fault in get_args(Fault) if fault != "unspecified"]))
@settings(max_examples=30, deadline=None)
def test_filter_verdict_rendered_verdict_comes_back(analysis: str, fault: Fault) -> None:
    """Every fault that the prompt offers."""
    keep = fault == "none"
    text = f"Analysis: {analysis}\nFault: {fault.upper()}\nDecision: {'YES' if keep else 'NO'}"
    assert parsing.filter_verdict(text) == parsing.FilterVerdict(keep, fault)


@given(st.sampled_from(get_args(Subject)), st.sampled_from(get_args(Level)))
@settings(max_examples=30, deadline=None)
def test_book_class_rendered_class_comes_back(subject: Subject, level: Level) -> None:
    """Every subject and level that the prompt offers."""
    text = f"Analysis: a book.\nSubject: {subject}\nLevel: {level}"
    assert parsing.book_class(text) == parsing.BookClass(subject, level)


@given(st.none() | st.text("abc αβ0123456789+-=/^", min_size=1, max_size=40).map(str.strip).filter(bool))
@settings(max_examples=100, deadline=None)
def test_reference_answer_rendered_answer_comes_back(wanted: str | None) -> None:
    """Plain, and in a box."""
    for rendered in [wanted, f"$\\boxed{{{wanted}}}$"] if wanted else ["[NONE]"]:
        assert parsing.reference_answer(f"Reference Answer: {rendered}") == wanted


@given(
    st.integers(-(10**9), 10**9),
    st.sampled_from(["{}", "{:,}", "${}$", "\\boxed{{{}}}", "{}.0", "x = {}", "{} kg"]),
    st.sampled_from(["{}", "$${}$$", "\\({}\\)", "**{}**", "{}."]),
)
@settings(max_examples=100, deadline=None)
def test_same_answer_number_in_two_spellings_is_the_same(number: int, one: str, two: str) -> None:
    """And one more is not the same integer."""
    assert parsing.same_answer(one.format(number), two.format(number)) is True
    assert parsing.same_answer(two.format(number), two.format(number + 1)) is False
