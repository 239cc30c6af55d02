"""Markdown and MathML as a book prints them: letters of lists, pictures, links, tables, formulas within sentences."""

from pathlib import Path

import pytest

from megascience_ops.books.pairs import pairs
from megascience_ops.books.read import read_book


def text_of(folder: Path, source: str) -> str:
    (folder / "book.md").write_text(f"# A book\n\n{source}\n", "utf-8")
    return "\n\n".join(page.text for page in read_book(folder / "book.md").pages)


def maths(inner: str) -> str:
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>{inner}</mrow></math>'


@pytest.mark.parametrize(
    ("inner", "want"),
    [
        ("<mtext>12</mtext><mtext>.</mtext><mn>5 m/s</mn>", "12.5 m/s"),
        ("<mi>v</mi><mo>=</mo><mo>−</mo><mtext>3</mtext><mtext>.0 m</mtext>", "v = −3.0 m"),
        ("<mi>A</mi><mtext>cos</mtext><mi>θ</mi>", "A cos θ"),
        ("<mover><mi>v</mi><mo>-</mo></mover><mo>=</mo><mn>2</mn>", "v̄ = 2"),
        ("<mn>7</mn><mtext> m</mtext><mo>×</mo><mn>2</mn>", "7 m × 2"),
        ("<msub><mi>v</mi><mtext>.</mtext></msub>", "v."),
    ],
)
def test_mathml_numbers_signs_and_words_stand_as_printed(tmp_path: Path, inner: str, want: str) -> None:
    assert f"Take {want}" in text_of(tmp_path, f"Take {maths(inner)} here.")


def test_markdown_paragraph_that_a_formula_ended_goes_on(tmp_path: Path) -> None:
    x = maths("<mi>x</mi>")
    source = f"The speed **of {x}\n\n** is small. For {x}\n\n and {x}\n\n, too. Then {x}\n\n The rest follows."
    text = text_of(tmp_path, f"{source}\n\nAnother paragraph.")
    assert text.endswith("Then x The rest follows.\n\nAnother paragraph.")
    assert "x and x, too." in text


def test_markdown_list_with_letters_makes_a_choice_of_its_answer(tmp_path: Path) -> None:
    source = (
        '### Review Questions\n\n<div data-type="problem">\nWhich of these is a gas at room temperature?\n\n'
        '1.  iron\n2.  neon\n3.  salt\n{: type="a"}\n\n</div>\n<div data-type="solution">\nB\n\n</div>'
    )
    ((question, answer, _),) = ((p.question, p.answer, p.rule) for p in pairs(text_of(tmp_path, source)))
    assert "b. neon" in question
    assert answer == "B. neon"


def test_markdown_numbered_list_in_a_question_without_number_is_part_of_it(tmp_path: Path) -> None:
    source = (
        '### Problems\n\n<div data-type="problem">\nWhat becomes of the price in these cases?\n\n1. Cars grow cheaper.\n'
        '2. Oil grows dear.\n\n</div>\n<div data-type="solution">\n1. It falls.\n2. It rises.\n</div>\n'
        '<div data-type="problem">\n**Integrated Concepts**\n\nHow much is left after that?\n</div>\n'
        '<div data-type="solution">\n3.1 kg\n</div>'
    )
    found = [(pair.question, pair.answer) for pair in pairs(text_of(tmp_path, source))]
    assert [answer for _, answer in found] == ["1. It falls.\n\n2. It rises.", "3.1 kg"]
    assert "2. Oil grows dear." in found[0][0]


def test_markdown_pictures_links_and_escapes_leave_the_words(tmp_path: Path) -> None:
    text = text_of(
        tmp_path,
        '**Strategy**![A horse.](../a.jpg "A \\"fast\\" horse (2)"){: #a}\n\nSee [the site](http://x.org/a "Title") and '
        "[this one][1], as [[link]](#a) says: \\_\\_\\_\\_ is 5\\. \n\n### Exercises   {#e-1}",
    )
    assert "**Strategy**\n\n![A horse.]" in text
    assert "See the site and this one, as [link] says: ____ is 5." in text
    assert text.endswith("### Exercises")


def test_markdown_tex_keeps_its_backslashes(tmp_path: Path) -> None:
    source = r"The speed is \(v\_0 = \frac{s}{t}\) and \[x = 2\,\text{m}\] holds."
    assert source in text_of(tmp_path, source)


def test_markdown_table_of_html_reads_in_rows(tmp_path: Path) -> None:
    source = "<table><thead><tr><th>Gas</th><th>Mass</th></tr></thead><tbody><tr><td>Neon</td><td>20</td></tr></tbody></table>"
    assert "| Gas | Mass |\n| Neon | 20 |" in text_of(tmp_path, source)
