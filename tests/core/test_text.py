"""Texts of strangers made ready to show: formulas become trees of known elements, everything else stays text."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megascience_ops.looking.mathematics import _ATTRIBUTES, _ELEMENTS, tree
from megascience_ops.looking.text import pieces, shown
from megascience_ops.strangers import visible

WORDS = [
    "\\frac",
    "\\text",
    "\\href",
    "\\style",
    "\\sqrt",
    "\\left",
    "\\right",
    "\\begin{matrix}",
    "\\end{matrix}",
    "{",
    "}",
]
WORDS += [
    "&",
    "\\\\",
    "^",
    "_",
    "x",
    "12",
    "<b>",
    "javascript:",
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    " ",
    "\u202e",
    "\x00",
]
LATEX = st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=25).map("".join)


def elements(node: Any) -> list[tuple[str, dict[str, str]]]:
    name, attributes, inside = node
    return [(name, attributes)] + [one for child in inside if not isinstance(child, str) for one in elements(child)]


@given(LATEX)
@settings(max_examples=300, deadline=None)
def test_tree_of_any_latex_has_known_elements_only(latex: str) -> None:
    node = tree(latex)
    for name, attributes in elements(node) if node else []:
        assert name in _ELEMENTS
        assert set(attributes) <= _ATTRIBUTES
        assert not any(":" in value or "(" in value for value in attributes.values())


@given(LATEX)
@settings(max_examples=300, deadline=None)
def test_pieces_say_all_of_the_text_in_order(text: str) -> None:
    said = "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces(text))
    assert said == visible(text)


@pytest.mark.parametrize(
    "text, formulas",
    [
        ("\\( v = 2 \\) and \\[ \\frac{1}{2} \\]", ["\\( v = 2 \\)", "\\[ \\frac{1}{2} \\]"]),
        ("$x^2$, $$y$$", ["$x^2$", "$$y$$"]),
        ("it costs $5 and the other $10", []),
        ("between $5-$10, or US$ 3 and 4$", []),
        ("a\\$b$c", []),
        ("C = 10q + q^{2}, H_{2}O", ["^{2}", "_{2}"]),
        ("$\\unknowncommand{x}$", []),
        ("\\(\\frac{\\)", []),
        ("", []),
    ],
)
def test_pieces_find_the_formulas(text: str, formulas: list[str]) -> None:
    assert [piece[0] for piece in pieces(text) if not isinstance(piece, str)] == formulas


@pytest.mark.parametrize("latex", ["{" * 5000, "\\sqrt" * 300, "\\left(" * 200, "x^" * 900, "\\frac" * 300, "a" * 1999])
def test_tree_of_a_hostile_formula_is_soon_given_up(latex: str) -> None:
    began = time.process_time()
    tree(latex)
    assert time.process_time() - began < 5


def test_what_would_hide_or_move_text_is_shown_in_its_place() -> None:
    node = tree("\\phantom{secret} \\color{white}{secret}")
    assert node is not None
    assert "mphantom" not in dict(elements(node))
    assert not any("color" in name for _, attributes in elements(node) for name in attributes)


def test_shown_goes_into_lists_and_mappings_and_leaves_numbers() -> None:
    said = shown({"a": ["\x1b[2J", 1, None, True], "b": {"c": "$x$"}})
    assert said["a"] == ["␛[2J", 1, None, True]
    assert said["b"]["c"]["pieces"][0][0] == "$x$"


def test_text_of_great_length_is_cut() -> None:
    assert len(shown("a" * 100_000)) < 50_000
