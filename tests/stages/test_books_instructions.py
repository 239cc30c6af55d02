"""What a book says once for several exercises, and answers whose end or whose number the source marks in its own way."""

from pathlib import Path

import pytest

from megascience_ops.books.blocks import find_blocks
from megascience_ops.books.chunks import chunk
from megascience_ops.books.exercises import join_answers
from megascience_ops.books.pairs import damaged, pairs
from megascience_ops.books.read import read_book
from megascience_ops.books.scripts import negated

PROSE = "# Chapter 2 Rates\n\nA rate says how fast a thing changes, and this paragraph says so at the head of a chapter.\n\n"


def found(folder: Path, source: str, name: str = "book.md") -> list[tuple[str, str | None]]:
    """Question and answer of all pairs of a book."""
    (folder / name).write_text(source, "utf-8")
    blocks = find_blocks(read_book(folder / name).pages)
    passages = chunk(blocks, join_answers(blocks), 4096)
    kept = [pair for one in passages for pair in pairs(one.text, one.answer_key) if damaged(pair) is None]
    return [(pair.question, pair.answer) for pair in kept]


@pytest.mark.parametrize(
    ("instruction", "said"),
    [
        ("In Exercises 1–3, find the derivative of f.", "Find the derivative of f."),
        ("For Problems 1 and 3: find the derivative of f.", "Find the derivative of f."),
        ("For the following exercises, find the derivative of f.", "Find the derivative of f."),
        (
            "Use the following information to answer the next three exercises. A car rolls down a hill of ice.",
            "A car rolls down a hill of ice.",
        ),
        ("Find the derivative.", "Find the derivative."),
    ],
)
def test_instruction_over_several_exercises_is_part_of_each(tmp_path: Path, instruction: str, said: str) -> None:
    source = (
        f"{PROSE}## Exercises\n\n{instruction}\n\n1. $f(x) = x^2$\n\n2. $f(x) = x^3$\n\n3. $f(x) = 7x$\n\n"
        "4. How long does a stone fall from a tower of 20 m?\n\n5. $f(x) = 9x$\n\n"
        "## Answers\n\n1. $2x$\n\n3. $7$\n\n4. About 2 s.\n"
    )
    pairs_found = found(tmp_path, source)
    assert pairs_found[:4] == [
        (f"{said}\n\n$f(x) = x^2$", "$2x$"),
        (f"{said}\n\n$f(x) = x^3$", None),
        (f"{said}\n\n$f(x) = 7x$", "$7$"),
        ("How long does a stone fall from a tower of 20 m?", "About 2 s."),
    ]
    assert not any(said in question for question, _ in pairs_found[4:])


def test_instruction_with_parts_goes_with_its_exercises(tmp_path: Path) -> None:
    source = (
        f"{PROSE}## Exercises\n\nFor the following exercises, a point moves.\n\na. Find its speed.\n\n"
        "b. When does it rest?\n\n1. $s(t) = t^2$\n\n2. $s(t) = t^3$\n\n## Answers\n\n2. (a) $3t^2$ (b) at 0\n"
    )
    assert found(tmp_path, source)[1] == (
        "A point moves.\n\na. Find its speed.\n\nb. When does it rest?\n\n$s(t) = t^3$",
        "(a) $3t^2$ (b) at 0",
    )


def test_last_paragraph_of_an_exercise_is_no_instruction(tmp_path: Path) -> None:
    """A command above an exercise of words belongs to the exercise before it."""
    source = (
        f"{PROSE}## Exercises\n\n1. A car rolls downhill with 3 m/s.\n\nFind its energy.\n\n"
        "2. A bus of 8 t stands on the hill. Compare the two.\n\n## Answers\n\n1. 4.5 kJ\n\n2. It has more.\n"
    )
    assert found(tmp_path, source)[0] == ("A car rolls downhill with 3 m/s.\n\nFind its energy.", "4.5 kJ")


def test_key_with_worded_labels_keeps_lists_in_its_answers(tmp_path: Path) -> None:
    source = (
        f"{PROSE}## Exercises\n\n**Exercise 1:** Name two parts of the arm.\n\n**Exercise 2:** Which two joints turn?\n\n"
        "## Answers to Selected Exercises\n\n**Exercise 1:**\n1. Base\n2. Link\n\n**Exercise 2:**\n1. Elbow\n2. Wrist\n"
    )
    assert [answer for _, answer in found(tmp_path, source)] == ["1. Base\n2. Link", "1. Elbow\n2. Wrist"]


@pytest.mark.parametrize(
    "solution",
    [
        "<details>\n<summary><b>Solution</b></summary>\n\nAfter 24 years.\n\n</details>",
        "```{solution} growth\n:class: dropdown\n\nAfter 24 years.\n```",
        "::: {.solution #sol-growth}\nAfter 24 years.\n:::",
    ],
)
def test_markdown_solution_ends_where_its_source_ends_it(tmp_path: Path, solution: str) -> None:
    source = (
        f"{PROSE}```{{exercise}}\n:label: growth\n\nWhen has a rate of 3 % doubled a sum?\n```\n\n{solution}\n\n"
        "That is how banks live, and nobody asks.\n"
    )
    assert found(tmp_path, source) == [("When has a rate of 3 % doubled a sum?", "After 24 years.")]


def test_html_folded_solution_is_found(tmp_path: Path) -> None:
    source = (
        "<html><body><h1>Chapter 2 Rates</h1><h2>Exercises</h2><p>1. When has a rate of 3 % doubled a sum?</p>"
        "<details><summary>Solution</summary>After 24 years.</details><p>2. And when has it tripled the sum?</p></body></html>"
    )
    assert found(tmp_path, source, "book.html")[0] == ("When has a rate of 3 % doubled a sum?", "After 24 years.")


def test_stroke_before_a_sign_negates_it() -> None:
    assert negated("p \u0338= 0.5 and q\u0338< 2") == "p ≠ 0.5 and q≮ 2"
