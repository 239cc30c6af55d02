"""Fractions and roots that a page draws with a bar: put together as they are read aloud, and nothing else with a bar."""

from pathlib import Path

import pytest

from megascience_ops.books.read import read_book

PROSE = "The lines above and below are there so that the formula does not stand alone on its page, as in any book."


def text_of(folder: Path, source: str) -> str:
    typst = pytest.importorskip("typst", reason="the examples extra sets these pages")
    (folder / "page.typ").write_text("#set page(width: 400pt, height: 560pt, margin: 60pt)\n" + source)
    typst.compile(str(folder / "page.typ"), output=str(folder / "page.pdf"))
    return "\n\n".join(page.text for page in read_book(folder / "page.pdf").pages)


@pytest.mark.parametrize(
    ("formula", "want"),
    [
        ("$ a = (v_f^2 - v_0^2)/(2 x) $", "a = (v^{2}_{f} − v^{2}_{0})/(2x)"),
        ("$ 5.0 times 10^5 \"m\" dot (1 \"km\")/(1000 \"m\") = 500 \"km\" $", "10^{5} m ⋅ (1 km)/(1000 m) = 500 km"),
        ("$ (a/b)/(c + d) = 3 $", "((a)/(b))/(c + d) = 3"),
        ("$ v = sqrt(2 g h) $", "v = √(2gh)"),
        ("$ t = sqrt((2 h)/g) = 2.5 \"s\" $", "t = √((2h)/(g)) = 2.5 s"),
        ("$ x = (-b + sqrt(b^2 - 4 a c))/(2 a) $", "x = (−b + √(b^{2} − 4ac))/(2a)"),
        ("$ T = T_0 (r/R)^(3\\/2) + 1 $", "T = T_{0}((r)/(R))^{3/2} + 1"),
        ("$ (3/4)(5/6) = 5/8 $", "((3)/(4))((5)/(6)) = (5)/(8)"),
        ("$ e^(-x/2) = 1 $", "e^{−(x)/(2)} = 1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inline", [False, True])
def test_formula_with_a_bar_reads_on_one_line(tmp_path: Path, formula: str, want: str, inline: bool) -> None:
    if inline:
        formula = f"${formula.strip('$ ')}$"
    # How far apart the signs of a formula stand goes by its size.
    assert "".join(want.split()) in "".join(text_of(tmp_path, f"{PROSE} Then {formula} holds. {PROSE}").split())


def test_formula_fraction_in_crowded_lines_takes_nothing_from_the_next(tmp_path: Path) -> None:
    source = f"#set par(leading: 0.3em)\n{PROSE} Then $P = 1353/10000$ and so on. {PROSE} " + "See^1 it^2 here^3 " * 12
    assert "P = (1353)/(10000)" in text_of(tmp_path, source)


@pytest.mark.parametrize(
    "source",
    [
        "#underline[An underlined line]\n\nand the one below it that follows at once",
        "#underline[Short]\\\nlines",
        "#table(columns: 2, [energy], [power], [12], [34])",
        "#table(columns: 1, inset: 2pt, align: center, [energy], [power])",
        "Text above the rule\n#line(length: 100%)\ntext below the rule",
    ],
)
def test_formula_other_bars_make_no_fraction(tmp_path: Path, source: str) -> None:
    assert ")/(" not in text_of(tmp_path, f"{PROSE}\n\n{source}\n\n{PROSE}")
