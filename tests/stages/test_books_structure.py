"""Blocks, answer keys joined to exercises, passages: on small texts that are printed as books print them."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megascience_ops.books.block import LEFT_OUT
from megascience_ops.books.blocks import Block, find_blocks
from megascience_ops.books.chunks import chunk, page_of
from megascience_ops.books.exercises import KeyedAnswer, join_answers
from megascience_ops.books.tokens import count_tokens


@dataclass(frozen=True)
class Paper:
    """A page."""

    number: int
    text: str


def book(*pages: str) -> list[Paper]:
    """Number the pages of a book."""
    return [Paper(number, text) for number, text in enumerate(pages, 1)]


def kinds(blocks: list[Block]) -> list[tuple[str, str]]:
    """Show the kind and label of each block."""
    return [(block.kind, block.label) for block in blocks]


def answers(*pages: str) -> dict[str, str]:
    """Give the beginning of each joined question with its answer."""
    return {k.question.split("?")[0]: k.answer for k in join_answers(find_blocks(book(*pages)))}


PROSE = (
    "The pressure in a liquid at rest grows with depth, because each layer carries the weight of those above it. " * 3
)

CHAPTERS = (
    f"Chapter 1 Fluids\n\n{PROSE}\n\nExercises\n\n"
    "1. What is the pressure at 5 m?\n\n2. Why do ships float?\n\n3. What is lift?",
    f"Chapter 2 Heat\n\n{PROSE}\n\nExercises\n\n1. What is an adiabat?\n\n2. Why is steam hot?\n\n3. What is entropy?",
)


def test_blocks_example_keeps_its_heads() -> None:
    """Example, strategy, solution and discussion are told apart, and the section before them."""
    text = (
        "3.2 Falling bodies\n\nBodies fall.\n\nEXAMPLE 3.4\nA stone in a well\nHow deep is the well?\n\n"
        "Strategy\nUse the time.\n\nSolution\n20 m.\n\nDiscussion\nThat is deep."
    )
    assert kinds(find_blocks(book(text))) == [
        ("section", "3.2"), ("paragraph", ""), ("example", "3.4"),
        ("solution", "strategy"), ("solution", ""), ("solution", "discussion"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sentence",
    [
        "Example 3.5 provides a basic case of two independent processes.",
        "Solution of the equations takes some care.",
        "Question 4 shows that this is not so.",
        "42 is the answer to everything.",
        "Answers were collected from two hundred students, who had read the text.",
    ],
)
def test_blocks_sentence_that_cites_begins_nothing(sentence: str) -> None:
    """A sentence about an example is no example."""
    assert kinds(find_blocks(book(f"Some text.\n\n{sentence}"))) == [("paragraph", "")] * 2


def test_blocks_citation_before_a_number_is_no_example() -> None:
    """`... see Example 5.6` at a line's end, with a number below it, is neither a head nor an exercise."""
    blocks = find_blocks(book("Exercises\n\n41. What follows from\nExample 5.6\n43 times over?\n\n42. And then?"))
    assert kinds(blocks) == [("heading", ""), ("exercise", "41"), ("exercise", "42")]


def test_blocks_list_in_an_exercise_is_part_of_it() -> None:
    """Numbers that do not go on from the last exercise are a list."""
    text = "Exercises\n\n7. Put these in order:\n1. gas\n2. liquid\n3. solid\n\n8. What is a plasma?"
    assert [label for kind, label in kinds(find_blocks(book(text))) if kind == "exercise"] == ["7", "8"]


def test_blocks_section_after_exercises_numbered_alike_is_a_section() -> None:
    """`2.1 Costs` after exercise 1.9 opens a section, and exercise 2.1 is another thing."""
    text = f"Exercises\n\n1.8 Why?\n\n1.9 How?\n\n2.1 Costs\n\n{PROSE}\n\nExercises\n\n2.1 What is a fixed cost?"
    assert kinds(find_blocks(book(text)))[3] == ("section", "2.1")
    assert kinds(find_blocks(book(text)))[-1] == ("exercise", "2.1")


def test_blocks_questions_under_a_head_of_other_words_are_exercises() -> None:
    """What ends in Questions and stands over a numbered item heads exercises, whatever kind they are."""
    found = kinds(find_blocks(book(f"{PROSE}\n\nInteractive Link Questions\n\n1. Why?\n\n2. How?")))
    assert found[-2:] == [("exercise", "1"), ("exercise", "2")]


def test_blocks_advice_about_problems_is_no_list_of_them() -> None:
    """A list of steps under `Steps for Solving Problems` asks nothing."""
    found = kinds(find_blocks(book(f"{PROSE}\n\nSteps for Solving Problems\n\n1. Draw it.\n\n2. Name it.\n\n{PROSE}")))
    assert "exercise" not in {kind for kind, _ in found}


def test_blocks_contents_and_index_are_not_the_text() -> None:
    """The lines of a table of contents are no chapters, those of an index no exercises."""
    pages = book(
        "A Book\n\nContents\n\nChapter 1 Fluids\nChapter 2 Heat",
        f"Chapter 1 Fluids\n\n{PROSE}",
        "Index\n\n12. abc\nlift, 12, 40\n\nExample 4, 51",
    )
    found = find_blocks(pages)
    assert [b.label for b in found if b.kind == "chapter"] == ["1"]
    assert {b.kind for b in found if b.page == 3} == {"index"}


def test_blocks_sentence_over_a_page_is_joined() -> None:
    """A page turn in a sentence leaves no break, and the hyphen of a parted word goes."""
    found = find_blocks(book("The cell has a mem-", "brane of lipids and\n\na wall."))
    assert found[0].text == "The cell has a membrane of lipids and"
    assert found[0].turns == ((18, 2),)


def test_join_list_in_an_answer_opens_no_chapter() -> None:
    """Steps 1 to 4 in an answer are that answer's, though the next answer has a number much higher."""
    asked = "\n\n".join(f"{n}. What is {n} times two?" for n in range(1, 30))
    key = "Answers\n\n15. Step by step:\n\n1. Take it.\n\n2. Add it.\n\n3. Look.\n\n24. It is 48."
    found = answers(f"Chapter 1 Numbers\n\n{PROSE}\n\nExercises\n\n{asked}", key)
    assert found["What is 24 times two"] == "It is 48."
    assert found["What is 15 times two"].endswith("3. Look.")


def test_join_key_that_leaves_out_many_numbers() -> None:
    """Answers without a full stop, in lines close below each other, whose numbers leap."""
    asked = "\n\n".join(f"{n}. What is {n} times two?" for n in range(1, 80))
    key = "Answers\n\n9. 18 s\n75. 150 s\n79. 158 s"
    found = answers(f"Chapter 1 Numbers\n\n{PROSE}\n\nExercises\n\n{asked}", key)
    assert found == {"What is 9 times two": "18 s", "What is 75 times two": "150 s", "What is 79 times two": "158 s"}


def test_join_key_whose_numbers_leap_twice() -> None:
    """An answer of one line above, a greater number below: the number between is one, though it begins `43. 4×`."""
    asked = "\n\n".join(f"{n}. What is {n} times two?" for n in range(1, 100))
    key = "Answers\n\n21. 102 N\n43. 4×10^{4} molecules\n95. (a) 4.32 m/s"
    found = answers(f"Chapter 1 Numbers\n\n{PROSE}\n\nExercises\n\n{asked}", key)
    assert list(found.values()) == ["102 N", "4×10^{4} molecules", "(a) 4.32 m/s"]


def test_join_key_at_the_back_by_chapter() -> None:
    """Numbers that restart are told apart by chapter, odd-only or not, with a page head in between."""
    key = "Answers to Exercises\n\nChapter 1\n\n1. 49 kPa\n\n3. A force."
    more = "Answers to Exercises 4\n\nChapter 2\n\n1. A path without heat.\n\n3. A measure of disorder."
    assert answers(*CHAPTERS, key, more) == {
        "What is the pressure at 5 m": "49 kPa",
        "What is lift": "A force.",
        "What is an adiabat": "A path without heat.",
        "What is entropy": "A measure of disorder.",
    }


def test_join_key_whose_chapter_heads_were_lost() -> None:
    """The second run of numbers belongs to the second chapter; a list in an answer opens no run."""
    first = "1. 49 kPa\n2. Two reasons:\n1. they displace water\n2. water is heavy\n3. A force."
    key = f"Answers\n\n{first}\n1. No heat.\n2. Energy.\n3. Disorder."
    found = answers(*CHAPTERS, key)
    assert found["Why do ships float"].endswith("2. water is heavy")
    assert found["What is lift"] == "A force."
    assert found["What is entropy"] == "Disorder."


def test_join_numbers_with_points() -> None:
    """`3.1` in the key is exercise 3.1, not guided practice 3.1 nor section 3.1; letters in a line are parts."""
    practice = "GUIDED PRACTICE 3.1\nWhat is a die?"
    text = f"3.1 Chance\n\n{PROSE}\n\n{practice}\n\nExercises\n\n3.1 True or false. Dice have a memory.\n\n3.2 Why?"
    assert answers(text, "Exercise solutions\n\n3 Chance\n3.1 (a) False. (b) 0.25 (c) 0.3") == {
        "True or false. Dice have a memory.": "(a) False. (b) 0.25 (c) 0.3"
    }


def test_join_key_at_the_end_of_each_chapter() -> None:
    """A key answers the exercises just before it; letters in one line are taken apart."""
    keys = ("1. B  2. D  3. A", "1. C\n2. A\n3. B")
    pages = [f"{page}\n\nAnswer key\n\n{key}" for page, key in zip(CHAPTERS, keys, strict=True)]
    found = answers(*pages)
    assert [found[q] for q in ("Why do ships float", "What is lift", "What is an adiabat")] == ["D", "A", "C"]


def test_join_ambiguous_label_is_joined_to_nothing() -> None:
    """Two exercises 1, one answer 1, nothing to tell which: no pair."""
    two = "Exercises\n\n1. What is lift?\n\n2. Why?\n\nReview Questions\n\n1. What is drag?\n\n2. How?"
    assert answers(two, "Answers\n\n1. A force.") == {}


def test_join_two_answers_for_one_exercise_are_joined_to_nothing() -> None:
    """A key that says two things about an exercise is not believed."""
    assert "Why" not in answers(
        "Exercises\n\n1.1 What?\n\n1.2 Why?", "Answers\n\n1.1 So.\n\n1.2 Thus.", "Solutions\n\n1.2 Never."
    )


def flat(text: str) -> str:
    """Leave out the white space, and the hyphens that a page turn may eat."""
    return "".join(text.split()).replace("-", "")


def passages(pages: list[Paper], limit: int) -> list[str]:
    """Give the texts of the passages."""
    blocks = find_blocks(pages)
    return [p.text for p in chunk(blocks, join_answers(blocks), limit)]


def test_chunk_examples_stay_with_their_solutions() -> None:
    """No passage begins with a solution, none is too long, nothing is lost, and the pages are known."""
    page = "\n\n".join(
        f"EXAMPLE {i}.{j}\nWhat is {i} + {j}?\n\nSolution\n{PROSE} It is {i + j}." for i in (1, 2) for j in range(1, 9)
    )
    pages = book("Contents\n\nOne", f"Chapter 1 Sums\n\n{page}", "Answers\n\n1. Much.")
    blocks = find_blocks(pages)
    found = chunk(blocks, join_answers(blocks), 400)
    assert all(p.text.count("EXAMPLE") == p.text.count("Solution") and p.n_tokens <= 400 for p in found)
    assert flat("".join(p.text for p in found)) == flat("".join(p.text for p in pages))
    assert [p.page_start for p in found] == sorted(p.page_start for p in found)
    assert all(a.page_end <= b.page_start for a, b in pairwise(found))


def test_chunk_carries_the_answers_of_its_exercises() -> None:
    """The key of a passage holds its own exercises' answers, by chapter where numbers restart."""
    key = (
        "Answers\n\nChapter 1\n1. 49 kPa\n2. They displace water.\nIt is heavy.\n3. A force.\n\nChapter 2\n1. No heat."
    )
    blocks = find_blocks(book(*CHAPTERS, key))
    found = chunk(blocks, join_answers(blocks), 4096)
    keys = "\n".join(p.answer_key for p in found if p.answer_key)
    assert "1. 49 kPa\n2. They displace water.\n   It is heavy.\n3. A force." in keys
    assert "1. No heat." in keys


def test_chunk_oversize_block_is_cut() -> None:
    """A paragraph longer than a passage is cut between sentences, and one long word anywhere."""
    texts = passages(book(PROSE * 20, "x1" * 3000), 300)
    assert all(count_tokens(text) <= 300 for text in texts)
    assert flat("".join(texts)) == flat(PROSE * 20 + "x1" * 3000)


def test_page_of_question_over_a_turn_is_where_it_begins() -> None:
    """The page of a question is the one on which it begins."""
    blocks = find_blocks(
        book("1.1 Wells\n\nWells are deep.", "How deep is a dry well when the echo", "needs two seconds?")
    )
    (passage,) = chunk(blocks, [])
    assert passage.page_starts[0] == 0 and len(passage.page_starts) == 3
    question = "How deep is a dry well when the echo needs two seconds?"
    assert page_of(passage.text, passage.page_start, passage.page_starts, question) == 2


def test_count_tokens_leaders_count_once() -> None:
    """Words count by length, digits and signs one each, with the margin; dot leaders are one."""
    assert count_tokens("Heat 2") == 3
    assert count_tokens("Heat " + "." * 300) == count_tokens("Heat .")


PIECES = [
    "Chapter 2 Heat", "2.1 Gases", "EXAMPLE 2.1", "Solution", "Solution for (a)", "Answer:", "Exercises", "Answers",
    "12. What?", "1. B  2. C", "3.4 Why not?", "Q1. What?", "A. Because.", "^{1}Here it is.", "Index", "References",
    "# Title", "**Bold** start", "(a) one", "A. red", "Question 3", "Answer", "x" * 90, "\x00", "²", "٣. ", "1", "-",
    "Figure 2.1 A map", "How? ^{1}",
]  # fmt: skip
PAGES = st.lists(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=60)), max_size=12), max_size=4)


@settings(max_examples=60, deadline=None)
@given(PAGES, st.integers(20, 400))
def test_structure_any_text_nothing_is_lost(pages: list[list[str]], limit: int) -> None:
    """Whatever stands on the pages, all of it stands in the passages; in order, where nothing is gathered."""
    texts = ["\n\n".join(pieces) for pieces in pages]
    blocks = find_blocks(book(*texts))
    joined: list[KeyedAnswer] = join_answers(blocks)
    whole = flat("".join(texts))
    assert flat("".join(p.text for p in chunk(blocks, joined, limit, context=None))) == whole
    gathered = flat("".join(p.text for p in chunk(blocks, joined, limit, context=limit // 4)))
    assert Counter(gathered.replace(LEFT_OUT, "")) == Counter(whole.replace(LEFT_OUT, ""))
