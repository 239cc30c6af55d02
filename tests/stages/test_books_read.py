"""Books to pages: formulas, paragraphs, running heads, verdicts, formats and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pikepdf
import pytest

from megascience_ops.books import BookError, stretches
from megascience_ops.books.assemble import Line
from megascience_ops.books.furniture import furniture
from megascience_ops.books.glyphs import PageGlyphs
from megascience_ops.books.pairs import pairs
from megascience_ops.books.paragraphs import paragraphs
from megascience_ops.books.read import book_from_lines, read_book
from megascience_ops.books.verdicts import verdict

ROOT = Path(__file__).parents[2]
ROBUST = ROOT.parent / "shared" / "data" / "textbooks" / "robust"
PROSE = (
    "The force on a body is the product of its mass and the acceleration that it has, and it is measured in newtons. "
)


def typeset(folder: Path, source: str, name: str = "book.pdf") -> Path:
    typst = pytest.importorskip("typst", reason="the examples extra sets these books")
    (folder / "book.typ").write_text("#set page(width: 400pt, height: 560pt, margin: 60pt)\n" + source)
    path = folder / name
    typst.compile(str(folder / "book.typ"), output=str(path))
    return path


def text_of(path: Path) -> str:
    return "\n\n".join(page.text for page in read_book(path).pages)


def test_page_of_ten_thousand_characters_is_read_whole(tmp_path: Path) -> None:
    source = "#set page(width: 2000pt, height: 2000pt)\n#for n in range(2500) [w#n ]"
    assert re.findall(r"w(\d+)", text_of(typeset(tmp_path, source))) == [str(n) for n in range(2500)]


def drawn(path: Path, content: str) -> Path:
    """A PDF of one page with the given content, in Helvetica."""
    with pikepdf.new() as pdf:
        font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        page = pdf.add_blank_page(page_size=(600, 800))
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F=font))
        page.Contents = pdf.make_stream(f"BT /F 10 Tf {content} ET".encode("latin-1"))
        pdf.save(path)
    return path


def test_page_read_in_stretches_says_what_its_characters_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "= Motion in 2 dimensions\n"
        + 3 * PROSE
        + "\n\n+ Find $a = frac(F_1 + F_2, m)$ where m = 5.0 kg − 10#super[−3] kg."
        "\n+ Is $sqrt(x^2 + y^2)$ less than *twice* $x + y$, $caron(r)$ being given?\n\n#columns(2)[" + 9 * PROSE + "]"
    )
    path = typeset(tmp_path, source)
    in_stretches = text_of(path)
    monkeypatch.setattr(stretches, "_odd", lambda page, found: set(range(len(found))))
    assert in_stretches == text_of(path) != ""


def test_columns_that_one_text_object_prints_are_read_one_after_the_other(tmp_path: Path) -> None:
    rows = [(f"left column row {n} says this", f"right column row {n} says that") for n in range(12)]
    content = "1 0 0 1 60 700 Tm 14 TL " + "".join(f"[({left}) -9000 ({right})] TJ T* " for left, right in rows)
    text = text_of(drawn(tmp_path / "columns.pdf", content))
    assert text.index("left column row 11") < text.index("right column row 0")


def test_accent_over_the_first_letter_of_a_text_object_stays_with_that_letter(tmp_path: Path) -> None:
    content = r"1 0 0 1 60 700 Tm [(Schr\310) 400 (odinger wrote it)] TJ"
    assert text_of(drawn(tmp_path / "accent.pdf", content)) == "Schrödinger wrote it"


# --- formulas -------------------------------------------------------------------------------------------------------


def test_formula_raised_and_lowered_glyphs_read_as_scripts(tmp_path: Path) -> None:
    path = typeset(tmp_path, "Then $s(t) = 2t^3 - 15t^2 + v_0 t$ and $e^(t\\/2)$ hold for all t.")
    text = text_of(path)
    assert "2t^{3} − 15t^{2} + v_{0}" in text
    assert "e^{t/2}" in text


def test_formula_script_on_a_script_is_nested(tmp_path: Path) -> None:
    assert "e^{x^{2}}" in text_of(typeset(tmp_path, "The function $e^(x^2)$ grows without any bound."))


def test_formula_typographic_superscript_keeps_the_power_of_ten(tmp_path: Path) -> None:
    text = text_of(typeset(tmp_path, "The mass is 8.0 × 10#super[2] kg, and of ^79 nothing is said."))
    assert "10^{2} kg" in text


def test_formula_typographic_sign_is_raised_with_its_number(tmp_path: Path) -> None:
    assert "10^{−5} N" in text_of(
        typeset(tmp_path, '#set text(font: "Libertinus Serif")\nForce: 1.2 × 10#super[−5] N.')
    )


def test_formula_superscript_of_full_size_is_found_by_its_baseline(tmp_path: Path) -> None:
    source = "The mass is 8.0 × 10#super(typographic: false, baseline: -0.4em, size: 1em)[2] kg in all."
    assert "10^{2} kg" in text_of(typeset(tmp_path, source))


@pytest.mark.parametrize("formula", ["$v = (d y)/(d x)$", "$ v = (d y)/(d x) $"])
def test_formula_stacked_fraction_reads_on_one_line(tmp_path: Path, formula: str) -> None:
    assert "(dy)/(dx)" in text_of(typeset(tmp_path, f"The slope is written as {formula} in this book."))


def test_formula_index_over_index_is_no_fraction(tmp_path: Path) -> None:
    text = text_of(typeset(tmp_path, "From $v^2 = v_0^2 + 2 a x$ the answer follows at once."))
    assert "v^{2} = v^{2}_{0} + 2ax" in text


def test_formula_mathematical_letters_become_plain_ones(tmp_path: Path) -> None:
    text = text_of(typeset(tmp_path, "Let $x$, $bold(y)$ and $h$ be given, and 10² stay as printed."))
    assert "Let x, y and h be given" in text


# --- words and paragraphs -------------------------------------------------------------------------------------------


def line(text: str, y: float, left: float = 60.0, right: float = 340.0, size: float = 10.0) -> Line:
    return Line(text, left, right, y, size)


def test_paragraph_lines_are_joined_and_paragraphs_parted(tmp_path: Path) -> None:
    path = typeset(tmp_path, f"#set par(leading: 0.65em, spacing: 1.4em)\n{PROSE * 3}\n\n{PROSE * 2}")
    assert text_of(path) == (PROSE * 3).strip() + "\n\n" + (PROSE * 2).strip()


def test_paragraph_indented_first_lines_part_paragraphs(tmp_path: Path) -> None:
    source = "#set par(spacing: 0.65em, first-line-indent: (amount: 1.5em, all: true))\n"
    path = typeset(tmp_path, f"{source}{PROSE * 3}\n\n{PROSE * 2}\n\n{PROSE * 2}")
    assert text_of(path).count("\n\n") == 2


def test_paragraph_heading_label_and_items_keep_their_lines(tmp_path: Path) -> None:
    source = f"""= Motion
#set par(spacing: 0.65em)
{PROSE}

*Example 2.3*

{PROSE}

*Solution*

+ Find the mass of the body when its weight is known and nothing else is given in the question.
+ Find the weight.
"""
    lines = text_of(typeset(tmp_path, source)).split("\n")
    assert {"Motion", "Example 2.3", "Solution", "2. Find the weight."} <= set(lines)


@pytest.mark.parametrize(
    ("first", "second", "words", "want"),
    [
        ("it is an exam-", "ple of a force", {"example"}, "it is an example of a force"),
        (
            "an event that is life-",
            "threatening at once",
            {"life", "threatening"},
            "an event that is life-threatening at once",
        ),
        ("the well-", "known law", {"well-known"}, "the well-known law"),
        ("it became some-", "thing else", {"some", "thing"}, "it became something else"),
        ("the values 3-", "4 of it", set(), "the values 3-4 of it"),
    ],
)
def test_paragraph_cut_words_are_joined(first: str, second: str, words: set[str], want: str) -> None:
    filler = [line("and this is a full line of the same paragraph", 500 - 12 * i) for i in range(4)]
    page = [*filler, line(first, 452), line(second, 440)]
    assert paragraphs(page, words).endswith(want)


def test_paragraph_part_that_a_line_break_brought_to_the_front_goes_on() -> None:
    page = [line("7. (a) Find the mass of the body at rest.", 500), line("(b) Find its weight.", 488, right=160.0)]
    assert paragraphs(page) == "7. (a) Find the mass of the body at rest. (b) Find its weight."


def test_paragraph_next_number_below_a_full_line_begins_anew() -> None:
    lines = [
        Line("75. (a) faster by 0.70 m/s (b) the second runner (c) 4.17 m", 60, 340, 500, 10),
        Line("77. 17.0 m/s at an angle of 22.1º above the level ground", 60, 338, 488, 10),
        Line("79. 230 m/s", 60, 120, 476, 10),
    ]
    assert [line[:3] for line in paragraphs(lines).split("\n")] == ["75.", "77.", "79."]


def test_paragraph_parts_on_lines_of_their_own_stay_there() -> None:
    page = [line("(a) Find the mass of the body at rest.", 500), line("(b) Find its weight.", 488, right=160.0)]
    assert paragraphs(page) == "(a) Find the mass of the body at rest.\n(b) Find its weight."


def test_table_rows_keep_their_lines() -> None:
    page = [line(f"a row of the table {i} 12.5 60%", 500 - 12 * i) for i in range(5)]
    assert paragraphs(page).count("\n") == 4


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    left = " ".join(f"left{i}" for i in range(80))
    right = " ".join(f"right{i}" for i in range(80))
    path = typeset(tmp_path, f"#columns(2)[{left} #colbreak() {right}]")
    words = text_of(path).replace("-", "").split()
    assert words == (left + " " + right).split()


def test_columns_printed_row_by_row_are_read_one_after_the_other(tmp_path: Path) -> None:
    rows = "".join(f"[the left side of row {i} ends here][the right side of row {i} ends here]" for i in range(12))
    path = typeset(
        tmp_path,
        f"#set text(size: 8pt)\n#grid(columns: (1fr, 1fr), column-gutter: 20pt, row-gutter: 4pt, {_cells(rows)})",
    )
    text = text_of(path)
    assert text.index("left side of row 11") < text.index("right side of row 0")


def test_page_whose_text_runs_upwards_is_turned(tmp_path: Path) -> None:
    sideways = typeset(tmp_path, f"#rotate(-90deg, reflow: true, block(width: 400pt)[{PROSE * 2}])")
    assert text_of(sideways) == (PROSE * 2).strip()


def test_page_text_beside_the_page_stays_whole(tmp_path: Path) -> None:
    source = f"{PROSE}#place(dx: -40pt, rotate(-90deg, reflow: true)[Velocity of the lift])\n\n{PROSE}"
    assert "\n\nVelocity of the lift" in text_of(typeset(tmp_path, source))


def _cells(rows: str) -> str:
    return rows.replace("][", "],[")


# --- running heads --------------------------------------------------------------------------------------------------


def test_heads_and_feet_of_both_sides_and_numbers_go(tmp_path: Path) -> None:
    source = """#set page(
  header: context if calc.odd(here().page()) [College Physics #h(1fr) #here().page()]
    else [#here().page() #h(1fr) Chapter 2],
  footer: align(center)[Free of charge],
)
"""
    text = text_of(typeset(tmp_path, source + (PROSE * 5 + "#pagebreak(weak: true)\n") * 6))
    assert "College" not in text and "Chapter 2" not in text and "Free of charge" not in text
    assert text.count("The force on a body") == 30


def test_heads_labels_that_books_repeat_at_a_page_end_stay() -> None:
    body = [line(f"body {i}", 500 - 12 * i) for i in range(20)]
    pages = [(560.0, [*body, line("Check Your Learning", 60)]) for _ in range(5)]
    assert furniture(pages) == [set()] * 5


def test_heads_that_change_with_the_section_go_where_heads_stand() -> None:
    heads = ["1 Forces"] * 4 + ["1.2 Work"]
    pages = [(560.0, [line(head, 530), *[line(f"body {i}", 490 - 12 * i) for i in range(20)]]) for head in heads]
    assert furniture(pages) == [{0}] * 5


def test_heads_a_number_inside_the_page_stays() -> None:
    body = [line("words", 530), line("12", 515), line("words", 500)]
    assert furniture([(560.0, body)]) == [set()]


# --- verdicts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text", "want"),
    [
        ({"n_chars": 0}, "", "blank"),
        ({"n_chars": 0, "image_share": 0.9}, "", "scan"),
        ({"n_chars": 0, "n_paths": 2000}, "", "scan"),
        ({"n_chars": 150, "image_share": 0.7}, PROSE, "scan"),
        ({"n_damaged": 60}, PROSE, "garbage"),
        ({"map_error_share": 0.2}, PROSE, "garbage"),
        ({"n_unmapped": 6}, PROSE, "lossy"),
        ({}, "gur sbepr ba n obql vf gur cebqhpg bs vgf znff naq npprryrengvba " * 8, "garbage"),
        ({}, "Prędkość ciała to droga przebyta w danym czasie, podzielona przez czas, a siła zmienia ją. " * 5, "text"),
        (
            {},
            "Kecepatan suatu benda adalah jarak yang ditempuh dalam waktu tertentu, dan gaya mengubahnya. " * 5,
            "text",
        ),
        ({"image_share": 0.95}, PROSE * 3, "ocr_layer"),
        ({}, PROSE * 3, "text"),
        ({}, "12 34 56 " * 40, "text"),
    ],
)
def test_verdict_rules_in_their_order(change: dict[str, float], text: str, want: str) -> None:
    page = PageGlyphs([], 400, 560, 1000, 0, 0, 0.0, 0.0, 0)._replace(**change)
    assert verdict(page, text) == want


# --- formats --------------------------------------------------------------------------------------------------------


def test_markdown_tex_stays_as_written(tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"  # the name says nothing
    path.write_text("# Forces\n\nLet $F = ma_{0}$ and \\[ \\frac{1}{2} < 3 \\]\n\n```\nx\n\ny\n```\n")
    book = read_book(path)
    assert (book.format, book.title) == ("markdown", "Forces")
    assert "Let $F = ma_{0}$ and \\[ \\frac{1}{2} < 3 \\]" in book.pages[0].text


def test_markdown_mathml_reads_as_a_line(tmp_path: Path) -> None:
    path = tmp_path / "book.md"
    path.write_text(
        "# A\n\nIt is <math><msub><mi>v</mi><mn>0</mn></msub><mo>=</mo><mfrac><mi>x</mi><mi>t</mi></mfrac></math>."
    )
    assert "It is v_{0} = (x)/(t)." in read_book(path).pages[0].text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_plain_text_is_decoded_and_paged(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "book"
    path.write_bytes("\r\n\r\n".join(["Die Kräfte – " + PROSE * 5] * 20).encode(encoding))
    book = read_book(path)
    assert book.format == "text"
    assert [page.number for page in book.pages] == list(range(1, book.n_pages + 1))
    assert all(page.text.startswith("Die Kräfte –") and len(page.text) <= 3000 for page in book.pages)


def test_latex_heads_and_labels_are_lines_and_maths_stays(tmp_path: Path) -> None:
    path = tmp_path / "book.tex"
    path.write_text(
        "\\documentclass{book}\\title{Waves}\\begin{document}\\section{Light}% a note\n"
        "\\begin{example}What is \\emph{light}?\\end{example}"
        "\\begin{equation}c = \\frac{x}{t}\\end{equation}\\end{document}"
    )
    book = read_book(path)
    assert (book.format, book.title) == ("latex", "Waves")
    text = book.pages[0].text
    assert "## Light" in text and "Example.\nWhat is light?" in text and "a note" not in text
    assert "\\begin{equation}c = \\frac{x}{t}\\end{equation}" in text


@pytest.mark.parametrize(
    "declared",
    [
        r"\newtheorem{exo}{Exercise}[chapter]\newtheorem*{exa}{Solution}",
        r"\newtheorem{exo}[thm]{\bfseries Problem}\declaretheorem[style=plain, name={Answer}]{exa}",
        r"\newenvironment{exo}[1][]{\par\noindent\textbf{Question. }}{\par}\newtheorem{exa}{Solution}",
    ],
)
def test_latex_environments_of_the_author_s_own_are_known_by_what_they_print(declared: str, tmp_path: Path) -> None:
    path = tmp_path / "book.tex"
    path.write_text(
        "\\documentclass{book}" + declared + "\n\\begin{document}\\section{Speed}\n"
        "\\begin{exo}How far does a car at 20 m/s go in 5 s?\\end{exo}\n\\begin{exa}It goes $20 \\cdot 5 = 100$ m.\\end{exa}\n"
        "\\end{document}"
    )
    (pair,) = pairs(text_of(path), "")
    assert (pair.question, pair.answer) == ("How far does a car at 20 m/s go in 5 s?", "It goes $20 \\cdot 5 = 100$ m.")


HTML = """<!DOCTYPE html><html><head><title>Heat</title><style>p {}</style></head><body><nav>skip</nav>
<h2>Warm   bodies</h2><p>Water is H<sub>2</sub>O,
10<sup>3</sup> kg.</p><ol start="3"><li>Why?</li><li>How?</li></ol><script>no()</script></body></html>"""


def test_html_named_pdf_reads_as_html(tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    path.write_text(HTML)
    book = read_book(path)
    assert (book.format, book.title) == ("html", "Heat")
    assert book.pages[0].text == "## Warm bodies\n\nWater is H_{2}O, 10^{3} kg.\n\n3. Why?\n4. How?"


def epub(path: Path, chapters: dict[str, bytes]) -> Path:
    items = "".join(f'<item id="i{i}" href="{name}"/>' for i, name in enumerate(chapters))
    spine = "".join(f'<itemref idref="i{i}"/>' for i in reversed(range(len(chapters))))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="o/p.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "o/p.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><metadata><dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"Two chapters</dc:title></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
        )
        for name, data in chapters.items():
            archive.writestr(f"o/{name}", data)
    return path


def test_epub_chapters_follow_the_spine(tmp_path: Path) -> None:
    book = read_book(
        epub(tmp_path / "b", {"2.xhtml": b"<html><p>second</p></html>", "1.xhtml": b"<html><p>first</p></html>"})
    )
    assert (book.format, book.title, book.pages[0].text) == ("epub", "Two chapters", "first\n\nsecond")


def test_epub_chapter_that_unpacks_without_end_is_too_large(tmp_path: Path) -> None:
    path = epub(tmp_path / "b", {"1.xhtml": b"<p>" + b" " * (40 * 1024 * 1024)})
    with pytest.raises(BookError) as refused:
        read_book(path)
    assert refused.value.reason == "too_large"


# --- what is refused, and the child process -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"%PDF-1.7\nnothing more", "corrupt"),
        (b"<html><head><title>x</title></head><body></body></html>", "not_a_book"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "unsupported"),
        (bytes(range(32)) * 40, "unsupported"),
        (b"PK\x03\x04" + bytes(100), "unsupported"),
    ],
)
def test_refused_bytes_have_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "book"
    path.write_bytes(data)
    with pytest.raises(BookError) as refused:
        read_book(path)
    assert refused.value.reason == reason
    assert str(tmp_path) not in refused.value.detail


def test_too_many_pages_are_refused(tmp_path: Path) -> None:
    path = typeset(tmp_path, "one\n#pagebreak()\ntwo\n#pagebreak()\nthree")
    assert read_book(path, max_pages=3).n_pages == 3
    with pytest.raises(BookError, match="too_large: 3 pages; the limit is 2"):
        read_book(path, max_pages=2)


def test_cut_short_pdf_is_repaired_and_says_so(tmp_path: Path) -> None:
    path = typeset(tmp_path, (PROSE + "#pagebreak()\n") * 3 + "#hide[end]")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"startxref") - 40])
    book = read_book(path)
    assert book.repaired
    assert book.pages[0].text == PROSE.strip()


def child(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "megascience_ops.books", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


def test_child_prints_the_book_that_read_book_reads(tmp_path: Path) -> None:
    path = typeset(tmp_path, PROSE + "#pagebreak()\n" + PROSE)
    done = child(str(path))
    assert done.returncode == 0
    assert book_from_lines(done.stdout.splitlines()) == read_book(path)


def test_child_names_the_reason_and_exits_65(tmp_path: Path) -> None:
    (tmp_path / "none.pdf").write_bytes(b"")
    done = child(str(tmp_path / "none.pdf"), "--max-pages", "10")
    assert done.returncode == 65
    assert json.loads(done.stdout) == {"reason": "empty", "detail": "the file has no bytes"}


# --- files that were damaged on purpose -----------------------------------------------------------------------------

VERDICTS = {
    "badocr.pdf": "garbage " * 3,
    "blank2.pdf": "blank " * 2,
    "cid_garbage.pdf": "garbage " * 10,
    "enc_owner_only.pdf": "text " * 10,
    "handwriting_bad_ocr.pdf": "scan ocr_layer",
    "html.pdf": "text",
    "mixed.pdf": "scan text " * 5,
    "multi_column_miss.pdf": "text",
    "olmo-page-1.pdf": "garbage",
    "openstax_caculus_pg_273.pdf": "text",
    "scan.pdf": "scan " * 5,
    "ten.pdf": "text " * 10,
    "trunc50.pdf": "text " * 10,
    "twocol.pdf": "text " * 5,
}
REFUSED = {"bitrot.pdf": "corrupt", "enc_user.pdf": "encrypted", "zero.pdf": "empty", "zeropages.pdf": "no_pages"}

damaged_files = pytest.mark.skipif(not ROBUST.is_dir(), reason="the damaged files are not part of the repository")


@damaged_files
@pytest.mark.parametrize("name", VERDICTS)
def test_damaged_file_has_its_verdicts(name: str) -> None:
    assert sorted(page.verdict for page in read_book(ROBUST / name).pages) == sorted(VERDICTS[name].split())


@damaged_files
@pytest.mark.parametrize("name", REFUSED)
def test_damaged_file_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(BookError) as refused:
        read_book(ROBUST / name)
    assert refused.value.reason == REFUSED[name]


@damaged_files
def test_damaged_file_cut_in_half_gives_the_whole_text_after_repair() -> None:
    whole, cut = read_book(ROBUST / "ten.pdf"), read_book(ROBUST / "trunc50.pdf")
    assert cut.repaired and not whole.repaired
    assert sum(len(p.text) for p in cut.pages) > 0.99 * sum(len(p.text) for p in whole.pages)


PARTS = """<div data-type="exercise"><div data-type="problem" markdown="1">
How many legs has a spider that lost one of its eight, as [\\[link\\]](#fig-1) shows?
</div>
<div data-type="solution" markdown="1">
7\\.0 legs, because eight less one is seven.
</div></div>
"""


@pytest.mark.parametrize(
    "name, whole", [("book.md", f"# Spiders\n\n{PARTS}"), ("book.html", f"<html><body>{PARTS}</body></html>")]
)
def test_parts_that_a_publisher_names_are_labelled_as_in_print(name: str, whole: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(whole)
    (page,) = read_book(tmp_path / name).pages
    before, question, answer = (part.strip() for part in re.split(r"^(?:Question|Answer)$", page.text, flags=re.M))
    assert question.startswith("How many legs has a spider")
    assert answer.endswith("because eight less one is seven.")


def test_markdown_reference_without_a_number_and_escaped_point_are_plain(tmp_path: Path) -> None:
    (tmp_path / "book.md").write_text(f"# Spiders\n\n{PARTS}")
    (page,) = read_book(tmp_path / "book.md").pages
    assert "as [link] shows?" in page.text
    assert "7.0 legs" in page.text
