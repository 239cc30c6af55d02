"""Questions and answers found by rule in a passage, and the judgements on them: one small text for each pattern."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megascience_ops.books.blocks import find_blocks
from megascience_ops.books.chunks import chunk
from megascience_ops.books.exercises import join_answers
from megascience_ops.books.pairs import RulePair, damaged, pairs
from megascience_ops.books.read import read_book
from megascience_ops.engines.rules.judgements import external_reference, is_explained, short_answer

BOOKS = Path(__file__).parents[3] / "shared/data/textbooks/pdf"
LONG = (
    "Convection carries heat upwards wherever a warm fluid can rise through a colder one, in a kettle as in a star. "
    * 4
)


def found(text: str, key: str = "") -> list[tuple[str, str | None]]:
    """Give what is found, without the rule."""
    return [(pair.question, pair.answer) for pair in pairs(text, key)]


def test_pairs_example_with_solution() -> None:
    """The title goes, strategy and solution make one answer, the book going on does not."""
    text = (
        "EXAMPLE 2.4\nCooling Soup\nHow fast does the soup cool?\n\nStrategy\nUse the law of cooling.\n\n"
        f"Solution\nThe rate is 2 K a minute.\n\nDiscussion\nThat is slow.\n\n{LONG}\n\n2.5 Stars\n\n{LONG}"
    )
    ((question, answer),) = found(text)
    assert question == "How fast does the soup cool?"
    assert answer == "Use the law of cooling.\n\nThe rate is 2 K a minute.\n\nThat is slow."


def test_pairs_example_in_parts_is_whole() -> None:
    """Solutions for (a) and for (b) are one answer that names its parts."""
    question = "Example 7: A die is cast. (a) How likely is a six? (b) And a one?"
    text = f"{question}\n\nSolution for (a)\n1/6.\n\nSolution for (b)\n1/6 too."
    ((_, answer),) = found(text)
    assert answer == "(a) 1/6.\n\n(b) 1/6 too."


def test_pairs_example_over_a_page_with_a_figure_between() -> None:
    """A caption and the labels in its figure are no part of the answer."""
    text = (
        "Example 2.2 Two masses\nFind the pull of the string.\n\nSolution\nBoth masses speed up alike, so that T = 36 N.\n\n"
        "4 kg\n30 N\n\nFigure 2.1 Two blocks\n\nExample 2.3 Blocks\nHow hard do they press?\n\nSolution\nWith 18 N."
    )
    assert found(text) == [
        ("Find the pull of the string.", "Both masses speed up alike, so that T = 36 N."),
        ("How hard do they press?", "With 18 N."),
    ]


def test_pairs_rule_drawn_by_a_converter_is_no_part_of_an_answer() -> None:
    text = "Question 3. How far does it stretch?\n\nAnswer: (a) 9 cm * * * (b) This seems reasonable for a rope."
    assert found(text)[0][1] == "(a) 9 cm\n(b) This seems reasonable for a rope."


def test_pairs_sentence_about_a_figure_is_no_caption() -> None:
    """`Figure 3.2 shows ...` is the question; `Figure 3.2 A block` below it is not."""
    text = (
        "EXAMPLE 3.1\nFigure 3.2 shows a block of 4 kg at rest. What holds it?\nFigure 3.2 A block and its table\n\n"
        "Strategy\nThink of Newton.\n\nSolution\nThe table does."
    )
    assert found(text)[0][0] == "Figure 3.2 shows a block of 4 kg at rest. What holds it?"


@pytest.mark.parametrize(
    "rest",
    [
        ". The weight has components along both axes, as is seen here.",
        "because of the steep slope on which the skier stands here.",
        "The skier as seen from the side. The slope is steep. (credit: nobody)”)",
    ],
)
def test_pairs_rest_of_a_caption_is_left_out(rest: str) -> None:
    """A paragraph that begins in the middle of a sentence, or ends a bracket that it did not open, is no question's."""
    text = f"EXAMPLE 3.1\nHow hard does the skier press on the slope?\n\n{rest}\n\nSolution\nWith 500 N."
    assert found(text) == [("How hard does the skier press on the slope?", "With 500 N.")]


def test_pairs_discussion_with_a_formula_is_whole() -> None:
    """A discussion goes on through its formulas and ends with its last sentence."""
    text = (
        "EXAMPLE 3.1\nHow fast does it spin?\n\nSolution\nω = v/r = 50 rad/s\nDiscussion\nWith a larger radius it spins less:\n\n"
        f"ω = v/R = 12 rad/s,\n\nwhich is slow for a wheel.\n\n{LONG}"
    )
    ((_, answer),) = found(text)
    assert answer.endswith("which is slow for a wheel.")
    assert "12 rad/s" in answer


def test_pairs_example_without_a_label_needs_a_question_mark() -> None:
    """With a question mark at a line's end the rest is the answer; without one there is no telling."""
    assert found(
        "EXAMPLE 3.2\nWhat is the chance of a one or a two?\nTwo of six outcomes count, so it is 1/3.\n\n3.3 More dice\n\n"
    ) == [("What is the chance of a one or a two?", "Two of six outcomes count, so it is 1/3.")]
    assert found("EXAMPLE 3.3\nConsider the throw of a die.\nTwo of six outcomes count, so it is 1/3.") == []


def test_pairs_practice_answer_stops_before_the_next_section() -> None:
    """A short answer does not swallow the paragraph after it."""
    text = f"Check Your Learning\nHow many moles are in 36 g of water?\n\nAnswer:\n2.0 mol\n\n{LONG}"
    assert found(text) == [("How many moles are in 36 g of water?", "2.0 mol")]


@pytest.mark.parametrize(
    ("ask", "say"),
    [
        ("Question {}\n", "\n\nAnswer\n"),
        ("Q{}. ", "\nA. "),
        ("Exercise 1.{}: ", "\nSolution: "),
        ("**Problem {}.** ", "\n\n**Solution.** "),
        ("### Question {}\n\n", "\n\n### Answer\n\n"),
    ],
)
def test_pairs_question_and_answer_labels(ask: str, say: str) -> None:
    """Books label questions and answers in many ways."""
    first = f"{ask.format(4)}Why is the sky blue?{say}Blue light is scattered more."
    text = f"{first}\n\n{ask.format(5)}Why is it dark?{say}At night."
    assert found(text) == [("Why is the sky blue?", "Blue light is scattered more."), ("Why is it dark?", "At night.")]


def test_pairs_keyed_exercises() -> None:
    """Answers of the key find their exercises in order; lists in the prose and a second run do not mislead."""
    text = (
        "1. This is a list.\n2. It asks nothing.\n\nExercises\n\n1. What is heat? 2. is no label here.\n\n2. What is work?\n\n"
        "3. What is power?\n\nReview Questions\n\n1. What is a watt?\n\n2. What is a joule?"
    )
    key = "1. Energy.\n   1. in transit\n3. A rate.\nExercises\n2. A unit."
    assert found(text, key) == [
        ("What is heat? 2. is no label here.", "Energy.\n1. in transit"),
        ("What is work?", None),
        ("What is power?", "A rate."),
        ("What is a watt?", None),
        ("What is a joule?", "A unit."),
    ]


def test_pairs_question_is_without_the_tag_for_a_calculator() -> None:
    text = "Exercises\n\n12. [T] Find the area below the curve from 0 to 2.\n\n13. What is the slope at 3?"
    assert [pair.question for pair in pairs(text, "12. 4.2\n13. 6")] == [
        "Find the area below the curve from 0 to 2.",
        "What is the slope at 3?",
    ]


def test_pairs_multiple_choice_letter_gets_its_text() -> None:
    """Options stay with the question, on lines of their own or on one line; parts of a question are no options."""
    key = "1. B\n2. C\n3. b\n4. T"
    text = (
        "Review questions\n\n1. Which is a metal?\n\nA. Sulfur\nB. Zinc\nC. Neon\n\n2. Which is a gas? (a) Zinc (b) Gold (c) Neon\n\n"
        "3. Zinc is cast. (a) What melts it? (b) What hardens it?\n\n4. True or false: zinc is a metal."
    )
    assert [answer for _, answer in found(text, key)] == ["B. Zinc", "C. Neon", "b", "True"]
    assert found(text, key)[0][0] == "Which is a metal?\n\nA. Sulfur\nB. Zinc\nC. Neon"


def test_pairs_footnote_answers_its_question() -> None:
    """The mark leads to the note, past the text that goes on; the mark of a source answers nothing."""
    text = (
        "GUIDED PRACTICE 3.6\nName a random process.^{1}\n\nProcesses may be too hard to foresee.\n\n"
        "Exercises\n\n3.1 How many read the news?^{2}\n\n^{1}A die, for one.\n\n^{2}Newsdata."
    )
    assert found(text) == [("Name a random process.", "A die, for one."), ("How many read the news?", None)]


def test_pairs_prose_index_and_key_give_nothing() -> None:
    """No question is made up."""
    assert found(f"{LONG}\n\nSee Example 5.6\n\n42. No question.") == []
    assert found("Index\n\nheat, 12, 40\n12. work, 7") == []
    assert found("Answers\n\n1. Energy.\n2. Work.") == []


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("What is the force on it?", "\ufffd = 3 N", "glyph_garbage"),
        ("What is the speed then?", "v\n=\nd\nt\n=\n3 m/s\n1 s", "broken_mathematics"),
        ("What is the speed then?", "v^{2} = v (2)/(3) + 2ax", "broken_mathematics"),
        (
            "Which share of them is ill?",
            "0.08.\nIll? Test\nyes, 0.1\nsure, 0.8\n0.1*0.8 = 0.08\nno, 0.9",
            "figure_text",
        ),
        ("Which parts does it have?", "a base\n1 80 20\na link\n2 50 40\na wrist\n3 20 60", None),
        ("Which one?", "The first.", "no_question"),
        ("What is your own view of this?", "Answers will vary.", "no_answer"),
        ("(a) How fast is it then? (b) Draw it.", "(a) 3 m/s (b)", "incomplete_answer"),
        ("What is the force on it?", "The force is therefore given by", "incomplete_answer"),
        ("Find v_{0} if a = 3 m/s^{2} and t = 1 s.", "v_{0}^{2} = 2ax, so v_{0} = 3 m/s in part (a)", None),
    ],
)
def test_damaged_pairs(question: str, answer: str, reason: str | None) -> None:
    """What was read badly is named."""
    assert damaged(RulePair(question, answer, "example")) == reason


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How far does the lift of Figure 1.2 climb?", "figure"),
        ("What is the mean of the values in Table 4?", "table"),
        ("A person is drawn from the smallpox data set. How likely is it that she lived?", "table"),
        ("Use Equation (2.3) to find the speed.", "equation"),
        ("Repeat the calculation for a hoop.", "chained"),
        ("What is the result of the previous problem for a hoop?", "earlier_item"),
        ("Which of the maxima in the following histogram is higher?", "picture"),
        ("Compare this with Example 3.5 for two dice.", "place_in_book"),
        ("Balance the equation 3 Ca(OH)2 + 2 H3PO4.", None),
        ("Sketch the graph of sin x and find its zeros.", None),
        ("How would you sort the following problems into classes?", None),
        ("What is the chance that she picks you for the next question?", None),
        ("Answer the following questions. (a) Using part (a), what is P?", None),
    ],
)
def test_external_reference(text: str, name: str | None) -> None:
    """What a question needs from elsewhere is named, and like wordings are not."""
    assert external_reference(text, "So it is.") == name


def test_external_reference_in_the_answer() -> None:
    """An answer that rests on a figure does not stand alone."""
    assert external_reference("How far does it go?", "The area in Figure 2.1 is 3 m.") == "figure"


@pytest.mark.parametrize(
    ("answer", "explained"),
    [
        ("24.0 mL", False),
        ("(a) 3 m/s (b) 4 s (c) 5 N", False),
        ("2 H2 + O2 → 2 H2O → 2 H2O2 → H2O + O2", False),
        ("The energy is E = mgh = 2 × 9.81 × 3 = 59 J.", True),
        ("Because water is polar it sticks to glass, and since glass is wet by it the surface curves upwards. "
         "Therefore the water climbs in a narrow tube.", True),
    ],
)  # fmt: skip
def test_is_explained(answer: str, explained: bool) -> None:
    """Reasons and steps count, results do not."""
    assert is_explained(answer) is explained


OPTIONS = "Which is a metal?\nA. Sulfur\nB. Zinc\nC. Neon"


@pytest.mark.parametrize(
    ("question", "answer", "short"),
    [
        ("What is x?", "Therefore\n\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        (OPTIONS, "B. Zinc", "B"),
        (OPTIONS, "The answer is (b), because zinc conducts.", "B"),
        ("Which virus is meant?", "A virus of the family that also causes mumps in children and in adults.", None),
        ("Is zinc a metal, true or false?", "True. It conducts.", "True"),
        (
            "True or false?",
            "(a) True. (b) False, since the mean of the two is not the median of all of them here.",
            None,
        ),
        ("What volume is needed?", "24.0 mL.", "24.0 mL"),
        (
            "How long does it take?",
            "The distance is 20 m and the speed is 4 m/s, so that the time is 20/4 = 5 s.",
            "5 s",
        ),
        (
            "How likely is it?",
            "0.0714. Even after a positive test there is only a chance of seven in a hundred. yes = 3",
            "0.0714",
        ),
        ("Where does it land?", "x = 130 m, as the speed along x is kept\ny = 30.9 m, as the table says", None),
        ("(a) How long? (b) How far?", "The speed is 4 m/s and the time needed for the whole way is 20/4 = 5 s.", None),
        ("How long does it take?", "It takes 5 s, since t = 20/4 = 5 s; this is much less than it was before.", None),
        (
            "Why is that so?",
            "The reason for this is the shape of the molecule, which is what the dipole is due to.",
            None,
        ),
    ],
)
def test_short_answer(question: str, answer: str, short: str | None) -> None:
    """The final answer is given only where a rule can tell."""
    assert short_answer(question, answer) == short


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=300), st.text(max_size=100))
def test_pairs_any_text_is_survived(text: str, key: str) -> None:
    """Rules answer on any text."""
    for pair in pairs(text, key):
        damaged(pair)
        external_reference(pair.question, pair.answer or "")
        short_answer(pair.question, pair.answer or "")


@pytest.mark.parametrize(
    "text", ["_{a" * 20_000, "A " * 40_000, "^{aaaa" * 9_000, " " * 90_000 + "x", "a 1 " * 20_000, "1. A " * 20_000]
)
def test_rules_long_text_takes_no_time(text: str) -> None:
    """No pattern runs away; pytest's own patience would notice."""
    found_here = pairs(f"Exercises\n\n1. Why?\n{text}", f"1. {text}")
    assert len(found_here) <= 1
    damaged(RulePair(text, text, "keyed"))
    external_reference(text, text)
    short_answer(text, text)
    is_explained(text)


def read_pairs(name: str) -> list[RulePair]:
    """Read a book and find its pairs, passage by passage."""
    path = BOOKS / name
    if not path.exists():
        pytest.skip(f"the trial books are not here: {path.parent.name}/{name}")
    blocks = find_blocks(read_book(path).pages)
    return [pair for p in chunk(blocks, join_answers(blocks)) for pair in pairs(p.text, p.answer_key)]


@pytest.mark.parametrize(("name", "answered", "kept"), [("phys.pdf", 260, 150), ("openintro-ch3.pdf", 75, 45)])
def test_pairs_of_a_real_book(name: str, answered: int, kept: int) -> None:
    """A textbook with a key at its back yields its pairs, most of them fit to be asked."""
    with_answer = [pair for pair in read_pairs(name) if pair.answer is not None]
    fit = [
        pair for pair in with_answer if not damaged(pair) and not external_reference(pair.question, pair.answer or "")
    ]
    rules = Counter(pair.rule for pair in with_answer)
    assert len(with_answer) >= answered, rules
    assert len(fit) >= kept, Counter(damaged(pair) for pair in with_answer)


LINES = (
    *(
        "Chapter 3",
        "3.2 Forces",
        "Example 3.1",
        "EXAMPLE 3.2 Pushing a crate",
        "Solution",
        "Solution for (a)",
        "Answer:",
    ),
    *("Discussion", "Strategy", "Question 4", "Q7.", "A.", "12.", "3.4", "(a)", "(b) 5 N", "B. Energy", "Answer key"),
    *("Exercises", "Answers to Exercises", "Check Your Learning", "^{1}", "1Here it is.", "True or false?", "[link]"),
    *(
        "What is the force on a crate of 12 kg that is pushed at 2 m/s^{2}?",
        "The force is 24 N.",
        "F = ma =",
        "therefore",
    ),
    *("", "", "Figure 3.1 A crate.", "References", "Index", "\ufffd", "1. D  2. A  3. C", "• Define force"),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=40), st.lists(st.sampled_from(LINES), max_size=8))
def test_pairs_of_labels_in_any_order_are_found_or_not_but_never_a_crash(lines: list[str], key: list[str]) -> None:
    for pair in pairs("\n".join(lines), "\n".join(key)):
        assert pair.question.strip()
        damaged(pair)


def test_question_does_not_take_in_the_head_of_the_next_chapter() -> None:
    text = "Exercises\n\n1. Why is the pH of pure water changed a great deal by an acid?\n\nElectrons and rates"
    (pair,) = pairs(text, "1. Because there is nothing in it that could take up the hydrogen ions.")
    assert pair.question == "Why is the pH of pure water changed a great deal by an acid?"


def test_short_answer_is_no_piece_of_a_formula() -> None:
    answer = "The acceleration follows from the force and from the mass, so it is \\( 2.05 \\) m/s²."
    assert short_answer("What is the acceleration of the crate?", answer) is None


def test_graph_that_a_question_goes_by_is_a_reference() -> None:
    assert external_reference("According to the graph, when is the car at rest?", "At 3 s.") == "picture"
    assert external_reference("What is the graph of sin x like near zero?", "It is a line.") is None
