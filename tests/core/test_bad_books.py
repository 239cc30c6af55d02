"""Books that no tidy test would think of: each becomes rows, or an aside with its reason, and the run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pikepdf
import pytest

from megascience_ops.cli import main

if TYPE_CHECKING:
    from tests.conftest import River

LESSON = """Forces and Motion

A force changes the velocity of a mass. The acceleration is the force divided by the mass, and the momentum of a body
changes at the rate of the force. Friction is a force that opposes motion; gravity is a force that pulls on every mass.

Exercise 1. {what}

Solution. By Newton's second law the acceleration is the force divided by the mass, therefore a = 12 N / 4.0 kg, which
gives 3.0 m/s^2.
"""
QUESTIONS = {
    "café": "A café table of mass 4.0 kg feels a net force of 12 N. What is its acceleration?",
    "sledge": "With which acceleration does a sledge of 4.0 kg move when the rope pulls with 12 N?",
    "barrow": "Find how fast the velocity of a barrow changes, given 12 N on 4.0 kg.",
    "wagon": "Determine what a force of 12 N does to the motion of a wagon whose mass is 4.0 kg.",
}
ODD_NAME = "a #1 100% 'quoted' \"book\" 😀 ?*[x].md"


def pdf(path: Path, *, pages: int, **saved: object) -> None:
    document = pikepdf.new()
    for _ in range(pages):
        document.add_blank_page(page_size=(300, 400))
    document.save(path, **saved)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, add_picture_page: Any) -> Path:
    zone = tmp_path_factory.mktemp("shelf") / "zone"
    (zone / "deep" / "er").mkdir(parents=True)
    (zone / "empty.pdf").write_bytes(b"")
    (zone / "corrupt.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    pdf(zone / "encrypted.pdf", pages=2, encryption=pikepdf.Encryption(owner="owner", user="user"))
    pdf(zone / "no_pages.pdf", pages=0)
    document = pikepdf.new()
    add_picture_page(document, bytes(range(256)) * 40, 128, 80)
    document.save(zone / "scan.pdf")
    (zone / "latin.txt").write_bytes(LESSON.format(what=QUESTIONS["café"]).encode("latin-1"))
    page = "".join(f"<p>{text}</p>" for text in LESSON.format(what=QUESTIONS["sledge"]).split("\n\n"))
    (zone / "web.pdf").write_text(f"<!doctype html><html><title>Web</title><body>{page}</body></html>")
    (zone / ODD_NAME).write_text(LESSON.format(what=QUESTIONS["barrow"]))
    (zone / "deep" / "er" / "book.txt").write_text(LESSON.format(what=QUESTIONS["wagon"]))
    (zone / "zz_twin.txt").write_text(LESSON.format(what=QUESTIONS["wagon"]))
    (zone / "noise.bin").write_bytes(bytes(range(256)) * 50)
    (zone / "textbooks.csv").write_text("path,subject,level\nscan.pdf,physics,undergraduate\n")
    return zone


@pytest.fixture(scope="module")
def ran(shelf: Path) -> Iterator[str]:
    root = shelf.parent / "root"
    assert main(["run", "--root", str(root), "--batch", "first", "--textbooks", str(shelf)]) == 0
    yield str(root)


@pytest.fixture
def river(ran: str, shelf: Path, new_river, tmp_path: Path) -> River:
    return new_river(tmp_path, benchmarks=False).with_(root=ran, textbooks=str(shelf), engine=None)


def test_bad_books_are_aside_each_with_its_reason(river: River) -> None:
    assert river.reasons("discover_books") == {
        "corrupt.pdf": "corrupt",
        "empty.pdf": "empty",
        "encrypted.pdf": "encrypted",
        "no_pages.pdf": "no_pages",
        "noise.bin": "unsupported",
        "zz_twin.txt": "duplicate_file",
    }
    assert all(aside.detail for aside in river.asides("discover_books"))


def test_scan_is_aside_once_it_would_have_to_be_read(river: River) -> None:
    (aside,) = river.asides("digitize_books")
    (book,) = [row for row in river.rows("discover_books") if row.path == "scan.pdf"]
    assert (aside.id, aside.reason) == (book.id, "unreadable_pages")
    assert "1 scan" in aside.detail


def test_books_in_other_clothes_are_read(river: River) -> None:
    books = {row.id: row.path for row in river.rows("discover_books")}
    published = {books[row.book_id]: row.question for row in river.rows("publish")}
    assert set(published) == {"latin.txt", "web.pdf", ODD_NAME, "deep/er/book.txt"}
    assert "A café table" in published["latin.txt"]


def test_name_that_no_storage_can_hold_is_aside_and_the_other_books_go_on(new_river, tmp_path: Path) -> None:
    zone = tmp_path / "zone"
    zone.mkdir()
    (zone / "two\nlines.md").write_text("# A book")
    (zone / "good.txt").write_text(LESSON.format(what=QUESTIONS["wagon"]))
    assert main(["stage", "discover_books", "--root", str(tmp_path / "root"), "--textbooks", str(zone)]) == 0
    river = new_river(tmp_path, benchmarks=False, batch="default").with_(root=str(tmp_path / "root"))
    assert [book.path for book in river.rows("discover_books")] == ["good.txt"]
    (aside,) = river.asides("discover_books")
    assert aside.reason == "unopened"
    assert "rename it" in aside.detail
